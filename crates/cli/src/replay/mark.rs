//! What a directory remembers beside orders and stock: marks, each an op key that was used once.
//!
//! A mark is a reserve of more units than there can be, refused and remembered under its op key: in the log like any
//! decision, so as durable and as safe from a crash, and it changes no level.

use stockhold::error::{HoldError, OpKeyError, ReserveError, SharedError};
use stockhold::retry::until_answered;
use stockhold::types::QUANTITY_MAX;
use stockhold::{Engine, HoldAction, HoldId, OpKey, Position, Reserve, StockKey};

use crate::exit::CommandError;

/// Whether an operation was carried out under `op_key`: asks for one that never can be, on a hold that never was.
pub fn is_known(engine: &Engine, op_key: OpKey) -> Result<bool, SharedError> {
    let nobody = HoldAction::hold(HoldId::from_u128(0)).op_key(op_key);
    match until_answered(|| engine.release(nobody)) {
        Err(HoldError::Shared(SharedError::OpKey(_))) => Ok(true),
        Err(HoldError::Shared(common)) => Err(common),
        Ok(_) | Err(_) => Ok(false),
    }
}

/// Leaves a mark on `key`; `None` when the op key stands for something else.
pub fn leave(engine: &Engine, key: StockKey, op_key: OpKey) -> Result<Option<Position>, CommandError> {
    let mark = Reserve::units(key, QUANTITY_MAX).op_key(op_key).remember_refusal();
    match until_answered(|| engine.reserve(mark)) {
        Err(ReserveError::Refused(refusal)) => Ok(Some(refusal.position)),
        Err(ReserveError::Shared(SharedError::OpKey(OpKeyError::OtherContent))) => Ok(None),
        // Two thousand million units were there, received by somebody else: give them back, the mark is left.
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
