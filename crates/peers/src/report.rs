//! The figures, as a table and as one JSON object.

use std::fs;
use std::path::Path;

use serde::Serialize;

use crate::error::PeerError;
use crate::job::Demand;
use crate::machine::Machine;
use crate::row::{Row, thousands};
use crate::sample::Sample;
use crate::table::{Align, table};

#[derive(Serialize)]
pub(crate) struct Report {
    machine: Machine,
    threads: u64,
    seconds: u64,
    pub(crate) rows: Vec<Figures>,
}

#[derive(Serialize)]
pub(crate) struct Figures {
    system: &'static str,
    setting: String,
    demand: &'static str,
    holds: u64,
    holds_per_second: f64,
    ack_p50_ns: u64,
    ack_p99_ns: u64,
    contains: &'static str,
    lacks: &'static str,
}

impl Figures {
    pub(crate) fn of(row: &Row, demand: Demand, sample: &Sample) -> Figures {
        Figures {
            system: row.system,
            setting: row.setting.clone(),
            demand: demand.name(),
            holds: sample.granted,
            holds_per_second: sample.per_second(),
            ack_p50_ns: sample.ack_ns.value_at_quantile(0.5),
            ack_p99_ns: sample.ack_ns.value_at_quantile(0.99),
            contains: row.contains,
            lacks: row.lacks,
        }
    }

    fn cells(&self) -> [String; 8] {
        [
            self.system.into(),
            self.setting.clone(),
            self.demand.into(),
            thousands(self.holds_per_second as u64),
            duration(self.ack_p50_ns),
            duration(self.ack_p99_ns),
            self.contains.into(),
            self.lacks.into(),
        ]
    }
}

impl Report {
    pub(crate) fn new(machine: Machine, threads: u64, seconds: u64) -> Report {
        Report { machine, threads, seconds, rows: Vec::new() }
    }

    pub(crate) fn table(&self) -> String {
        use Align::{Left, Right};
        let columns = [
            ("system", Left),
            ("setting", Left),
            ("stock", Left),
            ("holds/s", Right),
            ("ack p50", Right),
            ("ack p99", Right),
            ("contains", Left),
            ("lacks", Left),
        ];
        table(columns, &self.rows.iter().map(Figures::cells).collect::<Vec<_>>())
    }

    pub(crate) fn write(&self, path: &Path) -> Result<(), PeerError> {
        let mut text = serde_json::to_string_pretty(self).expect("plain fields can be written as JSON");
        text.push('\n');
        fs::write(path, text).map_err(|error| PeerError::file(path, error))
    }
}

/// Three digits or fewer before the unit.
fn duration(nanoseconds: u64) -> String {
    let value = nanoseconds as f64;
    match nanoseconds {
        0..1_000 => format!("{nanoseconds} ns"),
        1_000..10_000 => format!("{:.1} µs", value / 1e3),
        10_000..1_000_000 => format!("{:.0} µs", value / 1e3),
        1_000_000..10_000_000 => format!("{:.1} ms", value / 1e6),
        _ => format!("{:.0} ms", value / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short() {
        let shown = [999, 1_500, 42_000, 1_230_000, 86_000_000].map(duration);
        assert_eq!(shown, ["999 ns", "1.5 µs", "42 µs", "1.2 ms", "86 ms"]);
    }
}
