//! The kill test: a child process decides as fast as it can and is killed with SIGKILL at a moment drawn from
//! the seed. Everything that it acknowledged must be found. Then the remaining tasks are run, and everything
//! is checked again.
//!
//! The parent relies only on frames that came through the pipe, and the child sends a frame only when its
//! decisions are durable. The test does not cover loss of power: what the child gave to the operating system
//! survives the child.

use std::collections::HashSet;
use std::io::BufReader;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use stockhold::{Engine, Receive, StockKey};
use stockhold_seeded::Rng;

use super::audit::{Audit, ExpectedLevel};
use super::child::arguments;
use super::frames::{READY, TaskBatch, TaskOutcome};
use super::progress::{bar, during};
use super::purchase::{Fate, Purchase};
use super::receipt::KillTestReceipt;
use super::setup::{Setup, Storage};
use super::stock::{shares, sku};
use super::workload::{BATCHES_IN_FLIGHT, LOCATION, TaskPlan, TaskRunner, declare};
use crate::exit::CommandError;
use crate::figure::thousands;

/// The kill comes when a fraction of the decisions between these two is acknowledged, plus a short delay.
const KILL_AFTER: (f64, f64) = (0.1, 0.85);
const DELAY_US_MAX: u64 = 3_000;

/// Runs the test: on disk with a kill, or in memory without one.
pub(crate) fn run(setup: &Setup, stop: &AtomicBool) -> Result<KillTestReceipt, CommandError> {
    let plan =
        TaskPlan { seed: setup.crowd.seed, skus: setup.crowd.skus, decisions: setup.kill_test_decisions };
    let mut test = KillTest { setup, plan, stop, batches: Vec::new(), receipt: KillTestReceipt::default() };
    match &setup.storage {
        Storage::Memory => test.without_a_kill()?,
        Storage::Directory(dir) => test.with_a_kill(dir)?,
    }
    Ok(test.receipt)
}

struct KillTest<'a> {
    setup: &'a Setup,
    plan: TaskPlan,
    stop: &'a AtomicBool,
    /// The acknowledged batches, by number.
    batches: Vec<Option<TaskBatch>>,
    receipt: KillTestReceipt,
}

