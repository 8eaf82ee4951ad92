//! Does operations.

use crate::{
    Answer, Failure, Grant, Hold, HoldState, KEYS_MAX, Lines, Model, Operation, RefusalReason, Reply,
    SaleSwitch, Selection, Stock,
};

fn one(key: usize, quantity: u32) -> Lines {
    let mut lines = [0; KEYS_MAX];
    lines[key] = quantity;
    lines
}

fn sum(lines: Lines) -> u32 {
    lines.iter().sum()
}

/// The units of `has` that are selected.
fn selected(selection: Selection, has: Lines) -> Result<Lines, Failure> {
    let keys: Vec<usize> = (0..KEYS_MAX).filter(|key| has[*key] > 0).collect();
    match (selection, &keys[..]) {
        (Selection::Whole, _) => Ok(has),
        (Selection::Quantity(asked), _) if asked > sum(has) => Err(Failure::TooMany { asked, has: sum(has) }),
        (Selection::Quantity(asked), _) if asked == sum(has) => Ok(has),
        (Selection::Quantity(asked), &[key]) => Ok(one(key, asked)),
        (Selection::Quantity(_), keys) => Err(Failure::NameLines { lines: keys.len() }),
        (Selection::Lines(lines), _) => match (0..KEYS_MAX).find(|key| lines[*key] > has[*key]) {
            None => Ok(lines),
            Some(key) if has[key] == 0 => Err(Failure::NotHeld { key }),
            Some(key) => Err(Failure::TooMany { asked: lines[key], has: has[key] }),
        },
    }
}

impl Model {
    /// Does an operation. One that names a hold names one that there is.
    pub fn apply(&mut self, operation: &Operation<usize>) -> Reply {
        self.try_apply(operation).unwrap_or_else(|refused| refused)
    }

    /// The same; `Err` if nothing was done.
    fn try_apply(&mut self, operation: &Operation<usize>) -> Result<Reply, Reply> {
        match *operation {
            Operation::Declare { name } => {
                if self.stock.iter().all(|stock| stock.name != name) {
                    self.stock.push(Stock { name, ..Stock::default() });
                }
                Ok(Reply::new(Answer::Done))
            }
            Operation::Prepare { .. } => Ok(Reply::new(Answer::Done)),
            Operation::Receive { key, quantity } => {
                self.stock[key].on_hand += i64::from(quantity);
                Ok(Reply { answer: Answer::Done, number: Some(self.counted(key)) })
            }
            Operation::Adjust { key, delta } => self.adjust(key, delta),
            Operation::Switch { key, to } => {
                let (stopped, opens_at_ms) = match to {
                    SaleSwitch::Open => (false, None),
                    SaleSwitch::Stopped => (true, None),
                    SaleSwitch::OpensIn { ms } => (false, Some(self.now_ms + ms)),
                };
                (self.stock[key].stopped, self.stock[key].opens_at_ms) = (stopped, opens_at_ms);
                Ok(Reply::new(Answer::Done))
            }
            Operation::Reserve { key, quantity, at_least, ttl_ms, .. } => {
                if !(1..=quantity).contains(&at_least) {
                    return Err(Failure::AtLeast { at_least, quantity }.into());
                }
                let taken = self.take_at_least(key, at_least, quantity)?;
                self.check_room()?;
                let grant = self.hold(one(key, taken), ttl_ms);
                Ok(Reply { answer: Answer::Reserved(grant), number: Some(self.counted(key)) })
            }
            Operation::Cart { lines, ttl_ms, .. } => {
                if sum(lines) == 0 {
                    return Err(Failure::NoLines.into());
                }
                self.take(lines)?;
                self.check_room()?;
                Ok(Reply::new(Answer::Reserved(self.hold(lines, ttl_ms))))
            }
            Operation::Batch { ref requests } => {
                self.see_all();
                let mut grant = |&(key, quantity): &(usize, u32)| {
                    let lines = one(key, quantity);
                    self.take(lines).is_ok().then(|| self.hold(lines, None))
                };
                Ok(Reply::new(Answer::Batch(requests.iter().map(&mut grant).collect())))
            }
            Operation::Replace { hold, by, ttl_ms } => self.replace(hold, by, ttl_ms),
            Operation::Confirm { hold, selection, retake } => self.confirm(hold, selection, retake),
            Operation::Release { hold: number } => {
                let hold = self.live_hold(number)?;
                hold.state = HoldState::Released;
                let quantity = sum(hold.held);
                Ok(Reply::new(Answer::Moved { hold: number, quantity, remaining: 0 }))
            }
            Operation::Extend { hold, ttl_ms } => self.extend(hold, ttl_ms),
            Operation::BeginPayment { hold } => self.begin_payment(hold),
            Operation::Cancel { hold, selection } => Ok(self.leave(hold, selection, HoldState::Cancelled)?.0),
            Operation::Ship { hold, selection } => {
                let (reply, lines) = self.leave(hold, selection, HoldState::Shipped)?;
                let stock = self.stock.iter_mut().zip(lines);
                stock.for_each(|(stock, units)| stock.on_hand -= i64::from(units));
                Ok(reply)
            }
        }
    }

