//! The facade: one method an operation, each reading like the diagram in the crate's front page.

mod batch;
pub(crate) mod cart;
mod checkpoint;
mod content;
pub(crate) mod core;
mod expire;
mod find;
pub(crate) mod open;
#[cfg(fuzzing)]
pub(crate) use open::restore;
mod outcome;
mod part;
mod query;
mod recovered;
mod replace;
pub(crate) mod reserve;
mod stock;
#[cfg(all(test, not(stockhold_loom)))]
mod tests;
mod threads;
mod told;
pub(crate) mod transition;
mod verify;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use self::content::{Content, hold_content};
use self::core::Core;
pub use self::open::OpenReport;
use self::threads::Threads;
pub use self::verify::Verified;
use crate::answer::{
    Adjusted, Confirmed, Extended, HoldStatus, InTheWay, Level, Moved, Refusal, RefusalReason, Replaced,
    Reserved, ReservedCart,
};
use crate::clock::Timestamp;
use crate::config::{Config, Durability};
use crate::error::{
    BackupError, CheckpointError, Common, ConfirmError, HoldError, LookupError, NameError, OpKeyError,
    OpenError, OutcomeUnknown, ReplaceError, ReserveError, StockError, Stopped, VerifyError,
};
use crate::hold::op_keys::Answer;
use crate::log::record::Op;
use crate::metrics::Metrics;
use crate::receipt::Receipt;
use crate::request::{Adjust, Confirm, Extend, OnHold, Receive, Replace, ReplaceBy, Reserve, ReserveCart};
use crate::stock::book::Gate;
use crate::types::{HoldId, OpKey, Position, StockKey};

/// The engine: a cheap handle, `Clone + Send + Sync`. The last one dropped shuts down in order.
///
/// Every operation takes its time from the engine's [`Clock`](crate::Clock), once, at its start, steered towards the wall
/// by [these rules](crate::clock).
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

