//! Settings, each with a default. One function validates them all; its messages say what to change.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{CLOCK_LAST, Clock, SystemClock, Timestamp, millis_ceil};
use crate::types::LINES_MAX;

/// When a decision counts as durable, so that its receipt is acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Durability {
    /// Once its records have survived an fdatasync: the decision survives a loss of power. The default.
    #[default]
    Sync,
    /// Once its records were handed to the operating system, which is synced at least this often: the
    /// decision survives the process; a loss of power can lose the last interval. 1 ms to one hour.
    Interval(Duration),
    /// At once. Nothing is written to disk.
    Memory,
}

/// A setting that cannot work, and what to change.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{setting}: {advice}")]
pub struct ConfigError {
    /// The name of the setter.
    pub setting: &'static str,
    /// What to change.
    pub advice: String,
}

/// The settings of an engine. Every setting has a default that works.
///
/// ```
/// use std::time::Duration;
/// use stockhold::{Config, Durability};
///
/// let every = Duration::from_millis(100);
/// let config = Config::default().durability(Durability::Interval(every)).holds_max(100_000);
/// ```
#[derive(Clone)]
pub struct Config {
    pub(crate) durability: Durability,
    pub(crate) holds_max: u32,
    pub(crate) lines_max: u32,
    pub(crate) expired_kept: u32,
    pub(crate) commitments_kept: Option<Duration>,
    pub(crate) ttl_default: Duration,
    pub(crate) ttl_min: Duration,
    pub(crate) ttl_max: Duration,
    pub(crate) life_max: Duration,
    pub(crate) payment_extension: Duration,
    pub(crate) op_keys_max: usize,
    pub(crate) op_key_retention: Option<Duration>,
    pub(crate) ring_bytes: usize,
    pub(crate) checkpoint_bytes: usize,
    pub(crate) ledger_kept: Option<Duration>,
    pub(crate) ledger_bytes_max: Option<u64>,
    pub(crate) driver_period: Option<Duration>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) clock_jump_max: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            durability: Durability::Sync,
            holds_max: 16_777_216,
            lines_max: 67_108_864,
            expired_kept: 65_536,
            commitments_kept: None,
            ttl_default: Duration::from_secs(600),
            ttl_min: Duration::from_millis(1),
            ttl_max: Duration::from_secs(30 * 86_400),
            life_max: Duration::from_secs(60 * 86_400),
            payment_extension: Duration::from_secs(300),
            op_keys_max: 16_777_216,
            op_key_retention: Some(Duration::from_secs(86_400)),
            ring_bytes: 8 << 20,
            checkpoint_bytes: 64 << 20,
            ledger_kept: None,
            ledger_bytes_max: None,
            driver_period: Some(Duration::from_millis(10)),
            clock: Arc::new(SystemClock::new()),
            clock_jump_max: Duration::from_secs(60),
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("durability", &self.durability)
            .field("holds_max", &self.holds_max)
            .field("lines_max", &self.lines_max)
            .field("expired_kept", &self.expired_kept)
            .field("commitments_kept", &self.commitments_kept)
            .field("ttl_default", &self.ttl_default)
            .field("ttl_min", &self.ttl_min)
            .field("ttl_max", &self.ttl_max)
            .field("life_max", &self.life_max)
            .field("payment_extension", &self.payment_extension)
            .field("op_keys_max", &self.op_keys_max)
            .field("op_key_retention", &self.op_key_retention)
            .field("ring_bytes", &self.ring_bytes)
            .field("checkpoint_bytes", &self.checkpoint_bytes)
            .field("ledger_kept", &self.ledger_kept)
            .field("ledger_bytes_max", &self.ledger_bytes_max)
            .field("driver_period", &self.driver_period)
            .field("clock_jump_max", &self.clock_jump_max)
            .finish_non_exhaustive()
    }
}

/// The longest TTL or life that can be set: ten years.
const DURATION_MAX: Duration = Duration::from_secs(3_653 * 86_400);

/// The smallest ring. The longest record fits beside the share that is reserved for operations which give
/// units back, and the release of the largest cart fits into that share.
pub(crate) const RING_BYTES_MIN: usize = 64 << 10;

