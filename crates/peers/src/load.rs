//! Worker threads that reserve from a stock in this process, as a gateway does: each goes on while earlier
//! acknowledgements are pending, up to a number of them.

use std::collections::VecDeque;
use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use hdrhistogram::Histogram;

use crate::error::PeerError;
use crate::job::Job;
use crate::sample::Sample;

/// Pending acknowledgements of all threads together: as for fifty connections, for fifty pipelines of 64, and
/// enough for the disk.
pub(crate) const IN_FLIGHT: [u64; 3] = [50, 3_200, 65_536];

/// A stock in this process.
pub(crate) trait Stock: Sync {
    /// Reserves one unit of the stock key with this number. Returns the position to be acknowledged, or
    /// `None` if the key is sold out.
    fn reserve(&self, key: u64, reference: u64) -> Result<Option<u64>, PeerError>;
    /// The position up to which all is acknowledged.
    fn acknowledged(&self) -> u64;
    /// Returns when this position is acknowledged.
    fn wait(&self, position: u64) -> Result<(), PeerError>;
    /// Checks after the run that the stock agrees with the granted units.
    fn judge(&self, sample: &Sample) -> Result<(), PeerError>;
}

pub(crate) fn run(stock: &impl Stock, job: Job, in_flight: u64) -> Result<Sample, PeerError> {
    let barrier = Barrier::new(job.threads as usize);
    let workers: Result<Vec<Worker>, PeerError> = thread::scope(|scope| {
        let workers: Vec<_> = (0..job.threads)
            .map(|thread| {
                let barrier = &barrier;
                scope.spawn(move || {
                    barrier.wait();
                    let mut worker = Worker::new(in_flight.div_ceil(job.threads));
                    worker.run(stock, job, thread << 32).map(|()| worker)
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().expect("worker threads do not panic")).collect()
    });
    let workers = workers?;
    let began = workers.iter().map(|worker| worker.began).min().expect("there is a thread");
    let ended = workers.iter().map(|worker| worker.ended).max().expect("there is a thread");
    let mut sample = Sample { granted: 0, elapsed: ended - began, ack_ns: Sample::histogram() };
    for worker in workers {
        sample.granted += worker.granted;
        sample.ack_ns += &worker.ack_ns;
    }
    stock.judge(&sample)?;
    Ok(sample)
}

struct Worker {
    granted: u64,
    began: Instant,
    ended: Instant,
    in_flight_max: u64,
    under_way: VecDeque<(Instant, u64)>,
    ack_ns: Histogram<u64>,
}

/// Reserves between two checks of what is acknowledged.
const CHECK_EACH: u64 = 64;

impl Worker {
    fn new(in_flight_max: u64) -> Worker {
        let now = Instant::now();
        Worker {
            granted: 0,
            began: now,
            ended: now,
            in_flight_max,
            under_way: VecDeque::with_capacity(in_flight_max as usize),
            ack_ns: Sample::histogram(),
        }
    }

    fn run(&mut self, stock: &impl Stock, job: Job, first: u64) -> Result<(), PeerError> {
        let end = self.began + job.time;
        let mut called = self.began;
        while called < end && self.granted < job.share() {
            let reference = first + self.granted;
            let key = job.key_of(reference);
            let position = stock.reserve(key, reference)?.ok_or(PeerError::FalseRefusal { key })?;
            self.granted += 1;
            self.under_way.push_back((called, position));
            let full = self.under_way.len() as u64 >= self.in_flight_max;
            if full && let Some((_, oldest)) = self.under_way.front() {
                stock.wait(*oldest)?;
            }
            // One reading of the clock, for the end of the acknowledged calls and for the start of the next.
            called = Instant::now();
            if full || self.granted.is_multiple_of(CHECK_EACH) {
                self.record_acknowledged(stock.acknowledged(), called);
            }
        }
        if let Some((_, newest)) = self.under_way.back() {
            stock.wait(*newest)?;
        }
        self.ended = Instant::now();
        self.record_acknowledged(u64::MAX, self.ended);
        Ok(())
    }

    fn record_acknowledged(&mut self, acknowledged: u64, now: Instant) {
        while let Some((called, _)) = self.under_way.pop_front_if(|(_, position)| *position <= acknowledged) {
            self.ack_ns.saturating_record((now - called).as_nanos() as u64);
        }
    }
}
