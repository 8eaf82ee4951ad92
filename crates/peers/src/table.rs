//! A table that is readable as text and valid Markdown.

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

pub(crate) fn table<const N: usize>(columns: [(&str, Align); N], rows: &[[String; N]]) -> String {
    let mut widths = columns.map(|(name, _)| name.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &[String; N]| {
        let mut line = String::from("|");
        for ((cell, width), (_, align)) in cells.iter().zip(widths).zip(columns) {
            match align {
                Align::Left => line.push_str(&format!(" {cell:<width$} |")),
                Align::Right => line.push_str(&format!(" {cell:>width$} |")),
            }
        }
        line + "\n"
    };
    let mut text = line(&columns.map(|(name, _)| name.to_owned()));
    text.push('|');
    for (width, (_, align)) in widths.iter().zip(columns) {
        let rule = "-".repeat(width + 1);
        text.push_str(&if align == Align::Left { format!("{rule}-|") } else { format!("{rule}:|") });
    }
    text.push('\n');
    rows.iter().for_each(|row| text.push_str(&line(row)));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_what_is_in_them() {
        let rows = [["Redis".to_owned(), "9 µs".to_owned()], ["x".to_owned(), "12 µs".to_owned()]];
        let expected = "\
| who   |   p50 |
|-------|------:|
| Redis |  9 µs |
| x     | 12 µs |
";
        assert_eq!(table([("who", Align::Left), ("p50", Align::Right)], &rows), expected);
    }
}
