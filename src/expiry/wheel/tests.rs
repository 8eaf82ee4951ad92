//! The wheel against a sorted map, and the cases that timing wheels have got wrong.

use std::collections::{BTreeMap, BTreeSet};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use stockhold_seeded::seed;

use super::{Progress, Wheel};

/// A moment in 2025, as the engine would see it.
const NOW_MS: u64 = 1_750_000_000_000;

/// Advances to the end in batches of `batch_max` and checks that none is exceeded.
fn advance_fully(wheel: &mut Wheel, now_ms: u64, batch_max: usize) -> Vec<u32> {
    let mut due = Vec::new();
    loop {
        let before = due.len();
        let progress = wheel.advance(now_ms, batch_max, &mut due);
        assert!(due.len() - before <= batch_max);
        if progress == Progress::Done {
            return due;
        }
    }
}

/// As often short as long: the number of bits is drawn first.
fn any_scale_ms(rng: &mut StdRng, bits_max: u32) -> u64 {
    let bits = rng.random_range(0..=bits_max);
    rng.random_range(0..1 << bits)
}

/// A sorted map of every timer by the moment that counts and the order of insertion.
#[derive(Default)]
struct Model {
    order: BTreeSet<(u64, u64, u32)>,
    /// By index: the moment that counts, the order of insertion, the deadline.
    timers: BTreeMap<u32, (u64, u64, u64)>,
    inserted: u64,
}

impl Model {
    fn insert(&mut self, index: u32, deadline_ms: u64, elapsed_ms: u64) {
        self.remove(index);
        let counted_ms = deadline_ms.max(elapsed_ms);
        self.order.insert((counted_ms, self.inserted, index));
        self.timers.insert(index, (counted_ms, self.inserted, deadline_ms));
        self.inserted += 1;
    }

    fn remove(&mut self, index: u32) {
        if let Some((counted_ms, inserted, _)) = self.timers.remove(&index) {
            self.order.remove(&(counted_ms, inserted, index));
        }
    }

    fn check(&self, wheel: &Wheel, indices: u32) {
        for index in 0..indices {
            assert_eq!(wheel.deadline(index), self.timers.get(&index).map(|timer| timer.2));
        }
        let earliest_ms = self.timers.values().map(|timer| timer.2).min();
        match (wheel.next_due_ms(), earliest_ms) {
            (None, None) => {}
            (Some(next_ms), Some(earliest_ms)) => {
                assert!(next_ms <= earliest_ms, "wakes at {next_ms}, too late for {earliest_ms}");
            }
            (next, earliest) => panic!("wakes at {next:?} for {earliest:?}"),
        }
    }
}

#[test]
fn agrees_with_a_sorted_map() {
    let mut rng = StdRng::seed_from_u64(seed());
    for _ in 0..300 {
        let start_ms = match rng.random_range(0..4) {
            0 => 0,
            1 => rng.random(),
            2 => u64::MAX - rng.random_range(0..10_000),
            _ => NOW_MS,
        };
        run_against_the_model(&mut rng, start_ms);
    }
}

