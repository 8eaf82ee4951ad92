//! The ledger and the log as an iterator of entries.

use std::collections::HashMap;
use std::fmt;
use std::vec;

use super::{Inspection, LineEntry, LogEntry};
use crate::checkpoint::ledger::{Stretch, Stretches};
use crate::checkpoint::run_ref::RunKind;
use crate::clock::Timestamp;
use crate::error::OpenError;
use crate::fold::answers::refusal_from_answer;
use crate::fold::hold::FoldedHold;
use crate::fold::state::Fold;
use crate::hold::lines::Line;
use crate::index::{Generation, KeyIndex, SlotIndex};
use crate::log::lines::{self, LinePair};
use crate::log::record::effect::{HoldEffect, Required};
use crate::log::record::{Detail, EntryKind, Fact, HoldPlace, Logged, Records, Span, Subject};
use crate::stock::names::Names;
use crate::types::{OpKey, Position, Reference};

/// The entries of a log; see [`Inspection::log`]. After the first error there are no more.
#[must_use = "an iterator does nothing until it is asked for entries"]
pub struct Log<'a> {
    inspection: &'a Inspection,
    from: Position,
    /// The ledger, until it is read.
    ledger: Option<Ledger<'a>>,
    /// The number of the next chunk.
    next: usize,
    /// The remaining entries of the chunk before it.
    entries: vec::IntoIter<LogEntry<'a>>,
    /// An error, returned after the entries.
    failed: Option<OpenError>,
    before: KnownHold,
}

/// The ledger, which is read before the log.
struct Ledger<'a> {
    stretches: Stretches<'a>,
    /// The end of the part that is read.
    until: u64,
    /// The position behind the last record that was read.
    reached: Option<u64>,
    /// Why the part behind it could not be read.
    trouble: Option<String>,
}

/// The part of the state that entries rely on.
#[derive(Clone, Debug, Default)]
pub(super) struct KnownHold {
    opened_at: Timestamp,
    epoch: u32,
    /// By slot.
    holds: HashMap<SlotIndex, MadeHold>,
}

/// The last hold of a slot.
#[derive(Clone, Copy, Debug)]
struct MadeHold {
    generation: Generation,
    epoch: u32,
    /// The stock key, if it has one good.
    key: Option<KeyIndex>,
    deadline: Timestamp,
}

impl<'a> Log<'a> {
    pub(super) fn new(inspection: &'a Inspection, from: Position) -> Self {
        let log_from = inspection.report.from;
        let ledger = (from < log_from).then(|| Ledger::of(inspection, log_from.0));
        Log { ledger, ..Log::all(inspection, from) }
    }

    /// The whole ledger, without the log.
    pub(super) fn of_ledger(inspection: &'a Inspection) -> Self {
        let until = inspection.log.newest.as_ref().map_or(0, |newest| newest.frontier.position);
        Log { ledger: Some(Ledger::of(inspection, until)), ..Log::all(inspection, Position(0)) }
    }

    fn all(inspection: &'a Inspection, from: Position) -> Self {
        let (entries, before) = (Vec::new().into_iter(), inspection.known.clone());
        Log { inspection, from, ledger: None, next: 0, entries, failed: None, before }
    }

    /// The number of entries in the ledger, if all of it can be read.
    pub(super) fn count_ledger(mut self) -> Result<u64, OpenError> {
        let mut entries = 0;
        while self.stretch() {
            if let Some(error) = self.failed.take() {
                return Err(error);
            }
            entries += self.entries.len() as u64;
        }
        Ok(entries)
    }

    /// Reads the next stretch of the ledger; false if there is none.
    fn stretch(&mut self) -> bool {
        self.entries = Vec::new().into_iter();
        let Some(ledger) = &mut self.ledger else { return false };
        let next = match ledger.stretches.next() {
            Some(Ok(stretch)) if stretch.start < ledger.until => Some(stretch),
            // The log has this stretch too.
            Some(Ok(_)) => None,
            Some(Err(error)) => {
                ledger.trouble.get_or_insert(error.to_string());
                return true;
            }
            None => None,
        };
        let start = next.as_ref().map_or(ledger.until, |stretch| stretch.start);
        let is_whole = ledger.reached.is_none_or(|reached| reached == start) && ledger.trouble.is_none();
        if !is_whole && self.from.0 < start {
            let (readable, what) = (ledger.reached, ledger.trouble.take());
            let what = what.unwrap_or_else(|| "it has a gap".into());
            let before = readable.map_or("up to".into(), |readable| format!("from position {readable} to"));
            let message = format!(
                "the ledger cannot be read {before} {start} ({what}): the directory opens all the same; to read what \
                 happened behind, begin at {start}"
            );
            self.fail(OpenError::Damaged { readable: readable.map(Position), message });
            return true;
        }
        ledger.trouble = None;
        let Some(stretch) = next else {
            (self.ledger, self.before) = (None, self.inspection.known.clone());
            return false;
        };
        let Stretch { epoch, opened_at, .. } = stretch;
        if !is_whole || ledger.reached.is_none() {
            self.before = KnownHold { epoch, opened_at, ..KnownHold::default() };
        } else if (self.before.epoch, self.before.opened_at) != (epoch, opened_at) {
            ledger.trouble = Some("two stretches disagree about the opening".into());
        }
        let (mut reached, mut entries) = (start, Vec::new());
        for record in Records::new(&stretch.records, start) {
            let Some(entry) = record.ok().and_then(|logged| self.entry(&logged)) else {
                self.unreadable("an entry cannot be decoded".into());
                break;
            };
            reached = entry.position.0;
            if entry.position >= self.from {
                entries.push(entry);
            }
        }
        if let Some(ledger) = &mut self.ledger {
            ledger.reached = Some(reached);
        }
        self.entries = entries.into_iter();
        true
    }

