//! When all is quiet, everything adds up: what the calls did, what the holds say, what the log says, what is on sale.

use std::collections::HashSet;

use stockhold::error::LookupError;
use stockhold::{CartLine, Engine, HoldId, HoldState, Level, StockKey};
use stockhold_check::{Call, Event, Recorder};

use crate::held::KEYS;

/// Looks at a key, of which one should do: nobody is there to be busy with.
const LOOKS_MAX: usize = 16;

/// Units of a key, by what they are.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
struct Book {
    on_hand: i64,
    held: i64,
    committed: i64,
}

/// The levels; what does not add up is told.
pub(crate) fn audit(
    engine: &Engine,
    keys: &[StockKey; KEYS],
    calls: &[Call],
    shipped: &[u32; KEYS],
    recorder: &mut Recorder,
    told: &mut Vec<String>,
) -> Vec<Level> {
    let mut by_calls = by_calls(calls);
    let by_holds = by_holds(engine, keys, calls, told);
    for key in 0..KEYS {
        by_calls[key].on_hand -= i64::from(shipped[key]);
        by_calls[key].committed -= i64::from(shipped[key]);
        // Which holds have ended by themselves, only they can say.
        by_calls[key].held = by_holds[key].held;
    }
    let mut levels = Vec::new();
    for (key, stock_key) in keys.iter().enumerate() {
        let level = match engine.level(*stock_key) {
            Ok(level) => level,
            Err(error) => {
                told.push(format!("key {key} has no level: {error}"));
                continue;
            }
        };
        let of_level = Book { on_hand: level.on_hand, held: level.held, committed: level.committed };
        if of_level != by_calls[key] {
            told.push(format!("key {key}: {of_level:?} by the log, {:?} by the calls", by_calls[key]));
        }
        if (level.held, level.committed) != (by_holds[key].held, by_holds[key].committed) {
            told.push(format!("key {key}: {of_level:?} by the log, {:?} by the holds", by_holds[key]));
        }
        match engine.blocking_holds(*stock_key) {
            Ok(way) if way.held == level.held => {}
            way => told.push(format!("key {key}: {} held by the log, but {way:?}", level.held)),
        }
        match exactly(engine, *stock_key, key as u32, recorder) {
            Some(available) if available == level.available => {}
            available => told.push(format!(
                "key {key}: {} available by the log, {available:?} by the counter",
                level.available
            )),
        }
        levels.push(level);
    }
    levels
}

fn exactly(engine: &Engine, stock_key: StockKey, key: u32, recorder: &mut Recorder) -> Option<i64> {
    for _ in 0..LOOKS_MAX {
        let start_ns = recorder.now_ns();
        if let Ok(available) = engine.available_exactly(stock_key) {
            let event = Event::Reading { available };
            recorder.record(Call { key, start_ns, end_ns: recorder.now_ns(), event });
            return Some(available);
        }
    }
    None
}

fn by_calls(calls: &[Call]) -> [Book; KEYS] {
    let mut books = [Book::default(); KEYS];
    for call in calls {
        let book = &mut books[call.key as usize];
        match call.event {
            Event::Receive { quantity } => book.on_hand += quantity as i64,
            Event::Adjust { delta, .. } => book.on_hand += delta,
            Event::Confirm { quantity, .. } => book.committed += i64::from(quantity),
            Event::Cancel { quantity, .. } => book.committed -= i64::from(quantity),
            _ => {}
        }
    }
    books
}

fn by_holds(
    engine: &Engine,
    keys: &[StockKey; KEYS],
    calls: &[Call],
    told: &mut Vec<String>,
) -> [Book; KEYS] {
    let mut books = [Book::default(); KEYS];
    let granted: HashSet<u128> = calls.iter().filter_map(grant).collect();
    for hold in granted {
        let status = match engine.status(HoldId::from_u128(hold)) {
            Ok(status) => status,
            Err(LookupError::Forgotten) => continue,
            Err(error) => {
                told.push(format!("hold {hold:032x}: {error}"));
                continue;
            }
        };
        for CartLine { key, quantity } in status.lines {
            let Some(book) = keys.iter().position(|other| *other == key).map(|key| &mut books[key]) else {
                told.push(format!("hold {hold:032x} has units of {key:?}"));
                continue;
            };
            match status.state {
                HoldState::Active | HoldState::Paying => book.held += i64::from(quantity),
                HoldState::Confirmed => book.committed += i64::from(quantity),
                _ => {}
            }
        }
    }
    books
}

fn grant(call: &Call) -> Option<u128> {
    if let Event::Grant { hold, .. } = call.event { Some(hold) } else { None }
}

/// What a restart must not change.
pub(crate) fn same(before: &[Level], after: &[Level]) -> bool {
    let kept = |level: &Level| Level { position: Default::default(), ..*level };
    before.iter().map(kept).eq(after.iter().map(kept))
}