/// An answer of another kind than the operation's: a hash collision, answered as other content.
fn other<T, E: From<Common>>() -> Result<T, E> {
    Err(Common::OpKey(OpKeyError::OtherContent).into())
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
    /// Recovery reads the newest checkpoint and replays the log behind it: its time grows with what is held and in
    /// stock, not with what has happened. The report says what was found and done.
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
    ///
    /// # Errors
    ///
    /// A setting that cannot work.
    pub fn in_memory(config: Config) -> Result<Engine, OpenError> {
        config.validate()?;
        open::in_memory(config.durability(Durability::Memory))
    }

    /// Makes a checkpoint of everything that was answered before this call, and waits for it; says where it is. The engine
    /// makes them by itself ([`Config::checkpoint_bytes`]), so this is for who wants the next opening to be quick. Sales
    /// go on meanwhile.
    ///
    /// Cost: writes what has changed since the last one, and now and then all of the state.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Failed`] if the disk does not take it: nothing is lost, and it is tried again later.
    pub fn checkpoint(&self) -> Result<Position, CheckpointError> {
        self.inner.core.checkpoint()
    }

    /// Copies everything that was answered before this call into a new directory, while sales go on; says up to where it
    /// goes. The copy has the directory's identity, so ids of holds and stock keys mean the same in it: open it in the
    /// place of the directory, never beside it.
    ///
    /// What it has is the state, not the log before it. Cost: reads and writes all of the state.
    ///
    /// ```
    /// # use stockhold::{Config, Engine, Receive};
    /// # let scratch = tempfile::tempdir()?;
    /// # let (directory, copy) = (scratch.path().join("stock"), scratch.path().join("backup"));
    /// let engine = Engine::open(&directory, Config::default())?;
    /// let poster = engine.declare("poster", "berlin")?;
    /// engine.receive(Receive::units(poster, 10))?.wait()?;
    /// engine.backup(&copy)?;
    ///
    /// let copy = Engine::open(&copy, Config::default())?;
    /// assert_eq!(copy.available(poster)?, 10);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`BackupError::Exists`] for a place with something in it, or inside of the directory. After [`BackupError::Failed`] what
    /// was written is no directory that opens; remove it.
    pub fn backup(&self, directory: impl AsRef<Path>) -> Result<Position, BackupError> {
        self.inner.core.backup(directory.as_ref())
    }

    /// Looks whether everything still is what it should be, while sales go on: makes a checkpoint, folds the log on the disk
    /// from the checkpoint before up to there, judging each entry, and compares; then compares every counter with the
    /// book, each at a position at which nothing was drawn. The same as `stockhold verify` does for a directory at rest.
    ///
    /// Cost: reads the log's files and both checkpoints, in memory what a recovery takes; holds the fold back for
    /// microseconds at a time; gathers split keys for an instant. A second more for each key that is never left
    /// alone.
    ///
    /// ```
    /// # use stockhold::{Config, Engine, Receive};
    /// # let scratch = tempfile::tempdir()?;
    /// let engine = Engine::open(scratch.path().join("stock"), Config::default())?;
    /// let poster = engine.declare("poster", "berlin")?;
    /// engine.receive(Receive::units(poster, 10))?.wait()?;
    /// println!("{}", engine.verify()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`VerifyError::Drift`] names the first entry, or the counter, that contradicts the rest. A counter that has fewer
    /// units than the book, always as many, for a second is called drift: so it is if a thread was stopped in the
    /// middle of a reserve for so long.
    pub fn verify(&self) -> Result<Verified, VerifyError> {
        self.inner.core.verify()
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
    ///
    /// # Errors
    ///
    /// A name that is empty or too long, a full catalogue, an engine that takes nothing new.
    pub fn declare(&self, sku: &str, location: &str) -> Result<StockKey, NameError> {
        self.inner.core.declare(sku, location)
    }

    /// The key of a SKU at a location that was declared. Keep the key: it spares the hot path hashing names.
    ///
    /// # Errors
    ///
    /// A name that was never declared.
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
            .span(request.ttl)
            .bytes(request.reference);
        // Nothing, if all or nothing was asked for: so that it hashes as it always has.
        let content = match request.at_least {
            all if all == request.quantity => content,
            fewer => content.number(fewer),
        };
        self.reserve_once(
            (request.op_key, content.hash(), request.remember_refusal),
            Answer::Reserved,
            |answer| if let Answer::Reserved(reserved) = answer { Ok(reserved) } else { Err(answer) },
            |op| core.decide(&wanted, op),
        )
    }

    /// A hold on several stock keys, all or nothing: one id, one deadline, one confirm or release.
    ///
    /// Lock-free without an op key. Cost: as [`reserve`](Self::reserve), and two swaps a line. A cart that comes up short
    /// gives back what it took before anybody is told sold out because of it, and carts that want the same lines in
    /// different orders never block each other: lines are taken in one order, and nobody waits.
    ///
    /// # Errors
    ///
    /// [`ReserveError::Refused`] names the line that is short, with the quantities of its lines added up; the rest is as
    /// for [`reserve`](Self::reserve). None of them changes anything.
    pub fn reserve_cart(&self, request: ReserveCart<'_>) -> Result<Receipt<'_, ReservedCart>, ReserveError> {
        let core = &self.inner.core;
        let wanted = core.cart_limits(request)?;
        if request.op_key.is_none() {
            return core.decide_cart(&wanted, None).map(|granted| self.receipt(granted));
        }
        let content = Content::of(10).lines(&wanted.lines).span(request.ttl).bytes(request.reference).hash();
        self.reserve_once(
            (request.op_key, content, request.remember_refusal),
            Answer::Cart,
            |answer| match answer {
                Answer::Cart(cart) => Ok(cart),
                // A cart of one line is logged as what it is.
                Answer::Reserved(Reserved { hold, quantity, deadline, .. }) => {
                    Ok(ReservedCart { hold, quantity, deadline })
                }
                answer => Err(answer),
            },
            |op| core.decide_cart(&wanted, op),
        )
    }

    /// Decides a reserve once for its op key. A remembered refusal is an answer like another.
    fn reserve_once<T: Copy>(
        &self,
        (op_key, content, remember): (Option<OpKey>, u64, bool),
        wrap: fn(T) -> Answer,
        unwrap: fn(Answer) -> Result<T, Answer>,
        decide: impl Fn(Option<Op>) -> Result<(T, Position), ReserveError>,
    ) -> Result<Receipt<'_, T>, ReserveError> {
        let core = &self.inner.core;
        let now = core.now();
        let decided = core.once(
            op_key,
            content,
            now,
            |decided: Result<T, Refusal>| decided.map_or_else(Answer::Refused, wrap),
            |answer| match unwrap(answer) {
                Ok(granted) => Ok(Ok(granted)),
                Err(Answer::Refused(refusal)) => Ok(Err(refusal)),
                Err(_) => other(),
            },
            |op| match (decide(op), op) {
                // A sale that has not opened will: that is no answer to keep.
                (Err(ReserveError::Refused(refusal)), Some(op))
                    if remember && refusal.reason != RefusalReason::NotOpen =>
                {
                    let refusal = core.remember(refusal, now, op)?;
                    Ok((Err(refusal), refusal.position))
                }
                (decided, _) => decided.map(|(granted, position)| (Ok(granted), position)),
            },
        )?;
        match decided {
            (Ok(granted), position) => Ok(self.receipt((granted, position))),
            (Err(refusal), _) => Err(ReserveError::Refused(refusal)),
        }
    }

    /// Many independent reserves in one call: each is granted or refused by itself, and the results are in the order of
    /// the requests. Cheaper than as many calls: up to 64 at a time share their claim and their draw of the log. One that
    /// comes up short at the first go is decided again after the others of its 64. If any request has an op key, all are
    /// decided one by one.
    ///
    /// ```
    /// # use stockhold::{Config, Engine, Receive, Reserve};
    /// # let engine = Engine::in_memory(Config::default())?;
    /// # let key = engine.declare("poster", "berlin")?;
    /// # engine.receive(Receive::units(key, 3))?.wait()?;
    /// let wanted = [2, 2, 1].map(|quantity| Reserve::units(key, quantity));
    /// let granted: Vec<bool> = engine.reserve_batch(&wanted).iter().map(|result| result.is_ok()).collect();
    /// assert_eq!(granted.iter().filter(|granted| **granted).count(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Each result has its own: see [`reserve`](Self::reserve).
    pub fn reserve_batch(
        &self,
        requests: &[Reserve<'_>],
    ) -> Vec<Result<Receipt<'_, Reserved>, ReserveError>> {
        if requests.iter().any(|request| request.op_key.is_some()) {
            return requests.iter().map(|request| self.reserve(*request)).collect();
        }
        let decided = self.inner.core.decide_batch(requests);
        decided.into_iter().map(|one| one.map(|granted| self.receipt(granted))).collect()
    }

    /// Another quantity, or other lines, for a live hold, in one step: it keeps its id, and its deadline unless a later
    /// one is asked for. Only what it needs in addition is taken, so it never competes with itself; what it needs no more
    /// goes back on sale. Lock-free without an op key. At most 65,535 times a hold.
    ///
    /// # Errors
    ///
    /// [`ReplaceError::Refused`] is true of what would be needed in addition. Whatever the error, the hold is as it was.
    pub fn replace(&self, request: Replace<'_>) -> Result<Receipt<'_, Replaced>, ReplaceError> {
        let core = &self.inner.core;
        let now = core.now();
        let content = || {
            let content = Content::of(11).hold(request.hold);
            let content = match request.by {
                ReplaceBy::Quantity(units) => content.number(0).number(units),
                ReplaceBy::Lines(lines) => content.number(1).named(core, lines),
            };
            content.span(request.ttl).hash()
        };
        let content = request.op_key.map_or(0, |_| content());
        let unwrap = |answer| if let Answer::Replaced(replaced) = answer { Ok(replaced) } else { other() };
        core.once(request.op_key, content, now, Answer::Replaced, unwrap, |op| core.replace(request, now, op))
            .map(|replaced| self.receipt(replaced))
    }

    /// A hold is paid for, whole or in part; the rest goes back on sale. Final. Lock-free without an op key.
    ///
    /// At or after the deadline it loses, unless [`Confirm::retake_if_expired`] finds the units still there (and the
    /// key's sale not stopped).
    ///
    /// # Errors
    ///
    /// [`ConfirmError::Expired`] at or after the deadline, [`ConfirmError::Ended`] after another outcome; more, or other
    /// lines, than the hold has; a hold that is not known or no longer remembered. The hold is as it was.
    pub fn confirm<'a>(
        &self,
        request: impl Into<Confirm<'a>>,
    ) -> Result<Receipt<'_, Confirmed>, ConfirmError> {
        let (core, request) = (&self.inner.core, request.into());
        let now = core.now();
        let content = || {
            Content::of(2)
                .hold(request.hold)
                .maybe(request.quantity)
                .number(u8::from(request.retake))
                .maybe_lines(core, request.lines)
                .hash()
        };
        let content = request.op_key.map_or(0, |_| content());
        let unwrap = |answer| if let Answer::Confirmed(confirmed) = answer { Ok(confirmed) } else { other() };
        core.once(request.op_key, content, now, Answer::Confirmed, unwrap, |op| {
            core.confirm(request, now, op)
        })
        .map(|confirmed| self.receipt(confirmed))
    }

    /// A hold is given back by its holder. Lock-free without an op key.
    ///
    /// # Errors
    ///
    /// [`HoldError`]: the hold has expired, ended otherwise, or is not known. Nothing was changed.
    pub fn release<'a>(&self, request: impl Into<OnHold<'a>>) -> Result<Receipt<'_, Moved>, HoldError> {
        let (core, request) = (&self.inner.core, request.into());
        let now = core.now();
        let content = request.op_key.map_or(0, |_| hold_content(core, 3, &request));
        core.once(request.op_key, content, now, Answer::Moved, moved, |op| core.release(request, now, op))
            .map(|released| self.receipt(released))
    }

    /// A hold gets more time. It never gets less, nor more in all than [`Config::life_max`]; a failed call
    /// extends nothing, and an expired hold does not come back.
    ///
    /// # Errors
    ///
    /// [`HoldError::LifeMax`] says how long it may live; a TTL out of bounds; a hold that has expired, ended, or is not known.
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
    ///
    /// # Errors
    ///
    /// A hold that has expired, ended, is paying already, or is not known.
    pub fn begin_payment<'a>(
        &self,
        request: impl Into<OnHold<'a>>,
    ) -> Result<Receipt<'_, Extended>, HoldError> {
        let (core, request) = (&self.inner.core, request.into());
        let now = core.now();
        let content = request.op_key.map_or(0, |_| hold_content(core, 5, &request));
        core.once(request.op_key, content, now, Answer::Extended, extended, |op| {
            core.begin_payment(request, now, op)
        })
        .map(|extended| self.receipt(extended))
    }

    /// Gives back what was confirmed and has not shipped, whole or in part.
    ///
    /// # Errors
    ///
    /// A hold that is not confirmed; more units, or other lines, than it still has.
    pub fn cancel<'a>(&self, request: impl Into<OnHold<'a>>) -> Result<Receipt<'_, Moved>, HoldError> {
        let (core, request) = (&self.inner.core, request.into());
        let now = core.now();
        let content = request.op_key.map_or(0, |_| hold_content(core, 6, &request));
        core.once(request.op_key, content, now, Answer::Moved, moved, |op| core.cancel(request, now, op))
            .map(|cancelled| self.receipt(cancelled))
    }

    /// What was confirmed leaves the building, whole or in part. Takes the key's lock of physical movements.
    ///
    /// # Errors
    ///
    /// A hold that is not confirmed; more units, or other lines, than it still has.
    pub fn ship<'a>(&self, request: impl Into<OnHold<'a>>) -> Result<Receipt<'_, Moved>, HoldError> {
        let (core, request) = (&self.inner.core, request.into());
        let now = core.now();
        let content = request.op_key.map_or(0, |_| hold_content(core, 7, &request));
        core.once(request.op_key, content, now, Answer::Moved, moved, |op| core.ship(request, now, op))
            .map(|shipped| self.receipt(shipped))
    }
}

