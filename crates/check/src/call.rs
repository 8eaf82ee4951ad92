//! What is recorded: one [`Call`] for each answer, kept in a plain vector per thread.

use std::time::Instant;

/// The one clock that every span and every deadline of a history is measured with.
///
/// Copy it to each thread. It is monotonic across threads, and nobody can set it.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch {
    origin: Instant,
}

impl Stopwatch {
    /// Starts at zero, now.
    #[allow(clippy::new_without_default)] // a default value should not read a clock
    pub fn new() -> Self {
        Stopwatch { origin: Instant::now() }
    }

    /// Nanoseconds since it was made. Lasts for 584 years.
    pub fn now_ns(&self) -> u64 {
        self.origin.elapsed().as_nanos() as u64
    }
}

/// What was asked and answered. Calls that changed and said nothing ("busy, try again") are not recorded.
///
/// A hold on several stock keys, a cart, is one call for each key, all with the same hold and the same start and end;
/// see [`Cart`](crate::Cart).
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
    /// A hold was paid; what it held beyond `quantity` went back.
    Confirm {
        /// Which.
        hold: u128,
        /// Units sold.
        quantity: u32,
        /// The engine said that the hold had expired and that it took the units again.
        retaken: bool,
    },
    /// A hold was given back.
    Release {
        /// Which.
        hold: u128,
    },
    /// An answer said that the hold has expired. May be seen often; it is one outcome.
    ExpiredSeen {
        /// Which.
        hold: u128,
    },
    /// Units that had been confirmed were given back.
    Cancel {
        /// Of which hold.
        hold: u128,
        /// How many.
        quantity: u32,
    },
    /// A count of the shelf put right: units found or lost. May leave less than nothing available.
    Adjust {
        /// Units found; below zero, lost.
        delta: i64,
        /// Units available right after, if the answer says so exactly.
        available: Option<i64>,
    },
    /// A live hold has another quantity and another deadline now, in one step.
    Replace {
        /// Which.
        hold: u128,
        /// Units held now.
        quantity: u32,
        /// Its deadline now.
        deadline_ns: u64,
    },
    /// An answer said how many units were available, exactly, at an instant of the call.
    Reading {
        /// How many.
        available: i64,
    },
}

/// One answered call: of which stock key, from when to when, and what was said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Call {
    /// The caller's number for the stock key.
    pub key: u32,
    /// Read just before the call.
    pub start_ns: u64,
    /// Read just after it.
    pub end_ns: u64,
    /// What was asked and answered.
    pub event: Event,
}

/// One thread's calls. Recording is a push: no lock, nothing shared.
#[derive(Clone, Debug)]
pub struct Recorder {
    stopwatch: Stopwatch,
    calls: Vec<Call>,
}

impl Recorder {
    /// Empty, on the clock that all threads of the history share.
    pub fn new(stopwatch: Stopwatch) -> Self {
        Recorder { stopwatch, calls: Vec::new() }
    }

    /// Empty, with room for so many calls: until they are recorded, none of them waits for memory.
    pub fn with_capacity(stopwatch: Stopwatch, calls: usize) -> Self {
        Recorder { stopwatch, calls: Vec::with_capacity(calls) }
    }

    /// The time, for [`Call::start_ns`] and [`Call::end_ns`].
    pub fn now_ns(&self) -> u64 {
        self.stopwatch.now_ns()
    }

    /// Keeps a call.
    pub fn record(&mut self, call: Call) {
        debug_assert!(call.start_ns <= call.end_ns, "a call ends after it begins: {call:?}");
        self.calls.push(call);
    }

    /// All calls, to be judged together with those of the other threads, in any order.
    pub fn into_calls(self) -> Vec<Call> {
        self.calls
    }
}
