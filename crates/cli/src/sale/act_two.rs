//! Act two: a child process decides as fast as it can, is killed with SIGKILL at a moment drawn from the seed, and
//! everything that it acknowledged must be found. Then the rest is finished and everything is checked once more.
//!
//! The parent believes only what came through the pipe, and a frame comes through only when its decisions are durable.
//! This says nothing about a loss of power: what the child handed to the operating system outlives the child.

use std::collections::HashSet;
use std::io::BufReader;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use stockhold::error::NameError;
use stockhold::{Engine, Receive, StockKey};

use super::act_one::{Fate, Purchase};
use super::audit::{Audit, Told};
use super::child::{READY, arguments};
use super::errands::{BATCHES_IN_FLIGHT, Errands, Scale};
use super::frames::{Batch, What};
use super::picture::{bar, during};
use super::receipt::SecondAct;
use super::shoppers::shares;
use super::{Place, Stage, sku};
use crate::exit::Trouble;
use crate::figure::thousands;
use stockhold_seeded::Rng;

/// Where the stock of act two lies, apart from that of act one.
pub(crate) const LOCATION: &str = "act-two";

/// The kill comes when this share of the decisions has been acknowledged, to the highest, and a moment more.
const KILL_AFTER: (f64, f64) = (0.1, 0.85);
const MOMENT_US_MAX: u64 = 3_000;

/// The stock keys of act two.
pub(crate) fn declare(engine: &Engine, skus: u32) -> Result<Vec<StockKey>, NameError> {
    (0..skus).map(|number| engine.declare(&sku(number), LOCATION)).collect()
}

/// Runs it, on disk with a kill, or in memory without.
pub(crate) fn run(stage: &Stage, stop: &AtomicBool) -> Result<SecondAct, Trouble> {
    let scale = Scale { seed: stage.crowd.seed, skus: stage.crowd.skus, decisions: stage.second_act };
    let mut act = Act { stage, scale, stop, batches: Vec::new(), receipt: SecondAct::default() };
    match &stage.place {
        Place::Memory => act.without_a_kill()?,
        Place::Directory(dir) => act.with_a_kill(dir)?,
    }
    Ok(act.receipt)
}

struct Act<'a> {
    stage: &'a Stage,
    scale: Scale,
    stop: &'a AtomicBool,
    /// By number: what can be relied on.
    batches: Vec<Option<Batch>>,
    receipt: SecondAct,
}