/// # Stock
impl Engine {
    /// Units arrive and are on sale at once. Takes the key's lock of physical movements.
    ///
    /// # Errors
    ///
    /// [`StockError::TooMuch`] beyond what can be counted; a quantity or reference out of range.
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
    ///
    /// # Errors
    ///
    /// [`StockError::BelowZero`] for more than is on hand; a delta or reference out of range.
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
    ///
    /// # Errors
    ///
    /// A key of another directory; an engine that takes nothing new, or whose log is behind.
    pub fn stop_sale(&self, key: StockKey) -> Result<Receipt<'_, ()>, StockError> {
        self.inner.core.switch(key, Gate::Stopped).map(|stopped| self.receipt(stopped))
    }

    /// Opens the sale of a key at a moment of engine time: until then reserves are refused with
    /// [`RefusalReason::NotOpen`](crate::answer::RefusalReason::NotOpen), from then on no reserve is refused for that
    /// reason; nobody has to be there to open it. A moment that has passed opens it now; one beyond 2089 is 2089.
    /// Survives a restart.
    ///
    /// It takes the place of the stop switch, and [`stop_sale`](Self::stop_sale) takes its place: who stops a sale that has
    /// not opened, and resumes it, opens it at once. Give the moment again instead.
    ///
    /// # Errors
    ///
    /// A key of another directory; an engine that takes nothing new, or whose log is behind.
    pub fn open_sale_at(&self, key: StockKey, opens_at: Timestamp) -> Result<Receipt<'_, ()>, StockError> {
        self.inner.core.switch(key, Gate::OpensAt(opens_at)).map(|set| self.receipt(set))
    }

    /// Splits a key's counter in advance, for a sale whose first moment will be its hottest; says whether it is split now.
    /// It is not if it has fewer than 64 units or more than 8 million for each core (up to 16), if 256 other keys are
    /// split, or on a machine with one core: none of which makes an answer wrong. A key is otherwise split by contention
    /// alone, within microseconds. Prepared, it stays split until it has been used and then been idle for a second. Changes
    /// no number; not remembered over a restart.
    ///
    /// # Errors
    ///
    /// A key of another directory.
    pub fn prepare(&self, key: StockKey) -> Result<bool, StockError> {
        let core = &self.inner.core;
        core.item(key)?;
        Ok(core.book.prepare(key.index))
    }

    /// Clears the stop switch, and the time of opening.
    ///
    /// # Errors
    ///
    /// A key of another directory; an engine that takes nothing new, or whose log is behind.
    pub fn resume_sale(&self, key: StockKey) -> Result<Receipt<'_, ()>, StockError> {
        self.inner.core.switch(key, Gate::Open).map(|resumed| self.receipt(resumed))
    }
}

