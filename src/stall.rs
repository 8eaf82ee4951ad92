//! Failpoints: a test parks one thread at a step of the sales path and checks what the other threads are
//! answered.
//!
//! In an ordinary build [`at`] is empty and compiles to nothing. Under `--cfg stockhold_faults` a test arms a
//! step for the thread of a given name; that thread parks there until the test releases it.

/// A step at which a thread can be parked: right after what is described, unless the description says
/// "before".
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    // ── reserve
    // ──────────────────────────────────────────────────────────────────────────────────────────────
    /// A slot was allocated, and the record encoded.
    Allocated,
    /// Room in the ring was claimed.
    Claimed,
    /// A claim found no room, and has not yet taken back what it counted.
    Unclaiming,
    /// The deadline was registered, before the take.
    Registered,
    /// The units were taken, before the draw.
    Taken,
    /// The take came up short, before the slot goes back.
    Short,
    /// The position was drawn, before the hold is published.
    Drawn,
    /// The hold was published, before the position is filled.
    Published,
    /// The position was filled.
    Filled,
    // ── several keys
    // ─────────────────────────────────────────────────────────────────────────────────────────
    /// One line was taken tentatively.
    LineTaken,
    /// Before one key's tentative take is settled, or its announcement withdrawn.
    Settling,
    /// Before one key's units are given back, or rolled back.
    Giving,
    // ── transitions
    // ──────────────────────────────────────────────────────────────────────────────────────────
    /// All pending units of the change were announced.
    Announced,
    /// The position of the change was drawn.
    ChangeDrawn,
    /// Another change won, before the position is voided.
    Beaten,
    /// The hold's word was swapped, maybe to `Changing`.
    Swapped,
    /// The fields of a hold that is `Changing` were written, before its word is.
    Changing,
    /// The change is in the log, before anything goes back.
    ChangeFilled,
    /// All units went back, before the slot is freed.
    Ended,
    // ── counter
    // ──────────────────────────────────────────────────────────────────────────────────────────────
    /// One cell was frozen.
    Frozen,
    /// All cells were frozen, before the sum is published.
    Summed,
    /// The sum was published, before the block goes back.
    Gathered,
    /// A block was loaded, before it is published.
    Loaded,
    /// A correction has drawn its position, before it ends: one that adds has not added yet.
    Correcting,
    // ── tables
    // ───────────────────────────────────────────────────────────────────────────────────────────────
    /// An array is being grown.
    Growing,
    /// The top of a stack of free slots was read, before the swap.
    Popping,
    /// A place in the queue of expired holds was drawn, before the index is in.
    Burying,
    // ── timers
    // ───────────────────────────────────────────────────────────────────────────────────────────────
    /// A slot was marked as queued, before it is in the intake.
    Marked,
    /// It is in the intake, before `earliest` is lowered.
    Queued,
    /// A turn has begun.
    Turning,
    /// Before one timer fires.
    Firing,
    /// Before a turn ends.
    TurnEnding,
    // ── the engine's own threads
    // ─────────────────────────────────────────────────────────────────────────────
    /// The log thread has read records, before it frees their words.
    LogFreeing,
    /// It has freed them, before it writes them.
    LogWriting,
    /// The fold has a group, before it applies it.
    Folding,
}

#[cfg(not(all(stockhold_faults, not(stockhold_loom))))]
#[inline(always)]
pub(crate) fn at(_: Step) {}

#[cfg(all(stockhold_faults, not(stockhold_loom)))]
pub use parking::{Stall, arm};

#[cfg(all(stockhold_faults, not(stockhold_loom)))]
pub(crate) use parking::at;

#[cfg(all(stockhold_faults, not(stockhold_loom)))]
mod parking {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use parking_lot::{Condvar, Mutex};

    use super::Step;

    /// A bit for each armed step: a thread that passes any other step takes no lock.
    static ARMED: AtomicU64 = AtomicU64::new(0);
    static STALLS: Mutex<Vec<StallEntry>> = Mutex::new(Vec::new());
    static CHANGED: Condvar = Condvar::new();

    #[derive(Debug)]
    struct StallEntry {
        number: u64,
        thread: String,
        step: Step,
        /// Passages until it parks.
        left: u32,
        parked: bool,
    }

    /// An armed step. Dropping it releases the thread that is parked there.
    #[derive(Debug)]
    #[must_use = "a dropped stall parks no thread"]
    pub struct Stall {
        number: u64,
    }

    /// Arms `step` for the thread of that name: it parks when it reaches the step for the `passage`th time,
    /// counted from 1.
    pub fn arm(thread: &str, step: Step, passage: u32) -> Stall {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let mut stalls = STALLS.lock();
        stalls.push(StallEntry { number, thread: thread.to_owned(), step, left: passage, parked: false });
        ARMED.fetch_or(1 << step as u32, Ordering::SeqCst);
        Stall { number }
    }

    impl Stall {
        /// Waits until the thread is parked; `false` if it is not within `patience`.
        pub fn wait(&self, patience: Duration) -> bool {
            let mut stalls = STALLS.lock();
            let parked = |stalls: &Vec<StallEntry>| {
                stalls.iter().any(|entry| entry.number == self.number && entry.parked)
            };
            CHANGED.wait_while_for(&mut stalls, |stalls| !parked(stalls), patience);
            parked(&stalls)
        }
    }

    impl Drop for Stall {
        fn drop(&mut self) {
            let mut stalls = STALLS.lock();
            stalls.retain(|entry| entry.number != self.number);
            let armed = stalls.iter().fold(0, |armed, entry| armed | 1 << entry.step as u32);
            ARMED.store(armed, Ordering::SeqCst);
            CHANGED.notify_all();
        }
    }

    pub(crate) fn at(step: Step) {
        if ARMED.load(Ordering::SeqCst) & 1 << step as u32 == 0 {
            return;
        }
        let thread = std::thread::current();
        let mut stalls = STALLS.lock();
        let is_due = |entry: &&mut StallEntry| {
            entry.step == step && !entry.parked && thread.name() == Some(entry.thread.as_str())
        };
        let Some(entry) = stalls.iter_mut().find(is_due) else { return };
        entry.left -= 1;
        if entry.left > 0 {
            return;
        }
        entry.parked = true;
        let number = entry.number;
        CHANGED.notify_all();
        CHANGED.wait_while(&mut stalls, |stalls| stalls.iter().any(|entry| entry.number == number));
    }
}
