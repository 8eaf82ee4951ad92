//! The workload of the kill test: a million small tasks in pipelined batches. A batch is acknowledged when
//! its last position is durable.
//!
//! Task number n is the same in every process, and its reserve has an op key made from n. So a task whose
//! answer was lost in the kill is run again: if the engine had decided it, it returns the same hold.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use stockhold::error::{ConfirmError, HoldError, LookupError, NameError, OperationError, ReserveError};
use stockhold::retry::Retry;
use stockhold::{Engine, HoldState, OpKey, Position, RefusalReason, Reserve, StockKey};
use stockhold_seeded::Rng;

use super::frames::{TaskBatch, TaskOutcome, TaskResult};
use super::stock::sku;

/// Location of the stock of the kill test.
pub(crate) const LOCATION: &str = "kill-test";

/// Time to live of its holds: longer than the test, so that none expires.
pub(crate) const TTL: Duration = Duration::from_secs(3_600);

/// Number of batches that may wait for the log at once. More would only delay acknowledgements.
pub(crate) const BATCHES_IN_FLIGHT: usize = 8;

/// A task fails after it has got busy answers for this long.
const BUSY_MAX: Duration = Duration::from_secs(30);

/// Declares the stock keys of the kill test.
pub(crate) fn declare(engine: &Engine, skus: u32) -> Result<Vec<StockKey>, NameError> {
    (0..skus).map(|number| engine.declare(&sku(number), LOCATION)).collect()
}

/// One reserve, and what follows if it is granted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Task {
    pub(crate) key: u32,
    pub(crate) quantity: u32,
    /// The outcome to reach if it is granted.
    goal: TaskOutcome,
}

/// Runs tasks on an engine.
pub(crate) struct TaskRunner<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) keys: &'a [StockKey],
    pub(crate) plan: TaskPlan,
    pub(crate) threads: usize,
    /// Decisions made so far, including those of an earlier process.
    pub(crate) decided: AtomicU64,
    pub(crate) stop: &'a AtomicBool,
}

/// What determines all tasks; the same in the parent and in the child.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TaskPlan {
    pub(crate) seed: u64,
    pub(crate) skus: u32,
    /// Total number of decisions.
    pub(crate) decisions: u64,
}

impl TaskPlan {
    /// Number of tasks in a batch: so few that a small run also has many batches.
    pub(crate) fn batch_size(&self) -> u32 {
        (self.decisions / 1_000).clamp(16, 512) as u32
    }

    /// Units in stock: sold out after nine tenths of the tasks, so that the log is busy at the kill and the
    /// last tasks are refused.
    pub(crate) fn units(&self) -> u32 {
        (self.decisions * 2 / 5).clamp(u64::from(self.skus), 1 << 30) as u32
    }

    /// The task with this number.
    pub(crate) fn task(&self, number: u64) -> Task {
        // Streams below 2^32 belong to the shoppers.
        let mut rng = Rng::stream(self.seed, number | 1 << 40);
        let goal = match rng.below(20) {
            0..15 => TaskOutcome::Confirmed,
            15..18 => TaskOutcome::Released,
            _ => TaskOutcome::Held,
        };
        Task { key: rng.below(u64::from(self.skus)) as u32, quantity: 1, goal }
    }

    /// The reference of the task's hold: eight hexadecimal digits, readable in `stockhold log`.
    pub(crate) fn reference(number: u64) -> [u8; 8] {
        let mut rest = number;
        let mut digits = [b'0'; 8];
        for digit in digits.iter_mut().rev() {
            *digit = b"0123456789abcdef"[(rest & 0xf) as usize];
            rest >>= 4;
        }
        digits
    }

    fn op_key(&self, number: u64) -> OpKey {
        // The middle stays zero, so that the key is never read as a UUIDv7, which contains a time.
        OpKey(u128::from(self.seed & 0xffff_ffff) << 96 | u128::from(number))
    }
}

