//! One round: an engine, its shoppers, perhaps a restart, and the verdict.

use std::path::Path;
use std::time::{Duration, Instant};

use stockhold::{Engine, Receive, StockKey};
use stockhold_check::{Call, Cart, Event, Options, Recorder, Stopwatch, check, check_carts, judge};

use crate::audit::{audit, same};
use crate::clock::SharedClock;
use crate::held::{KEYS, SharedHolds};
use crate::mix::Mix;
use crate::shopper::{Shopper, ShopperState};
use crate::tally::Tally;
use stockhold_seeded::Rng;

/// The most "busy" answers in a hundred: no thread is stalled for long here, so more than this is a breach.
const BUSY_PERCENT_MAX: f64 = 5.0;

pub(crate) struct Round {
    pub mix: Mix,
    pub tally: Tally,
    /// The breaches, as sentences and windows.
    pub breaches: Vec<String>,
    /// The keys that could not be decided.
    pub undecided: Vec<String>,
    pub shopped: Duration,
    pub checked: Duration,
}

/// The state of a round that outlives a restart of its engine.
struct Shop {
    mix: Mix,
    stopwatch: Stopwatch,
    /// Records the calls of the main thread, which opens and closes the engine.
    recorder: Recorder,
    states: Vec<ShopperState>,
    complaints: Vec<String>,
}

impl Round {
    pub(crate) fn run(seed: u64, threads: u64) -> Result<Round, String> {
        let (stopwatch, mix) = (Stopwatch::new(), Mix::of(seed));
        let mut rng = Rng::new(seed ^ 1 << 63);
        let capacity = (mix.calls / threads * 2) as usize;
        let state = |_| ShopperState::new(rng.next(), Recorder::with_capacity(stopwatch, capacity));
        let states = (0..threads).map(state).collect();
        let mut shop =
            Shop { mix, stopwatch, recorder: Recorder::new(stopwatch), states, complaints: Vec::new() };
        let begin = Instant::now();
        let mut tally = match shop.mix.durability {
            None => shop.in_memory()?,
            Some(_) => shop.on_disk()?,
        };
        let shopped = begin.elapsed();
        let begin = Instant::now();
        let Shop { mix, recorder, states, complaints, .. } = shop;
        let (mut calls, mut carts) = (recorder.into_calls(), Vec::new());
        for state in states {
            tally += state.tally;
            calls.extend(state.recorder.into_calls());
            let cart = |held: crate::held::Held| Cart {
                hold: held.name(),
                keys: held.keys().map(|key| key as u32).collect(),
            };
            carts.extend(state.carts.into_iter().map(cart));
        }
        let (mut breaches, undecided) = verdict(&calls, &carts);
        breaches.extend(complaints);
        if tally.busy_percent() > BUSY_PERCENT_MAX {
            breaches.push(format!("busy in {} answers of {}", tally.busy, tally.calls));
        }
        Ok(Round { mix, tally, breaches, undecided, shopped, checked: begin.elapsed() })
    }
}

impl Shop {
    fn in_memory(&mut self) -> Result<Tally, String> {
        let config = self.mix.config().clock(SharedClock(self.stopwatch));
        let engine = Engine::in_memory(config).map_err(|error| error.to_string())?;
        let keys = self.stock(&engine)?;
        Ok(self.run_shoppers(&engine, &keys, self.mix.calls).1)
    }

    /// Runs the round on disk, with a restart in the middle and one at the end, which must change nothing.
    fn on_disk(&mut self) -> Result<Tally, String> {
        let scratch = tempfile::tempdir().map_err(|error| error.to_string())?;
        let directory = scratch.path().join("stock");
        let engine = self.open(&directory)?;
        let keys = self.stock(&engine)?;
        let (levels, mut tally) = self.run_shoppers(&engine, &keys, self.mix.calls / 2);
        close(engine)?;
        let engine = self.open(&directory)?;
        let after = self.audit_now(&engine, &keys);
        if !same(&levels, &after) {
            self.complaints.push(format!("a restart changed {levels:?}\ninto {after:?}"));
        }
        let (levels, again) = self.run_shoppers(&engine, &keys, self.mix.calls / 2);
        tally += again;
        close(engine)?;
        let after = self.open(&directory).map(|engine| self.audit_now(&engine, &keys))?;
        if !same(&levels, &after) {
            self.complaints.push(format!("a restart changed {levels:?}\ninto {after:?}"));
        }
        Ok(tally)
    }