fn run_against_the_model(rng: &mut StdRng, start_ms: u64) {
    let indices = rng.random_range(1..40);
    let reach_bits = rng.random_range(1..64);
    let mut wheel = Wheel::new(start_ms);
    let mut model = Model::default();
    let mut now_ms = start_ms;
    let mut due = Vec::new();
    for _ in 0..400 {
        let index = rng.random_range(0..indices);
        match rng.random_range(0..10) {
            0..=4 => {
                let reach_ms = any_scale_ms(rng, reach_bits);
                let deadline_ms = match rng.random_range(0..20) {
                    0 => u64::MAX,
                    1 => now_ms.saturating_sub(reach_ms),
                    2..=6 => model.timers.values().next().map_or(now_ms, |timer| timer.2),
                    _ => now_ms.saturating_add(reach_ms),
                };
                model.insert(index, deadline_ms, wheel.elapsed_ms());
                wheel.insert(index, deadline_ms);
            }
            5 => {
                model.remove(index);
                wheel.remove(index);
            }
            _ => {
                let reach_ms = any_scale_ms(rng, reach_bits);
                let to_ms = match rng.random_range(0..4) {
                    0 => now_ms.saturating_sub(reach_ms),
                    1 => wheel.next_due_ms().unwrap_or(now_ms),
                    _ => now_ms.saturating_add(reach_ms),
                };
                let elapsed_before_ms = wheel.elapsed_ms();
                // What has been reached stays reached; what More left short of `now_ms` may be asked again.
                let to_counted_ms = to_ms.max(elapsed_before_ms);
                now_ms = now_ms.max(to_ms);
                let batch_max = rng.random_range(0..12);
                due.clear();
                let progress = wheel.advance(to_ms, batch_max, &mut due);
                assert!(due.len() <= batch_max);
                assert!((elapsed_before_ms..=to_counted_ms).contains(&wheel.elapsed_ms()));
                for &index in &due {
                    let (counted_ms, _, expected) = *model.order.first().expect("nothing was left");
                    assert_eq!(index, expected);
                    assert!(
                        counted_ms <= to_counted_ms,
                        "handed out {} ms early",
                        counted_ms - to_counted_ms
                    );
                    model.remove(index);
                }
                if progress == Progress::Done {
                    assert_eq!(wheel.elapsed_ms(), to_counted_ms);
                    assert!(model.order.first().is_none_or(|first| first.0 > to_counted_ms));
                }
            }
        }
        model.check(&wheel, indices);
    }
    let rest: Vec<u32> = model.order.iter().map(|timer| timer.2).collect();
    assert_eq!(advance_fully(&mut wheel, u64::MAX, 3), rest);
    assert_eq!(wheel.next_due_ms(), None);
}

#[test]
fn equal_deadlines_come_in_the_order_of_insertion() {
    let deadline_ms = NOW_MS + 5_000_000;
    let mut wheel = Wheel::new(NOW_MS);
    let mut expected = Vec::new();
    // Nearer and nearer, so that each is inserted at a lower level and joins those that cascaded there.
    for (index, ahead_ms) in [5_000_000, 300_000, 70_000, 5_000, 100, 64, 3, 1].into_iter().enumerate() {
        assert!(advance_fully(&mut wheel, deadline_ms - ahead_ms, 1).is_empty());
        let index = 100 - index as u32;
        wheel.insert(index, deadline_ms);
        expected.push(index);
    }
    assert_eq!(advance_fully(&mut wheel, deadline_ms, 1), expected);
}

#[test]
fn a_late_arrival_does_not_overtake_its_equals_in_a_half_spread_slot() {
    let mut wheel = Wheel::new(0);
    for index in 0..10 {
        wheel.insert(index, 4100);
    }
    let mut due = Vec::new();
    assert_eq!(wheel.advance(4096, 4, &mut due), Progress::More);
    wheel.insert(10, 4100);
    assert_eq!(advance_fully(&mut wheel, 4100, 4), (0..=10).collect::<Vec<_>>());
}

#[test]
fn a_timer_set_again_goes_behind_its_equals() {
    let mut wheel = Wheel::new(NOW_MS);
    for index in [0, 1, 2, 0] {
        wheel.insert(index, NOW_MS + 9);
    }
    assert_eq!(advance_fully(&mut wheel, NOW_MS + 9, 10), [1, 2, 0]);
}

#[test]
fn a_million_equal_deadlines_come_in_bounded_batches() {
    const TIMERS: u32 = 1_000_000;
    const BATCH_MAX: usize = 1_000;
    let deadline_ms = NOW_MS + 900_000;
    let mut wheel = Wheel::new(NOW_MS);
    for index in 0..TIMERS {
        wheel.insert(index, deadline_ms);
    }
    let mut due = Vec::new();
    let mut calls = 1;
    loop {
        let before = due.len();
        let progress = wheel.advance(deadline_ms, BATCH_MAX, &mut due);
        assert!(due.len() - before <= BATCH_MAX);
        if progress == Progress::Done {
            break;
        }
        assert!(wheel.next_due_ms().is_some_and(|next_ms| next_ms <= deadline_ms));
        calls += 1;
    }
    assert!(due.iter().copied().eq(0..TIMERS));
    // One step out for each, and one to four levels down, which the batch must bound as well.
    let full_batches = TIMERS as usize / BATCH_MAX;
    assert!((2 * full_batches..=5 * full_batches + 1).contains(&calls), "{calls} calls");
}

