//! The judge: turns calls into the lives of holds, lives into bounds, and bounds into a verdict.
//!
//! Three passes: grants, then what happened to them, then each stock key by itself. The order of the calls given does
//! not matter. O(n log n) in time, linear in memory.

use std::collections::{BTreeMap, HashMap};

use crate::call::{Call, Event};
use crate::steps::Steps;
use crate::verdict::{Verdict, seconds};

/// One hold, pieced together from the calls that name it.
struct Life {
    grant: Call,
    quantity: u32,
    /// The latest that any call gave it.
    deadline_ns: u64,
    /// The call, units sold, and whether they were taken again after the deadline.
    confirmed: Option<(Call, u32, bool)>,
    released: Option<Call>,
    seen_expired: bool,
    cancelled: u64,
    /// Counted among `two_outcomes` already.
    accused: bool,
    /// By another quantity and deadline: what is kept is the most and the latest, and none of it is certain.
    replaced: bool,
}

/// A hold on one stock key; a cart is a hold on several.
type Name = (u32, u128);

/// One stock key: what is certain, what is possible, and the refusals that are judged by it.
#[derive(Default)]
struct Book {
    /// Certainly taken, less all that can have arrived. Above zero is an oversell.
    excess: Steps,
    /// Available at the least: what has certainly arrived, less all that is possibly taken.
    at_least: Steps,
    received: u64,
    sold: u64,
    refusals: Vec<Call>,
}

/// Judges a whole history. See the crate's page for what each count proves.
pub fn judge(calls: &[Call]) -> Verdict {
    let mut verdict = Verdict { calls: calls.len(), ..Verdict::default() };
    let mut lives = grants(calls, &mut verdict);
    // Deadlines first: whether an outcome was late depends on every extension.
    extend(calls, &mut lives, &mut verdict);
    outcomes(calls, &mut lives, &mut verdict);
    for (key, book) in books(calls, &lives) {
        judge_book(key, book, &mut verdict);
    }
    verdict
}

fn grants(calls: &[Call], verdict: &mut Verdict) -> HashMap<Name, Life> {
    let mut lives: HashMap<Name, Life> = HashMap::new();
    for call in calls {
        let Event::Grant { hold, quantity, deadline_ns } = call.event else { continue };
        let life = Life {
            grant: *call,
            quantity,
            deadline_ns,
            confirmed: None,
            released: None,
            seen_expired: false,
            cancelled: 0,
            accused: false,
            replaced: false,
        };
        if lives.insert((call.key, hold), life).is_some() {
            verdict.breach(|v| &mut v.two_outcomes, 1, || format!("hold {hold:032x} was granted twice"));
        }
    }
    lives
}

fn extend(calls: &[Call], lives: &mut HashMap<Name, Life>, verdict: &mut Verdict) {
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
        let Some(life) = lives.get_mut(&(key, hold)) else {
            unfounded(verdict, hold, verb);
            continue;
        };
        if start_ns >= life.deadline_ns {
            late(verdict, hold, verb, start_ns, life.deadline_ns);
        }
        life.deadline_ns = life.deadline_ns.max(deadline_ns);
        life.quantity = life.quantity.max(quantity.unwrap_or(0));
        life.replaced |= quantity.is_some();
    }
}

