//! What is true: the contract as a program that is obviously right, in plain maps and numbers. It knows no log, no slots
//! and no counters.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::ops::RangeInclusive;
use std::rc::Rc;

use super::schedule::{Gate, KEYS_MAX, LIFE_MAX_MS, Lines, PAYMENT_MS, Part, TTL_DEFAULT_MS, What};
use crate::answer::{HoldState, RefusalReason};
use crate::clock::Timestamp;
use crate::error::{
    ConfirmError, HoldError, QuantityError, ReplaceError, ReserveError, SharedError, StockError,
};
use crate::types::HoldId;

/// What an operation is told, by the engine or by the book.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Told {
    Reserved {
        units: u32,
        deadline: u64,
    },
    /// Of each request, what it was granted.
    Batch(Vec<Option<(u32, u64)>>),
    Replaced {
        units: u32,
        deadline: u64,
    },
    Confirmed {
        units: u32,
        returned: u32,
        retaken: bool,
    },
    Extended {
        deadline: u64,
    },
    Moved {
        units: u32,
        remaining: u32,
    },
    /// It was done, and there is nothing more to say.
    Done,
    Refused {
        reason: RefusalReason,
        key: usize,
        asked: u32,
    },
    /// The hold has nothing of a key that was named.
    NotHeld {
        key: usize,
    },
    Error(String),
}

/// What is told, and the number in it: units left, or available.
pub(super) type Answer = (Told, Option<RangeInclusive<i64>>);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Hold {
    pub id: HoldId,
    /// Units held, until it has ended.
    pub held: Lines,
    pub committed: Lines,
    /// The key that its reference names.
    pub filed: usize,
    pub born: u64,
    pub deadline: u64,
    pub state: HoldState,
    /// It is due, and maybe nobody has closed it.
    pub unseen: bool,
}

impl Hold {
    pub(super) fn is_live(&self) -> bool {
        matches!(self.state, HoldState::Active | HoldState::Paying)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Stock {
    /// Which of the names it has.
    pub name: usize,
    pub on_hand: i64,
    pub stopped: bool,
    pub opens_at: Option<u64>,
}

/// An operation with an op key, and what it was told.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Used {
    pub what: What<HoldId>,
    /// Word by word.
    pub said: String,
    pub position: u64,
    pub at: u64,
}

/// See the module.
#[derive(Clone, Default, Debug)]
pub(super) struct Book {
    pub now: u64,
    pub holds_max: usize,
    pub stock: Vec<Stock>,
    pub holds: Vec<Hold>,
    pub op_keys: BTreeMap<u64, Rc<Used>>,
}

/// A hold that an operation makes is told apart later.
const NO_ID: HoldId = HoldId(0);

pub(super) fn sum(lines: Lines) -> u32 {
    lines.iter().sum()
}

fn one(key: usize, units: u32) -> Lines {
    let mut lines = [0; KEYS_MAX];
    lines[key] = units;
    lines
}

fn error(error: impl Debug) -> Answer {
    (Told::Error(format!("{error:?}")), None)
}

fn is_empty(part: Part) -> bool {
    matches!(part, Part::Lines(lines) if sum(lines) == 0)
}

/// Why a hold has no such part.
enum NoPart {
    TooMany { asked: u32, there: u32 },
    NotHeld { key: usize },
    NameLines { lines: usize },
}

fn named(part: Part, there: Lines) -> Result<Lines, NoPart> {
    let keys: Vec<usize> = (0..KEYS_MAX).filter(|key| there[*key] > 0).collect();
    match (part, &keys[..]) {
        (Part::FullState, _) => Ok(there),
        (Part::Quantity(asked), _) if asked > sum(there) => Err(NoPart::TooMany { asked, there: sum(there) }),
        (Part::Quantity(asked), _) if asked == sum(there) => Ok(there),
        (Part::Quantity(asked), &[key]) => Ok(one(key, asked)),
        (Part::Quantity(_), keys) => Err(NoPart::NameLines { lines: keys.len() }),
        (Part::Lines(lines), _) => match (0..KEYS_MAX).find(|key| lines[*key] > there[*key]) {
            None => Ok(lines),
            Some(key) if there[key] == 0 => Err(NoPart::NotHeld { key }),
            Some(key) => Err(NoPart::TooMany { asked: lines[key], there: there[key] }),
        },
    }
}

impl Book {
    /// Time decides, at once and for everybody.
    pub(super) fn advance_to(&mut self, now: u64) {
        self.now = self.now.max(now);
        let now = self.now;
        for hold in self.holds.iter_mut().filter(|hold| hold.is_live() && hold.deadline <= now) {
            (hold.state, hold.unseen) = (HoldState::Expired, true);
        }
    }

