//! Both, side by side, step by step.

use stockhold::error::{LookupError, OpKeyError, SharedError};
use stockhold::{Engine, HoldState, RefusalReason};

use crate::real::{REFERENCES, Real, ms};
use crate::steps::*;
use crate::truth::Model;

/// Both, side by side.
pub struct Pair {
    model: Model,
    real: Real,
}

impl Pair {
    pub fn run(steps: &[Step], on_disk: bool) {
        let mut pair = Pair { model: Model::default(), real: Real::new(on_disk) };
        for step in steps {
            pair.step(step);
        }
        pair.look();
        pair.real.clock.advance(ms(1_000));
        pair.model.advance(1_000);
        pair.look();
        assert_eq!(pair.real.engine.metrics().busy(), 0, "one thread is never Busy");
    }

    /// The hold that a step names.
    fn named(&self, what: &What) -> Option<Option<usize>> {
        match what {
            What::Confirm { hold, .. }
            | What::Replace { hold, .. }
            | What::Release { hold }
            | What::Extend { hold, .. }
            | What::Pay { hold }
            | What::Cancel { hold, .. }
            | What::Ship { hold, .. }
            | What::Status { hold } => {
                let holds = self.model.holds.len();
                Some((holds > 0).then(|| hold.index(holds)))
            }
            _ => None,
        }
    }

    fn step(&mut self, step: &Step) {
        let named = match self.named(&step.what) {
            Some(None) => return, // there is no hold yet
            Some(Some(hold)) => Some(hold),
            None => None,
        };
        let engine = &self.real.engine;
        match step.what {
            What::Advance { ms: by } => {
                self.real.clock.advance(ms(by));
                self.model.advance(by);
            }
            // A buyer may have reclaimed some before.
            What::Sweep => {
                assert!(engine.sweep() <= self.model.see_all());
                self.ship_by_time();
            }
            What::Status { .. } => self.status(named.unwrap()),
            What::BlockingHolds { key } => {
                let way = engine.blocking_holds(self.real.keys[key]).unwrap();
                let live = self.model.holds.iter().filter(|hold| hold.held[key] > 0 && hold.live());
                assert_eq!(way.held, self.model.held(key));
                let earliest = way.earliest_deadline.map(|deadline| self.real.time(deadline));
                assert_eq!(earliest, live.map(|hold| hold.deadline).min());
            }
            What::Look => self.look(),
            What::Checkpoint => self.checkpoint(),
            What::Reopen { reboot } => self.reopen(reboot),
            _ => self.operate(step, named),
        }
        if matches!(step.what, What::Batch { .. }) {
            self.ship_by_time(); // it sweeps
        }
        for key in 0..KEYS {
            let available = self.real.engine.available(self.real.keys[key]).unwrap();
            assert!(self.model.counted(key).contains(&available), "{available} after {step:?}");
        }
    }

    fn operate(&mut self, step: &Step, named: Option<usize>) {
        let has_op_key = match step.what {
            What::Switch { .. } | What::Batch { .. } => false,
            // What no reserve can be is refused before its op key is looked at.
            What::Reserve { quantity, at_least, .. } => (1..=quantity).contains(&at_least),
            What::Cart { lines, .. } => lines != [0; KEYS],
            _ => true,
        };
        let op_key = step.op_key.filter(|_| has_op_key);
        let content = match (&step.what, named) {
            (What::Reserve { key, quantity, at_least, ttl_ms, .. }, _) => {
                format!("reserve {key} {quantity} {at_least} {ttl_ms:?}")
            }
            (What::Cart { lines, ttl_ms, .. }, _) => format!("cart {lines:?} {ttl_ms:?}"),
            (What::Replace { by, ttl_ms, .. }, Some(hold)) => format!("replace {hold} {by:?} {ttl_ms:?}"),
            (What::Confirm { part, retake, .. }, Some(hold)) => format!("confirm {hold} {part:?} {retake}"),
            (What::Extend { ttl_ms, .. }, Some(hold)) => format!("extend {hold} {ttl_ms}"),
            (What::Ship { part, .. }, Some(hold)) => format!("ship {hold} {part:?}"),
            (What::Cancel { part, .. }, Some(hold)) => format!("cancel {hold} {part:?}"),
            (What::Pay { .. }, Some(hold)) => format!("pay {hold}"),
            (What::Release { .. }, Some(hold)) => format!("release {hold}"),
            (what, _) => format!("{what:?}"),
        };
        if let Some(key) = op_key
            && let Some(before) = self.model.op_keys.get(&key)
        {
            let (told, _, said) = self.real.apply(step);
            if *before == content {
                assert_eq!(said.as_ref(), self.real.first.get(&key), "{step:?} repeated");
            } else {
                let other = SharedError::OpKey(OpKeyError::OtherContent);
                assert_eq!(told, Err(Told::Error(format!("Shared({other:?})"))), "{step:?}");
            }
            return;
        }
        let may_be_forgotten = named.is_some_and(|hold| self.model.holds[hold].may_be_forgotten());
        let expected = self.model.apply(&step.what);
        let (told, number, said) = self.real.apply(step);
        if may_be_forgotten && told == Err(Told::Forgotten) {
            assert!(expected.is_err());
            return;
        }
        let (expected, range) = match expected {
            Ok((told, range)) => (Ok(told), range),
            Err((told, range)) => (Err(told), range),
        };
        assert_eq!(told, expected, "{step:?}");
        match (number, range) {
            (Some(number), Some(range)) => {
                assert!(range.contains(&number), "{number} in {range:?} by {step:?}")
            }
            (None, None) => {}
            (number, range) => panic!("{number:?} but {range:?} by {step:?}"),
        }
        let remembered = match (&told, &step.what) {
            (Ok(_), _) => true,
            (Err(Told::Refused { reason: RefusalReason::NotOpen, .. }), _) => false,
            (Err(Told::Refused { .. }), What::Reserve { remember_refusal, .. })
            | (Err(Told::Refused { .. }), What::Cart { remember_refusal, .. }) => *remember_refusal,
            _ => false,
        };
        if let Some(key) = op_key.filter(|_| remembered) {
            self.model.op_keys.insert(key, content);
            self.real.first.insert(key, said.unwrap());
        }
    }

