//! A table whose columns are as wide as what is in them.

use super::{Output, Stop};

/// Where a column's text stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

/// Puts out a heading and the rows below it. The rows are made twice, first to be measured, so that no table is
/// held in memory. Returns how many there were.
pub(super) fn table<const N: usize, R: Iterator<Item = [String; N]>>(
    output: &mut Output,
    columns: [(&str, Align); N],
    rows: impl Fn() -> R,
) -> Result<u64, Stop> {
    let mut widths = columns.map(|(name, _)| name.chars().count());
    let mut count = 0;
    for row in rows() {
        for (width, cell) in widths.iter_mut().zip(&row) {
            *width = (*width).max(cell.chars().count());
        }
        count += 1;
    }
    if count > 0 {
        for row in std::iter::once(columns.map(|(name, _)| name.to_string())).chain(rows()) {
            let mut line = String::new();
            for ((cell, width), (_, align)) in row.iter().zip(widths).zip(columns) {
                match align {
                    Align::Left => line.push_str(&format!("{cell:<width$}  ")),
                    Align::Right => line.push_str(&format!("{cell:>width$}  ")),
                }
            }
            output.line(format_args!("{}", line.trim_end()))?;
        }
    }
    Ok(count)
}
