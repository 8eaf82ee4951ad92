//! Kills a load again and again, in a directory that lives on, and judges what it finds.
//!
//! The witness is a pipe: what came out of it before the end is what the killed process had said. Some are killed while
//! they open what the one before has left, and some directories are opened by the next load unjudged.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use stockhold::Timestamp;

use crate::judge::{LONG_AGO, judge};
use crate::load::HEAVY;
use crate::options::Options;
use crate::witness::Witness;
use stockhold_seeded::Rng;

pub(crate) const USAGE: &str = "\
Kills a load with SIGKILL at random moments, its openings included, and judges the directory by what it had said.

usage: stockhold-crash kills [--kills N] [--seed N] [--load PROGRAM] [--into D]

  --kills N        how often (default 300)
  --seed N         of all choices (default STOCKHOLD_SEED, else the time)
  --load PROGRAM   whose load is killed (default this program)
  --into D         where a directory that was found wrong is left (default target/kills)

The choices follow from the seed, the moment that a kill meets does not.
Exit code 1: an acknowledgement was lost, or something else is wrong with the directory.";

/// Kills of one directory; then another begins, so that none grows without end.
const KILLS_EACH: u64 = 60;
/// A load that has not opened its directory by now never will.
const OPENING_MAX: Duration = Duration::from_secs(60);

/// When a load is killed.
#[derive(Clone, Copy)]
enum When {
    /// So long after it was started.
    Started(Duration),
    /// So long after it has opened its directory.
    Opened(Duration),
}

/// What came of all.
#[derive(Default)]
struct Tally {
    kills: u64,
    opening: u64,
    judged: u64,
    told: u64,
    unknown: usize,
    unknown_happened: usize,
    torn: u64,
}

/// True if nothing was lost.
pub(crate) fn run(options: &Options) -> Result<bool, String> {
    let (kills, seed, load) = (options.number("--kills", 300)?, options.seed()?, options.program()?);
    let into = Path::new(options.text("--into").unwrap_or("target/kills"));
    println!("{kills} kills, seed {seed}");
    let (begin, mut tally) = (Instant::now(), Tally::default());
    for first in (0..kills).step_by(KILLS_EACH as usize) {
        let place = tempfile::tempdir().map_err(|error| error.to_string())?;
        let count = KILLS_EACH.min(kills - first);
        if !live_on(
            &load,
            &place.path().join("shop"),
            Rng::stream(seed, first).next() >> 32,
            count,
            &mut tally,
        )? {
            std::fs::create_dir_all(into).map_err(|error| error.to_string())?;
            let kept = into.join(format!("shop-{seed}-{first}"));
            let copied = Command::new("cp").arg("-r").arg(place.path()).arg(&kept).status();
            println!("the directory as the judge has left it: {} ({copied:?})", kept.display());
            println!("again: stockhold-crash kills --kills {kills} --seed {seed}");
            return Ok(false);
        }
    }
    let Tally { kills, opening, judged, told, unknown, unknown_happened, torn } = tally;
    println!(
        "{kills} kills ({opening} before the directory was open), {judged} times judged: {told} acknowledgements, \
         {unknown} errands of unknown outcome, of which {unknown_happened} had happened, {torn} torn tails; nothing \
         was lost or doubled, in {:.1} s",
        begin.elapsed().as_secs_f64()
    );
    Ok(true)
}

/// Kills on one directory. False if something is wrong with it.
fn live_on(load: &Path, shop: &Path, seed: u64, kills: u64, tally: &mut Tally) -> Result<bool, String> {
    let (mut rng, mut witness) = (Rng::stream(seed, 0), Witness::default());
    // Every other directory grows by pallets, whose groups are long.
    let pallets = if rng.percent(50) { HEAVY } else { 5 };
    for kill in 0..kills {
        let when = match rng.percent(35) {
            true => When::Started(Duration::from_micros(rng.below(25_000))),
            false => When::Opened(Duration::from_micros(rng.below(60_000))),
        };
        let told = witness.told();
        let opened = kill_one(load, shop, (seed, kill, pallets), when, &mut witness)?;
        tally.kills += 1;
        tally.opening += u64::from(!opened);
        tally.told += (witness.told() - told) as u64;
        if rng.percent(30) && kill + 1 < kills {
            continue; // the next load finds it as it is
        }
        let now = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_millis() as u64);
        let time = if rng.percent(50) { LONG_AGO } else { Timestamp(now) };
        if !shop.exists() {
            continue; // killed before anything was there
        }
        let judged = judge(shop, &mut witness, time);
        tally.judged += 1;
        tally.unknown += judged.unknown;
        tally.unknown_happened += judged.unknown_happened;
        tally.torn += u64::from(judged.report.contains("torn"));
        if !judged.complaints.is_empty() {
            println!("\nkill {kill} of the directory with seed {seed}: {}", judged.report);
            for complaint in &judged.complaints {
                println!("  {}", complaint.chars().take(600).collect::<String>());
            }
            return Ok(false);
        }
    }
    Ok(true)
}

/// Starts a load and kills it. True if it had opened the directory.
fn kill_one(
    load: &Path,
    shop: &Path,
    (seed, run, pallets): (u64, u64, u64),
    when: When,
    witness: &mut Witness,
) -> Result<bool, String> {
    let mut child = Command::new(load)
        .args(["load", "--errands", "0", "--pallets", &pallets.to_string(), "--dir"])
        .arg(shop)
        .args(["--seed", &seed.to_string(), "--run", &run.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("the load cannot be started: {error}"))?;
    let mut pipe = child.stdout.take().ok_or("the load has no pipe")?;
    let mut stderr = child.stderr.take().ok_or("the load has no pipe")?;
    let (say, opened) = channel();
    // Not the thread that listens: a load whose pipe is full would be killed waiting, never at work.
    let killer = thread::spawn(move || kill_when(child, when, &opened));
    let openings = witness.openings;
    let is_open = listen(&mut pipe, witness, openings, &say)?;
    drop(say);
    witness.end();
    let killed = killer.join().map_err(|_| "the killer panicked")??;
    if !killed {
        let mut said = String::new();
        let _ = stderr.read_to_string(&mut said);
        return Err(format!("the load ended by itself: {said}"));
    }
    Ok(is_open)
}

/// Hears the load to its end. True if it had opened the directory.
fn listen(
    pipe: &mut impl Read,
    witness: &mut Witness,
    openings: u64,
    say: &Sender<()>,
) -> Result<bool, String> {
    let (mut buffer, mut is_open) = (vec![0; 1 << 16], false);
    loop {
        let read = pipe.read(&mut buffer).map_err(|error| format!("the load cannot be heard: {error}"))?;
        if read == 0 {
            return Ok(is_open);
        }
        witness.hear(&buffer[..read])?;
        if !is_open && witness.openings > openings && !witness.is_opening {
            is_open = true;
            let _ = say.send(()); // who waits for another moment does not listen
        }
    }
}

/// Kills the load at its moment; false if it had ended by itself.
fn kill_when(mut child: Child, when: When, opened: &Receiver<()>) -> Result<bool, String> {
    let after = match when {
        When::Started(after) => after,
        When::Opened(after) => {
            let _ = opened.recv_timeout(OPENING_MAX);
            after
        }
    };
    thread::sleep(after);
    let _ = child.kill(); // fails only when it has ended already, which its status tells
    let status = child.wait().map_err(|error| format!("the load is lost: {error}"))?;
    Ok(status.code().is_none())
}
