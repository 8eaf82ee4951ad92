//! Engine time as all threads read it: the current line, in one atomic word.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::kept::KeptFile;
use super::steer::{self, SteerLine};
use super::{CLOCK_LAST, Clock, Look, Timestamp};
use crate::error::ClockError;

/// How far off the file `clock` may be while the engine runs: after a kill, engine time is wrong by as much.
const KEPT_SLACK_MS: u64 = 1_000;

/// A clock, steered.
pub(crate) struct EngineTime {
    clock: Arc<dyn Clock>,
    /// How far ahead the wall may be and still be followed.
    jump_max_ms: u64,
    /// Engine time stands still here.
    end: Timestamp,
    /// The current [`SteerLine`]. Not explored by loom: it is one word, and each line is swapped in for the
    /// one before.
    line: AtomicU64,
    watched: Mutex<Watched>,
    kept: Mutex<Option<KeptFile>>,
}

/// What is remembered from one look at the wall to the next.
#[derive(Clone, Copy)]
struct Watched {
    look: Look,
    /// Engine time then.
    engine: Timestamp,
    jumps: u64,
}

/// How engine time compares with the wall clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Standing {
    /// Engine time less the wall's.
    pub ahead_ms: i64,
    /// The wall is further ahead than is followed.
    pub unbelieved: bool,
    /// Jumps of the wall seen.
    pub jumps: u64,
}

impl fmt::Debug for EngineTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineTime").field("line", &self.line()).finish_non_exhaustive()
    }
}

impl EngineTime {
    /// Starts engine time. It continues from the file at `kept_at` if that is valid, else it is the wall's;
    /// never below `last`, the last time in the log. A wall that is out of range is no time to begin with: it
    /// can be set between the check of the configuration and now.
    pub(crate) fn begin(
        clock: Arc<dyn Clock>,
        jump_max: Duration,
        last: Timestamp,
        kept_at: Option<&Path>,
    ) -> EngineTime {
        let look = clock.look();
        let kept = kept_at.filter(|_| look.uptime.is_some()).and_then(|path| KeptFile::open(path).ok());
        let went_on = kept.as_ref().and_then(|kept| kept.believed(&look));
        let wall = if steer::is_in_range(look.wall) { look.wall } else { Timestamp::MIN };
        let engine = went_on.unwrap_or(wall).max(last);
        let jump_max_ms = super::millis_ceil(jump_max);
        let line = AtomicU64::new(SteerLine::begin(look.steady, engine).word());
        let watched = Mutex::new(Watched { look, engine, jumps: 0 });
        let end = CLOCK_LAST.max(last);
        let time = EngineTime { clock, jump_max_ms, end, line, watched, kept: Mutex::new(kept) };
        time.keep();
        time
    }

    fn line(&self) -> SteerLine {
        // Acquire: pairs with the Release of `swap`, so that the clock, which is read after the line, is not
        // earlier than it.
        SteerLine::of_word(self.line.load(Ordering::Acquire))
    }

    /// Swaps in the next line, if the one that it follows is still current.
    fn swap(&self, from: SteerLine, to: SteerLine) -> bool {
        // Release: the clock was read before; pairs with `line`. Relaxed: a caller that fails loads again.
        let swapped =
            self.line.compare_exchange(from.word(), to.word(), Ordering::Release, Ordering::Relaxed);
        swapped.is_ok()
    }

    /// Engine time: a load and the clock, and once in a period a look at the wall.
    pub(crate) fn now(&self) -> Timestamp {
        // The line first, then the clock: so the time is never from before the line was in place.
        let line = self.line();
        let steady = self.clock.now();
        let now = if line.covers(steady) { line.at(steady) } else { self.look() };
        now.min(self.end)
    }

    #[cold]
    fn look(&self) -> Timestamp {
        loop {
            let line = self.line();
            let look = self.clock.look();
            if line.covers(look.steady) {
                return line.at(look.steady);
            }
            // Another thread that is steering may be parked: then go on to the next period without steering.
            let watched = self.watched.try_lock();
            let next = match &watched {
                Some(watched) => watched.steer(line, &look, self.jump_max_ms),
                None => line.coast(look.steady),
            };
            if self.swap(line, next) {
                let engine = next.at(look.steady);
                if let Some(mut watched) = watched {
                    watched.saw(look, engine);
                }
                return engine;
            }
        }
    }

    /// Steps ahead to the wall, and returns by how much. Not to a wall that is out of range.
    pub(crate) fn accept(&self) -> Result<Duration, ClockError> {
        loop {
            let line = self.line();
            let look = self.clock.look();
            if !steer::is_in_range(look.wall) {
                return Err(ClockError::OutOfRange { wall: look.wall });
            }
            let before = line.step(look.steady, Timestamp(0)).at(look.steady);
            if self.swap(line, line.step(look.steady, look.wall)) {
                return Ok(look.wall.since(before));
            }
        }
    }

    /// How it stands to the wall now.
    pub(crate) fn standing(&self) -> Standing {
        let (engine, wall) = (self.now(), self.clock.look().wall);
        Standing {
            ahead_ms: steer::ahead_ms(engine, wall),
            unbelieved: steer::is_unbelieved(wall, engine, self.jump_max_ms),
            jumps: self.watched.lock().jumps,
        }
    }

    /// Keeps the file `clock` correct, to a second. May write to disk, so a decision must not call it; and
    /// only an engine that has locked its directory may.
    pub(crate) fn keep(&self) {
        if let Some(kept) = &mut *self.kept.lock() {
            self.keep_in(kept, KEPT_SLACK_MS);
        }
    }

