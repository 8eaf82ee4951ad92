//! Who knows every acknowledgement, and looks whether all of it is true: after each opening, and in quiet moments.

use super::book::{Book, Used};
use super::client::{Client, LOCATION, name, reference};
use super::schedule::{KEYS_MAX, RETENTION_MS};
use super::world::{Alive, EPOCHS, World, Wrong, ensure};
use crate::answer::HoldState;
use crate::checkpoint::RunError;
use crate::checkpoint::ledger::Stretches;
use crate::checkpoint::run_ref::RunKind;
use crate::clock::Timestamp;
use crate::error::LookupError;
use crate::log::record::Records;
use crate::types::HoldId;

/// What an opening found, before anything happens in it: the book of that place in the log, levels and catalogue.
pub(super) fn found(alive: &Alive, book: &Book) -> Result<(), Wrong> {
    let Alive { engine, core, .. } = alive;
    let keys = engine.keys();
    ensure!(keys.len() == book.stock.len(), "{} keys, and should be {}", keys.len(), book.stock.len());
    for (index, (key, stock)) in keys.iter().zip(&book.stock).enumerate() {
        let named = engine.name(*key).ok_or("a key has no name")?;
        ensure!((&*named.0, &*named.1) == (&*name(stock.name), LOCATION), "key {index} is called {named:?}");
        let (level, position) = core.follower.level(index as u32).ok_or("a key has no level")?;
        ensure!(position == engine.report().end.0, "levels are of {position}");
        let expected = (stock.on_hand, book.committed(index), stock.stopped, stock.opens_at);
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

/// What an opened engine says.
pub(super) fn opened(world: &mut World) -> Result<(), Wrong> {
    let alive = world.running()?;
    for (index, key) in alive.engine.keys().into_iter().enumerate() {
        let available = alive.engine.available(key).map_err(|error| error.to_string())?;
        let counted = world.book.counted(index);
        ensure!(counted.contains(&available), "{available} of key {index}, and should be {counted:?}");
    }
    let used: Vec<_> = world.book.op_keys.iter().map(|(key, used)| (*key, used.clone())).collect();
    for (key, used) in used {
        if used.at + RETENTION_MS > world.book.now {
            answers_the_same(world, key, &used)?;
        }
    }
    holds(world)?;
    counters(world)
}

/// A quiet moment: everything is folded.
pub(super) fn quiet(world: &mut World) -> Result<(), Wrong> {
    holds(world)?;
    counters(world)?;
    if !world.settle()? {
        return Ok(());
    }
    let World { book, .. } = &*world;
    let engine = &world.running()?.engine;
    for (index, key) in engine.keys().into_iter().enumerate() {
        let level = engine.level(key).map_err(|error| error.to_string())?;
        let stock = &book.stock[index];
        let opens_at = level.opens_at.map(|moment| moment.0);
        let is = (level.on_hand, level.held, level.committed, level.available, level.stopped, opens_at);
        let (held, committed) = (book.held(index), book.committed(index));
        let available = book.available(index);
        let expected = (stock.on_hand, held, committed, available, stock.stopped, stock.opens_at);
        ensure!(is == expected, "the level of key {index} is {is:?}, and should be {expected:?}");
    }
    for key in 0..KEYS_MAX {
        let is: Vec<HoldId> = engine.holds_of(reference(key)).iter().map(|status| status.hold).collect();
        for hold in &book.holds {
            let must = hold.filed == key && (hold.is_live() || hold.state == HoldState::Confirmed);
            ensure!(!must || is.contains(&hold.id), "hold {} is not found by its reference", hold.id);
        }
        let known = |id: &&HoldId| book.find(**id).is_none_or(|number| book.holds[number].filed != key);
        let stranger = is.iter().find(known);
        ensure!(stranger.is_none(), "a hold that has not the reference {key}: {stranger:?}");
    }
    Ok(())
}

/// After the log has failed reads go on, and levels stay at the last position that was folded, where `then` was true.
pub(super) fn stopped(world: &World, then: &Book) -> Result<(), Wrong> {
    let engine = &world.running()?.engine;
    for (index, key) in engine.keys().into_iter().enumerate() {
        let available = engine.available(key).map_err(|error| error.to_string())?;
        let counted = world.book.counted(index);
        ensure!(counted.contains(&available), "{available} of key {index}, and should be {counted:?}");
        let Some(stock) = then.stock.get(index) else { continue };
        let level = engine.level(key).map_err(|error| error.to_string())?;
        let is = (level.on_hand, level.committed, level.stopped);
        let expected = (stock.on_hand, then.committed(index), stock.stopped);
        ensure!(is == expected, "the last level of key {index} is {is:?}, and should be {expected:?}");
    }
    Ok(())
}

/// Every hold is what it should be, and those that were taken back are nobody.
fn holds(world: &mut World) -> Result<(), Wrong> {
    if world.is_stopped() {
        return Ok(());
    }
    let engine = &world.running()?.engine;
    let client = Client { engine, keys: engine.keys() };
    for (number, hold) in world.book.holds.iter().enumerate() {
        let status = match engine.status(hold.id) {
            Ok(status) => status,
            Err(lookup) => {
                may_be_unknown(world, hold.id, Some(number), lookup)?;
                continue;
            }
        };
        let deadline = status.deadline.map(|deadline| deadline.0);
        let state = (status.state, deadline, status.reference.as_bytes().to_vec());
        let expected =
            (hold.state, hold.is_live().then_some(hold.deadline), reference(hold.filed).into_bytes());
        ensure!(state == expected, "hold {number} is {status:?}, and should be {hold:?}");
        let lines = match hold.state {
            HoldState::Confirmed => hold.committed,
            HoldState::Active | HoldState::Paying | HoldState::Expired => hold.held,
            _ => continue, // it has nothing any more
        };
        let mut shown = [0; KEYS_MAX];
        status.lines.iter().for_each(|line| shown[client.number(line.key)] += line.quantity);
        ensure!(shown == lines, "hold {number} has {status:?}, and should have {hold:?}");
    }
    let epoch = engine.report().epoch;
    let gone = world.ids.iter().filter(|(_, given)| given.taken_back && epoch - given.epoch < EPOCHS);
    for (id, given) in gone {
        ensure!(engine.status(*id).is_err(), "hold {id}, which a crash took back, is there: {given:?}");
    }
    // Whoever looks closes what is due.
    world.book.see_all();
    Ok(())
}

/// Nothing that is due counts, and the counters are the book's.
fn counters(world: &mut World) -> Result<(), Wrong> {
    if world.is_stopped() {
        return Ok(());
    }
    let engine = &world.running()?.engine;
    engine.sweep();
    let live = world.book.holds.iter().filter(|hold| hold.is_live()).count() as u64;
    let counted = engine.metrics().holds_live;
    ensure!(counted == live, "{counted} holds are live, and should be {live}");
    for (index, key) in engine.keys().into_iter().enumerate() {
        let expected = world.book.available(index);
        let exactly = engine.available_exactly(key).map_err(|error| error.to_string())?;
        let about = engine.available(key).map_err(|error| error.to_string())?;
        ensure!(
            (exactly, about) == (expected, expected),
            "{exactly} (about {about}) of key {index} are available, and should be {expected}"
        );
    }
    world.book.see_all();
    Ok(())
}

/// An op key answers what it did.
pub(super) fn answers_the_same(world: &mut World, key: u64, used: &Used) -> Result<(), Wrong> {
    if world.is_stopped() {
        return Ok(());
    }
    let engine = &world.running()?.engine;
    let answered = Client { engine, keys: engine.keys() }.ask(&used.what, Some(key));
    let expected = Some((used.said.clone(), used.position));
    ensure!(answered.said == expected, "op key {key} again: {answered:?}, and should be {used:?}");
    Ok(())
}

/// Whether nothing may be known of a hold.
pub(super) fn may_be_unknown(
    world: &World,
    id: HoldId,
    number: Option<usize>,
    lookup: LookupError,
) -> Result<(), Wrong> {
    let Some(number) = number else { return Ok(()) };
    let hold = &world.book.holds[number];
    let over = matches!(hold.state, HoldState::Released | HoldState::Shipped | HoldState::Cancelled);
    let forgotten = over || hold.state == HoldState::Expired;
    ensure!(
        forgotten && lookup == LookupError::Forgotten,
        "hold {id} is {lookup:?}, and should be {hold:?} at {}",
        Timestamp(world.book.now)
    );
    Ok(())
}

/// The newest checkpoint's ledger has no gap, and ends where the checkpoint does.
pub(super) fn ledger(world: &World) -> Result<(), Wrong> {
    let Some(manifest_set) = &world.running()?.manifest_set else { return Ok(()) };
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
            behind = Some(record.map_err(|_| "the ledger has a record that is none")?.position);
        }
    }
    let end = newest.frontier.position;
    ensure!(behind == Some(end), "the ledger ends at {behind:?} and its checkpoint at {end}");
    Ok(())
}
