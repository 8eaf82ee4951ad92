//! Verifies a running engine: folds the log on disk from one checkpoint to the next and compares, then
//! compares every counter with the book.

use std::fmt;
use std::thread;
use std::time::Duration;

use super::core::Core;
use crate::checkpoint::load::{Loaded, load};
use crate::checkpoint::manifest::Manifest;
use crate::checkpoint::thread::Checkpointer;
use crate::error::{CheckpointError, Drift, VerifyError};
use crate::fold::follower::CounterSample;
use crate::fold::verify::Verifier;
use crate::index::KeyIndex;
use crate::log::reread::{Reread, RereadError};
use crate::log::scan::Tip;
use crate::stock::counter::Reading;
use crate::types::{Position, StockKey};

/// Keys whose counters are read while the fold stands still: some microseconds.
const KEYS_AT_ONCE: usize = 64;
/// Times that a counter is read while the fold stands still, until no position is drawn meanwhile.
const READS: usize = 64;
/// How often a key that other threads are taking from is compared, and the pause in between.
const ROUNDS: usize = 200;
const ROUND_PAUSE: Duration = Duration::from_millis(5);

/// What was verified.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Verified {
    /// The log was folded from this position.
    pub from: Position,
    /// The log was folded up to this position, and agrees with the checkpoint there. Equal to `from` in
    /// memory, where there is no log to fold.
    pub position: Position,
    /// Entries that were folded.
    pub records: u64,
    /// Holds at the position, remembered ones included.
    pub holds: u64,
    /// Counters that were equal to the book, each at a position of its own, at or behind `position`.
    pub keys: u64,
    /// Stock keys that could not be compared, because some operation on them was always under way.
    pub unsettled: Vec<StockKey>,
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} entries from position {} to {} lead to the checkpoint there; {} holds, {} counters agree",
            self.records, self.from, self.position, self.holds, self.keys
        )?;
        match self.unsettled.len() {
            0 => Ok(()),
            busy => write!(f, ", {busy} were never at rest"),
        }
    }
}

impl Core {
    pub(super) fn verify(&self) -> Result<Verified, VerifyError> {
        let mut verified = Verified::default();
        if let Some(checkpointer) = &self.checkpointer {
            self.checkpoint()?;
            self.verify_log(checkpointer, &mut verified)?;
        }
        self.verify_counters(&mut verified)?;
        Ok(verified)
    }

    /// Folds the log between the two checkpoints, and compares.
    fn verify_log(&self, checkpointer: &Checkpointer, verified: &mut Verified) -> Result<(), VerifyError> {
        let pinned = checkpointer.pin();
        let read_state = |manifest: &Manifest| load(&*pinned.files, manifest, &mut |_| {});
        let Some((newest, older)) = pinned.manifests.split_last() else { return Ok(()) };
        let base = older.last().map_or(Ok(Loaded::default()), read_state)?;
        let from = older.last().map_or(Tip::ORIGIN, |older| older.frontier.tip());
        let stores = self.log.stores().ok_or(CheckpointError::InMemory)?;
        let mut verifier = Verifier::from(base.fold)?;
        let before = verifier.fold.records;
        for chunk in Reread::between(&*stores, from, newest.frontier.tip())? {
            let (found, payload) = chunk?;
            verifier.chunk(&found.header, &payload)?;
        }
        verifier.same_as(&read_state(newest)?.fold)?;
        (verified.from, verified.position) = (Position(from.end), Position(newest.frontier.position));
        verified.records = verifier.fold.records - before;
        verified.holds = verifier.fold.holds.iter().count() as u64;
        Ok(())
    }

    /// Compares each counter with the book, at a position at which no operation was under way.
    fn verify_counters(&self, verified: &mut Verified) -> Result<(), VerifyError> {
        let _verifying = self.verifying.lock();
        let keys = self.catalog.len();
        let mut left = Vec::new();
        for first in (0..keys).step_by(KEYS_AT_ONCE) {
            let some = first..keys.min(first.saturating_add(KEYS_AT_ONCE as u32));
            let some: Vec<_> = some.map(|key| (KeyIndex(key), None)).collect();
            self.compare(&some, true, verified, &mut left)?;
        }
        for _ in 1..ROUNDS {
            if left.is_empty() {
                break;
            }
            thread::sleep(ROUND_PAUSE);
            let mut again = Vec::new();
            for some in left.chunks(KEYS_AT_ONCE) {
                self.compare(some, false, verified, &mut again)?;
            }
            left = again;
        }
        for (key, off) in left {
            match off {
                Some(off) if off < 0 => return Err(self.drift(key, off).into()),
                _ => verified.unsettled.push(StockKey { index: key, tag: self.answers.tag }),
            }
        }
        Ok(())
    }

    /// Compares the counters of some keys, each given with its difference at the last comparison. Puts the
    /// keys to be compared once more into `again`.
    fn compare(
        &self,
        keys: &[(KeyIndex, Option<i64>)],
        is_first: bool,
        verified: &mut Verified,
        again: &mut Vec<(KeyIndex, Option<i64>)>,
    ) -> Result<(), VerifyError> {
        let probes = self.follower.probe(|probes| {
            probes.extend(keys.iter().filter_map(|(key, _)| self.sample(*key)));
        });
        let probes = probes.ok_or_else(|| self.log.poison.cause())?;
        for (key, off) in keys {
            match probes.iter().find(|probe| probe.key == *key).and_then(off_by) {
                Some(0) => verified.keys += 1,
                // Units that are taken and not yet in the log can only make the counter lower.
                Some(more) if more > 0 => return Err(self.drift(*key, more).into()),
                // A difference that stays the same, whatever happens meanwhile, is not of operations under
                // way.
                now => again.push((*key, if is_first || now == *off { now } else { Some(0) })),
            }
        }
        Ok(())
    }

    /// A reading of a counter with nothing pending, and the position that was the last drawn all the while.
    fn sample(&self, key: KeyIndex) -> Option<CounterSample> {
        let item = self.book.get(key)?;
        (0..READS).find_map(|_| {
            let position = self.log.ring.drawn();
            let Reading { available, pending } = item.counter.exactly(self.lane(key));
            let is_still = !pending && self.log.ring.drawn() == position;
            is_still.then_some(CounterSample { key, position, counter: available, book: None })
        })
    }

    fn drift(&self, key: KeyIndex, off: i64) -> Drift {
        let name = self.catalog.name(key);
        let name = name.map(|(sku, location)| format!("{sku:?} at {location:?}")).unwrap_or_default();
        let (more, way) = (off.unsigned_abs(), if off > 0 { "more" } else { "fewer" });
        let what = format!("the counter of {name} has {more} units {way} on sale than the log says");
        Drift { position: Position(self.follower.position.position()), what }
    }
}

impl From<RereadError> for VerifyError {
    fn from(error: RereadError) -> Self {
        match error {
            RereadError::Missing { position } => {
                Drift { position: Position(position), what: error.to_string() }.into()
            }
            RereadError::Log(error) => error.into(),
        }
    }
}

fn off_by(probe: &CounterSample) -> Option<i64> {
    Some(probe.counter - probe.book?)
}
