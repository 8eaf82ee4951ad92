//! Checkpoints on a real folder: a checkpoint equals the fold of the log, however the log was cut into
//! windows, and any corruption of its bytes is detected.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::files::{DirFiles, Files, NewFile};
use super::load::{Loaded, load};
use super::manifest::{Frontier, Manifest};
use super::manifest_set::{ManifestSet, Retention};
use super::run_ref::{RunKind, RunRef};
use super::window::Window;
use super::*;
use crate::clock::EPOCH_2020_MS;
use crate::fold::state::Fold;
use crate::fold::verify::Verifier;
use crate::hold::lines::{Good, Line};
use crate::hold::state::Phase;
use crate::index::{Generation, KeyIndex, SlotIndex, Target};
use crate::log::lines::pack;
use crate::log::record::{Encoded, HoldPlace, Logged, Op, Record, Records, Span};
use crate::log::scan::Tip;
use stockhold_seeded::{Rng, seed};

const ID: [u8; 16] = [7; 16];

/// A log of consecutive records, and the fold of them.
#[derive(Default)]
struct Story {
    fold: Fold,
    window: Window,
    ops: u64,
}

impl Story {
    fn append(&mut self, record: &Record<'_>) {
        let encoded = Encoded::new(record).unwrap();
        let position = self.window.end.end + encoded.words().0;
        let logged = Logged { position, fact: record.fact(), bytes: encoded.as_bytes() };
        self.fold.apply(&logged, &mut |_| self.ops += 1).unwrap();
        self.window.bytes.extend_from_slice(encoded.as_bytes());
        self.window.end = Tip { end: position, hash: position * 31 };
    }

    /// Three stock keys, and `steps` random operations.
    fn random(rng: &mut Rng, steps: usize) -> Story {
        let mut story = Story::default();
        story.append(&Record::Opened { epoch: 1, at_unix_ms: EPOCH_2020_MS });
        for (key, sku) in (0..).zip(["poster", "mug", "shirt"]) {
            story.append(&Record::Declare { key: KeyIndex(key), sku, location: "berlin" });
            story.append(&Record::Receive {
                at: 0,
                key: KeyIndex(key),
                quantity: 1 << 30,
                reference: b"",
                op: None,
            });
        }
        for _ in 0..steps {
            story.step(rng);
        }
        story
    }

    fn step(&mut self, rng: &mut Rng) {
        let slot = rng.index(40) as u32;
        let at = self.fold.now.0 - self.fold.opened_at.0 + rng.index(3) as u64;
        let op = (rng.index(4) == 0).then(|| Op::new(u128::from(rng.next()), rng.next(), 5));
        let Some(hold) = self.fold.holds.get(SlotIndex(slot)).cloned() else {
            return self.reserve(rng, slot, 1, at);
        };
        let place = HoldPlace { slot: SlotIndex(slot), generation: hold.generation };
        let lines = pack(&hold.lines);
        let of_one = if let [line] = *hold.lines { Some(line) } else { None };
        let none = Good { key: KeyIndex(0), units: 1 };
        let Good { key, units: quantity } = of_one.and_then(Line::good).unwrap_or(none);
        let ttl = Span::from_millis(rng.index(5_000) as u64);
        let (one, lines) = (of_one.is_some(), &lines[..]);
        let record = match (hold.word.phase(), rng.index(6)) {
            (phase, 0) if phase.is_live() => Record::Extend { at, place, ttl, op },
            (phase, 1) if phase.is_live() => Record::Pay { at, place, ttl, op },
            (phase, 2) if phase.is_live() => Record::Replace {
                at,
                place,
                ttl,
                before: lines,
                lines: &pack(&[Line { target: Target::of(1), units: 9 }]),
                op,
            },
            (phase, 3) if phase.is_live() && one => {
                Record::Confirm { at, place, key, taken: quantity, returned: 0, op }
            }
            (phase, 3) if phase.is_live() => {
                Record::ConfirmCart { at, place, taken: lines, returned: b"", op }
            }
            (phase, 4) if phase.is_live() && one => Record::Release { at, place, key, quantity, op },
            (phase, 4) if phase.is_live() => Record::ReleaseCart { at, place, lines, op },
            (phase, _) if phase.is_live() && one => Record::Expire { at, place, key, quantity },
            (phase, _) if phase.is_live() => Record::ExpireCart { at, place, lines },
            (Phase::Confirmed, 0..3) => {
                Record::Ship { at, place, key: hold.lines[0].target.good().unwrap(), quantity: 1, op }
            }
            (Phase::Confirmed, 3) => Record::CancelCart { at, place, lines, op },
            (Phase::Confirmed, _) => Record::Sale { at, key, stopped: rng.index(2) == 0 },
            (Phase::Expired, 0) => Record::RetakeCart { at, place, taken: lines, op },
            (_, 1) => {
                return self
                    .append(&Record::Opened { epoch: self.fold.epoch + 1, at_unix_ms: self.fold.now.0 + 5 });
            }
            _ => return self.reserve(rng, slot, hold.generation.0 + 1, at),
        };
        self.append(&record);
    }

