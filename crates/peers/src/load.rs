//! Threads of this process that ask a stock in it, as a gateway does: each asks on while earlier acknowledgements are
//! under way, up to a number of them.

use std::collections::VecDeque;
use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use hdrhistogram::Histogram;

use crate::job::Job;
use crate::sample::Sample;
use crate::trouble::Trouble;

/// Acknowledgements under way of all threads together: one connection's worth each of fifty, fifty pipelines of 64, and
/// as many as the disk likes.
pub(crate) const IN_FLIGHT: [u64; 3] = [50, 3_200, 65_536];

/// A stock in this process.
pub(crate) trait Stock: Sync {
    /// One unit of the stock key with this number; the position that must be acknowledged, or nothing if none is left.
    fn reserve(&self, key: u64, reference: u64) -> Result<Option<u64>, Trouble>;
    /// Acknowledged up to here.
    fn acknowledged(&self) -> u64;
    /// Returns when this position is acknowledged.
    fn wait(&self, position: u64) -> Result<(), Trouble>;
    /// After the run: does the stock say the same as who was granted units?
    fn judge(&self, sample: &Sample) -> Result<(), Trouble>;
}

pub(crate) fn run(stock: &impl Stock, job: Job, in_flight: u64) -> Result<Sample, Trouble> {
    let barrier = Barrier::new(job.threads as usize);
    let clients: Result<Vec<Client>, Trouble> = thread::scope(|scope| {
        let workers: Vec<_> = (0..job.threads)
            .map(|thread| {
                let barrier = &barrier;
                scope.spawn(move || {
                    barrier.wait();
                    let mut client = Client::new(in_flight.div_ceil(job.threads));
                    client.ask(stock, job, thread << 32).map(|()| client)
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().expect("a thread that asks does not panic")).collect()
    });
    let clients = clients?;
    let began = clients.iter().map(|client| client.began).min().expect("there is a thread");
    let ended = clients.iter().map(|client| client.ended).max().expect("there is a thread");
    let mut sample = Sample { granted: 0, elapsed: ended - began, ack_ns: Sample::histogram() };
    for client in clients {
        sample.granted += client.granted;
        sample.ack_ns += &client.ack_ns;
    }
    stock.judge(&sample)?;
    Ok(sample)
}

struct Client {
    granted: u64,
    began: Instant,
    ended: Instant,
    in_flight_max: u64,
    under_way: VecDeque<(Instant, u64)>,
    ack_ns: Histogram<u64>,
}

/// Reserves between two looks at what is acknowledged.
const LOOK: u64 = 64;

impl Client {
    fn new(in_flight_max: u64) -> Client {
        let now = Instant::now();
        Client {
            granted: 0,
            began: now,
            ended: now,
            in_flight_max,
            under_way: VecDeque::with_capacity(in_flight_max as usize),
            ack_ns: Sample::histogram(),
        }
    }

    fn ask(&mut self, stock: &impl Stock, job: Job, first: u64) -> Result<(), Trouble> {
        let end = self.began + job.time;
        let mut called = self.began;
        while called < end && self.granted < job.share() {
            let reference = first + self.granted;
            let key = job.key_of(reference);
            let position = stock.reserve(key, reference)?.ok_or(Trouble::FalseRefusal { key })?;
            self.granted += 1;
            self.under_way.push_back((called, position));
            let full = self.under_way.len() as u64 >= self.in_flight_max;
            if full && let Some((_, oldest)) = self.under_way.front() {
                stock.wait(*oldest)?;
            }
            // One reading of the clock: it ends what was acknowledged and begins the next.
            called = Instant::now();
            if full || self.granted.is_multiple_of(LOOK) {
                self.look(stock.acknowledged(), called);
            }
        }
        if let Some((_, newest)) = self.under_way.back() {
            stock.wait(*newest)?;
        }
        self.ended = Instant::now();
        self.look(u64::MAX, self.ended);
        Ok(())
    }

    fn look(&mut self, acknowledged: u64, now: Instant) {
        while let Some((called, _)) = self.under_way.pop_front_if(|(_, position)| *position <= acknowledged) {
            self.ack_ns.saturating_record((now - called).as_nanos() as u64);
        }
    }
}