#[test]
fn a_far_deadline_never_hides_a_near_one() {
    for far_bits in 6..64 {
        for near_ms in [0, 1, 63, 64, 65, 4095, 4096, 100_000] {
            let mut wheel = Wheel::new(NOW_MS);
            wheel.insert(0, NOW_MS.saturating_add(1 << far_bits).max(NOW_MS + near_ms + 1));
            wheel.insert(1, NOW_MS + near_ms);
            assert!(wheel.next_due_ms().unwrap() <= NOW_MS + near_ms);
            assert_eq!(advance_fully(&mut wheel, NOW_MS + near_ms, 8), [1]);
        }
    }
}

#[test]
fn a_deadline_anywhere_in_the_range_is_neither_early_nor_overdue() {
    let mut rng = StdRng::seed_from_u64(seed());
    for bits in 0..64 {
        for _ in 0..50 {
            let start_ms = if rng.random() { NOW_MS } else { rng.random() };
            // Around every power of two, where a digit begins.
            let ahead_ms = (1_u64 << bits).saturating_add(rng.random_range(0..3)).saturating_sub(1);
            let Some(deadline_ms) = start_ms.checked_add(ahead_ms) else { continue };
            let mut wheel = Wheel::new(start_ms);
            wheel.insert(0, deadline_ms);
            // As a sleeper would: woken only when the wheel asks for it.
            let mut due = Vec::new();
            let mut wakes = 0;
            while due.is_empty() {
                let wake_ms = wheel.next_due_ms().unwrap();
                assert!(wake_ms <= deadline_ms);
                due = advance_fully(&mut wheel, wake_ms, 1);
                wakes += 1;
            }
            assert_eq!(wheel.elapsed_ms(), deadline_ms);
            assert!(wakes <= super::LEVELS, "{wakes} wakes");
        }
    }
}

#[test]
fn the_last_millisecond_of_all_is_a_deadline_like_any_other() {
    let mut wheel = Wheel::new(NOW_MS);
    wheel.insert(7, u64::MAX);
    assert_eq!(wheel.deadline(7), Some(u64::MAX));
    assert!(advance_fully(&mut wheel, u64::MAX - 1, 1).is_empty());
    assert_eq!(wheel.next_due_ms(), Some(u64::MAX));
    assert_eq!(advance_fully(&mut wheel, u64::MAX, 1), [7]);
    wheel.insert(7, u64::MAX);
    assert_eq!(advance_fully(&mut wheel, u64::MAX, 1), [7]);
}

#[test]
fn time_going_backwards_changes_nothing() {
    let mut wheel = Wheel::new(NOW_MS);
    wheel.insert(0, NOW_MS + 10);
    assert!(advance_fully(&mut wheel, 0, 8).is_empty());
    assert_eq!(wheel.elapsed_ms(), NOW_MS);
    assert_eq!(wheel.next_due_ms(), Some(NOW_MS + 10));
    assert_eq!(advance_fully(&mut wheel, NOW_MS + 10, 8), [0]);
}

#[test]
fn a_deadline_already_past_is_due_at_the_next_advance() {
    let mut wheel = Wheel::new(NOW_MS);
    wheel.insert(0, NOW_MS);
    wheel.insert(1, NOW_MS - 5);
    wheel.insert(2, 0);
    wheel.insert(3, NOW_MS + 1);
    assert_eq!(wheel.next_due_ms(), Some(0));
    assert_eq!(advance_fully(&mut wheel, NOW_MS, 8), [0, 1, 2]);
    assert_eq!(wheel.next_due_ms(), Some(NOW_MS + 1));
    wheel.insert(4, NOW_MS);
    assert_eq!(wheel.next_due_ms(), Some(NOW_MS), "what was overdue is forgotten with its timers");
}

