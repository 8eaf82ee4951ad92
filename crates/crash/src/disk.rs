//! A disk as it may be when the power goes: what is durable, and what was done and not yet synced.
//!
//! Two rules, as POSIX has them and no more:
//! - A sync of a file makes its data and its length durable, as they were when the sync began; not its name.
//! - A sync of a directory makes the names in it durable, as they were when the sync began. A rename is one step.
//!
//! `sync_file_range` makes nothing durable, so it is not here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::image::{Entry, Image};

/// A file or a directory, whatever its names are.
pub(crate) type Node = usize;

/// The directory that everything is in, which was there before.
pub(crate) const ROOT: Node = 0;

/// Counts what was done to the disk.
pub(crate) type Step = u64;

/// Names in a directory.
pub(crate) type Names = BTreeMap<String, Node>;

/// A change of a file that is not synced.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Write {
        at: usize,
        data: Arc<[u8]>,
    },
    /// The length becomes this.
    Resize(usize),
}

/// A file.
#[derive(Clone, Default, Debug)]
pub(crate) struct File {
    pub(crate) durable: Vec<u8>,
    pub(crate) pending: Vec<(Step, Change)>,
    /// As the program sees it.
    pub(crate) length: usize,
}

/// A directory.
#[derive(Clone, Default, Debug)]
pub(crate) struct Directory {
    pub(crate) durable: Names,
    /// As the program sees it.
    pub(crate) live: Names,
}

/// What has a number.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    File(File),
    Directory(Directory),
}

/// A change of names, which happens whole or not at all: in a directory, a name, and what it names from now on.
#[derive(Clone, Debug)]
pub(crate) struct Naming {
    pub(crate) step: Step,
    pub(crate) edits: Vec<(Node, String, Option<Node>)>,
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    pub(crate) nodes: Vec<Kind>,
    /// Changes of names that are not synced, in their order.
    pub(crate) namings: Vec<Naming>,
    steps: Step,
}

impl Default for Disk {
    fn default() -> Self {
        let root = Kind::Directory(Directory::default());
        Disk { nodes: vec![root], namings: Vec::new(), steps: 0 }
    }
}

impl Disk {
    /// A disk on which an image is, all of it durable.
    pub(crate) fn of(image: &Image) -> Disk {
        let mut disk = Disk::default();
        let mut directories = BTreeMap::from([("", ROOT)]);
        for (path, entry) in &image.entries {
            let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
            let kind = match entry {
                Entry::Directory => Kind::Directory(Directory::default()),
                Entry::File(content) => {
                    let length = content.len();
                    Kind::File(File { durable: content.clone(), pending: Vec::new(), length })
                }
            };
            let node = disk.make(directories[above], name, kind);
            directories.insert(path, node);
        }
        for directory in directories.into_values() {
            disk.sync(directory, disk.steps());
        }
        disk
    }

    /// Steps so far: a sync that begins now covers these.
    pub(crate) fn steps(&self) -> Step {
        self.steps
    }

    fn step(&mut self) -> Step {
        self.steps += 1;
        self.steps
    }

    pub(crate) fn file(&mut self, node: Node) -> Result<&mut File, String> {
        match &mut self.nodes[node] {
            Kind::File(file) => Ok(file),
            Kind::Directory(_) => Err("a file was expected, not a directory".into()),
        }
    }

    pub(crate) fn directory(&self, node: Node) -> Result<&Directory, String> {
        match &self.nodes[node] {
            Kind::Directory(directory) => Ok(directory),
            Kind::File(_) => Err("a directory was expected, not a file".into()),
        }
    }

    /// What a name in a directory names, as the program sees it.
    pub(crate) fn named(&self, directory: Node, name: &str) -> Result<Option<Node>, String> {
        Ok(self.directory(directory)?.live.get(name).copied())
    }

    /// A new file, or a new directory, under a name.
    pub(crate) fn make(&mut self, directory: Node, name: &str, kind: Kind) -> Node {
        self.nodes.push(kind);
        let node = self.nodes.len() - 1;
        self.name(vec![(directory, name.to_owned(), Some(node))]);
        node
    }

    /// Changes names, all in one step.
    pub(crate) fn name(&mut self, edits: Vec<(Node, String, Option<Node>)>) {
        for (directory, name, node) in &edits {
            if let Kind::Directory(directory) = &mut self.nodes[*directory] {
                edit(&mut directory.live, name, *node);
            }
        }
        let step = self.step();
        self.namings.push(Naming { step, edits });
    }

    /// Writes into a file.
    pub(crate) fn write(&mut self, node: Node, at: usize, data: &[u8]) -> Result<(), String> {
        let step = self.step();
        let file = self.file(node)?;
        file.length = file.length.max(at + data.len());
        file.pending.push((step, Change::Write { at, data: data.into() }));
        Ok(())
    }

    /// Gives a file another length.
    pub(crate) fn resize(&mut self, node: Node, length: usize) -> Result<(), String> {
        let step = self.step();
        let file = self.file(node)?;
        if file.length != length {
            file.length = length;
            file.pending.push((step, Change::Resize(length)));
        }
        Ok(())
    }

    /// A sync of a file or directory has returned that began after `covered` steps.
    pub(crate) fn sync(&mut self, node: Node, covered: Step) {
        match &mut self.nodes[node] {
            Kind::File(file) => {
                let behind = file.pending.partition_point(|(step, _)| *step <= covered);
                for (_, change) in file.pending.drain(..behind) {
                    apply(&mut file.durable, &change);
                }
            }
            Kind::Directory(_) => self.sync_names(node, covered),
        }
    }

    /// Names that a change moved from one directory to another are in both, and what was before it in either goes
    /// before it.
    fn sync_names(&mut self, directory: Node, covered: Step) {
        let mut directories = BTreeSet::from([directory]);
        loop {
            let known = directories.len();
            for naming in self.namings.iter().filter(|naming| naming.step <= covered) {
                if naming.edits.iter().any(|(directory, ..)| directories.contains(directory)) {
                    directories.extend(naming.edits.iter().map(|(directory, ..)| *directory));
                }
            }
            if directories.len() == known {
                break;
            }
        }
        let concerned = |naming: &mut Naming| {
            naming.step <= covered
                && naming.edits.iter().any(|(directory, ..)| directories.contains(directory))
        };
        for naming in self.namings.extract_if(.., concerned) {
            for (directory, name, node) in &naming.edits {
                if let Kind::Directory(directory) = &mut self.nodes[*directory] {
                    edit(&mut directory.durable, name, *node);
                }
            }
        }
    }

    /// What is in a file, as the program sees it.
    pub(crate) fn content(&mut self, node: Node) -> Result<Vec<u8>, String> {
        let file = self.file(node)?;
        let mut content = file.durable.clone();
        for (_, change) in &file.pending {
            apply(&mut content, change);
        }
        Ok(content)
    }
}

/// Lets a name name something else, or nothing.
pub(crate) fn edit(names: &mut Names, name: &str, node: Option<Node>) {
    match node {
        Some(node) => names.insert(name.to_owned(), node),
        None => names.remove(name),
    };
}

fn apply(content: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Resize(length) => content.resize(*length, 0),
        Change::Write { at, data } => {
            let end = at + data.len();
            if content.len() < end {
                content.resize(end, 0);
            }
            content[*at..end].copy_from_slice(data);
        }
    }
}