impl Config {
    /// Sets when a decision counts as durable. Default = [`Durability::Sync`].
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Sets the most holds that exist at once: live ones, confirmed ones that are not yet shipped (see
    /// [`commitments_kept`](Self::commitments_kept)), and expired ones that are still remembered. Beyond it,
    /// reserves fail with `HoldsFull`. Memory is allocated as holds are made. 1 to 2^30. A directory that has
    /// more is opened anyway and keeps them. Default = 16,777,216.
    #[must_use]
    pub fn holds_max(mut self, holds: u32) -> Self {
        self.holds_max = holds;
        self
    }

    /// Sets the most lines that all carts, and all holds whose lines were replaced, have at once. Beyond it,
    /// carts fail with `LinesFull`. A line takes 16 bytes, allocated as lines are made. 2,048 to 2^31 - 1. A
    /// directory that has more is opened anyway. Default = 67,108,864.
    #[must_use]
    pub fn lines_max(mut self, lines: u32) -> Self {
        self.lines_max = lines;
        self
    }

    /// Sets how many expired holds are remembered, for a late confirm or a query. With one more, the oldest
    /// is forgotten. Fewer are remembered when new holds need their room (`holds_max`, `lines_max`). Default
    /// = 65,536.
    #[must_use]
    pub fn expired_kept(mut self, holds: u32) -> Self {
        self.expired_kept = holds;
        self
    }

    /// Sets how long a confirmed hold is kept that is not shipped or cancelled, counted from its reserve;
    /// `None` = until it is. After that, its remaining units count as shipped: they leave `on_hand` and
    /// `committed`, so that `available` stays, its slot is free, and the log has the record of a shipment.
    /// For shops that do not report their shipments, for instance of tickets.
    ///
    /// Longer than `life_max`, so that a hold that is confirmed while it lives is kept at least for the
    /// difference (one that is confirmed late may count as shipped at once), and at most ten years. The time
    /// is never cut short. It can be exceeded by a sixteenth: the driver thread looks for such holds in
    /// rounds of that length. Without a driver thread, only [`Engine::sweep`](crate::Engine::sweep) looks for
    /// them. Default = `None`.
    #[must_use]
    pub fn commitments_kept(mut self, kept: Option<Duration>) -> Self {
        self.commitments_kept = kept;
        self
    }

    /// Sets how long a hold lives if the reserve names no TTL. Default = 10 minutes.
    #[must_use]
    pub fn ttl_default(mut self, ttl: Duration) -> Self {
        self.ttl_default = ttl;
        self
    }

    /// Sets the bounds of the TTL in a reserve, a replace or an extension, within 1 ms to ten years (3,653
    /// days). Default = 1 ms to 30 days.
    #[must_use]
    pub fn ttl_bounds(mut self, min: Duration, max: Duration) -> Self {
        (self.ttl_min, self.ttl_max) = (min, max);
        self
    }

    /// Sets how long a hold can live without being confirmed, however often it is extended: at least the
    /// longest TTL, at most ten years. Default = 60 days.
    #[must_use]
    pub fn life_max(mut self, life: Duration) -> Self {
        self.life_max = life;
        self
    }

    /// Sets by how much a hold's deadline moves, once, when its payment begins: above zero, at most the
    /// longest TTL. Default = 5 minutes.
    #[must_use]
    pub fn payment_extension(mut self, extension: Duration) -> Self {
        self.payment_extension = extension;
        self
    }

    /// Sets the most op keys that are remembered at once. Beyond it, an operation with a new one is `Busy`.
    /// Default = 16,777,216.
    #[must_use]
    pub fn op_keys_max(mut self, keys: usize) -> Self {
        self.op_keys_max = keys;
        self
    }

    /// Sets how long op keys are remembered; `None` = for the life of the directory. Default = 24 hours.
    #[must_use]
    pub fn op_key_retention(mut self, retention: Option<Duration>) -> Self {
        self.op_key_retention = retention;
        self
    }

    /// Sets the size of the ring, which has the decisions that the log thread has not yet taken. When it is
    /// full, operations are `Busy`. A power of two, 64 KiB to 1 GiB. Default = 8 MiB.
    #[must_use]
    pub fn ring_bytes(mut self, bytes: usize) -> Self {
        self.ring_bytes = bytes;
        self
    }

    /// Sets the bytes of log after which the engine makes a checkpoint, in the background. The log is kept
    /// back to the last checkpoint but one, so an opening replays between nothing and about twice this. A
    /// checkpoint takes memory of about this size for a while, four times as much when the disk is slow. 64
    /// KiB to 512 MiB. Default = 64 MiB.
    #[must_use]
    pub fn checkpoint_bytes(mut self, bytes: usize) -> Self {
        self.checkpoint_bytes = bytes;
        self
    }

    /// Sets how long the ledger keeps log entries that no opening needs any more, for [`Inspection::log`] and
    /// `stockhold log`. `None` = no ledger. A file is removed once its last entry is older than this at the
    /// latest time in the log, so entries are kept for this time, and for up to an eighth of it or a
    /// checkpoint longer. An opening does not read the ledger, and a damaged file of it does not stop one.
    ///
    /// If this is set on an existing directory, the ledger begins with the next checkpoint; if it is unset,
    /// the files are removed with the next two. Cost: each byte of the log is written once more, some 24 to
    /// 60 bytes an operation; with small checkpoints, up to 16 MiB, a few times more. At most 16,384 files: 1
    /// TiB at the default `checkpoint_bytes`. Above zero. Default = `None`.
    ///
    /// [`Inspection::log`]: crate::inspect::Inspection::log
    #[must_use]
    pub fn ledger_kept(mut self, kept: Option<Duration>) -> Self {
        self.ledger_kept = kept;
        self
    }

    /// Sets the most bytes of the ledger. Beyond it, the oldest entries are removed before
    /// [`ledger_kept`](Self::ledger_kept) is over. The disk has up to two checkpoints' worth more. At least
    /// eight times `checkpoint_bytes`; `None` = no such limit. Default = `None`.
    #[must_use]
    pub fn ledger_bytes_max(mut self, bytes: Option<u64>) -> Self {
        self.ledger_bytes_max = bytes;
        self
    }

    /// Sets how often the driver thread expires holds past their deadline; `None` = no such thread. Then the
    /// engine stays exact, since a call reclaims the holds that are due before it refuses, but an idle engine
    /// expires nothing. Above zero, at most a minute. Default = 10 ms.
    #[must_use]
    pub fn driver_period(mut self, period: Option<Duration>) -> Self {
        self.driver_period = period;
        self
    }

    /// Sets the clock. Default = [`SystemClock`].
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Sets how far the wall clock may be ahead of engine time and still be followed, at about 1 ms a second.
    /// A wall clock further ahead is not believed: engine time goes on with the steady clock,
    /// [`Metrics::clock_unbelieved`](crate::Metrics) says so, and
    /// [`Engine::accept_clock`](crate::Engine::accept_clock) accepts it. A wall clock that is behind is
    /// always followed, by running slower. See [the rules](crate::clock). `Duration::MAX` = always follow.
    /// Default = 1 minute.
    #[must_use]
    pub fn clock_jump_max(mut self, ahead: Duration) -> Self {
        self.clock_jump_max = ahead;
        self
    }

    /// Checks that the settings can work together. Opening an engine calls this. Reads the clock.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let bad = |setting, advice: String| Err(ConfigError { setting, advice });
        if self.holds_max == 0 || self.holds_max > 1 << 30 {
            return bad("holds_max", format!("{} is not between 1 and 2^30", self.holds_max));
        }
        if !(LINES_MAX as u32..=i32::MAX as u32).contains(&self.lines_max) {
            return bad("lines_max", format!("{} is not between {LINES_MAX} and 2^31 - 1", self.lines_max));
        }
        if self.ttl_min < Duration::from_millis(1)
            || self.ttl_max > DURATION_MAX
            || self.ttl_min > self.ttl_max
        {
            return bad(
                "ttl_bounds",
                format!(
                    "{:?} to {:?} is not a range between 1 ms and ten years; put the smaller bound first",
                    self.ttl_min, self.ttl_max
                ),
            );
        }
        if self.ttl_default < self.ttl_min || self.ttl_default > self.ttl_max {
            return bad(
                "ttl_default",
                format!(
                    "{:?} lies outside ttl_bounds ({:?} to {:?}); move one of them",
                    self.ttl_default, self.ttl_min, self.ttl_max
                ),
            );
        }
        if self.life_max < self.ttl_max || self.life_max > DURATION_MAX {
            return bad(
                "life_max",
                format!(
                    "{:?} must be at least the longest TTL ({:?}) and at most ten years",
                    self.life_max, self.ttl_max
                ),
            );
        }
        if let Some(kept) = self.commitments_kept
            && (kept <= self.life_max || kept > DURATION_MAX)
        {
            return bad(
                "commitments_kept",
                format!(
                    "{kept:?} must be longer than the longest life ({:?}) and at most ten years; lower life_max, \
                     or give None to keep them until they are shipped",
                    self.life_max
                ),
            );
        }
        if self.payment_extension > self.ttl_max || millis_ceil(self.payment_extension) == 0 {
            return bad(
                "payment_extension",
                format!(
                    "{:?} must be above zero and at most the longest TTL ({:?})",
                    self.payment_extension, self.ttl_max
                ),
            );
        }
        if self.op_keys_max == 0 {
            return bad("op_keys_max", "0 would refuse every op key; give it at least 1".into());
        }
        if self.op_key_retention.is_some_and(|kept| kept.is_zero()) {
            return bad(
                "op_key_retention",
                "zero would forget at once; give a duration, or None to keep them".into(),
            );
        }
        if !self.ring_bytes.is_power_of_two() || !(RING_BYTES_MIN..=1 << 30).contains(&self.ring_bytes) {
            return bad(
                "ring_bytes",
                format!(
                    "{} is not a power of two between 65536 (64 KiB) and 1073741824 (1 GiB)",
                    self.ring_bytes
                ),
            );
        }
        if !(64 << 10..=512 << 20).contains(&self.checkpoint_bytes) {
            return bad(
                "checkpoint_bytes",
                format!("{} is not between 65536 (64 KiB) and 536870912 (512 MiB)", self.checkpoint_bytes),
            );
        }
        if self.ledger_kept.is_some_and(|kept| kept.is_zero()) {
            let advice = "zero would keep nothing; give a duration, or None for no ledger";
            return bad("ledger_kept", advice.into());
        }
        if let Some(bytes) = self.ledger_bytes_max
            && bytes < 8 * self.checkpoint_bytes as u64
        {
            return bad(
                "ledger_bytes_max",
                format!(
                    "{bytes} is less than eight times checkpoint_bytes ({}), so one checkpoint might fill it; raise it, \
                     or lower checkpoint_bytes",
                    self.checkpoint_bytes
                ),
            );
        }
        if self.driver_period.is_some_and(|period| period.is_zero() || period > Duration::from_secs(60)) {
            let advice = "choose above zero and at most a minute, or None for no thread";
            return bad("driver_period", advice.into());
        }
        let now = self.clock.look().wall;
        if !(Timestamp::MIN..=CLOCK_LAST).contains(&now) {
            return bad(
                "clock",
                format!(
                    "says {} milliseconds since 1970, which is not in the years 2020 to 2078; set it right",
                    now.0
                ),
            );
        }
        if let Durability::Interval(period) = self.durability
            && (period < Duration::from_millis(1) || period > Duration::from_secs(3600))
        {
            return bad("durability", format!("an interval of {period:?} is not between 1 ms and one hour"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_valid_and_each_bad_setting_is_named() {
        Config::default().validate().unwrap();
        let second = Duration::from_secs(1);
        let bad = [
            ("holds_max", Config::default().holds_max(0)),
            ("lines_max", Config::default().lines_max(2_047)),
            ("ttl_bounds", Config::default().ttl_bounds(second * 2, second)),
            ("ttl_bounds", Config::default().ttl_bounds(Duration::ZERO, second)),
            ("ttl_bounds", Config::default().ttl_bounds(second, Duration::MAX)),
            ("ttl_default", Config::default().ttl_default(Duration::MAX)),
            ("life_max", Config::default().life_max(second)),
            ("commitments_kept", Config::default().commitments_kept(Some(Config::default().life_max))),
            ("commitments_kept", Config::default().commitments_kept(Some(Duration::MAX))),
            ("payment_extension", Config::default().payment_extension(Duration::ZERO)),
            ("op_keys_max", Config::default().op_keys_max(0)),
            ("op_key_retention", Config::default().op_key_retention(Some(Duration::ZERO))),
            ("ring_bytes", Config::default().ring_bytes(100_000)),
            ("checkpoint_bytes", Config::default().checkpoint_bytes(0)),
            ("ledger_kept", Config::default().ledger_kept(Some(Duration::ZERO))),
            ("ledger_bytes_max", Config::default().ledger_bytes_max(Some(511 << 20))),
            ("driver_period", Config::default().driver_period(Some(Duration::ZERO))),
            ("clock", Config::default().clock(crate::ManualClock::default())),
            ("durability", Config::default().durability(Durability::Interval(Duration::ZERO))),
        ];
        for (setting, config) in bad {
            assert_eq!(config.validate().unwrap_err().setting, setting);
        }
    }
}
