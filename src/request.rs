//! Requests: one small builder for each operation, so that arguments of the same type cannot be swapped.

use std::time::Duration;

use crate::types::{HoldId, OpKey, StockKey};

/// Defines the setters that several requests have: those of the fields named.
macro_rules! setters {
    ($($field:ident),+) => { $(setters!(@$field);)+ };
    (@op_key) => {
        /// Makes the operation happen once, however often it is sent with this key: a repetition returns the
        /// first result. See [`OpKey`]. Default = none.
        pub fn op_key(mut self, key: OpKey) -> Self {
            self.op_key = Some(key);
            self
        }
    };
    (@ttl) => {
        /// Sets how long the hold lives, rounded up to a millisecond, within
        /// [`Config::ttl_bounds`](crate::Config::ttl_bounds).
        /// Default = [`Config::ttl_default`](crate::Config::ttl_default).
        pub fn ttl(mut self, ttl: Duration) -> Self {
            self.ttl = Some(ttl);
            self
        }
    };
    (@reference) => {
        /// Sets the caller's own name for it: an order id or the number of a delivery note, up to 40 bytes.
        /// Default = empty.
        pub fn reference(mut self, reference: &'a (impl AsRef<[u8]> + ?Sized)) -> Self {
            self.reference = reference.as_ref();
            self
        }
    };
    (@remember_refusal) => {
        /// Remembers a refusal under the op key too: a repetition is refused again, even if stock has come
        /// back. Default = only grants are remembered.
        pub fn remember_refusal(mut self) -> Self {
            self.remember_refusal = true;
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
    /// Asks for `quantity` units of `key`, 1 to [`QUANTITY_MAX`](crate::types::QUANTITY_MAX).
    pub fn units(key: StockKey, quantity: u32) -> Self {
        let at_least = quantity;
        Reserve { key, quantity, at_least, ttl: None, reference: &[], op_key: None, remember_refusal: false }
    }

    /// Also accepts fewer units, if fewer are available, but at least `units`: 1 to the quantity.
    /// [`Reserved::quantity`](crate::Reserved::quantity) says how many were taken. Default = all or nothing.
    pub fn or_at_least(mut self, units: u32) -> Self {
        self.at_least = units;
        self
    }

    setters!(ttl, reference, op_key, remember_refusal);
}

/// Units of one stock key in a cart.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct CartLine {
    /// The stock key.
    pub key: StockKey,
    /// Units of it, 1 to [`QUANTITY_MAX`](crate::types::QUANTITY_MAX).
    pub quantity: u32,
}

impl CartLine {
    /// A line of `quantity` units of `key`.
    pub fn units(key: StockKey, quantity: u32) -> Self {
        CartLine { key, quantity }
    }
}

/// A request for one hold on units of several stock keys: all of them or none.
///
/// Lines of the same stock key are added up first.
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
    /// Asks for all of `lines`: 1 to [`LINES_MAX`](crate::types::LINES_MAX) of them, of at most
    /// [`QUANTITY_MAX`](crate::types::QUANTITY_MAX) units together.
    pub fn lines(lines: &'a [CartLine]) -> Self {
        ReserveCart { lines, ttl: None, reference: &[], op_key: None, remember_refusal: false }
    }

    setters!(ttl, reference, op_key, remember_refusal);
}

/// A request to change what a live hold holds, in one step: units that it keeps are never on sale in between.
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
    /// Sets a hold of one stock key to `quantity` units of it, more or fewer than before.
    pub fn quantity(hold: HoldId, quantity: u32) -> Self {
        Replace { hold, by: ReplaceBy::Quantity(quantity), ttl: None, op_key: None }
    }

    /// Sets a hold to these lines, whatever it had before: all of them, or no change.
    pub fn lines(hold: HoldId, lines: &'a [CartLine]) -> Self {
        Replace { hold, by: ReplaceBy::Lines(lines), ttl: None, op_key: None }
    }

    /// Moves the deadline to `ttl` from now, if that is later. Default = the deadline stays.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    setters!(op_key);
}

