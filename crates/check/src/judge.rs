//! The judge: turns calls into records of holds, records into bounds for each stock key, and bounds into a
//! verdict.
//!
//! Three passes: grants, then their outcomes, then each stock key by itself. The calls may be given in any
//! order. O(n log n) time, linear memory.

use std::collections::{BTreeMap, HashMap};

use crate::call::{Call, Event};
use crate::timeline::{Sums, Timeline};
use crate::verdict::{Verdict, seconds};

/// One hold on one stock key, put together from its calls.
struct HoldRecord {
    grant: Call,
    quantity: u32,
    /// The latest deadline that any call gave it.
    deadline_ns: u64,
    /// The call, the units sold, and whether they were taken again after the deadline.
    confirmed: Option<(Call, u32, bool)>,
    released: Option<Call>,
    seen_expired: bool,
    cancelled: u64,
    /// Already counted in `two_outcomes`.
    counted: bool,
    /// Given another quantity or deadline: the largest and the latest are kept, and none of the units are
    /// certain.
    replaced: bool,
}

/// A hold on one stock key; a cart is a hold on several.
type HoldKey = (u32, u128);

/// The bounds of one stock key, certain and possible, and the answers that are judged by them.
#[derive(Default)]
struct Bounds {
    /// Units certainly taken, less all that can have arrived. Above zero is an oversell.
    excess: Timeline,
    /// The fewest units available: those that have certainly arrived, less all that are possibly taken.
    at_least: Timeline,
    /// Units that are not available for certain, less all that can have arrived. Its negative is the most that
    /// can be available.
    at_most_negated: Timeline,
    received: u64,
    sold: u64,
    refusals: Vec<Call>,
    readings: Vec<Named>,
}

/// An answer that names the number of available units at an instant of its call.
struct Named {
    call: Call,
    available: i64,
    /// Units that the call itself gave, which the number counts: they are certain only after the call.
    own: i64,
}

/// Judges all calls of a history. The crate's page says what each count proves.
pub fn judge(calls: &[Call]) -> Verdict {
    let mut verdict = Verdict { calls: calls.len(), ..Verdict::default() };
    let mut holds = grants(calls, &mut verdict);
    // Deadlines first: whether an outcome was late depends on every extension.
    extend(calls, &mut holds, &mut verdict);
    outcomes(calls, &mut holds, &mut verdict);
    for (key, bounds) in bounds(calls, &holds) {
        judge_key(key, bounds, &mut verdict);
    }
    verdict
}

fn grants(calls: &[Call], verdict: &mut Verdict) -> HashMap<HoldKey, HoldRecord> {
    let mut holds: HashMap<HoldKey, HoldRecord> = HashMap::new();
    for call in calls {
        let Event::Grant { hold, quantity, deadline_ns } = call.event else { continue };
        let record = HoldRecord {
            grant: *call,
            quantity,
            deadline_ns,
            confirmed: None,
            released: None,
            seen_expired: false,
            cancelled: 0,
            counted: false,
            replaced: false,
        };
        if holds.insert((call.key, hold), record).is_some() {
            verdict.breach(|v| &mut v.two_outcomes, 1, || format!("hold {hold:032x} was granted twice"));
        }
    }
    holds
}

fn extend(calls: &[Call], holds: &mut HashMap<HoldKey, HoldRecord>, verdict: &mut Verdict) {
    let mut extensions: Vec<_> = calls
        .iter()
        .filter_map(|call| match call.event {
            Event::Extend { hold, deadline_ns } => Some((call.start_ns, call.key, hold, deadline_ns, None)),
            Event::Replace { hold, deadline_ns, quantity } => {
                Some((call.start_ns, call.key, hold, deadline_ns, Some(quantity)))
            }
            _ => None,
        })
        .collect();
    extensions.sort_unstable();
    for (start_ns, key, hold, deadline_ns, quantity) in extensions {
        let verb = if quantity.is_some() { "replaced" } else { "extended" };
        let Some(record) = holds.get_mut(&(key, hold)) else {
            unfounded(verdict, hold, verb);
            continue;
        };
        if start_ns >= record.deadline_ns {
            late(verdict, hold, verb, start_ns, record.deadline_ns);
        }
        record.deadline_ns = record.deadline_ns.max(deadline_ns);
        record.quantity = record.quantity.max(quantity.unwrap_or(0));
        record.replaced |= quantity.is_some();
    }
}

