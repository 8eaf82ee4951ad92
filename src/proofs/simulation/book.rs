//! What is true: the contract's model, and the ids of its holds. A crash puts an older book in its place.

use std::ops::{Deref, DerefMut};

use stockhold_model::{Model, Operation};

use crate::types::HoldId;

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct ModelBook {
    model: Model,
    /// Ids of holds, by their numbers.
    pub ids: Vec<HoldId>,
}

impl ModelBook {
    pub(super) fn new(model: Model) -> ModelBook {
        ModelBook { model, ids: Vec::new() }
    }

    /// The number of a hold.
    pub(super) fn find(&self, id: HoldId) -> Option<usize> {
        self.ids.iter().position(|known| *known == id)
    }

    /// The operation with the id of its hold.
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
