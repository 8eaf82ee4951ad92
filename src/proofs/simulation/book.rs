//! The expected state: the contract's model, and the ids of its holds. After a crash an older book takes its
//! place.

use std::ops::{Deref, DerefMut};

use stockhold_model::{Model, Operation};

use crate::types::HoldId;

/// The model, and the id that the engine gave to each of its holds.
#[derive(Clone, Debug)]
pub(super) struct ModelBook {
    model: Model,
    /// The ids of holds, by the number of the hold in the model.
    pub ids: Vec<HoldId>,
}

impl ModelBook {
    pub(super) fn new(model: Model) -> ModelBook {
        ModelBook { model, ids: Vec::new() }
    }

    /// The number of the hold with this id.
    pub(super) fn find(&self, id: HoldId) -> Option<usize> {
        self.ids.iter().position(|known| *known == id)
    }

    /// The operation with the id of its hold in place of the number.
    pub(super) fn with_id(&self, operation: &Operation<usize>) -> Option<Operation<HoldId>> {
        operation.with_hold(|number| self.ids.get(number).copied())
    }
}

impl Deref for ModelBook {
    type Target = Model;

    fn deref(&self) -> &Model {
        &self.model
    }
}

impl DerefMut for ModelBook {
    fn deref_mut(&mut self) -> &mut Model {
        &mut self.model
    }
}
