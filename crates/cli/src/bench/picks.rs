//! A sequence of SKUs, drawn in advance so that no figure includes the drawing.

use super::workload::Workload;
use stockhold_seeded::Rng;

/// Length of the sequence: a power of two, and long enough that its repetition does not matter.
const COUNT: usize = 1 << 16;

pub(super) struct Picks {
    skus: Vec<u32>,
    at: usize,
}

impl Picks {
    /// `stream` is the thread's number: each thread gets its own sequence.
    pub(super) fn new(workload: Workload, stream: u64) -> Self {
        let mut rng = Rng::stream(0, stream);
        let skus = workload.skus();
        let pick: Box<dyn FnMut() -> u32> = match workload {
            Workload::Zipf => {
                let below: Vec<f64> = (1..=skus)
                    .scan(0.0, |sum, rank| {
                        *sum += 1.0 / f64::from(rank);
                        Some(*sum)
                    })
                    .collect();
                let all = below[below.len() - 1];
                Box::new(move || {
                    let at = rng.fraction() * all;
                    below.partition_point(|sum| *sum <= at) as u32
                })
            }
            _ => Box::new(move || rng.below(u64::from(skus)) as u32),
        };
        Picks { skus: std::iter::repeat_with(pick).take(COUNT).collect(), at: 0 }
    }

    pub(super) fn next(&mut self) -> usize {
        self.at = (self.at + 1) % COUNT;
        self.skus[self.at] as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share_of_the_first(workload: Workload) -> f64 {
        let mut picks = Picks::new(workload, 1);
        (0..COUNT).filter(|_| picks.next() == 0).count() as f64 / COUNT as f64
    }

    #[test]
    fn the_first_of_ten_thousand_has_a_tenth_by_zipf_and_hardly_anything_otherwise() {
        assert_eq!(share_of_the_first(Workload::Hot), 1.0);
        assert!((0.09..0.11).contains(&share_of_the_first(Workload::Zipf)));
        assert!(share_of_the_first(Workload::Uniform) < 0.001);
    }

    #[test]
    fn every_pick_is_a_sku() {
        for workload in [Workload::Hot, Workload::Uniform, Workload::Zipf] {
            let mut picks = Picks::new(workload, 2);
            assert!((0..COUNT).all(|_| picks.next() < workload.skus() as usize));
        }
    }
}
