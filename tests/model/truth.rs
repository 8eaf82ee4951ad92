//! The model: what is true.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use stockhold::error::{ConfirmError, HoldError, ReplaceError, ReserveError, SharedError, StockError};
use stockhold::{HoldState, RefusalReason, Timestamp};

use crate::common::START;
use crate::steps::*;

/// What identifies an operation to its op key, its holds by number.
pub type Content = String;

#[derive(Clone, Debug)]
pub struct Hold {
    /// Units held, until it has ended.
    pub held: Lines,
    pub committed: Lines,
    pub reference: usize,
    pub born: u64,
    pub deadline: u64,
    pub state: HoldState,
    /// It is due, and maybe nobody has closed it.
    pub unseen: bool,
}

impl Hold {
    pub fn live(&self) -> bool {
        matches!(self.state, HoldState::Active | HoldState::Paying)
    }

    /// Its place may be another's by now.
    pub fn may_be_forgotten(&self) -> bool {
        matches!(self.state, HoldState::Released | HoldState::Shipped | HoldState::Cancelled)
    }
}

#[derive(Clone, Default, Debug)]
pub struct Key {
    pub on_hand: i64,
    pub stopped: bool,
    pub opens_at: Option<u64>,
}

/// What is true.
#[derive(Default)]
pub struct Model {
    pub now: u64,
    pub keys: [Key; KEYS],
    pub holds: Vec<Hold>,
    pub op_keys: BTreeMap<u8, Content>,
}

/// An answer and the number in it: units left, or available.
pub type Answer = Result<(Told, Option<RangeInclusive<i64>>), Refused>;

/// Why not, and what was available.
pub type Refused = (Told, Option<RangeInclusive<i64>>);

/// Why a hold has no such part.
enum NoPart {
    TooMany { asked: u32, there: u32 },
    NotHeld { key: usize },
    NameLines { lines: usize },
}

fn one(key: usize, quantity: u32) -> Lines {
    let mut lines = [0; KEYS];
    lines[key] = quantity;
    lines
}

fn sum(lines: Lines) -> u32 {
    lines.iter().sum()
}

fn no_lines() -> SharedError {
    SharedError::CartLines(0)
}

fn is_empty(part: Part) -> bool {
    matches!(part, Part::Lines(lines) if sum(lines) == 0)
}

/// The part of `there` that is named.
fn named(part: Part, there: Lines) -> Result<Lines, NoPart> {
    let mut keys = (0..KEYS).filter(|key| there[*key] > 0);
    match part {
        Part::Whole => Ok(there),
        Part::Quantity(asked) if asked > sum(there) => Err(NoPart::TooMany { asked, there: sum(there) }),
        Part::Quantity(asked) if asked == sum(there) => Ok(there),
        Part::Quantity(asked) => match (keys.next(), keys.count()) {
            (Some(key), 0) => Ok(one(key, asked)),
            (_, more) => Err(NoPart::NameLines { lines: 1 + more }),
        },
        Part::Lines(lines) => match (0..KEYS).find(|key| lines[*key] > there[*key]) {
            None => Ok(lines),
            Some(key) if there[key] == 0 => Err(NoPart::NotHeld { key }),
            Some(key) => Err(NoPart::TooMany { asked: lines[key], there: there[key] }),
        },
    }
}

impl Model {
    /// Time decides, at once and for everybody.
    pub fn advance(&mut self, ms: u64) {
        self.now += ms;
        for hold in self.holds.iter_mut().filter(|hold| hold.live() && hold.deadline <= self.now) {
            (hold.state, hold.unseen) = (HoldState::Expired, true);
        }
    }

    pub fn sum(&self, units: impl Fn(&Hold) -> u32) -> i64 {
        self.holds.iter().map(|hold| i64::from(units(hold))).sum()
    }

    pub fn held(&self, key: usize) -> i64 {
        self.sum(|hold| if hold.live() { hold.held[key] } else { 0 })
    }

    pub fn committed(&self, key: usize) -> i64 {
        self.sum(|hold| hold.committed[key])
    }

