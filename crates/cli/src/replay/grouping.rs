//! Whether the orders of a directory are decided in carts or line by line. The choice never changes.
//!
//! A line and a cart have different op keys, so an order that was decided with one grouping and again with
//! the other could be granted twice. A lookup of the other grouping's keys would not help, because no key
//! contains the cart that a line was part of. So the first run makes a mark that is durable before anything
//! is received or decided, and a run with the other grouping ends before it begins. The mark is found by its
//! op key alone, on any stock key.

use clap::ValueEnum;
use stockhold::Engine;

use super::key::KeyMaker;
use super::mark;
use super::messages::RERUN;
use crate::exit::CommandError;

/// How neighbouring lines of one order are decided.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Grouping {
    /// Together as a cart: all are granted, or all are refused
    Carts,
    /// Each by itself
    Separate,
}

impl Grouping {
    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Grouping::Carts => "carts",
            Grouping::Separate => "separate",
        }
    }

    fn other(self) -> Grouping {
        match self {
            Grouping::Carts => Grouping::Separate,
            Grouping::Separate => Grouping::Carts,
        }
    }
}

/// Checks that the directory was not begun with the other grouping. Changes nothing.
pub fn check(engine: &Engine, grouping: Grouping) -> Result<(), CommandError> {
    let mut keys = KeyMaker::default();
    let mut known = |grouping: Grouping| {
        mark::is_known(engine, keys.grouping_mark(grouping.name()))
            .map_err(|error| CommandError::Environment(error.to_string()))
    };
    if known(grouping)? {
        return Ok(());
    }
    let (asked, other) = (grouping.name(), grouping.other().name());
    if known(grouping.other())? {
        return Err(CommandError::Usage(format!(
            "the directory was begun with --lines {other}; with --lines {asked} its orders could be \
             granted twice. Nothing was received or decided: use --lines {other}, or a new --dir"
        )));
    }
    // No mark: the directory is new, or from before there were marks, when each line was decided by itself.
    // Op keys of another program cannot be told apart from that, and are treated alike: an error is better
    // than granting twice.
    if grouping == Grouping::Carts && engine.report().op_keys > 0 {
        return Err(CommandError::Usage(
            "the directory remembers operations but does not say that its orders were decided in carts: \
             they may have been decided line by line, and could be granted twice. Nothing was received or \
             decided: use --lines separate, or a new --dir"
                .into(),
        ));
    }
    Ok(())
}

/// Records the grouping in the directory for ever. `first` is a SKU and location that the stock is about to
/// declare. Without one, and with no stock key declared, no order can be granted and nothing needs to be
/// recorded.
pub fn record(engine: &Engine, grouping: Grouping, first: Option<(&str, &str)>) -> Result<(), CommandError> {
    let environment = |error: &dyn std::fmt::Display| CommandError::Environment(error.to_string());
    let op_key = KeyMaker::default().grouping_mark(grouping.name());
    if mark::is_known(engine, op_key).map_err(|error| environment(&error))? {
        return Ok(());
    }
    if let Some((sku, location)) = first {
        engine.declare(sku, location).map_err(|error| environment(&error))?;
    }
    let declared = engine.keys();
    // The last key is the newest. A key whose sale has not opened yet remembers no refusal: then the next one
    // is tried.
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
            "no sale of the directory has opened yet, so nothing can be decided: run the same command \
             again when one has opened"
                .into(),
        )),
    }
}
