//! The engine and the model side by side, step by step.

use stockhold::Engine;
use stockhold::error::LookupError;
use stockhold_model::{Answer, Failure, HoldState, Model, Operation};

use crate::client::{Client, reference, state};
use crate::common::START;
use crate::steps::*;
use crate::subject::{Subject, ms};

/// See the module.
pub struct Pair {
    model: Model,
    subject: Subject,
}

impl Pair {
    pub fn run(steps: &[Step], on_disk: bool) {
        let mut pair = Pair { model: Model::new(RULES, START.0), subject: Subject::new(on_disk) };
        for name in 0..KEYS {
            pair.operate(&Operation::Declare { name }, None);
        }
        for step in steps {
            pair.step(step);
        }
        pair.compare();
        pair.advance(1_000);
        pair.compare();
        assert_eq!(pair.engine().metrics().busy(), 0, "one thread is never Busy");
    }

    fn engine(&self) -> &Engine {
        &self.subject.engine
    }

    fn advance(&mut self, by_ms: u64) {
        self.subject.clock.advance(ms(by_ms));
        self.model.advance_to(self.model.now_ms + by_ms);
    }

    fn step(&mut self, step: &Step) {
        let holds = self.model.holds.len();
        match &step.action {
            Action::Do(operation) => {
                let Some(operation) = operation.with_hold(|pick| pick.number(holds)) else {
                    return; // there is no hold yet
                };
                self.operate(&operation, step.op_key);
                if matches!(operation, Operation::Batch { .. }) {
                    self.ship_by_time(); // it sweeps
                }
            }
            Action::Advance { ms } => self.advance(*ms),
            // An earlier call may have closed some.
            Action::Sweep => {
                assert!(self.engine().sweep() <= self.model.see_all());
                self.ship_by_time();
            }
            Action::Status { hold } => {
                let Some(number) = hold.number(holds) else { return };
                self.compare_status(number);
            }
            Action::BlockingHolds { key } => self.compare_blocking_holds(*key),
            Action::Compare => self.compare(),
            Action::Checkpoint => {
                let made = self.engine().checkpoint();
                assert_eq!(made.is_ok(), self.subject.directory.is_some(), "{made:?}");
            }
            Action::Reopen(restart) => self.reopen(*restart),
        }
        for (number, key) in self.engine().keys().into_iter().enumerate() {
            let available = self.engine().available(key).unwrap();
            assert!(self.model.counted(number).contains(&available), "{available} after {step:?}");
        }
    }

    fn operate(&mut self, operation: &Operation<usize>, op_key: Option<u64>) {
        let used_op_key = op_key.filter(|_| operation.uses_op_key());
        if let Some(key) = used_op_key
            && let Some(before) = self.model.op_keys.get(&key).cloned()
        {
            let answered = self.subject.ask(operation, op_key);
            if Model::is_repeated(&before, operation) {
                let said = Some((before.said.clone(), before.position));
                assert_eq!(answered.said, said, "{operation:?} repeated");
            } else {
                assert_eq!(answered.answer, Answer::Failed(Failure::OtherContent), "{operation:?}");
            }
            return;
        }
        let may_be_forgotten = operation.hold().is_some_and(|hold| self.model.may_be_forgotten(hold));
        let expected = self.model.apply(operation);
        let answered = self.subject.ask(operation, op_key);
        assert!(!answered.busy && !answered.stopped, "{operation:?}: {answered:?}");
        if may_be_forgotten && answered.lookup == Some(LookupError::Forgotten) {
            assert!(expected.answer.is_error());
            return;
        }
        assert_eq!(answered.answer, expected.answer, "{operation:?}");
        match (answered.number, expected.number) {
            (Some((number, _)), Some(range)) => {
                assert!(range.contains(&number), "{number} in {range:?} by {operation:?}")
            }
            (None, None) => {}
            (number, range) => panic!("{number:?} but {range:?} by {operation:?}"),
        }
        if let Some(key) = used_op_key.filter(|_| Model::remembers(operation, &answered.answer)) {
            let (said, position) = answered.said.expect("it was answered something");
            self.model.use_op_key(key, operation.clone(), said, position);
        }
    }