    pub fn available(&self, key: usize) -> i64 {
        self.keys[key].on_hand - self.held(key) - self.committed(key)
    }

    /// What the counter may say.
    pub fn counted(&self, key: usize) -> RangeInclusive<i64> {
        let available = self.available(key);
        available - self.sum(|hold| if hold.unseen { hold.held[key] } else { 0 })..=available
    }

    /// Nobody has shipped it for long.
    pub fn ship_by_time(&mut self, number: usize) {
        let hold = &mut self.holds[number];
        assert!(hold.born + COMMITMENTS_KEPT_MS <= self.now, "hold {number} was shipped before its time");
        hold.state = HoldState::Shipped;
        for (key, units) in self.keys.iter_mut().zip(std::mem::take(&mut hold.committed)) {
            key.on_hand -= i64::from(units);
        }
    }

    pub fn see_all(&mut self) -> usize {
        self.holds.iter_mut().map(|hold| usize::from(std::mem::take(&mut hold.unseen))).sum()
    }

    /// Whoever looks at a hold sees that it is over.
    pub fn see(&mut self, hold: usize) -> &mut Hold {
        self.holds[hold].unseen = false;
        &mut self.holds[hold]
    }

    /// Whether all lines are on sale and there. A refuser has seen everything that is due.
    pub fn take(&mut self, lines: Lines) -> Result<(), Refused> {
        for key in (0..KEYS).filter(|key| lines[*key] > 0) {
            self.take_least(key, lines[key], lines[key])?;
        }
        Ok(())
    }

    /// How many units are taken: `most`, or all there are if these are `least` or more.
    pub fn take_least(&mut self, key: usize, least: u32, most: u32) -> Result<u32, Refused> {
        let Key { stopped, opens_at, .. } = self.keys[key];
        let closed = match opens_at {
            _ if stopped => Some(RefusalReason::Stopped),
            Some(moment) if self.now < moment => Some(RefusalReason::NotOpen),
            _ => None,
        };
        if let Some(reason) = closed {
            return Err((Told::Refused { reason, key, asked: least }, Some(self.counted(key))));
        }
        let available = self.available(key);
        if available >= i64::from(most) {
            return Ok(most);
        }
        self.see_all();
        if available >= i64::from(least) {
            return Ok(available as u32);
        }
        let refused = Told::Refused { reason: RefusalReason::OutOfStock, key, asked: least };
        Err((refused, Some(available..=available)))
    }

    fn hold(&mut self, held: Lines, ttl_ms: Option<u64>) -> (usize, u32, u64) {
        let reference = held.iter().position(|units| *units > 0).expect("it holds something");
        let (born, deadline) = (self.now, self.now + ttl_ms.unwrap_or(TTL_DEFAULT_MS));
        let (state, committed, unseen) = (HoldState::Active, [0; KEYS], false);
        self.holds.push(Hold { held, committed, reference, born, deadline, state, unseen });
        (self.holds.len() - 1, sum(held), deadline)
    }

