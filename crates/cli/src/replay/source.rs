//! An input file whose header was read.

use std::fs::File;
use std::io;
use std::path::Path;

use super::csv::{Fields, Records, Step};
use super::line::Columns;
use super::messages::unreadable;
use crate::exit::CommandError;

/// A CSV file, positioned after its header.
pub struct Source<'a, R> {
    pub name: &'a str,
    pub records: Records<R>,
    pub columns: Columns,
}

/// Opens a file and reads its header with `columns`. Returns its size in bytes too.
pub fn open<'a>(
    path: &Path,
    name: &'a str,
    columns: fn(Step, &Fields) -> Result<Columns, String>,
) -> Result<(Source<'a, File>, u64), CommandError> {
    let reading = |error: io::Error| unreadable(name, &error);
    let file = File::open(path).map_err(reading)?;
    let bytes = file.metadata().map_err(reading)?.len();
    let mut records = Records::new(file).map_err(reading)?;
    let mut header = Fields::default();
    let first = records.next(&mut header).map_err(reading)?;
    let columns = columns(first, &header).map_err(|why| CommandError::Usage(format!("{name}: {why}")))?;
    Ok((Source { name, records, columns }, bytes))
}
