//! Engine time: the time that decides whether a deadline has passed. Only the engine's outermost calls read a
//! clock; all code below takes the time as an argument.
//!
//! The promise: whatever the wall clock does, no hold expires early, none lives on for long after its
//! deadline, and no answer that was given is undone. Engine time therefore follows a *steady* clock, which
//! counts all time that passes and never jumps, and is only steered towards the wall, slowly:
//!
//! - **It never falls**, within a run and over a restart of the process, if the file `clock` is believed; and
//!   never below the last time in the log.
//! - **Ahead of the wall, it runs slower**, by a sixteenth at most: five minutes are made up for in 80, and
//!   until then a hold of ten minutes lives 40 seconds longer, no more. (Standing still would be over sooner,
//!   and would keep units held for as long as the clock was wrong.)
//! - **Behind the wall, it runs faster**, by 1/1024 at most, since this is what makes a hold expire early:
//!   one of ten minutes by 0.6 seconds, of the time that truly passed. A second is made up for in 17 minutes.
//!   (NTP itself slews by 1/2000.)
//! - **Far behind the wall** ([`Config::clock_jump_max`](crate::Config::clock_jump_max)) it does not follow
//!   at all: holds expire by the steady clock. [`Metrics`](crate::Metrics) says so, until the wall is set
//!   right or an operator accepts it ([`Engine::accept_clock`](crate::Engine::accept_clock)).
//! - **A wall outside the years 2020 to 2078** it never follows, and no operator can accept it: with its time in
//!   the log, no later opening could go on. For the same reason engine time stands still at the end of 2078 if
//!   the steady clock, which must not jump, jumps beyond.
//!
//! So a hold with a TTL of `t` lives, in time that truly passed, from `t * 1024/1025` to `t * 16/15`, give or
//! take 2 ms.
//!
//! | what happens | engine time | holds |
//! |---|---|---|
//! | the wall steps back, by minutes or by a day | goes on, 1/16 slower until the wall has caught up | live up to 1/15 longer than asked for |
//! | the wall steps ahead, up to the limit | 1/1024 faster until it has caught up | live up to 1/1000 shorter |
//! | the wall steps ahead by more, a day for instance | goes on with the steady clock; said to be *unbelieved* | live as long as asked for |
//! | the wall steps back from there | as if nothing had happened | |
//! | an operator accepts it | is the wall's at once | those whose deadline is past by it expire, the ones made since the jump too |
//! | the machine is suspended, for an hour or a day | has gone on by that much: the steady clock counts it | are due if their time has passed |
//! | a virtual machine is paused, and its clocks with it; then its wall is set | as when the wall steps ahead: that time passed cannot be told from a wrong wall | live on for as long as the pause was, if no operator accepts |
//! | the engine is opened again, the machine is up since | goes on as if it had never been closed; after a kill, to a second (the file `clock`) | as above, whatever the wall did meanwhile |
//! | the engine is opened after the machine started anew, the wall ahead of the log | is the wall's | those whose deadline is past by it expire |
//! | the engine is opened again in another time namespace, or a restored machine's uptime is below the file's | as after a start of the machine | as after a start of the machine |
//! | the file is ahead of the wall by more than three days | as after a start of the machine: its steady clock is another, or the wall is far behind; neither may take engine time ahead | as after a start of the machine |
//! | one of the last three, with the wall behind the log's last time | goes on from that time, 1/16 slower | as when the wall steps back |
//! | engine time is ahead of the wall for good, because the engine was once opened by a wrong wall | 1/16 slower: a lead of a year is made up for in 16. A copy of the directory can have the right time at once: [`Inspection::set_time`](crate::inspect::Inspection::set_time), `stockhold clock` | live holds keep the time that they have left |
//!
//! After a start of the machine, nothing tells whether the wall is right. The log's last time says when something
//! was last sold, not when the engine was closed: a limit would keep holds alive that are rightly due after
//! every quiet night.
//!
//! # One function of the steady clock
//!
//! Steady time is cut into periods of 1.024 seconds, and engine time is a straight line in each: a word says
//! how far ahead it is when the period begins, and by how much that changes until it ends. A thread that
//! finds a period without a line reads the wall and swaps the next line in; one thread wins, none waits, and
//! no background thread is needed. A line is in place before any time in its period is returned, and stays,
//! except for a step ahead that an operator asks for. So all threads agree on engine time at each moment of
//! steady time, and a time that one thread hands to another is never later than the one which that thread
//! reads next.
//!
//! A thread that read the time and then slept decides by an earlier time than others used meanwhile. That
//! undoes nothing: a thread that reports that a deadline has passed has closed the hold before, and only one
//! outcome is ever swapped into a hold's word.

mod engine_time;
mod kept;
mod manual;
mod range;
mod steer;
mod step_back;
mod system;
mod timestamp;

use std::time::Duration;

pub(crate) use self::engine_time::EngineTime;
pub use self::manual::ManualClock;
pub(crate) use self::step_back::StepBack;
pub use self::system::SystemClock;
pub use self::timestamp::Timestamp;
pub(crate) use self::timestamp::{CLOCK_LAST, CLOCK_MAX_MS, EPOCH_2020_MS, TIME_MAX, millis_ceil};

/// The source of the engine's time. The engine calls [`now`](Self::now) once in each operation, and
/// [`look`](Self::look) about once a second.
///
/// A clock returns times in the years 2020 to 2078. Whatever it returns, engine time is never below the last time
/// in the log, and stands still at the end of 2078.
pub trait Clock: Send + Sync + 'static {
    /// Steady time: it advances as time truly passes, and must not run backwards or jump. Its distance from
    /// the wall clock does not matter, up to 69 years.
    fn now(&self) -> Timestamp;

    /// Steady time, and the wall clock and uptime at the same moment, by which engine time is steered. By
    /// default, steady time is also the wall's.
    fn look(&self) -> Look {
        let now = self.now();
        Look { steady: now, wall: now, uptime: None }
    }
}

impl<C: Clock> Clock for std::sync::Arc<C> {
    fn now(&self) -> Timestamp {
        (**self).now()
    }

    fn look(&self) -> Look {
        (**self).look()
    }
}

/// The readings of the clocks at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Look {
    /// Steady time, as [`Clock::now`] returns it.
    pub steady: Timestamp,
    /// The wall clock, which can be wrong and can be set.
    pub wall: Timestamp,
    /// How long the machine is up, if that is known. It lets engine time continue over a restart of the
    /// process.
    pub uptime: Option<Uptime>,
}

/// How long a machine is up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Uptime {
    /// Identifies one start of one machine.
    pub boot: u128,
    /// Identifies the clock that counts `since`, if the machine has several: a process in another time namespace
    /// reads another uptime at the same moment. 0 = the machine's own.
    pub namespace: u128,
    /// Time since that start, including suspension.
    pub since: Duration,
}