    fn open(&self, directory: &Path) -> Result<Engine, String> {
        let config = self.mix.config().clock(SharedClock(self.stopwatch));
        let config = config.durability(self.mix.durability.unwrap_or_default());
        Engine::open(directory, config).map_err(|error| error.to_string())
    }

    fn stock(&mut self, engine: &Engine) -> Result<[StockKey; KEYS], String> {
        let mut keys = Vec::new();
        for (key, units) in self.mix.units().into_iter().enumerate() {
            let stock_key =
                engine.declare(&format!("sku-{key}"), "here").map_err(|error| error.to_string())?;
            let start_ns = self.recorder.now_ns();
            let received = engine.receive(Receive::units(stock_key, units));
            received.map_err(|error| error.to_string())?.not_yet_durable();
            let (key, end_ns) = (key as u32, self.recorder.now_ns());
            let event = Event::Receive { quantity: units.into() };
            self.recorder.record(Call { key, start_ns, end_ns, event });
            keys.push(stock_key);
        }
        keys.try_into().map_err(|_| "not so many keys".to_owned())
    }

    /// Runs all shoppers, waits until every hold is due, and audits.
    fn run_shoppers(
        &mut self,
        engine: &Engine,
        keys: &[StockKey; KEYS],
        calls: u64,
    ) -> (Vec<stockhold::Level>, Tally) {
        let (mix, shared_holds) = (&self.mix, SharedHolds::new());
        let states = std::mem::take(&mut self.states);
        let each = calls / states.len() as u64;
        std::thread::scope(|scope| {
            let shop = |state| {
                let shopper =
                    Shopper { engine, keys, shared_holds: &shared_holds, mix, state, stopped: None };
                scope.spawn(move || shopper.shop(each))
            };
            let threads: Vec<_> = states.into_iter().map(shop).collect();
            for thread in threads {
                match thread.join() {
                    Ok(mut state) => {
                        self.complaints.append(&mut state.complaints);
                        self.states.push(state);
                    }
                    Err(_) => self.complaints.push("a thread panicked in the engine".to_owned()),
                }
            }
        });
        std::thread::sleep(mix.quiet_after());
        let levels = self.audit_now(engine, keys);
        let metrics = engine.metrics();
        (levels, Tally { expired: metrics.expired, beaten: metrics.voided, ..Tally::default() })
    }

    /// Sweeps and audits, while no shopper runs.
    fn audit_now(&mut self, engine: &Engine, keys: &[StockKey; KEYS]) -> Vec<stockhold::Level> {
        engine.sweep();
        let recorders = self.states.iter().map(|state| &state.recorder).chain([&self.recorder]);
        let calls: Vec<Call> = recorders.flat_map(|recorder| recorder.clone().into_calls()).collect();
        let mut shipped = [0; KEYS];
        for state in &self.states {
            shipped = std::array::from_fn(|key| shipped[key] + state.shipped[key]);
        }
        audit(engine, keys, &calls, &shipped, &mut self.recorder, &mut self.complaints)
    }
}

fn close(engine: Engine) -> Result<(), String> {
    engine.shutdown().map_err(|error| error.to_string())
}

/// Returns the breaches, and the keys that were not decided. The hot key takes as long as all others
/// together.
fn verdict(calls: &[Call], carts: &[Cart]) -> (Vec<String>, Vec<String>) {
    let (mut breaches, mut undecided) = (Vec::new(), Vec::new());
    let (hot, others): (Vec<Call>, Vec<Call>) = calls.iter().partition(|call| call.key == 0);
    let (parts, torn, verdict) = std::thread::scope(|scope| {
        let part = |part: Vec<Call>| scope.spawn(move || check(&part, &Options::default()));
        let parts = [part(hot), part(others)];
        let (torn, verdict) = (check_carts(calls, carts), judge(calls));
        (parts.map(|part| part.join()), torn, verdict)
    });
    for part in parts {
        match part {
            Ok(part) => {
                breaches.extend(part.broken.iter().map(|window| window.to_string()));
                let why = |key: &stockhold_check::Undecided| {
                    format!("key {}, from {} ns on: {}", key.key, key.at_ns, key.why)
                };
                undecided.extend(part.undecided.iter().map(why));
            }
            Err(_) => undecided.push("the judge panicked".to_owned()),
        }
    }
    breaches.extend(torn.iter().map(|torn| torn.to_string()));
    if !verdict.is_clean() {
        breaches.push(format!("{verdict:#?}"));
    }
    (breaches, undecided)
}
