//! The facade: one method an operation, each reading like the diagram in the crate's front page.

pub(crate) mod core;
mod open;
mod outcome;
mod query;
pub(crate) mod reserve;
mod stock;
#[cfg(all(test, not(stockhold_loom)))]
mod tests;
pub(crate) mod transition;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::task::{Poll, Waker};

use xxhash_rust::xxh3::Xxh3;

use self::core::Core;
pub use self::open::OpenReport;
use self::open::Threads;
use crate::answer::{Adjusted, Confirmed, Extended, HoldStatus, InTheWay, Level, Moved, Reserved};
use crate::clock::Timestamp;
use crate::config::{Config, Durability};
use crate::error::{
    Common, ConfirmError, HoldError, LookupError, NameError, OpKeyError, OpenError, OutcomeUnknown,
    ReserveError, StockError, Stopped,
};
use crate::hold::op_keys::Answer;
use crate::metrics::Metrics;
use crate::receipt::Receipt;
use crate::request::{Adjust, Confirm, Extend, OnHold, Receive, Reserve};
use crate::types::{HoldId, Position, StockKey};

/// The engine: a cheap handle, `Clone + Send + Sync`. The last one dropped shuts down in order.
///
/// Every operation takes its time from the engine's [`Clock`](crate::Clock), once, at its start.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    core: Arc<Core>,
    report: OpenReport,
    threads: Threads,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("directory_id", &self.inner.report.directory_id)
            .field("durable", &self.durable())
            .finish_non_exhaustive()
    }
}

/// Hash of what was asked, for op keys.
struct Content(Xxh3);

impl Content {
    fn of(kind: u8) -> Content {
        let mut hash = Xxh3::new();
        hash.update(&[kind]);
        Content(hash)
    }

    fn number(mut self, number: impl Into<i128>) -> Content {
        self.0.update(&number.into().to_le_bytes());
        self
    }

    fn maybe(self, number: Option<impl Into<i128>>) -> Content {
        match number {
            Some(number) => self.number(1).number(number),
            None => self.number(0),
        }
    }

    fn bytes(mut self, bytes: &[u8]) -> Content {
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
        self
    }

    fn hold(mut self, hold: HoldId) -> Content {
        self.0.update(&hold.0.to_le_bytes());
        self
    }

    fn hash(self) -> u64 {
        self.0.digest()
    }
}

/// An answer of another kind than the operation's: a hash collision, answered as other content.
fn other<T, E: From<Common>>() -> Result<T, E> {
    Err(Common::OpKey(OpKeyError::OtherContent).into())
}

fn hold_content(kind: u8, request: &OnHold) -> u64 {
    Content::of(kind).hold(request.hold).maybe(request.quantity).hash()
}

fn moved(answer: Answer) -> Result<Moved, HoldError> {
    if let Answer::Moved(moved) = answer { Ok(moved) } else { other() }
}

fn extended(answer: Answer) -> Result<Extended, HoldError> {
    if let Answer::Extended(extended) = answer { Ok(extended) } else { other() }
}

fn adjusted(answer: Answer) -> Result<Adjusted, StockError> {
    if let Answer::Adjusted(adjusted) = answer { Ok(adjusted) } else { other() }
}

/// # Opening and closing
impl Engine {
    /// Opens the directory: creates it, recovers it, or says why not.
    ///
    /// Recovery replays the log: its time grows with the log. The report says what was found and done.
    ///
    /// ```no_run
    /// use stockhold::{Config, Engine};
    ///
    /// let engine = Engine::open("/var/lib/shop/stock", Config::default())?;
    /// println!("{}", engine.report());
    /// # Ok::<(), stockhold::error::OpenError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// A setting that cannot work, a directory that is foreign, newer, damaged, or in use (by whom).
    pub fn open(directory: impl AsRef<Path>, config: Config) -> Result<Engine, OpenError> {
        config.validate()?;
        if config.durability == Durability::Memory {
            return Err(OpenError::MemoryWithDirectory(directory.as_ref().to_owned()));
        }
        open::on_disk(directory.as_ref(), config)
    }

    /// An engine that keeps nothing: whatever [`Config::durability`] says, it is [`Durability::Memory`].
    pub fn in_memory(config: Config) -> Result<Engine, OpenError> {
        config.validate()?;
        open::in_memory(config.durability(Durability::Memory))
    }

    /// What opening found and did.
    pub fn report(&self) -> &OpenReport {
        &self.inner.report
    }

