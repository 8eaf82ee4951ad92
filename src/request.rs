//! What callers ask for: one small builder an operation, so that same-typed arguments cannot be swapped.

use std::time::Duration;

use crate::types::{HoldId, OpKey, StockKey};

/// Gives a request its op key setter.
macro_rules! op_key_setter {
    () => {
        /// Makes the operation happen once, however often it is sent. Default = none.
        pub fn op_key(mut self, key: OpKey) -> Self {
            self.op_key = Some(key);
            self
        }
    };
}

/// A request for a hold on units of one stock key.
///
/// ```
/// # use stockhold::{Config, Engine};
/// use std::time::Duration;
/// use stockhold::{OpKey, Reserve};
/// # let engine = Engine::in_memory(Config::default())?;
/// # let key = engine.declare("poster", "berlin")?;
///
/// let request = Reserve::units(key, 2)
///     .reference("order-4711")
///     .ttl(Duration::from_secs(120))
///     .op_key(OpKey(0x0192_f3a1_7d00_7000_8000_0000_0000_0001));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "a request does nothing until it is given to Engine::reserve"]
pub struct Reserve<'a> {
    pub(crate) key: StockKey,
    pub(crate) quantity: u32,
    pub(crate) at_least: u32,
    pub(crate) ttl: Option<Duration>,
    pub(crate) reference: &'a [u8],
    pub(crate) op_key: Option<OpKey>,
    pub(crate) remember_refusal: bool,
}

impl<'a> Reserve<'a> {
    /// `quantity` units, 1 to [`QUANTITY_MAX`](crate::types::QUANTITY_MAX).
    pub fn units(key: StockKey, quantity: u32) -> Self {
        let at_least = quantity;
        Reserve { key, quantity, at_least, ttl: None, reference: &[], op_key: None, remember_refusal: false }
    }

    /// If there are fewer units than asked for, takes what is left, but not fewer than `units`: 1 to the quantity.
    /// [`Reserved::quantity`](crate::Reserved::quantity) says how many it took. Default = all or nothing.
    pub fn or_at_least(mut self, units: u32) -> Self {
        self.at_least = units;
        self
    }

    /// How long the hold lives, rounded up to a millisecond. Default = [`Config::ttl_default`](crate::Config::ttl_default).
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// What the caller calls the hold: an order id, up to 40 bytes. Default = empty.
    pub fn reference(mut self, reference: &'a (impl AsRef<[u8]> + ?Sized)) -> Self {
        self.reference = reference.as_ref();
        self
    }

    op_key_setter!();

    /// Remembers a refusal under the op key too: repeated, it stays refused even if stock has come back.
    /// Default = only grants are remembered.
    pub fn remember_refusal(mut self) -> Self {
        self.remember_refusal = true;
        self
    }
}

/// Units of one stock key in a cart.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct CartLine {
    /// Of what.
    pub key: StockKey,
    /// How many, 1 to [`QUANTITY_MAX`](crate::types::QUANTITY_MAX).
    pub quantity: u32,
}

impl CartLine {
    /// `quantity` units of `key`.
    pub fn units(key: StockKey, quantity: u32) -> Self {
        CartLine { key, quantity }
    }
}

/// A request for one hold on units of several stock keys: all of them or none.
///
/// Lines on the same stock key are added up first.
///
/// ```
/// # use stockhold::{Config, Engine, Receive};
/// use stockhold::{CartLine, ReserveCart};
/// # let engine = Engine::in_memory(Config::default())?;
/// # let (poster, frame) = (engine.declare("poster", "berlin")?, engine.declare("frame", "berlin")?);
/// # engine.receive(Receive::units(poster, 5))?.wait()?;
/// # engine.receive(Receive::units(frame, 5))?.wait()?;
///
/// let lines = [CartLine::units(poster, 2), CartLine::units(frame, 1)];
/// let cart = engine.reserve_cart(ReserveCart::lines(&lines).reference("order-4711"))?.wait()?;
/// engine.confirm(cart.hold)?.wait()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "a request does nothing until it is given to Engine::reserve_cart"]
pub struct ReserveCart<'a> {
    pub(crate) lines: &'a [CartLine],
    pub(crate) ttl: Option<Duration>,
    pub(crate) reference: &'a [u8],
    pub(crate) op_key: Option<OpKey>,
    pub(crate) remember_refusal: bool,
}