/// A request to confirm a hold, whole or in part: it was paid for. The units that are not confirmed go back
/// on sale. A confirm is final.
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
    /// Confirms all units of `hold`.
    pub fn hold(hold: HoldId) -> Self {
        Confirm { hold, quantity: None, lines: None, retake: false, op_key: None }
    }

    /// Confirms only these lines and quantities of a cart; the rest goes back on sale. Replaces a quantity
    /// set before.
    pub fn lines(mut self, lines: &'a [CartLine]) -> Self {
        (self.lines, self.quantity) = (Some(lines), None);
        self
    }

    /// Confirms only `units`, 1 to what is held, of a hold of one stock key; the rest goes back on sale.
    /// Replaces lines set before.
    pub fn quantity(mut self, units: u32) -> Self {
        (self.quantity, self.lines) = (Some(units), None);
        self
    }

    /// If the hold has expired, takes its units again and confirms in one step, provided they are still
    /// available. Default = the confirm of an expired hold fails.
    pub fn retake_if_expired(mut self) -> Self {
        self.retake = true;
        self
    }

    setters!(op_key);
}

impl From<HoldId> for Confirm<'_> {
    fn from(hold: HoldId) -> Self {
        Confirm::hold(hold)
    }
}

/// A request to move the deadline of a hold.
#[derive(Clone, Copy, Debug)]
#[must_use = "a request does nothing until it is given to Engine::extend"]
pub struct Extend {
    pub(crate) hold: HoldId,
    pub(crate) ttl: Duration,
    pub(crate) op_key: Option<OpKey>,
}

impl Extend {
    /// Moves the deadline of `hold` to `ttl` from now. A later deadline is left as it is.
    pub fn hold(hold: HoldId, ttl: Duration) -> Self {
        Extend { hold, ttl, op_key: None }
    }

    setters!(op_key);
}

/// A request to release a hold, begin its payment, or cancel or ship what was confirmed of it.
#[derive(Clone, Copy, Debug)]
#[must_use = "a request does nothing until it is given to the engine"]
pub struct HoldAction<'a> {
    pub(crate) hold: HoldId,
    pub(crate) quantity: Option<u32>,
    pub(crate) lines: Option<&'a [CartLine]>,
    pub(crate) op_key: Option<OpKey>,
}

impl<'a> HoldAction<'a> {
    /// Acts on all of `hold`.
    pub fn hold(hold: HoldId) -> Self {
        HoldAction { hold, quantity: None, lines: None, op_key: None }
    }

    /// Acts on only these lines and quantities of a cart. For cancel and ship alone. Replaces a quantity set
    /// before.
    pub fn lines(mut self, lines: &'a [CartLine]) -> Self {
        (self.lines, self.quantity) = (Some(lines), None);
        self
    }

    /// Acts on only `units` of a hold of one stock key. For cancel and ship alone: a release and a payment
    /// are of the whole hold. Replaces lines set before.
    pub fn quantity(mut self, units: u32) -> Self {
        (self.quantity, self.lines) = (Some(units), None);
        self
    }

    setters!(op_key);
}

impl From<HoldId> for HoldAction<'_> {
    fn from(hold: HoldId) -> Self {
        HoldAction::hold(hold)
    }
}

/// A request to add units that have arrived to `on_hand`.
#[derive(Clone, Copy, Debug)]
#[must_use = "a request does nothing until it is given to Engine::receive"]
pub struct Receive<'a> {
    pub(crate) key: StockKey,
    pub(crate) quantity: u32,
    pub(crate) reference: &'a [u8],
    pub(crate) op_key: Option<OpKey>,
}

impl<'a> Receive<'a> {
    /// Receives `quantity` units of `key`, 1 to [`QUANTITY_MAX`](crate::types::QUANTITY_MAX).
    pub fn units(key: StockKey, quantity: u32) -> Self {
        Receive { key, quantity, reference: &[], op_key: None }
    }

    setters!(reference, op_key);
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

/// A request to correct `on_hand`, up or down.
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
    /// Adds `delta` units to `on_hand`, or takes units off if `delta` is below zero. Not zero, and at most
    /// [`QUANTITY_MAX`](crate::types::QUANTITY_MAX) either way.
    pub fn by(key: StockKey, delta: i64, reason: AdjustReason) -> Self {
        Adjust { key, delta, reason, reference: &[], op_key: None }
    }

    setters!(reference, op_key);
}
