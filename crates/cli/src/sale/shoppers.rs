//! The shoppers of a sale: when they arrive and what they do, planned from the seed before anything runs.
//!
//! Every compared design gets exactly these shoppers. The answers depend on the design and on the threads'
//! timing: two runs with one seed make the same requests and may get different answers.

use std::time::Duration;

use stockhold_seeded::Rng;

/// What a shopper does after a hold is granted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Intent {
    /// Pays after this time. A few pay after the deadline, and their confirm must fail.
    Pay { after: Duration },
    /// Releases the hold after this time.
    Cancel { after: Duration },
    /// Never returns: the hold expires.
    Leave,
}

/// One planned shopper.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shopper {
    pub(crate) arrives: Duration,
    /// Number of the stock key.
    pub(crate) key: u32,
    pub(crate) quantity: u32,
    pub(crate) intent: Intent,
}

/// The parameters of the plan.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crowd {
    pub(crate) seed: u64,
    pub(crate) shoppers: u32,
    pub(crate) skus: u32,
    pub(crate) ttl: Duration,
    /// Fraction of the holders that cancel.
    pub(crate) cancel: f64,
    /// Fraction of the holders that leave.
    pub(crate) abandon: f64,
}

/// Arrival rate, unless the sale would last longer than [`ARRIVALS_MAX`].
const SHOPPERS_PER_SECOND: f64 = 5_000.0 / 3.0;
const ARRIVALS_MAX: Duration = Duration::from_secs(3);
const ARRIVALS_MIN: Duration = Duration::from_millis(300);

/// The longest time from grant to payment or cancellation, however long the TTL, so that the sale ends.
const THINKING_MAX: Duration = Duration::from_secs(1);

/// Fraction of the paying shoppers that pay after the deadline.
const LATE: f64 = 0.03;

impl Crowd {
    /// Time from the first arrival to the last.
    fn arrivals(&self) -> Duration {
        let seconds = f64::from(self.shoppers) / SHOPPERS_PER_SECOND;
        Duration::from_secs_f64(seconds).clamp(ARRIVALS_MIN, ARRIVALS_MAX)
    }

    /// All shoppers, not sorted by arrival.
    pub(crate) fn plan(&self) -> Vec<Shopper> {
        (0..self.shoppers).map(|number| self.shopper(number)).collect()
    }

    fn shopper(&self, number: u32) -> Shopper {
        let mut rng = Rng::stream(self.seed, u64::from(number));
        // Most shoppers arrive at the beginning.
        let arrives = self.arrivals().mul_f64(rng.fraction().powf(1.5));
        let key = rng.below(u64::from(self.skus)) as u32;
        let quantity = match rng.below(20) {
            0..16 => 1,
            16..19 => 2,
            _ => 3,
        };
        let after = self.ttl.min(THINKING_MAX).mul_f64(0.1 + 0.6 * rng.fraction());
        let mood = rng.fraction();
        let late = rng.fraction() < LATE && self.ttl < THINKING_MAX;
        let intent = match () {
            () if mood < self.abandon => Intent::Leave,
            () if mood < self.abandon + self.cancel => Intent::Cancel { after },
            () if late => Intent::Pay { after: self.ttl + after / 10 },
            () => Intent::Pay { after },
        };
        Shopper { arrives, key, quantity, intent }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crowd(seed: u64) -> Crowd {
        let ttl = Duration::from_millis(400);
        Crowd { seed, shoppers: 5_000, skus: 3, ttl, cancel: 0.1, abandon: 0.2 }
    }

    #[test]
    fn a_seed_gives_the_same_crowd() {
        let plan = |seed| format!("{:?}", crowd(seed).plan());
        assert_eq!(plan(1), plan(1));
        assert_ne!(plan(1), plan(2));
    }

    #[test]
    fn fractions_are_kept_and_some_pay_too_late() {
        let plan = crowd(7).plan();
        let share = |test: &dyn Fn(&Intent) -> bool| plan.iter().filter(|s| test(&s.intent)).count();
        assert!((900..1_100).contains(&share(&|intent| *intent == Intent::Leave)));
        assert!((400..600).contains(&share(&|intent| matches!(intent, Intent::Cancel { .. }))));
        let late =
            |intent: &Intent| matches!(intent, Intent::Pay { after } if *after >= Duration::from_millis(400));
        assert!((50..160).contains(&share(&late)));
        assert!(plan.iter().all(|s| s.arrives <= Duration::from_secs(3) && s.key < 3 && s.quantity >= 1));
    }
}