    fn reserve(&mut self, rng: &mut Rng, slot: u32, generation: u32, at: u64) {
        let (place, ttl) = (
            HoldPlace { slot: SlotIndex(slot), generation: Generation(generation) },
            Span::from_millis(rng.index(9_000) as u64),
        );
        let reference = &rng.next().to_le_bytes()[..rng.index(9)];
        let quantity = 1 + rng.index(9) as u32;
        let lines = pack(&[
            Line { target: Target::of(0), units: quantity },
            Line { target: Target::of(2), units: 7 },
        ]);
        let op = (rng.index(4) == 0).then(|| Op::new(u128::from(rng.next()), 1, 2));
        self.append(&match rng.index(3) {
            0 => Record::ReserveCart { at, place, ttl, lines: &lines, reference, op },
            _ => Record::Reserve { at, place, key: KeyIndex(slot % 3), quantity, ttl, reference, op },
        });
    }
}

fn manifest_set(path: &Path) -> ManifestSet {
    let (mut manifest_set, rejected) =
        ManifestSet::open(Arc::new(DirFiles::at(path.join("checkpoint"))), ID).unwrap();
    assert_eq!(rejected, [""; 0]);
    let hold_epochs = read(&manifest_set).hold_epochs;
    manifest_set.start_from(hold_epochs);
    manifest_set
}

fn read(manifest_set: &ManifestSet) -> Loaded {
    manifest_set
        .newest()
        .map_or_else(Loaded::default, |newest| load(&*manifest_set.files, newest, &mut |_| {}).unwrap())
}

fn write(manifest_set: &mut ManifestSet, window: &Window) -> Result<(), RunError> {
    manifest_set.write(window, &Retention::default(), &|| false, |_| true)
}

/// Cuts a story's log into windows at random, and makes a checkpoint of each.
fn checkpoints(scratch: &Path, story: &Story, windows: usize, rng: &mut Rng) {
    let mut manifest_set = manifest_set(scratch);
    let mut window = Window::default();
    let all = story.window.bytes.len();
    for record in Records::new(&story.window.bytes, 0) {
        let Logged { position: end, bytes, .. } = record.unwrap();
        window.bytes.extend_from_slice(bytes);
        window.end = Tip { end, hash: end * 31 };
        if rng.index(story.fold.records as usize) < windows || end == story.window.end.end {
            write(&mut manifest_set, &window).unwrap();
            window.bytes.clear();
            if rng.index(4) == 0 {
                manifest_set = self::manifest_set(scratch);
            }
        }
    }
    assert!(all > 0);
}

#[test]
fn a_checkpoint_equals_the_fold_however_the_log_is_cut_into_windows() {
    let mut rng = Rng::new(seed());
    for windows in [1, 3, 12, 80] {
        let story = Story::random(&mut rng, 1_500);
        let scratch = tempfile::tempdir().unwrap();
        checkpoints(scratch.path(), &story, windows, &mut rng);
        let manifest_set = manifest_set(scratch.path());
        let mut ops = 0;
        let loaded = load(&*manifest_set.files, manifest_set.newest().unwrap(), &mut |_| ops += 1).unwrap();
        assert_eq!(ops, story.ops);
        Verifier::from(story.fold).unwrap().same_as(&loaded.fold).unwrap();
        let files = fs::read_dir(scratch.path().join("checkpoint")).unwrap().count();
        assert!(files < 60, "{files} files of {windows} windows");
    }
}

