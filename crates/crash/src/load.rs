//! The real program: threads that ask for everything a hold can go through, and say to a witness what they ask and,
//! once it is durable, what they were told.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use stockhold::{Config, Engine, HoldState, Position, StockKey};

use crate::errand::{Answer, Errand, KEYS, Lines, Reply, Told, declare};
use crate::options::Options;
use crate::witness::Line;
use stockhold_seeded::Rng;

/// Threads that ask.
pub(crate) const WORKERS: u64 = 2;
/// Keys of small reserves; scarce, so that some are refused.
const SMALL_KEYS: u64 = 6;
/// A worker with more holds than this ends some.
const HOLDS_MAX: usize = 24;
/// With so many pallets in a hundred reserves there is stock for them, and many are asked for at once: then groups have
/// several chunks, and segments of the log fill.
pub(crate) const HEAVY: u64 = 80;
/// As few as can be, so that checkpoints and cuts of the log come often; more are asked for.
const CHECKPOINT_BYTES: usize = 64 << 10;
const CHECKPOINTS_PERCENT: u64 = 3;
/// Short enough that holds expire within a run.
const TTL_SHORT_MS: (u64, u64) = (5, 80);
const TTL_LONG_MS: u64 = 3_600_000;

pub(crate) const USAGE: &str = "\
Asks an engine for everything a hold can go through, and says on standard output what it asks and is told.

usage: stockhold-crash load --dir D [--seed N] [--run N] [--errands N] [--sessions N] [--pallets N] [--abrupt N]
                            [--leave-after-us N]";

/// Runs it as a process; true at its end.
pub(crate) fn run(options: &Options) -> Result<bool, String> {
    let load = Load {
        dir: options.needed("--dir")?.into(),
        seed: options.seed()?,
        run: options.number("--run", 0)?,
        errands: options.number("--errands", 100)?,
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

/// One process of it.
#[derive(Clone, Debug)]
struct Load {
    pub(crate) dir: PathBuf,
    pub(crate) seed: u64,
    /// Which process on this directory it is: no two make the same choices.
    pub(crate) run: u64,
    /// Errands of each worker in each session; 0 is without end.
    pub(crate) errands: u64,
    /// The directory is opened, used and closed so often.
    pub(crate) sessions: u64,
    /// How many reserves in a hundred are pallets, which fill the log's segments.
    pub(crate) pallets: u64,
    /// The last session ends in the middle of everything.
    pub(crate) abrupt: bool,
}

/// To whom lines are said: standard output, unbuffered.
struct Mouth(Mutex<File>);

impl Mouth {
    fn say(&self, lines: &[Line]) -> Result<(), String> {
        let mut file = self.0.lock().map_err(|_| "a worker panicked")?;
        Line::write(lines, &mut *file).map_err(|error| format!("nobody listens: {error}"))
    }
}

impl Load {
    /// Runs it.
    fn run(&self) -> Result<(), String> {
        let stdout = io::stdout().as_fd().try_clone_to_owned().map_err(|error| error.to_string())?;
        let mouth = Mouth(Mutex::new(File::from(stdout)));
        for session in 0..self.sessions {
            mouth.say(&[Line::Opening])?;
            let config = Config::default().ring_bytes(1 << 20).checkpoint_bytes(CHECKPOINT_BYTES);
            let engine = Engine::open(&self.dir, config).map_err(|error| format!("opening: {error}"))?;
            mouth.say(&[Line::Opened(engine.report().to_string())])?;
            let keys = declare(&engine)?;
            thread::scope(|scope| {
                let workers: Vec<_> = (0..WORKERS)
                    .map(|number| {
                        let (engine, keys, mouth) = (&engine, &keys[..], &mouth);
                        scope.spawn(move || self.work(session, number, engine, keys, mouth))
                    })
                    .collect();
                workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| "a worker panicked")?)
            })?;
            engine.shutdown().map_err(|error| error.to_string())?;
            mouth.say(&[Line::Closed])?;
        }
        Ok(())
    }

    fn work(
        &self,
        session: u64,
        number: u64,
        engine: &Engine,
        keys: &[StockKey],
        mouth: &Mouth,
    ) -> Result<(), String> {
        let stream = (self.run << 8 | session) << 4 | number;
        let mut worker = Worker {
            rng: Rng::stream(self.seed, stream),
            reference: format!("worker-{number}"),
            holds: Vec::new(),
            pallets: self.pallets,
        };
        worker.remember(engine);
        let (mut errand, mut burst) = (0, Vec::new());
        let heavy = self.pallets >= HEAVY;
        let mut first: Vec<_> = if heavy && stream == 0 { stock() } else { Vec::new() };
        while self.errands == 0 || errand < self.errands {
            let burst_max = if heavy { 400 } else { 30 };
            let together = match first.len() {
                0 if worker.rng.percent(15) => worker.rng.between(2, burst_max),
                0 => 1,
                stock => stock as u64,
            };
            // Said together and then asked together, so that the log meets them together.
            let asked: Vec<_> = (errand..errand + together)
                .map(|errand| (stream << 20 | errand, first.pop().unwrap_or_else(|| worker.choose())))
                .collect();
            errand += together;
            let lines: Vec<_> = asked.iter().map(|(id, errand)| Line::Asked(*id, errand.clone())).collect();
            mouth.say(&lines)?;
            for (id, errand) in asked {
                let reply = errand.ask(engine, keys, id)?;
                worker.learn(&errand, &reply);
                burst.push((id, reply));
            }
            let last = burst.iter().filter_map(|(_, reply)| match reply {
                Reply::Yes(told) => Some(Position(told.position)),
                Reply::No(_) => None,
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
                    Reply::Yes(told) => Line::Told(id, told),
                    Reply::No(_) => Line::Declined(id),
                })
                .collect();
            mouth.say(&lines)?;
        }
        if self.abrupt && session + 1 == self.sessions && number == 0 {
            std::process::exit(0);
        }
        Ok(())
    }
}

