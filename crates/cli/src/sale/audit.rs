//! Looks into an engine, usually one just opened from disk, for everything that was acknowledged.

use stockhold::error::LookupError;
use stockhold::{Engine, HoldId, HoldState, StockKey};

use super::act_one::{Fate, Purchase};
use super::shop::SaleClock;

/// What an audit found.
#[derive(Debug, Default)]
pub(crate) struct Audit {
    /// Acknowledged holds that are there, in the state that was acknowledged.
    pub(crate) found: u64,
    /// Acknowledged holds that are not.
    pub(crate) lost: u64,
    /// Everything untrue, as sentences: the first few of what was lost, and each level that does not add up.
    pub(crate) complaints: Vec<String>,
}

/// Lost holds that are told in full; the rest are only counted.
const TOLD_MAX: u64 = 5;

impl Audit {
    pub(crate) fn is_clean(&self) -> bool {
        self.lost == 0 && self.complaints.is_empty()
    }

    /// Looks one acknowledged hold up. A live one may have expired by now, if its deadline says so.
    pub(crate) fn hold(&mut self, engine: &Engine, clock: SaleClock, purchase: &Purchase) {
        let before_ns = clock.stopwatch.now_ns();
        let status = engine.status(HoldId::from_u128(purchase.hold));
        let after_ns = clock.stopwatch.now_ns();
        let ended = match purchase.fate {
            Fate::Confirmed => false,
            Fate::Live => after_ns >= purchase.deadline_ns,
            // How a hold ended may be forgotten after a while; that it has ended may not.
            Fate::Released | Fate::Expired => true,
        };
        let as_told = match (&status, purchase.fate) {
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
        if as_told {
            self.found += 1;
            return;
        }
        self.lost += 1;
        if self.lost <= TOLD_MAX {
            let is = match status {
                Ok(status) => format!("found {:?} with {} units", status.state, status.quantity),
                Err(error) => format!("not found: {error}"),
            };
            let Purchase { hold, quantity, fate, .. } = purchase;
            self.complaints.push(format!(
                "hold {hold:032x} of {quantity} units was acknowledged as {fate:?} and is {is}"
            ));
        }
    }

    /// Compares the level of a key with what was told to the shoppers; `told` is asked after the level has been
    /// read, so that it can say what may have expired by then. Returns units promised beyond what there is.
    pub(crate) fn level(
        &mut self,
        engine: &Engine,
        key: StockKey,
        name: &str,
        told: impl FnOnce() -> Told,
    ) -> i64 {
        let level = match engine.level(key) {
            Ok(level) => level,
            Err(error) => {
                self.complaints.push(format!("the level of {name} cannot be read: {error}"));
                return 0;
            }
        };
        let told = told();
        let mut expect = |what: &str, is: i64, low: u64, high: u64| {
            if is < low as i64 || is > high as i64 {
                let should = if low == high { low.to_string() } else { format!("{low} to {high}") };
                self.complaints.push(format!("{name}: {what} is {is} and should be {should}"));
            }
        };
        expect("on hand", level.on_hand, told.on_hand, told.on_hand);
        expect("committed", level.committed, told.committed.0, told.committed.1);
        expect("held", level.held, told.held.0, told.held.1);
        if level.on_hand != level.available + level.held + level.committed {
            self.complaints.push(format!("{name}: the terms do not add up: {level:?}"));
        }
        // A sale never promises more than there is.
        let oversold = (level.held + level.committed - level.on_hand).max(0);
        if oversold > 0 {
            self.complaints
                .push(format!("{name}: {oversold} units more are promised than there are: {level:?}"));
        }
        oversold
    }
}

/// What the shoppers know of one key, in units; lowest and highest where it cannot be known exactly.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Told {
    pub(crate) on_hand: u64,
    pub(crate) committed: (u64, u64),
    pub(crate) held: (u64, u64),
}