#[test]
fn a_run_that_is_missing_is_damage() {
    let mut rng = Rng::new(seed());
    let scratch = tempfile::tempdir().unwrap();
    checkpoints(scratch.path(), &Story::random(&mut rng, 50), 1, &mut rng);
    let manifest_set = manifest_set(scratch.path());
    let newest = manifest_set.newest().unwrap();
    fs::remove_file(scratch.path().join("checkpoint").join(newest.runs[0].name())).unwrap();
    let read = load(&*manifest_set.files, newest, &mut |_| {}).map(drop);
    assert!(matches!(read, Err(RunError::Damaged { .. })), "{read:?}");
}

#[test]
fn numbers_too_high_to_increment_are_damage_in_manifests_and_ignored_in_names() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path().join("checkpoint");
    let files = Arc::new(DirFiles::at(folder.clone()));
    let usual =
        Manifest { number: 1, directory: ID, frontier: Frontier::default(), runs: Vec::new(), kinds: 0 };
    let frontier = |frontier| Manifest { frontier, ..usual.clone() };
    let hostile = [
        Manifest { number: u64::MAX, ..usual.clone() },
        frontier(Frontier { position: u64::MAX, ..Frontier::default() }),
        frontier(Frontier { records: u64::MAX, ..Frontier::default() }),
        frontier(Frontier { now_ms: u64::MAX, ..Frontier::default() }),
        frontier(Frontier { opened_at_ms: u64::MAX, ..Frontier::default() }),
    ];
    let run = RunRef { kind: RunKind::Ops, number: 2, bytes: 20, entries: 0, latest_ms: 0, hash: 0 };
    let crowded = Manifest { runs: vec![run; 10_000], ..usual.clone() };
    for manifest in hostile.into_iter().chain([crowded]) {
        manifest.commit(&*files).unwrap();
        let (manifest_set, rejected) = ManifestSet::open(files.clone(), ID).unwrap();
        assert_eq!((manifest_set.newest(), rejected.len()), (None, 1), "{:?}", manifest.frontier);
        fs::remove_file(folder.join(manifest.name())).unwrap();
    }
    // A leftover with such a name does not use up the numbers.
    fs::write(folder.join("holds-ffffffffffffffff"), b"").unwrap();
    let mut story = Story::default();
    story.append(&Record::Opened { epoch: 1, at_unix_ms: EPOCH_2020_MS });
    write(&mut manifest_set(scratch.path()), &story.window).unwrap();
    assert_eq!(manifest_set(scratch.path()).newest().unwrap().number, 1);
}

#[test]
fn a_window_of_only_an_opening_makes_a_checkpoint() {
    let mut story = Story::default();
    story.append(&Record::Opened { epoch: 1, at_unix_ms: EPOCH_2020_MS });
    let scratch = tempfile::tempdir().unwrap();
    write(&mut manifest_set(scratch.path()), &story.window).unwrap();
    Verifier::from(story.fold).unwrap().same_as(&read(&manifest_set(scratch.path())).fold).unwrap();
}

#[test]
fn a_flipped_bit_or_a_wrong_length_anywhere_is_damage() {
    let mut rng = Rng::new(seed());
    let story = Story::random(&mut rng, 300);
    let scratch = tempfile::tempdir().unwrap();
    checkpoints(scratch.path(), &story, 3, &mut rng);
    let newest = manifest_set(scratch.path()).newest().unwrap().clone();
    let mut names: Vec<String> = newest.runs.iter().map(|run| run.name()).collect();
    names.push(newest.name());
    for name in names {
        let path = scratch.path().join("checkpoint").join(&name);
        let whole = fs::read(&path).unwrap();
        for _ in 0..200 {
            let mut broken = whole.clone();
            match rng.index(4) {
                0 => broken.truncate(rng.index(whole.len())),
                1 => broken.push(0),
                _ => broken[rng.index(whole.len())] ^= 1 << rng.index(8),
            }
            fs::write(&path, broken).unwrap();
            let files = Arc::new(DirFiles::at(scratch.path().join("checkpoint")));
            let (manifest_set, rejected) = ManifestSet::open(files, ID).unwrap();
            let is_damage = |newest| match load(&*manifest_set.files, newest, &mut |_| {}) {
                Err(RunError::Damaged { .. }) => true,
                Err(error) => panic!("{name}: {error}"),
                Ok(_) => false,
            };
            assert!(!rejected.is_empty() || manifest_set.newest().is_some_and(is_damage), "{name}");
        }
        fs::write(&path, whole).unwrap();
    }
}