/// What pallets are made of.
fn stock() -> Vec<Errand> {
    (0..KEYS).map(|key| Errand::Receive { key, units: 5_000 }).collect()
}

/// A hold as its worker knows it.
struct Own {
    hold: u128,
    state: HoldState,
    units: u32,
    is_cart: bool,
}

struct Worker {
    rng: Rng,
    reference: String,
    holds: Vec<Own>,
    pallets: u64,
}

impl Worker {
    /// Takes up what it had before the engine was opened.
    fn remember(&mut self, engine: &Engine) {
        self.holds = engine
            .holds_of(&self.reference)
            .into_iter()
            .map(|status| Own {
                hold: status.hold.to_u128(),
                state: status.state,
                units: status.quantity,
                is_cart: status.lines.len() > 1,
            })
            .collect();
        // In an order that does not depend on where the holds stand in memory.
        self.holds.sort_by_key(|own| own.hold);
    }

    fn choose(&mut self) -> Errand {
        let many = self.holds.len() > HOLDS_MAX;
        if !self.holds.is_empty() && self.rng.percent(if many { 85 } else { 50 }) {
            let own = self.rng.index(self.holds.len());
            return self.go_on(own, many);
        }
        if self.rng.percent(15) {
            let key = self.rng.below(SMALL_KEYS) as u32;
            let units = self.rng.between(1, 12) as u32;
            return Errand::Receive { key, units };
        }
        let lines = if self.rng.percent(self.pallets) {
            // Behind the scarce ones there is enough, if there is any.
            Lines::Pallet(self.rng.between(100, u64::from(KEYS) - SMALL_KEYS) as u32)
        } else {
            let count = if self.rng.percent(30) { self.rng.between(2, 4) } else { 1 };
            // One line a key: a cart adds up what it is asked for twice.
            let first = self.rng.below(SMALL_KEYS);
            let line = |line| ((first + line) as u32 % SMALL_KEYS as u32, self.rng.between(1, 5) as u32);
            Lines::These((0..count).map(line).collect())
        };
        let ttl_ms = match self.rng.percent(35) {
            true => self.rng.between(TTL_SHORT_MS.0, TTL_SHORT_MS.1),
            false => TTL_LONG_MS,
        };
        let remember = self.rng.percent(30);
        Errand::Reserve { lines, ttl_ms, remember, reference: self.reference.clone() }
    }

    /// A next step for a hold; one that ends it, if there are many.
    fn go_on(&mut self, own: usize, many: bool) -> Errand {
        let Own { hold, state, units, is_cart } = self.holds[own];
        let part = (!is_cart && units > 1).then(|| self.rng.between(1, u64::from(units) - 1) as u32);
        let part = part.filter(|_| self.rng.percent(30));
        match state {
            HoldState::Confirmed if self.rng.percent(80) => Errand::Ship { hold, units: part },
            HoldState::Confirmed => Errand::Cancel { hold },
            HoldState::Expired => Errand::Confirm { hold, units: None, retake: true },
            _ => match self.rng.below(if many { 5 } else { 9 }) {
                0..=2 => Errand::Confirm { hold, units: part, retake: self.rng.percent(30) },
                3 | 4 => Errand::Release { hold },
                5 => Errand::Pay { hold },
                6 if !is_cart => Errand::Replace { hold, units: self.rng.between(1, 6) as u32 },
                _ => {
                    let ttl_ms =
                        if self.rng.percent(50) { self.rng.between(20, 200) } else { 2 * TTL_LONG_MS };
                    Errand::Extend { hold, ttl_ms }
                }
            },
        }
    }

    fn learn(&mut self, errand: &Errand, reply: &Reply) {
        let hold = match errand {
            Errand::Receive { .. } => return,
            Errand::Reserve { lines, .. } => {
                if let Reply::Yes(Told { answer: Answer::Granted { hold, units, .. }, .. }) = reply {
                    let is_cart = lines.list().len() > 1;
                    self.holds.push(Own { hold: *hold, state: HoldState::Active, units: *units, is_cart });
                }
                return;
            }
            Errand::Confirm { hold, .. }
            | Errand::Release { hold }
            | Errand::Extend { hold, .. }
            | Errand::Pay { hold }
            | Errand::Ship { hold, .. }
            | Errand::Cancel { hold }
            | Errand::Replace { hold, .. } => *hold,
        };
        let Some(index) = self.holds.iter().position(|own| own.hold == hold) else { return };
        let own = &mut self.holds[index];
        match reply {
            Reply::Yes(Told { answer: Answer::Confirmed { units, .. }, .. }) => {
                (own.state, own.units) = (HoldState::Confirmed, *units);
            }
            Reply::Yes(Told { answer: Answer::Moved { remaining, .. }, .. }) => {
                own.units = *remaining;
                if *remaining == 0 {
                    self.holds.swap_remove(index);
                }
            }
            Reply::Yes(Told { answer: Answer::Replaced { units, .. }, .. }) => own.units = *units,
            Reply::Yes(_) => {}
            // It has expired, or it was paid for: only a late payment may still come.
            Reply::No(_) if own.state == HoldState::Active => own.state = HoldState::Expired,
            Reply::No(_) => drop(self.holds.swap_remove(index)),
        }
    }
}
