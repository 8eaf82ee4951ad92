//! Draw, swap, fill or void: how a hold changes state.
//!
//! # Ground rules
//!
//! 1. Load the word, draw a log position, compare-and-swap, then fill the position, or void it if the swap failed.
//!    So the log has one hold's records in the order in which they happened.
//! 2. Give back: position first, then counter. Any record that spends the freed units lies behind the record
//!    that freed them, so every prefix of the log is a valid state (O13).
//! 3. Between the hold's death and the counter's growth the units are announced in the counter, from before the
//!    swap until the swap that returns them (F11).
//!
//! The race to survive: confirm, release and expire of one hold at once. Each draws; one swap wins; the losers
//! void theirs and un-announce.

use crate::fault::{Fault, planted};
use crate::hold::state::Word;
use crate::hold::table::Slot;
use crate::log::record::Encoded;
use crate::log::ring::Claim;
use crate::stock::counter::{Counter, PendingFull};

/// Why a transition did not happen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Missed {
    /// Another was first.
    Beaten,
    /// Too many give-backs at once.
    PendingFull,
}

impl From<PendingFull> for Missed {
    fn from(_: PendingFull) -> Self {
        Missed::PendingFull
    }
}

/// Moves a hold from one word to the next, giving `returned` units back to `counter`; the position behind its
/// record.
pub(crate) fn transition(
    claim: Claim<'_>,
    record: &Encoded,
    slot: &Slot,
    from: Word,
    to: Word,
    counter: &Counter,
    mut returned: u32,
) -> Result<u64, Missed> {
    if returned > 0 {
        counter.announce()?;
    }
    if planted(Fault::GiveBeforeDraw) && returned > 0 {
        counter.give(std::mem::take(&mut returned));
    }
    let drawn = claim.draw(record.words());
    let end = drawn.end();
    if slot.swap(from, to).is_err() {
        if planted(Fault::FillTheLoser) {
            drawn.fill(record.as_bytes());
        } else {
            drawn.void();
        }
        if returned > 0 {
            counter.forgo();
        }
        return Err(Missed::Beaten);
    }
    drawn.fill(record.as_bytes());
    if returned > 0 {
        counter.give(returned);
    }
    Ok(end)
}

/// As [`transition`], for a hold whose `taken` units were taken again tentatively: settles them, or rolls back.
pub(crate) fn retake(
    claim: Claim<'_>,
    record: &Encoded,
    slot: &Slot,
    from: Word,
    to: Word,
    counter: &Counter,
    taken: u32,
) -> Result<u64, Missed> {
    let drawn = claim.draw(record.words());
    let end = drawn.end();
    if slot.swap(from, to).is_err() {
        drawn.void();
        counter.give(taken);
        return Err(Missed::Beaten);
    }
    drawn.fill(record.as_bytes());
    counter.forgo();
    Ok(end)
}
