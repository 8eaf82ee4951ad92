//! A text table with columns as wide as their widest cell.

use crate::output::{Output, Stop};

/// On which side of its column a text is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

/// Prints a heading and the rows below it, and returns the number of rows. `rows` is called twice, first to
/// measure the cells, so that no table is held in memory.
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
