//! The samples as small multiples in one SVG: what should be flat, over the operations that were done.

use super::sample::Sample;

const WIDTH: f64 = 720.0;
const PANEL: f64 = 120.0;
const LEFT: f64 = 90.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 28.0;

type Panel = (&'static str, &'static str, fn(&Sample) -> f64);

const PANELS: [Panel; 7] = [
    ("decisions a second, millions", "#1b6ca8", |sample| sample.per_second / 1e6),
    ("p99 of a reserve, microseconds", "#a8541b", |sample| sample.p99_us),
    ("log on disk, MiB", "#2a7f4f", |sample| sample.log_mib),
    ("checkpoints on disk, MiB", "#6b4fa0", |sample| sample.checkpoint_mib),
    ("ledger on disk, MiB", "#8c6d1f", |sample| sample.ledger_mib),
    ("confirmed and not shipped, thousands", "#7a2f4f", |sample| sample.unshipped as f64 / 1e3),
    ("resident memory, MiB", "#444444", |sample| sample.resident_mib),
];

pub fn draw(samples: &[Sample]) -> String {
    let height = TOP + PANELS.len() as f64 * PANEL + 30.0;
    let millions = samples.last().map_or(1.0, |sample| sample.operations as f64 / 1e6);
    let x = |sample: &Sample| LEFT + sample.operations as f64 / 1e6 / millions * (WIDTH - LEFT - RIGHT);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    for (number, (title, colour, value)) in PANELS.iter().enumerate() {
        let top = TOP + number as f64 * PANEL;
        let (bottom, inner) = (top + PANEL - 30.0, PANEL - 30.0);
        let highest = nice(samples.iter().map(value).fold(0.0, f64::max));
        let y = |sample: &Sample| bottom - value(sample) / highest * inner;
        svg += &format!("<text x=\"{LEFT}\" y=\"{}\" fill=\"#222\">{title}</text>\n", top - 6.0);
        for part in [0.0, 0.5, 1.0] {
            let at = bottom - part * inner;
            svg += &format!(
                "<line x1=\"{LEFT}\" x2=\"{}\" y1=\"{at}\" y2=\"{at}\" stroke=\"#ddd\"/><text x=\"{}\" y=\"{}\" text-anchor=\"end\" fill=\"#666\">{}</text>\n",
                WIDTH - RIGHT,
                LEFT - 6.0,
                at + 4.0,
                trim(highest * part)
            );
        }
        let points: Vec<String> =
            samples.iter().map(|sample| format!("{:.1},{:.1}", x(sample), y(sample))).collect();
        svg += &format!(
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.2\" points=\"{}\"/>\n",
            points.join(" ")
        );
    }
    for part in 0..=4 {
        let at = LEFT + f64::from(part) / 4.0 * (WIDTH - LEFT - RIGHT);
        svg += &format!(
            "<text x=\"{at}\" y=\"{}\" text-anchor=\"middle\" fill=\"#666\">{}</text>\n",
            height - 24.0,
            trim(millions * f64::from(part) / 4.0)
        );
    }
    svg + &format!(
        "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\" fill=\"#222\">operations, millions</text>\n</svg>\n",
        (WIDTH + LEFT) / 2.0,
        height - 8.0
    )
}

/// The next round number above.
fn nice(value: f64) -> f64 {
    let power = 10f64.powf(value.max(1e-9).log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|step| step * power).find(|step| *step >= value).unwrap_or(value)
}

fn trim(value: f64) -> String {
    if value >= 10.0 || value == 0.0 { format!("{value:.0}") } else { format!("{value:.1}") }
}
