//! Carts: holds on several stock keys, made and ended in one step.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use crate::call::{Call, Event};

/// One hold on several stock keys, as requested.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cart {
    /// The engine's name for the hold, the same on every key.
    pub hold: u128,
    /// Its stock keys, each once.
    pub keys: Vec<u32>,
}

/// The steps on each key, with start and end.
type Lines = BTreeMap<u32, Vec<(u64, u64, &'static str)>>;

/// A cart that was not all or nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TornCart {
    /// The cart's hold.
    pub hold: u128,
    /// What is wrong, as a sentence.
    pub why: String,
}

impl fmt::Display for TornCart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cart {:x}: {}", self.hold, self.why)
    }
}

/// Checks that every step of every cart was one step on all its stock keys.
///
/// A step of a cart is recorded as one call for each of its keys, all with the start and the end of the one
/// call that was made. A refused cart has no hold: record its refusal on the key that was short. So for each
/// granted cart:
///
/// - every key has a grant, and no other key has one;
/// - every step of the hold on one key is there on every other: as the same event, in the same span.
///   Quantities may differ from key to key, and so may the number of `ExpiredSeen` answers.
///
/// Whether each key is right by itself is decided by [`check`](crate::check()). Neither proves that the keys
/// of a cart changed at the same *instant* within their span.
pub fn check_carts(calls: &[Call], carts: &[Cart]) -> Vec<TornCart> {
    let mut by_hold: HashMap<u128, Lines> = carts.iter().map(|cart| (cart.hold, BTreeMap::new())).collect();
    for call in calls {
        if let Some((hold, what)) = step(call.event)
            && let Some(of_cart) = by_hold.get_mut(&hold)
        {
            of_cart.entry(call.key).or_default().push((call.start_ns, call.end_ns, what));
        }
    }
    carts.iter().filter_map(|cart| torn(cart, by_hold.get_mut(&cart.hold)?)).collect()
}

fn torn(cart: &Cart, lines: &mut Lines) -> Option<TornCart> {
    let torn = |why: String| Some(TornCart { hold: cart.hold, why });
    if let Some(key) = lines.keys().find(|key| !cart.keys.contains(key)) {
        return torn(format!("key {key} is not one of its keys, and has calls on it"));
    }
    let granted = |key: &u32| lines.get(key).is_some_and(|line| line.iter().any(|step| step.2 == "granted"));
    if let Some(key) = cart.keys.iter().find(|key| !granted(key)) {
        return torn(format!("key {key} has no line in it"));
    }
    lines.values_mut().for_each(|line| line.sort_unstable());
    let mut lines = lines.iter();
    let (first_key, first) = lines.next()?;
    for (key, line) in lines {
        let same = first.iter().zip(line).take_while(|(one, other)| one == other).count();
        let (one, other) = (first.get(same), line.get(same));
        return match (one, other) {
            (None, None) => continue,
            (Some((.., what)), None) => {
                torn(format!("it was {what} on key {first_key} and not on key {key}"))
            }
            (None, Some((.., what))) => {
                torn(format!("it was {what} on key {key} and not on key {first_key}"))
            }
            (Some((.., one)), Some((.., other))) if one == other => {
                torn(format!("it was {one} on key {first_key} and on key {key} by two calls"))
            }
            (Some((.., one)), Some((.., other))) => {
                torn(format!("it was {one} on key {first_key} and {other} on key {key}"))
            }
        };
    }
    None
}

/// The step of a hold, if it must be the same on every key.
fn step(event: Event) -> Option<(u128, &'static str)> {
    match event {
        Event::Grant { hold, .. } => Some((hold, "granted")),
        Event::Extend { hold, .. } => Some((hold, "extended")),
        Event::Confirm { hold, retaken: false, .. } => Some((hold, "confirmed")),
        Event::Confirm { hold, retaken: true, .. } => Some((hold, "confirmed late")),
        Event::Release { hold } => Some((hold, "released")),
        Event::Cancel { hold, .. } => Some((hold, "cancelled")),
        Event::Replace { hold, .. } => Some((hold, "replaced")),
        Event::Receive { .. }
        | Event::Refuse { .. }
        | Event::ExpiredSeen { .. }
        | Event::Adjust { .. }
        | Event::Reading { .. } => None,
    }
}