    /// Takes no more operations, makes everything durable, and closes the directory. Later calls of any handle answer
    /// [`Stopped::ShutDown`]. Blocks until operations under way have finished; called again it says the same.
    ///
    /// # Errors
    ///
    /// The log failed before everything was durable.
    pub fn shutdown(&self) -> Result<(), OutcomeUnknown> {
        self.inner.shutdown()
    }

    /// Blocks until everything up to `position` is durable at the engine's level.
    ///
    /// # Errors
    ///
    /// The log failed, or the engine was shut down, before: the outcome of what lies behind is unknown.
    pub fn wait(&self, position: Position) -> Result<(), OutcomeUnknown> {
        let core = &self.inner.core;
        if core.is_memory() || core.log.durable.wait(position.0) {
            return Ok(());
        }
        Err(OutcomeUnknown { position, cause: core.log.poison.cause() })
    }

    /// Everything up to here is durable at the engine's level.
    pub fn durable(&self) -> Position {
        Position(self.inner.core.log.durable.position())
    }

    pub(crate) fn poll_durable(&self, position: Position, waker: &Waker) -> Poll<Result<(), OutcomeUnknown>> {
        let core = &self.inner.core;
        if core.is_memory() {
            return Poll::Ready(Ok(()));
        }
        core.log.durable.poll(position.0, waker).map(|reached| {
            if reached { Ok(()) } else { Err(OutcomeUnknown { position, cause: core.log.poison.cause() }) }
        })
    }

    fn receipt<T>(&self, (value, position): (T, Position)) -> Receipt<'_, T> {
        Receipt::new(self, value, position)
    }
}

/// # Names
impl Engine {
    /// The key of a SKU at a location, made if it is new. Declaring again is free and gives the same key.
    ///
    /// Names are any text of 1 to 255 bytes. A new key becomes durable with the first operation on it that does.
    pub fn declare(&self, sku: &str, location: &str) -> Result<StockKey, NameError> {
        self.inner.core.declare(sku, location)
    }

    /// The key of a SKU at a location that was declared. Keep the key: it spares the hot path hashing names.
    pub fn key(&self, sku: &str, location: &str) -> Result<StockKey, NameError> {
        let core = &self.inner.core;
        Ok(StockKey { index: core.catalog.find(sku, location)?, tag: core.answers.tag })
    }

    /// SKU and location of a key; `None` for a key of another directory.
    pub fn name(&self, key: StockKey) -> Option<(Arc<str>, Arc<str>)> {
        let core = &self.inner.core;
        if key.tag == core.answers.tag { core.catalog.name(key.index) } else { None }
    }

    /// All keys, in the order in which they were declared.
    pub fn keys(&self) -> Vec<StockKey> {
        let core = &self.inner.core;
        (0..core.catalog.len()).map(|index| StockKey { index, tag: core.answers.tag }).collect()
    }
}

/// # Sales
impl Engine {
    /// Takes units and holds them: the decision who gets the last one.
    ///
    /// Lock-free without an op key. Cost: one compare-and-swap on the counter, one on the free list of
    /// slots, two additions on the log. A refusal writes nothing but its own count; if holds are past their deadline it
    /// expires them first, 256 at a time, up to a million before it answers `Busy`.
    ///
    /// # Errors
    ///
    /// [`ReserveError::Refused`] is a true answer; [`is_busy`](ReserveError::is_busy) means try again; the rest is bad
    /// input or an engine that takes nothing new. None of them changes anything.
    pub fn reserve(&self, request: Reserve<'_>) -> Result<Receipt<'_, Reserved>, ReserveError> {
        let core = &self.inner.core;
        let wanted = core.limits(request)?;
        if request.op_key.is_none() {
            return core.decide(&wanted, None).map(|granted| self.receipt(granted));
        }
        let content = Content::of(1)
            .number(request.key.index)
            .number(request.quantity)
            .maybe(request.ttl.map(|ttl| ttl.as_nanos().min(i128::MAX as u128) as i128))
            .bytes(request.reference)
            .hash();
        let now = core.now();
        // A remembered refusal is an answer like another: it passes through as a value.
        let decided = core.once(
            request.op_key,
            content,
            now,
            |decided: Result<Reserved, _>| decided.map_or_else(Answer::Refused, Answer::Reserved),
            |answer| match answer {
                Answer::Reserved(reserved) => Ok(Ok(reserved)),
                Answer::Refused(refusal) => Ok(Err(refusal)),
                _ => other(),
            },
            |op| match (core.decide(&wanted, op), op) {
                (Err(ReserveError::Refused(refusal)), Some(op)) if request.remember_refusal => {
                    let refusal = core.remember(refusal, now, op)?;
                    Ok((Err(refusal), refusal.position))
                }
                (decided, _) => decided.map(|(reserved, position)| (Ok(reserved), position)),
            },
        )?;
        match decided {
            (Ok(reserved), position) => Ok(self.receipt((reserved, position))),
            (Err(refusal), _) => Err(ReserveError::Refused(refusal)),
        }
    }

    /// A hold is paid for, whole or in part; the rest goes back on sale. Final. Lock-free without an op key.
    ///
    /// At or after the deadline it loses, unless [`Confirm::retake_if_expired`] finds the units still there (and the
    /// key's sale not stopped).
    pub fn confirm(&self, request: impl Into<Confirm>) -> Result<Receipt<'_, Confirmed>, ConfirmError> {
        let (core, request) = (&self.inner.core, request.into());
        let now = core.now();
        let content = || {
            Content::of(2).hold(request.hold).maybe(request.quantity).number(u8::from(request.retake)).hash()
        };
        let content = request.op_key.map_or(0, |_| content());
        let unwrap = |answer| if let Answer::Confirmed(confirmed) = answer { Ok(confirmed) } else { other() };
        core.once(request.op_key, content, now, Answer::Confirmed, unwrap, |op| {
            core.confirm(request, now, op)
        })
        .map(|confirmed| self.receipt(confirmed))
    }

