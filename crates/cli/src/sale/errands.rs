//! What act two does a million times: small errands in batches, pipelined, each batch relied on once its last
//! position is durable.
//!
//! Errand number n is the same whoever runs it, and its reserve carries an op key made of n. So an errand whose answer
//! was lost in a kill is simply run again: if the engine had decided it, the same hold comes back.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use stockhold::error::{ConfirmError, HoldError, LookupError, OperationError, ReserveError};
use stockhold::retry::Retry;
use stockhold::{Engine, HoldState, OpKey, Position, RefusalReason, Reserve, StockKey};

use super::frames::{Batch, Entry, What};
use stockhold_seeded::Rng;

/// How long holds of act two live: longer than it lasts, so that none expires under it.
pub(crate) const TTL: Duration = Duration::from_secs(3_600);

/// Batches that may wait for the log at once. More only makes acknowledgements later.
pub(crate) const BATCHES_IN_FLIGHT: usize = 8;

/// An engine that has been busy for this long about one errand will not get better.
const BUSY_MAX: Duration = Duration::from_secs(30);

/// One unit of work.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Errand {
    pub(crate) key: u32,
    pub(crate) quantity: u32,
    /// What to do if it is granted.
    then: What,
}

/// All errands of a run: which they are, and on what.
pub(crate) struct Errands<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) keys: &'a [StockKey],
    pub(crate) scale: Scale,
    pub(crate) threads: usize,
    /// Decisions made so far, here or before.
    pub(crate) decided: AtomicU64,
    pub(crate) stop: &'a AtomicBool,
}

/// What the parent and the child must agree on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Scale {
    pub(crate) seed: u64,
    pub(crate) skus: u32,
    /// Decisions to make in all.
    pub(crate) decisions: u64,
}

impl Scale {
    /// Errands in a batch: few enough that a small run still has many batches.
    pub(crate) fn batch(&self) -> u32 {
        (self.decisions / 1_000).clamp(16, 512) as u32
    }

    /// Units in stock: they sell out when nine tenths of the errands are done, so that a kill meets a busy log and
    /// the end sees refusals.
    pub(crate) fn units(&self) -> u32 {
        (self.decisions * 2 / 5).clamp(u64::from(self.skus), 1 << 30) as u32
    }

    /// Errand number `number`.
    pub(crate) fn errand(&self, number: u64) -> Errand {
        // Streams below 2^32 are the crowd's.
        let mut rng = Rng::stream(self.seed, number | 1 << 40);
        let then = match rng.below(20) {
            0..15 => What::Confirmed,
            15..18 => What::Released,
            _ => What::Held,
        };
        Errand { key: rng.below(u64::from(self.skus)) as u32, quantity: 1, then }
    }

    /// The reference of its hold: eight digits, readable in `stockhold log`.
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
        // The middle stays zero, so that it is never taken for a UUIDv7 and its time.
        OpKey(u128::from(self.seed & 0xffff_ffff) << 96 | u128::from(number))
    }
}

impl Errands<'_> {
    /// Runs the batches that `next` names until it names no more; gives each to `relied_on` when it is durable.
    pub(crate) fn run(
        &self,
        next: impl Fn() -> Option<u32> + Sync,
        mut relied_on: impl FnMut(Batch) -> Result<(), String>,
    ) -> Result<(), String> {
        std::thread::scope(|scope| {
            let (sender, batches) =
                mpsc::sync_channel::<Result<(Batch, Position), String>>(BATCHES_IN_FLIGHT);
            for _ in 0..self.threads {
                let (sender, next) = (sender.clone(), &next);
                scope.spawn(move || {
                    while !self.stop.load(Ordering::Relaxed)
                        && let Some(number) = next()
                    {
                        let batch = self.batch(number);
                        let failed = batch.is_err();
                        // The receiver is gone when another batch failed: nothing is left to tell it.
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
                relied_on(batch)?;
            }
            Ok(())
        })
    }

    /// Whether all decisions have been made.
    pub(crate) fn enough(&self) -> bool {
        self.decided.load(Ordering::Relaxed) >= self.scale.decisions
    }

    /// Makes all decisions of one batch, and says which position they rest on.
    fn batch(&self, number: u32) -> Result<(Batch, Position), String> {
        let size = self.scale.batch();
        let mut batch = Batch { number, ..Batch::default() };
        let mut last = Position(0);
        for index in 0..size {
            let errand = u64::from(number) * u64::from(size) + u64::from(index);
            let entry = self.errand(errand, &mut batch, &mut last)?;
            batch.entries.push(entry);
        }
        self.decided.fetch_add(u64::from(batch.decisions), Ordering::Relaxed);
        Ok((batch, last))
    }

    fn errand(&self, number: u64, batch: &mut Batch, last: &mut Position) -> Result<Entry, String> {
        let Errand { key, quantity, then } = self.scale.errand(number);
        let reference = Scale::reference(number);
        let request = Reserve::units(self.keys[key as usize], quantity)
            .ttl(TTL)
            .reference(&reference)
            .op_key(self.scale.op_key(number));
        let (position, hold) = match decided(batch, || self.engine.reserve(request)) {
            Ok(receipt) => (receipt.position(), Some(receipt.not_yet_durable().hold)),
            Err(ReserveError::Refused(refusal)) if refusal.reason == RefusalReason::OutOfStock => {
                (refusal.position, None)
            }
            Err(error) => return Err(failure(&error)),
        };
        batch.decisions += 1;
        *last = position.max(*last);
        let Some(hold) = hold else { return Ok(Entry { what: What::Refused, hold: 0 }) };

        // An errand run again may find that its second half was done before the kill.
        let ended = match then {
            What::Confirmed => match decided(batch, || self.engine.confirm(hold)) {
                Ok(receipt) => receipt.position(),
                Err(ConfirmError::Ended(HoldState::Confirmed)) => position,
                Err(error) => return Err(failure(&error)),
            },
            What::Released => match decided(batch, || self.engine.release(hold)) {
                Ok(receipt) => receipt.position(),
                Err(
                    HoldError::WrongState(HoldState::Released) | HoldError::Lookup(LookupError::Forgotten),
                ) => position,
                Err(error) => return Err(failure(&error)),
            },
            What::Held | What::Refused => position,
        };
        batch.decisions += u32::from(matches!(then, What::Confirmed | What::Released));
        *last = ended.max(*last);
        Ok(Entry { what: then, hold: hold.to_u128() })
    }
}

/// Makes `call` until it is answered, and counts how often it was not.
fn decided<T, E: OperationError>(batch: &mut Batch, mut call: impl FnMut() -> Result<T, E>) -> Result<T, E> {
    let patient = Retry::default().give_up_after(BUSY_MAX);
    patient.call(|| call().inspect_err(|error| batch.busy += u32::from(error.is_transient())))
}

fn failure(error: &impl OperationError) -> String {
    if error.is_transient() {
        return format!("an errand was told to try again for {BUSY_MAX:?}");
    }
    error.to_string()
}