    fn adjust(&mut self, key: usize, delta: i64) -> Result<Reply, Reply> {
        let on_hand = self.stock[key].on_hand;
        if delta == 0 {
            return Err(Failure::NoQuantity.into());
        }
        if delta < 0 && on_hand + delta < 0 {
            return Err(Failure::BelowZero { asked: -delta, on_hand }.into());
        }
        self.stock[key].on_hand += delta;
        Ok(Reply { answer: Answer::Done, number: Some(self.counted(key)) })
    }

    /// Whether all lines are on sale and available.
    fn take(&mut self, lines: Lines) -> Result<(), Reply> {
        for key in (0..KEYS_MAX).filter(|key| lines[*key] > 0) {
            self.take_at_least(key, lines[key], lines[key])?;
        }
        Ok(())
    }

    /// How many units can be taken: `most`, or all that are available if these are `least` or more.
    fn take_at_least(&mut self, key: usize, least: u32, most: u32) -> Result<u32, Reply> {
        let Stock { stopped, opens_at_ms, .. } = self.stock[key];
        let closed = match opens_at_ms {
            _ if stopped => Some(RefusalReason::Stopped),
            Some(moment_ms) if self.now_ms < moment_ms => Some(RefusalReason::NotOpen),
            _ => None,
        };
        let refused = |reason| Answer::Refused { reason, key, asked: least };
        if let Some(reason) = closed {
            return Err(Reply { answer: refused(reason), number: Some(self.counted(key)) });
        }
        let available = self.available(key);
        if available >= i64::from(most) {
            return Ok(most);
        }
        // Before it takes less or refuses, an engine closes everything that is due.
        self.see_all();
        if available >= i64::from(least) {
            return Ok(available as u32);
        }
        Err(Reply { answer: refused(RefusalReason::OutOfStock), number: Some(available..=available) })
    }

    /// Whether there can be another hold.
    fn check_room(&self) -> Result<(), Reply> {
        let open = self.holds.iter().filter(|hold| hold.is_open()).count();
        let holds_max = self.rules.holds_max;
        if open < holds_max { Ok(()) } else { Err(Failure::HoldsFull { holds_max: holds_max as u32 }.into()) }
    }

    /// Makes a hold.
    fn hold(&mut self, held: Lines, ttl_ms: Option<u64>) -> Grant {
        let born_ms = self.now_ms;
        let deadline_ms = born_ms + ttl_ms.unwrap_or(self.rules.ttl_default_ms);
        let first_key = held.iter().position(|units| *units > 0).expect("it holds something");
        let (state, committed) = (HoldState::Active, [0; KEYS_MAX]);
        self.holds.push(Hold { held, committed, first_key, born_ms, deadline_ms, state, unseen: false });
        Grant { hold: self.holds.len() - 1, quantity: sum(held), deadline_ms }
    }

    /// A hold to which something happens before it is paid for.
    fn live_hold(&mut self, number: usize) -> Result<&mut Hold, Reply> {
        let hold = self.see(number);
        match hold.state {
            HoldState::Active | HoldState::Paying => Ok(hold),
            HoldState::Expired => Err(Failure::Expired.into()),
            state => Err(Failure::WrongState(state).into()),
        }
    }