#[test]
fn the_next_wake_up_is_exact_in_level_0() {
    let mut wheel = Wheel::new(640);
    for ahead_ms in (0..64).rev() {
        wheel.insert(ahead_ms, 640 + u64::from(ahead_ms));
        assert_eq!(wheel.next_due_ms(), Some(640 + u64::from(ahead_ms)));
    }
    wheel.remove(0);
    assert_eq!(wheel.next_due_ms(), Some(641));
}

#[test]
fn moving_a_timer_leaves_only_the_new_deadline() {
    let mut wheel = Wheel::new(NOW_MS);
    wheel.insert(0, NOW_MS + 10);
    wheel.insert(0, NOW_MS + 1_000_000);
    assert_eq!(wheel.deadline(0), Some(NOW_MS + 1_000_000));
    assert!(advance_fully(&mut wheel, NOW_MS + 999_999, 8).is_empty());
    wheel.insert(0, NOW_MS + 1_000_001);
    assert!(advance_fully(&mut wheel, NOW_MS + 1_000_000, 8).is_empty());
    assert_eq!(advance_fully(&mut wheel, NOW_MS + 1_000_001, 8), [0]);
}

#[test]
fn removing_is_idempotent_and_unknown_indices_are_absent() {
    let mut wheel = Wheel::new(NOW_MS);
    wheel.remove(5);
    wheel.remove(u32::MAX);
    assert_eq!(wheel.deadline(u32::MAX), None);
    wheel.insert(5, NOW_MS + 1);
    wheel.remove(5);
    wheel.remove(5);
    assert_eq!((wheel.deadline(5), wheel.deadline(4), wheel.next_due_ms()), (None, None, None));
    assert!(advance_fully(&mut wheel, u64::MAX, 8).is_empty());
}

#[test]
fn a_timer_removed_between_batches_is_not_handed_out() {
    // The first batch ends among the timers of one millisecond, then amid a cascade.
    for deadline_ms in [63, 4096 + 70] {
        let mut wheel = Wheel::new(0);
        for index in 0..10 {
            wheel.insert(index, deadline_ms);
        }
        let mut due = Vec::new();
        assert_eq!(wheel.advance(deadline_ms, 3, &mut due), Progress::More);
        let removed: Vec<u32> = (0..10).filter(|index| !due.contains(index)).step_by(2).collect();
        for &index in &removed {
            wheel.remove(index);
        }
        due.extend(advance_fully(&mut wheel, deadline_ms, 3));
        assert!(due.iter().copied().eq((0..10).filter(|index| !removed.contains(index))));
        assert_eq!(wheel.next_due_ms(), None);
    }
}

#[test]
fn emptying_the_slot_being_spread_lets_time_go_on() {
    let mut wheel = Wheel::new(0);
    wheel.insert(0, 70);
    wheel.insert(1, 80);
    let mut due = Vec::new();
    assert_eq!(wheel.advance(90, 1, &mut due), Progress::More);
    wheel.remove(1);
    assert_eq!(wheel.next_due_ms(), Some(70));
    assert_eq!(advance_fully(&mut wheel, 90, 1), [0]);
    assert_eq!(wheel.elapsed_ms(), 90);
}

#[test]
fn an_empty_batch_hands_out_nothing_and_says_so() {
    let mut wheel = Wheel::new(0);
    let mut due = Vec::new();
    assert_eq!(wheel.advance(5, 0, &mut due), Progress::Done);
    wheel.insert(0, 6);
    assert_eq!(wheel.advance(6, 0, &mut due), Progress::More);
    assert!(due.is_empty());
}

#[test]
#[should_panic(expected = "timer index 4294967295 is above")]
fn an_index_above_the_limit_is_refused() {
    Wheel::new(0).insert(u32::MAX, 0);
}
