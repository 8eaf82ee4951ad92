//! The table: one block per workload, printed as it is measured.

use super::figures::{ClosedLoop, Figures, OpenLoop};
use super::latency::Curve;
use super::schedule::RATE;
use super::workload::Workload;
use crate::figure::thousands;
use crate::output::{Output, Stop};

pub(super) const COLUMNS: [&str; 12] = [
    "level",
    "max/s",
    "log",
    "written",
    "CPU",
    "memory",
    "a hold",
    "offered/s",
    "p50",
    "p99",
    "p99.9",
    "max",
];

const WIDTHS: [usize; 12] = [8, 11, 6, 7, 7, 8, 6, 11, 8, 8, 8, 8];

/// Meaning of the columns, printed after the last block.
pub(super) const LEGEND: [(&str, &str); 9] = [
    (
        "level",
        "when a decision is acknowledged; sync: after an fdatasync; interval: when the OS has it; memory: \
         at once",
    ),
    (
        "max/s",
        "closed loop: decisions a second, one thread per core, many in flight, counted when acknowledged",
    ),
    ("log", "bytes of log per decision, in the closed loop"),
    ("written", "bytes given to the operating system per decision, including checkpoints"),
    ("CPU", "processor time of all threads per decision, including the clients"),
    ("memory", "growth of the process in the closed loop"),
    ("a hold", "that growth divided by the number of live holds at the end"),
    (
        "offered/s",
        "open loop: operations due per second, which do not wait for the engine; second row: half of max/s",
    ),
    (
        "p50 to max",
        "time from when an operation was due to its acknowledgement: median, percentiles, longest",
    ),
];

/// What the figures do not contain.
pub(super) const LACKS: &str = "\
The figures contain no network and no replication. The clients are threads of the same process and
use some of the processor.";

/// The latency of the disk alone, to compare with acknowledgements that wait for a sync.
pub(super) fn disk(curve: &Curve) -> String {
    let [p50, p99, p999, max] = [curve.p50_ns, curve.p99_ns, curve.p999_ns, curve.max_ns].map(time);
    let rate = thousands(RATE);
    format!(
        "disk alone (plain file, one fdatasync per group) at {rate} a second: p50 {p50}, p99 {p99}, p99.9 \
         {p999}, max {max}"
    )
}

pub(super) fn heading(output: &mut Output, workload: Workload) -> Result<(), Stop> {
    output.line(format_args!("\n{}: {}", workload.name(), workload.sentence()))?;
    output.line(format_args!("{}", row(COLUMNS.map(String::from))))?;
    output.flush()
}

pub(super) fn level(output: &mut Output, figures: &Figures) -> Result<(), Stop> {
    let mut left = closed(figures);
    for open in &figures.open {
        let [rate, p50, p99, p999, max] = open_loop(open);
        let [level, most, log, written, cpu, memory, hold] = std::mem::take(&mut left);
        let cells = [level, most, log, written, cpu, memory, hold, rate, p50, p99, p999, max];
        output.line(format_args!("{}", row(cells)))?;
        if let Some(sentence) = behind(open) {
            output.line(format_args!("    {sentence}"))?;
        }
    }
    output.flush()
}

pub(super) fn legend(output: &mut Output) -> Result<(), Stop> {
    output.line(format_args!(""))?;
    for (name, meaning) in LEGEND {
        output.line(format_args!("{name:<10} {meaning}"))?;
    }
    output.line(format_args!("\n{LACKS}"))
}

/// A note on a rate that was too high.
pub(super) fn behind(open: &OpenLoop) -> Option<String> {
    let [unsent, offered] = [open.unsent, open.offered].map(thousands);
    (open.unsent > 0)
        .then(|| format!("the engine fell behind: {unsent} of {offered} operations were never sent"))
}

/// The cells of the closed loop.
pub(super) fn closed(figures: &Figures) -> [String; 7] {
    let closed: &ClosedLoop = &figures.closed;
    [
        figures.level.name(),
        thousands(closed.decisions_per_second as u64),
        closed.log_bytes_per_decision.map_or_else(none, bytes),
        closed.written_bytes_per_decision.map_or_else(none, bytes),
        time(closed.cpu_ns_per_decision as u64),
        format!("{} MiB", thousands(closed.memory_bytes >> 20)),
        closed.memory_bytes_per_hold.map_or_else(none, bytes),
    ]
}

/// The cells of one open loop.
pub(super) fn open_loop(open: &OpenLoop) -> [String; 5] {
    let latency = &open.latency;
    let [p50, p99, p999, max] = [latency.p50_ns, latency.p99_ns, latency.p999_ns, latency.max_ns].map(time);
    [thousands(open.offered_per_second), p50, p99, p999, max]
}

fn none() -> String {
    "-".to_string()
}

pub(super) fn bytes(count: f64) -> String {
    format!("{count:.0} B")
}

/// A time with two or three digits and a fitting unit: `85 ns`, `4.2 µs`, `120 ms`.
pub(super) fn time(ns: u64) -> String {
    let scaled = |unit_ns: f64, unit: &str| {
        let value = ns as f64 / unit_ns;
        if value < 9.95 { format!("{value:.1} {unit}") } else { format!("{value:.0} {unit}") }
    };
    match ns {
        0..1_000 => format!("{ns} ns"),
        1_000..999_500 => scaled(1e3, "µs"),
        999_500..999_500_000 => scaled(1e6, "ms"),
        _ => scaled(1e9, "s"),
    }
}

fn row(cells: [String; 12]) -> String {
    let mut line = format!("  {:<width$}", cells[0], width = WIDTHS[0]);
    for (cell, width) in cells.iter().zip(WIDTHS).skip(1) {
        line += &format!(" {cell:>width$}");
    }
    line.trim_end().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_two_or_three_digits_and_a_unit() {
        let shown = [0, 999, 1_000, 4_240, 12_300, 999_499, 999_500, 9_960_000, 999_499_999, 2_500_000_000];
        let texts =
            ["0 ns", "999 ns", "1.0 µs", "4.2 µs", "12 µs", "999 µs", "1.0 ms", "10 ms", "999 ms", "2.5 s"];
        assert_eq!(shown.map(time), texts);
    }
}
