//! Damages the directory of a killed engine as the input says. An opening must find everything that the
//! directory vouches for, or refuse it. What an engine opens, an inspection must open too, before and after,
//! without drift.
//!
//! An edit takes eight bytes: its kind, the file, the offset (three bytes), the length (two), and a byte.
#![no_main]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use stockhold::inspect::Inspection;
use stockhold::{
    CartLine, Config, Durability, Engine, HoldId, HoldState, ManualClock, OpKey, Position, Receive, Reserve,
    ReserveCart, StockKey, Timestamp,
};

const EDITS_MAX: usize = 12;
const START: Timestamp = Timestamp(1_767_225_600_000);

/// Levels and live or paid holds when the log ended at a position.
#[derive(PartialEq, Debug)]
struct State {
    levels: Vec<(i64, i64, i64)>,
    holds: Vec<(HoldState, u32)>,
}

/// A directory as a kill left it, and its state at each position at which a group of its log ended.
struct Base {
    files: BTreeMap<PathBuf, Vec<u8>>,
    keys: Vec<StockKey>,
    holds: Vec<HoldId>,
    states: BTreeMap<Position, State>,
}

static BASE: OnceLock<Base> = OnceLock::new();

libfuzzer_sys::fuzz_target!(|edits: &[u8]| {
    let base = BASE.get_or_init(Base::make);
    let mut files = base.files.clone();
    edits.chunks_exact(8).take(EDITS_MAX).for_each(|edit| damage(&mut files, edit));
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("shop");
    write(&files, &path);
    base.check(&path, files == base.files);
});

fn config() -> Config {
    let clock = Arc::new(ManualClock::new(START));
    let config = Config::default().clock(clock).driver_period(None).ring_bytes(64 << 10);
    config.durability(Durability::Interval(Duration::from_millis(1))).op_keys_max(1_000).holds_max(1_000)
}

impl Base {
    /// Two checkpoints, log between and behind them, three openings, carts, op keys, and no orderly close at
    /// the end.
    fn make() -> Base {
        let scratch = tempfile::tempdir().unwrap();
        let mut base = Base { files: BTreeMap::new(), keys: vec![], holds: vec![], states: BTreeMap::new() };
        for opening in 0..3 {
            let engine = Engine::open(scratch.path(), config()).unwrap();
            base.keys = ["poster", "mug"].map(|sku| engine.declare(sku, "berlin").unwrap()).into();
            base.record_state(&engine);
            for key in &base.keys.clone() {
                engine.receive(Receive::units(*key, 50)).unwrap().wait().unwrap();
                base.record_state(&engine);
            }
            for step in 0..12_u32 {
                let key = OpKey(u128::from(opening * 100 + step));
                let key_of_step = base.keys[step as usize % 2];
                let hold = if step % 3 == 0 {
                    let lines = [CartLine::units(base.keys[0], 1), CartLine::units(base.keys[1], 2)];
                    engine.reserve_cart(ReserveCart::lines(&lines).op_key(key)).unwrap().wait().unwrap().hold
                } else {
                    let request = Reserve::units(key_of_step, 1 + step % 3).reference("order").op_key(key);
                    engine.reserve(request).unwrap().wait().unwrap().hold
                };
                base.holds.push(hold);
                base.record_state(&engine);
                match step % 4 {
                    0 => drop(engine.confirm(hold).unwrap().wait()),
                    1 => drop(engine.release(hold).unwrap().wait()),
                    _ => {}
                }
                base.record_state(&engine);
                if opening > 0 && step == 6 {
                    engine.checkpoint().unwrap();
                }
            }
            if opening == 2 {
                base.read_files(scratch.path(), Path::new(""));
            }
        }
        base
    }