impl<'a> ReserveCart<'a> {
    /// 1 to [`LINES_MAX`](crate::types::LINES_MAX) lines, of at most [`QUANTITY_MAX`](crate::types::QUANTITY_MAX) units
    /// together.
    pub fn lines(lines: &'a [CartLine]) -> Self {
        ReserveCart { lines, ttl: None, reference: &[], op_key: None, remember_refusal: false }
    }

    /// How long the hold lives, rounded up to a millisecond. Default = [`Config::ttl_default`](crate::Config::ttl_default).
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// What the caller calls the hold: an order id, up to 40 bytes. Default = empty.
    pub fn reference(mut self, reference: &'a (impl AsRef<[u8]> + ?Sized)) -> Self {
        self.reference = reference.as_ref();
        self
    }

    op_key_setter!();

    /// Remembers a refusal under the op key too: repeated, it stays refused even if stock has come back.
    /// Default = only grants are remembered.
    pub fn remember_refusal(mut self) -> Self {
        self.remember_refusal = true;
        self
    }
}

/// Other units for a live hold, in one step: it never competes with itself.
///
/// ```
/// # use stockhold::{Config, Engine, Receive, Reserve};
/// use stockhold::Replace;
/// # let engine = Engine::in_memory(Config::default())?;
/// # let key = engine.declare("poster", "berlin")?;
/// # engine.receive(Receive::units(key, 5))?.wait()?;
/// let hold = engine.reserve(Reserve::units(key, 3))?.wait()?.hold;
///
/// // Five posters in all: the hold has three of them, and takes the two that are left.
/// let replaced = engine.replace(Replace::quantity(hold, 5))?.wait()?;
/// assert_eq!((replaced.hold, replaced.quantity), (hold, 5));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "a request does nothing until it is given to Engine::replace"]
pub struct Replace<'a> {
    pub(crate) hold: HoldId,
    pub(crate) by: ReplaceBy<'a>,
    pub(crate) ttl: Option<Duration>,
    pub(crate) op_key: Option<OpKey>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum ReplaceBy<'a> {
    Quantity(u32),
    Lines(&'a [CartLine]),
}

impl<'a> Replace<'a> {
    /// `hold`, on one stock key, shall have `quantity` units of it, more or fewer.
    pub fn quantity(hold: HoldId, quantity: u32) -> Self {
        Replace { hold, by: ReplaceBy::Quantity(quantity), ttl: None, op_key: None }
    }

    /// `hold` shall have these lines, whatever it had before: all of them or no change.
    pub fn lines(hold: HoldId, lines: &'a [CartLine]) -> Self {
        Replace { hold, by: ReplaceBy::Lines(lines), ttl: None, op_key: None }
    }

    /// It shall live for `ttl` from now, if that is longer. Default = the deadline stays.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    op_key_setter!();
}

/// Payment of a hold, whole or in part. What is not taken goes back on sale; the confirm is final.
#[derive(Clone, Copy, Debug)]
#[must_use = "a request does nothing until it is given to Engine::confirm"]
pub struct Confirm<'a> {
    pub(crate) hold: HoldId,
    pub(crate) quantity: Option<u32>,
    pub(crate) lines: Option<&'a [CartLine]>,
    pub(crate) retake: bool,
    pub(crate) op_key: Option<OpKey>,
}

impl<'a> Confirm<'a> {
    /// All units of `hold`.
    pub fn hold(hold: HoldId) -> Self {
        Confirm { hold, quantity: None, lines: None, retake: false, op_key: None }
    }

    /// Of a cart, only these lines and quantities; the rest goes back. Takes the place of a quantity.
    pub fn lines(mut self, lines: &'a [CartLine]) -> Self {
        (self.lines, self.quantity) = (Some(lines), None);
        self
    }

    /// Only `units` of them, 1 to what is held; the rest goes back. For a hold on one stock key. Takes the place of lines.
    pub fn quantity(mut self, units: u32) -> Self {
        (self.quantity, self.lines) = (Some(units), None);
        self
    }

    /// If the hold has expired, takes its units again and confirms in one step, if they are there.
    /// Default = a late confirm is refused.
    pub fn retake_if_expired(mut self) -> Self {
        self.retake = true;
        self
    }

