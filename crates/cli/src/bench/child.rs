//! One workload at one level, in a process of its own: so that memory, processor time and bytes written are its alone.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::Args;
use super::closed;
use super::fault::Fault;
use super::figures::Figures;
use super::level::Level;
use super::open;
use super::stage::Stage;
use super::workload::Workload;
use crate::output::{Output, Stop};

/// Name of the hidden subcommand.
pub(crate) const CHILD: &str = "bench-child";

/// The rate that every machine is asked for.
pub(super) const RATE: u64 = 100_000;

/// Given by the parent; not for people.
#[derive(clap::Args)]
pub(crate) struct ChildArgs {
    #[arg(long)]
    dir: PathBuf,
    #[arg(long)]
    workload: Workload,
    #[arg(long)]
    level: Level,
    #[arg(long)]
    seconds: f64,
    #[arg(long)]
    plant: bool,
}

/// What it says on standard output.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Said {
    Measured(Figures),
    Fault(Fault),
}

/// The child.
pub(super) fn work(args: &ChildArgs) -> Result<(), Stop> {
    let said = measure(args).map_or_else(Said::Fault, Said::Measured);
    let mut output = Output::new();
    output.json(&said)?;
    output.close()
}

fn measure(args: &ChildArgs) -> Result<Figures, Fault> {
    let &ChildArgs { ref dir, workload, level, seconds, .. } = args;
    // First, while memory has never been used and given back.
    let closed = fresh(args, dir, |stage| closed::measure(stage, seconds))?;
    let half = (closed.decisions_per_second / 2.0) as u64;
    let mut open = Vec::new();
    for rate in [RATE, half] {
        open.push(fresh(args, dir, |stage| open::measure(stage, rate, seconds))?);
    }
    Ok(Figures { workload, level, closed, open })
}

/// Measures on an engine that has done nothing yet, and removes what it has written.
fn fresh<T>(args: &ChildArgs, dir: &Path, measure: impl Fn(&Stage) -> Result<T, Fault>) -> Result<T, Fault> {
    let dir = dir.join("engine");
    let mut stage = Stage::set(args.workload, args.level, args.seconds, &dir)?;
    stage.held += u64::from(args.plant);
    let measured = measure(&stage)?;
    stage.engine.shutdown().map_err(Fault::failed)?;
    drop(stage);
    if dir.exists() {
        fs::remove_dir_all(&dir).map_err(Fault::failed)?;
    }
    Ok(measured)
}

/// The child that is under way, and whether there may be one.
struct UnderWay {
    child: Option<Child>,
    stopped: bool,
}

static UNDER_WAY: Mutex<UnderWay> = Mutex::new(UnderWay { child: None, stopped: false });

fn under_way() -> MutexGuard<'static, UnderWay> {
    UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The parent is to end: so does its child, and no other begins. A terminal tells both, `kill` only the parent.
pub(super) fn stop() {
    let mut under_way = under_way();
    under_way.stopped = true;
    if let Some(child) = &mut under_way.child {
        let _ = child.kill(); // it may have ended by itself
    }
}

/// The parent: runs a child to its end.
pub(super) fn run(args: &Args, dir: &Path, workload: Workload, level: Level) -> Result<Figures, Stop> {
    let program = std::env::current_exe().map_err(Stop::environment)?;
    let mut command = Command::new(program);
    command
        .arg(CHILD)
        .arg("--dir")
        .arg(dir)
        .args([
            "--workload",
            &workload.name(),
            "--level",
            &level.name(),
            "--seconds",
            &args.seconds.to_string(),
        ])
        .args(args.plant.then_some("--plant"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit());
    let cannot = |error| Stop::environment(format_args!("the measuring process does not start: {error}"));
    let pipe = {
        let mut under_way = under_way();
        if under_way.stopped {
            return Err(interrupted());
        }
        under_way.child.insert(command.spawn().map_err(cannot)?).stdout.take()
    };
    let mut said = Vec::new();
    // What breaks off is no JSON either.
    let _ = pipe.map(|mut pipe| pipe.read_to_end(&mut said));
    let mut under_way = under_way();
    let ended =
        under_way.child.take().map(|mut child| child.wait()).transpose().map_err(Stop::environment)?;
    if under_way.stopped {
        return Err(interrupted());
    }
    match serde_json::from_slice(&said) {
        Ok(Said::Measured(figures)) => Ok(figures),
        Ok(Said::Fault(fault)) => Err(match fault {
            Fault::Untrue(sentence) => Fault::Untrue(told(workload, level, &sentence)),
            Fault::Failed(sentence) => Fault::Failed(told(workload, level, &sentence)),
        }
        .into()),
        Err(_) => {
            let ended = ended.map_or_else(String::new, |status| format!(" with {status}"));
            Err(Stop::environment(told(workload, level, &format!("the process ended{ended}"))))
        }
    }
}

fn interrupted() -> Stop {
    Stop::environment("interrupted; nothing is left behind")
}

fn told(workload: Workload, level: Level, sentence: &str) -> String {
    format!("{} at {}: {sentence}", workload.name(), level.name())
}
