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
    pub(crate) ttl: Option<Duration>,
    pub(crate) reference: &'a [u8],
    pub(crate) op_key: Option<OpKey>,
    pub(crate) remember_refusal: bool,
}

impl<'a> Reserve<'a> {
    /// `quantity` units, 1 to [`QUANTITY_MAX`](crate::types::QUANTITY_MAX).
    pub fn units(key: StockKey, quantity: u32) -> Self {
        Reserve { key, quantity, ttl: None, reference: &[], op_key: None, remember_refusal: false }
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

/// Payment of a hold, whole or in part. What is not taken goes back on sale; the confirm is final.
#[derive(Clone, Copy, Debug)]
#[must_use = "a request does nothing until it is given to Engine::confirm"]
pub struct Confirm {
    pub(crate) hold: HoldId,
    pub(crate) quantity: Option<u32>,
    pub(crate) retake: bool,
    pub(crate) op_key: Option<OpKey>,
}

impl Confirm {
    /// All units of `hold`.
    pub fn hold(hold: HoldId) -> Self {
        Confirm { hold, quantity: None, retake: false, op_key: None }
    }

    /// Only `units` of them, 1 to what is held; the rest goes back.
    pub fn quantity(mut self, units: u32) -> Self {
        self.quantity = Some(units);
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

impl From<HoldId> for Confirm {
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
pub struct OnHold {
    pub(crate) hold: HoldId,
    pub(crate) quantity: Option<u32>,
    pub(crate) op_key: Option<OpKey>,
}

impl OnHold {
    /// All of `hold`.
    pub fn hold(hold: HoldId) -> Self {
        OnHold { hold, quantity: None, op_key: None }
    }

    /// Only `units` of it. For cancel and ship alone: a release gives back everything, a payment is of everything.
    pub fn quantity(mut self, units: u32) -> Self {
        self.quantity = Some(units);
        self
    }

    op_key_setter!();
}

impl From<HoldId> for OnHold {
    fn from(hold: HoldId) -> Self {
        OnHold::hold(hold)
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
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, serde::Serialize, serde::Deserialize)]
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
