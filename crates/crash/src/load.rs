//! The load: threads that request every operation on holds, and write to a witness each request and, once it
//! is durable, its answer.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use stockhold::{Config, Engine, HoldState, Position, StockKey};

use crate::operation::{Answer, Answered, KEYS, Lines, Operation, Reply, declare};
use crate::options::Options;
use crate::witness::Message;
use stockhold_seeded::Rng;

/// Threads that send requests.
pub(crate) const WORKERS: u64 = 2;
/// Keys of small reserves; their stock is small, so that some are refused.
const SMALL_KEYS: u64 = 6;
/// A worker with more holds than this ends some.
const HOLDS_MAX: usize = 24;
/// With this many pallets in a hundred reserves, there is stock for them, and bursts are long: then groups
/// have several chunks, and segments of the log fill.
pub(crate) const HEAVY: u64 = 80;
/// The smallest size, so that checkpoints are made and the log is cut often; some checkpoints are also
/// requested.
const CHECKPOINT_BYTES: usize = 64 << 10;
const CHECKPOINTS_PERCENT: u64 = 3;
/// Short enough that holds expire within a run.
const TTL_SHORT_MS: (u64, u64) = (5, 80);
const TTL_LONG_MS: u64 = 3_600_000;

pub(crate) const USAGE: &str = "\
Requests every operation on holds from an engine, and writes the requests and answers to standard output.

usage: stockhold-crash load --dir D [--seed N] [--run N] [--operations N] [--sessions N] [--pallets N]
                            [--abrupt N] [--leave-after-us N]";

/// Runs the load as a process; true at its end.
pub(crate) fn run(options: &Options) -> Result<bool, String> {
    let load = Load {
        dir: options.needed("--dir")?.into(),
        seed: options.seed()?,
        run: options.number("--run", 0)?,
        operations: options.number("--operations", 100)?,
        sessions: options.number("--sessions", 1)?,
        pallets: options.number("--pallets", 3)?,
        abrupt: options.number("--abrupt", 0)? > 0,
    };
    let leave_after_us = options.number("--leave-after-us", 0)?;
    if leave_after_us > 0 {
        thread::spawn(move || {
            thread::sleep(Duration::from_micros(leave_after_us));
            std::process::exit(0);
        });
    }
    load.run().map(|()| true)
}

/// One process of the load.
#[derive(Clone, Debug)]
struct Load {
    pub(crate) dir: PathBuf,
    pub(crate) seed: u64,
    /// The number of the process on this directory: no two make the same choices.
    pub(crate) run: u64,
    /// Operations of each worker in each session; 0 is without end.
    pub(crate) operations: u64,
    /// How often the directory is opened, used and closed.
    pub(crate) sessions: u64,
    /// How many reserves in a hundred are pallets, which fill the log's segments.
    pub(crate) pallets: u64,
    /// The last session ends without closing the engine.
    pub(crate) abrupt: bool,
}

/// The pipe to the witness: standard output, unbuffered.
struct Output(Mutex<File>);

impl Output {
    fn write(&self, lines: &[Message]) -> Result<(), String> {
        let mut file = self.0.lock().map_err(|_| "a worker panicked")?;
        Message::write(lines, &mut *file).map_err(|error| format!("the witness is gone: {error}"))
    }
}