fn outcomes(calls: &[Call], holds: &mut HashMap<HoldKey, HoldRecord>, verdict: &mut Verdict) {
    for call in calls {
        let (hold, verb) = match call.event {
            Event::Confirm { hold, .. } => (hold, "confirmed"),
            Event::Release { hold } => (hold, "released"),
            Event::ExpiredSeen { hold } => (hold, "seen expired"),
            Event::Cancel { hold, .. } => (hold, "cancelled"),
            _ => continue,
        };
        let Some(record) = holds.get_mut(&(call.key, hold)) else {
            unfounded(verdict, hold, verb);
            continue;
        };
        match call.event {
            Event::Confirm { quantity, retaken, .. } => {
                if quantity > record.quantity {
                    unfounded(verdict, hold, "confirmed for more units than it holds, that is,");
                }
                let past = call.start_ns >= record.deadline_ns;
                if past && !retaken {
                    late(verdict, hold, verb, call.start_ns, record.deadline_ns);
                }
                if record.confirmed.replace((*call, quantity.min(record.quantity), retaken || past)).is_some()
                {
                    two_outcomes(verdict, hold, record, "confirmed twice");
                }
            }
            Event::Release { .. } => {
                if call.start_ns >= record.deadline_ns {
                    late(verdict, hold, verb, call.start_ns, record.deadline_ns);
                }
                if record.released.replace(*call).is_some() {
                    two_outcomes(verdict, hold, record, "released twice");
                }
            }
            Event::ExpiredSeen { .. } => {
                record.seen_expired = true;
                if call.end_ns < record.deadline_ns && !record.replaced {
                    let (end, deadline) = (seconds(call.end_ns), seconds(record.deadline_ns));
                    verdict.breach(
                        |v| &mut v.early,
                        1,
                        || format!("hold {hold:032x} was seen expired by {end}, before its deadline at {deadline}"),
                    );
                }
            }
            Event::Cancel { quantity, .. } => record.cancelled += u64::from(quantity),
            _ => unreachable!("filtered above"),
        }
    }
    for (&(_, hold), record) in holds {
        let sold = record.confirmed.as_ref().map_or(0, |&(_, quantity, _)| u64::from(quantity));
        if record.cancelled > sold {
            unfounded(verdict, hold, "cancelled for more units than were confirmed, that is,");
            record.cancelled = sold;
        }
        // A late confirm that takes the units of an expired hold again is legal.
        let expired = record.seen_expired && !matches!(record.confirmed, Some((.., true)));
        let had = [
            (record.confirmed.is_some(), "confirmed"),
            (record.released.is_some(), "released"),
            (expired, "expired"),
        ];
        let had: Vec<_> = had.iter().filter(|(had, _)| *had).map(|(_, what)| *what).collect();
        if had.len() > 1 {
            two_outcomes(verdict, hold, record, &had.join(" and "));
        }
    }
}

fn unfounded(verdict: &mut Verdict, hold: u128, what: &str) {
    verdict.breach(
        |v| &mut v.unfounded,
        1,
        || format!("hold {hold:032x} was {what} without a recorded grant of that much"),
    );
}

fn late(verdict: &mut Verdict, hold: u128, what: &str, start_ns: u64, deadline_ns: u64) {
    verdict.breach(
        |v| &mut v.late,
        1,
        || {
            let (start, deadline) = (seconds(start_ns), seconds(deadline_ns));
            format!(
                "hold {hold:032x} was {what} by a call that began at {start}; its deadline was {deadline}"
            )
        },
    );
}

fn two_outcomes(verdict: &mut Verdict, hold: u128, record: &mut HoldRecord, what: &str) {
    // A hold is counted once, however many outcomes it had.
    if !std::mem::replace(&mut record.counted, true) {
        verdict.breach(|v| &mut v.two_outcomes, 1, || format!("hold {hold:032x} was {what}"));
    }
}

/// The bounds of each stock key.
///
/// A call takes effect within [start, end]. A *certain* change therefore begins after the end of one call and
/// stops at the start of another; a *possible* one begins at the start and stops after the end. "After" is
/// one nanosecond later.
fn bounds(calls: &[Call], holds: &HashMap<HoldKey, HoldRecord>) -> BTreeMap<u32, Bounds> {
    let mut bounds: BTreeMap<u32, Bounds> = BTreeMap::new();
    for call in calls {
        let bounds = bounds.entry(call.key).or_default();
        match call.event {
            Event::Receive { quantity } => {
                bounds.received += quantity;
                bounds.excess.add(call.start_ns, -(quantity as i64));
                bounds.at_most_negated.add(call.start_ns, -(quantity as i64));
                bounds.at_least.add(call.end_ns.saturating_add(1), quantity as i64);
            }
            Event::Refuse { .. } => bounds.refusals.push(*call),
            Event::Reading { available } => {
                bounds.readings.push(Named { call: *call, available, own: 0 });
            }
            Event::Adjust { delta, available } => {
                if let Some(available) = available {
                    bounds.readings.push(Named { call: *call, available, own: delta });
                }
                if delta >= 0 {
                    bounds.received += delta as u64;
                    bounds.excess.add(call.start_ns, -delta);
                    bounds.at_most_negated.add(call.start_ns, -delta);
                    bounds.at_least.add(call.end_ns.saturating_add(1), delta);
                } else {
                    // A negative number available is a shortfall and no oversell.
                    bounds.at_least.add(call.start_ns, delta);
                    bounds.at_most_negated.add(call.end_ns.saturating_add(1), -delta);
                }
            }
            Event::Cancel { hold, quantity } if holds.contains_key(&(call.key, hold)) => {
                bounds.take(call.end_ns.saturating_add(1), call.start_ns, -i64::from(quantity));
            }
            _ => {}
        }
    }
    for record in holds.values() {
        let bounds = bounds.entry(record.grant.key).or_default();
        let quantity = i64::from(record.quantity);
        match record.replaced {
            false => bounds.take(record.grant.start_ns, record.grant.end_ns.saturating_add(1), quantity),
            true => bounds.at_least.add(record.grant.start_ns, -quantity),
        }
        match record.confirmed {
            // The sold units stayed taken past the deadline; the others were returned by this call.
            Some((confirm, sold, false)) => {
                bounds.sold += u64::from(sold) - record.cancelled;
                bounds.end(record, Some(confirm), quantity - i64::from(sold));
            }
            // The hold ended at its deadline, and the units were taken again.
            Some((confirm, sold, true)) => {
                bounds.sold += u64::from(sold) - record.cancelled;
                bounds.end(record, None, quantity);
                bounds.take(confirm.start_ns, confirm.end_ns.saturating_add(1), i64::from(sold));
            }
            None => bounds.end(record, record.released, quantity),
        }
    }
    bounds
}

