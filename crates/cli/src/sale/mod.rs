//! `stockhold sale`: a flash sale on real storage, judged from outside, and a killed process that loses nothing.
//!
//! ```text
//! shoppers (plan) ─► act one: walk ─► judge ─► close, reopen, audit ─┐
//!        └────────► usual designs: walk ─► judge ───────────────────┤
//!                   act two: child ─► kill ─► reopen, audit, finish ─┴─► receipt
//! ```

mod act_one;
mod act_two;
mod audit;
mod child;
mod errands;
mod frames;
mod picture;
mod receipt;
mod shop;
mod shoppers;
mod usual;

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::ValueEnum;
use stockhold::{Config, Durability, Engine, Receive, StockKey};
use stockhold_check::{Call, Event, Recorder, judge};

use crate::exit::{self, Trouble, UNTRUE};
use crate::figure::thousands;
use crate::filesystem::filesystem;
use act_one::{Fate, Progress, Purchase, Walk, walk};
use audit::{Audit, Told};
pub(crate) use child::{CHILD, ChildArgs};
use picture::{bar, during, latency};
use receipt::{Receipt, Tally, UsualDesign};
use shop::{EngineShop, Plant, PlantedShop, SaleClock, Shop};
use shoppers::{Crowd, Shopper, shares};
use usual::{CheckThenAct, FixedBuckets, Stock, Usual};

/// A flash sale on this machine's disk, judged from outside, and a kill -9 survived.
///
/// Act one: a crowd of shoppers comes within about three seconds. Each reserves, then pays, cancels, or walks away so
/// that the hold expires. Every call is recorded with its start and end; a judge that knows nothing of the engine
/// then looks for units sold twice and for refusals that were false, that is, enough was available during the whole
/// call. The engine is closed, opened again from disk, and everything it acknowledged is looked up. The same shoppers
/// also go through two designs that people usually write, judged by the same judge.
///
/// Act two: a child process makes a million decisions and is killed with SIGKILL at a random moment. The directory is
/// opened again, everything that was acknowledged must be there, and the rest is finished.
#[derive(clap::Args)]
#[command(after_long_help = format!("{MORE_HELP}\n\n{}", exit::CODES))]
pub(crate) struct Args {
    /// Units for sale in act one, over all SKUs
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000_000))]
    units: u32,
    /// Shoppers in act one
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    shoppers: u32,
    /// Threads that serve them, in both acts [default: one a core]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1_024))]
    threads: Option<u16>,
    /// How long a hold of act one lives, in milliseconds
    #[arg(long, default_value_t = 400, value_parser = clap::value_parser!(u64).range(1..=86_400_000))]
    ttl_ms: u64,
    /// Fraction of holders that cancel, 0 to 1
    #[arg(long, default_value_t = 0.1, value_parser = fraction)]
    cancel: f64,
    /// Fraction of holders that walk away, 0 to 1
    #[arg(long, default_value_t = 0.2, value_parser = fraction)]
    abandon: f64,
    /// SKUs that share the units and the shoppers
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    skus: u32,
    /// When a decision counts as acknowledged: sync, interval:100ms, or memory
    #[arg(long, default_value_t = DurabilityArg(Durability::Sync))]
    durability: DurabilityArg,
    /// A new or empty directory; kept afterwards [default: a fresh one under target/, or where temporary files go]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Who comes, when, and what they do [default: random, and told]
    #[arg(long)]
    seed: Option<u64>,
    /// Decisions in act two; 0 leaves it out
    #[arg(long, default_value_t = 1_000_000, value_name = "N")]
    second_act: u64,
    /// The receipt as one JSON object on standard output
    #[arg(long)]
    json: bool,
    /// Puts a fault in front of the engine in act one. The run must then fail.
    #[arg(long, hide = true)]
    plant: Option<Plant>,
}

const MORE_HELP: &str = "\
Examples:
  stockhold sale                                       the whole of it, about fifteen seconds
  stockhold sale --units 1 --shoppers 2000             one unit, and everybody wants it
  stockhold sale --durability interval:100ms           acknowledged before the disk is sure
  stockhold sale --second-act 0 --json | jq .oversold  for a script

What the receipt proves, and what not:
  A number above zero in \"oversold\" or \"falsely refused\" is a certain breach. Zero means that none
  can be shown from outside; what hides within the span of one call stays hidden.
  The kill takes the process, not the power: what the system was handed outlives it.

