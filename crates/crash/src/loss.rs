//! Makes images of what a loss of power may leave on a disk.
//!
//! | disk | writes that are not synced | lengths and names that are not synced |
//! |---|---|---|
//! | protected | all of them | some of the first |
//! | volatile | any of them, whole or torn, in any order | some of the first |
//! | ordered | those before one step, which is torn | those before that step |
//!
//! "Some of the first": a prefix of the name changes of the whole disk, as in a journal; a prefix of the
//! length changes of each file. If a file's truncation is lost, so are all writes to it after the truncation.
//!
//! A sector is 512 or 4096 bytes and is never torn itself.

use crate::disk::{Change, Disk, File, Names, Node, NodeId, ROOT, Step, edit};
use crate::image::{Entry, Image};
use stockhold_seeded::Rng;

/// The kind of a disk: what it forgets when the power goes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum DiskKind {
    /// Its cache survives: only what the file system had not sent to it is lost.
    Protected,
    /// Its cache is lost, and it writes in any order.
    Volatile,
    /// Its cache is lost, and it writes in order.
    Ordered,
}

/// All kinds.
pub(crate) const DISKS: [DiskKind; 3] = [DiskKind::Protected, DiskKind::Volatile, DiskKind::Ordered];

impl DiskKind {
    /// The name of the kind, as on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            DiskKind::Protected => "protected",
            DiskKind::Volatile => "volatile",
            DiskKind::Ordered => "ordered",
        }
    }
}

/// Makes an image of what a disk of this kind may have left when the power goes.
pub(crate) fn image_after(disk: &Disk, kind: DiskKind, rng: &mut Rng) -> Image {
    let mut survival = Survival::new(disk, kind, rng);
    let names = survival.names(disk);
    let mut image = Image::default();
    add_entries(&mut image, disk, &names, (ROOT, ""), &mut survival);
    image
}

fn add_entries(
    image: &mut Image,
    disk: &Disk,
    names: &[Names],
    (directory, above): (NodeId, &str),
    survival: &mut Survival<'_>,
) {
    for (name, node) in &names[directory] {
        let path = format!("{above}{name}");
        match &disk.nodes[*node] {
            Node::Directory(_) => {
                image.entries.push((path.clone(), Entry::Directory));
                add_entries(image, disk, names, (*node, &format!("{path}/")), survival);
            }
            Node::File(file) => image.entries.push((path, Entry::File(survival.content(file)))),
        }
    }
}

/// How many changes count as the latest.
const LATEST: usize = 4;

/// The part of one write that survives.
enum Surviving {
    All,
    None,
    /// The sector size, and the sectors that survive, counted from the start of the file.
    Sectors(usize, Vec<bool>),
}

/// The choices of what survives on one disk.
struct Survival<'d> {
    kind: DiskKind,
    rng: &'d mut Rng,
    sector: usize,
    /// For an ordered disk: steps up to here survive, the last one in part.
    last: Step,
    /// For a volatile disk: how many of a hundred writes survive whole, and how many of the others are torn.
    whole: u64,
    torn: u64,
}

impl<'d> Survival<'d> {
    fn new(disk: &Disk, kind: DiskKind, rng: &'d mut Rng) -> Self {
        let sector = if rng.percent(50) { 512 } else { 4096 };
        let files =
            disk.nodes.iter().filter_map(|node| if let Node::File(file) = node { Some(file) } else { None });
        let mut steps: Vec<Step> =
            files.flat_map(|file| file.pending.iter().map(|(step, _)| *step)).collect();
        steps.extend(disk.name_changes.iter().map(|change| change.step));
        steps.sort_unstable();
        // Mostly the latest: a change that is never synced stays pending for ever, and shows little.
        let from = match rng.below(10) {
            0..6 => steps.len().saturating_sub(1),
            6..8 => steps.len().saturating_sub(LATEST),
            _ => 0,
        };
        let last = steps[from..].get(rng.index((steps.len() - from).max(1))).map_or(0, |step| *step);
        let whole = [0, 20, 50, 80][rng.index(4)];
        let torn = [0, 30, 90][rng.index(3)];
        Survival { kind, rng, sector, last, whole, torn }
    }

