//! Latency by quantile as SVG, with colours from the page's style. As wide as a narrow telephone screen, so
//! that the text is never scaled down until it is illegible.

use super::figures::{Figures, OpenLoop};
use super::text::time;
use crate::figure::thousands;

const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 250.0;
const LEFT: f64 = 52.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 24.0;
const BOTTOM: f64 = 42.0;

/// Marks of the horizontal axis.
const MARKS: [(f64, &str); 5] =
    [(0.5, "p50"), (0.9, "p90"), (0.99, "p99"), (0.999, "p99.9"), (0.9999, "p99.99")];

/// The vertical axis, in powers of ten of nanoseconds; shared by plots that are compared.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Decades {
    low: f64,
    high: f64,
}

impl Decades {
    /// The whole powers of ten around all latencies of these.
    pub(super) fn around<'a>(all: impl Iterator<Item = &'a OpenLoop> + Clone) -> Decades {
        let latencies = || all.clone().flat_map(|open| open.latency.points.iter().map(|point| point.ns));
        let low = latencies().min().map_or(0.0, |ns| decade(ns).floor());
        let high = latencies().max().map_or(0.0, |ns| decade(ns).ceil());
        Decades { low, high: high.max(low + 1.0) }
    }

    /// The place of a latency on the axis: 0 at the low end, 1 at the high end.
    pub(super) fn share(self, ns: u64) -> f64 {
        (decade(ns) - self.low) / (self.high - self.low)
    }

    /// The place and the label of each power of ten.
    pub(super) fn lines(self) -> impl Iterator<Item = (f64, String)> {
        (self.low as u32..=self.high as u32)
            .map(move |power| (self.share(10_u64.saturating_pow(power)), round(power)))
    }
}

/// One line per level, for the open loops with this number.
pub(super) fn curves(figures: &[&Figures], number: usize, decades: Decades) -> String {
    let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
    let y = |share: f64| bottom - share * (bottom - TOP);
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">\n\
         <text x=\"{LEFT}\" y=\"12\">acknowledged within</text>\n\
         <text x=\"{right}\" y=\"{}\" text-anchor=\"end\">fraction of all operations</text>\n",
        HEIGHT - 6.0
    );
    for (share, name) in decades.lines() {
        let at = y(share);
        svg += &format!(
            "<line class=\"rule\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{name}</text>\n",
            LEFT - 6.0,
            at + 4.0
        );
    }
    for (quantile, name) in MARKS {
        let at = x(quantile);
        svg += &format!(
            "<line class=\"rule\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{TOP}\" y2=\"{bottom}\"/>\
             <text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{name}</text>\n",
            bottom + 16.0
        );
    }
    for one in figures {
        let (name, open) = (one.level.name(), &one.open[number]);
        let points = open.latency.points.iter().filter(|point| point.quantile < 1.0);
        let points: Vec<String> = points
            .map(|point| format!("{:.1},{:.1}", x(point.quantile), y(decades.share(point.ns))))
            .collect();
        svg += &format!(
            "<g class=\"{name}\"><title>{name}, {} a second: p50 {}, p99 {}, longest {}</title>\
             <polyline class=\"line\" points=\"{}\"/></g>\n",
            thousands(open.offered_per_second),
            time(open.latency.p50_ns),
            time(open.latency.p99_ns),
            time(open.latency.max_ns),
            points.join(" ")
        );
    }
    svg + "</svg>\n"
}

/// The place of a quantile: the same distance for each nine; 99.999 % is the right edge.
fn x(quantile: f64) -> f64 {
    let nines = -(1.0 - quantile).max(1e-5).log10();
    LEFT + nines / 5.0 * (WIDTH - LEFT - RIGHT)
}

fn decade(ns: u64) -> f64 {
    (ns.max(1) as f64).log10()
}

/// A power of ten of nanoseconds.
fn round(power: u32) -> String {
    let (value, unit) = (10_u64.pow(power % 3), ["ns", "µs", "ms", "s"].get(power as usize / 3));
    match unit {
        Some(unit) => format!("{value} {unit}"),
        None => format!("10^{} s", power - 9),
    }
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
    fn an_axis_always_has_a_length() {
        let decades = Decades::around([].iter());
        assert_eq!((decades.share(1), decades.share(10)), (0.0, 1.0));
    }
}
