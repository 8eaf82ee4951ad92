//! The plots, as SVG that takes its colours from the page.

use super::figures::Figures;
use super::text::time;
use crate::figure::thousands;

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 110.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 34.0;

/// Where the curves' axis has a mark: so many nines.
const MARKS: [(f64, &str); 5] =
    [(0.5, "p50"), (0.9, "p90"), (0.99, "p99"), (0.999, "p99.9"), (0.9999, "p99.99")];

/// Decisions a second, a bar a level.
pub(super) fn bars(figures: &[&Figures]) -> String {
    const WIDE: f64 = 360.0;
    const BAR: f64 = 44.0;
    let height = figures.len() as f64 * BAR + 8.0;
    let most = figures.iter().map(|one| one.closed.decisions_per_second).fold(1.0, f64::max);
    let mut svg = format!("<svg class=\"bars\" viewBox=\"0 0 {WIDE} {height}\" role=\"img\">\n");
    for (number, one) in figures.iter().enumerate() {
        let (rate, name, top) =
            (one.closed.decisions_per_second, one.level.name(), number as f64 * BAR + 4.0);
        let length = (rate / most * WIDE).max(1.0);
        svg += &format!(
            "<text class=\"strong\" x=\"0\" y=\"{:.0}\">{name}: {} a second</text>\n\
             <rect class=\"{name}\" x=\"0\" y=\"{:.0}\" width=\"{length:.1}\" height=\"18\" rx=\"2\"/>\n",
            top + 12.0,
            thousands(rate as u64),
            top + 17.0
        );
    }
    svg + "</svg>\n"
}

/// Latencies over quantiles, a line a level and rate.
pub(super) fn curves(figures: &[&Figures]) -> String {
    let all = || figures.iter().flat_map(|one| one.open.iter().map(move |open| (*one, open)));
    let latencies = || all().flat_map(|(_, open)| open.latency.points.iter().map(|point| point.ns.max(1)));
    // Whole decades, so that each has its line.
    let low = latencies().min().map_or(1.0, |ns| decade(ns).floor());
    let high = latencies().max().map_or(2.0, |ns| decade(ns).ceil()).max(low + 1.0);
    let y = |ns: u64| HEIGHT - BOTTOM - (decade(ns.max(1)) - low) / (high - low) * (HEIGHT - BOTTOM - TOP);
    let mut svg = format!("<svg class=\"curves\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">\n");
    for power in low as u32..=high as u32 {
        let at = y(10_u64.saturating_pow(power));
        svg += &format!(
            "<line class=\"rule\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\n",
            WIDTH - RIGHT,
            LEFT - 6.0,
            at + 4.0,
            round(power)
        );
    }
    for (quantile, name) in MARKS {
        let at = x(quantile);
        svg += &format!(
            "<line class=\"rule\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{TOP}\" y2=\"{bottom}\"/>\
             <text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{name}</text>\n",
            HEIGHT - BOTTOM + 16.0,
            bottom = HEIGHT - BOTTOM,
        );
    }
    for (one, open) in all() {
        let name = one.level.name();
        let dashed = if open.offered_per_second == super::child::RATE { "" } else { " dashed" };
        let points = open.latency.points.iter().filter(|point| point.quantile < 1.0);
        let points: Vec<String> =
            points.map(|point| format!("{:.1},{:.1}", x(point.quantile), y(point.ns))).collect();
        svg += &format!(
            "<g class=\"{name}\"><title>{name}, {} a second: p50 {}, p99 {}, longest {}</title>\
             <polyline class=\"line{dashed}\" points=\"{}\"/></g>\n",
            thousands(open.offered_per_second),
            time(open.latency.p50_ns),
            time(open.latency.p99_ns),
            time(open.latency.max_ns),
            points.join(" ")
        );
    }
    let levels = figures.iter().map(|one| (one.level.name(), "line", one.level.name()));
    let rates = [("line", "100,000/s"), ("line dashed", "half of most")];
    let legend = levels.chain(rates.map(|(line, text)| ("soft".to_string(), line, text.to_string())));
    for (number, (class, line, text)) in legend.enumerate() {
        let (left, top) = (WIDTH - RIGHT + 10.0, TOP + 8.0 + number as f64 * 18.0);
        svg += &format!(
            "<g class=\"{class}\"><line class=\"{line}\" x1=\"{left}\" x2=\"{}\" y1=\"{top}\" y2=\"{top}\"/></g>\
             <text class=\"strong\" x=\"{}\" y=\"{}\">{text}</text>\n",
            left + 18.0,
            left + 24.0,
            top + 4.0
        );
    }
    svg + "</svg>\n"
}

/// The rarer, the further right: as far for each nine. The last 100,000th is the edge.
fn x(quantile: f64) -> f64 {
    let nines = -(1.0 - quantile).max(1e-5).log10();
    LEFT + nines / 5.0 * (WIDTH - LEFT - RIGHT)
}

fn decade(ns: u64) -> f64 {
    (ns as f64).log10()
}

/// A power of ten of nanoseconds.
fn round(power: u32) -> String {
    let (value, unit) = (10_u64.pow(power % 3), ["ns", "µs", "ms", "s"].get(power as usize / 3));
    match unit {
        Some(unit) => format!("{value} {unit}"),
        None => format!("10^{} s", power - 9),
    }
}

/// Text between tags.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_nine_is_as_wide() {
        let widths: Vec<f64> =
            [0.0, 0.9, 0.99, 0.999].windows(2).map(|pair| x(pair[1]) - x(pair[0])).collect();
        assert!(widths.iter().all(|width| (width - widths[0]).abs() < 1e-6), "{widths:?}");
        assert!(x(1.0) <= WIDTH - RIGHT + 1e-6);
    }

    #[test]
    fn decades_have_names() {
        assert_eq!([0, 2, 3, 7, 9, 11].map(round), ["1 ns", "100 ns", "1 µs", "10 ms", "1 s", "100 s"]);
        assert_eq!(round(12), "10^3 s");
    }

    #[test]
    fn a_processors_name_cannot_end_a_tag() {
        assert_eq!(escaped("<b> & co"), "&lt;b&gt; &amp; co");
    }
}
