//! The file of outcomes: what each line got, in file order, each written when it can be relied on.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::cart::Line;
use super::csv::push_field;
use super::decide::Outcome;

/// Names of the columns.
pub const HEADER: &str = "order_id,sku,location,quantity,outcome,reason,hold,available";

/// Writes one line at a time, each in one piece: whoever reads along never waits for a buffer to fill.
#[derive(Debug)]
pub struct Outcomes {
    file: File,
    line: Vec<u8>,
}

impl Outcomes {
    /// Begins the file anew: a rerun writes every line again.
    pub fn create(path: &Path) -> io::Result<Self> {
        let mut file = File::create(path)?;
        file.write_all(format!("{HEADER}\n").as_bytes())?;
        Ok(Outcomes { file, line: Vec::new() })
    }

    /// Writes what `line` got.
    pub fn write(&mut self, line: &Line, outcome: Outcome) -> io::Result<()> {
        format(&mut self.line, line, outcome);
        self.file.write_all(&self.line)
    }
}

fn format(out: &mut Vec<u8>, line: &Line, outcome: Outcome) {
    out.clear();
    let (outcome, reason, hold, available) = match outcome {
        Outcome::Granted { hold, available } => ("granted", "", Some(hold), available),
        Outcome::Refused { why, available } => ("refused", why.name(), None, available),
    };
    let names = line.names();
    for name in [names.order_id, names.sku, names.location] {
        push_field(out, name);
        out.push(b',');
    }
    let mut write = |text: fmt::Arguments<'_>| out.write_fmt(text).expect("a Vec takes all that is written");
    write(format_args!("{},{outcome},{reason},", line.quantity));
    if let Some(hold) = hold {
        write(format_args!("{hold}"));
    }
    match available {
        Some(available) => write(format_args!(",{available}\n")),
        None => write(format_args!(",\n")),
    }
}

/// Which of `inputs` the outcomes would overwrite.
pub fn overwritten<'a>(path: &Path, inputs: &[&'a Path]) -> Option<&'a Path> {
    let canonical = |path: &Path| -> Option<PathBuf> { fs::canonicalize(path).ok() };
    let target = canonical(path)?;
    inputs.iter().find(|input| canonical(input).as_ref() == Some(&target)).copied()
}

#[cfg(test)]
mod tests {
    use stockhold::HoldId;

    use super::super::decide::Why;
    use super::super::line::Names;
    use super::*;

    fn written(order_id: &str, outcome: Outcome) -> String {
        let names = Names { order_id, sku: "poster", location: "berlin" };
        let line = Line::new(2, names, 3);
        let mut out = Vec::new();
        format(&mut out, &line, outcome);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_line_says_what_it_got() {
        let granted = Outcome::Granted { hold: HoldId::from_u128(0xab), available: Some(7) };
        assert_eq!(written("o,1", granted), format!("\"o,1\",poster,berlin,3,granted,,{:032x},7\n", 0xab));
        let refused = Outcome::Refused { why: Why::OutOfStock, available: Some(2) };
        assert_eq!(written("o1", refused), "o1,poster,berlin,3,refused,out_of_stock,,2\n");
        let refused = Outcome::Refused { why: Why::OtherLine, available: None };
        assert_eq!(written("o1", refused), "o1,poster,berlin,3,refused,other_line,,\n");
    }
}