Ctrl-C ends the sale early; what was decided is still verified. A second Ctrl-C ends at once.";

fn fraction(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "it is not a number".to_string())?;
    if (0.0..=1.0).contains(&value) { Ok(value) } else { Err("it is not between 0 and 1".to_string()) }
}

/// `sync`, `interval:100ms`, `interval:2s` or `memory`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct DurabilityArg(Durability);

impl FromStr for DurabilityArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let interval = |text: &str| {
            let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
            let number: u64 = number.parse().ok()?;
            match unit {
                "ms" => Some(Duration::from_millis(number)),
                "s" => Some(Duration::from_secs(number)),
                _ => None,
            }
        };
        match text.strip_prefix("interval:") {
            Some(period) => interval(period).map(Durability::Interval),
            None if text == "sync" => Some(Durability::Sync),
            None if text == "memory" => Some(Durability::Memory),
            None => None,
        }
        .map(DurabilityArg)
        .ok_or_else(|| "write sync, interval:100ms (or another period), or memory".to_string())
    }
}

impl fmt::Display for DurabilityArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Durability::Sync => f.write_str("sync"),
            Durability::Interval(period) => write!(f, "interval:{}ms", period.as_millis()),
            Durability::Memory => f.write_str("memory"),
        }
    }
}

/// Where the engine keeps its log.
enum Place {
    Memory,
    Directory(PathBuf),
}

/// What both acts are played on.
struct Stage {
    crowd: Crowd,
    units: u32,
    threads: usize,
    durability: DurabilityArg,
    place: Place,
    second_act: u64,
    plant: Option<Plant>,
    clock: SaleClock,
}

impl Stage {
    fn config(&self) -> Config {
        Config::default().durability(self.durability.0).clock(self.clock)
    }

    fn open(&self) -> Result<Engine, Trouble> {
        Ok(match &self.place {
            Place::Memory => Engine::in_memory(self.config())?,
            Place::Directory(dir) => Engine::open(dir, self.config())?,
        })
    }
}

/// Name of a SKU by number.
fn sku(number: u32) -> String {
    format!("poster-{}", number + 1)
}

/// Where the stock of act one lies.
const LOCATION: &str = "act-one";

/// Set by Ctrl-C.
static STOP: AtomicBool = AtomicBool::new(false);

/// The subcommand.
pub(crate) fn run(args: Args) -> ExitCode {
    let json = args.json;
    match sale(args) {
        Ok(receipt) => {
            match json {
                true => println!("{}", receipt.json()),
                false => print!("{}", receipt.text()),
            }
            match receipt.is_true() {
                true => ExitCode::SUCCESS,
                false => ExitCode::from(UNTRUE),
            }
        }
        Err(trouble) => trouble.report(),
    }
}

/// The hidden subcommand of act two.
pub(crate) fn run_child(args: ChildArgs) -> ExitCode {
    match child::work(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => trouble.report(),
    }
}

fn sale(args: Args) -> Result<Receipt, Trouble> {
    let stage = set(&args)?;
    stop_on_ctrl_c()?;
    let mut receipt = Receipt {
        seed: stage.crowd.seed,
        units: stage.units,
        shoppers: stage.crowd.shoppers,
        threads: stage.threads,
        ttl_ms: args.ttl_ms,
        skus: stage.crowd.skus,
        durability: stage.durability.to_string(),
        planted: stage.plant.and_then(|plant| Some(plant.to_possible_value()?.get_name().to_string())),
        ..Receipt::default()
    };
    if let Place::Directory(dir) = &stage.place {
        receipt.dir = Some(dir.display().to_string());
        receipt.filesystem = filesystem(dir);
    }
    let plan = stage.crowd.plan();
    act_one(&stage, &plan, &mut receipt)?;
    if !STOP.load(Ordering::Relaxed) {
        receipt.usual = usual_designs(&stage, &plan);
    }
    if !STOP.load(Ordering::Relaxed) && stage.second_act > 0 {
        receipt.second_act = Some(act_two::run(&stage, &STOP)?);
    }
    receipt.interrupted = STOP.load(Ordering::Relaxed);
    Ok(receipt)
}

