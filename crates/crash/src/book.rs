//! The holds and stock that follow from all operations that happened, in the order of their positions.
//!
//! No answer reports an expiry: a hold that is live in the book has expired in the engine if its deadline has
//! passed.
//!
//! Independent of `crates/model`, on purpose: an error in one of the two must not hide the same in the other.

use std::collections::BTreeMap;

use stockhold::error::LookupError;
use stockhold::{Engine, HoldId, HoldState, StockKey};

use crate::operation::{Answer, Answered, KEYS, Operation};

/// An operation that happened: its number, the request, and the answer.
pub(crate) type Happened<'a> = (u64, &'a Operation, &'a Answered);

#[derive(Clone, PartialEq, Eq, Debug)]
struct Hold {
    /// The key and the units of each line.
    lines: Vec<(u32, u32)>,
    state: HoldState,
    deadline_ms: u64,
}

impl Hold {
    fn units(&self) -> u32 {
        self.lines.iter().map(|line| line.1).sum()
    }

    fn is_live(&self) -> bool {
        matches!(self.state, HoldState::Active | HoldState::Paying)
    }

    /// Sets the units: those of the only line, or zero for all lines.
    fn set_units(&mut self, units: u32) -> Result<(), String> {
        let had = self.units();
        match &mut self.lines[..] {
            _ if units == had => {}
            lines if units == 0 => lines.iter_mut().for_each(|line| line.1 = 0),
            [line] => line.1 = units,
            _ => return Err(format!("{units} units of a cart of {had}")),
        }
        Ok(())
    }
}

/// The level of a key.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
struct Units {
    on_hand: i64,
    held: i64,
    committed: i64,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Book {
    holds: BTreeMap<u128, Hold>,
    on_hand: BTreeMap<u32, i64>,
}

impl Book {
    /// Applies the operations, and adds a complaint for each that was impossible.
    pub(crate) fn of(mut happened: Vec<Happened<'_>>, complaints: &mut Vec<String>) -> Book {
        happened.sort_by_key(|(_, _, answered)| answered.position);
        for pair in happened.windows(2) {
            if pair[0].2.position == pair[1].2.position {
                complaints.push(format!(
                    "operations {:x} and {:x} are both at position {}",
                    pair[0].0, pair[1].0, pair[0].2.position
                ));
            }
        }
        let mut book = Book::default();
        for (number, operation, answered) in happened {
            if let Err(why) = book.apply(operation, &answered.answer) {
                complaints
                    .push(format!("operation {number:x} {operation:?} was answered {answered:?}, but {why}"));
            }
        }
        book
    }

    fn apply(&mut self, operation: &Operation, answer: &Answer) -> Result<(), String> {
        match (operation, answer) {
            (Operation::Receive { key, units }, Answer::Received { .. }) => {
                *self.on_hand.entry(*key).or_default() += i64::from(*units);
            }
            (Operation::Reserve { .. }, Answer::Refused { .. }) => {}
            (Operation::Reserve { lines, .. }, Answer::Granted { hold, units, deadline_ms }) => {
                let new = Hold { lines: lines.list(), state: HoldState::Active, deadline_ms: *deadline_ms };
                if new.units() != *units {
                    return Err(format!("{} units were requested", new.units()));
                }
                if self.holds.insert(*hold, new).is_some() {
                    return Err("another operation was granted this hold".into());
                }
            }
            (
                Operation::Confirm { hold, units, .. },
                Answer::Confirmed { units: sold, returned, retaken },
            ) => {
                let hold = self.live(*hold)?;
                let asked = units.unwrap_or(hold.units());
                // The units of an expired hold were returned at its expiry, not by this confirm.
                let back = if *retaken { 0 } else { hold.units().saturating_sub(asked) };
                if asked != *sold || asked > hold.units() || back != *returned {
                    return Err(format!("it had {} units", hold.units()));
                }
                hold.set_units(*sold)?;
                hold.state = HoldState::Confirmed;
            }
            (Operation::Release { hold }, Answer::Moved { units, remaining: 0 }) => {
                let hold = self.live(*hold)?;
                if hold.units() != *units {
                    return Err(format!("it had {} units", hold.units()));
                }
                hold.state = HoldState::Released;
            }
            (Operation::Extend { hold, .. }, Answer::Extended { deadline_ms }) => {
                let hold = self.live(*hold)?;
                hold.deadline_ms = hold.deadline_ms.max(*deadline_ms);
            }
            (Operation::Pay { hold }, Answer::Extended { deadline_ms }) => {
                let hold = self.live(*hold)?;
                hold.deadline_ms = hold.deadline_ms.max(*deadline_ms);
                hold.state = HoldState::Paying;
            }
            (Operation::Replace { hold, units }, Answer::Replaced { units: now, deadline_ms }) => {
                let hold = self.live(*hold)?;
                if units != now {
                    return Err("another quantity was requested".into());
                }
                hold.set_units(*units)?;
                hold.deadline_ms = hold.deadline_ms.max(*deadline_ms);
            }
            (Operation::Ship { hold, units }, Answer::Moved { units: gone, remaining }) => {
                let before = self.leave(*hold, *units, *gone, *remaining, HoldState::Shipped)?;
                for ((key, had), (_, has)) in before.lines.iter().zip(&self.holds[hold].lines) {
                    *self.on_hand.entry(*key).or_default() -= i64::from(had - has);
                }
            }
            (Operation::Cancel { hold }, Answer::Moved { units: gone, remaining }) => {
                self.leave(*hold, None, *gone, *remaining, HoldState::Cancelled)?;
            }
            _ => return Err("that answer does not fit the request".into()),
        }
        Ok(())
    }

