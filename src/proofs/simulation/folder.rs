//! The checkpoints' folder on the simulated disk. The bytes of each file and the names are synced separately.

use std::collections::BTreeMap;

use super::ending::Ending;
use stockhold_seeded::Rng;

type Number = usize;

#[derive(Clone, Debug, Default)]
struct FileBytes {
    seen: Vec<u8>,
    kept: Vec<u8>,
    dirty: bool,
}

#[derive(Clone, Debug)]
enum FolderChange {
    Link(String, Number),
    Rename(String, String),
    Unlink(String),
}

type NamesOnDisk = BTreeMap<String, Number>;

impl FolderChange {
    /// Applies the change; returns false if the name does not exist.
    fn make(&self, names: &mut NamesOnDisk) -> bool {
        match self {
            FolderChange::Link(name, number) => {
                names.insert(name.clone(), *number);
                true
            }
            FolderChange::Rename(from, to) => {
                let number = names.remove(from);
                number.map(|number| names.insert(to.clone(), number)).is_some()
            }
            FolderChange::Unlink(name) => names.remove(name).is_some(),
        }
    }
}

/// The files and their names, as a process sees them and as they are on the disk.
#[derive(Clone, Debug, Default)]
pub(super) struct Folder {
    files: Vec<FileBytes>,
    seen: NamesOnDisk,
    kept: NamesOnDisk,
    /// Unsynced changes in the order in which they were made, which a file system's journal keeps.
    dirty: Vec<FolderChange>,
}

impl Folder {
    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        self.seen.keys()
    }

    pub(super) fn read(&self, name: &str) -> Option<&[u8]> {
        Some(&self.files[*self.seen.get(name)?].seen)
    }

    pub(super) fn create(&mut self, name: &str) -> usize {
        self.files.push(FileBytes::default());
        let number = self.files.len() - 1;
        self.change(FolderChange::Link(name.to_owned(), number));
        number
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) -> bool {
        self.change(FolderChange::Rename(from.to_owned(), to.to_owned()))
    }

    pub(super) fn unlink(&mut self, name: &str) -> bool {
        self.change(FolderChange::Unlink(name.to_owned()))
    }

    fn change(&mut self, change: FolderChange) -> bool {
        let made = change.make(&mut self.seen);
        if made {
            self.dirty.push(change);
        }
        made
    }

    pub(super) fn write(&mut self, number: usize, bytes: &[u8]) {
        let file = &mut self.files[number];
        file.seen.extend_from_slice(bytes);
        file.dirty = true;
    }

    pub(super) fn sync_file(&mut self, number: usize) {
        let file = &mut self.files[number];
        file.kept.clone_from(&file.seen);
        file.dirty = false;
    }

    /// Moves none, all or a part of a dirty file to the disk.
    pub(super) fn write_back(&mut self, number: usize, rng: &mut Rng) {
        let file = &mut self.files[number];
        if std::mem::take(&mut file.dirty) {
            let length = file.seen.len();
            let bytes = [0, length, rng.index(length + 1)][rng.index(3)];
            file.kept = file.seen[..bytes].to_vec();
        }
    }

    pub(super) fn sync_names(&mut self) {
        for change in self.dirty.drain(..) {
            change.make(&mut self.kept);
        }
    }

    pub(super) fn end(&mut self, end: Ending, rng: &mut Rng) {
        if end == Ending::Kill {
            return;
        }
        let reached = [0, self.dirty.len(), rng.index(self.dirty.len() + 1)][rng.index(3)];
        self.dirty.truncate(reached);
        self.sync_names();
        (0..self.files.len()).for_each(|number| self.write_back(number, rng));
        // No process has files open any more, so files without a name are removed.
        let files = std::mem::take(&mut self.files);
        for number in self.kept.values_mut() {
            let kept = files[*number].kept.clone();
            self.files.push(FileBytes { seen: kept.clone(), kept, dirty: false });
            *number = self.files.len() - 1;
        }
        self.seen = self.kept.clone();
    }

    /// Flips a bit of a file, in the page cache and on the disk.
    pub(super) fn flip(&mut self, name: &str, bit: usize) {
        if let Some(number) = self.kept.get(name) {
            let file = &mut self.files[*number];
            for bytes in [&mut file.seen, &mut file.kept] {
                if !bytes.is_empty() {
                    let bit = bit % (bytes.len() * 8);
                    bytes[bit / 8] ^= 1 << (bit % 8);
                }
            }
        }
    }

    pub(super) fn lose(&mut self, name: &str) {
        self.seen.remove(name);
        self.kept.remove(name);
    }
}