    pub fn apply(&mut self, what: &What) -> Answer {
        let now = self.now;
        let plain = |answer: Result<Told, Told>| answer.map(|told| (told, None)).map_err(|told| (told, None));
        match *what {
            What::Receive { key, quantity } => {
                self.keys[key].on_hand += i64::from(quantity);
                Ok((Told::Stock, Some(self.counted(key))))
            }
            What::Adjust { key, delta } => {
                let on_hand = self.keys[key].on_hand;
                if delta == 0 {
                    let zero = SharedError::Quantity(stockhold::error::QuantityError(0));
                    return plain(error(StockError::Shared(zero)));
                }
                if delta < 0 && on_hand + delta < 0 {
                    return plain(error(StockError::BelowZero { asked: -delta, on_hand }));
                }
                self.keys[key].on_hand += delta;
                Ok((Told::Stock, Some(self.counted(key))))
            }
            What::Switch { key, gate } => {
                let (stopped, opens_at) = match gate {
                    Gate::Open => (false, None),
                    Gate::Stopped => (true, None),
                    Gate::OpensIn { ms } => (false, Some(now + ms)),
                };
                (self.keys[key].stopped, self.keys[key].opens_at) = (stopped, opens_at);
                Ok((Told::Stock, None))
            }
            What::Reserve { quantity, at_least, .. } if !(1..=quantity).contains(&at_least) => {
                plain(error(ReserveError::AtLeast { at_least, quantity }))
            }
            What::Reserve { key, quantity, at_least, ttl_ms, .. } => {
                let taken = self.take_least(key, at_least, quantity)?;
                let (hold, quantity, deadline) = self.hold(one(key, taken), ttl_ms);
                Ok((Told::Reserved { hold, quantity, deadline }, Some(self.counted(key))))
            }
            What::Cart { lines, .. } if sum(lines) == 0 => plain(error(ReserveError::Shared(no_lines()))),
            What::Cart { lines, ttl_ms, .. } => {
                self.take(lines)?;
                let (hold, quantity, deadline) = self.hold(lines, ttl_ms);
                plain(Ok(Told::Reserved { hold, quantity, deadline }))
            }
            What::Batch { ref wanted } => {
                self.see_all();
                let mut each = |(key, quantity)| {
                    let granted = self.take(one(key, quantity)).is_ok();
                    granted.then(|| self.hold(one(key, quantity), None))
                };
                plain(Ok(Told::Batch(wanted.iter().map(|one| each(*one)).collect())))
            }
            What::Replace { by, .. } if is_empty(by) => plain(error(ReplaceError::Shared(no_lines()))),
            What::Replace { hold, by, ttl_ms } => {
                let number = hold.index(self.holds.len());
                let hold = self.see(number).clone();
                match hold.state {
                    HoldState::Active | HoldState::Paying => {}
                    HoldState::Expired => return plain(error(ReplaceError::Expired)),
                    state => return plain(error(ReplaceError::WrongState(state))),
                }
                let latest = hold.born + LIFE_MAX_MS;
                let deadline = ttl_ms.map_or(hold.deadline, |ttl_ms| now + ttl_ms);
                if deadline > latest.max(hold.deadline) {
                    return plain(error(ReplaceError::LifeMax { latest: Timestamp(START.0 + latest) }));
                }
                let keys: Vec<usize> = (0..KEYS).filter(|key| hold.held[*key] > 0).collect();
                let lines = match (by, &keys[..]) {
                    (Part::Lines(lines), _) => lines,
                    (Part::Quantity(quantity), &[key]) => one(key, quantity),
                    _ => return plain(error(ReplaceError::NameLines { lines: keys.len() })),
                };
                self.take(std::array::from_fn(|key| lines[key].saturating_sub(hold.held[key])))?;
                let changed = &mut self.holds[number];
                (changed.held, changed.deadline) = (lines, deadline.max(hold.deadline));
                let (quantity, deadline) = (sum(lines), changed.deadline);
                plain(Ok(Told::Replaced { hold: number, quantity, deadline }))
            }
            What::Confirm { part, .. } if is_empty(part) => plain(error(ConfirmError::Shared(no_lines()))),
            What::Confirm { hold, part, retake } => {
                let number = hold.index(self.holds.len());
                let hold = self.see(number).clone();
                let retaken = match hold.state {
                    HoldState::Active | HoldState::Paying => false,
                    HoldState::Expired if retake => true,
                    HoldState::Expired => return plain(error(ConfirmError::Expired)),
                    ended => return plain(error(ConfirmError::Ended(ended))),
                };
                let taken = match named(part, hold.held) {
                    Ok(taken) => taken,
                    Err(NoPart::NotHeld { key }) => return plain(Err(Told::NotHeld { key })),
                    Err(NoPart::NameLines { lines }) => {
                        return plain(error(ConfirmError::NameLines { lines }));
                    }
                    Err(NoPart::TooMany { asked, there: held }) => {
                        return plain(error(ConfirmError::TooMany { asked, held }));
                    }
                };
                if retaken {
                    self.take(taken)?;
                }
                let changed = &mut self.holds[number];
                (changed.state, changed.committed) = (HoldState::Confirmed, taken);
                let quantity = sum(taken);
                let returned = if retaken { 0 } else { sum(hold.held) - quantity };
                plain(Ok(Told::Confirmed { hold: number, quantity, returned, retaken }))
            }
            What::Release { hold } => plain(self.unpaid(hold, |hold| {
                hold.state = HoldState::Released;
                Ok(|hold, held: &Hold| Told::Moved { hold, quantity: sum(held.held), remaining: 0 })
            })),
            What::Extend { hold, ttl_ms } => plain(self.unpaid(hold, |hold| {
                let latest = hold.born + LIFE_MAX_MS;
                if now + ttl_ms > latest.max(hold.deadline) {
                    return error(HoldError::LifeMax { latest: Timestamp(START.0 + latest) });
                }
                hold.deadline = hold.deadline.max(now + ttl_ms);
                Ok(|hold, held: &Hold| Told::Extended { hold, deadline: held.deadline })
            })),
            What::Pay { hold } => plain(self.unpaid(hold, |hold| {
                if hold.state == HoldState::Paying {
                    return error(HoldError::WrongState(HoldState::Paying));
                }
                let latest = hold.born + LIFE_MAX_MS;
                hold.deadline = hold.deadline.max((hold.deadline + PAYMENT_MS).min(latest));
                hold.state = HoldState::Paying;
                Ok(|hold, held: &Hold| Told::Extended { hold, deadline: held.deadline })
            })),
            What::Cancel { hold, part } => {
                plain(self.sold(hold, part, HoldState::Cancelled).map(|(told, _)| told))
            }
            What::Ship { hold, part } => {
                let shipped = self.sold(hold, part, HoldState::Shipped);
                plain(shipped.map(|(told, lines)| {
                    self.keys.iter_mut().zip(lines).for_each(|(key, units)| key.on_hand -= i64::from(units));
                    told
                }))
            }
            _ => unreachable!("not an operation"),
        }
    }

