//! Op keys: an operation is done once, however often it is sent.
//!
//! An entry is made before the operation is decided, and completed with the answer. The lock of a shard of
//! the map is held for one operation of the map, never for a decision or for the log. So a call with an op
//! key may wait for one such operation of another thread; a call without an op key never comes here.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;

use crate::answer::{Adjusted, Confirmed, Extended, Moved, Refusal, Replaced, Reserved, ReservedCart};
use crate::clock::Timestamp;
use crate::error::{Busy, OpKeyError, SharedError};
use crate::hashing::ByName;
use crate::types::{OpKey, Position};

/// Shards of the map: many more than threads, so that two threads seldom want the same one, and one that
/// grows delays few.
const SHARDS: usize = 256;

/// The answer that is stored with an op key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Answer {
    Reserved(Reserved),
    Refused(Refusal),
    Confirmed(Confirmed),
    Extended(Extended),
    Moved(Moved),
    Adjusted(Adjusted),
    Cart(ReservedCart),
    Replaced(Replaced),
}

/// An operation that was decided.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Done {
    pub answer: Answer,
    pub position: Position,
    pub at: Timestamp,
}

/// The entry of one op key.
#[derive(Debug)]
struct KeyEntry {
    /// A hash of what the operation asked.
    content: u64,
    /// `None` while it is being decided.
    done: Option<Done>,
}

/// The op keys of one engine, with their answers.
#[derive(Debug)]
pub(crate) struct OpKeys {
    entries: DashMap<OpKey, KeyEntry, ByName>,
    count: AtomicUsize,
    max: usize,
    retention: Option<Duration>,
    /// When old keys were last forgotten, in Unix ms.
    forgotten_ms: AtomicU64,
}

/// An op key whose operation is being decided. If it is dropped without [`done`](Deciding::done), the key
/// counts as unused.
#[derive(Debug)]
pub(crate) struct Deciding<'k> {
    keys: &'k OpKeys,
    key: OpKey,
    open: bool,
}

impl OpKeys {
    pub(crate) fn new(max: usize, retention: Option<Duration>) -> Self {
        OpKeys {
            entries: DashMap::with_hasher_and_shard_amount(ByName::default(), SHARDS),
            count: AtomicUsize::new(0),
            max,
            retention,
            forgotten_ms: AtomicU64::new(0),
        }
    }

    /// The first answer, if the key was used before.
    #[cfg(all(test, not(stockhold_loom)))]
    pub(crate) fn find(&self, key: OpKey, content: u64) -> Result<Option<Done>, OpKeyError> {
        match self.entries.get(&key) {
            None => Ok(None),
            Some(entry) => entry.answer(content).map(Some),
        }
    }

