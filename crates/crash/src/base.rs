//! The start of a recording: the disk that an earlier loss of power has left, and the witness at that time.
//!
//! So the power is also cut during recoveries that have something to recover.

use std::fs;
use std::io;
use std::path::Path;

use crate::image::{Entry, Image};
use crate::witness::Witness;

/// See the module. The default is an empty disk.
#[derive(Clone, Default, Debug)]
pub(crate) struct Base {
    pub(crate) image: Image,
    pub(crate) witness: Witness,
}

impl Base {
    /// Writes the base beside a recording's traces.
    pub(crate) fn keep(&self, into: &Path) -> io::Result<()> {
        fs::create_dir(into.join("base"))?;
        self.image.make(&into.join("base"))?;
        fs::write(into.join("witness"), self.witness.lines())
    }

    /// Reads a base that [`keep`](Self::keep) has written.
    pub(crate) fn read(from: &Path) -> Result<Base, String> {
        let mut base = Base::default();
        let failed = |error: io::Error| format!("{}: {error}", from.display());
        list(&from.join("base"), "", &mut base.image.entries).map_err(failed)?;
        base.witness.read(&fs::read(from.join("witness")).map_err(failed)?)?;
        Ok(base)
    }
}

fn list(directory: &Path, above: &str, entries: &mut Vec<(String, Entry)>) -> io::Result<()> {
    let mut found = fs::read_dir(directory)?.collect::<io::Result<Vec<_>>>()?;
    // In the order of an image.
    found.sort_by_key(|entry| entry.file_name());
    for entry in found {
        let path = format!("{above}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            entries.push((path.clone(), Entry::Directory));
            list(&entry.path(), &format!("{path}/"), entries)?;
        } else {
            entries.push((path, Entry::File(fs::read(entry.path())?)));
        }
    }
    Ok(())
}
