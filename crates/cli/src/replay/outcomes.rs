//! The file of outcomes: one row per line of the order file, in file order, written when it is durable.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::cart::Line;
use super::csv::push_field;
use super::decide::LineOutcome;

/// Names of the columns.
pub const HEADER: &str = "order_id,sku,location,quantity,outcome,reason,hold,available";

/// Writes each row with one call, so that a reader of the file sees it without waiting for a full buffer.
#[derive(Debug)]
pub struct OutcomesFile {
    file: File,
    line: Vec<u8>,
}

impl OutcomesFile {
    /// Creates or truncates the file: a rerun writes every row again.
    pub fn create(path: &Path) -> io::Result<Self> {
        let mut file = File::create(path)?;
        file.write_all(format!("{HEADER}\n").as_bytes())?;
        Ok(OutcomesFile { file, line: Vec::new() })
    }

    /// Writes the outcome of `line`.
    pub fn write(&mut self, line: &Line, outcome: LineOutcome) -> io::Result<()> {
        format(&mut self.line, line, outcome);
        self.file.write_all(&self.line)
    }
}

fn format(out: &mut Vec<u8>, line: &Line, outcome: LineOutcome) {
    out.clear();
    let (outcome, reason, hold, available) = match outcome {
        LineOutcome::Granted { hold, available } => ("granted", "", Some(hold), available),
        LineOutcome::Refused { why, available } => ("refused", why.name(), None, available),
    };
    let names = line.names();
    for name in [names.order_id, names.sku, names.location] {
        push_field(out, name);
        out.push(b',');
    }
    let mut write = |text: fmt::Arguments<'_>| out.write_fmt(text).expect("writing to a Vec cannot fail");
    write(format_args!("{},{outcome},{reason},", line.quantity));
    if let Some(hold) = hold {
        write(format_args!("{hold}"));
    }
    match available {
        Some(available) => write(format_args!(",{available}\n")),
        None => write(format_args!(",\n")),
    }
}

/// The file of `inputs` that the outcomes would overwrite, if there is one.
pub fn overwritten<'a>(path: &Path, inputs: &[&'a Path]) -> Option<&'a Path> {
    let canonical = |path: &Path| -> Option<PathBuf> { fs::canonicalize(path).ok() };
    let target = canonical(path)?;
    inputs.iter().find(|input| canonical(input).as_ref() == Some(&target)).copied()
}

#[cfg(test)]
mod tests {
    use stockhold::HoldId;

    use super::super::decide::Reason;
    use super::super::line::Names;
    use super::*;

    fn written(order_id: &str, outcome: LineOutcome) -> String {
        let names = Names { order_id, sku: "poster", location: "berlin" };
        let line = Line::new(2, names, 3);
        let mut out = Vec::new();
        format(&mut out, &line, outcome);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_row_has_the_outcome_of_its_line() {
        let granted = LineOutcome::Granted { hold: HoldId::from_u128(0xab), available: Some(7) };
        assert_eq!(written("o,1", granted), format!("\"o,1\",poster,berlin,3,granted,,{:032x},7\n", 0xab));
        let refused = LineOutcome::Refused { why: Reason::OutOfStock, available: Some(2) };
        assert_eq!(written("o1", refused), "o1,poster,berlin,3,refused,out_of_stock,,2\n");
        let refused = LineOutcome::Refused { why: Reason::OtherLine, available: None };
        assert_eq!(written("o1", refused), "o1,poster,berlin,3,refused,other_line,,\n");
    }
}