    /// Takes units out of a confirmed hold. Returns the hold before that.
    fn leave(
        &mut self,
        hold: u128,
        asked: Option<u32>,
        gone: u32,
        remaining: u32,
        end: HoldState,
    ) -> Result<Hold, String> {
        let hold = self.holds.get_mut(&hold).ok_or("its hold was never granted")?;
        let before = hold.clone();
        if hold.state != HoldState::Confirmed
            || gone != asked.unwrap_or(hold.units())
            || gone + remaining != hold.units()
        {
            return Err(format!("its hold was {hold:?}"));
        }
        hold.set_units(remaining)?;
        if remaining == 0 {
            hold.state = end;
        }
        Ok(before)
    }

    fn live(&mut self, hold: u128) -> Result<&mut Hold, String> {
        match self.holds.get_mut(&hold) {
            Some(hold) if hold.is_live() => Ok(hold),
            Some(hold) => Err(format!("its hold was {}", hold.state)),
            None => Err("its hold was never granted".into()),
        }
    }

    /// Compares the engine's holds and levels with these.
    pub(crate) fn compare(&self, engine: &Engine, keys: &[StockKey], complaints: &mut Vec<String>) {
        let now_ms = engine.now().0;
        let mut expected = vec![Units::default(); KEYS as usize];
        for (key, units) in &self.on_hand {
            expected[*key as usize].on_hand = *units;
        }
        for (&id, hold) in &self.holds {
            let over = hold.is_live() && hold.deadline_ms <= now_ms;
            if let Err(why) = same(engine, keys, id, hold, over) {
                complaints.push(format!("hold {id:032x} {:?} until {}: {why}", hold.state, hold.deadline_ms));
            }
            for (key, units) in &hold.lines {
                let expected = &mut expected[*key as usize];
                match hold.state {
                    HoldState::Confirmed => expected.committed += i64::from(*units),
                    _ if hold.is_live() && !over => expected.held += i64::from(*units),
                    _ => {}
                }
            }
        }
        for (number, (key, expected)) in keys.iter().zip(expected).enumerate() {
            let level = match engine.level(*key) {
                Ok(level) => level,
                Err(error) => {
                    complaints.push(format!("item-{number} has no level: {error}"));
                    continue;
                }
            };
            let found = Units { on_hand: level.on_hand, held: level.held, committed: level.committed };
            let available = found.on_hand - found.held - found.committed;
            if found != expected {
                complaints.push(format!("item-{number}: {found:?}, but the answers add up to {expected:?}"));
            } else if level.available != available || engine.available(*key) != Ok(available) || available < 0
            {
                complaints.push(format!("item-{number}: {level:?} does not add up"));
            }
        }
    }
}

/// Compares one hold with the engine's; `over` says that its deadline has passed.
fn same(engine: &Engine, keys: &[StockKey], id: u128, hold: &Hold, over: bool) -> Result<(), String> {
    let status = match engine.status(HoldId::from_u128(id)) {
        Ok(status) => status,
        // The outcome of a hold is not kept for long.
        Err(LookupError::Forgotten) if over || !(hold.is_live() || hold.state == HoldState::Confirmed) => {
            return Ok(());
        }
        Err(error) => return Err(error.to_string()),
    };
    let state = if over { HoldState::Expired } else { hold.state };
    if status.state != state {
        return Err(format!("it is {}", status.state));
    }
    if !matches!(state, HoldState::Active | HoldState::Paying | HoldState::Confirmed) {
        return Ok(());
    }
    let deadline_ms = status.deadline.map(|deadline| deadline.0);
    if hold.is_live() && deadline_ms != Some(hold.deadline_ms) {
        return Err(format!("its deadline is {deadline_ms:?}"));
    }
    let mut lines = status.lines.clone();
    lines.sort_by_key(|line| line.key);
    let mut expected: Vec<_> = hold.lines.iter().map(|(key, units)| (keys[*key as usize], *units)).collect();
    expected.sort_unstable();
    if !lines.iter().map(|line| (line.key, line.quantity)).eq(expected) {
        return Err(format!("it has {:?}, not {:?}", status.lines, hold.lines));
    }
    Ok(())
}