    /// A hold is given back by its holder. Lock-free without an op key.
    pub fn release(&self, request: impl Into<OnHold>) -> Result<Receipt<'_, Moved>, HoldError> {
        let (core, request) = (&self.inner.core, request.into());
        let now = core.now();
        let content = request.op_key.map_or(0, |_| hold_content(3, &request));
        core.once(request.op_key, content, now, Answer::Moved, moved, |op| core.release(request, now, op))
            .map(|released| self.receipt(released))
    }

    /// A hold gets more time. It never gets less, nor more in all than [`Config::life_max`]; a failed call
    /// extends nothing, and an expired hold does not come back.
    pub fn extend(&self, request: Extend) -> Result<Receipt<'_, Extended>, HoldError> {
        let core = &self.inner.core;
        let now = core.now();
        let ttl_ns = request.ttl.as_nanos().min(i128::MAX as u128) as i128;
        let content = request.op_key.map_or(0, |_| Content::of(4).hold(request.hold).number(ttl_ns).hash());
        core.once(request.op_key, content, now, Answer::Extended, extended, |op| {
            core.extend(request, now, op)
        })
        .map(|extended| self.receipt(extended))
    }

    /// Payment is in flight: the hold lives [`Config::payment_extension`] longer, once, within [`Config::life_max`].
    pub fn begin_payment(&self, request: impl Into<OnHold>) -> Result<Receipt<'_, Extended>, HoldError> {
        let (core, request) = (&self.inner.core, request.into());
        let now = core.now();
        let content = request.op_key.map_or(0, |_| hold_content(5, &request));
        core.once(request.op_key, content, now, Answer::Extended, extended, |op| {
            core.begin_payment(request, now, op)
        })
        .map(|extended| self.receipt(extended))
    }

    /// Gives back what was confirmed and has not shipped, whole or in part.
    pub fn cancel(&self, request: impl Into<OnHold>) -> Result<Receipt<'_, Moved>, HoldError> {
        let (core, request) = (&self.inner.core, request.into());
        let now = core.now();
        let content = request.op_key.map_or(0, |_| hold_content(6, &request));
        core.once(request.op_key, content, now, Answer::Moved, moved, |op| core.cancel(request, now, op))
            .map(|cancelled| self.receipt(cancelled))
    }

    /// What was confirmed leaves the building, whole or in part. Takes the key's lock of physical movements.
    pub fn ship(&self, request: impl Into<OnHold>) -> Result<Receipt<'_, Moved>, HoldError> {
        let (core, request) = (&self.inner.core, request.into());
        let now = core.now();
        let content = request.op_key.map_or(0, |_| hold_content(7, &request));
        core.once(request.op_key, content, now, Answer::Moved, moved, |op| core.ship(request, now, op))
            .map(|shipped| self.receipt(shipped))
    }
}