#[test]
fn a_checkpoint_of_another_directory_is_rejected() {
    let mut rng = Rng::new(seed());
    let scratch = tempfile::tempdir().unwrap();
    checkpoints(scratch.path(), &Story::random(&mut rng, 20), 1, &mut rng);
    let files = Arc::new(DirFiles::at(scratch.path().join("checkpoint")));
    let (manifest_set, rejected) = ManifestSet::open(files, [8; 16]).unwrap();
    assert!(manifest_set.newest().is_none() && rejected[0].contains("another directory"), "{rejected:?}");
}

#[test]
fn two_checkpoints_are_kept_and_the_log_is_needed_from_the_older_on() {
    let mut rng = Rng::new(seed());
    let scratch = tempfile::tempdir().unwrap();
    let (mut manifest_set, mut story) = (manifest_set(scratch.path()), Story::random(&mut rng, 50));
    let mut ends = vec![0, 0];
    for _ in 0..6 {
        write(&mut manifest_set, &story.window).unwrap();
        ends.push(story.window.end.end);
        assert_eq!(manifest_set.log_from(), ends[ends.len() - 2]);
        let manifests = fs::read_dir(scratch.path().join("checkpoint")).unwrap();
        let manifests = manifests
            .filter(|entry| entry.as_ref().unwrap().file_name().to_str().unwrap().starts_with("manifest-"));
        assert_eq!(manifests.count(), (ends.len() - 2).min(2));
        story.window.bytes.clear();
        (0..50).for_each(|_| story.step(&mut rng));
    }
}

#[test]
fn a_rejected_manifest_is_removed_before_the_next_is_committed() {
    let mut rng = Rng::new(seed());
    let scratch = tempfile::tempdir().unwrap();
    let (mut made, mut story) = (manifest_set(scratch.path()), Story::random(&mut rng, 50));
    for _ in 0..2 {
        write(&mut made, &story.window).unwrap();
        story.window.clear();
        (0..50).for_each(|_| story.step(&mut rng));
    }
    // If it counted as one of the two after a crash, the log would not reach back to the one before it.
    let damaged = made.newest().unwrap().clone();
    let folder = scratch.path().join("checkpoint");
    fs::remove_file(folder.join(damaged.runs[0].name())).unwrap();
    let (mut manifest_set, _) = ManifestSet::open(Arc::new(DirFiles::at(folder.clone())), ID).unwrap();
    let (_, loaded) = manifest_set.load_newest(&mut Vec::new(), &mut |_| {}).unwrap().unwrap();
    manifest_set.start_from(loaded.hold_epochs);
    let mut window = Window { end: manifest_set.frontier().tip(), ..Window::default() };
    let opened = Record::Opened { epoch: 2, at_unix_ms: EPOCH_2020_MS };
    let encoded = Encoded::new(&opened).unwrap();
    window.push(window.end.end, encoded.as_bytes());
    window.end.end += encoded.words().0;
    let mut was_removed = false;
    let durable = |_| {
        was_removed = !folder.join(damaged.name()).exists();
        true
    };
    manifest_set.write(&window, &Retention::default(), &|| false, durable).unwrap();
    assert!(was_removed, "a manifest that was given up is still there");
}

/// A folder from which no file can be removed.
struct NoRemove(DirFiles);

impl Files for NoRemove {
    fn list(&self) -> io::Result<Vec<String>> {
        self.0.list()
    }
    fn open(&self, name: &str) -> io::Result<Box<dyn io::Read + Send>> {
        self.0.open(name)
    }
    fn create(&self, name: &str) -> io::Result<Box<dyn NewFile>> {
        self.0.create(name)
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(from, to)
    }
    fn remove(&self, _: &str) -> io::Result<()> {
        Err(io::ErrorKind::PermissionDenied.into())
    }
    fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }
}

#[test]
fn leftovers_that_cannot_be_removed_stop_no_checkpoint() {
    let mut rng = Rng::new(seed());
    let scratch = tempfile::tempdir().unwrap();
    let folder = || DirFiles::at(scratch.path().join("checkpoint"));
    let (mut manifest_set, _) = ManifestSet::open(Arc::new(NoRemove(folder())), ID).unwrap();
    let mut story = Story::random(&mut rng, 50);
    for _ in 0..4 {
        write(&mut manifest_set, &story.window).unwrap();
        story.window.bytes.clear();
        (0..50).for_each(|_| story.step(&mut rng));
    }
    let (manifest_set, _) = ManifestSet::open(Arc::new(folder()), ID).unwrap();
    assert!(manifest_set.tidy().unwrap() > 0, "they are removed once they can be");
    load(&*manifest_set.files, manifest_set.newest().unwrap(), &mut |_| {}).unwrap();
}

