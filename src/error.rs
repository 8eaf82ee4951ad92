//! What can go wrong, by operation. Every message is a sentence that says what to do.

use std::path::PathBuf;
use std::time::Duration;

use crate::answer::{HoldState, Refusal};
use crate::checkpoint::RunError;
use crate::checkpoint::seed::SeedError;
use crate::clock::Timestamp;
use crate::config::ConfigError;
use crate::fold::verify::Drift;
use crate::log::directory::DirectoryError;
use crate::log::recovery::LogError;
use crate::log::sidecar::SidecarError;
use crate::log::store::StoreError;
use crate::types::{LINES_MAX, NAME_BYTES_MAX, Position, QUANTITY_MAX, REFERENCE_BYTES_MAX, StockKey};

/// Why an answer could not be known without waiting.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Busy {
    /// Others are about to give units back, or may be.
    #[error("units of this stock key are on their way back; try again at once")]
    Pending,
    /// Holds that are due are being reclaimed by another thread. It may concern any stock key: holds of all keys share the
    /// wheels.
    #[error("expired holds are being reclaimed; try again at once")]
    Reclaiming,
    /// The ring has no room until the log thread has caught up.
    #[error("the log is behind and its ring is full; try again in a millisecond")]
    LogBehind,
    /// Another call is changing the hold in more than one step.
    #[error("this hold is being changed by another call; try again at once")]
    Changing,
    /// The table of op keys is full.
    #[error("the table of op keys is full; raise op_keys_max, shorten op_key_retention, or try again later")]
    OpKeysFull,
    /// Another thread is taking memory for more holds or stock keys.
    #[error("another thread is taking memory for more holds or stock keys; try again at once")]
    Growing,
}

/// The engine takes no more operations.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Stopped {
    /// The log failed: nothing new is accepted, reads go on.
    #[error(
        "the log has failed ({0}); nothing new is accepted: mend the cause and open the directory again, then ask \
         again with the same op key for every outcome that is unknown"
    )]
    Poisoned(std::sync::Arc<str>),
    /// The engine was shut down.
    #[error("the engine was shut down; open the directory again")]
    ShutDown,
}

/// An answer that was given did not become durable before the log failed: its outcome is unknown.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "position {position} did not become durable ({cause}); its outcome is unknown: open the directory again and ask again with the same op key"
)]
pub struct OutcomeUnknown {
    /// The position that was waited for.
    pub position: Position,
    /// Why.
    pub cause: Stopped,
}

/// An op key that cannot be used for this call.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpKeyError {
    /// Another call with it is being decided right now.
    #[error("an operation with this op key is being decided right now; ask again for its result")]
    InProgress,
    /// It was used for something else.
    #[error("this op key was used for an operation with other content; use a new op key for a new operation")]
    OtherContent,
    /// It is older than what is remembered.
    #[error(
        "this op key is a UUIDv7 older than the retention window, so it may have been used and forgotten; use a new op key if the operation is new"
    )]
    TooOld,
}

/// A quantity out of range.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
#[error("a quantity of {0} is not between 1 and {QUANTITY_MAX}; ask for a number in that range")]
pub struct QuantityError(pub i64);