/// # Stock
impl Engine {
    /// Units arrive and are on sale at once. Takes the key's lock of physical movements.
    pub fn receive(&self, request: Receive<'_>) -> Result<Receipt<'_, Adjusted>, StockError> {
        let core = &self.inner.core;
        core.item(request.key)?;
        let now = core.now();
        let content = || {
            Content::of(8).number(request.key.index).number(request.quantity).bytes(request.reference).hash()
        };
        let content = request.op_key.map_or(0, |_| content());
        core.once(request.op_key, content, now, Answer::Adjusted, adjusted, |op| {
            core.receive(request, now, op)
        })
        .map(|received| self.receipt(received))
    }

    /// Corrects what is on hand. Down below what is promised it is a shortfall: applied, and reported in the
    /// answer; what is received next pays it. Takes the key's lock of physical movements.
    pub fn adjust(&self, request: Adjust<'_>) -> Result<Receipt<'_, Adjusted>, StockError> {
        let core = &self.inner.core;
        core.item(request.key)?;
        let now = core.now();
        let content = || {
            Content::of(9)
                .number(request.key.index)
                .number(request.delta)
                .number(request.reason as u8)
                .bytes(request.reference)
                .hash()
        };
        let content = request.op_key.map_or(0, |_| content());
        core.once(request.op_key, content, now, Answer::Adjusted, adjusted, |op| {
            core.adjust(request, now, op)
        })
        .map(|corrected| self.receipt(corrected))
    }

    /// The stop switch of a key: from now on reserves are refused with
    /// [`RefusalReason::Stopped`](crate::answer::RefusalReason::Stopped), everything else goes on. Survives a restart.
    pub fn stop_sale(&self, key: StockKey) -> Result<Receipt<'_, ()>, StockError> {
        self.inner.core.switch(key, true).map(|stopped| self.receipt(stopped))
    }

    /// Clears the stop switch.
    pub fn resume_sale(&self, key: StockKey) -> Result<Receipt<'_, ()>, StockError> {
        self.inner.core.switch(key, false).map(|resumed| self.receipt(resumed))
    }
}

/// # Questions
impl Engine {
    /// `available` right now: one load. Holds that are due and not yet swept count as held in it.
    pub fn available(&self, key: StockKey) -> Result<i64, StockError> {
        let core = &self.inner.core;
        Ok(core.item(key)?.counter.roughly(core.lane(key.index)))
    }

    /// The book of a key at one position of the log, at least as new as every answer given before this call.
    /// Waits for the log to get there. After a failure of the log it is the last book there was.
    pub fn level(&self, key: StockKey) -> Result<Level, StockError> {
        Ok(self.inner.core.level(key)?)
    }

    /// A hold, as it is. A deadline that has passed closes it first; if the log is full or has failed, the hold is shown as
    /// it was, with the deadline that has passed.
    pub fn status(&self, hold: HoldId) -> Result<HoldStatus, LookupError> {
        let core = &self.inner.core;
        core.status(hold, core.now())
    }

    /// The holds, live or remembered, that carry a reference. Waits for the log as [`level`](Self::level) does.
    pub fn holds_of(&self, reference: impl AsRef<[u8]>) -> Vec<HoldStatus> {
        let core = &self.inner.core;
        core.holds_of(reference.as_ref(), core.now())
    }

    /// What stands in the way of a refused reserve: "try again in 40 s". Read now, after the refusal. Cost: looks at
    /// every hold.
    pub fn in_the_way(&self, key: StockKey) -> Result<InTheWay, StockError> {
        let core = &self.inner.core;
        Ok(core.in_the_way(key, core.now())?)
    }

    /// Everything the engine counts. Cost: a few hundred loads; a look at every hold while some are due.
    pub fn metrics(&self) -> Metrics {
        self.inner.core.metrics()
    }

    /// What the driver thread does: expires what is due, says how many holds that were, and forgets op keys past their
    /// retention window.
    pub fn sweep(&self) -> usize {
        let core = &self.inner.core;
        let now = core.now();
        core.tidy(now);
        core.sweep(now)
    }

    /// Engine time.
    pub fn now(&self) -> Timestamp {
        self.inner.core.now()
    }
}

impl Inner {
    fn shutdown(&self) -> Result<(), OutcomeUnknown> {
        let log = &self.core.log;
        log.ring.close();
        log.bell.ring();
        self.threads.join();
        match log.poison.cause() {
            Stopped::ShutDown => Ok(()),
            cause => Err(OutcomeUnknown { position: Position(log.ring.drawn()), cause }),
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let _ = self.shutdown(); // whoever wants to know calls it by hand
    }
}

const _: fn() = || {
    fn shared<T: Clone + Send + Sync + 'static>() {}
    shared::<Engine>();
};