#[test]
fn a_pinned_checkpoint_and_its_log_stay_until_it_is_unpinned() {
    let mut rng = Rng::new(seed());
    let scratch = tempfile::tempdir().unwrap();
    let (mut manifest_set, mut story) = (manifest_set(scratch.path()), Story::random(&mut rng, 50));
    write(&mut manifest_set, &story.window).unwrap();
    let pinned = manifest_set.pins().lock().pin();
    let from = story.window.end.end;
    for _ in 0..5 {
        story.window.bytes.clear();
        (0..50).for_each(|_| story.step(&mut rng));
        write(&mut manifest_set, &story.window).unwrap();
    }
    load(&*manifest_set.files, &pinned[0], &mut |_| {}).unwrap();
    assert_eq!(manifest_set.log_from(), from);
    manifest_set.pins().lock().unpin(&pinned);
    assert!(manifest_set.tidy().unwrap() > 0 && manifest_set.log_from() > from);
    assert!(load(&*manifest_set.files, &pinned[0], &mut |_| {}).is_err());
}

#[test]
fn a_manifest_has_room_for_the_longest_ledger() {
    let scratch = tempfile::tempdir().unwrap();
    let files = DirFiles::at(scratch.path().join("checkpoint"));
    let most = u64::MAX;
    let run = RunRef {
        kind: RunKind::Ledger,
        number: most,
        bytes: most,
        entries: most,
        latest_ms: most,
        hash: most,
    };
    let runs = vec![run; ledger::RUNS_MAX + 100];
    let manifest = Manifest { number: 1, directory: ID, frontier: Frontier::default(), runs, kinds: 0 };
    manifest.commit(&files).unwrap();
    assert_eq!(Manifest::read(&files, &manifest.name()).unwrap(), manifest);
}

#[test]
fn a_ledger_has_the_records_of_its_windows_however_often_its_runs_were_merged() {
    let rng = &mut Rng::new(seed());
    let scratch = tempfile::tempdir().unwrap();
    let mut manifest_set = manifest_set(scratch.path());
    let kept = ledger::LedgerRetention { time: std::time::Duration::from_secs(3_600), bytes_max: u64::MAX };
    let retention = Retention { ledger: Some(kept), ..Retention::default() };
    let story = Story::random(rng, 1_500);
    let (mut window, mut from) = (Window::default(), 0);
    let mut records = Records::new(&story.window.bytes, 0).map(Result::unwrap).peekable();
    while let Some(Logged { position, bytes, .. }) = records.next() {
        // A chunk of a few records; an opening starts a new chunk.
        let (mut end, mut chunk) = (position, bytes.to_vec());
        let more = rng.index(9);
        let goes_on = |next: &Logged<'_>| next.fact.opening().is_none();
        for Logged { position, bytes, .. } in std::iter::from_fn(|| records.next_if(goes_on)).take(more) {
            end = position;
            chunk.extend_from_slice(bytes);
        }
        window.push(from, &chunk);
        (window.end, from) = (Tip { end, hash: end * 31 }, end);
        if rng.index(4) == 0 {
            manifest_set.write(&window, &retention, &|| false, |_| true).unwrap();
            window.clear();
        }
    }
    manifest_set.write(&window, &retention, &|| false, |_| true).unwrap();
    let newest = manifest_set.newest().unwrap();
    assert!(newest.of(RunKind::Ledger).len() <= 12);
    let (mut bytes, mut at, mut opening) = (Vec::new(), 0, (0, 0));
    for stretch in ledger::Stretches::of(&*manifest_set.files, newest.of(RunKind::Ledger)) {
        let stretch = stretch.unwrap();
        assert_eq!((stretch.start, (stretch.epoch, stretch.opened_at.0)), (at, opening));
        for record in Records::new(&stretch.records, at) {
            let Logged { position, fact, .. } = record.unwrap();
            at = position;
            if let Some((epoch, opened_at)) = fact.opening() {
                opening = (epoch, opened_at.0);
            }
        }
        bytes.extend_from_slice(&stretch.records);
    }
    assert!(bytes == story.window.bytes, "other records than were written");
}