    fn sum(&self, units: impl Fn(&Hold) -> u32) -> i64 {
        self.holds.iter().map(|hold| i64::from(units(hold))).sum()
    }

    pub(super) fn held(&self, key: usize) -> i64 {
        self.sum(|hold| if hold.is_live() { hold.held[key] } else { 0 })
    }

    /// What the log may still call held.
    pub(super) fn unseen(&self, key: usize) -> i64 {
        self.sum(|hold| if hold.unseen { hold.held[key] } else { 0 })
    }

    pub(super) fn committed(&self, key: usize) -> i64 {
        self.sum(|hold| hold.committed[key])
    }

    pub(super) fn available(&self, key: usize) -> i64 {
        self.stock[key].on_hand - self.held(key) - self.committed(key)
    }

    /// What the counter may say.
    pub(super) fn counted(&self, key: usize) -> RangeInclusive<i64> {
        let available = self.available(key);
        available - self.unseen(key)..=available
    }

    /// All that is due was closed.
    pub(super) fn see_all(&mut self) {
        self.holds.iter_mut().for_each(|hold| hold.unseen = false);
    }

    pub(super) fn find(&self, id: HoldId) -> Option<usize> {
        self.holds.iter().position(|hold| hold.id == id)
    }

    /// Whoever looks at a hold sees that it is over.
    fn see(&mut self, id: HoldId) -> Option<&mut Hold> {
        let number = self.find(id)?;
        self.holds[number].unseen = false;
        Some(&mut self.holds[number])
    }

    fn take(&mut self, lines: Lines) -> Result<(), Answer> {
        for key in (0..KEYS_MAX).filter(|key| lines[*key] > 0) {
            self.take_least(key, lines[key], lines[key])?;
        }
        Ok(())
    }

    /// How many units are taken: `most`, or all there are if these are `least` or more.
    fn take_least(&mut self, key: usize, least: u32, most: u32) -> Result<u32, Answer> {
        let Stock { stopped, opens_at, .. } = self.stock[key];
        let closed = match opens_at {
            _ if stopped => Some(RefusalReason::Stopped),
            Some(moment) if self.now < moment => Some(RefusalReason::NotOpen),
            _ => None,
        };
        let refused = |reason| Told::Refused { reason, key, asked: least };
        if let Some(reason) = closed {
            return Err((refused(reason), Some(self.counted(key))));
        }
        let available = self.available(key);
        if available >= i64::from(most) {
            return Ok(most);
        }
        // A refuser has closed everything that is due.
        self.see_all();
        if available >= i64::from(least) {
            return Ok(available as u32);
        }
        Err((refused(RefusalReason::OutOfStock), Some(available..=available)))
    }

    /// Why no hold more can be, if so.
    fn no_room(&self) -> Option<Answer> {
        let there = self.holds.iter().filter(|hold| hold.is_live() || hold.state == HoldState::Confirmed);
        let full = ReserveError::HoldsFull { holds_max: self.holds_max as u32 };
        (there.count() >= self.holds_max).then(|| error(full))
    }

    fn hold(&mut self, held: Lines, ttl_ms: Option<u64>) -> (u32, u64) {
        let (born, deadline) = (self.now, self.now + ttl_ms.unwrap_or(TTL_DEFAULT_MS));
        let (state, committed) = (HoldState::Active, [0; KEYS_MAX]);
        let filed = held.iter().position(|units| *units > 0).unwrap_or(0);
        self.holds.push(Hold { id: NO_ID, held, committed, filed, born, deadline, state, unseen: false });
        (sum(held), deadline)
    }

    /// Gives the holds that were just made their ids.
    pub(super) fn call(&mut self, ids: &[HoldId]) {
        let mut nameless = self.holds.iter_mut().filter(|hold| hold.id == NO_ID);
        ids.iter().for_each(|id| nameless.next().into_iter().for_each(|hold| hold.id = *id));
        drop(nameless);
        debug_assert!(self.holds.iter().all(|hold| hold.id != NO_ID));
    }

    /// Does it, and says what is answered. What names a hold names one that there is.
    pub(super) fn apply(&mut self, what: &What<HoldId>) -> Answer {
        self.applied(what).unwrap_or_else(|refused| refused)
    }