    fn read_files(&mut self, root: &Path, inside: &Path) {
        for entry in fs::read_dir(root.join(inside)).unwrap() {
            let name = inside.join(entry.unwrap().file_name());
            if root.join(&name).is_dir() {
                self.read_files(root, &name);
            } else {
                let mut bytes = fs::read(root.join(&name)).unwrap();
                if name.starts_with("log") {
                    // Stores end with MiB of zeroes, which would only take time.
                    bytes.truncate(bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 64));
                }
                self.files.insert(name.clone(), bytes);
            }
        }
    }

    fn record_state(&mut self, engine: &Engine) {
        let position = engine.metrics().position_drawn;
        engine.wait(position).unwrap();
        let state = self.state(engine);
        self.states.insert(position, state);
    }

    fn state(&self, engine: &Engine) -> State {
        let level = |key: &StockKey| {
            let level = engine.level(*key).unwrap();
            (level.on_hand, level.held, level.committed)
        };
        let live = |hold: &HoldId| engine.status(*hold).ok().filter(|status| is_live_or_paid(status.state));
        State {
            levels: self.keys.iter().filter(|key| engine.keys().contains(key)).map(level).collect(),
            holds: self.holds.iter().filter_map(live).map(|status| (status.state, status.quantity)).collect(),
        }
    }

    fn check(&self, path: &Path, is_undamaged: bool) {
        let inspected = Inspection::open(path).map(|inspection| {
            assert_eq!(inspection.drift(), None);
            let report = inspection.report();
            let checkpoint = report.checkpoint.unwrap_or_default();
            (report.acknowledged.max(checkpoint), report.end)
        });
        let engine = Engine::open(path, config());
        assert!(!is_undamaged || engine.is_ok(), "{engine:?}");
        let Ok(engine) = engine else { return };
        let report = engine.report().clone();
        if report.created {
            assert!(inspected.is_err(), "an inspection found a directory that the engine created");
            return;
        }
        let (vouched, end) = inspected.expect("an inspection opens what an engine opens");
        assert_eq!(report.end, end);
        assert!(report.end >= vouched, "{report:?}");
        let state = self.states.get(&report.end).expect("a log ends with a whole group");
        assert_eq!(*state, self.state(&engine), "{report}");
        engine.shutdown().unwrap();
        drop(engine);
        let inspection = Inspection::open(path).unwrap();
        assert_eq!(inspection.drift(), None);
        assert!(inspection.report().closed_in_order);
    }
}

/// Holds that have ended are not compared: an opening may have forgotten some of them.
fn is_live_or_paid(state: HoldState) -> bool {
    matches!(state, HoldState::Active | HoldState::Paying | HoldState::Confirmed)
}

fn write(files: &BTreeMap<PathBuf, Vec<u8>>, path: &Path) {
    for (name, bytes) in files {
        let to = path.join(name);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::write(to, bytes).unwrap();
    }
}

fn damage(files: &mut BTreeMap<PathBuf, Vec<u8>>, edit: &[u8]) {
    let names: Vec<PathBuf> = files.keys().cloned().collect();
    let pick = |byte: u8| names.get(usize::from(byte) % names.len().max(1)).cloned();
    let Some(name) = pick(edit[1]) else { return };
    let length = usize::from(u16::from_le_bytes([edit[5], edit[6]]));
    let bytes = files.get_mut(&name).unwrap();
    // The offset lies within the bytes that are used: stores end with many zeroes.
    let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let at = u32::from_le_bytes([edit[2], edit[3], edit[4], 0]) as usize % (used + 1);
    let until = (at + length).min(bytes.len());
    match edit[0] % 8 {
        0 => bytes.get_mut(at).into_iter().for_each(|byte| *byte ^= edit[7].max(1)),
        1 => bytes[at..until].fill(edit[7]),
        2 => bytes.truncate(at),
        3 => drop(files.remove(&name)),
        4 => {
            // Copies a part of the file over another part of it.
            let (part, to) = (bytes[at..until].to_vec(), usize::from(edit[7]) * 512);
            let to = to.min(bytes.len().saturating_sub(part.len()));
            bytes[to..to + part.len()].copy_from_slice(&part);
        }
        5 => {
            // Copies the file over another, or beside it.
            let copy = bytes.clone();
            let other = if length % 2 == 0 { pick(edit[7]) } else { None };
            let beside = || name.with_file_name(format!("{:08x}", edit[7]));
            files.insert(other.unwrap_or_else(beside), copy);
        }
        6 => {
            let Some(other) = pick(edit[7]) else { return };
            let (one, two) = (files.remove(&name), files.remove(&other));
            files.extend(one.map(|bytes| (other, bytes)));
            files.extend(two.map(|bytes| (name, bytes)));
        }
        _ => bytes.extend(std::iter::repeat_n(edit[7], length)),
    }
}
