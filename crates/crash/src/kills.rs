//! Kills a load repeatedly, each on the directory that the last one left, and judges the directory.
//!
//! The witness reads a pipe, and so gets all that the killed process had written. Some loads are killed while
//! they open the directory, and some directories are opened by the next load without being judged first.

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
Kills a load with SIGKILL at random moments, also while it opens, and judges the directory by its output.

usage: stockhold-crash kills [--kills N] [--seed N] [--load PROGRAM] [--into D]

  --kills N        the number of kills (default 300)
  --seed N         the seed of all choices (default STOCKHOLD_SEED, else the time)
  --load PROGRAM   the program whose load is killed (default this program)
  --into D         where a directory with a failure is kept (default target/kills)

The seed repeats the choices, but not the moment that a kill meets.
Exit code 1: an acknowledgement was lost, or something else is wrong with the directory.";

/// Kills of one directory, before a fresh one is begun, so that none grows without end.
const KILLS_EACH: u64 = 60;
/// The longest wait for a load to open its directory.
const OPENING_MAX: Duration = Duration::from_secs(60);

/// When a load is killed.
#[derive(Clone, Copy)]
enum KillTime {
    /// This long after it was started.
    Started(Duration),
    /// This long after it has opened its directory.
    Opened(Duration),
}

/// The counts of all kills.
#[derive(Default)]
struct KillTally {
    kills: u64,
    opening: u64,
    judged: u64,
    answered: u64,
    unknown: usize,
    unknown_happened: usize,
    torn: u64,
}

/// Runs the kills; true if nothing was lost.
pub(crate) fn run(options: &Options) -> Result<bool, String> {
    let (kills, seed, load) = (options.number("--kills", 300)?, options.seed()?, options.program()?);
    let into = Path::new(options.text("--into").unwrap_or("target/kills"));
    println!("{kills} kills, seed {seed}");
    let (begin, mut tally) = (Instant::now(), KillTally::default());
    for first in (0..kills).step_by(KILLS_EACH as usize) {
        let place = tempfile::tempdir().map_err(|error| error.to_string())?;
        let count = KILLS_EACH.min(kills - first);
        if !kill_repeatedly(
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
            println!("to repeat: stockhold-crash kills --kills {kills} --seed {seed}");
            return Ok(false);
        }
    }
    let KillTally { kills, opening, judged, answered, unknown, unknown_happened, torn } = tally;
    println!(
        "{kills} kills ({opening} before the directory was open), judged {judged} times: {answered} \
         acknowledgements, {unknown} operations of unknown outcome, of which {unknown_happened} had happened, \
         {torn} torn tails; nothing was lost or doubled, in {:.1} s",
        begin.elapsed().as_secs_f64()
    );
    Ok(true)
}

/// Kills loads on one directory. False if something is wrong with it.
fn kill_repeatedly(
    load: &Path,
    shop: &Path,
    seed: u64,
    kills: u64,
    tally: &mut KillTally,
) -> Result<bool, String> {
    let (mut rng, mut witness) = (Rng::stream(seed, 0), Witness::default());
    // Half of the directories get many pallets, whose groups are long.
    let pallets = if rng.percent(50) { HEAVY } else { 5 };
    for kill in 0..kills {
        let when = match rng.percent(35) {
            true => KillTime::Started(Duration::from_micros(rng.below(25_000))),
            false => KillTime::Opened(Duration::from_micros(rng.below(60_000))),
        };
        let answered = witness.answered();
        let opened = kill_one(load, shop, (seed, kill, pallets), when, &mut witness)?;
        tally.kills += 1;
        tally.opening += u64::from(!opened);
        tally.answered += (witness.answered() - answered) as u64;
        if rng.percent(30) && kill + 1 < kills {
            continue; // the next load opens it unjudged
        }
        let now = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_millis() as u64);
        let time = if rng.percent(50) { LONG_AGO } else { Timestamp(now) };
        if !shop.exists() {
            continue; // killed before the directory was made
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
    when: KillTime,
    witness: &mut Witness,
) -> Result<bool, String> {
    let mut child = Command::new(load)
        .args(["load", "--operations", "0", "--pallets", &pallets.to_string(), "--dir"])
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
    // In another thread than the reader: a load with a full pipe would always be killed while it waits to
    // write.
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

/// Reads the load's output to its end. True if it had opened the directory.
fn listen(
    pipe: &mut impl Read,
    witness: &mut Witness,
    openings: u64,
    say: &Sender<()>,
) -> Result<bool, String> {
    let (mut buffer, mut is_open) = (vec![0; 1 << 16], false);
    loop {
        let read = pipe
            .read(&mut buffer)
            .map_err(|error| format!("the output of the load cannot be read: {error}"))?;
        if read == 0 {
            return Ok(is_open);
        }
        witness.read(&buffer[..read])?;
        if !is_open && witness.openings > openings && !witness.is_opening {
            is_open = true;
            let _ = say.send(()); // a killer that waits for another moment does not receive
        }
    }
}

/// Kills the load at the given time; false if it had ended by itself.
fn kill_when(mut child: Child, when: KillTime, opened: &Receiver<()>) -> Result<bool, String> {
    let after = match when {
        KillTime::Started(after) => after,
        KillTime::Opened(after) => {
            let _ = opened.recv_timeout(OPENING_MAX);
            after
        }
    };
    thread::sleep(after);
    let _ = child.kill(); // fails only if it has ended already, which its status shows
    let status = child.wait().map_err(|error| format!("the load's status cannot be read: {error}"))?;
    Ok(status.code().is_none())
}
