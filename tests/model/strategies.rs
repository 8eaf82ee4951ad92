//! Steps by chance.

use proptest::prelude::*;

use crate::steps::*;

pub fn part() -> impl Strategy<Value = Part> {
    prop_oneof![
        3 => Just(Part::Whole),
        2 => (1..4u32).prop_map(Part::Quantity),
        3 => [0..3u32, 0..3u32, 0..2u32].prop_map(Part::Lines),
    ]
}

pub fn gate() -> impl Strategy<Value = Gate> {
    prop_oneof![3 => Just(Gate::Open), 1 => Just(Gate::Stopped), 1 => (0..80u64).prop_map(|ms| Gate::OpensIn { ms })]
}

pub fn what() -> impl Strategy<Value = What> {
    let (key, hold) = (|| 0..KEYS, || any::<usize>().prop_map(Which));
    let ttl = || proptest::option::of(1..=TTL_MAX_MS);
    let other =
        || prop_oneof![(1..5u32).prop_map(Part::Quantity), [0..4u32, 0..4u32, 0..3u32].prop_map(Part::Lines)];
    // Mostly all or nothing.
    let least = |quantity: u32| prop_oneof![3 => Just(quantity), 2 => 1..=quantity, 1 => 0..7u32];
    let reserve = (key(), 1..5u32, ttl(), any::<bool>()).prop_flat_map(
        move |(key, quantity, ttl_ms, remember_refusal)| {
            least(quantity).prop_map(move |at_least| What::Reserve {
                key,
                quantity,
                at_least,
                ttl_ms,
                remember_refusal,
            })
        },
    );
    prop_oneof![
        3 => (key(), 1..8u32).prop_map(|(key, quantity)| What::Receive { key, quantity }),
        2 => (key(), -5..5i64).prop_map(|(key, delta)| What::Adjust { key, delta }),
        1 => (key(), gate()).prop_map(|(key, gate)| What::Switch { key, gate }),
        9 => reserve,
        6 => ([0..4u32, 0..3u32, 0..3u32], ttl(), any::<bool>())
            .prop_map(|(lines, ttl_ms, remember_refusal)| What::Cart { lines, ttl_ms, remember_refusal }),
        1 => proptest::collection::vec((key(), 1..5u32), 0..6).prop_map(|wanted| What::Batch { wanted }),
        5 => (hold(), other(), proptest::option::weighted(0.3, 1..=TTL_MAX_MS))
            .prop_map(|(hold, by, ttl_ms)| What::Replace { hold, by, ttl_ms }),
        6 => (hold(), part(), any::<bool>())
            .prop_map(|(hold, part, retake)| What::Confirm { hold, part, retake }),
        3 => hold().prop_map(|hold| What::Release { hold }),
        3 => (hold(), 1..=TTL_MAX_MS).prop_map(|(hold, ttl_ms)| What::Extend { hold, ttl_ms }),
        2 => hold().prop_map(|hold| What::Pay { hold }),
        3 => (hold(), part()).prop_map(|(hold, part)| What::Cancel { hold, part }),
        3 => (hold(), part()).prop_map(|(hold, part)| What::Ship { hold, part }),
        5 => (1..60u64).prop_map(|ms| What::Advance { ms }),
        1 => Just(What::Sweep),
        2 => hold().prop_map(|hold| What::Status { hold }),
        1 => key().prop_map(|key| What::BlockingHolds { key }),
        2 => Just(What::Look),
        1 => any::<bool>().prop_map(|orderly| What::Reopen {
            reboot: if orderly { Reboot::Orderly } else { Reboot::Dropped },
        }),
    ]
}

/// The same, and what only a directory knows.
pub fn what_on_disk() -> impl Strategy<Value = What> {
    let killed = What::Reopen { reboot: Reboot::Killed };
    prop_oneof![30 => what(), 1 => Just(What::Checkpoint), 1 => Just(killed)]
}

pub fn steps(what: impl Strategy<Value = What>, most: usize) -> impl Strategy<Value = Vec<Step>> {
    let step = (what, proptest::option::weighted(0.3, 0..12u8));
    proptest::collection::vec(step.prop_map(|(what, op_key)| Step { what, op_key }), 1..most)
}
