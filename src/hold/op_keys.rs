//! Op keys: an operation happens once, however often it is sent.
//!
//! An entry is made before anything is decided and completed with the answer. The map's shard lock spans one
//! map operation, never the log or a decision, so calls with an op key may wait for one such operation of
//! another thread; calls without one never come here.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;

use crate::answer::{Adjusted, Confirmed, Extended, Moved, Refusal, Replaced, Reserved, ReservedCart};
use crate::clock::Timestamp;
use crate::error::{Busy, OpKeyError, SharedError};
use crate::hashing::ByName;
use crate::types::{OpKey, Position};

/// Shards of the map: many more than threads, so that two seldom want the same, and a shard that grows keeps
/// few.
const SHARDS: usize = 256;

/// The answer that an op key is remembered with.
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

/// One remembered operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Done {
    pub answer: Answer,
    pub position: Position,
    pub at: Timestamp,
}

#[derive(Debug)]
struct Entered {
    content: u64,
    /// `None` while it is being decided.
    done: Option<Done>,
}

#[derive(Debug)]
pub(crate) struct OpKeys {
    entries: DashMap<OpKey, Entered, ByName>,
    count: AtomicUsize,
    max: usize,
    retention: Option<Duration>,
    /// When old keys were last looked for, in Unix ms.
    forgotten_ms: AtomicU64,
}

/// An op key whose operation is being decided. Dropped without [`done`](Deciding::done), it is as if never
/// used.
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
    #[cfg(test)]
    pub(crate) fn find(&self, key: OpKey, content: u64) -> Result<Option<Done>, OpKeyError> {
        match self.entries.get(&key) {
            None => Ok(None),
            Some(entry) => entry.answer(content).map(Some),
        }
    }

    /// Enters the key, unless it was used before.
    pub(crate) fn begin(&self, key: OpKey, content: u64, now: Timestamp) -> Result<Attempt<'_>, SharedError> {
        match self.entries.entry(key) {
            Entry::Occupied(entry) => Ok(Attempt::Before(entry.get().answer(content)?)),
            Entry::Vacant(_) if self.is_too_old(key, now) => Err(OpKeyError::TooOld.into()),
            Entry::Vacant(entry) => {
                // Relaxed: a bound, not a fence; the entry itself is published by the map's lock.
                if self.count.fetch_add(1, Ordering::Relaxed) >= self.max {
                    self.count.fetch_sub(1, Ordering::Relaxed);
                    return Err(Busy::OpKeysFull.into());
                }
                entry.insert(Entered { content, done: None });
                Ok(Attempt::Now(Deciding { keys: self, key, open: true }))
            }
        }
    }

    /// A key that says when it was made may have been used and forgotten.
    fn is_too_old(&self, key: OpKey, now: Timestamp) -> bool {
        let made = key.uuid_v7_ms().map(Timestamp);
        made.zip(self.retention).is_some_and(|(made, retention)| made.plus(retention) < now)
    }

    /// Puts back what recovery found, even beyond the bound.
    pub(crate) fn restore(&self, key: OpKey, content: u64, done: Done) {
        if self.entries.insert(key, Entered { content, done: Some(done) }).is_none() {
            self.count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Forgets what is older than the retention window, if it has not been looked for lately: a look costs
    /// time for every key.
    pub(crate) fn forget_if_due(&self, now: Timestamp) {
        let Some(retention) = self.retention else { return };
        let every = (retention / 16).clamp(Duration::from_secs(1).min(retention), Duration::from_secs(3_600));
        // Relaxed: two looks at once do no harm.
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

/// Whether a key, used at `at`, is to be remembered at `now`.
pub(crate) fn is_remembered(key: OpKey, at: Timestamp, now: Timestamp, retention: Duration) -> bool {
    // Not forgotten before it would be too old by its own time: its maker's clock may be ahead, by a window
    // at most.
    let made = Timestamp(key.uuid_v7_ms().unwrap_or(0)).min(at.plus(retention));
    made.max(at).plus(retention) >= now
}

/// What [`OpKeys::begin`] found.
#[derive(Debug)]
pub(crate) enum Attempt<'k> {
    /// Decided before.
    Before(Done),
    /// To be decided now.
    Now(Deciding<'k>),
}

impl Entered {
    fn answer(&self, content: u64) -> Result<Done, OpKeyError> {
        if self.content != content {
            return Err(OpKeyError::OtherContent);
        }
        self.done.ok_or(OpKeyError::InProgress)
    }
}

impl Deciding<'_> {
    /// Remembers the answer.
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
    fn an_operation_that_came_to_nothing_leaves_its_key_unused() {
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
