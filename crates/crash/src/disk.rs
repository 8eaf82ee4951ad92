//! A disk with its durable content, and with the changes that are not synced yet.
//!
//! Two rules, which are all that POSIX promises:
//! - A sync of a file makes its data and its length durable, as they were when the sync began; not its name.
//! - A sync of a directory makes the names in it durable, as they were when the sync began. A rename is one
//!   step.
//!
//! `sync_file_range` makes nothing durable, so it has no method here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::image::{Entry, Image};

/// The number of a file or directory, independent of its names.
pub(crate) type NodeId = usize;

/// The root directory, which always exists.
pub(crate) const ROOT: NodeId = 0;

/// The number of a change of the disk, in their order.
pub(crate) type Step = u64;

/// The names in a directory.
pub(crate) type Names = BTreeMap<String, NodeId>;

/// A change of a file that is not yet synced.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Write {
        at: usize,
        data: Arc<[u8]>,
    },
    /// Sets the length.
    Resize(usize),
}

/// A file.
#[derive(Clone, Default, Debug)]
pub(crate) struct File {
    pub(crate) durable: Vec<u8>,
    pub(crate) pending: Vec<(Step, Change)>,
    /// The length that the program sees.
    pub(crate) length: usize,
}

/// A directory.
#[derive(Clone, Default, Debug)]
pub(crate) struct Directory {
    pub(crate) durable: Names,
    /// The names that the program sees.
    pub(crate) live: Names,
}

/// A file or a directory.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    File(File),
    Directory(Directory),
}

/// An atomic change of names: for each edit the directory, the name, and the node that it names from now on.
#[derive(Clone, Debug)]
pub(crate) struct NameChange {
    pub(crate) step: Step,
    pub(crate) edits: Vec<(NodeId, String, Option<NodeId>)>,
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    pub(crate) nodes: Vec<Node>,
    /// Changes of names that are not yet synced, in their order.
    pub(crate) name_changes: Vec<NameChange>,
    steps: Step,
}

impl Default for Disk {
    fn default() -> Self {
        let root = Node::Directory(Directory::default());
        Disk { nodes: vec![root], name_changes: Vec::new(), steps: 0 }
    }
}

impl Disk {
    /// A disk with the content of an image, all of it durable.
    pub(crate) fn of(image: &Image) -> Disk {
        let mut disk = Disk::default();
        let mut directories = BTreeMap::from([("", ROOT)]);
        for (path, entry) in &image.entries {
            let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
            let kind = match entry {
                Entry::Directory => Node::Directory(Directory::default()),
                Entry::File(content) => {
                    let length = content.len();
                    Node::File(File { durable: content.clone(), pending: Vec::new(), length })
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

    /// The number of steps so far; a sync that begins now covers them.
    pub(crate) fn steps(&self) -> Step {
        self.steps
    }

    fn step(&mut self) -> Step {
        self.steps += 1;
        self.steps
    }

    pub(crate) fn file(&mut self, node: NodeId) -> Result<&mut File, String> {
        match &mut self.nodes[node] {
            Node::File(file) => Ok(file),
            Node::Directory(_) => Err("a file was expected, not a directory".into()),
        }
    }

    pub(crate) fn directory(&self, node: NodeId) -> Result<&Directory, String> {
        match &self.nodes[node] {
            Node::Directory(directory) => Ok(directory),
            Node::File(_) => Err("a directory was expected, not a file".into()),
        }
    }

    /// Looks up a name in a directory, as the program sees it.
    pub(crate) fn named(&self, directory: NodeId, name: &str) -> Result<Option<NodeId>, String> {
        Ok(self.directory(directory)?.live.get(name).copied())
    }

    /// Creates a file or a directory under a name.
    pub(crate) fn make(&mut self, directory: NodeId, name: &str, kind: Node) -> NodeId {
        self.nodes.push(kind);
        let node = self.nodes.len() - 1;
        self.change_names(vec![(directory, name.to_owned(), Some(node))]);
        node
    }

    /// Changes names in one atomic step.
    pub(crate) fn change_names(&mut self, edits: Vec<(NodeId, String, Option<NodeId>)>) {
        for (directory, name, node) in &edits {
            if let Node::Directory(directory) = &mut self.nodes[*directory] {
                edit(&mut directory.live, name, *node);
            }
        }
        let step = self.step();
        self.name_changes.push(NameChange { step, edits });
    }

    /// Writes into a file.
    pub(crate) fn write(&mut self, node: NodeId, at: usize, data: &[u8]) -> Result<(), String> {
        let step = self.step();
        let file = self.file(node)?;
        file.length = file.length.max(at + data.len());
        file.pending.push((step, Change::Write { at, data: data.into() }));
        Ok(())
    }

    /// Gives a file another length.
    pub(crate) fn resize(&mut self, node: NodeId, length: usize) -> Result<(), String> {
        let step = self.step();
        let file = self.file(node)?;
        if file.length != length {
            file.length = length;
            file.pending.push((step, Change::Resize(length)));
        }
        Ok(())
    }

    /// Completes a sync of a file or directory that began after `covered` steps.
    pub(crate) fn sync(&mut self, node: NodeId, covered: Step) {
        match &mut self.nodes[node] {
            Node::File(file) => {
                let behind = file.pending.partition_point(|(step, _)| *step <= covered);
                for (_, change) in file.pending.drain(..behind) {
                    apply(&mut file.durable, &change);
                }
            }
            Node::Directory(_) => self.sync_names(node, covered),
        }
    }

    /// Makes the names of a directory durable. A change that concerns two directories makes the earlier
    /// changes of both durable too, so that it stays atomic and in order.
    fn sync_names(&mut self, directory: NodeId, covered: Step) {
        let mut directories = BTreeSet::from([directory]);
        loop {
            let known = directories.len();
            for name_change in self.name_changes.iter().filter(|name_change| name_change.step <= covered) {
                if name_change.edits.iter().any(|(directory, ..)| directories.contains(directory)) {
                    directories.extend(name_change.edits.iter().map(|(directory, ..)| *directory));
                }
            }
            if directories.len() == known {
                break;
            }
        }
        let concerned = |name_change: &mut NameChange| {
            name_change.step <= covered
                && name_change.edits.iter().any(|(directory, ..)| directories.contains(directory))
        };
        for name_change in self.name_changes.extract_if(.., concerned) {
            for (directory, name, node) in &name_change.edits {
                if let Node::Directory(directory) = &mut self.nodes[*directory] {
                    edit(&mut directory.durable, name, *node);
                }
            }
        }
    }

    /// The content of a file that the program sees.
    pub(crate) fn content(&mut self, node: NodeId) -> Result<Vec<u8>, String> {
        let file = self.file(node)?;
        let mut content = file.durable.clone();
        for (_, change) in &file.pending {
            apply(&mut content, change);
        }
        Ok(content)
    }
}

/// Sets or removes a name.
pub(crate) fn edit(names: &mut Names, name: &str, node: Option<NodeId>) {
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