/// Causes that every operation shares.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SharedError {
    /// Cannot be known without waiting; nothing was changed.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// The op key cannot be used.
    #[error(transparent)]
    OpKey(#[from] OpKeyError),
    /// The engine takes no more operations.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// A quantity out of range.
    #[error(transparent)]
    Quantity(#[from] QuantityError),
    /// A reference that is too long.
    #[error("a reference of {0} bytes is longer than {REFERENCE_BYTES_MAX}; use a shorter one")]
    ReferenceTooLong(usize),
    /// No lines, or too many.
    #[error("a cart of {0} lines is not one of 1 to {LINES_MAX}; split it, or leave it out")]
    CartLines(usize),
    /// No room for the lines of another cart.
    #[error("carts have as many lines as lines_max allows ({lines_max}); raise it, or let some end")]
    LinesFull {
        /// The setting.
        lines_max: u32,
    },
    /// A stock key of another directory.
    #[error("this stock key belongs to another directory; resolve it again with Engine::key")]
    ForeignKey,
}

/// Defines an operation's error: its own causes, and the shared ones.
macro_rules! operation_error {
    ($(#[$doc:meta])* $name:ident { $($own:tt)* }) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
        #[non_exhaustive]
        pub enum $name {
            $($own)*
            /// A cause that every operation shares.
            #[error(transparent)]
            Shared(#[from] SharedError),
        }

        impl $name {
            /// Nothing was decided or changed; the same call may be made again, as soon as the message says.
            pub fn is_busy(&self) -> bool {
                matches!(self, $name::Shared(SharedError::Busy(_)))
            }
        }

        common_from!($name: Busy, OpKeyError, Stopped, QuantityError);
    };
}

/// Lets `?` turn a shared cause into an operation's error.
macro_rules! common_from {
    ($name:ident: $($cause:ident),*) => {
        $(impl From<$cause> for $name {
            fn from(cause: $cause) -> Self {
                $name::Shared(cause.into())
            }
        })*
    };
}

operation_error! {
    /// Why a reserve gave no hold.
    ReserveError {
        /// It was refused, truly.
        #[error("{0}")]
        Refused(Refusal),
        /// As many holds exist as `holds_max` allows.
        #[error("as many holds exist as holds_max allows ({holds_max}); raise it, or let some end")]
        HoldsFull {
            /// The setting.
            holds_max: u32,
        },
        /// A TTL out of bounds.
        #[error("a TTL of {asked:?} is outside the bounds {min:?} to {max:?}; see Config::ttl_bounds")]
        Ttl {
            /// What was asked for.
            asked: Duration,
            /// The smallest allowed.
            min: Duration,
            /// The largest allowed.
            max: Duration,
        },
        /// The fewest units that would do are not between 1 and the quantity.
        #[error("at least {at_least} of {quantity} units were asked for; ask for 1 to {quantity}")]
        AtLeast {
            /// The fewest that would do.
            at_least: u32,
            /// The quantity.
            quantity: u32,
        },
    }
}

/// Why a hold cannot be found.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LookupError {
    /// No hold was ever given this id here: it is forged, mistyped, or of another directory.
    #[error("no hold of this directory has this id; check where the id came from")]
    Unknown,
    /// Another call is changing the hold in more than one step; ask again at once. Only
    /// [`Engine::status`](crate::Engine::status) says so; operations answer [`Busy::Changing`].
    #[error("this hold is being changed by another call; ask again at once")]
    Changing,
    /// The hold ended so long ago that how is forgotten.
    #[error("this hold ended earlier and is no longer remembered; consult the log for how")]
    Forgotten,
}

operation_error! {
    /// Why a confirm did not happen.
    ConfirmError {
        /// The hold cannot be found.
        #[error("{0}")]
        Lookup(#[from] LookupError),
        /// The deadline had passed: the units are back on sale.
        #[error("the hold expired at its deadline; reserve again, or confirm with retake_if_expired")]
        Expired,
        /// The hold had another outcome before.
        #[error("the hold is {0} already; one hold has one outcome")]
        Ended(HoldState),
        /// More than is held.
        #[error("{asked} units were to be confirmed and {held} are held; confirm at most that")]
        TooMany {
            /// Units to confirm.
            asked: u32,
            /// Units held.
            held: u32,
        },
        /// The hold has no units of a stock key that was named.
        #[error("the hold has nothing of one of the stock keys named; look at Engine::status first")]
        NotHeld(StockKey),
        /// A part of a cart.
        #[error("the hold has {lines} lines, so a quantity does not say which; name lines and quantities")]
        NameLines {
            /// Lines of the hold.
            lines: usize,
        },
        /// It was changed in part too often.
        #[error("the hold was changed in part as often as it can be (some 2^31 times); do this for the whole of it")]
        TooOften,
        /// It had expired, and its units are no longer there.
        #[error("the hold expired and its units cannot be taken again: {0}")]
        Refused(Refusal),
    }
}

operation_error! {
    /// Why a release, extension, start of payment, cancel or shipment did not happen.
    HoldError {
        /// The hold cannot be found.
        #[error("{0}")]
        Lookup(#[from] LookupError),
        /// The deadline had passed: the units are back on sale.
        #[error("the hold expired at its deadline; reserve again")]
        Expired,
        /// The hold is in a state that does not allow this.
        #[error("the hold is {0}, which does not allow this; look at Engine::status first")]
        WrongState(HoldState),
        /// More than there is.
        #[error("{asked} units were named and the hold has {remaining}; name at most that")]
        TooMany {
            /// Units named.
            asked: u32,
            /// Units there.
            remaining: u32,
        },
        /// The hold has no units of a stock key that was named.
        #[error("the hold has nothing of one of the stock keys named; look at Engine::status first")]
        NotHeld(StockKey),
        /// A part of a cart.
        #[error("the hold has {lines} lines, so a quantity does not say which; name lines and quantities")]
        NameLines {
            /// Lines of the hold.
            lines: usize,
        },
        /// A TTL out of bounds.
        #[error("a TTL of {asked:?} is outside the bounds {min:?} to {max:?}; see Config::ttl_bounds")]
        Ttl {
            /// What was asked for.
            asked: Duration,
            /// The smallest allowed.
            min: Duration,
            /// The largest allowed.
            max: Duration,
        },
        /// It was changed in part too often.
        #[error("the hold was changed in part as often as it can be (some 2^31 times); do this for the whole of it")]
        TooOften,
        /// A release and a payment are of a whole hold.
        #[error("the hold has {held} units and this is done for all of them; to sell a part, confirm that part")]
        WholeOnly {
            /// Units held.
            held: u32,
        },
        /// The hold would live longer than `life_max`.
        #[error("the hold may live until {latest} at most (life_max); confirm it before, or reserve again")]
        LifeMax {
            /// Its last possible deadline.
            latest: Timestamp,
        },
    }
}

operation_error! {
    /// Why a hold was not replaced. It is as it was.
    ReplaceError {
        /// The hold cannot be found.
        #[error("{0}")]
        Lookup(#[from] LookupError),
        /// The deadline had passed: the units are back on sale.
        #[error("the hold expired at its deadline; reserve again")]
        Expired,
        /// The hold is in a state that does not allow this.
        #[error("the hold is {0}, which does not allow this; look at Engine::status first")]
        WrongState(HoldState),
        /// The units that it would need in addition are not there. `asked` and `available` are of those.
        #[error("the hold stays as it is: {0}")]
        Refused(Refusal),
        /// A quantity for a cart.
        #[error("the hold has {lines} lines, so a quantity does not say which; name lines and quantities")]
        NameLines {
            /// Lines of the hold.
            lines: usize,
        },
        /// A TTL out of bounds.
        #[error("a TTL of {asked:?} is outside the bounds {min:?} to {max:?}; see Config::ttl_bounds")]
        Ttl {
            /// What was asked for.
            asked: Duration,
            /// The smallest allowed.
            min: Duration,
            /// The largest allowed.
            max: Duration,
        },
        /// The hold would live longer than `life_max`.
        #[error("the hold may live until {latest} at most (life_max); confirm it before, or reserve again")]
        LifeMax {
            /// Its last possible deadline.
            latest: Timestamp,
        },
        /// It was changed too often.
        #[error("the hold was replaced 65,535 times, which is all it can be; reserve again and release it")]
        TooOften,
    }
}

operation_error! {
    /// Why stock could not be received or corrected.
    StockError {
        /// More on hand than can be counted.
        #[error("the stock key would have more units on hand than can be counted (2^40 - 1); split it over locations")]
        TooMuch,
        /// Fewer on hand than none.
        #[error("{asked} units were to be taken off and {on_hand} are on hand; correct by at most that")]
        BelowZero {
            /// Units to take off.
            asked: i64,
            /// Units on hand.
            on_hand: i64,
        },
    }
}

operation_error! {
    /// Why a name could not be resolved or declared.
    NameError {
        /// No stock of this SKU was ever declared.
        #[error("SKU {0:?} is unknown; declare it first")]
        UnknownSku(String),
        /// The SKU is known, but not at this location.
        #[error("SKU {sku:?} is not declared at location {location:?}; declare it there first")]
        UnknownLocation {
            /// The SKU.
            sku: String,
            /// The location.
            location: String,
        },
        /// An empty name.
        #[error("a SKU or location must not be empty; give it a name of 1 to {NAME_BYTES_MAX} bytes")]
        Empty,
        /// A name too long.
        #[error("a SKU or location of {0} bytes is longer than {NAME_BYTES_MAX}; use a shorter one")]
        TooLong(usize),
        /// The catalogue is full.
        #[error("the catalogue holds as many stock keys as it can (2^28); use another directory")]
        Full,
    }
}

/// Why a checkpoint was not made. The log is as good without it: an opening has more of it to read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The engine keeps nothing.
    #[error("an engine in memory keeps nothing; open a directory to have checkpoints and backups")]
    InMemory,
    /// It could not be written. It is tried again as the log goes on.
    #[error("no checkpoint could be made: {0}")]
    Failed(std::sync::Arc<str>),
    /// The engine takes no more operations.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Why a backup was not made. The engine goes on as before.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// The place is taken, or lies in the directory itself.
    #[error("{0}")]
    Exists(String),
    /// The directory contradicts itself, so there is no state to copy.
    #[error("{0}: restore the directory from a backup, or salvage it into a new one")]
    Damaged(String),
    /// There is no checkpoint to copy.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// It could not be written.
    #[error("the backup is not complete: {0}")]
    Failed(String),
}

impl From<SeedError> for BackupError {
    fn from(error: SeedError) -> Self {
        match error {
            SeedError::Exists(_) | SeedError::Inside(_) => BackupError::Exists(error.to_string()),
            _ => BackupError::Failed(error.to_string()),
        }
    }
}

/// What a running engine's [`verify`](crate::Engine::verify) found, or why it could not look.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// What was promised is broken there.
    #[error(transparent)]
    Drift(#[from] Drift),
    /// A file on the disk is not what was written. The engine does not need it to go on; an opening would.
    #[error("{0}")]
    Damaged(String),
    /// There is no checkpoint to begin with.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The operating system failed.
    #[error("{0}")]
    Io(String),
    /// The engine takes no more operations.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

impl From<RunError> for VerifyError {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Damaged { .. } => VerifyError::Damaged(error.to_string()),
            _ => VerifyError::Io(error.to_string()),
        }
    }
}

impl From<LogError> for VerifyError {
    fn from(error: LogError) -> Self {
        VerifyError::Io(error.to_string())
    }
}

/// Why nothing was salvaged. The source is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SalvageError {
    /// The source is no directory of ours, in use, of a newer format, or cannot be read.
    #[error(transparent)]
    Source(#[from] OpenError),
    /// The place for the new directory is taken, or lies in the source.
    #[error("{0}")]
    Exists(String),
    /// Nothing can be proven, so no new directory was made.
    #[error("nothing can be salvaged: {0}: restore the directory from a backup")]
    Nothing(String),
    /// The new directory could not be written, or is not what it should be.
    #[error("the salvage is not complete: {0}")]
    Failed(String),
}

impl From<SeedError> for SalvageError {
    fn from(error: SeedError) -> Self {
        match error {
            SeedError::Exists(_) | SeedError::Inside(_) => SalvageError::Exists(error.to_string()),
            _ => SalvageError::Failed(error.to_string()),
        }
    }
}

/// Why an engine could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// A setting cannot work.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// There is no stockhold directory (asked by what only inspects).
    #[error("{0}")]
    Missing(String),
    /// The directory holds something else.
    #[error("{0}")]
    Foreign(String),
    /// The directory was written by a newer version.
    #[error("{0}")]
    Newer(String),
    /// Another process, or another engine in this one, has it open.
    #[error("{message}")]
    InUse {
        /// The process, if it is known.
        pid: Option<u32>,
        /// The whole sentence.
        message: String,
    },
    /// The directory is damaged, or lacks what was acknowledged. Nothing was changed.
    #[error("{message}")]
    Damaged {
        /// Up to where the log can be read, if that is known.
        readable: Option<Position>,
        /// The whole sentence.
        message: String,
    },
    /// The operating system failed.
    #[error("{0}")]
    Io(String),
    /// `Durability::Memory` keeps nothing, so a directory makes no sense with it.
    #[error("Durability::Memory keeps nothing on disk: use Engine::in_memory, or another durability for {0}")]
    MemoryWithDirectory(PathBuf),
    /// A background thread could not be started.
    #[error("a background thread could not be started ({0}); raise the limit of threads")]
    Thread(String),
}

impl From<LogError> for OpenError {
    fn from(error: LogError) -> Self {
        let message = error.to_string();
        let damaged = |readable| OpenError::Damaged { readable, message: message.clone() };
        match &error {
            LogError::Directory(DirectoryError::Missing { .. }) => OpenError::Missing(message),
            LogError::Directory(DirectoryError::Foreign { .. }) => OpenError::Foreign(message),
            LogError::Directory(DirectoryError::Newer { .. }) => OpenError::Newer(message),
            LogError::Directory(DirectoryError::InUse { pid, .. }) => OpenError::InUse { pid: *pid, message },
            LogError::Directory(DirectoryError::Corrupt { .. }) => damaged(None),
            LogError::Directory(DirectoryError::Io { .. }) => OpenError::Io(message),
            LogError::Sidecar(SidecarError::Newer { .. }) | LogError::Newer { .. } => {
                OpenError::Newer(message)
            }
            LogError::Sidecar(SidecarError::Corrupt) => damaged(None),
            LogError::Sidecar(SidecarError::Io { .. }) | LogError::Io { .. } => OpenError::Io(message),
            LogError::Checkpoint(RunError::Newer { .. }) => OpenError::Newer(message),
            LogError::Checkpoint(RunError::Io { .. }) => OpenError::Io(message),
            LogError::Checkpoint(_) => damaged(None),
            LogError::Refused(refusal) => damaged(refusal.readable().map(Position)),
            LogError::Store(StoreError::Full { .. } | StoreError::Io { .. }) => OpenError::Io(message),
            LogError::Store(StoreError::Corrupt { .. } | StoreError::Dead { .. }) => damaged(None),
            LogError::Unreadable { position } | LogError::Fold { position, .. } => {
                damaged(Some(Position(*position)))
            }
        }
    }
}