    fn replace(&mut self, number: usize, by: Selection, ttl_ms: Option<u64>) -> Result<Reply, Reply> {
        if by.is_empty() {
            return Err(Failure::NoLines.into());
        }
        let hold = *self.live_hold(number)?;
        let latest_ms = hold.born_ms + self.rules.life_max_ms;
        let deadline_ms = ttl_ms.map_or(hold.deadline_ms, |ttl_ms| self.now_ms + ttl_ms);
        if deadline_ms > latest_ms.max(hold.deadline_ms) {
            return Err(Failure::LifeMax { latest_ms }.into());
        }
        let keys: Vec<usize> = (0..KEYS_MAX).filter(|key| hold.held[*key] > 0).collect();
        let lines = match (by, &keys[..]) {
            (Selection::Lines(lines), _) => lines,
            (Selection::Quantity(quantity), &[key]) => one(key, quantity),
            _ => return Err(Failure::NameLines { lines: keys.len() }.into()),
        };
        self.take(std::array::from_fn(|key| lines[key].saturating_sub(hold.held[key])))?;
        let deadline_ms = deadline_ms.max(hold.deadline_ms);
        let changed = &mut self.holds[number];
        (changed.held, changed.deadline_ms) = (lines, deadline_ms);
        Ok(Reply::new(Answer::Replaced(Grant { hold: number, quantity: sum(lines), deadline_ms })))
    }

    fn confirm(&mut self, number: usize, selection: Selection, retake: bool) -> Result<Reply, Reply> {
        if selection.is_empty() {
            return Err(Failure::NoLines.into());
        }
        let hold = *self.see(number);
        let retaken = match hold.state {
            HoldState::Active | HoldState::Paying => false,
            HoldState::Expired if retake => true,
            HoldState::Expired => return Err(Failure::Expired.into()),
            ended => return Err(Failure::Ended(ended).into()),
        };
        let taken = selected(selection, hold.held)?;
        if retaken {
            self.take(taken)?;
        }
        let changed = &mut self.holds[number];
        (changed.state, changed.committed) = (HoldState::Confirmed, taken);
        let quantity = sum(taken);
        let returned = if retaken { 0 } else { sum(hold.held) - quantity };
        Ok(Reply::new(Answer::Confirmed { hold: number, quantity, returned, retaken }))
    }

    fn extend(&mut self, number: usize, ttl_ms: u64) -> Result<Reply, Reply> {
        let (now_ms, life_max_ms) = (self.now_ms, self.rules.life_max_ms);
        let hold = self.live_hold(number)?;
        let latest_ms = hold.born_ms + life_max_ms;
        if now_ms + ttl_ms > latest_ms.max(hold.deadline_ms) {
            return Err(Failure::LifeMax { latest_ms }.into());
        }
        hold.deadline_ms = hold.deadline_ms.max(now_ms + ttl_ms);
        Ok(Reply::new(Answer::Extended { hold: number, deadline_ms: hold.deadline_ms }))
    }

    fn begin_payment(&mut self, number: usize) -> Result<Reply, Reply> {
        let (payment_ms, life_max_ms) = (self.rules.payment_ms, self.rules.life_max_ms);
        let hold = self.live_hold(number)?;
        if hold.state == HoldState::Paying {
            return Err(Failure::WrongState(HoldState::Paying).into());
        }
        let latest_ms = hold.born_ms + life_max_ms;
        hold.deadline_ms = hold.deadline_ms.max((hold.deadline_ms + payment_ms).min(latest_ms));
        hold.state = HoldState::Paying;
        Ok(Reply::new(Answer::Extended { hold: number, deadline_ms: hold.deadline_ms }))
    }

    /// Units of a hold that is paid for leave it, and the last of them end it as `emptied`; which units.
    fn leave(
        &mut self,
        number: usize,
        selection: Selection,
        emptied: HoldState,
    ) -> Result<(Reply, Lines), Reply> {
        if selection.is_empty() {
            return Err(Failure::NoLines.into());
        }
        let hold = self.see(number);
        match hold.state {
            HoldState::Confirmed => {}
            HoldState::Expired => return Err(Failure::Expired.into()),
            state => return Err(Failure::WrongState(state).into()),
        }
        let lines = selected(selection, hold.committed)?;
        hold.committed.iter_mut().zip(lines).for_each(|(committed, units)| *committed -= units);
        let remaining = sum(hold.committed);
        if remaining == 0 {
            hold.state = emptied;
        }
        Ok((Reply::new(Answer::Moved { hold: number, quantity: sum(lines), remaining }), lines))
    }
}
