//! Rebuilds the state that sells from the state of the fold.

use super::core::{Core, shards};
use crate::clock::Timestamp;
use crate::config::Config;
use crate::error::{NameError, OpenError};
use crate::fold::follower::Follower;
use crate::fold::holds::Holds;
use crate::fold::levels::Levels;
use crate::fold::references::References;
use crate::fold::state::Fold;
use crate::hold::state::Phase;
use crate::hold::table::{HoldTable, NewHold, OldHold};
use crate::join::join;
use crate::log::record::HoldPlace;
use crate::stock::book::{Book, Gate, Stock};
use crate::stock::catalog::Catalog;
use crate::stock::names::Names;

/// From so many stock keys and records of holds a second thread is worth its cost. The simulation, which must
/// run alike every time, has fewer.
const PARALLEL_MIN: usize = 1 << 16;

/// The parts of an engine that follow from the log.
pub(super) struct Rebuilt {
    pub catalog: Catalog,
    pub book: Book,
    pub holds: HoldTable,
    pub follower: Follower,
    /// The number of live holds.
    pub live: u64,
    /// The holds that were rebuilt.
    pub folded: Holds,
}

impl Rebuilt {
    /// Rebuilds from a state that ends at `end`. An error says what in it is impossible.
    pub(super) fn from(fold: Fold, config: &Config, end: u64) -> Result<Rebuilt, OpenError> {
        let Fold { names, levels, holds: folded, .. } = fold;
        let is_worth_it = names.len() + folded.len_max() >= PARALLEL_MIN;
        let ((holds, references), of_keys) =
            join(is_worth_it, || (table(&folded, config), references(&folded)), || keys(names, &levels));
        let (catalog, book) = of_keys.map_err(|problem| OpenError::Damaged {
            readable: None,
            message: format!("the log's catalogue cannot be restored: {problem}"),
        })?;
        let live = folded.values().filter(|hold| hold.word.phase().is_live()).count() as u64;
        let follower = Follower::new(levels, end, references);
        Ok(Rebuilt { catalog, book, holds, follower, live, folded })
    }

    /// Registers the deadlines of all live holds.
    pub(super) fn start_timers(folded: &Holds, core: &Core) {
        for (number, hold) in folded.iter().filter(|(_, hold)| hold.word.phase().is_live()) {
            let slot = core.holds.slot(number);
            debug_assert!(slot.is_some());
            if let Some(slot) = slot {
                core.register(number, slot, hold.word.deadline());
            }
        }
    }
}

fn keys(names: Names, levels: &Levels) -> Result<(Catalog, Book), String> {
    let (catalog, book) = (Catalog::restore(names)?, Book::new(shards()));
    for (key, level) in levels.iter() {
        let gate = match level.opens_at() {
            _ if level.stopped => Gate::Stopped,
            Some(opens_at) => Gate::OpensAt(opens_at),
            None => Gate::Open,
        };
        let stock = Stock { available: level.available(), on_hand: level.on_hand, gate };
        book.add(key, stock).map_err(|_| NameError::Full.to_string())?;
    }
    Ok((catalog, book))
}

fn table(folded: &Holds, config: &Config) -> HoldTable {
    // A log with more holds than the configuration allows is opened all the same.
    let highest = folded.iter().last().map_or(0, |(slot, _)| slot.0.saturating_add(1));
    // Only carts that are not over have lines of their own.
    let carts = folded.values().filter(|hold| hold.lines.len() > 1 && !hold.word.phase().is_over());
    let lines: usize = carts.map(|hold| hold.lines.len()).sum();
    let lines_max = config.lines_max.max(u32::try_from(lines).unwrap_or(u32::MAX));
    let holds = HoldTable::new(shards(), config.holds_max, lines_max, config.expired_kept, highest);
    for (slot, hold) in folded.iter() {
        let deadline = if hold.word.phase().is_live() { hold.word.deadline() } else { Timestamp(0) };
        let new = NewHold {
            lines: &hold.lines,
            born: hold.born,
            deadline,
            reference: hold.reference.as_bytes(),
            epoch: hold.epoch,
        };
        let place = HoldPlace { slot, generation: hold.generation };
        let restored = holds.restore(OldHold { new, place, word: hold.word });
        debug_assert!(restored.is_some());
    }
    holds.finish_restore();
    holds
}

fn references(folded: &Holds) -> References {
    let mut references = References::default();
    for (slot, hold) in folded.iter().filter(|(_, hold)| hold.word.phase() != Phase::Free) {
        references.set(slot, hold.reference.as_bytes());
    }
    references
}