    /// Makes an entry for the key, unless it was used before.
    pub(crate) fn begin(&self, key: OpKey, content: u64, now: Timestamp) -> Result<Attempt<'_>, SharedError> {
        match self.entries.entry(key) {
            Entry::Occupied(entry) => Ok(Attempt::Before(entry.get().answer(content)?)),
            Entry::Vacant(_) if self.is_too_old(key, now) => Err(OpKeyError::TooOld.into()),
            Entry::Vacant(entry) => {
                // Counted only if there is room, so that a call that finds none takes none from another. Relaxed:
                // it is only a bound; the entry itself is published by the map's lock.
                let one_more = |count| (count < self.max).then_some(count + 1);
                if self.count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_err() {
                    return Err(Busy::OpKeysFull.into());
                }
                entry.insert(KeyEntry { content, done: None });
                Ok(Attempt::Now(Deciding { keys: self, key, open: true }))
            }
        }
    }

    /// Whether the key is a UUIDv7 that is so old that it may have been used and forgotten.
    fn is_too_old(&self, key: OpKey, now: Timestamp) -> bool {
        let made = key.uuid_v7_ms().map(Timestamp);
        made.zip(self.retention).is_some_and(|(made, retention)| made.plus(retention) < now)
    }

    /// Puts back an op key that recovery found, even beyond the bound.
    pub(crate) fn restore(&self, key: OpKey, content: u64, done: Done) {
        if self.entries.insert(key, KeyEntry { content, done: Some(done) }).is_none() {
            self.count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Forgets keys older than the retention window, but not more often than is due: it takes time for every
    /// key.
    pub(crate) fn forget_if_due(&self, now: Timestamp) {
        let Some(retention) = self.retention else { return };
        let every = (retention / 16).clamp(Duration::from_secs(1).min(retention), Duration::from_secs(3_600));
        // Relaxed: two threads that do this at once do no harm.
        if now.since(Timestamp(self.forgotten_ms.load(Ordering::Relaxed))) >= every {
            self.forgotten_ms.store(now.0, Ordering::Relaxed);
            self.forget(now, retention);
        }
    }

    fn forget(&self, now: Timestamp, retention: Duration) {
        let mut forgotten = 0;
        self.entries.retain(|key, entry| {
            let keep = entry.done.is_none_or(|done| is_remembered(*key, done.at, now, retention));
            forgotten += usize::from(!keep);
            keep
        });
        self.count.fetch_sub(forgotten, Ordering::Relaxed);
    }

    pub(crate) fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

/// Whether a key that was used at `at` must still be remembered at `now`.
pub(crate) fn is_remembered(key: OpKey, at: Timestamp, now: Timestamp, retention: Duration) -> bool {
    // A key is not forgotten before it is too old by its own time: its maker's clock may be ahead, by a
    // window at most.
    let made = Timestamp(key.uuid_v7_ms().unwrap_or(0)).min(at.plus(retention));
    made.max(at).plus(retention) >= now
}

/// Whether an operation with an op key has to be decided.
#[derive(Debug)]
pub(crate) enum Attempt<'k> {
    /// It was decided before.
    Before(Done),
    /// It has to be decided now.
    Now(Deciding<'k>),
}

impl KeyEntry {
    fn answer(&self, content: u64) -> Result<Done, OpKeyError> {
        if self.content != content {
            return Err(OpKeyError::OtherContent);
        }
        self.done.ok_or(OpKeyError::InProgress)
    }
}

impl Deciding<'_> {
    /// Stores the answer.
    pub(crate) fn done(mut self, done: Done) {
        self.open = false;
        if let Some(mut entry) = self.keys.entries.get_mut(&self.key) {
            entry.done = Some(done);
        }
    }
}

impl Drop for Deciding<'_> {
    fn drop(&mut self) {
        if self.open {
            self.keys.entries.remove(&self.key);
            self.keys.count.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(all(test, not(stockhold_loom)))]
mod tests {
    use super::*;

    const KEY: OpKey = OpKey(1);

    fn done(at: u64) -> Done {
        let answer = Answer::Adjusted(Adjusted { available: 5, shortfall: 0 });
        Done { answer, position: Position(9), at: Timestamp(at) }
    }

    fn begin(keys: &OpKeys, key: OpKey) -> Deciding<'_> {
        match keys.begin(key, 7, Timestamp(0)) {
            Ok(Attempt::Now(deciding)) => deciding,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_first_answer_is_given_again_and_other_content_is_refused() {
        let keys = OpKeys::new(10, None);
        let deciding = begin(&keys, KEY);
        assert_eq!(keys.find(KEY, 7), Err(OpKeyError::InProgress));
        deciding.done(done(0));
        assert_eq!(keys.find(KEY, 7), Ok(Some(done(0))));
        assert!(matches!(keys.begin(KEY, 7, Timestamp(0)), Ok(Attempt::Before(_))));
        assert_eq!(keys.find(KEY, 8), Err(OpKeyError::OtherContent));
    }

    #[test]
    fn an_operation_that_was_not_decided_leaves_its_key_unused() {
        let keys = OpKeys::new(1, None);
        drop(begin(&keys, KEY));
        assert_eq!((keys.find(KEY, 8), keys.len()), (Ok(None), 0));
    }

    #[test]
    fn a_full_table_is_busy_and_evicts_nothing() {
        let keys = OpKeys::new(1, None);
        begin(&keys, KEY).done(done(0));
        assert_eq!(keys.begin(OpKey(2), 7, Timestamp(0)).unwrap_err(), SharedError::Busy(Busy::OpKeysFull));
        assert!(keys.find(KEY, 7).unwrap().is_some());
    }

    #[test]
    fn keys_are_forgotten_after_the_retention_window_and_old_uuids_refused() {
        let keys = OpKeys::new(9, Some(Duration::from_millis(100)));
        begin(&keys, KEY).done(done(50));
        keys.forget_if_due(Timestamp(150));
        assert_eq!(keys.len(), 1);
        keys.forget_if_due(Timestamp(250));
        assert_eq!(keys.len(), 0);
        let v7 = OpKey(1_000 << 80 | 7 << 76 | 0b10 << 62);
        assert!(keys.begin(v7, 7, Timestamp(1_100)).is_ok());
        assert_eq!(keys.begin(v7, 7, Timestamp(1_101)).unwrap_err(), SharedError::OpKey(OpKeyError::TooOld));
    }
}