fn outcomes(calls: &[Call], lives: &mut HashMap<Name, Life>, verdict: &mut Verdict) {
    for call in calls {
        let (hold, verb) = match call.event {
            Event::Confirm { hold, .. } => (hold, "confirmed"),
            Event::Release { hold } => (hold, "released"),
            Event::ExpiredSeen { hold } => (hold, "seen expired"),
            Event::Cancel { hold, .. } => (hold, "cancelled"),
            _ => continue,
        };
        let Some(life) = lives.get_mut(&(call.key, hold)) else {
            unfounded(verdict, hold, verb);
            continue;
        };
        match call.event {
            Event::Confirm { quantity, retaken, .. } => {
                if quantity > life.quantity {
                    unfounded(verdict, hold, "confirmed for more units than it holds, that is,");
                }
                let past = call.start_ns >= life.deadline_ns;
                if past && !retaken {
                    late(verdict, hold, verb, call.start_ns, life.deadline_ns);
                }
                if life.confirmed.replace((*call, quantity.min(life.quantity), retaken || past)).is_some() {
                    accuse(verdict, hold, life, "confirmed twice");
                }
            }
            Event::Release { .. } => {
                if call.start_ns >= life.deadline_ns {
                    late(verdict, hold, verb, call.start_ns, life.deadline_ns);
                }
                if life.released.replace(*call).is_some() {
                    accuse(verdict, hold, life, "released twice");
                }
            }
            Event::ExpiredSeen { .. } => {
                life.seen_expired = true;
                if call.end_ns < life.deadline_ns && !life.replaced {
                    let (end, deadline) = (seconds(call.end_ns), seconds(life.deadline_ns));
                    verdict.breach(
                        |v| &mut v.early,
                        1,
                        || format!("hold {hold:032x} was seen expired by {end}, before its deadline at {deadline}"),
                    );
                }
            }
            Event::Cancel { quantity, .. } => life.cancelled += u64::from(quantity),
            _ => unreachable!("filtered above"),
        }
    }
    for (&(_, hold), life) in lives {
        let sold = life.confirmed.as_ref().map_or(0, |&(_, quantity, _)| u64::from(quantity));
        if life.cancelled > sold {
            unfounded(verdict, hold, "cancelled for more units than were confirmed, that is,");
            life.cancelled = sold;
        }
        // An expired hold whose units a late confirm took again has had both, rightly.
        let expired = life.seen_expired && !matches!(life.confirmed, Some((.., true)));
        let had = [
            (life.confirmed.is_some(), "confirmed"),
            (life.released.is_some(), "released"),
            (expired, "expired"),
        ];
        let had: Vec<_> = had.iter().filter(|(had, _)| *had).map(|(_, what)| *what).collect();
        if had.len() > 1 {
            accuse(verdict, hold, life, &had.join(" and "));
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

fn accuse(verdict: &mut Verdict, hold: u128, life: &mut Life, what: &str) {
    // One hold counts once, however many outcomes it had.
    if !std::mem::replace(&mut life.accused, true) {
        verdict.breach(|v| &mut v.two_outcomes, 1, || format!("hold {hold:032x} was {what}"));
    }
}

/// Bounds of what each key had and gave away.
///
/// A call's effect lies within [start, end]. What is *certain* therefore begins after the end and stops at the start;
/// what is *possible* begins at the start and stops after the end. "After" an end is one nanosecond later.
fn books(calls: &[Call], lives: &HashMap<Name, Life>) -> BTreeMap<u32, Book> {
    let mut books: BTreeMap<u32, Book> = BTreeMap::new();
    for call in calls {
        let book = books.entry(call.key).or_default();
        match call.event {
            Event::Receive { quantity } => {
                book.received += quantity;
                book.excess.add(call.start_ns, -(quantity as i64));
                book.at_least.add(call.end_ns.saturating_add(1), quantity as i64);
            }
            Event::Refuse { .. } => book.refusals.push(*call),
            Event::Adjust { delta, .. } if delta >= 0 => {
                book.received += delta as u64;
                book.excess.add(call.start_ns, -delta);
                book.at_least.add(call.end_ns.saturating_add(1), delta);
            }
            // Less than nothing available is a shortfall and no oversell, so only refusals are judged by it.
            Event::Adjust { delta, .. } => book.at_least.add(call.start_ns, delta),
            Event::Cancel { hold, quantity } if lives.contains_key(&(call.key, hold)) => {
                book.take(call.end_ns.saturating_add(1), call.start_ns, -i64::from(quantity));
            }
            _ => {}
        }
    }
    for life in lives.values() {
        let book = books.entry(life.grant.key).or_default();
        let quantity = i64::from(life.quantity);
        match life.replaced {
            false => book.take(life.grant.start_ns, life.grant.end_ns.saturating_add(1), quantity),
            true => book.at_least.add(life.grant.start_ns, -quantity),
        }
        match life.confirmed {
            // The units that were sold were kept through the deadline; the others went back with this call.
            Some((confirm, sold, false)) => {
                book.sold += u64::from(sold) - life.cancelled;
                book.end(life, Some(confirm), quantity - i64::from(sold));
            }
            // The hold ended at its deadline, and the units were taken again.
            Some((confirm, sold, true)) => {
                book.sold += u64::from(sold) - life.cancelled;
                book.end(life, None, quantity);
                book.take(confirm.start_ns, confirm.end_ns.saturating_add(1), i64::from(sold));
            }
            None => book.end(life, life.released, quantity),
        }
    }
    books
}

impl Book {
    /// Units are possibly taken from one instant and certainly from another (given back, if negative).
    fn take(&mut self, possibly_ns: u64, certainly_ns: u64, quantity: i64) {
        self.at_least.add(possibly_ns, -quantity);
        self.excess.add(certainly_ns, quantity);
    }

    /// Units go back by `call` or at the deadline, whichever is first.
    fn end(&mut self, life: &Life, call: Option<Call>, quantity: i64) {
        let by_call =
            call.map_or((u64::MAX, u64::MAX), |call| (call.end_ns.saturating_add(1), call.start_ns));
        // Never before the grant's own end: a call of a few milliseconds can outlast a short deadline.
        let certainly_ns = by_call.1.min(life.deadline_ns).max(life.grant.end_ns.saturating_add(1));
        let possibly_ns = by_call.0.min(life.deadline_ns).max(life.grant.start_ns);
        self.take(possibly_ns, certainly_ns, -quantity);
    }
}

fn judge_book(key: u32, book: Book, verdict: &mut Verdict) {
    let excess = book.excess.settle();
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
    if book.sold > book.received {
        let (sold, received) = (book.sold, book.received);
        verdict.breach(
            |v| &mut v.confirmed_beyond_received,
            sold - received,
            || format!("key {key}: {sold} units are confirmed and {received} were received"),
        );
    }
    let spans: Vec<_> = book.refusals.iter().map(|call| (call.start_ns, call.end_ns)).collect();
    let floors = book.at_least.settle().floors(&spans);
    for (call, floor) in book.refusals.iter().zip(floors) {
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
        // The number it names is the engine's word, not evidence: it can convict the engine and not acquit it.
        if available >= i64::from(asked) {
            verdict.breach(
                |v| &mut v.contradicted,
                1,
                || format!("key {key}: {asked} refused by an answer that itself names {available} available"),
            );
        }
    }
}