impl Load {
    /// Runs all sessions.
    fn run(&self) -> Result<(), String> {
        let stdout = io::stdout().as_fd().try_clone_to_owned().map_err(|error| error.to_string())?;
        let output = Output(Mutex::new(File::from(stdout)));
        for session in 0..self.sessions {
            output.write(&[Message::Opening])?;
            let config = Config::default().ring_bytes(1 << 20).checkpoint_bytes(CHECKPOINT_BYTES);
            let engine = Engine::open(&self.dir, config).map_err(|error| format!("opening: {error}"))?;
            output.write(&[Message::Opened(engine.report().to_string())])?;
            let keys = declare(&engine)?;
            thread::scope(|scope| {
                let workers: Vec<_> = (0..WORKERS)
                    .map(|number| {
                        let (engine, keys, output) = (&engine, &keys[..], &output);
                        scope.spawn(move || self.work(session, number, engine, keys, output))
                    })
                    .collect();
                workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| "a worker panicked")?)
            })?;
            engine.shutdown().map_err(|error| error.to_string())?;
            output.write(&[Message::Closed])?;
        }
        Ok(())
    }

    fn work(
        &self,
        session: u64,
        number: u64,
        engine: &Engine,
        keys: &[StockKey],
        output: &Output,
    ) -> Result<(), String> {
        let stream = (self.run << 8 | session) << 4 | number;
        let mut worker = Worker {
            rng: Rng::stream(self.seed, stream),
            reference: format!("worker-{number}"),
            holds: Vec::new(),
            pallets: self.pallets,
        };
        worker.remember(engine);
        let (mut operation, mut burst) = (0, Vec::new());
        let heavy = self.pallets >= HEAVY;
        let mut first: Vec<_> = if heavy && stream == 0 { stock() } else { Vec::new() };
        while self.operations == 0 || operation < self.operations {
            let burst_max = if heavy { 400 } else { 30 };
            let together = match first.len() {
                0 if worker.rng.percent(15) => worker.rng.between(2, burst_max),
                0 => 1,
                stock => stock as u64,
            };
            // Written together and then requested together, so that the log gets them together.
            let requested: Vec<_> = (operation..operation + together)
                .map(|operation| (stream << 20 | operation, first.pop().unwrap_or_else(|| worker.choose())))
                .collect();
            operation += together;
            let lines: Vec<_> =
                requested.iter().map(|(id, operation)| Message::Requested(*id, operation.clone())).collect();
            output.write(&lines)?;
            for (id, operation) in requested {
                let reply = operation.request(engine, keys, id)?;
                worker.learn(&operation, &reply);
                burst.push((id, reply));
            }
            let last = burst.iter().filter_map(|(_, reply)| match reply {
                Reply::Done(answered) => Some(Position(answered.position)),
                Reply::Declined(_) => None,
            });
            if let Some(last) = last.max() {
                engine.wait(last).map_err(|error| error.to_string())?;
            }
            if worker.rng.percent(CHECKPOINTS_PERCENT) {
                engine.checkpoint().map_err(|error| error.to_string())?;
            }
            let lines: Vec<_> = burst
                .drain(..)
                .map(|(id, reply)| match reply {
                    Reply::Done(answered) => Message::Answered(id, answered),
                    Reply::Declined(_) => Message::Declined(id),
                })
                .collect();
            output.write(&lines)?;
        }
        if self.abrupt && session + 1 == self.sessions && number == 0 {
            std::process::exit(0);
        }
        Ok(())
    }
}

/// The stock for pallets.
fn stock() -> Vec<Operation> {
    (0..KEYS).map(|key| Operation::Receive { key, units: 5_000 }).collect()
}

/// A hold as its worker knows it.
struct OwnHold {
    hold: u128,
    state: HoldState,
    units: u32,
    is_cart: bool,
}

struct Worker {
    rng: Rng,
    reference: String,
    holds: Vec<OwnHold>,
    pallets: u64,
}

impl Worker {
    /// Loads the worker's holds from the engine that was opened.
    fn remember(&mut self, engine: &Engine) {
        self.holds = engine
            .holds_of(&self.reference)
            .into_iter()
            .map(|status| OwnHold {
                hold: status.hold.to_u128(),
                state: status.state,
                units: status.quantity,
                is_cart: status.lines.len() > 1,
            })
            .collect();
        // In an order that does not depend on their places in memory.
        self.holds.sort_by_key(|own| own.hold);
    }