/// Checks what the flags say together, and makes the directory.
fn set(args: &Args) -> Result<Stage, Trouble> {
    let usage = |sentence: String| Err(Trouble::Usage(sentence));
    if args.cancel + args.abandon > 1.0 {
        return usage(format!(
            "--cancel {} and --abandon {} are more than everybody; together they may be 1 at most",
            args.cancel, args.abandon
        ));
    }
    if args.skus > args.units {
        return usage(format!(
            "{} SKUs cannot share {} units; give --units at least as many as --skus",
            args.skus, args.units
        ));
    }
    if args.durability.0 == Durability::Memory && args.dir.is_some() {
        return usage("--durability memory keeps nothing on disk; leave --dir out".to_string());
    }
    // A setting that cannot work is told before a directory is made for it.
    Config::default()
        .durability(args.durability.0)
        .validate()
        .map_err(|error| Trouble::Usage(error.to_string()))?;
    let seed = args.seed.unwrap_or_else(random_seed);
    let ttl = Duration::from_millis(args.ttl_ms);
    let cores = || std::thread::available_parallelism().map_or(1, |cores| cores.get());
    Ok(Stage {
        crowd: Crowd {
            seed,
            shoppers: args.shoppers,
            skus: args.skus,
            ttl,
            cancel: args.cancel,
            abandon: args.abandon,
        },
        units: args.units,
        threads: args.threads.map_or_else(cores, usize::from),
        durability: args.durability,
        place: match (args.durability.0, &args.dir) {
            (Durability::Memory, _) => Place::Memory,
            (_, Some(dir)) => Place::Directory(given_directory(dir)?),
            (_, None) => Place::Directory(fresh_directory(seed)?),
        },
        second_act: args.second_act,
        plant: args.plant,
        clock: SaleClock::new(),
    })
}

/// Short enough to type again.
fn random_seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::hash::RandomState::new().build_hasher().finish() % 1_000_000
}

fn given_directory(dir: &Path) -> Result<PathBuf, Trouble> {
    let cannot =
        |error| Trouble::Environment(format!("the directory {} cannot be used: {error}", dir.display()));
    if dir.exists() && (!dir.is_dir() || dir.read_dir().map_err(cannot)?.next().is_some()) {
        return Err(Trouble::Usage(format!(
            "{} is there already and not an empty directory; a sale begins with a new one",
            dir.display()
        )));
    }
    std::fs::create_dir_all(dir).map_err(cannot)?;
    Ok(dir.to_path_buf())
}

fn fresh_directory(seed: u64) -> Result<PathBuf, Trouble> {
    let target = Path::new("target");
    let parent = if target.is_dir() { target.to_path_buf() } else { std::env::temp_dir() };
    for attempt in 1..=10_000 {
        let suffix = if attempt == 1 { String::new() } else { format!("-{attempt}") };
        let dir = parent.join(format!("stockhold-sale-{seed}{suffix}"));
        match std::fs::create_dir(&dir) {
            Ok(()) => return Ok(dir),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => {
                let sentence =
                    format!("no directory can be made in {}: {error}; give --dir", parent.display());
                return Err(Trouble::Environment(sentence));
            }
        }
    }
    Err(Trouble::Environment(format!(
        "{} is full of old sales; remove some, or give --dir",
        parent.display()
    )))
}

fn stop_on_ctrl_c() -> Result<(), Trouble> {
    ctrlc::set_handler(|| {
        if STOP.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        eprintln!("\nstopping; what was decided will be verified (Ctrl-C again ends at once)");
    })
    .map_err(|error| Trouble::Environment(format!("Ctrl-C cannot be caught: {error}")))
}

/// The crowd, the judge, and a look into what is on disk.
fn act_one(stage: &Stage, plan: &[Shopper], receipt: &mut Receipt) -> Result<(), Trouble> {
    let units = shares(stage.units, stage.crowd.skus);
    let engine = stage.open()?;
    let (keys, mut calls) = stock(stage, &engine, &units)?;
    let progress = Progress::default();
    let shop = EngineShop { engine: &engine, clock: stage.clock, keys: &keys, ttl: stage.crowd.ttl };
    let walked = match stage.plant {
        None => watch("stockhold", stage, plan, &shop, &progress),
        Some(plant) => {
            watch("stockhold, a fault planted", stage, plan, &PlantedShop::new(shop, plant), &progress)
        }
    };
    calls.extend_from_slice(&walked.calls);
    let (tally, told) = judged(&walked, &calls, &progress);
    receipt.engine = tally;
    receipt.complaints = told;
    receipt.complaints.extend(walked.failures.iter().cloned());
    receipt.busy = progress.busy.load(Ordering::Relaxed);
    receipt.decisions_per_second =
        (receipt.engine.decisions as f64 / walked.elapsed.as_secs_f64().max(1e-9)) as u64;
    receipt.ack_p50_us = progress.ack_us_at(0.50);
    receipt.ack_p99_us = progress.ack_us_at(0.99);

    let audit = match stage.place {
        Place::Memory => look_up(stage, &engine, &keys, &units, &walked),
        Place::Directory(_) => {
            engine.shutdown().map_err(|error| Trouble::Environment(error.to_string()))?;
            drop(engine);
            let engine = stage.open()?;
            receipt.reopened = true;
            let audit = look_up(stage, &engine, &keys, &units, &walked);
            engine.shutdown().map_err(|error| Trouble::Environment(error.to_string()))?;
            audit
        }
    };
    receipt.found_acknowledgements = audit.found;
    receipt.lost_acknowledgements = audit.lost;
    receipt.verified = receipt.complaints.is_empty() && audit.is_clean();
    receipt.complaints.extend(audit.complaints);
    Ok(())
}

