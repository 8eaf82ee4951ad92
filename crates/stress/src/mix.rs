//! The parameters of a round, all derived from its seed.

use std::fmt;
use std::time::Duration;

use stockhold::{Config, Durability};

use crate::held::KEYS;
use stockhold_seeded::Rng;

/// How much stock there is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stock {
    /// So little that every refusal is close in time to a deadline or a release.
    Edge,
    /// Enough to be split, but sold out again and again.
    Near,
    /// Enough to stay split.
    Plenty,
}

pub(crate) struct Mix {
    stock: Stock,
    /// `None` = in memory.
    pub durability: Option<Durability>,
    pub ttl_max_ms: u32,
    driver_period: Option<Duration>,
    expired_kept: u32,
    holds_max: u32,
    /// Sales are sometimes stopped and resumed.
    pub gates: bool,
    /// No thread releases: units return only by expiry, all those of a millisecond at once.
    pub lets_expire: bool,
    /// Enough for threads to interfere, few enough to be judged at once. Some rounds are short, to catch
    /// faults that would otherwise hang a round.
    pub calls: u64,
}

/// The extension by a payment.
const PAYMENT_EXTENSION: Duration = Duration::from_millis(3);

impl Mix {
    pub(crate) fn of(seed: u64) -> Mix {
        let mut rng = Rng::new(seed);
        let ms = Duration::from_millis;
        Mix {
            // In turn, so that every short run has some of each.
            stock: [Stock::Edge, Stock::Near, Stock::Near, Stock::Plenty][seed as usize % 4],
            durability: match seed % 13 {
                5 => Some(Durability::Interval(ms(5))),
                11 => Some(Durability::Sync),
                _ => None,
            },
            ttl_max_ms: rng.pick(&[2, 4, 8]),
            driver_period: rng.pick(&[None, Some(ms(1)), Some(ms(10))]),
            expired_kept: rng.pick(&[64, 1_000, 65_536]),
            holds_max: rng.pick(&[1_000, 1 << 20, 1 << 20, 1 << 20]),
            gates: rng.once_in(4),
            lets_expire: rng.once_in(2),
            calls: rng.pick(&[10_000, 200_000, 200_000, 200_000]),
        }
    }

    pub(crate) fn config(&self) -> Config {
        Config::default()
            .payment_extension(PAYMENT_EXTENSION)
            .driver_period(self.driver_period)
            .expired_kept(self.expired_kept)
            .holds_max(self.holds_max)
    }

    /// The initial units of each key.
    pub(crate) fn units(&self) -> [u32; KEYS] {
        match self.stock {
            Stock::Edge => [20, 8, 8, 8],
            Stock::Near => [900, 300, 300, 300],
            Stock::Plenty => [20_000; KEYS],
        }
    }

    /// The most units that one correction takes away.
    pub(crate) fn lost_max(&self) -> u32 {
        self.units()[1] / 2
    }

    /// How many confirmed holds a thread keeps before it cancels one, so that no key sells out for good.
    pub(crate) fn paid_max(&self) -> usize {
        if self.stock == Stock::Edge { 0 } else { 8 }
    }

    /// After this time all holds are due, but those that outlive the round.
    pub(crate) fn quiet_after(&self) -> Duration {
        2 * Duration::from_millis(self.ttl_max_ms.into()) + PAYMENT_EXTENSION
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = match self.durability {
            None | Some(Durability::Memory) => "memory",
            Some(Durability::Interval(_)) => "interval",
            Some(Durability::Sync) => "sync",
        };
        write!(f, "{} {kept}", format!("{:?}", self.stock).to_lowercase())
    }
}
