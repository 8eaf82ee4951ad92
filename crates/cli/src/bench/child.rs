//! Measures one workload at one level in a process of its own, so that memory, processor time and bytes
//! written are those of this measurement alone.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::args::Args;
use super::closed;
use super::fault::Fault;
use super::figures::Figures;
use super::level::Level;
use super::open;
use super::schedule::RATE;
use super::stage::Stage;
use super::workload::Workload;
use crate::output::{Output, Stop};

/// Name of the hidden subcommand.
pub(crate) const CHILD: &str = "bench-child";

/// Flags that the parent passes; not for people.
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

/// What the child prints on standard output.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ChildReport {
    Measured(Figures),
    Fault(Fault),
}

/// The child: measures, and prints the result.
pub(super) fn work(args: &ChildArgs) -> Result<(), Stop> {
    let report = measure(args).map_or_else(ChildReport::Fault, ChildReport::Measured);
    let mut output = Output::new();
    output.json(&report)?;
    output.close()
}

fn measure(args: &ChildArgs) -> Result<Figures, Fault> {
    let &ChildArgs { ref dir, workload, level, seconds, .. } = args;
    // First, because the allocator may reuse memory that an earlier measurement has freed.
    let closed = fresh(args, dir, |stage| closed::measure(stage, seconds))?;
    let half = (closed.decisions_per_second / 2.0) as u64;
    let mut open = Vec::new();
    for rate in [RATE, half] {
        open.push(fresh(args, dir, |stage| open::measure(stage, rate, seconds))?);
    }
    Ok(Figures { workload, level, closed, open })
}

/// Measures on a new engine, and removes the files of the engine.
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

/// The child that is running, if there is one, and whether the run was interrupted.
struct RunningChild {
    child: Option<Child>,
    stopped: bool,
}

static RUNNING_CHILD: Mutex<RunningChild> = Mutex::new(RunningChild { child: None, stopped: false });

fn running() -> MutexGuard<'static, RunningChild> {
    RUNNING_CHILD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Handles a signal to the parent: ends the child, and prevents that another starts. Ctrl-C signals both
/// processes, `kill` only the parent.
pub(super) fn stop() {
    let mut running = running();
    running.stopped = true;
    if let Some(child) = &mut running.child {
        let _ = child.kill(); // fails if it has ended by itself
    }
}

/// The parent: runs a child, and reads its report.
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
        let mut running = running();
        if running.stopped {
            return Err(interrupted());
        }
        running.child.insert(command.spawn().map_err(cannot)?).stdout.take()
    };
    let mut printed = Vec::new();
    // A read error needs no handling: an incomplete report is not valid JSON.
    let _ = pipe.map(|mut pipe| pipe.read_to_end(&mut printed));
    let mut running = running();
    let ended = running.child.take().map(|mut child| child.wait()).transpose().map_err(Stop::environment)?;
    if running.stopped {
        return Err(interrupted());
    }
    match serde_json::from_slice(&printed) {
        Ok(ChildReport::Measured(figures)) => Ok(figures),
        Ok(ChildReport::Fault(fault)) => Err(match fault {
            Fault::Untrue(sentence) => Fault::Untrue(with_names(workload, level, &sentence)),
            Fault::Failed(sentence) => Fault::Failed(with_names(workload, level, &sentence)),
        }
        .into()),
        Err(_) => {
            let ended = ended.map_or_else(String::new, |status| format!(" with {status}"));
            Err(Stop::environment(with_names(workload, level, &format!("the process ended{ended}"))))
        }
    }
}

fn interrupted() -> Stop {
    Stop::environment("interrupted; all files of the run are removed")
}

fn with_names(workload: Workload, level: Level, sentence: &str) -> String {
    format!("{} at {}: {sentence}", workload.name(), level.name())
}
