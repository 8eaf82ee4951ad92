//! Who comes to the sale, when, and what they do: planned from the seed, before anything runs.
//!
//! Every design that is compared gets exactly these shoppers. What they are told depends on the design and on the
//! threads' timing, so two runs of one seed differ in detail and never in what is asked.

use std::time::Duration;

use stockhold_seeded::Rng;

/// What a shopper does with a hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Then {
    /// Pays after this long. A few pay after the deadline and must be turned away.
    Pay { after: Duration },
    /// Gives the hold back after this long.
    Cancel { after: Duration },
    /// Never comes back: the hold expires.
    WalkAway,
}

/// One of the crowd.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shopper {
    pub(crate) arrives: Duration,
    /// Number of the stock key.
    pub(crate) key: u32,
    pub(crate) quantity: u32,
    pub(crate) then: Then,
}

/// What the crowd is planned from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crowd {
    pub(crate) seed: u64,
    pub(crate) shoppers: u32,
    pub(crate) skus: u32,
    pub(crate) ttl: Duration,
    /// Fraction that gives its hold back.
    pub(crate) cancel: f64,
    /// Fraction that walks away.
    pub(crate) abandon: f64,
}

/// Shoppers a second, until the sale would last longer than [`LASTS_MAX`].
const SHOPPERS_PER_SECOND: f64 = 5_000.0 / 3.0;
const LASTS_MAX: Duration = Duration::from_secs(3);
const LASTS_MIN: Duration = Duration::from_millis(300);

/// Nobody thinks longer than this, however long the TTL: the sale has to end.
const THINKS_MAX: Duration = Duration::from_secs(1);

/// Of those who pay, the fraction that pays too late.
const LATE: f64 = 0.03;

impl Crowd {
    /// From the first arrival to the last.
    pub(crate) fn lasts(&self) -> Duration {
        Duration::from_secs_f64(f64::from(self.shoppers) / SHOPPERS_PER_SECOND).clamp(LASTS_MIN, LASTS_MAX)
    }

    /// Everybody, in no particular order of arrival.
    pub(crate) fn plan(&self) -> Vec<Shopper> {
        (0..self.shoppers).map(|number| self.shopper(number)).collect()
    }

    fn shopper(&self, number: u32) -> Shopper {
        let mut rng = Rng::stream(self.seed, u64::from(number));
        // The crowd is thickest at the doors.
        let arrives = self.lasts().mul_f64(rng.fraction().powf(1.5));
        let key = rng.below(u64::from(self.skus)) as u32;
        let quantity = match rng.below(20) {
            0..16 => 1,
            16..19 => 2,
            _ => 3,
        };
        let after = self.ttl.min(THINKS_MAX).mul_f64(0.1 + 0.6 * rng.fraction());
        let mood = rng.fraction();
        let late = rng.fraction() < LATE && self.ttl < THINKS_MAX;
        let then = match () {
            () if mood < self.abandon => Then::WalkAway,
            () if mood < self.abandon + self.cancel => Then::Cancel { after },
            () if late => Then::Pay { after: self.ttl + after / 10 },
            () => Then::Pay { after },
        };
        Shopper { arrives, key, quantity, then }
    }
}

/// Units of each stock key: as even as they go, the rest on the first ones.
pub(crate) fn shares(units: u32, skus: u32) -> Vec<u32> {
    (0..skus).map(|key| units / skus + u32::from(key < units % skus)).collect()
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
        let told = |seed| format!("{:?}", crowd(seed).plan());
        assert_eq!(told(1), told(1));
        assert_ne!(told(1), told(2));
    }

    #[test]
    fn fractions_are_kept_and_some_pay_too_late() {
        let plan = crowd(7).plan();
        let share = |test: &dyn Fn(&Then) -> bool| plan.iter().filter(|s| test(&s.then)).count();
        assert!((900..1_100).contains(&share(&|then| *then == Then::WalkAway)));
        assert!((400..600).contains(&share(&|then| matches!(then, Then::Cancel { .. }))));
        let late = |then: &Then| matches!(then, Then::Pay { after } if *after >= Duration::from_millis(400));
        assert!((50..160).contains(&share(&late)));
        assert!(plan.iter().all(|s| s.arrives <= Duration::from_secs(3) && s.key < 3 && s.quantity >= 1));
    }

    #[test]
    fn units_are_shared_out_to_the_last() {
        assert_eq!(shares(10, 3), [4, 3, 3]);
        assert_eq!(shares(1_000, 1), [1_000]);
    }
}
