//! Random steps.

use proptest::prelude::*;
use stockhold_model::{Operation, SaleSwitch, Selection};

use crate::steps::*;

fn selection() -> impl Strategy<Value = Selection> {
    prop_oneof![
        3 => Just(Selection::Whole),
        2 => (1..4u32).prop_map(Selection::Quantity),
        3 => [0..3u32, 0..3u32, 0..2u32].prop_map(|units| Selection::Lines(lines(units))),
    ]
}

fn switch() -> impl Strategy<Value = SaleSwitch> {
    prop_oneof![
        3 => Just(SaleSwitch::Open),
        1 => Just(SaleSwitch::Stopped),
        1 => (0..80u64).prop_map(|ms| SaleSwitch::OpensIn { ms }),
    ]
}

/// Any action on an engine in memory.
pub fn action() -> impl Strategy<Value = Action> {
    let (key, hold) = (|| 0..KEYS, || any::<usize>().prop_map(HoldPick));
    let ttl = || proptest::option::of(1..=TTL_MAX_MS);
    let other = || {
        prop_oneof![
            (1..5u32).prop_map(Selection::Quantity),
            [0..4u32, 0..4u32, 0..3u32].prop_map(|units| Selection::Lines(lines(units))),
        ]
    };
    // Mostly all or nothing.
    let least = |quantity: u32| prop_oneof![3 => Just(quantity), 2 => 1..=quantity, 1 => 0..7u32];
    let reserve = (key(), 1..5u32, ttl(), any::<bool>()).prop_flat_map(
        move |(key, quantity, ttl_ms, remember_refusal)| {
            least(quantity).prop_map(move |at_least| {
                Action::Do(Operation::Reserve { key, quantity, at_least, ttl_ms, remember_refusal })
            })
        },
    );
    prop_oneof![
        3 => (key(), 1..8u32).prop_map(|(key, quantity)| Action::Do(Operation::Receive { key, quantity })),
        2 => (key(), -5..5i64).prop_map(|(key, delta)| Action::Do(Operation::Adjust { key, delta })),
        1 => (key(), switch()).prop_map(|(key, to)| Action::Do(Operation::Switch { key, to })),
        9 => reserve,
        6 => ([0..4u32, 0..3u32, 0..3u32], ttl(), any::<bool>())
            .prop_map(|(units, ttl_ms, remember_refusal)| (lines(units), ttl_ms, remember_refusal))
            .prop_map(|(lines, ttl_ms, remember_refusal)| {
                Action::Do(Operation::Cart { lines, ttl_ms, remember_refusal })
            }),
        1 => proptest::collection::vec((key(), 1..5u32), 0..6)
            .prop_map(|requests| Action::Do(Operation::Batch { requests })),
        5 => (hold(), other(), proptest::option::weighted(0.3, 1..=TTL_MAX_MS))
            .prop_map(|(hold, by, ttl_ms)| Action::Do(Operation::Replace { hold, by, ttl_ms })),
        6 => (hold(), selection(), any::<bool>())
            .prop_map(|(hold, selection, retake)| Action::Do(Operation::Confirm { hold, selection, retake })),
        3 => hold().prop_map(|hold| Action::Do(Operation::Release { hold })),
        3 => (hold(), 1..=TTL_MAX_MS)
            .prop_map(|(hold, ttl_ms)| Action::Do(Operation::Extend { hold, ttl_ms })),
        2 => hold().prop_map(|hold| Action::Do(Operation::BeginPayment { hold })),
        3 => (hold(), selection())
            .prop_map(|(hold, selection)| Action::Do(Operation::Cancel { hold, selection })),
        3 => (hold(), selection())
            .prop_map(|(hold, selection)| Action::Do(Operation::Ship { hold, selection })),
        5 => (1..60u64).prop_map(|ms| Action::Advance { ms }),
        1 => Just(Action::Sweep),
        2 => hold().prop_map(|hold| Action::Status { hold }),
        1 => key().prop_map(|key| Action::BlockingHolds { key }),
        2 => Just(Action::Compare),
        1 => any::<bool>().prop_map(|orderly| {
            Action::Reopen(if orderly { Restart::Orderly } else { Restart::Dropped })
        }),
    ]
}

/// The same, and what only a directory has.
pub fn action_on_disk() -> impl Strategy<Value = Action> {
    prop_oneof![30 => action(), 1 => Just(Action::Checkpoint), 1 => Just(Action::Reopen(Restart::Killed))]
}

fn step(action: impl Strategy<Value = Action>) -> impl Strategy<Value = Step> {
    let step = (action, proptest::option::weighted(0.3, 0..12u8));
    step.prop_map(|(action, op_key)| Step { action, op_key: op_key.map(u64::from) })
}

pub fn steps(action: impl Strategy<Value = Action>, most: usize) -> impl Strategy<Value = Vec<Step>> {
    proptest::collection::vec(step(action), 1..most)
}

/// Steps whose quantities are about as large as a counter's word has room for (2^14 and 2^20 units), and
/// larger.
pub fn large_steps(action: impl Strategy<Value = Action>, most: usize) -> impl Strategy<Value = Vec<Step>> {
    let scale = prop_oneof![Just(1 << 12), Just(1 << 13), Just(1 << 18), Just(1 << 19), Just(1 << 21)];
    let is_large = proptest::bool::weighted(0.8);
    let steps = proptest::collection::vec((step(action), is_large), 1..most);
    (scale, steps).prop_map(|(scale, steps)| {
        let larger = |(mut step, is_large): (Step, bool)| {
            if let (Action::Do(operation), true) = (&mut step.action, is_large) {
                multiply(operation, scale);
            }
            step
        };
        steps.into_iter().map(larger).collect()
    })
}

/// Multiplies every quantity of an operation.
fn multiply(operation: &mut Operation<HoldPick>, by: u32) {
    match operation {
        Operation::Receive { quantity, .. } => *quantity *= by,
        Operation::Adjust { delta, .. } => *delta *= i64::from(by),
        Operation::Reserve { quantity, at_least, .. } => {
            *quantity *= by;
            *at_least *= by;
        }
        Operation::Cart { lines, .. } => lines.iter_mut().for_each(|units| *units *= by),
        Operation::Batch { requests } => requests.iter_mut().for_each(|(_, units)| *units *= by),
        Operation::Replace { by: selection, .. }
        | Operation::Confirm { selection, .. }
        | Operation::Cancel { selection, .. }
        | Operation::Ship { selection, .. } => match selection {
            Selection::Whole => {}
            Selection::Quantity(quantity) => *quantity *= by,
            Selection::Lines(lines) => lines.iter_mut().for_each(|units| *units *= by),
        },
        Operation::Declare { .. }
        | Operation::Prepare { .. }
        | Operation::Switch { .. }
        | Operation::Release { .. }
        | Operation::Extend { .. }
        | Operation::BeginPayment { .. } => {}
    }
}
