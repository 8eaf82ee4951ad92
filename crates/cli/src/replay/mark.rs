//! Marks: op keys that are used once, to store a fact in a directory beside orders and stock.
//!
//! A mark is a reserve of more units than there can be, whose refusal is remembered under its op key. It is
//! in the log like any decision, so it is as durable and survives a crash, and it changes no level.

use stockhold::error::{HoldError, OpKeyError, ReserveError, SharedError};
use stockhold::retry::until_answered;
use stockhold::types::QUANTITY_MAX;
use stockhold::{Engine, HoldAction, HoldId, OpKey, Position, Reserve, StockKey};

use crate::exit::CommandError;

/// Whether an operation was carried out under `op_key`: tries one that always fails, on a hold that never
/// existed.
pub fn is_known(engine: &Engine, op_key: OpKey) -> Result<bool, SharedError> {
    let no_hold = HoldAction::hold(HoldId::from_u128(0)).op_key(op_key);
    match until_answered(|| engine.release(no_hold)) {
        Err(HoldError::Shared(SharedError::OpKey(_))) => Ok(true),
        Err(HoldError::Shared(common)) => Err(common),
        Ok(_) | Err(_) => Ok(false),
    }
}

/// Makes a mark on `key`; `None` if the op key was used with other content.
pub fn leave(engine: &Engine, key: StockKey, op_key: OpKey) -> Result<Option<Position>, CommandError> {
    let mark = Reserve::units(key, QUANTITY_MAX).op_key(op_key).remember_refusal();
    match until_answered(|| engine.reserve(mark)) {
        Err(ReserveError::Refused(refusal)) => Ok(Some(refusal.position)),
        Err(ReserveError::Shared(SharedError::OpKey(OpKeyError::OtherContent))) => Ok(None),
        // Another program had received that many units. Release them; the mark is made all the same.
        Ok(receipt) => {
            let position = receipt.position();
            let hold = receipt.not_yet_durable().hold;
            match until_answered(|| engine.release(hold)) {
                Ok(released) => Ok(Some(released.position())),
                Err(HoldError::Shared(common)) => Err(CommandError::Environment(common.to_string())),
                Err(_) => Ok(Some(position)),
            }
        }
        Err(error) => Err(CommandError::Environment(error.to_string())),
    }
}
