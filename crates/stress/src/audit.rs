//! The audit of a quiet engine: calls, holds, the log's levels and the counters must agree.

use std::collections::HashSet;

use stockhold::error::LookupError;
use stockhold::{CartLine, Engine, HoldId, HoldState, Level, StockKey};
use stockhold_check::{Call, Event, Recorder};

use crate::held::KEYS;

/// The most tries to read a key. One should do, since no other thread runs.
const LOOKS_MAX: usize = 16;

/// The units of a key.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
struct Units {
    on_hand: i64,
    held: i64,
    committed: i64,
}

/// Returns the levels, and adds a complaint for each number that does not agree.
pub(crate) fn audit(
    engine: &Engine,
    keys: &[StockKey; KEYS],
    calls: &[Call],
    shipped: &[u32; KEYS],
    recorder: &mut Recorder,
    complaints: &mut Vec<String>,
) -> Vec<Level> {
    let mut by_calls = by_calls(calls);
    let by_holds = by_holds(engine, keys, calls, complaints);
    for key in 0..KEYS {
        by_calls[key].on_hand -= i64::from(shipped[key]);
        by_calls[key].committed -= i64::from(shipped[key]);
        // Only the holds themselves show which of them have expired.
        by_calls[key].held = by_holds[key].held;
    }
    let mut levels = Vec::new();
    for (key, stock_key) in keys.iter().enumerate() {
        let level = match engine.level(*stock_key) {
            Ok(level) => level,
            Err(error) => {
                complaints.push(format!("key {key} has no level: {error}"));
                continue;
            }
        };
        let of_level = Units { on_hand: level.on_hand, held: level.held, committed: level.committed };
        if of_level != by_calls[key] {
            complaints.push(format!("key {key}: {of_level:?} by the log, {:?} by the calls", by_calls[key]));
        }
        if (level.held, level.committed) != (by_holds[key].held, by_holds[key].committed) {
            complaints.push(format!("key {key}: {of_level:?} by the log, {:?} by the holds", by_holds[key]));
        }
        match engine.blocking_holds(*stock_key) {
            Ok(way) if way.held == level.held => {}
            way => complaints.push(format!("key {key}: {} held by the log, but {way:?}", level.held)),
        }
        match read_exactly(engine, *stock_key, key as u32, recorder) {
            Some(available) if available == level.available => {}
            available => complaints.push(format!(
                "key {key}: {} available by the log, {available:?} by the counter",
                level.available
            )),
        }
        levels.push(level);
    }
    levels
}

fn read_exactly(engine: &Engine, stock_key: StockKey, key: u32, recorder: &mut Recorder) -> Option<i64> {
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

fn by_calls(calls: &[Call]) -> [Units; KEYS] {
    let mut units = [Units::default(); KEYS];
    for call in calls {
        let units = &mut units[call.key as usize];
        match call.event {
            Event::Receive { quantity } => units.on_hand += quantity as i64,
            Event::Adjust { delta, .. } => units.on_hand += delta,
            Event::Confirm { quantity, .. } => units.committed += i64::from(quantity),
            Event::Cancel { quantity, .. } => units.committed -= i64::from(quantity),
            _ => {}
        }
    }
    units
}

fn by_holds(
    engine: &Engine,
    keys: &[StockKey; KEYS],
    calls: &[Call],
    complaints: &mut Vec<String>,
) -> [Units; KEYS] {
    let mut units = [Units::default(); KEYS];
    let granted: HashSet<u128> = calls.iter().filter_map(grant).collect();
    for hold in granted {
        let status = match engine.status(HoldId::from_u128(hold)) {
            Ok(status) => status,
            Err(LookupError::Forgotten) => continue,
            Err(error) => {
                complaints.push(format!("hold {hold:032x}: {error}"));
                continue;
            }
        };
        for CartLine { key, quantity } in status.lines {
            let Some(units) = keys.iter().position(|other| *other == key).map(|key| &mut units[key]) else {
                complaints.push(format!("hold {hold:032x} has units of {key:?}"));
                continue;
            };
            match status.state {
                HoldState::Active | HoldState::Paying => units.held += i64::from(quantity),
                HoldState::Confirmed => units.committed += i64::from(quantity),
                _ => {}
            }
        }
    }
    units
}

fn grant(call: &Call) -> Option<u128> {
    if let Event::Grant { hold, .. } = call.event { Some(hold) } else { None }
}

/// Whether two levels agree in all that a restart must not change.
pub(crate) fn same(before: &[Level], after: &[Level]) -> bool {
    let kept = |level: &Level| Level { position: Default::default(), ..*level };
    before.iter().map(kept).eq(after.iter().map(kept))
}
