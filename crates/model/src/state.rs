//! The state of the model, and questions about it.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::rc::Rc;

use crate::{Answer, Lines, Operation, RefusalReason};

/// The settings that an engine and its model share.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Time to live of a hold that names none.
    pub ttl_default_ms: u64,
    /// The longest life to which a hold can be extended.
    pub life_max_ms: u64,
    /// What beginning a payment adds.
    pub payment_ms: u64,
    /// Holds, live and confirmed, at most.
    pub holds_max: usize,
    /// Commitments that are older may be shipped.
    pub commitments_kept_ms: u64,
    /// Op keys that are older may be forgotten.
    pub op_keys_kept_ms: u64,
    /// Whether an expired hold may be forgotten, as one that has ended otherwise may.
    pub forgets_expired: bool,
}

/// Where a hold stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "the states are those of the engine's holds")]
pub enum HoldState {
    Active,
    Paying,
    Confirmed,
    Shipped,
    Released,
    Expired,
    Cancelled,
}

/// A hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hold {
    /// Units held, until it has ended.
    pub held: Lines,
    /// Units confirmed, and not yet shipped or cancelled.
    pub committed: Lines,
    /// The first of its keys, by which its reference is named.
    pub first_key: usize,
    /// When it was made.
    pub born_ms: u64,
    /// When it expires.
    pub deadline_ms: u64,
    /// Where it stands.
    pub state: HoldState,
    /// It has expired, and maybe no call has closed it.
    pub unseen: bool,
}

impl Hold {
    /// Whether it holds units.
    pub fn is_live(&self) -> bool {
        matches!(self.state, HoldState::Active | HoldState::Paying)
    }

    /// Whether it can be found by its reference.
    pub fn is_open(&self) -> bool {
        self.is_live() || self.state == HoldState::Confirmed
    }

    /// Its lines as its status shows them; `None` if it has nothing any more.
    pub fn lines(&self) -> Option<Lines> {
        match self.state {
            HoldState::Confirmed => Some(self.committed),
            HoldState::Active | HoldState::Paying | HoldState::Expired => Some(self.held),
            HoldState::Shipped | HoldState::Released | HoldState::Cancelled => None,
        }
    }
}

/// A stock key.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Stock {
    /// The number of its name.
    pub name: usize,
    /// Units that are there.
    pub on_hand: i64,
    /// Whether its sale is stopped.
    pub stopped: bool,
    /// When its sale opens.
    pub opens_at_ms: Option<u64>,
}

/// An op key, and what it was used for.
#[derive(PartialEq, Eq, Debug)]
pub struct UsedOpKey {
    /// With which operation.
    pub operation: Operation<usize>,
    /// What the engine said, word by word.
    pub said: String,
    /// The position of the log that this rests on.
    pub position: u64,
    /// When it was used.
    pub at_ms: u64,
}

/// The state of all stock keys, holds and op keys.
#[derive(Clone, Debug)]
pub struct Model {
    /// The settings.
    pub rules: Rules,
    /// The time.
    pub now_ms: u64,
    /// Stock keys, in the order of their declaration.
    pub stock: Vec<Stock>,
    /// Holds, in the order in which they were made.
    pub holds: Vec<Hold>,
    /// Op keys that were used.
    pub op_keys: BTreeMap<u64, Rc<UsedOpKey>>,
}

impl Model {
    /// No stock key and no hold.
    pub fn new(rules: Rules, now_ms: u64) -> Self {
        Model { rules, now_ms, stock: Vec::new(), holds: Vec::new(), op_keys: BTreeMap::new() }
    }

    /// Moves the time on. A hold that is due has expired for every caller at once.
    pub fn advance_to(&mut self, now_ms: u64) {
        self.now_ms = self.now_ms.max(now_ms);
        let now_ms = self.now_ms;
        for hold in self.holds.iter_mut().filter(|hold| hold.is_live() && hold.deadline_ms <= now_ms) {
            (hold.state, hold.unseen) = (HoldState::Expired, true);
        }
    }

