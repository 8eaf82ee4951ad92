//! What a round is like: all of it follows from its seed.

use std::fmt;
use std::time::Duration;

use stockhold::{Config, Durability};

use crate::held::KEYS;
use stockhold_seeded::Rng;

/// How much there is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stock {
    /// Every refusal comes within a hair of a deadline or a release.
    Edge,
    /// Enough to be split, and sold out all the same, again and again.
    Near,
    /// Split for good.
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
    /// Sale is stopped and opened now and then.
    pub gates: bool,
    /// Nobody releases: what is not paid comes back by time alone, all of a millisecond at once.
    pub lets_expire: bool,
    /// Enough to meet everybody, few enough to be judged at once. What hangs later may be caught in a short round.
    pub calls: u64,
}

/// How much longer a payment makes a hold live.
const PAYMENT_EXTENSION: Duration = Duration::from_millis(3);

impl Mix {
    pub(crate) fn of(seed: u64) -> Mix {
        let mut rng = Rng::new(seed);
        let ms = Duration::from_millis;
        Mix {
            // By turns, so that every short run has some of each.
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

    /// Units of each key at first.
    pub(crate) fn units(&self) -> [u32; KEYS] {
        match self.stock {
            Stock::Edge => [20, 8, 8, 8],
            Stock::Near => [900, 300, 300, 300],
            Stock::Plenty => [20_000; KEYS],
        }
    }

    /// Units that a count may find missing at a time.
    pub(crate) fn lost_max(&self) -> u32 {
        self.units()[1] / 2
    }

    /// Paid holds that a thread keeps before it cancels one, so that no key sells out for good.
    pub(crate) fn paid_max(&self) -> usize {
        if self.stock == Stock::Edge { 0 } else { 8 }
    }

    /// No hold but the longest outlives this.
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
