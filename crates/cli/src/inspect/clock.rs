//! `stockhold clock`: compares engine time with the machine's clock, and sets it back in a copy.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::Serialize;
use stockhold::Timestamp;
use stockhold::error::{BackupError, SetTimeError};
use stockhold::inspect::Inspection;

use super::directory::DirectoryArgs;
use super::text::counted;
use crate::exit::CODES;
use crate::output::Stop;

/// Compare engine time with this machine's clock, and set it back in a copy
///
/// Engine time never falls below the last time in the log. If a program once opened the directory while the
/// machine's clock was far ahead, that stays so after the clock is right: fresh UUIDv7 op keys are refused as too
/// old, and sales open early. Then make a copy with --set and --out, and open it in place of the directory.
///
/// The copy has everything that the directory has, and is verified before the command reports success. The
/// directory is not changed. A live hold keeps the time that it had left; one that was due stays due. The moments
/// at which sales open stay, so a sale that opened too early is closed again until then. What was sold, and what
/// expired, stays so.
#[derive(clap::Args)]
#[command(after_long_help = format!("{MORE_HELP}\n\n{CODES}"))]
pub(crate) struct Args {
    #[command(flatten)]
    directory: DirectoryArgs,
    /// The time that the copy has: "now" by this machine's clock, or RFC 3339 (2026-11-27T09:00:00Z)
    #[arg(long, value_name = "TIME", value_parser = parse_time, requires = "out")]
    set: Option<NewTime>,
    /// The directory to make; it must not exist
    #[arg(long, requires = "set")]
    out: Option<PathBuf>,
}

const MORE_HELP: &str = "\
Examples:
  stockhold clock --dir shop
  stockhold clock --dir shop --set now --out shop-mended
  mv shop shop-wrong-time && mv shop-mended shop

With --json, one object: log_unix_ms, clock_unix_ms, ahead_ms; with --set also out, set_unix_ms, end,
holds_live, holds_due.";

#[derive(Clone, Copy, Debug)]
enum NewTime {
    Now,
    At(Timestamp),
}

fn parse_time(text: &str) -> Result<NewTime, String> {
    if text == "now" {
        return Ok(NewTime::Now);
    }
    let form = "give \"now\" or a time as 2026-11-27T09:00:00Z";
    let time: jiff::Timestamp = text.parse().map_err(|_| form.to_owned())?;
    let moment = Timestamp::try_from(SystemTime::from(time)).map_err(|error| error.to_string())?;
    Ok(NewTime::At(moment))
}

#[derive(Serialize)]
struct Json {
    /// The last time in the log: engine time is never before it.
    log_unix_ms: u64,
    clock_unix_ms: u64,
    /// By how much the last time in the log is ahead of the clock.
    ahead_ms: u64,
    #[serde(flatten)]
    copy: Option<Copied>,
}

#[derive(Serialize)]
struct Copied {
    out: String,
    set_unix_ms: u64,
    end: u64,
    holds_live: u64,
    holds_due: u64,
}

pub(crate) fn run(Args { directory, set, out }: Args) -> Result<(), Stop> {
    let inspection = directory.open_verified()?;
    let clock = Timestamp::try_from(SystemTime::now()).map_err(|_| {
        Stop::environment("this machine's clock is not in the years 2020 to 2089; set it right")
    })?;
    let last = inspection.report().time;
    let copy = match set.zip(out) {
        Some((NewTime::Now, out)) => Some(copy(&inspection, &out, clock)?),
        Some((NewTime::At(time), out)) => Some(copy(&inspection, &out, time)?),
        None => None,
    };
    let ahead = last.since(clock);
    let found = Json {
        log_unix_ms: last.as_unix_millis(),
        clock_unix_ms: clock.as_unix_millis(),
        ahead_ms: ahead.as_millis() as u64,
        copy,
    };
    directory.print(
        |output| output.json(&found),
        |output| {
            output.line(format_args!("last time in the log   {last}"))?;
            output.line(format_args!("this machine's clock   {clock}"))?;
            match &found.copy {
                None if ahead.is_zero() => output.line(format_args!("engine time is not ahead of the clock")),
                None => output.line(format_args!(
                    "engine time is ahead by {}; if the clock is right, set it with --set now --out DIR",
                    in_days(ahead)
                )),
                Some(Copied { out, set_unix_ms, end, holds_live, holds_due }) => {
                    let set = Timestamp::from_unix_millis(*set_unix_ms);
                    output.line(format_args!("copied and verified    {out}, up to position {end}"))?;
                    output.line(format_args!("engine time in it      {set}"))?;
                    output.line(format_args!(
                        "{} in it keep the time that they had left; {} due",
                        counted(*holds_live, "live hold"),
                        counted(*holds_due, "more hold"),
                    ))?;
                    output.line(format_args!("open it in place of the directory, never beside it"))
                }
            }
        },
    )
}

fn in_days(time: Duration) -> String {
    match time.as_secs() {
        seconds if seconds < 86_400 => format!("{seconds} s"),
        seconds => counted(seconds / 86_400, "day"),
    }
}

/// Makes the copy and verifies it.
fn copy(inspection: &Inspection, out: &Path, time: Timestamp) -> Result<Copied, Stop> {
    let end = inspection.set_time(out, time).map_err(|error| match error {
        SetTimeError::Time(_) | SetTimeError::NotEarlier { .. } => Stop::usage(error.to_string()),
        SetTimeError::Backup(BackupError::Exists(sentence)) => Stop::usage(sentence),
        SetTimeError::Backup(BackupError::Damaged(_)) => Stop::Untrue(error.to_string()),
        error => Stop::environment(error),
    })?;
    let copy = Inspection::open(out)?;
    let levels = |of: &Inspection| of.levels().map(|entry| entry.level).collect::<Vec<_>>();
    if copy.drift().is_some() || copy.report().time != time || levels(&copy) != levels(inspection) {
        let out = out.display();
        return Err(Stop::Untrue(format!("the copy {out} differs from the directory; remove the copy")));
    }
    let holds = copy.holds(time).map_err(Stop::environment)?;
    let (mut holds_live, mut holds_due) = (0, 0);
    for hold in holds.filter(|hold| hold.deadline.is_some()) {
        *(if hold.overdue { &mut holds_due } else { &mut holds_live }) += 1;
    }
    let (out, set_unix_ms) = (out.display().to_string(), time.as_unix_millis());
    Ok(Copied { out, set_unix_ms, end: end.0, holds_live, holds_due })
}