impl KillTest<'_> {
    fn without_a_kill(&mut self) -> Result<(), CommandError> {
        let engine = Engine::in_memory(self.setup.config())?;
        let keys = self.stock(&engine)?;
        let busy_for = self.finish(&engine, &keys)?;
        self.count(busy_for);
        let mut audit = Audit::default();
        self.holds(&engine, &mut audit);
        self.levels(&engine, &keys, &mut audit, true);
        self.judge_doubles();
        self.add_audit(audit);
        shut(engine)
    }

    fn with_a_kill(&mut self, dir: &Path) -> Result<(), CommandError> {
        let engine = Engine::open(dir, self.setup.config())?;
        self.stock(&engine)?;
        shut(engine)?;

        let busy_for = self.kill_a_child(dir)?;
        let acknowledged = self.decisions();
        self.receipt.decisions_before_kill = acknowledged;

        let opening = Instant::now();
        let engine = Engine::open(dir, self.setup.config())?;
        self.receipt.recovery_ms = opening.elapsed().as_millis() as u64;
        self.receipt.records_recovered = engine.report().records;
        self.receipt.cut_bytes = engine.report().cut_bytes;
        let keys = declare(&engine, self.plan.skus).map_err(environment)?;

        // Checks what was acknowledged before the kill; the outcome of all other tasks is unknown.
        let mut audit = Audit::default();
        self.holds(&engine, &mut audit);
        self.receipt.acknowledged_before_kill = audit.found + audit.lost;
        self.receipt.found_after_kill = audit.found;
        self.levels(&engine, &keys, &mut audit, false);
        self.add_audit(audit);

        let known = self.batches.len() as u32;
        let more_for = self.finish(&engine, &keys)?;
        self.count(busy_for + more_for);
        self.judge_doubles();
        self.judge_retries(&engine, known);
        shut(engine)?;

        // Checks again from disk. Now the outcome of every task is known.
        let engine = Engine::open(dir, self.setup.config())?;
        let mut audit = Audit::default();
        self.holds(&engine, &mut audit);
        self.levels(&engine, &keys, &mut audit, !self.receipt.interrupted);
        self.add_audit(audit);
        shut(engine)
    }

    /// Declares and receives the stock.
    fn stock(&self, engine: &Engine) -> Result<Vec<StockKey>, CommandError> {
        let keys = declare(engine, self.plan.skus).map_err(environment)?;
        for (&key, units) in keys.iter().zip(shares(self.plan.units(), self.plan.skus)) {
            let receipt =
                engine.receive(Receive::units(key, units).reference("kill test")).map_err(environment)?;
            receipt.wait().map_err(environment)?;
        }
        Ok(keys)
    }

    /// Starts a child, reads its frames, and kills it. Returns how long it worked.
    fn kill_a_child(&mut self, dir: &Path) -> Result<Duration, CommandError> {
        let program = std::env::current_exe()
            .map_err(|e| CommandError::Environment(format!("this program's path: {e}")))?;
        let mut child = Command::new(program)
            .args(arguments(dir, self.setup.durability, self.plan, self.setup.threads))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| {
                CommandError::Environment(format!("the child process could not be started: {error}"))
            })?;
        let mut pipe = BufReader::with_capacity(1 << 20, child.stdout.take().expect("it is piped"));

        let mut rng = Rng::stream(self.plan.seed, 1 << 41);
        let share = KILL_AFTER.0 + (KILL_AFTER.1 - KILL_AFTER.0) * rng.fraction();
        let kill_at = (self.plan.decisions as f64 * share) as u64;
        let delay = Duration::from_micros(rng.below(DELAY_US_MAX));

        let acknowledged = AtomicU64::new(0);
        let started = Instant::now();
        let (mut ready_at, mut broken) = (None, None);
        let (killed_at, status) = std::thread::scope(|scope| {
            let (trigger, triggered) = mpsc::channel::<()>();
            // A thread of its own: while it sleeps the pipe must be read, or the child would wait instead of
            // work.
            let killer = scope.spawn(move || {
                let killed_at = triggered.recv().is_ok().then(|| {
                    std::thread::sleep(delay);
                    let killed_at = Instant::now();
                    // Fails only if the child has ended, which its status shows.
                    let _ = child.kill();
                    killed_at
                });
                (killed_at, child.wait())
            });
            let mut trigger = Some(trigger);
            during(
                || {
                    let acknowledged = acknowledged.load(Ordering::Relaxed);
                    let decisions = self.plan.decisions;
                    let rate = acknowledged as f64 / started.elapsed().as_secs_f64();
                    vec![format!(
                        "kill test, in a child process  {} {} of {} decisions acknowledged, {} a second",
                        bar(acknowledged, decisions, 30),
                        thousands(acknowledged),
                        thousands(decisions),
                        thousands(rate as u64)
                    )]
                },
                || {
                    loop {
                        match TaskBatch::read(&mut pipe) {
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
        let status = status.map_err(|error| {
            CommandError::Environment(format!("waiting for the child process failed: {error}"))
        })?;
        if let Some(error) = broken {
            return Err(CommandError::Environment(format!(
                "the output of the child process cannot be read: {error}"
            )));
        }
        let (Some(killed_at), Some(ready_at), false) = (killed_at, ready_at, status.success()) else {
            return Err(CommandError::Environment(format!("the child process ended by itself ({status})")));
        };
        let worked = killed_at.saturating_duration_since(ready_at);
        self.receipt.killed = true;
        self.receipt.killed_after_ms = worked.as_millis() as u64;
        Ok(worked)
    }

    /// Runs every task that was not acknowledged, from the first on, until all decisions are made.
    fn finish(&mut self, engine: &Engine, keys: &[StockKey]) -> Result<Duration, CommandError> {
        let known = self.batches.len() as u32;
        // Batches with a number below `known` that no frame acknowledged come first, then new ones.
        let missing: Vec<u32> =
            (0..known).filter(|&number| self.batches[number as usize].is_none()).collect();
        let (plan, threads, stop) = (self.plan, self.setup.threads, self.stop);
        let decided = AtomicU64::new(self.decisions());
        let tasks = TaskRunner { engine, keys, plan, threads, decided, stop };
        let turn = AtomicU32::new(0);
        let next = || {
            let turn = turn.fetch_add(1, Ordering::Relaxed) as usize;
            match missing.get(turn) {
                Some(&number) => Some(number),
                None => (!tasks.enough()).then(|| known + (turn - missing.len()) as u32),
            }
        };
        let started = Instant::now();
        let batches = &mut self.batches;
        during(
            || {
                let decided = tasks.decided.load(Ordering::Relaxed);
                vec![format!(
                    "kill test, finishing           {} {} of {} decisions",
                    bar(decided, plan.decisions, 30),
                    thousands(decided),
                    thousands(plan.decisions)
                )]
            },
            || {
                tasks.run(next, |batch| {
                    keep(batches, batch);
                    Ok(())
                })
            },
        )
        .map_err(CommandError::Environment)?;
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
                match entry.outcome {
                    TaskOutcome::Refused => receipt.refused += 1,
                    TaskOutcome::Held => receipt.live += 1,
                    TaskOutcome::Confirmed => receipt.confirmed += 1,
                    TaskOutcome::Released => receipt.released += 1,
                }
            }
        }
        receipt.granted = receipt.live + receipt.confirmed + receipt.released;
        receipt.decisions_per_second = (receipt.decisions as f64 / busy_for.as_secs_f64().max(1e-9)) as u64;
    }

    /// Every acknowledged task: its number, its outcome, and its hold.
    fn acknowledged(&self) -> impl Iterator<Item = (u64, TaskOutcome, u128)> {
        let size = u64::from(self.plan.batch_size());
        self.batches.iter().flatten().flat_map(move |batch| {
            let first = u64::from(batch.number) * size;
            batch.entries.iter().zip(first..).map(|(entry, number)| (number, entry.outcome, entry.hold))
        })
    }

    fn holds(&self, engine: &Engine, audit: &mut Audit) {
        let clock = self.setup.clock;
        for (number, outcome, hold) in self.acknowledged() {
            let fate = match outcome {
                TaskOutcome::Refused => continue,
                TaskOutcome::Held => Fate::Live,
                TaskOutcome::Confirmed => Fate::Confirmed,
                TaskOutcome::Released => Fate::Released,
            };
            let task = self.plan.task(number);
            let (key, quantity, deadline_ns) = (task.key, task.quantity, u64::MAX);
            let (grant_acknowledged, end_acknowledged) = (true, true);
            audit.hold(
                engine,
                clock,
                &Purchase { key, quantity, hold, deadline_ns, fate, grant_acknowledged, end_acknowledged },
            );
        }
    }

    /// Checks the levels: exactly if all outcomes are known, otherwise only that they contain what was
    /// acknowledged.
    fn levels(&mut self, engine: &Engine, keys: &[StockKey], audit: &mut Audit, all_known: bool) {
        let units = shares(self.plan.units(), self.plan.skus);
        let mut expected: Vec<ExpectedLevel> = units
            .iter()
            .map(|&units| ExpectedLevel { on_hand: units.into(), ..ExpectedLevel::default() })
            .collect();
        for (number, outcome, _) in self.acknowledged() {
            let task = self.plan.task(number);
            let expected = &mut expected[task.key as usize];
            match outcome {
                TaskOutcome::Held => expected.held.0 += u64::from(task.quantity),
                TaskOutcome::Confirmed => expected.committed.0 += u64::from(task.quantity),
                TaskOutcome::Refused | TaskOutcome::Released => {}
            }
        }
        for (number, (&key, expected)) in keys.iter().zip(&mut expected).enumerate() {
            expected.held.1 = if all_known { expected.held.0 } else { expected.on_hand };
            expected.committed.1 = if all_known { expected.committed.0 } else { expected.on_hand };
            let name = format!("{} at {LOCATION}", sku(number as u32));
            let oversold = audit.level(engine, key, &name, || *expected);
            self.receipt.oversold = self.receipt.oversold.max(oversold as u64);
        }
    }

    /// Counts holds that two tasks received; there must be none.
    fn judge_doubles(&mut self) {
        let mut seen = HashSet::new();
        let granted = self.acknowledged().filter(|&(_, outcome, _)| outcome != TaskOutcome::Refused);
        let doubled = granted.filter(|&(_, _, hold)| !seen.insert(hold)).count();
        self.receipt.doubled += doubled as u64;
    }

    /// Counts tasks with two holds, among those that the child may have begun and the parent ran again; there
    /// must be none.
    fn judge_retries(&mut self, engine: &Engine, known: u32) {
        let size = u64::from(self.plan.batch_size());
        // A batch that the child had begun is at most this far from the highest batch that it acknowledged.
        let around = (BATCHES_IN_FLIGHT + 2 * self.setup.threads) as u32;
        let (first, last) = (known.saturating_sub(around), known + around);
        for number in u64::from(first) * size..u64::from(last) * size {
            let holds = engine.holds_of(TaskPlan::reference(number)).len() as u64;
            self.receipt.doubled += holds.saturating_sub(1);
        }
    }

    fn add_audit(&mut self, audit: Audit) {
        let receipt = &mut self.receipt;
        receipt.lost_acknowledgements = receipt.lost_acknowledgements.max(audit.lost);
        receipt.complaints.extend(audit.complaints);
        receipt.verified = receipt.complaints.is_empty()
            && receipt.lost_acknowledgements == 0
            && receipt.doubled == 0
            && receipt.oversold == 0;
    }
}

fn keep(batches: &mut Vec<Option<TaskBatch>>, batch: TaskBatch) {
    let number = batch.number as usize;
    if batches.len() <= number {
        batches.resize(number + 1, None);
    }
    batches[number] = Some(batch);
}

fn shut(engine: Engine) -> Result<(), CommandError> {
    engine.shutdown().map_err(environment)
}

fn environment(error: impl std::fmt::Display) -> CommandError {
    CommandError::Environment(error.to_string())
}