    /// How many of the first changes survive: none, all, or some.
    fn first_of(&mut self, count: usize) -> usize {
        match self.rng.below(3) {
            0 => 0,
            1 => count,
            _ => self.rng.index(count + 1),
        }
    }

    /// The surviving names in each directory.
    fn names(&mut self, disk: &Disk) -> Vec<Names> {
        let durable =
            |node: &Node| if let Node::Directory(it) = node { it.durable.clone() } else { Names::new() };
        let mut names: Vec<Names> = disk.nodes.iter().map(durable).collect();
        let kept = match self.kind {
            DiskKind::Ordered => disk.name_changes.partition_point(|change| change.step <= self.last),
            _ => self.first_of(disk.name_changes.len()),
        };
        for (directory, name, node) in disk.name_changes[..kept].iter().flat_map(|change| &change.edits) {
            edit(&mut names[*directory], name, *node);
        }
        names
    }

    /// The surviving content of a file.
    fn content(&mut self, file: &File) -> Vec<u8> {
        let mut lengths_left = match self.kind {
            DiskKind::Ordered => usize::MAX,
            _ => self.first_of(lengths(file)),
        };
        let mut content = file.durable.clone();
        let (mut length, mut seen) = (content.len(), content.len());
        for (step, change) in &file.pending {
            let gone = self.kind == DiskKind::Ordered && *step > self.last;
            if gone {
                break;
            }
            let (from, to) = match change {
                Change::Resize(to) => (seen, *to),
                Change::Write { at, data } => (seen, seen.max(at + data.len())),
            };
            seen = to;
            if from != to && lengths_left == 0 {
                if to < from {
                    break; // the truncation is lost, and all later writes with it
                }
            } else if from != to {
                lengths_left -= 1;
                length = to;
            }
            match change {
                Change::Resize(to) if length == *to => content.resize(*to, 0),
                Change::Resize(_) => {}
                Change::Write { at, data } => self.write(&mut content, *step, *at, data),
            }
        }
        content.resize(length, 0);
        content
    }

    fn write(&mut self, content: &mut Vec<u8>, step: Step, at: usize, data: &[u8]) {
        if content.len() < at + data.len() {
            content.resize(at + data.len(), 0);
        }
        match self.kept(step, at, data.len()) {
            Surviving::None => {}
            Surviving::All => content[at..at + data.len()].copy_from_slice(data),
            Surviving::Sectors(bytes, kept) => {
                for (number, _) in kept.iter().enumerate().filter(|(_, kept)| **kept) {
                    let sector = at / bytes + number;
                    let from = (sector * bytes).max(at);
                    let to = ((sector + 1) * bytes).min(at + data.len());
                    content[from..to].copy_from_slice(&data[from - at..to - at]);
                }
            }
        }
    }

    fn kept(&mut self, step: Step, at: usize, length: usize) -> Surviving {
        match self.kind {
            DiskKind::Protected => Surviving::All,
            DiskKind::Ordered if step < self.last => Surviving::All,
            DiskKind::Ordered => self.torn(at, length),
            DiskKind::Volatile => match self.rng.below(100) {
                roll if roll < self.whole => Surviving::All,
                _ if self.rng.percent(self.torn) => self.torn(at, length),
                _ => Surviving::None,
            },
        }
    }

    /// A torn write: its first sectors, its last, or any.
    fn torn(&mut self, at: usize, length: usize) -> Surviving {
        let sectors = (at + length).div_ceil(self.sector) - at / self.sector;
        let middle = self.rng.index(sectors + 1);
        let kept = match self.rng.below(3) {
            0 => (0..sectors).map(|sector| sector < middle).collect(),
            1 => (0..sectors).map(|sector| sector >= middle).collect(),
            _ => (0..sectors).map(|_| self.rng.percent(50)).collect(),
        };
        Surviving::Sectors(self.sector, kept)
    }
}

/// How often the changes that are not synced change the length of a file.
fn lengths(file: &File) -> usize {
    let (mut length, mut count) = (file.durable.len(), 0);
    for (_, change) in &file.pending {
        let next = match change {
            Change::Resize(to) => *to,
            Change::Write { at, data } => length.max(at + data.len()),
        };
        count += usize::from(next != length);
        length = next;
    }
    count
}
