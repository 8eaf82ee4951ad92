//! Calls about stock: corrections, readings, splits, and the stop switch.

use std::time::Duration;

use stockhold::answer::Adjusted;
use stockhold::error::LookupError;
use stockhold::{Adjust, AdjustReason, HoldState, Receive};
use stockhold_check::Event;

use crate::held::KEYS;
use crate::shopper::{Shopper, Span};

impl Shopper<'_> {
    fn any_key(&mut self) -> usize {
        self.state.rng.below(KEYS as u64) as usize
    }

    /// Corrects units away, even promised ones, or receives them again.
    pub(crate) fn correct(&mut self) {
        let key = self.any_key();
        match self.state.owed[key] {
            0 => {
                let lost = self.state.rng.upto(self.mix.lost_max());
                self.adjust(key, -i64::from(lost));
            }
            owed if self.state.rng.once_in(2) => self.adjust(key, owed.into()),
            owed => {
                self.arrive(key, owed);
                self.state.owed[key] = 0;
            }
        }
    }

    fn adjust(&mut self, key: usize, delta: i64) {
        let request = Adjust::by(self.keys[key], delta, AdjustReason::Count);
        let (answer, span) = self.timed(|engine| engine.adjust(request));
        match answer {
            Ok(receipt) => {
                let adjusted = self.receive(receipt);
                self.adjusted(span, key, delta, adjusted);
                self.state.owed[key] = if delta < 0 { -delta as u32 } else { 0 };
            }
            Err(error) => self.record_error(span, None, error),
        }
    }

    /// Records a correction, or units that were received: the same, but for the name.
    fn adjusted(&mut self, span: Span, key: usize, delta: i64, adjusted: Adjusted) {
        let Adjusted { available, shortfall } = adjusted;
        if shortfall != (-available).max(0) {
            self.complain(format!("{adjusted:?}"));
        }
        self.record(span, key, Event::Adjust { delta, available: Some(available) });
    }

    /// Receives units. Retries until it succeeds: without the units the round would sell out for good.
    pub(crate) fn arrive(&mut self, key: usize, quantity: u32) {
        let request = Receive::units(self.keys[key], quantity);
        loop {
            let (answer, span) = self.timed(|engine| engine.receive(request));
            match answer {
                Ok(receipt) => {
                    let adjusted = self.receive(receipt);
                    return self.adjusted(span, key, quantity.into(), adjusted);
                }
                Err(error) => self.record_error(span, None, error),
            }
            if !self.state.complaints.is_empty() {
                return;
            }
        }
    }

    pub(crate) fn read(&mut self) {
        let key = self.any_key();
        let stock_key = self.keys[key];
        let (answer, span) = self.timed(|engine| engine.available_exactly(stock_key));
        match answer {
            Ok(available) => self.record(span, key, Event::Reading { available }),
            Err(error) => self.record_error(span, None, error),
        }
    }

    /// Splits a key again. A thread that finds too few units in its cells gathers it.
    pub(crate) fn prepare(&mut self) {
        let key = self.keys[self.state.rng.pick(&[0, 0, 0, 1, 2, 3])];
        match self.timed(|engine| engine.prepare(key)) {
            (Ok(split), _) => self.state.tally.split += u64::from(split),
            (Err(error), span) => self.record_error(span, None, error),
        }
    }

    pub(crate) fn status(&mut self) {
        let Some((held, _)) = self.choose() else { return };
        match self.timed(|engine| engine.status(held.hold)) {
            (Ok(status), span) if status.state == HoldState::Expired => {
                self.record_each(span, &held, |_| Event::ExpiredSeen { hold: held.name() });
            }
            (Ok(_), _) => {}
            // It looks the same as a hold that is gone.
            (Err(LookupError::Forgotten), _) => {}
            (Err(error), span) => self.record_error(span, None, error),
        }
    }

    pub(crate) fn level(&mut self) {
        let key = self.any_key();
        let stock_key = self.keys[key];
        match self.timed(|engine| engine.level(stock_key)) {
            (Ok(level), _) if level.on_hand == level.available + level.held + level.committed => {}
            (Ok(level), _) => self.complain(format!("key {key} does not add up: {level:?}")),
            (Err(error), span) => self.record_error(span, None, error),
        }
    }

    pub(crate) fn sweep(&mut self) {
        self.timed(|engine| engine.sweep());
    }

    /// Stops a key's sale, or schedules its opening in a millisecond.
    pub(crate) fn stop(&mut self) {
        if !self.mix.gates || self.stopped.is_some() || !self.state.rng.once_in(4) {
            return self.reserve();
        }
        let key = self.any_key();
        let stock_key = self.keys[key];
        let opens_at = self.engine.now().plus(Duration::from_millis(1));
        let opens = self.state.rng.once_in(2);
        let (answer, span) = self.timed(|engine| match opens {
            true => engine.open_sale_at(stock_key, opens_at),
            false => engine.stop_sale(stock_key),
        });
        match answer {
            Ok(receipt) => {
                self.receive(receipt);
                self.stopped = Some((key, self.state.rng.upto(64)));
            }
            Err(error) => self.record_error(span, None, error),
        }
    }

    /// Resumes a key's sale. Retries until it succeeds, like [`arrive`](Self::arrive).
    pub(crate) fn resume(&mut self, key: usize) {
        let stock_key = self.keys[key];
        while self.stopped.is_some() && self.state.complaints.is_empty() {
            match self.timed(|engine| engine.resume_sale(stock_key)) {
                (Ok(receipt), _) => {
                    self.receive(receipt);
                    self.stopped = None;
                }
                (Err(error), span) => self.record_error(span, None, error),
            }
        }
    }
}