impl Bounds {
    /// Takes units, possibly from one instant and certainly from another (returns them, if negative).
    fn take(&mut self, possibly_ns: u64, certainly_ns: u64, quantity: i64) {
        self.at_least.add(possibly_ns, -quantity);
        self.excess.add(certainly_ns, quantity);
        self.at_most_negated.add(certainly_ns, quantity);
    }

    /// Returns units by `call` or at the deadline, whichever is first.
    fn end(&mut self, record: &HoldRecord, call: Option<Call>, quantity: i64) {
        let by_call =
            call.map_or((u64::MAX, u64::MAX), |call| (call.end_ns.saturating_add(1), call.start_ns));
        // Never before the grant's own end: a call of a few milliseconds can outlast a short deadline.
        let certainly_ns = by_call.1.min(record.deadline_ns).max(record.grant.end_ns.saturating_add(1));
        let possibly_ns = by_call.0.min(record.deadline_ns).max(record.grant.start_ns);
        self.take(possibly_ns, certainly_ns, -quantity);
    }
}

fn judge_key(key: u32, bounds: Bounds, verdict: &mut Verdict) {
    let excess = bounds.excess.settle();
    let (at_ns, units) = excess.peak();
    if units > 0 {
        verdict.breach(
            |v| &mut v.oversold,
            units as u64,
            || {
                let at = seconds(at_ns);
                format!(
                    "key {key}: at {at}, {units} units more were certainly held or committed than had arrived"
                )
            },
        );
    }
    if bounds.sold > bounds.received {
        let (sold, received) = (bounds.sold, bounds.received);
        verdict.breach(
            |v| &mut v.confirmed_beyond_received,
            sold - received,
            || format!("key {key}: {sold} units are confirmed and {received} were received"),
        );
    }
    let at_least = bounds.at_least.settle();
    judge_numbers(key, &bounds.readings, (&at_least, &bounds.at_most_negated.settle()), verdict);
    let spans: Vec<_> = bounds.refusals.iter().map(|call| (call.start_ns, call.end_ns)).collect();
    let floors = at_least.floors(&spans);
    for (call, floor) in bounds.refusals.iter().zip(floors) {
        let Event::Refuse { asked, available } = call.event else { unreachable!("only refusals are kept") };
        if floor >= i64::from(asked) {
            verdict.breach(
                |v| &mut v.falsely_refused,
                1,
                || {
                    let (start, end) = (seconds(call.start_ns), seconds(call.end_ns));
                    format!("key {key}: {asked} refused from {start} to {end} while {floor} or more were available")
                },
            );
        }
        // The number in a refusal comes from the engine itself, so it can prove a breach but not its absence.
        if available >= i64::from(asked) {
            verdict.breach(
                |v| &mut v.contradicted,
                1,
                || format!("key {key}: {asked} refused by an answer that itself names {available} available"),
            );
        }
    }
}

/// A number must lie between the fewest and the most units that the key can have had during the call.
fn judge_numbers(key: u32, readings: &[Named], bounds: (&Sums, &Sums), verdict: &mut Verdict) {
    let spans: Vec<_> = readings.iter().map(|named| (named.call.start_ns, named.call.end_ns)).collect();
    let (least, most) = (bounds.0.floors(&spans), bounds.1.floors(&spans));
    for ((named, least), most_negated) in readings.iter().zip(least).zip(most) {
        // The bound from below counts the units that the call gave only after it, and the one from above those
        // that it took off.
        let (least, most) = (least + named.own.max(0), -most_negated + named.own.min(0));
        if !(least..=most).contains(&named.available) {
            let Named { call: Call { start_ns, end_ns, .. }, available, .. } = *named;
            verdict.breach(
                |v| &mut v.wrong_numbers,
                1,
                || {
                    let (start, end) = (seconds(start_ns), seconds(end_ns));
                    format!(
                        "key {key}: an answer names {available} available at an instant from {start} to {end}, while \
                         there were {least} to {most}"
                    )
                },
            );
        }
    }
}