impl TaskRunner<'_> {
    /// Runs the batches with the numbers that `next` returns, until it returns none, and passes each batch to
    /// `durable` when it is durable.
    pub(crate) fn run(
        &self,
        next: impl Fn() -> Option<u32> + Sync,
        mut durable: impl FnMut(TaskBatch) -> Result<(), String>,
    ) -> Result<(), String> {
        std::thread::scope(|scope| {
            let (sender, batches) =
                mpsc::sync_channel::<Result<(TaskBatch, Position), String>>(BATCHES_IN_FLIGHT);
            for _ in 0..self.threads {
                let (sender, next) = (sender.clone(), &next);
                scope.spawn(move || {
                    while !self.stop.load(Ordering::Relaxed)
                        && let Some(number) = next()
                    {
                        let batch = self.batch(number);
                        let failed = batch.is_err();
                        // The receiver is dropped after another batch failed: this one is not needed.
                        if sender.send(batch).is_err() || failed {
                            break;
                        }
                    }
                });
            }
            drop(sender);
            for batch in batches {
                let (batch, last) = batch?;
                self.engine.wait(last).map_err(|error| error.to_string())?;
                durable(batch)?;
            }
            Ok(())
        })
    }

    /// Whether all decisions have been made.
    pub(crate) fn enough(&self) -> bool {
        self.decided.load(Ordering::Relaxed) >= self.plan.decisions
    }

    /// Makes all decisions of one batch, and returns the position up to which the log must be durable.
    fn batch(&self, number: u32) -> Result<(TaskBatch, Position), String> {
        let size = self.plan.batch_size();
        let mut batch = TaskBatch { number, ..TaskBatch::default() };
        let mut last = Position(0);
        for index in 0..size {
            let task = u64::from(number) * u64::from(size) + u64::from(index);
            let entry = self.task(task, &mut batch, &mut last)?;
            batch.entries.push(entry);
        }
        self.decided.fetch_add(u64::from(batch.decisions), Ordering::Relaxed);
        Ok((batch, last))
    }

    fn task(&self, number: u64, batch: &mut TaskBatch, last: &mut Position) -> Result<TaskResult, String> {
        let Task { key, quantity, goal } = self.plan.task(number);
        let reference = TaskPlan::reference(number);
        let request = Reserve::units(self.keys[key as usize], quantity)
            .ttl(TTL)
            .reference(&reference)
            .op_key(self.plan.op_key(number));
        let (position, hold) = match decided(batch, || self.engine.reserve(request)) {
            Ok(receipt) => (receipt.position(), Some(receipt.not_yet_durable().hold)),
            Err(ReserveError::Refused(refusal)) if refusal.reason == RefusalReason::OutOfStock => {
                (refusal.position, None)
            }
            Err(error) => return Err(failure(&error)),
        };
        batch.decisions += 1;
        *last = position.max(*last);
        let Some(hold) = hold else { return Ok(TaskResult { outcome: TaskOutcome::Refused, hold: 0 }) };

        // If the task is run again, its second half may have been done before the kill.
        let ended = match goal {
            TaskOutcome::Confirmed => match decided(batch, || self.engine.confirm(hold)) {
                Ok(receipt) => receipt.position(),
                Err(ConfirmError::Ended(HoldState::Confirmed)) => position,
                Err(error) => return Err(failure(&error)),
            },
            TaskOutcome::Released => match decided(batch, || self.engine.release(hold)) {
                Ok(receipt) => receipt.position(),
                Err(
                    HoldError::WrongState(HoldState::Released) | HoldError::Lookup(LookupError::Forgotten),
                ) => position,
                Err(error) => return Err(failure(&error)),
            },
            TaskOutcome::Held | TaskOutcome::Refused => position,
        };
        batch.decisions += u32::from(matches!(goal, TaskOutcome::Confirmed | TaskOutcome::Released));
        *last = ended.max(*last);
        Ok(TaskResult { outcome: goal, hold: hold.to_u128() })
    }
}

/// Makes `call` until it is answered, and counts how often it was not.
fn decided<T, E: OperationError>(
    batch: &mut TaskBatch,
    mut call: impl FnMut() -> Result<T, E>,
) -> Result<T, E> {
    let patient = Retry::default().give_up_after(BUSY_MAX);
    patient.call(|| call().inspect_err(|error| batch.busy += u32::from(error.is_transient())))
}

fn failure(error: &impl OperationError) -> String {
    if error.is_transient() {
        return format!("a task got only busy answers for {BUSY_MAX:?}");
    }
    error.to_string()
}