    fn applied(&mut self, what: &What<HoldId>) -> Result<Answer, Answer> {
        let now = self.now;
        let plain = |told| Ok((told, None));
        match *what {
            What::Declare { key } => {
                if self.stock.iter().all(|stock| stock.name != key) {
                    self.stock.push(Stock { name: key, ..Stock::default() });
                }
                plain(Told::Done)
            }
            What::Prepare { .. } => plain(Told::Done),
            What::Receive { key, quantity } => {
                self.stock[key].on_hand += i64::from(quantity);
                Ok((Told::Done, Some(self.counted(key))))
            }
            What::Adjust { key, delta } => {
                let on_hand = self.stock[key].on_hand;
                if delta == 0 {
                    return Err(error(StockError::Shared(SharedError::Quantity(QuantityError(0)))));
                }
                if delta < 0 && on_hand + delta < 0 {
                    return Err(error(StockError::BelowZero { asked: -delta, on_hand }));
                }
                self.stock[key].on_hand += delta;
                Ok((Told::Done, Some(self.counted(key))))
            }
            What::Switch { key, gate } => {
                let (stopped, opens_at) = match gate {
                    Gate::Open => (false, None),
                    Gate::Stopped => (true, None),
                    Gate::OpensIn { ms } => (false, Some(now + ms)),
                };
                (self.stock[key].stopped, self.stock[key].opens_at) = (stopped, opens_at);
                plain(Told::Done)
            }
            What::Reserve { quantity, at_least, .. } if !(1..=quantity).contains(&at_least) => {
                Err(error(ReserveError::AtLeast { at_least, quantity }))
            }
            What::Reserve { key, quantity, at_least, ttl_ms, .. } => {
                let taken = self.take_least(key, at_least, quantity)?;
                self.no_room().map_or(Ok(()), Err)?;
                let (units, deadline) = self.hold(one(key, taken), ttl_ms);
                Ok((Told::Reserved { units, deadline }, Some(self.counted(key))))
            }
            What::Cart { lines, .. } if sum(lines) == 0 => {
                Err(error(ReserveError::Shared(SharedError::CartLines(0))))
            }
            What::Cart { lines, ttl_ms, .. } => {
                self.take(lines)?;
                self.no_room().map_or(Ok(()), Err)?;
                let (units, deadline) = self.hold(lines, ttl_ms);
                plain(Told::Reserved { units, deadline })
            }
            What::Batch { ref wanted } => {
                self.see_all();
                let mut each = |(key, units): (usize, u32)| {
                    self.take(one(key, units)).is_ok().then(|| self.hold(one(key, units), None))
                };
                plain(Told::Batch(wanted.iter().map(|one| each(*one)).collect()))
            }
            What::Replace { hold, by, ttl_ms } => self.replace(hold, by, ttl_ms),
            What::Confirm { hold, part, retake } => self.confirm(hold, part, retake),
            What::Release { hold } => self.unpaid(hold, |hold| {
                hold.state = HoldState::Released;
                Ok(Told::Moved { units: sum(hold.held), remaining: 0 })
            }),
            What::Extend { hold, ttl_ms } => self.unpaid(hold, |hold| {
                let latest = hold.born + LIFE_MAX_MS;
                if now + ttl_ms > latest.max(hold.deadline) {
                    return Err(error(HoldError::LifeMax { latest: Timestamp(latest) }));
                }
                hold.deadline = hold.deadline.max(now + ttl_ms);
                Ok(Told::Extended { deadline: hold.deadline })
            }),
            What::Pay { hold } => self.unpaid(hold, |hold| {
                if hold.state == HoldState::Paying {
                    return Err(error(HoldError::WrongState(HoldState::Paying)));
                }
                let latest = hold.born + LIFE_MAX_MS;
                hold.deadline = hold.deadline.max((hold.deadline + PAYMENT_MS).min(latest));
                hold.state = HoldState::Paying;
                Ok(Told::Extended { deadline: hold.deadline })
            }),
            What::Cancel { hold, part } => plain(self.sold(hold, part, HoldState::Cancelled)?.0),
            What::Ship { hold, part } => {
                let (told, lines) = self.sold(hold, part, HoldState::Shipped)?;
                let stock = self.stock.iter_mut().zip(lines);
                stock.for_each(|(stock, units)| stock.on_hand -= i64::from(units));
                plain(told)
            }
        }
    }