    fn sum(&self, units: impl Fn(&Hold) -> u32) -> i64 {
        self.holds.iter().map(|hold| i64::from(units(hold))).sum()
    }

    /// Units of a key that are held.
    pub fn held(&self, key: usize) -> i64 {
        self.sum(|hold| if hold.is_live() { hold.held[key] } else { 0 })
    }

    /// Units of a key that an engine may still call held, because no call has closed the hold.
    pub fn unseen(&self, key: usize) -> i64 {
        self.sum(|hold| if hold.unseen { hold.held[key] } else { 0 })
    }

    /// Units of a key that are confirmed.
    pub fn committed(&self, key: usize) -> i64 {
        self.sum(|hold| hold.committed[key])
    }

    /// Units of a key that can be had; fewer than 0 if some are missing.
    pub fn available(&self, key: usize) -> i64 {
        self.stock[key].on_hand - self.held(key) - self.committed(key)
    }

    /// The values that a counter of available units may have.
    pub fn counted(&self, key: usize) -> RangeInclusive<i64> {
        let available = self.available(key);
        available - self.unseen(key)..=available
    }

    /// How many holds are live.
    pub fn live(&self) -> usize {
        self.holds.iter().filter(|hold| hold.is_live()).count()
    }

    /// Closes all that is due; returns how many holds may not have been closed before.
    pub fn see_all(&mut self) -> usize {
        self.holds.iter_mut().map(|hold| usize::from(std::mem::take(&mut hold.unseen))).sum()
    }

    /// A call reads a hold, which closes it if it is due.
    pub fn see(&mut self, number: usize) -> &mut Hold {
        let hold = &mut self.holds[number];
        hold.unseen = false;
        hold
    }

    /// Whether an engine may know nothing of a hold any more.
    pub fn may_be_forgotten(&self, number: usize) -> bool {
        match self.holds[number].state {
            HoldState::Released | HoldState::Shipped | HoldState::Cancelled => true,
            HoldState::Expired => self.rules.forgets_expired,
            HoldState::Active | HoldState::Paying | HoldState::Confirmed => false,
        }
    }

    /// Ships a commitment that no caller has shipped for long.
    ///
    /// # Panics
    ///
    /// If it is not yet old enough.
    pub fn ship_by_time(&mut self, number: usize) {
        let hold = &mut self.holds[number];
        assert!(
            hold.born_ms + self.rules.commitments_kept_ms <= self.now_ms,
            "hold {number} was shipped before its time"
        );
        hold.state = HoldState::Shipped;
        for (stock, units) in self.stock.iter_mut().zip(std::mem::take(&mut hold.committed)) {
            stock.on_hand -= i64::from(units);
        }
    }

    /// Whether an op key that was used must still be known.
    pub fn keeps(&self, used: &UsedOpKey) -> bool {
        used.at_ms.saturating_add(self.rules.op_keys_kept_ms) > self.now_ms
    }

    /// Whether an operation is the one that an op key was used for.
    pub fn is_repeated(used: &UsedOpKey, operation: &Operation<usize>) -> bool {
        used.operation.content() == operation.content()
    }

    /// Whether an answer is kept with the op key of its operation.
    pub fn remembers(operation: &Operation<usize>, answer: &Answer) -> bool {
        match answer {
            Answer::Failed(_) | Answer::Refused { reason: RefusalReason::NotOpen, .. } => false,
            Answer::Refused { .. } => operation.remembers_refusal(),
            _ => true,
        }
    }

    /// Keeps what an op key was used for, and what the engine said.
    pub fn use_op_key(&mut self, op_key: u64, operation: Operation<usize>, said: String, position: u64) {
        let used = UsedOpKey { operation, said, position, at_ms: self.now_ms };
        self.op_keys.insert(op_key, Rc::new(used));
    }
}