/// Declares the stock keys and receives the units, recorded for the judge.
fn stock(stage: &Stage, engine: &Engine, units: &[u32]) -> Result<(Vec<StockKey>, Vec<Call>), Trouble> {
    let environment = |error: &dyn fmt::Display| Trouble::Environment(error.to_string());
    let mut recorder = Recorder::new(stage.clock.stopwatch);
    let mut keys = Vec::new();
    for (number, &quantity) in units.iter().enumerate() {
        let key = engine.declare(&sku(number as u32), LOCATION).map_err(|error| environment(&error))?;
        let start_ns = recorder.now_ns();
        let receive = Receive::units(key, quantity).reference("act one");
        let receipt = engine.receive(receive).map_err(|error| environment(&error))?;
        let end_ns = recorder.now_ns();
        receipt.wait().map_err(|error| environment(&error))?;
        let event = Event::Receive { quantity: quantity.into() };
        recorder.record(Call { key: number as u32, start_ns, end_ns, event });
        keys.push(key);
    }
    Ok((keys, recorder.into_calls()))
}

/// Lets the crowd through a shop, with a picture of it.
fn watch(name: &str, stage: &Stage, plan: &[Shopper], shop: &dyn Shop, progress: &Progress) -> Walk {
    let (stopwatch, opened_ns) = (stage.clock.stopwatch, stage.clock.stopwatch.now_ns());
    let frame = || {
        let read = |number: &std::sync::atomic::AtomicU64| number.load(Ordering::Relaxed);
        let (arrived, shoppers) = (read(&progress.arrived), plan.len() as u64);
        let seconds = (stopwatch.now_ns() - opened_ns) as f64 / 1e9;
        let decisions = read(&progress.decisions);
        let (available, committed) = (shop.available(), progress.units_committed.load(Ordering::Relaxed));
        let held = i64::from(stage.units) - available - committed;
        let (p50, p99) = (latency(progress.ack_us_at(0.5)), latency(progress.ack_us_at(0.99)));
        let rate = thousands((decisions as f64 / seconds) as u64);
        vec![
            format!(
                "act one, {name}  {} {} of {}",
                bar(arrived, shoppers, 30),
                thousands(arrived),
                thousands(shoppers)
            ),
            format!(
                "  decisions  {} ({rate} a second), acknowledged p50 {p50}, p99 {p99}",
                thousands(decisions)
            ),
            format!("  units      available {available:>7}   held {held:>7}   committed {committed:>7}"),
            format!(
                "  refused    out of stock {}   told \"try again\" {}",
                thousands(read(&progress.refused)),
                read(&progress.busy)
            ),
        ]
    };
    during(frame, || walk(shop, plan, stage.threads, stopwatch, progress, &STOP))
}

/// Counts what the crowd was told, and has it judged.
fn judged(walked: &Walk, calls: &[Call], progress: &Progress) -> (Tally, Vec<String>) {
    let verdict = judge(calls);
    let tally = Tally {
        decisions: progress.decisions.load(Ordering::Relaxed),
        granted: progress.granted.load(Ordering::Relaxed),
        refused: progress.refused.load(Ordering::Relaxed),
        confirmed: walked.count(Fate::Confirmed),
        released: walked.count(Fate::Released),
        expired: walked.count(Fate::Expired),
        live: walked.count(Fate::Live),
        units_sold: walked.units(Fate::Confirmed),
        oversold: verdict.oversold,
        falsely_refused: verdict.falsely_refused,
        // More confirmed than received is among the oversold already.
        other_breaches: verdict.two_outcomes
            + verdict.late
            + verdict.early
            + verdict.contradicted
            + verdict.unfounded,
    };
    (tally, verdict.examples)
}