/// # Questions
impl Engine {
    /// When the sale of a key opens, if it has a time for that: one load. `None` once it was opened or stopped by the switch.
    ///
    /// # Errors
    ///
    /// A key of another directory.
    pub fn opens_at(&self, key: StockKey) -> Result<Option<Timestamp>, StockError> {
        Ok(self.inner.core.item(key)?.opens_at())
    }

    /// About what is on sale now: one load, or one for each cell of a hot key, which are added up while sales go on. Holds
    /// that are due and not yet swept count as held in it. Writes nothing, so it can be polled.
    ///
    /// # Errors
    ///
    /// A key of another directory.
    pub fn available(&self, key: StockKey) -> Result<i64, StockError> {
        let core = &self.inner.core;
        Ok(core.item(key)?.counter.roughly(core.lane(key.index)))
    }

    /// Exactly what is on sale, at one instant of this call: with nothing due left unswept, and nothing on its way back.
    /// Gathers a hot key's cells for an instant and spreads them again, which costs its buyers some hundred nanoseconds.
    ///
    /// # Errors
    ///
    /// `Busy` if units stay on their way back longer than a short spin.
    pub fn available_exactly(&self, key: StockKey) -> Result<i64, StockError> {
        Ok(self.inner.core.exactly(key)?)
    }

