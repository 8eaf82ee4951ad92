//! The content of a disk: all its files and directories.

use std::fs;
use std::io;
use std::path::Path;

/// Paths below the root, each directory before its content.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(crate) struct Image {
    pub(crate) entries: Vec<(String, Entry)>,
}

/// A file or directory of an image.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Entry {
    Directory,
    File(Vec<u8>),
}

impl Image {
    /// Writes the image into an empty directory.
    pub(crate) fn make(&self, root: &Path) -> io::Result<()> {
        for (path, entry) in &self.entries {
            match entry {
                Entry::Directory => fs::create_dir(root.join(path))?,
                Entry::File(content) => fs::write(root.join(path), content)?,
            }
        }
        Ok(())
    }
}
