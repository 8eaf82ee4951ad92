//! Engine time. Nothing below the engine's edge reads a clock: time is an argument.

mod manual;
mod system;
mod timestamp;

pub use self::manual::ManualClock;
pub use self::system::SystemClock;
pub use self::timestamp::Timestamp;
pub(crate) use self::timestamp::{EPOCH_2020_MS, TIME_MAX, millis_ceil};

/// Where the engine takes its time from, once for each call.
///
/// It says a time in the years 2020 to 2078. It must not run backwards. The engine never uses a time below the last one in its log, whatever this says.
pub trait Clock: Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> Timestamp;
}

impl<C: Clock> Clock for std::sync::Arc<C> {
    fn now(&self) -> Timestamp {
        (**self).now()
    }
}
