//! Draws the samples, over the number of operations.

use super::lines::{Line, Panel, Scale, draw};
use super::sample::Sample;

type Row = (&'static str, &'static str, fn(&Sample) -> f64);

const ROWS: [Row; 7] = [
    ("decisions a second, millions", "#1b6ca8", |sample| sample.per_second / 1e6),
    ("p99 of a reserve, microseconds", "#a8541b", |sample| sample.p99_us),
    ("log on disk, MiB", "#2a7f4f", |sample| sample.log_mib),
    ("checkpoints on disk, MiB", "#6b4fa0", |sample| sample.checkpoint_mib),
    ("ledger on disk, MiB", "#8c6d1f", |sample| sample.ledger_mib),
    ("confirmed and not shipped, thousands", "#7a2f4f", |sample| sample.unshipped as f64 / 1e3),
    ("resident memory, MiB", "#444444", |sample| sample.resident_mib),
];

pub fn plot(samples: &[Sample]) -> String {
    let panels: Vec<Panel> = ROWS
        .iter()
        .map(|(title, colour, value)| Panel {
            title: (*title).into(),
            across: "operations, millions",
            x: Scale::Linear,
            y: Scale::Linear,
            lines: vec![Line {
                name: "",
                colour,
                points: samples
                    .iter()
                    .map(|sample| (sample.operations as f64 / 1e6, value(sample)))
                    .collect(),
            }],
            mark: None,
        })
        .collect();
    draw(&panels, 1, (720.0, 160.0), "a sale without end")
}