    op_key_setter!();
}

impl From<HoldId> for Confirm<'_> {
    fn from(hold: HoldId) -> Self {
        Confirm::hold(hold)
    }
}

/// More life for a hold.
#[derive(Clone, Copy, Debug)]
#[must_use = "a request does nothing until it is given to Engine::extend"]
pub struct Extend {
    pub(crate) hold: HoldId,
    pub(crate) ttl: Duration,
    pub(crate) op_key: Option<OpKey>,
}

impl Extend {
    /// `hold` shall live for `ttl` from now. One that already lives longer is left as it is.
    pub fn hold(hold: HoldId, ttl: Duration) -> Self {
        Extend { hold, ttl, op_key: None }
    }

    op_key_setter!();
}

/// An operation on a hold, or on part of what was confirmed: release, begin payment, cancel, ship.
#[derive(Clone, Copy, Debug)]
#[must_use = "a request does nothing until it is given to the engine"]
pub struct HoldAction<'a> {
    pub(crate) hold: HoldId,
    pub(crate) quantity: Option<u32>,
    pub(crate) lines: Option<&'a [CartLine]>,
    pub(crate) op_key: Option<OpKey>,
}

impl<'a> HoldAction<'a> {
    /// All of `hold`.
    pub fn hold(hold: HoldId) -> Self {
        HoldAction { hold, quantity: None, lines: None, op_key: None }
    }

    /// Of a cart, only these lines and quantities. For cancel and ship alone. Takes the place of a quantity.
    pub fn lines(mut self, lines: &'a [CartLine]) -> Self {
        (self.lines, self.quantity) = (Some(lines), None);
        self
    }

    /// Only `units` of it. For cancel and ship alone: a release gives back everything, a payment is of everything.
    pub fn quantity(mut self, units: u32) -> Self {
        (self.quantity, self.lines) = (Some(units), None);
        self
    }

    op_key_setter!();
}

impl From<HoldId> for HoldAction<'_> {
    fn from(hold: HoldId) -> Self {
        HoldAction::hold(hold)
    }
}

/// Units that arrive.
#[derive(Clone, Copy, Debug)]
#[must_use = "a request does nothing until it is given to Engine::receive"]
pub struct Receive<'a> {
    pub(crate) key: StockKey,
    pub(crate) quantity: u32,
    pub(crate) reference: &'a [u8],
    pub(crate) op_key: Option<OpKey>,
}

impl<'a> Receive<'a> {
    /// `quantity` units, 1 to [`QUANTITY_MAX`](crate::types::QUANTITY_MAX).
    pub fn units(key: StockKey, quantity: u32) -> Self {
        Receive { key, quantity, reference: &[], op_key: None }
    }

    /// The document behind it: a delivery note, up to 40 bytes. Default = empty.
    pub fn reference(mut self, reference: &'a (impl AsRef<[u8]> + ?Sized)) -> Self {
        self.reference = reference.as_ref();
        self
    }

    op_key_setter!();
}

/// Why a quantity was corrected.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum AdjustReason {
    /// A count found another quantity than the book.
    Count,
    /// Units broke.
    Damaged,
    /// Units are gone.
    Lost,
    /// Units turned up.
    Found,
    /// Anything else; say what in the reference.
    Other,
}

/// A correction of what is on hand, up or down.
#[derive(Clone, Copy, Debug)]
#[must_use = "a request does nothing until it is given to Engine::adjust"]
pub struct Adjust<'a> {
    pub(crate) key: StockKey,
    pub(crate) delta: i64,
    pub(crate) reason: AdjustReason,
    pub(crate) reference: &'a [u8],
    pub(crate) op_key: Option<OpKey>,
}

impl<'a> Adjust<'a> {
    /// `delta` units more (or, below zero, fewer); not zero, at most
    /// [`QUANTITY_MAX`](crate::types::QUANTITY_MAX) either way.
    pub fn by(key: StockKey, delta: i64, reason: AdjustReason) -> Self {
        Adjust { key, delta, reason, reference: &[], op_key: None }
    }

    /// The document behind it, up to 40 bytes. Default = empty.
    pub fn reference(mut self, reference: &'a (impl AsRef<[u8]> + ?Sized)) -> Self {
        self.reference = reference.as_ref();
        self
    }

    op_key_setter!();
}
