//! The model: what is true.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use proptest::sample::Index;
use stockhold::error::{Common, ConfirmError, HoldError, StockError};
use stockhold::{HoldState, RefusalReason, Timestamp};

use crate::common::START;
use crate::steps::*;

/// What identifies an operation to its op key, its holds by number.
pub type Content = String;

#[derive(Clone, Debug)]
pub struct Hold {
    pub key: usize,
    pub quantity: u32,
    pub born: u64,
    pub deadline: u64,
    pub state: HoldState,
    pub committed: u32,
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
pub type Answer = Result<(Told, Option<RangeInclusive<i64>>), (Told, Option<RangeInclusive<i64>>)>;

impl Model {
    /// Time decides, at once and for everybody.
    pub fn advance(&mut self, ms: u64) {
        self.now += ms;
        for hold in self.holds.iter_mut().filter(|hold| hold.live() && hold.deadline <= self.now) {
            (hold.state, hold.unseen) = (HoldState::Expired, true);
        }
    }

    pub fn sum(&self, key: usize, units: impl Fn(&Hold) -> u32) -> i64 {
        self.holds.iter().filter(|hold| hold.key == key).map(|hold| i64::from(units(hold))).sum()
    }

    pub fn held(&self, key: usize) -> i64 {
        self.sum(key, |hold| if hold.live() { hold.quantity } else { 0 })
    }

    pub fn available(&self, key: usize) -> i64 {
        self.keys[key].on_hand - self.held(key) - self.sum(key, |hold| hold.committed)
    }

    /// What the counter may say.
    pub fn counted(&self, key: usize) -> RangeInclusive<i64> {
        let available = self.available(key);
        available - self.sum(key, |hold| if hold.unseen { hold.quantity } else { 0 })..=available
    }

    pub fn see_all(&mut self) -> usize {
        self.holds.iter_mut().map(|hold| usize::from(std::mem::take(&mut hold.unseen))).sum()
    }

    /// Whoever looks at a hold sees that it is over.
    pub fn see(&mut self, hold: usize) -> &mut Hold {
        self.holds[hold].unseen = false;
        &mut self.holds[hold]
    }

    /// Takes units, or refuses; a refuser has seen everything that is due.
    pub fn take(&mut self, key: usize, asked: u32) -> Result<(), (Told, Option<RangeInclusive<i64>>)> {
        if self.keys[key].stopped {
            return Err((Told::Refused { reason: RefusalReason::Stopped, asked }, Some(self.counted(key))));
        }
        let available = self.available(key);
        if available < i64::from(asked) {
            self.see_all();
            let refused = Told::Refused { reason: RefusalReason::OutOfStock, asked };
            return Err((refused, Some(available..=available)));
        }
        Ok(())
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
                    let zero = Common::Quantity(stockhold::error::QuantityError(0));
                    return plain(error(StockError::Common(zero)));
                }
                if delta < 0 && on_hand + delta < 0 {
                    return plain(error(StockError::BelowZero { asked: -delta, on_hand }));
                }
                self.keys[key].on_hand += delta;
                Ok((Told::Stock, Some(self.counted(key))))
            }
            What::Switch { key, stopped } => {
                self.keys[key].stopped = stopped;
                Ok((Told::Stock, None))
            }
            What::Reserve { key, quantity, ttl_ms, .. } => {
                self.take(key, quantity)?;
                let deadline = now + ttl_ms.unwrap_or(TTL_DEFAULT_MS);
                let (state, committed, unseen) = (HoldState::Active, 0, false);
                self.holds.push(Hold { key, quantity, born: now, deadline, state, committed, unseen });
                let hold = self.holds.len() - 1;
                Ok((Told::Reserved { hold, quantity, deadline }, Some(self.counted(key))))
            }
            What::Confirm { hold, quantity, retake } => {
                let number = hold.index(self.holds.len());
                let held = self.holds[number].quantity;
                let asked = quantity.unwrap_or(held);
                let (key, state) = (self.holds[number].key, self.see(number).state);
                let retaken = match state {
                    HoldState::Active | HoldState::Paying if asked > held => {
                        return plain(error(ConfirmError::TooMany { asked, held }));
                    }
                    HoldState::Expired if retake && asked > held => {
                        return plain(error(ConfirmError::TooMany { asked, held }));
                    }
                    HoldState::Active | HoldState::Paying => false,
                    HoldState::Expired if retake => {
                        self.take(key, asked)?;
                        true
                    }
                    HoldState::Expired => return plain(error(ConfirmError::Expired)),
                    ended => return plain(error(ConfirmError::Ended(ended))),
                };
                let hold = &mut self.holds[number];
                (hold.state, hold.committed) = (HoldState::Confirmed, asked);
                let returned = if retaken { 0 } else { held - asked };
                plain(Ok(Told::Confirmed { hold: number, quantity: asked, returned, retaken }))
            }
            What::Release { hold } => plain(self.unpaid(hold, |hold| {
                hold.state = HoldState::Released;
                Ok(|hold, held: &Hold| Told::Moved { hold, quantity: held.quantity, remaining: 0 })
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
            What::Cancel { hold, quantity } => plain(self.sold(hold, quantity, HoldState::Cancelled)),
            What::Ship { hold, quantity } => {
                let shipped = self.sold(hold, quantity, HoldState::Shipped);
                if let Ok(Told::Moved { hold, quantity, .. }) = shipped {
                    self.keys[self.holds[hold].key].on_hand -= i64::from(quantity);
                }
                plain(shipped)
            }
            _ => unreachable!("not an operation"),
        }
    }

    /// Something happens to a hold that is not paid for.
    pub fn unpaid<A: FnOnce(usize, &Hold) -> Told>(
        &mut self,
        hold: Index,
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

    /// Units of a hold that is paid for leave it.
    pub fn sold(&mut self, hold: Index, quantity: Option<u32>, emptied: HoldState) -> Result<Told, Told> {
        let number = hold.index(self.holds.len());
        let hold = self.see(number);
        match hold.state {
            HoldState::Confirmed => {}
            HoldState::Expired => return error(HoldError::Expired),
            state => return error(HoldError::WrongState(state)),
        }
        let (asked, remaining) = (quantity.unwrap_or(hold.committed), hold.committed);
        if asked > remaining {
            return error(HoldError::TooMany { asked, remaining });
        }
        hold.committed -= asked;
        if hold.committed == 0 {
            hold.state = emptied;
        }
        Ok(Told::Moved { hold: number, quantity: asked, remaining: hold.committed })
    }
}
