//! Planted faults: bugs made on purpose, to show that the tests which should catch them do.
//!
//! In an ordinary build [`planted`] is the constant `false` and compiles to nothing. Under `--cfg
//! stockhold_loom` a model plants a fault for its own thread; under `--cfg stockhold_faults` the environment
//! variable `STOCKHOLD_FAULT` plants one for the process, by its name below.

/// A bug that a programmer could write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// The counter does not count what is pending: announced give-backs and tentative takes look settled.
    ForgetPending,
    /// A correction answers with what the counter has, also while holds are due or units pending.
    CorrectUnsettled,
    /// A reserve calls its remaining units exact, also while units are pending.
    ExactWhilePending,
    /// A thread that gathers a split key adds up its cells without freezing them.
    SkipFreeze,
    /// A thread that takes from a split key refuses because its own cell has too few units.
    RefuseOnSplit,
    /// A cart takes room in the table for its lines one by one.
    LinesByHalves,
    /// The shards of the table are full if each of them was when it was read.
    ShardByShard,
    /// Lines of a cart on the same stock key are not added up.
    LinesApart,
    /// A change of a hold's lines leaves the tag of its word as it was.
    SameTag,
    /// The fold decides again whether there is enough for what was reserved.
    RejudgeInFold,
    /// Uses of a block are told apart by one bit.
    NarrowVersion,
    /// A transition gives units back before it draws its position.
    GiveBeforeDraw,
    /// A transition that lost the swap gives the units back anyway.
    ReleaseTwice,
    /// A transition that lost the swap leaves its record in the log, as one does that fills before it swaps.
    FillTheLoser,
    /// No thread checks deadlines: no hold is ever due.
    ForgetDeadline,
    /// The ring's reader leaves what it read in place.
    SkipZeroing,
    /// The log thread announces that it sleeps, and sleeps without checking the ring once more.
    SkipSecondLook,
    /// A reserve registers its deadline without queueing its slot for the wheel.
    SkipIntake,
    /// A turn of the wheel does not say that it is under way.
    TurnUnseen,
    /// A slot of an expired hold is handed out without checking its word.
    TakeExpiredSlot,
    /// The stack of free slots has no tag.
    ForgetTag,
    /// A checkpoint is committed before the log is durable up to it.
    CheckpointAhead,
    /// The log is cut below the younger of the two checkpoints that are kept.
    CutUnderTheYounger,
    /// A group is only flushed by the store, not synced, before it is called durable.
    SkipSync,
    /// Receipts are released before the store has what they rest on.
    AckEarly,
    /// The log thread does not check whether its files still have names.
    TrustNames,
    /// After a disorderly close, recovery trusts the page cache and does not write its contents again.
    TrustCache,
    /// Recovery does not check whether an opening that copied a chunk was completed.
    BelieveCopies,
    /// Recovery does not check in which opening a chunk was written.
    KeepLeftover,
}

#[cfg(not(any(stockhold_loom, stockhold_faults)))]
#[inline(always)]
pub(crate) const fn planted(_: Fault) -> bool {
    false
}

#[cfg(any(stockhold_loom, stockhold_faults))]
pub(crate) use planting::*;

#[cfg(stockhold_loom)]
mod planting {
    use std::cell::Cell;

    use super::Fault;

    thread_local! {
        // Loom runs all threads of a model on one: a fault planted here is theirs, and no other model's.
        static PLANTED: Cell<Option<Fault>> = const { Cell::new(None) };
    }

    pub(crate) fn planted(fault: Fault) -> bool {
        PLANTED.get() == Some(fault)
    }

    #[cfg(test)]
    pub(crate) fn plant(fault: Option<Fault>) {
        PLANTED.set(fault);
    }
}

#[cfg(all(stockhold_faults, not(stockhold_loom)))]
mod planting {
    use std::sync::OnceLock;

    use super::Fault;

    pub(crate) fn planted(fault: Fault) -> bool {
        static PLANTED: OnceLock<Option<String>> = OnceLock::new();
        let planted = PLANTED.get_or_init(|| std::env::var("STOCKHOLD_FAULT").ok());
        planted.as_ref().is_some_and(|name| *name == format!("{fault:?}"))
    }
}
