//! Compares the engine with the book: after each opening, and when everything is written and folded.

use stockhold_model::{KEYS_MAX, UsedOpKey};

use super::book::ModelBook;
use super::client::{reference, state};
use super::simulator::{EPOCHS, RunningEngine, Simulator, Violation, client, ensure, name};
use crate::checkpoint::RunError;
use crate::checkpoint::ledger::Stretches;
use crate::checkpoint::run_ref::RunKind;
use crate::clock::Timestamp;
use crate::error::LookupError;
use crate::index::KeyIndex;
use crate::log::record::Records;
use crate::types::HoldId;

/// Compares the levels and the catalogue that an opening found, before any operation.
pub(super) fn found(running: &RunningEngine, book: &ModelBook) -> Result<(), Violation> {
    let RunningEngine { engine, core, .. } = running;
    let keys = engine.keys();
    ensure!(keys.len() == book.stock.len(), "{} keys, and should be {}", keys.len(), book.stock.len());
    for (index, (key, stock)) in keys.iter().zip(&book.stock).enumerate() {
        let named = engine.name(*key).ok_or("a key has no name")?;
        let (sku, location) = name(stock.name);
        ensure!((&*named.0, &*named.1) == (&*sku, location), "key {index} is called {named:?}");
        let (level, position) = core.follower.level(KeyIndex(index as u32)).ok_or("a key has no level")?;
        ensure!(position == engine.report().end.0, "levels are of {position}");
        let expected = (stock.on_hand, book.committed(index), stock.stopped, stock.opens_at_ms);
        let opens_at = level.opens_at().map(|moment| moment.0);
        let is = (level.on_hand, level.committed, level.stopped, opens_at);
        ensure!(is == expected, "the level of key {index} is {is:?}, and should be {expected:?}");
        let held = book.held(index)..=book.held(index) + book.unseen(index);
        ensure!(held.contains(&level.held), "{} of key {index} are held, and should be {held:?}", level.held);
        ensure!(
            level.available() == level.on_hand - level.held - level.committed,
            "the level of key {index} does not add up: {level:?}"
        );
    }
    Ok(())
}

/// Compares answers, holds and counters of an engine that has just opened.
pub(super) fn opened(simulator: &mut Simulator) -> Result<(), Violation> {
    let running = simulator.running()?;
    for (index, key) in running.engine.keys().into_iter().enumerate() {
        let available = running.engine.available(key).map_err(|error| error.to_string())?;
        let counted = simulator.book.counted(index);
        ensure!(counted.contains(&available), "{available} of key {index}, and should be {counted:?}");
    }
    let used: Vec<_> = simulator.book.op_keys.iter().map(|(key, used)| (*key, used.clone())).collect();
    for (key, used) in used {
        if simulator.book.keeps(&used) {
            answers_the_same(simulator, key, &used)?;
        }
    }
    holds(simulator)?;
    counters(simulator)
}

/// Compares an engine whose records are all folded.
pub(super) fn quiet(simulator: &mut Simulator) -> Result<(), Violation> {
    holds(simulator)?;
    counters(simulator)?;
    if !simulator.settle()? {
        return Ok(());
    }
    let Simulator { book, .. } = &*simulator;
    let engine = &simulator.running()?.engine;
    for (index, key) in engine.keys().into_iter().enumerate() {
        let level = engine.level(key).map_err(|error| error.to_string())?;
        let stock = &book.stock[index];
        let opens_at = level.opens_at.map(|moment| moment.0);
        let is = (level.on_hand, level.held, level.committed, level.available, level.stopped, opens_at);
        let (held, committed) = (book.held(index), book.committed(index));
        let available = book.available(index);
        let expected = (stock.on_hand, held, committed, available, stock.stopped, stock.opens_at_ms);
        ensure!(is == expected, "the level of key {index} is {is:?}, and should be {expected:?}");
    }
    for key in 0..KEYS_MAX {
        let is: Vec<HoldId> = engine.holds_of(reference(key)).iter().map(|status| status.hold).collect();
        for (hold, id) in book.holds.iter().zip(&book.ids) {
            let must = hold.first_key == key && hold.is_open();
            ensure!(!must || is.contains(id), "hold {id} is not found by its reference");
        }
        let is_other =
            |id: &&HoldId| book.find(**id).is_none_or(|number| book.holds[number].first_key != key);
        let stranger = is.iter().find(is_other);
        ensure!(stranger.is_none(), "a hold that has not the reference {key}: {stranger:?}");
    }
    Ok(())
}

/// Compares an engine whose log has failed: reads go on, and levels stay at the last folded position,
/// where the book was `then`.
pub(super) fn stopped(simulator: &Simulator, then: &ModelBook) -> Result<(), Violation> {
    let engine = &simulator.running()?.engine;
    for (index, key) in engine.keys().into_iter().enumerate() {
        let available = engine.available(key).map_err(|error| error.to_string())?;
        let counted = simulator.book.counted(index);
        ensure!(counted.contains(&available), "{available} of key {index}, and should be {counted:?}");
        let Some(stock) = then.stock.get(index) else { continue };
        let level = engine.level(key).map_err(|error| error.to_string())?;
        let is = (level.on_hand, level.committed, level.stopped);
        let expected = (stock.on_hand, then.committed(index), stock.stopped);
        ensure!(is == expected, "the last level of key {index} is {is:?}, and should be {expected:?}");
    }
    Ok(())
}

