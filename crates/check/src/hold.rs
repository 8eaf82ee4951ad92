//! The states of one hold, and the effect of each step on it. Used for holds whose calls overlap.

/// A step of one hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    Grant { quantity: i64, deadline_ns: u64 },
    Release,
    Confirm { quantity: i64 },
    Retake { quantity: i64 },
    Extend { deadline_ns: u64 },
    Seen,
    Cancel { quantity: i64 },
    Replace { quantity: i64, deadline_ns: u64 },
}

/// The state of a hold. `None` where one is expected means not yet granted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Hold {
    Live { quantity: i64, deadline_ns: u64 },
    Confirmed { left: i64 },
    Released,
    Expired { quantity: i64 },
}

/// The result of a step: the hold after it, and the units that it returns (takes, if negative).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stepped {
    pub(crate) hold: Hold,
    pub(crate) units: i64,
}

impl Step {
    /// Whether the step needs a live hold.
    pub(crate) fn needs_live(self) -> bool {
        matches!(self, Step::Release | Step::Confirm { .. } | Step::Extend { .. } | Step::Replace { .. })
    }

    /// Applies the step in a call that began at `start_ns`, or says why it is not legal. The caller must
    /// check that the units it takes are available, and must expire a hold that is due and that no other call
    /// can end.
    pub(crate) fn take(self, hold: Option<Hold>, start_ns: u64) -> Result<Stepped, &'static str> {
        use Hold::*;
        let ok = |hold, units| Ok(Stepped { hold, units });
        match (self, hold) {
            (Step::Grant { quantity, deadline_ns }, None) => ok(Live { quantity, deadline_ns }, -quantity),
            (Step::Grant { .. }, Some(_)) => Err("it was granted before"),
            (_, None) => Err("no recorded call had granted it"),
            (Step::Retake { quantity }, Some(Expired { quantity: held })) => match quantity <= held {
                true => ok(Confirmed { left: quantity }, -quantity),
                false => Err("it held fewer units"),
            },
            (Step::Seen, Some(hold @ Expired { .. })) => ok(hold, 0),
            (Step::Cancel { quantity }, Some(Confirmed { left })) => match quantity <= left {
                true => ok(Confirmed { left: left - quantity }, quantity),
                false => Err("fewer of its units were confirmed and not cancelled"),
            },
            (step, Some(Live { deadline_ns, .. })) if step.needs_live() && start_ns >= deadline_ns => {
                Err("its deadline had passed when the call began")
            }
            (Step::Release, Some(Live { quantity, .. })) => ok(Released, quantity),
            (Step::Confirm { quantity }, Some(Live { quantity: held, .. })) => match quantity <= held {
                true => ok(Confirmed { left: quantity }, held - quantity),
                false => Err("it held fewer units"),
            },
            (Step::Extend { deadline_ns: later }, Some(Live { quantity, deadline_ns })) => {
                match later >= deadline_ns {
                    true => ok(Live { quantity, deadline_ns: later }, 0),
                    false => Err("it had a later deadline already"),
                }
            }
            (Step::Replace { quantity, deadline_ns }, Some(Live { quantity: held, .. })) => {
                ok(Live { quantity, deadline_ns }, held - quantity)
            }
            (Step::Retake { .. } | Step::Seen, Some(Live { .. })) => Err("it had not expired"),
            (Step::Cancel { .. }, Some(_)) => Err("it was not confirmed"),
            (_, Some(Confirmed { .. })) => Err("it was confirmed"),
            (_, Some(Released)) => Err("it was released"),
            (_, Some(Expired { .. })) => Err("it had expired"),
        }
    }
}