    fn unreadable(&mut self, what: String) {
        if let Some(ledger) = &mut self.ledger {
            ledger.trouble.get_or_insert(what);
        }
    }

    /// Reads the next chunk of the log; false if there is none.
    fn chunk(&mut self) -> bool {
        let log = &self.inspection.log;
        let Some(found) = log.chain.get(self.next) else { return false };
        self.next += 1;
        let payload = match log.payload(found) {
            Ok(payload) => payload,
            Err(error) => {
                self.fail(error.into());
                return true;
            }
        };
        let drift = self.inspection.drift.as_ref();
        let mut entries = Vec::new();
        let mut readable = found.header.start;
        for record in Records::new(&payload, found.header.start) {
            let Some(entry) = record.ok().and_then(|logged| self.entry(&logged)) else { break };
            readable = entry.position.0;
            if entry.position >= self.from {
                entries.push(entry);
            }
            // An entry that contradicts those before it is shown, and nothing behind it.
            if drift.is_some_and(|drift| readable >= drift.position.0) {
                break;
            }
        }
        self.entries = entries.into_iter();
        if let Some(drift) = drift.filter(|drift| drift.position.0 <= found.header.end()) {
            self.fail(OpenError::Damaged { readable: Some(drift.position), message: drift.to_string() });
        } else {
            debug_assert_eq!(readable, found.header.end(), "without a drift every entry can be read");
        }
        true
    }

    fn fail(&mut self, error: OpenError) {
        self.failed = Some(error);
        (self.ledger, self.next) = (None, usize::MAX);
    }

    /// `None` for a record that relies on one that is missing.
    fn entry(&mut self, logged: &Logged<'_>) -> Option<LogEntry<'a>> {
        let Logged { position, ref fact, .. } = *logged;
        let at = self.before.learn(fact);
        let hold = match fact.place.map(|place| self.before.hold(place)) {
            // The hold may have been made before the ledger begins.
            Some(None) if self.ledger.is_none() => return None,
            hold => hold.flatten(),
        };
        let names = &self.inspection.state.fold.names;
        let lines = lines_of(fact, names)?;
        let name = match fact.stock_key().or(hold.and_then(|hold| hold.key).filter(|_| lines.is_empty())) {
            Some(key) => Some(names.get(key)?),
            None => None,
        };
        if let Subject::NewKey { sku, location, .. } = fact.subject
            && name != Some((sku, location))
        {
            return None;
        }
        let effect = fact.kind.effect();
        let deadline = match effect.hold {
            HoldEffect::Make | HoldEffect::Replace | HoldEffect::Extend | HoldEffect::Pay => {
                hold.map(|hold| hold.deadline)
            }
            HoldEffect::NoHold
            | HoldEffect::Confirm
            | HoldEffect::Retake
            | HoldEffect::End(_)
            | HoldEffect::MoveCommitted(_) => None,
        };
        let mut entry = LogEntry {
            position: Position(position),
            at,
            epoch: self.before.epoch,
            kind: fact.kind,
            sku: name.map(|(sku, _)| sku),
            location: name.map(|(_, location)| location),
            lines,
            hold: fact.place.zip(hold).map(|(place, hold)| self.inspection.ids.id(place, hold.epoch)),
            quantity: None,
            returned: None,
            deadline,
            opens_at: None,
            reason: None,
            reference: Reference::new(fact.reference).filter(|_| !fact.reference.is_empty()),
            op_key: fact.op.map(|op| OpKey(u128::from_le_bytes(op.key))),
            available: None,
        };
        let (first, second) = fact.units();
        match effect.required {
            Required::Nothing | Required::Either => {}
            Required::First => entry.quantity = Some(first.into()),
            Required::FirstMaybeSecond => {
                entry.quantity = Some(first.into());
                entry.returned = Some(second).filter(|returned| *returned > 0);
            }
            Required::Both => entry.quantity = Some(second.into()),
        }
        match fact.detail {
            Detail::Nothing | Detail::Words(_) | Detail::Opening { .. } => {}
            Detail::Correction { delta, reason } => {
                (entry.quantity, entry.reason) = (Some(delta), Some(reason));
            }
            Detail::Gate { opens_at_ms, .. } if fact.kind == EntryKind::Opens => {
                entry.opens_at = Some(Timestamp(opens_at_ms));
            }
            Detail::Gate { .. } => {}
            Detail::Asked(asked) => {
                entry.quantity = Some(asked.into());
                entry.available = fact.op.map(|op| refusal_from_answer(op.answer()).1);
            }
        }
        Some(entry)
    }
}

impl<'a> Ledger<'a> {
    fn of(inspection: &'a Inspection, until: u64) -> Ledger<'a> {
        let newest = inspection.log.newest.as_ref();
        let runs = newest.map(|newest| newest.of(RunKind::Ledger)).unwrap_or_default();
        let stretches = Stretches::of(&*inspection.log.files, runs);
        Ledger { stretches, until, reached: None, trouble: None }
    }
}

impl KnownHold {
    /// What is known at the end of a checkpoint.
    pub(super) fn of(fold: &Fold) -> KnownHold {
        let made = |hold: &FoldedHold| MadeHold {
            generation: hold.generation,
            epoch: hold.epoch,
            key: only_good(hold.lines.iter().copied()),
            deadline: if hold.word.phase().is_live() { hold.word.deadline() } else { Timestamp(0) },
        };
        KnownHold {
            opened_at: fold.opened_at,
            epoch: fold.epoch,
            holds: fold.holds.iter().map(|(slot, hold)| (slot, made(hold))).collect(),
        }
    }