    /// After a sweep: which commitments it has come to by now is the engine's to say.
    fn ship_by_time(&mut self) {
        for number in 0..self.model.holds.len() {
            if self.model.holds[number].state != HoldState::Confirmed {
                continue;
            }
            match self.real.engine.status(self.real.holds[number]).map(|status| status.state) {
                Ok(HoldState::Confirmed) => {}
                // Its slot may be another's by now.
                Ok(HoldState::Shipped) | Err(LookupError::Forgotten) => self.model.ship_by_time(number),
                other => panic!("hold {number} was confirmed and is {other:?}"),
            }
        }
    }

    fn status(&mut self, number: usize) {
        let hold = self.model.see(number).clone();
        let status = match self.real.engine.status(self.real.holds[number]) {
            Err(LookupError::Forgotten) if hold.may_be_forgotten() => return,
            status => status.unwrap(),
        };
        assert_eq!(status.hold, self.real.holds[number]);
        assert_eq!(status.state, hold.state, "hold {number}");
        assert_eq!(status.reference.as_bytes(), REFERENCES[hold.reference].as_bytes());
        assert_eq!(status.deadline.map(|at| self.real.time(at)), hold.live().then_some(hold.deadline));
        let lines = match hold.state {
            HoldState::Confirmed => hold.committed,
            HoldState::Active | HoldState::Paying | HoldState::Expired => hold.held,
            _ => return, // it has nothing any more
        };
        let shown: Vec<_> =
            status.lines.iter().map(|line| (self.real.key(line.key), line.quantity)).collect();
        let lines: Vec<_> = lines.into_iter().enumerate().filter(|(_, units)| *units > 0).collect();
        assert_eq!(shown, lines, "hold {number}");
        assert_eq!(status.quantity, lines.iter().map(|(_, units)| units).sum::<u32>());
    }

    /// Everything that can be asked.
    fn look(&mut self) {
        let unseen = self.model.holds.iter().filter(|hold| hold.unseen).count() as u64;
        let live = self.model.holds.iter().filter(|hold| hold.live()).count() as u64;
        let holds_live = self.real.engine.metrics().holds_live;
        assert!((live..=live + unseen).contains(&holds_live), "{holds_live} live, of {live} and {unseen}");
        let swept = self.real.engine.sweep();
        assert!(swept <= self.model.see_all());
        self.ship_by_time();
        assert_eq!(self.real.engine.metrics().holds_live, live);
        for number in 0..self.model.holds.len() {
            self.status(number);
        }
        let engine = &self.real.engine;
        for (number, key) in self.real.keys.iter().enumerate() {
            let level = engine.level(*key).unwrap();
            let model = &self.model.keys[number];
            assert_eq!((level.on_hand, level.stopped), (model.on_hand, model.stopped));
            assert_eq!(level.opens_at.map(|moment| self.real.time(moment)), model.opens_at);
            assert_eq!(
                (level.held, level.committed),
                (self.model.held(number), self.model.committed(number))
            );
            assert_eq!(level.available, self.model.available(number));
            assert_eq!(engine.available(*key), Ok(level.available));
            assert_eq!(engine.available_exactly(*key), Ok(level.available));
            let live = |state| matches!(state, HoldState::Active | HoldState::Paying | HoldState::Confirmed);
            let mut found: Vec<_> = engine.holds_of(REFERENCES[number]);
            found.retain(|status| live(status.state));
            let mut found: Vec<_> = found.iter().map(|status| self.real.number(status.hold)).collect();
            found.sort_unstable();
            let expected = self
                .model
                .holds
                .iter()
                .enumerate()
                .filter(|(_, hold)| hold.reference == number && live(hold.state));
            assert_eq!(found, expected.map(|(number, _)| number).collect::<Vec<_>>());
        }
    }

    fn checkpoint(&self) {
        let made = self.real.engine.checkpoint();
        assert_eq!(made.is_ok(), self.real.directory.is_some(), "{made:?}");
    }

    fn reopen(&mut self, reboot: Reboot) {
        if self.real.directory.is_none() {
            return;
        }
        match reboot {
            Reboot::Orderly => self.real.engine.shutdown().unwrap(),
            Reboot::Dropped => {}
            Reboot::Killed => self.real.directory = self.real.as_killed(),
        }
        // The old engine goes before the new one comes.
        let config = Real::config(&self.real.clock);
        drop(std::mem::replace(&mut self.real.engine, Engine::in_memory(config).unwrap()));
        self.real.engine = Real::open(&self.real.clock, self.real.directory.as_ref());
        assert_eq!(self.real.engine.keys(), self.real.keys);
        assert_eq!(self.real.engine.metrics().op_keys as usize, self.model.op_keys.len());
    }
}
