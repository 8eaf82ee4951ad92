//! How a directory was begun: its orders in carts, or line by line. It stays so for good.
//!
//! Why: a line and a cart have op keys of their own, so whoever changed from one to the other could be granted the same
//! units under both. Looking up the keys of the other way would not do: which cart a line once stood in is known to no
//! key. So the first run leaves a mark, durable before anything is received or decided, and a run the other way ends
//! before it begins. The mark is found by its op key alone, whatever stock key it was left on.

use clap::ValueEnum;
use stockhold::Engine;

use super::key::KeyMaker;
use super::{RERUN, mark};
use crate::exit::CommandError;

/// What neighbouring lines of one order are to each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Lines {
    /// A cart: all of them are granted, or none
    Carts,
    /// Nothing: each is granted or refused by itself
    Separate,
}

impl Lines {
    /// As it stands on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Lines::Carts => "carts",
            Lines::Separate => "separate",
        }
    }

    fn other(self) -> Lines {
        match self {
            Lines::Carts => Lines::Separate,
            Lines::Separate => Lines::Carts,
        }
    }
}

/// Whether the directory may be gone on with like this. Changes nothing.
pub fn check(engine: &Engine, lines: Lines) -> Result<(), CommandError> {
    let mut keys = KeyMaker::default();
    let mut known = |lines: Lines| {
        mark::is_known(engine, keys.begun(lines.name()))
            .map_err(|error| CommandError::Environment(error.to_string()))
    };
    if known(lines)? {
        return Ok(());
    }
    let (asked, other) = (lines.name(), lines.other().name());
    if known(lines.other())? {
        return Err(CommandError::Usage(format!(
            "the directory was begun with --lines {other}, and with --lines {asked} its orders could be granted \
             twice. Nothing was received or decided: use --lines {other}, or a new --dir"
        )));
    }
    // No mark: new, or begun before there were any, when each line was decided by itself. What another program did
    // under op keys looks the same from here, and is treated the same: better refused than granted twice.
    if lines == Lines::Carts && engine.report().op_keys > 0 {
        return Err(CommandError::Usage(
            "the directory remembers operations and does not say that its orders were decided in carts, so they may \
             have been decided line by line and could be granted twice. Nothing was received or decided: use --lines \
             separate, or a new --dir"
                .into(),
        ));
    }
    Ok(())
}

/// Says for good how the directory is begun. `first` is a SKU and location that the stock is about to declare: without
/// one, and with none declared, no order can be granted and nothing need be said.
pub fn say(engine: &Engine, lines: Lines, first: Option<(&str, &str)>) -> Result<(), CommandError> {
    let environment = |error: &dyn std::fmt::Display| CommandError::Environment(error.to_string());
    let op_key = KeyMaker::default().begun(lines.name());
    if mark::is_known(engine, op_key).map_err(|error| environment(&error))? {
        return Ok(());
    }
    if let Some((sku, location)) = first {
        engine.declare(sku, location).map_err(|error| environment(&error))?;
    }
    let declared = engine.keys();
    // The last is the newest. A key whose sale has not opened yet remembers no refusal: then it is another's turn.
    for &key in declared.iter().rev() {
        let position = mark::leave(engine, key, op_key)?.unwrap_or_default();
        if mark::is_known(engine, op_key).map_err(|error| environment(&error))? {
            return engine
                .wait(position)
                .map_err(|unknown| CommandError::Environment(format!("{unknown}. {RERUN}")));
        }
    }
    match declared.is_empty() {
        true => Ok(()),
        false => Err(CommandError::Environment(
            "no sale of the directory has opened yet, so nothing can be decided: run the same command again when one has"
                .into(),
        )),
    }
}