    /// Follows the next fact; returns the time at which it was decided.
    fn learn(&mut self, fact: &Fact<'_>) -> Option<Timestamp> {
        if let Some((epoch, opened_at)) = fact.opening() {
            (self.epoch, self.opened_at) = (epoch, opened_at);
        }
        let at = fact.time(self.opened_at)?;
        let Some(place) = fact.place else { return Some(at) };
        let deadline = Timestamp(at.0.saturating_add(fact.ttl.millis()));
        let (first, second) = fact.lines();
        let effect = fact.kind.effect().hold;
        if effect == HoldEffect::Make {
            let made =
                MadeHold { generation: place.generation, epoch: self.epoch, key: only_good(first), deadline };
            self.holds.insert(place.slot, made);
        } else if let Some(hold) = self.holds.get_mut(&place.slot) {
            if effect == HoldEffect::Replace {
                hold.key = only_good(second);
            }
            // An entry without a TTL leaves the deadline as it is.
            if fact.ttl != Span::ZERO {
                hold.deadline = hold.deadline.max(deadline);
            }
        }
        Some(at)
    }

    fn hold(&self, place: HoldPlace) -> Option<MadeHold> {
        self.holds.get(&place.slot).filter(|hold| hold.generation == place.generation).copied()
    }
}

/// The stock key of lines that have one good.
fn only_good(mut lines: impl Iterator<Item = Line>) -> Option<KeyIndex> {
    let first = lines.next()?;
    lines.next().is_none().then(|| first.target.good())?
}

/// The lines of a cart's entry; `None` if one of its stock keys has no name.
fn lines_of<'a>(fact: &Fact<'_>, names: &'a Names) -> Option<Vec<LineEntry<'a>>> {
    let Subject::Cart { first, second } = fact.subject else { return Some(Vec::new()) };
    let line = |LinePair { target, first, second }| {
        let line = LineEntry::of(names, target.good()?, first)?;
        Some(match fact.kind.effect().required {
            Required::FirstMaybeSecond => {
                LineEntry { returned: Some(second).filter(|units| *units > 0), ..line }
            }
            Required::Both => LineEntry { quantity: second, before: Some(first), ..line },
            Required::Nothing | Required::First | Required::Either => line,
        })
    };
    lines::join_lines(lines::iter(first), lines::iter(second)).map(line).collect()
}

impl fmt::Debug for Log<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").field("from", &self.from).field("next", &self.next).finish_non_exhaustive()
    }
}

impl<'a> Iterator for Log<'a> {
    type Item = Result<LogEntry<'a>, OpenError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(entry) = self.entries.next() {
                return Some(Ok(entry));
            }
            if let Some(error) = self.failed.take() {
                return Some(Err(error));
            }
            if !self.stretch() && !self.chunk() {
                return None;
            }
        }
    }
}
