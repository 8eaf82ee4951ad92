//! Measures durations by the clock and by the processor time of the calling thread, which other load disturbs
//! less.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

pub struct Stopwatch {
    began: Instant,
    cpu_began: Duration,
}

/// The nanoseconds of one operation.
#[derive(Clone, Copy, Debug, Default)]
pub struct Took {
    pub wall_ns: f64,
    pub cpu_ns: f64,
}

impl Stopwatch {
    pub fn start() -> Self {
        Stopwatch { began: Instant::now(), cpu_began: cpu() }
    }

    /// The time of each of `count` operations.
    pub fn each(&self, count: usize) -> Took {
        let cpu = cpu() - self.cpu_began;
        let wall = self.began.elapsed();
        let each = |time: Duration| time.as_nanos() as f64 / count as f64;
        Took { wall_ns: each(wall), cpu_ns: each(cpu) }
    }
}

fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

pub fn median(numbers: impl IntoIterator<Item = f64>) -> f64 {
    let mut numbers: Vec<f64> = numbers.into_iter().collect();
    numbers.sort_unstable_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(f64::NAN)
}