impl Act<'_> {
    fn without_a_kill(&mut self) -> Result<(), Trouble> {
        let engine = Engine::in_memory(self.stage.config())?;
        let keys = self.stock(&engine)?;
        let busy_for = self.finish(&engine, &keys)?;
        self.count(busy_for);
        let mut audit = Audit::default();
        self.holds(&engine, &mut audit);
        self.levels(&engine, &keys, &mut audit, true);
        self.judge_doubles();
        self.conclude(audit);
        shut(engine)
    }

    fn with_a_kill(&mut self, dir: &Path) -> Result<(), Trouble> {
        let engine = Engine::open(dir, self.stage.config())?;
        self.stock(&engine)?;
        shut(engine)?;

        let busy_for = self.kill_a_child(dir)?;
        let acknowledged = self.decisions();
        self.receipt.decisions_before_kill = acknowledged;

        let opening = Instant::now();
        let engine = Engine::open(dir, self.stage.config())?;
        self.receipt.recovery_ms = opening.elapsed().as_millis() as u64;
        self.receipt.records_recovered = engine.report().records;
        self.receipt.cut_bytes = engine.report().cut_bytes;
        let keys = declare(&engine, self.scale.skus).map_err(environment)?;

        // What was acknowledged before the kill, and nothing else is known yet.
        let mut audit = Audit::default();
        self.holds(&engine, &mut audit);
        self.receipt.acknowledged_before_kill = audit.found + audit.lost;
        self.receipt.found_after_kill = audit.found;
        self.levels(&engine, &keys, &mut audit, false);
        self.conclude(audit);

        let known = self.batches.len() as u32;
        let more_for = self.finish(&engine, &keys)?;
        self.count(busy_for + more_for);
        self.judge_doubles();
        self.asked_twice(&engine, known);
        shut(engine)?;

        // Once more from disk, with everything known.
        let engine = Engine::open(dir, self.stage.config())?;
        let mut audit = Audit::default();
        self.holds(&engine, &mut audit);
        self.levels(&engine, &keys, &mut audit, !self.receipt.interrupted);
        self.conclude(audit);
        shut(engine)
    }

    /// Declares and receives the stock.
    fn stock(&self, engine: &Engine) -> Result<Vec<StockKey>, Trouble> {
        let keys = declare(engine, self.scale.skus).map_err(environment)?;
        for (&key, units) in keys.iter().zip(shares(self.scale.units(), self.scale.skus)) {
            let receipt =
                engine.receive(Receive::units(key, units).reference("act two")).map_err(environment)?;
            receipt.wait().map_err(environment)?;
        }
        Ok(keys)
    }

    /// Lets a child work, listens, and kills it. Returns how long it worked.
    fn kill_a_child(&mut self, dir: &Path) -> Result<Duration, Trouble> {
        let program =
            std::env::current_exe().map_err(|e| Trouble::Environment(format!("this program's path: {e}")))?;
        let mut child = Command::new(program)
            .args(arguments(dir, self.stage.durability, self.scale, self.stage.threads))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| {
                Trouble::Environment(format!("the child process could not be started: {error}"))
            })?;
        let mut pipe = BufReader::with_capacity(1 << 20, child.stdout.take().expect("it is piped"));

        let mut rng = Rng::stream(self.scale.seed, 1 << 41);
        let share = KILL_AFTER.0 + (KILL_AFTER.1 - KILL_AFTER.0) * rng.fraction();
        let kill_at = (self.scale.decisions as f64 * share) as u64;
        let moment = Duration::from_micros(rng.below(MOMENT_US_MAX));

        let acknowledged = AtomicU64::new(0);
        let started = Instant::now();
        let (mut ready_at, mut broken) = (None, None);
        let (killed_at, status) = std::thread::scope(|scope| {
            let (trigger, triggered) = mpsc::channel::<()>();
            // Not the thread that listens: a child whose pipe is full would be killed waiting, never at work.
            let killer = scope.spawn(move || {
                let killed_at = triggered.recv().is_ok().then(|| {
                    std::thread::sleep(moment);
                    let killed_at = Instant::now();
                    // Fails only when it has ended already, which its status tells.
                    let _ = child.kill();
                    killed_at
                });
                (killed_at, child.wait())
            });
            let mut trigger = Some(trigger);
            during(
                || {
                    let acknowledged = acknowledged.load(Ordering::Relaxed);
                    let decisions = self.scale.decisions;
                    let rate = acknowledged as f64 / started.elapsed().as_secs_f64();
                    vec![format!(
                        "act two, in a child process  {} {} of {} decisions acknowledged, {} a second",
                        bar(acknowledged, decisions, 30),
                        thousands(acknowledged),
                        thousands(decisions),
                        thousands(rate as u64)
                    )]
                },
                || {
                    loop {
                        match Batch::read(&mut pipe) {
                            Ok(Some(batch)) if batch.number == READY => ready_at = Some(Instant::now()),
                            Ok(Some(batch)) => {
                                acknowledged.fetch_add(u64::from(batch.decisions), Ordering::Relaxed);
                                keep(&mut self.batches, batch);
                            }
                            Ok(None) => break,
                            Err(error) => {
                                broken = Some(error);
                                break;
                            }
                        }
                        let due = acknowledged.load(Ordering::Relaxed) >= kill_at;
                        if (due || self.stop.load(Ordering::Relaxed))
                            && let Some(trigger) = trigger.take()
                        {
                            let _ = trigger.send(());
                        }
                    }
                    drop(trigger);
                },
            );
            killer.join().expect("the killer does not panic")
        });
        let status =
            status.map_err(|error| Trouble::Environment(format!("the child process is lost: {error}")))?;
        if let Some(error) = broken {
            return Err(Trouble::Environment(format!("what the child said cannot be read: {error}")));
        }
        let (Some(killed_at), Some(ready_at), false) = (killed_at, ready_at, status.success()) else {
            return Err(Trouble::Environment(format!("the child process ended by itself ({status})")));
        };
        let worked = killed_at.saturating_duration_since(ready_at);
        self.receipt.killed = true;
        self.receipt.killed_after_ms = worked.as_millis() as u64;
        Ok(worked)
    }

    /// Runs every errand that was not acknowledged, from the first on, until enough is decided.
    fn finish(&mut self, engine: &Engine, keys: &[StockKey]) -> Result<Duration, Trouble> {
        let known = self.batches.len() as u32;
        let missing: Vec<u32> =
            (0..known).filter(|&number| self.batches[number as usize].is_none()).collect();
        let (scale, threads, stop) = (self.scale, self.stage.threads, self.stop);
        let decided = AtomicU64::new(self.decisions());
        let errands = Errands { engine, keys, scale, threads, decided, stop };
        let turn = AtomicU32::new(0);
        let next = || {
            let turn = turn.fetch_add(1, Ordering::Relaxed) as usize;
            match missing.get(turn) {
                Some(&number) => Some(number),
                None => (!errands.enough()).then(|| known + (turn - missing.len()) as u32),
            }
        };
        let started = Instant::now();
        let batches = &mut self.batches;
        during(
            || {
                let decided = errands.decided.load(Ordering::Relaxed);
                vec![format!(
                    "act two, finishing           {} {} of {} decisions",
                    bar(decided, scale.decisions, 30),
                    thousands(decided),
                    thousands(scale.decisions)
                )]
            },
            || {
                errands.run(next, |batch| {
                    keep(batches, batch);
                    Ok(())
                })
            },
        )
        .map_err(Trouble::Environment)?;
        self.receipt.interrupted = stop.load(Ordering::Relaxed);
        Ok(started.elapsed())
    }

    fn decisions(&self) -> u64 {
        self.batches.iter().flatten().map(|batch| u64::from(batch.decisions)).sum()
    }

    fn count(&mut self, busy_for: Duration) {
        let receipt = &mut self.receipt;
        for batch in self.batches.iter().flatten() {
            receipt.decisions += u64::from(batch.decisions);
            receipt.busy += u64::from(batch.busy);
            for entry in &batch.entries {
                match entry.what {
                    What::Refused => receipt.refused += 1,
                    What::Held => receipt.live += 1,
                    What::Confirmed => receipt.confirmed += 1,
                    What::Released => receipt.released += 1,
                }
            }
        }
        receipt.granted = receipt.live + receipt.confirmed + receipt.released;
        receipt.decisions_per_second = (receipt.decisions as f64 / busy_for.as_secs_f64().max(1e-9)) as u64;
    }

    /// Every errand that can be relied on, with its number and what was told.
    fn told(&self) -> impl Iterator<Item = (u64, What, u128)> {
        let size = u64::from(self.scale.batch());
        self.batches.iter().flatten().flat_map(move |batch| {
            let first = u64::from(batch.number) * size;
            batch.entries.iter().zip(first..).map(|(entry, number)| (number, entry.what, entry.hold))
        })
    }

    fn holds(&self, engine: &Engine, audit: &mut Audit) {
        let clock = self.stage.clock;
        for (number, what, hold) in self.told() {
            let fate = match what {
                What::Refused => continue,
                What::Held => Fate::Live,
                What::Confirmed => Fate::Confirmed,
                What::Released => Fate::Released,
            };
            let errand = self.scale.errand(number);
            let (key, quantity, deadline_ns) = (errand.key, errand.quantity, u64::MAX);
            let (grant_acknowledged, end_acknowledged) = (true, true);
            audit.hold(
                engine,
                clock,
                &Purchase { key, quantity, hold, deadline_ns, fate, grant_acknowledged, end_acknowledged },
            );
        }
    }

    /// Levels, exactly when all is known, otherwise at least what was acknowledged.
    fn levels(&mut self, engine: &Engine, keys: &[StockKey], audit: &mut Audit, all_known: bool) {
        let units = shares(self.scale.units(), self.scale.skus);
        let mut told: Vec<Told> =
            units.iter().map(|&units| Told { on_hand: units.into(), ..Told::default() }).collect();
        for (number, what, _) in self.told() {
            let errand = self.scale.errand(number);
            let told = &mut told[errand.key as usize];
            match what {
                What::Held => told.held.0 += u64::from(errand.quantity),
                What::Confirmed => told.committed.0 += u64::from(errand.quantity),
                What::Refused | What::Released => {}
            }
        }
        for (number, (&key, told)) in keys.iter().zip(&mut told).enumerate() {
            told.held.1 = if all_known { told.held.0 } else { told.on_hand };
            told.committed.1 = if all_known { told.committed.0 } else { told.on_hand };
            let name = format!("{} at {LOCATION}", sku(number as u32));
            let oversold = audit.level(engine, key, &name, || *told);
            self.receipt.oversold = self.receipt.oversold.max(oversold as u64);
        }
    }

    /// No two errands may have been given one hold.
    fn judge_doubles(&mut self) {
        let mut seen = HashSet::new();
        let granted = self.told().filter(|&(_, what, _)| what != What::Refused);
        let doubled = granted.filter(|&(_, _, hold)| !seen.insert(hold)).count();
        self.receipt.doubled += doubled as u64;
    }

    /// No errand that the child may have begun and the parent ran again may have two holds.
    fn asked_twice(&mut self, engine: &Engine, known: u32) {
        let size = u64::from(self.scale.batch());
        // What the child had begun and not acknowledged lies this close to the highest batch that it did.
        let around = (BATCHES_IN_FLIGHT + 2 * self.stage.threads) as u32;
        let (first, last) = (known.saturating_sub(around), known + around);
        for number in u64::from(first) * size..u64::from(last) * size {
            let holds = engine.holds_of(Scale::reference(number)).len() as u64;
            self.receipt.doubled += holds.saturating_sub(1);
        }
    }

    fn conclude(&mut self, audit: Audit) {
        let receipt = &mut self.receipt;
        receipt.lost_acknowledgements = receipt.lost_acknowledgements.max(audit.lost);
        receipt.complaints.extend(audit.complaints);
        receipt.verified = receipt.complaints.is_empty()
            && receipt.lost_acknowledgements == 0
            && receipt.doubled == 0
            && receipt.oversold == 0;
    }
}

fn keep(batches: &mut Vec<Option<Batch>>, batch: Batch) {
    let number = batch.number as usize;
    if batches.len() <= number {
        batches.resize(number + 1, None);
    }
    batches[number] = Some(batch);
}

fn shut(engine: Engine) -> Result<(), Trouble> {
    engine.shutdown().map_err(environment)
}

fn environment(error: impl std::fmt::Display) -> Trouble {
    Trouble::Environment(error.to_string())
}
