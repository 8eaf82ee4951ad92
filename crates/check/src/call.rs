//! The recording: one [`Call`] for each answer, in a vector per thread.

use std::time::Instant;

/// The clock of a history: all its spans and deadlines are measured with it.
///
/// Copy it to each thread. It is monotonic across threads and cannot be set.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch {
    origin: Instant,
}

impl Stopwatch {
    /// Starts the clock at zero.
    #[allow(clippy::new_without_default)] // a default should not read a clock
    pub fn new() -> Self {
        Stopwatch { origin: Instant::now() }
    }

    /// Nanoseconds since it was started; a `u64` of them lasts for 584 years.
    pub fn now_ns(&self) -> u64 {
        self.origin.elapsed().as_nanos() as u64
    }
}

/// A request and its answer. Calls without an effect or an answer ("busy, try again") are not recorded.
///
/// A hold on several stock keys, a cart, is one call for each key, all with the same hold and the same start
/// and end; see [`Cart`](crate::Cart).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// Units arrived.
    Receive {
        /// How many.
        quantity: u64,
    },
    /// A reserve was granted.
    Grant {
        /// The engine's name for the hold.
        hold: u128,
        /// Units held.
        quantity: u32,
        /// When the hold ends by itself, on the recording clock.
        deadline_ns: u64,
    },
    /// A reserve was refused because too little was available.
    Refuse {
        /// Units asked for.
        asked: u32,
        /// Units that the refusal says were available.
        available: i64,
    },
    /// A hold was given a later deadline.
    Extend {
        /// Which.
        hold: u128,
        /// Its deadline now.
        deadline_ns: u64,
    },
    /// A hold was confirmed; its units beyond `quantity` were returned.
    Confirm {
        /// Which.
        hold: u128,
        /// Units sold.
        quantity: u32,
        /// The answer says that the hold had expired and that its units were taken again.
        retaken: bool,
    },
    /// A hold was released.
    Release {
        /// Which.
        hold: u128,
    },
    /// An answer said that the hold has expired. May be recorded several times; it is one outcome.
    ExpiredSeen {
        /// Which.
        hold: u128,
    },
    /// Confirmed units were returned.
    Cancel {
        /// Which hold.
        hold: u128,
        /// How many.
        quantity: u32,
    },
    /// The stock was corrected by a count: units found or lost. May leave a negative number available.
    Adjust {
        /// Units found; below zero, lost.
        delta: i64,
        /// Units available right after, if the answer says so exactly.
        available: Option<i64>,
    },
    /// A live hold was given another quantity and another deadline, in one step.
    Replace {
        /// Which.
        hold: u128,
        /// Units held now.
        quantity: u32,
        /// Its deadline now.
        deadline_ns: u64,
    },
    /// An answer gave the exact number of available units at an instant of the call. A call that did something
    /// else too, a reserve that tells what remains, is recorded as both, with the same span.
    Reading {
        /// How many.
        available: i64,
    },
}

/// One answered call: its stock key, its span, the request and the answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Call {
    /// The stock key, by a number that the caller chose.
    pub key: u32,
    /// The time just before the call.
    pub start_ns: u64,
    /// The time just after the call.
    pub end_ns: u64,
    /// The request and its answer.
    pub event: Event,
}

/// Records the calls of one thread: a push, without a lock or shared memory.
#[derive(Clone, Debug)]
pub struct Recorder {
    stopwatch: Stopwatch,
    calls: Vec<Call>,
}

impl Recorder {
    /// Creates an empty recorder on the clock that all threads of the history share.
    pub fn new(stopwatch: Stopwatch) -> Self {
        Recorder { stopwatch, calls: Vec::new() }
    }

    /// Creates an empty recorder with room for this many calls, so that recording them allocates nothing.
    pub fn with_capacity(stopwatch: Stopwatch, calls: usize) -> Self {
        Recorder { stopwatch, calls: Vec::with_capacity(calls) }
    }

    /// The time, for [`Call::start_ns`] and [`Call::end_ns`].
    pub fn now_ns(&self) -> u64 {
        self.stopwatch.now_ns()
    }

    /// Records a call.
    pub fn record(&mut self, call: Call) {
        debug_assert!(call.start_ns <= call.end_ns, "a call ends after it begins: {call:?}");
        self.calls.push(call);
    }

    /// Returns the calls, to be judged together with those of the other threads, in any order.
    pub fn into_calls(self) -> Vec<Call> {
        self.calls
    }
}