/// Compares every hold. Holds that a crash took back must not be found.
fn holds(simulator: &mut Simulator) -> Result<(), Violation> {
    if simulator.is_stopped() {
        return Ok(());
    }
    let engine = &simulator.running()?.engine;
    let client = client(engine, &simulator.book);
    for (number, (hold, id)) in simulator.book.holds.iter().zip(&simulator.book.ids).enumerate() {
        let status = match engine.status(*id) {
            Ok(status) => status,
            Err(lookup) => {
                may_be_unknown(simulator, *id, Some(number), lookup)?;
                continue;
            }
        };
        let deadline = status.deadline.map(|deadline| deadline.0);
        let is = (state(status.state), deadline, status.reference.as_bytes().to_vec());
        let deadline = hold.is_live().then_some(hold.deadline_ms);
        let expected = (hold.state, deadline, reference(hold.first_key).into_bytes());
        ensure!(is == expected, "hold {number} is {status:?}, and should be {hold:?}");
        let Some(lines) = hold.lines() else { continue };
        let mut shown = [0; KEYS_MAX];
        status.lines.iter().for_each(|line| shown[client.key(line.key)] += line.quantity);
        ensure!(shown == lines, "hold {number} has {status:?}, and should have {hold:?}");
    }
    let epoch = engine.report().epoch;
    let gone = simulator.ids.iter().filter(|(_, given)| given.taken_back && epoch - given.epoch < EPOCHS);
    for (id, given) in gone {
        ensure!(engine.status(*id).is_err(), "hold {id}, which a crash took back, is there: {given:?}");
    }
    // Reading a hold that is due has closed it.
    simulator.book.see_all();
    Ok(())
}

/// Compares the counters. No hold that is due may count in them.
fn counters(simulator: &mut Simulator) -> Result<(), Violation> {
    if simulator.is_stopped() {
        return Ok(());
    }
    let engine = &simulator.running()?.engine;
    engine.sweep();
    let live = simulator.book.live() as u64;
    let counted = engine.metrics().holds_live;
    ensure!(counted == live, "{counted} holds are live, and should be {live}");
    for (index, key) in engine.keys().into_iter().enumerate() {
        let expected = simulator.book.available(index);
        let exactly = engine.available_exactly(key).map_err(|error| error.to_string())?;
        let about = engine.available(key).map_err(|error| error.to_string())?;
        ensure!(
            (exactly, about) == (expected, expected),
            "{exactly} (about {about}) of key {index} are available, and should be {expected}"
        );
    }
    simulator.book.see_all();
    Ok(())
}

/// Checks that a used op key gets the same answer again.
pub(super) fn answers_the_same(
    simulator: &mut Simulator,
    key: u64,
    used: &UsedOpKey,
) -> Result<(), Violation> {
    if simulator.is_stopped() {
        return Ok(());
    }
    let operation =
        simulator.book.with_id(&used.operation).ok_or("an op key was used with a hold that is not there")?;
    let answered = client(&simulator.running()?.engine, &simulator.book).ask(&operation, Some(key));
    let expected = Some((used.said.clone(), used.position));
    ensure!(answered.said == expected, "op key {key} again: {answered:?}, and should be {used:?}");
    Ok(())
}

/// Checks that an engine may have forgotten this hold.
pub(super) fn may_be_unknown(
    simulator: &Simulator,
    id: HoldId,
    number: Option<usize>,
    lookup: LookupError,
) -> Result<(), Violation> {
    let Some(number) = number else { return Ok(()) };
    let hold = &simulator.book.holds[number];
    ensure!(
        simulator.book.may_be_forgotten(number) && lookup == LookupError::Forgotten,
        "hold {id} is {lookup:?}, and should be {hold:?} at {}",
        Timestamp(simulator.book.now_ms)
    );
    Ok(())
}

/// Checks that the newest checkpoint's ledger has no gap, and ends at the checkpoint's position.
pub(super) fn ledger(simulator: &Simulator) -> Result<(), Violation> {
    let Some(manifest_set) = &simulator.running()?.manifest_set else { return Ok(()) };
    let Some(newest) = manifest_set.newest() else { return Ok(()) };
    let mut behind = None;
    for stretch in Stretches::of(&*manifest_set.files, newest.of(RunKind::Ledger)) {
        let stretch = match stretch {
            Ok(stretch) => stretch,
            Err(RunError::Io { .. }) => return Ok(()),
            Err(error) => return Err(format!("the ledger: {error}")),
        };
        ensure!(behind.is_none_or(|end| end == stretch.start), "a gap of the ledger at {behind:?}");
        behind = Some(stretch.start);
        for record in Records::new(&stretch.records, stretch.start) {
            behind = Some(record.map_err(|_| "the ledger has bytes that are not a record")?.position);
        }
    }
    let end = newest.frontier.position;
    ensure!(behind == Some(end), "the ledger ends at {behind:?} and its checkpoint at {end}");
    Ok(())
}