    /// The book of a key at one position of the log, at least as new as every answer given before this call.
    /// Waits for the log to get there. After a failure of the log it is the last book there was.
    ///
    /// # Errors
    ///
    /// A key of another directory.
    pub fn level(&self, key: StockKey) -> Result<Level, StockError> {
        Ok(self.inner.core.level(key)?)
    }

    /// A hold, as it is. A deadline that has passed closes it first; if the log is full or has failed, the hold is shown as
    /// it was, with the deadline that has passed.
    ///
    /// # Errors
    ///
    /// [`LookupError`]: no such hold, or it is no longer remembered, or it is being changed at this very moment.
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
    ///
    /// # Errors
    ///
    /// A key of another directory.
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
        core.keep_time();
        core.sweep(now)
    }

    /// The wall clock is right: engine time becomes what it says, at once, if that is later; by how much it stepped ahead.
    ///
    /// For an operator who has looked, after [`Metrics::clock_unbelieved`](crate::Metrics) was seen: the machine was paused
    /// in a way that its clocks did not count, or the wall was wrong before. Every hold whose deadline has passed by
    /// the wall expires, the ones made since it jumped too, whose deadlines were reckoned from the time before. A wall
    /// that is behind changes nothing: engine time never falls, and runs slower until the wall has caught up.
    pub fn accept_clock(&self) -> Duration {
        let core = &self.inner.core;
        let stepped = core.time.accept();
        core.keep_time();
        stepped
    }

    /// Engine time.
    pub fn now(&self) -> Timestamp {
        self.inner.core.now()
    }
}

impl Inner {
    fn shutdown(&self) -> Result<(), OutcomeUnknown> {
        let log = &self.core.log;
        if self.core.stopped().is_ok() {
            self.core.time.close(); // while the directory is ours
        }
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
