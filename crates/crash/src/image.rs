//! What a loss of power may leave of a disk.
//!
//! | disk | writes that are not synced | lengths and names that are not synced |
//! |---|---|---|
//! | protected | all of them | some of the first |
//! | volatile | any of them, whole or torn, in any order | some of the first |
//! | ordered | those before one step, which is torn | those before that step |
//!
//! "Some of the first": names in their order over the whole disk, as a journal has them; lengths of each file in
//! theirs. A file that was to be cut and was not is as it was before: what was written into it afterwards is not there.
//!
//! A sector is 512 or 4096 bytes and is never torn itself.

use std::fs;
use std::io;
use std::path::Path;

use crate::disk::{Change, Disk, File, Kind, Names, Node, ROOT, Step, edit};
use stockhold_seeded::Rng;

/// How a disk forgets.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Forgets {
    /// Its cache outlives the power: only what the file system had not told it is lost.
    Protected,
    /// Its cache does not, and it writes in the order it likes.
    Volatile,
    /// Its cache does not, and it writes in order.
    Ordered,
}

/// All of them.
pub(crate) const DISKS: [Forgets; 3] = [Forgets::Protected, Forgets::Volatile, Forgets::Ordered];

impl Forgets {
    /// In one word.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Forgets::Protected => "protected",
            Forgets::Volatile => "volatile",
            Forgets::Ordered => "ordered",
        }
    }
}

/// What is left: paths below the root, in an order in which they can be made.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(crate) struct Image {
    pub(crate) entries: Vec<(String, Entry)>,
}

/// What a path is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Entry {
    Directory,
    File(Vec<u8>),
}

impl Image {
    /// What is left of a disk that forgets so.
    pub(crate) fn of(disk: &Disk, forgets: Forgets, rng: &mut Rng) -> Image {
        let mut chance = Chance::new(disk, forgets, rng);
        let names = chance.names(disk);
        let mut image = Image::default();
        image.walk(disk, &names, ROOT, "", &mut chance);
        image
    }

    fn walk(&mut self, disk: &Disk, names: &[Names], directory: Node, above: &str, chance: &mut Chance<'_>) {
        for (name, node) in &names[directory] {
            let path = format!("{above}{name}");
            match &disk.nodes[*node] {
                Kind::Directory(_) => {
                    self.entries.push((path.clone(), Entry::Directory));
                    self.walk(disk, names, *node, &format!("{path}/"), chance);
                }
                Kind::File(file) => self.entries.push((path, Entry::File(chance.content(file)))),
            }
        }
    }

    /// Makes it in an empty directory.
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

/// As many changes are the latest.
const LATEST: usize = 4;

/// What becomes of one write.
enum Kept {
    All,
    None,
    /// These sectors of so many bytes, counted from the file's beginning.
    Sectors(usize, Vec<bool>),
}

/// How this disk chooses.
struct Chance<'d> {
    forgets: Forgets,
    rng: &'d mut Rng,
    sector: usize,
    /// Of an ordered disk: what was done up to here is there, the last of it in part.
    last: Step,
    /// Of a volatile disk: how many writes in a hundred are whole, and how many torn.
    whole: u64,
    torn: u64,
}

impl<'d> Chance<'d> {
    fn new(disk: &Disk, forgets: Forgets, rng: &'d mut Rng) -> Self {
        let sector = if rng.percent(50) { 512 } else { 4096 };
        let files =
            disk.nodes.iter().filter_map(|node| if let Kind::File(file) = node { Some(file) } else { None });
        let mut steps: Vec<Step> =
            files.flat_map(|file| file.pending.iter().map(|(step, _)| *step)).collect();
        steps.extend(disk.namings.iter().map(|naming| naming.step));
        steps.sort_unstable();
        // Mostly the latest: what nobody ever syncs is pending for ever, and says little.
        let from = match rng.below(10) {
            0..6 => steps.len().saturating_sub(1),
            6..8 => steps.len().saturating_sub(LATEST),
            _ => 0,
        };
        let last = steps[from..].get(rng.index((steps.len() - from).max(1))).map_or(0, |step| *step);
        let whole = [0, 20, 50, 80][rng.index(4)];
        let torn = [0, 30, 90][rng.index(3)];
        Chance { forgets, rng, sector, last, whole, torn }
    }

    /// How many of so many are left: none, all, or some of the first.
    fn first_of(&mut self, count: usize) -> usize {
        match self.rng.below(3) {
            0 => 0,
            1 => count,
            _ => self.rng.index(count + 1),
        }
    }

    /// The names in each directory.
    fn names(&mut self, disk: &Disk) -> Vec<Names> {
        let durable =
            |node: &Kind| if let Kind::Directory(it) = node { it.durable.clone() } else { Names::new() };
        let mut names: Vec<Names> = disk.nodes.iter().map(durable).collect();
        let kept = match self.forgets {
            Forgets::Ordered => disk.namings.partition_point(|naming| naming.step <= self.last),
            _ => self.first_of(disk.namings.len()),
        };
        for (directory, name, node) in disk.namings[..kept].iter().flat_map(|naming| &naming.edits) {
            edit(&mut names[*directory], name, *node);
        }
        names
    }

    /// What is in a file.
    fn content(&mut self, file: &File) -> Vec<u8> {
        let mut lengths_left = match self.forgets {
            Forgets::Ordered => usize::MAX,
            _ => self.first_of(lengths(file)),
        };
        let mut content = file.durable.clone();
        let (mut length, mut seen) = (content.len(), content.len());
        for (step, change) in &file.pending {
            let gone = self.forgets == Forgets::Ordered && *step > self.last;
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
                    break; // it was not cut, so nothing of what came after is in it
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
            Kept::None => {}
            Kept::All => content[at..at + data.len()].copy_from_slice(data),
            Kept::Sectors(bytes, kept) => {
                for (number, _) in kept.iter().enumerate().filter(|(_, kept)| **kept) {
                    let sector = at / bytes + number;
                    let from = (sector * bytes).max(at);
                    let to = ((sector + 1) * bytes).min(at + data.len());
                    content[from..to].copy_from_slice(&data[from - at..to - at]);
                }
            }
        }
    }

    fn kept(&mut self, step: Step, at: usize, length: usize) -> Kept {
        match self.forgets {
            Forgets::Protected => Kept::All,
            Forgets::Ordered if step < self.last => Kept::All,
            Forgets::Ordered => self.torn(at, length),
            Forgets::Volatile => match self.rng.below(100) {
                roll if roll < self.whole => Kept::All,
                _ if self.rng.percent(self.torn) => self.torn(at, length),
                _ => Kept::None,
            },
        }
    }

    /// The first sectors, the last, or any.
    fn torn(&mut self, at: usize, length: usize) -> Kept {
        let sectors = (at + length).div_ceil(self.sector) - at / self.sector;
        let middle = self.rng.index(sectors + 1);
        let kept = match self.rng.below(3) {
            0 => (0..sectors).map(|sector| sector < middle).collect(),
            1 => (0..sectors).map(|sector| sector >= middle).collect(),
            _ => (0..sectors).map(|_| self.rng.percent(50)).collect(),
        };
        Kept::Sectors(self.sector, kept)
    }
}

/// How often the length of a file changes in what is not synced.
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