    fn choose(&mut self) -> Operation {
        let many = self.holds.len() > HOLDS_MAX;
        if !self.holds.is_empty() && self.rng.percent(if many { 85 } else { 50 }) {
            let own = self.rng.index(self.holds.len());
            return self.next_step(own, many);
        }
        if self.rng.percent(15) {
            let key = self.rng.below(SMALL_KEYS) as u32;
            let units = self.rng.between(1, 12) as u32;
            return Operation::Receive { key, units };
        }
        let lines = if self.rng.percent(self.pallets) {
            // The keys behind the scarce ones have enough stock, or none.
            Lines::Pallet(self.rng.between(100, u64::from(KEYS) - SMALL_KEYS) as u32)
        } else {
            let count = if self.rng.percent(30) { self.rng.between(2, 4) } else { 1 };
            // One line for each key: a cart adds up two lines of one key.
            let first = self.rng.below(SMALL_KEYS);
            let line = |line| ((first + line) as u32 % SMALL_KEYS as u32, self.rng.between(1, 5) as u32);
            Lines::These((0..count).map(line).collect())
        };
        let ttl_ms = match self.rng.percent(35) {
            true => self.rng.between(TTL_SHORT_MS.0, TTL_SHORT_MS.1),
            false => TTL_LONG_MS,
        };
        let remember = self.rng.percent(30);
        Operation::Reserve { lines, ttl_ms, remember, reference: self.reference.clone() }
    }

    /// Chooses the next step of a hold; if there are many holds, one that ends it.
    fn next_step(&mut self, own: usize, many: bool) -> Operation {
        let OwnHold { hold, state, units, is_cart } = self.holds[own];
        let part = (!is_cart && units > 1).then(|| self.rng.between(1, u64::from(units) - 1) as u32);
        let part = part.filter(|_| self.rng.percent(30));
        match state {
            HoldState::Confirmed if self.rng.percent(80) => Operation::Ship { hold, units: part },
            HoldState::Confirmed => Operation::Cancel { hold },
            HoldState::Expired => Operation::Confirm { hold, units: None, retake: true },
            _ => match self.rng.below(if many { 5 } else { 9 }) {
                0..=2 => Operation::Confirm { hold, units: part, retake: self.rng.percent(30) },
                3 | 4 => Operation::Release { hold },
                5 => Operation::Pay { hold },
                6 if !is_cart => Operation::Replace { hold, units: self.rng.between(1, 6) as u32 },
                _ => {
                    let ttl_ms =
                        if self.rng.percent(50) { self.rng.between(20, 200) } else { 2 * TTL_LONG_MS };
                    Operation::Extend { hold, ttl_ms }
                }
            },
        }
    }

    fn learn(&mut self, operation: &Operation, reply: &Reply) {
        let hold = match operation {
            Operation::Receive { .. } => return,
            Operation::Reserve { lines, .. } => {
                if let Reply::Done(Answered { answer: Answer::Granted { hold, units, .. }, .. }) = reply {
                    let is_cart = lines.list().len() > 1;
                    self.holds.push(OwnHold {
                        hold: *hold,
                        state: HoldState::Active,
                        units: *units,
                        is_cart,
                    });
                }
                return;
            }
            Operation::Confirm { hold, .. }
            | Operation::Release { hold }
            | Operation::Extend { hold, .. }
            | Operation::Pay { hold }
            | Operation::Ship { hold, .. }
            | Operation::Cancel { hold }
            | Operation::Replace { hold, .. } => *hold,
        };
        let Some(index) = self.holds.iter().position(|own| own.hold == hold) else { return };
        let own = &mut self.holds[index];
        match reply {
            Reply::Done(Answered { answer: Answer::Confirmed { units, .. }, .. }) => {
                (own.state, own.units) = (HoldState::Confirmed, *units);
            }
            Reply::Done(Answered { answer: Answer::Moved { remaining, .. }, .. }) => {
                own.units = *remaining;
                if *remaining == 0 {
                    self.holds.swap_remove(index);
                }
            }
            Reply::Done(Answered { answer: Answer::Replaced { units, .. }, .. }) => own.units = *units,
            Reply::Done(_) => {}
            // It has expired or was confirmed: only a late confirm may still succeed.
            Reply::Declined(_) if own.state == HoldState::Active => own.state = HoldState::Expired,
            Reply::Declined(_) => drop(self.holds.swap_remove(index)),
        }
    }
}