    /// Something happens to a hold that is not paid for.
    pub fn unpaid<A: FnOnce(usize, &Hold) -> Told>(
        &mut self,
        hold: Which,
        change: impl FnOnce(&mut Hold) -> Result<A, Told>,
    ) -> Result<Told, Told> {
        let number = hold.index(self.holds.len());
        let hold = self.see(number);
        match hold.state {
            HoldState::Active | HoldState::Paying => {}
            HoldState::Expired => return error(HoldError::Expired),
            state => return error(HoldError::WrongState(state)),
        }
        let answer = change(hold)?;
        Ok(answer(number, hold))
    }

    /// Units of a hold that is paid for leave it; which.
    pub fn sold(&mut self, hold: Which, part: Part, emptied: HoldState) -> Result<(Told, Lines), Told> {
        if is_empty(part) {
            return error(HoldError::Shared(no_lines()));
        }
        let number = hold.index(self.holds.len());
        let hold = self.see(number);
        match hold.state {
            HoldState::Confirmed => {}
            HoldState::Expired => return error(HoldError::Expired),
            state => return error(HoldError::WrongState(state)),
        }
        let lines = match named(part, hold.committed) {
            Ok(lines) => lines,
            Err(NoPart::NotHeld { key }) => return Err(Told::NotHeld { key }),
            Err(NoPart::NameLines { lines }) => return error(HoldError::NameLines { lines }),
            Err(NoPart::TooMany { asked, there: remaining }) => {
                return error(HoldError::TooMany { asked, remaining });
            }
        };
        hold.committed.iter_mut().zip(lines).for_each(|(committed, units)| *committed -= units);
        let remaining = sum(hold.committed);
        if remaining == 0 {
            hold.state = emptied;
        }
        Ok((Told::Moved { hold: number, quantity: sum(lines), remaining }, lines))
    }
}
