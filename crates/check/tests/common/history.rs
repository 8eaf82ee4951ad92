//! A history of one stock key, written down call by call.

use stockhold_check::{Call, Event, Options, Verdict, Window, check, judge};

#[derive(Clone, Default)]
pub struct History {
    pub calls: Vec<Call>,
}

impl History {
    pub fn of(units: u64) -> Self {
        History::default().call(0, 1, Event::Receive { quantity: units })
    }

    pub fn call(mut self, start_ns: u64, end_ns: u64, event: Event) -> Self {
        self.calls.push(Call { key: 0, start_ns, end_ns, event });
        self
    }

    pub fn grant(self, start_ns: u64, end_ns: u64, hold: u128, quantity: u32, deadline_ns: u64) -> Self {
        self.call(start_ns, end_ns, Event::Grant { hold, quantity, deadline_ns })
    }

    pub fn refuse(self, start_ns: u64, end_ns: u64, asked: u32, available: i64) -> Self {
        self.call(start_ns, end_ns, Event::Refuse { asked, available })
    }

    pub fn confirm(self, start_ns: u64, end_ns: u64, hold: u128, quantity: u32) -> Self {
        self.call(start_ns, end_ns, Event::Confirm { hold, quantity, retaken: false })
    }

    pub fn release(self, start_ns: u64, end_ns: u64, hold: u128) -> Self {
        self.call(start_ns, end_ns, Event::Release { hold })
    }

    #[track_caller]
    pub fn pass(self) {
        let checked = check(&self.calls, &Options::default());
        assert!(checked.is_linearizable(), "{checked}");
    }

    #[track_caller]
    pub fn window(self) -> Window {
        window(&self.calls)
    }

    /// The judge's verdict, in any order of the calls.
    pub fn judge(&self) -> Verdict {
        let verdict = judge(&self.calls);
        let backwards: Vec<_> = self.calls.iter().rev().copied().collect();
        let again = judge(&backwards);
        assert_eq!(
            (verdict.oversold, verdict.falsely_refused, verdict.two_outcomes, verdict.late),
            (again.oversold, again.falsely_refused, again.two_outcomes, again.late),
            "the order in which calls are handed over must not matter"
        );
        verdict
    }
}

/// The only window without a legal order.
#[track_caller]
pub fn window(calls: &[Call]) -> Window {
    let mut checked = check(calls, &Options::default());
    assert_eq!((checked.broken.len(), checked.undecided.len()), (1, 0), "{checked}");
    println!("{checked}");
    checked.broken.remove(0)
}