    /// After a sweep: which old commitments have been shipped by now is the engine's decision.
    fn ship_by_time(&mut self) {
        for number in 0..self.model.holds.len() {
            if self.model.holds[number].state != HoldState::Confirmed {
                continue;
            }
            let status = self.engine().status(self.subject.holds[number]);
            match status.map(|status| state(status.state)) {
                Ok(HoldState::Confirmed) => {}
                // Its slot may have a new hold by now.
                Ok(HoldState::Shipped) | Err(LookupError::Forgotten) => self.model.ship_by_time(number),
                other => panic!("hold {number} was confirmed and is {other:?}"),
            }
        }
    }

    fn compare_status(&mut self, number: usize) {
        let hold = *self.model.see(number);
        let status = match self.engine().status(self.subject.holds[number]) {
            Err(LookupError::Forgotten) if self.model.may_be_forgotten(number) => return,
            status => status.unwrap(),
        };
        assert_eq!(status.hold, self.subject.holds[number]);
        assert_eq!(state(status.state), hold.state, "hold {number}");
        assert_eq!(status.reference.as_bytes(), reference(hold.first_key).as_bytes());
        assert_eq!(status.deadline.map(|at| at.0), hold.is_live().then_some(hold.deadline_ms));
        let Some(lines) = hold.lines() else { return };
        let client = self.subject.client();
        let shown: Vec<_> = status.lines.iter().map(|line| (client.key(line.key), line.quantity)).collect();
        let lines: Vec<_> = lines.into_iter().enumerate().filter(|(_, units)| *units > 0).collect();
        assert_eq!(shown, lines, "hold {number}");
        assert_eq!(status.quantity, lines.iter().map(|(_, units)| units).sum::<u32>());
    }

    fn compare_blocking_holds(&self, key: usize) {
        let blocking = self.engine().blocking_holds(self.engine().keys()[key]).unwrap();
        let live = self.model.holds.iter().filter(|hold| hold.held[key] > 0 && hold.is_live());
        assert_eq!(blocking.held, self.model.held(key));
        let earliest_ms = blocking.earliest_deadline.map(|deadline| deadline.0);
        assert_eq!(earliest_ms, live.map(|hold| hold.deadline_ms).min());
    }

    /// Compares everything that can be read.
    fn compare(&mut self) {
        let unseen = self.model.holds.iter().filter(|hold| hold.unseen).count() as u64;
        let live = self.model.live() as u64;
        let holds_live = self.engine().metrics().holds_live;
        assert!((live..=live + unseen).contains(&holds_live), "{holds_live} live, of {live} and {unseen}");
        let swept = self.engine().sweep();
        assert!(swept <= self.model.see_all());
        self.ship_by_time();
        assert_eq!(self.engine().metrics().holds_live, live);
        for number in 0..self.model.holds.len() {
            self.compare_status(number);
        }
        let client = self.subject.client();
        for number in 0..KEYS {
            self.compare_key(&client, number);
        }
    }

    fn compare_key(&self, client: &Client<'_>, number: usize) {
        let (engine, model, key) = (client.engine, &self.model, client.keys[number]);
        let level = engine.level(key).unwrap();
        let stock = &model.stock[number];
        assert_eq!((level.on_hand, level.stopped), (stock.on_hand, stock.stopped));
        assert_eq!(level.opens_at.map(|moment| moment.0), stock.opens_at_ms);
        assert_eq!((level.held, level.committed), (model.held(number), model.committed(number)));
        assert_eq!(level.available, model.available(number));
        assert_eq!(engine.available(key), Ok(level.available));
        assert_eq!(engine.available_exactly(key), Ok(level.available));
        let is_open = |now| matches!(now, HoldState::Active | HoldState::Paying | HoldState::Confirmed);
        let mut found = engine.holds_of(reference(number));
        found.retain(|status| is_open(state(status.state)));
        let mut found: Vec<_> = found.iter().map(|status| client.hold_number(status.hold)).collect();
        found.sort_unstable();
        let holds = model.holds.iter().enumerate();
        let expected = holds.filter(|(_, hold)| hold.first_key == number && hold.is_open());
        assert_eq!(found, expected.map(|(number, _)| number).collect::<Vec<_>>());
    }

    fn reopen(&mut self, restart: Restart) {
        if self.subject.directory.is_none() {
            return;
        }
        let keys = self.engine().keys();
        self.subject.reopen(restart);
        assert_eq!(self.engine().keys(), keys);
        assert_eq!(self.engine().metrics().op_keys as usize, self.model.op_keys.len());
    }
}