    /// Makes the file `clock` exact and closes it: another engine may open the directory next.
    pub(crate) fn close(&self) {
        if let Some(mut kept) = self.kept.lock().take() {
            self.keep_in(&mut kept, 0);
        }
    }

    fn keep_in(&self, kept: &mut KeptFile, slack_ms: u64) {
        // Reads the time last: the file is rather ahead than behind, so that engine time does not fall.
        let (look, engine) = (self.clock.look(), self.now());
        kept.keep(&look, engine, slack_ms);
    }
}

impl Watched {
    /// The next line. If a clock runs backwards, which it must not, engine time stands still.
    fn steer(&self, line: SteerLine, look: &Look, jump_max_ms: u64) -> SteerLine {
        line.steer(look, jump_max_ms).step(look.steady, self.engine)
    }

    fn saw(&mut self, look: Look, engine: Timestamp) {
        self.jumps += u64::from(steer::has_jumped(&self.look, &look));
        (self.look, self.engine) = (look, engine);
    }
}

#[cfg(all(test, not(stockhold_loom)))]
mod tests {
    use std::thread;

    use super::*;

    const START_MS: u64 = 1_767_225_600_000;

    /// Goes on by a few milliseconds whenever anybody asks; its wall is anywhere.
    #[derive(Default)]
    struct Hasty {
        asked: AtomicU64,
    }

    impl Clock for Hasty {
        fn now(&self) -> Timestamp {
            Timestamp(START_MS + self.asked.fetch_add(7, Ordering::SeqCst))
        }

        fn look(&self) -> Look {
            let steady = self.now();
            let off_ms = (steady.0 >> 14).wrapping_mul(0x9e37_79b9_7f4a_7c15) % 200_000;
            Look { steady, wall: Timestamp(steady.0 + 100_000 - off_ms), uptime: None }
        }
    }

    #[test]
    fn time_handed_to_another_thread_is_not_later_than_what_that_one_reads() {
        let clock = Arc::new(Hasty::default());
        let begin = Timestamp(0);
        let time = EngineTime::begin(clock, Duration::from_secs(60), begin, None);
        let handed = AtomicU64::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for round in 0..20_000 {
                        let before = handed.load(Ordering::SeqCst);
                        if round % 5_000 == 4_999 {
                            time.accept().unwrap();
                        }
                        let now = time.now().0;
                        assert!(now >= before, "{now} after {before}");
                        handed.fetch_max(now, Ordering::SeqCst);
                    }
                });
            }
        });
        assert!(time.standing().jumps > 0);
    }

    #[test]
    fn a_reader_that_meets_another_looking_at_the_clock_goes_on_without_a_look() {
        let clock = Arc::new(super::super::ManualClock::new(Timestamp(START_MS)));
        let time = EngineTime::begin(clock.clone(), Duration::ZERO, Timestamp(START_MS + 60_000), None);
        let parked = time.watched.lock();
        clock.advance(Duration::from_secs(100));
        assert_eq!(time.now(), Timestamp(START_MS + 160_000), "without a look, it is not steered");
        drop(parked);
        clock.advance(Duration::from_secs(100));
        assert!(time.now() < Timestamp(START_MS + 260_000));
    }

    #[test]
    fn engine_time_stands_still_at_the_end_of_2078_and_follows_no_wall_beyond() {
        let clock = Arc::new(super::super::ManualClock::new(Timestamp(START_MS)));
        let time = EngineTime::begin(clock.clone(), Duration::MAX, Timestamp(0), None);
        let century = Duration::from_secs(100 * 366 * 86_400);
        for by in [century, Duration::MAX] {
            clock.advance(by);
            assert_eq!(time.now(), CLOCK_LAST);
            assert!(time.standing().unbelieved);
            let wall = clock.now();
            assert_eq!(time.accept(), Err(ClockError::OutOfRange { wall }));
            assert_eq!(time.now(), CLOCK_LAST);
        }
    }

    #[test]
    fn a_wall_out_of_range_is_no_time_to_begin_with() {
        struct WrongWall(Timestamp);
        impl Clock for WrongWall {
            fn now(&self) -> Timestamp {
                Timestamp(START_MS)
            }

            fn look(&self) -> Look {
                Look { steady: self.now(), wall: self.0, uptime: None }
            }
        }
        for wall in [Timestamp(0), CLOCK_LAST.plus(Duration::from_millis(1)), Timestamp(u64::MAX)] {
            for last in [Timestamp(START_MS - 1), CLOCK_LAST.plus(Duration::from_secs(1))] {
                let time = EngineTime::begin(Arc::new(WrongWall(wall)), Duration::MAX, last, None);
                assert_eq!(time.now(), last);
            }
        }
    }

    #[test]
    fn a_clock_that_runs_backwards_stands_still() {
        let wall = Arc::new(AtomicU64::new(START_MS));
        struct Naive(Arc<AtomicU64>);
        impl Clock for Naive {
            fn now(&self) -> Timestamp {
                Timestamp(self.0.load(Ordering::SeqCst))
            }
        }
        let time = EngineTime::begin(Arc::new(Naive(wall.clone())), Duration::ZERO, Timestamp(0), None);
        wall.store(START_MS + 10_000, Ordering::SeqCst);
        let before = time.now();
        wall.store(START_MS - 3_600_000, Ordering::SeqCst);
        assert_eq!(time.now(), before);
        wall.store(START_MS - 3_540_000, Ordering::SeqCst);
        let passed = time.now().since(before);
        assert!(passed >= Duration::from_secs(56) && passed <= Duration::from_secs(60), "{passed:?}");
    }
}