    fn replace(&mut self, id: HoldId, by: Part, ttl_ms: Option<u64>) -> Result<Answer, Answer> {
        if is_empty(by) {
            return Err(error(ReplaceError::Shared(SharedError::CartLines(0))));
        }
        let hold = *self.see(id).ok_or_else(unknown)?;
        match hold.state {
            HoldState::Active | HoldState::Paying => {}
            HoldState::Expired => return Err(error(ReplaceError::Expired)),
            state => return Err(error(ReplaceError::WrongState(state))),
        }
        let latest = hold.born + LIFE_MAX_MS;
        let deadline = ttl_ms.map_or(hold.deadline, |ttl_ms| self.now + ttl_ms);
        if deadline > latest.max(hold.deadline) {
            return Err(error(ReplaceError::LifeMax { latest: Timestamp(latest) }));
        }
        let keys: Vec<usize> = (0..KEYS_MAX).filter(|key| hold.held[*key] > 0).collect();
        let lines = match (by, &keys[..]) {
            (Part::Lines(lines), _) => lines,
            (Part::Quantity(quantity), &[key]) => one(key, quantity),
            _ => return Err(error(ReplaceError::NameLines { lines: keys.len() })),
        };
        self.take(std::array::from_fn(|key| lines[key].saturating_sub(hold.held[key])))?;
        let changed = self.see(id).ok_or_else(unknown)?;
        (changed.held, changed.deadline) = (lines, deadline.max(hold.deadline));
        Ok((Told::Replaced { units: sum(lines), deadline: changed.deadline }, None))
    }

    fn confirm(&mut self, id: HoldId, part: Part, retake: bool) -> Result<Answer, Answer> {
        if is_empty(part) {
            return Err(error(ConfirmError::Shared(SharedError::CartLines(0))));
        }
        let hold = *self.see(id).ok_or_else(unknown)?;
        let retaken = match hold.state {
            HoldState::Active | HoldState::Paying => false,
            HoldState::Expired if retake => true,
            HoldState::Expired => return Err(error(ConfirmError::Expired)),
            ended => return Err(error(ConfirmError::Ended(ended))),
        };
        let taken = named(part, hold.held).map_err(|why| match why {
            NoPart::NotHeld { key } => (Told::NotHeld { key }, None),
            NoPart::NameLines { lines } => error(ConfirmError::NameLines { lines }),
            NoPart::TooMany { asked, there: held } => error(ConfirmError::TooMany { asked, held }),
        })?;
        if retaken {
            self.take(taken)?;
        }
        let changed = self.see(id).ok_or_else(unknown)?;
        (changed.state, changed.committed) = (HoldState::Confirmed, taken);
        let units = sum(taken);
        let returned = if retaken { 0 } else { sum(hold.held) - units };
        Ok((Told::Confirmed { units, returned, retaken }, None))
    }

    /// Something happens to a hold that is not paid for.
    fn unpaid(
        &mut self,
        id: HoldId,
        change: impl FnOnce(&mut Hold) -> Result<Told, Answer>,
    ) -> Result<Answer, Answer> {
        let hold = self.see(id).ok_or_else(unknown)?;
        match hold.state {
            HoldState::Active | HoldState::Paying => Ok((change(hold)?, None)),
            HoldState::Expired => Err(error(HoldError::Expired)),
            state => Err(error(HoldError::WrongState(state))),
        }
    }

    /// Units of a hold that is paid for leave it; which.
    fn sold(&mut self, id: HoldId, part: Part, emptied: HoldState) -> Result<(Told, Lines), Answer> {
        if is_empty(part) {
            return Err(error(HoldError::Shared(SharedError::CartLines(0))));
        }
        let hold = self.see(id).ok_or_else(unknown)?;
        match hold.state {
            HoldState::Confirmed => {}
            HoldState::Expired => return Err(error(HoldError::Expired)),
            state => return Err(error(HoldError::WrongState(state))),
        }
        let lines = named(part, hold.committed).map_err(|why| match why {
            NoPart::NotHeld { key } => (Told::NotHeld { key }, None),
            NoPart::NameLines { lines } => error(HoldError::NameLines { lines }),
            NoPart::TooMany { asked, there: remaining } => error(HoldError::TooMany { asked, remaining }),
        })?;
        hold.committed.iter_mut().zip(lines).for_each(|(committed, units)| *committed -= units);
        let remaining = sum(hold.committed);
        if remaining == 0 {
            hold.state = emptied;
        }
        Ok((Told::Moved { units: sum(lines), remaining }, lines))
    }
}

/// Of a hold that there is not; its caller asks first.
fn unknown() -> Answer {
    (Told::Error("no such hold".into()), None)
}