/// Looks up everything that was acknowledged, and adds the levels up.
fn look_up(stage: &Stage, engine: &Engine, keys: &[StockKey], units: &[u32], walked: &Walk) -> Audit {
    let mut audit = Audit::default();
    for purchase in walked.purchases.iter().filter(|purchase| purchase.grant_acknowledged) {
        // An end that was not acknowledged may or may not have outlived the engine.
        let ended = matches!(purchase.fate, Fate::Confirmed | Fate::Released);
        if !ended || purchase.end_acknowledged {
            audit.hold(engine, stage.clock, purchase);
        }
    }
    let mut by_key = vec![Vec::new(); keys.len()];
    for purchase in &walked.purchases {
        by_key[purchase.key as usize].push(purchase);
    }
    // Holds that are due are given back first; one that falls due while we look may be counted or not.
    let before_ns = stage.clock.stopwatch.now_ns();
    engine.sweep();
    for (number, (&key, &on_hand)) in keys.iter().zip(units).enumerate() {
        let sum = |test: &dyn Fn(&Purchase) -> bool| -> u64 {
            let purchases = by_key[number].iter().filter(|purchase| test(purchase));
            purchases.map(|purchase| u64::from(purchase.quantity)).sum()
        };
        let live_after = |at_ns| sum(&|p| p.fate == Fate::Live && p.deadline_ns > at_ns);
        let committed = sum(&|p| p.fate == Fate::Confirmed);
        let told = || Told {
            on_hand: on_hand.into(),
            committed: (committed, committed),
            held: (live_after(stage.clock.stopwatch.now_ns()), live_after(before_ns)),
        };
        audit.level(engine, key, &format!("{} at {LOCATION}", sku(number as u32)), told);
    }
    audit
}

/// The two designs side by side, each with its own threads: they do little and share nothing.
fn usual_designs(stage: &Stage, plan: &[Shopper]) -> Vec<UsualDesign> {
    let units = shares(stage.units, stage.crowd.skus);
    let progress = [Progress::default(), Progress::default()];
    let names = ["check-then-act", "fixed buckets"];
    let frame = || {
        let line = |(name, progress): (&&str, &Progress)| {
            let read = |number: &std::sync::atomic::AtomicU64| number.load(Ordering::Relaxed);
            let (arrived, shoppers) = (read(&progress.arrived), plan.len() as u64);
            let bar = bar(arrived, shoppers, 30);
            format!("the same shoppers, {name:14}  {bar} {} of {}", thousands(arrived), thousands(shoppers))
        };
        names.iter().zip(&progress).map(line).collect()
    };
    let designs = during(frame, || {
        std::thread::scope(|scope| {
            let checks = scope.spawn(|| usual_design(stage, plan, CheckThenAct::new(&units), &progress[0]));
            let buckets = scope.spawn(|| usual_design(stage, plan, FixedBuckets::new(&units), &progress[1]));
            [checks, buckets].map(|design| design.join().expect("a usual design panicked"))
        })
    });
    names.into_iter().zip(designs).map(|(design, tally)| UsualDesign { design, tally }).collect()
}

fn usual_design(stage: &Stage, plan: &[Shopper], design: impl Stock, progress: &Progress) -> Tally {
    let stopwatch = stage.clock.stopwatch;
    let mut recorder = Recorder::new(stopwatch);
    for (key, units) in shares(stage.units, stage.crowd.skus).into_iter().enumerate() {
        let (start_ns, end_ns) = (recorder.now_ns(), recorder.now_ns());
        let event = Event::Receive { quantity: units.into() };
        recorder.record(Call { key: key as u32, start_ns, end_ns, event });
    }
    let shop = Usual::new(design, stopwatch, stage.crowd.ttl);
    let closed = AtomicBool::new(false);
    let walked = std::thread::scope(|scope| {
        scope.spawn(|| shop.sweep_until(&closed));
        let walked = walk(&shop, plan, stage.threads, stopwatch, progress, &STOP);
        closed.store(true, Ordering::Relaxed);
        walked
    });
    let mut calls = recorder.into_calls();
    calls.extend_from_slice(&walked.calls);
    judged(&walked, &calls, progress).0
}

#[cfg(test)]
mod tests;
