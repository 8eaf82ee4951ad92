//! Checks that an engine, usually one just opened from disk, has everything that was acknowledged.

use stockhold::error::LookupError;
use stockhold::{Engine, HoldId, HoldState, StockKey};

use super::purchase::{Fate, Purchase};
use super::shop::SaleClock;

/// The result of an audit.
#[derive(Debug, Default)]
pub(crate) struct Audit {
    /// Acknowledged holds that exist in the state that was acknowledged.
    pub(crate) found: u64,
    /// Acknowledged holds that do not.
    pub(crate) lost: u64,
    /// Every failed check as a sentence: the first few lost holds, and each level that does not add up.
    pub(crate) complaints: Vec<String>,
}

/// Number of lost holds that get a sentence; the others are only counted.
const LOST_SHOWN_MAX: u64 = 5;

impl Audit {
    pub(crate) fn is_clean(&self) -> bool {
        self.lost == 0 && self.complaints.is_empty()
    }

    /// Looks up one acknowledged hold. A live one may have expired since, if its deadline has passed.
    pub(crate) fn hold(&mut self, engine: &Engine, clock: SaleClock, purchase: &Purchase) {
        let before_ns = clock.stopwatch.now_ns();
        let status = engine.status(HoldId::from_u128(purchase.hold));
        let after_ns = clock.stopwatch.now_ns();
        let ended = match purchase.fate {
            Fate::Confirmed => false,
            Fate::Live => after_ns >= purchase.deadline_ns,
            // An engine may forget how a hold ended, but not that it ended.
            Fate::Released | Fate::Expired => true,
        };
        let as_acknowledged = match (&status, purchase.fate) {
            (Ok(status), fate) => {
                let state = match fate {
                    Fate::Confirmed => status.state == HoldState::Confirmed,
                    Fate::Released => status.state == HoldState::Released,
                    Fate::Expired => status.state == HoldState::Expired,
                    Fate::Live => match status.state {
                        HoldState::Active => before_ns < purchase.deadline_ns,
                        HoldState::Expired => ended,
                        _ => false,
                    },
                };
                let holds = matches!(status.state, HoldState::Confirmed | HoldState::Active);
                state && (!holds || status.quantity == purchase.quantity)
            }
            (Err(LookupError::Forgotten), _) => ended,
            (Err(_), _) => false,
        };
        if as_acknowledged {
            self.found += 1;
            return;
        }
        self.lost += 1;
        if self.lost <= LOST_SHOWN_MAX {
            let found = match status {
                Ok(status) => format!("found {:?} with {} units", status.state, status.quantity),
                Err(error) => format!("not found: {error}"),
            };
            let Purchase { hold, quantity, fate, .. } = purchase;
            self.complaints.push(format!(
                "hold {hold:032x} of {quantity} units was acknowledged as {fate:?}, but {found}"
            ));
        }
    }

    /// Compares the level of a key with what the shoppers know, and returns the number of oversold units.
    /// `expected` is called after the level was read, so that it can include the holds that may have expired
    /// by then.
    pub(crate) fn level(
        &mut self,
        engine: &Engine,
        key: StockKey,
        name: &str,
        expected: impl FnOnce() -> ExpectedLevel,
    ) -> i64 {
        let level = match engine.level(key) {
            Ok(level) => level,
            Err(error) => {
                self.complaints.push(format!("the level of {name} cannot be read: {error}"));
                return 0;
            }
        };
        let expected = expected();
        let mut compare = |term: &str, found: i64, low: u64, high: u64| {
            if found < low as i64 || found > high as i64 {
                let expected = if low == high { low.to_string() } else { format!("{low} to {high}") };
                self.complaints.push(format!("{name}: {term} is {found}, expected {expected}"));
            }
        };
        compare("on hand", level.on_hand, expected.on_hand, expected.on_hand);
        compare("committed", level.committed, expected.committed.0, expected.committed.1);
        compare("held", level.held, expected.held.0, expected.held.1);
        if level.on_hand != level.available + level.held + level.committed {
            self.complaints.push(format!("{name}: the level does not add up: {level:?}"));
        }
        // There were no adjustments, so held and committed units may never exceed the units on hand.
        let oversold = (level.held + level.committed - level.on_hand).max(0);
        if oversold > 0 {
            self.complaints
                .push(format!("{name}: {oversold} more units are held or committed than on hand: {level:?}"));
        }
        oversold
    }
}

/// The level of one key according to the shoppers, in units: lowest and highest where it is not known
/// exactly.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ExpectedLevel {
    pub(crate) on_hand: u64,
    pub(crate) committed: (u64, u64),
    pub(crate) held: (u64, u64),
}
