//! A recording: the traces of a load that ran under strace a few times on one directory.
//!
//! After each process the disk of the [`Machine`] is compared with the directory, so that a misunderstood
//! call is found before any image is made.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::base::Base;
use crate::cut::Cut;
use crate::disk::{Node, NodeId, ROOT};
use crate::load::HEAVY;
use crate::machine::{Machine, TRACED};
use crate::trace::{ADDED, Call, Event, Trace, quoted};
use stockhold_seeded::Rng;

/// The directory of the load, on every disk.
pub(crate) const SHOP: &str = "shop";

/// More processes than a recording has.
const RUNS_MAX: u64 = 100;

/// See the module.
#[derive(Debug)]
pub(crate) struct Recording {
    /// The path of the disk's root when it was recorded.
    pub(crate) root: String,
    pub(crate) base: Base,
    pub(crate) runs: Vec<Trace>,
}

impl Recording {
    /// Runs the load. Leaves its traces in `into`, and its directory in a folder `disk` beside them.
    pub(crate) fn make(load: &Path, seed: u64, base: Base, into: &Path) -> Result<Recording, String> {
        let root = into.join("disk");
        let begin = || {
            fs::create_dir_all(&root)?;
            base.image.make(&root)?;
            base.keep(into)
        };
        begin().map_err(|error| format!("{}: {error}", into.display()))?;
        let root = root.to_str().ok_or("a path that is not text")?.to_owned();
        fs::write(into.join("root"), &root).map_err(|error| error.to_string())?;
        let is_first = base.image.entries.is_empty();
        let mut recording = Recording { root, base, runs: Vec::new() };
        let mut machine = recording.machine();
        let mut rng = Rng::stream(seed, 0);
        // Sometimes long enough to fill segments of the log; else short, with many openings and closings.
        let heavy = is_first && rng.percent(25);
        for run in 0..if heavy { 3 } else { rng.between(3, 7) } {
            let file = into.join(format!("run-{run}"));
            let operations = if heavy { rng.between(400, 1_000) } else { rng.between(5, 60) };
            let arguments = [
                ("--dir", format!("{}/{SHOP}", recording.root)),
                ("--seed", seed.to_string()),
                ("--run", (run + if is_first { 0 } else { RUNS_MAX }).to_string()),
                ("--operations", operations.to_string()),
                ("--sessions", rng.between(1, 2).to_string()),
                ("--pallets", if heavy { HEAVY } else { 3 }.to_string()),
                ("--abrupt", if rng.percent(60) { "1" } else { "0" }.to_owned()),
                // Sometimes during its own recovery.
                ("--leave-after-us", if rng.percent(25) { rng.between(500, 60_000) } else { 0 }.to_string()),
            ];
            trace(load, &arguments, &file)?;
            let mut text = fs::read_to_string(&file).map_err(|error| error.to_string())?;
            let patch = play(&mut machine, &text).map_err(|why| format!("process {run}: {why}"))?;
            if !patch.is_empty() {
                text.push_str(&patch);
                fs::write(&file, &text).map_err(|error| error.to_string())?;
            }
            recording.runs.push(Trace::read(&text)?);
        }
        Ok(recording)
    }

    /// Reads a recording that [`make`](Self::make) has left.
    pub(crate) fn read(from: &Path) -> Result<Recording, String> {
        let read =
            |file: PathBuf| fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()));
        let mut recording =
            Recording { root: read(from.join("root"))?, base: Base::read(from)?, runs: Vec::new() };
        for run in 0.. {
            let file = from.join(format!("run-{run}"));
            if !file.exists() {
                break;
            }
            recording.runs.push(Trace::read(&read(file)?)?);
        }
        Ok(recording)
    }

    /// Creates a machine before the first event.
    pub(crate) fn machine(&self) -> Machine {
        Machine::new(&self.root, &self.base)
    }

    /// Replays the events between two cuts.
    pub(crate) fn advance(&self, machine: &mut Machine, mut from: Cut, to: Cut) -> Result<(), String> {
        while from < to {
            let trace = &self.runs[from.run];
            if from.events == 0 {
                machine.process_starts();
            }
            let until = if from.run == to.run { to.events } else { trace.events.len() };
            for event in &trace.events[from.events..until] {
                machine.step(trace, *event)?;
            }
            from.events = until;
            if from.run < to.run {
                from = Cut { run: from.run + 1, events: 0 };
            }
        }
        Ok(())
    }
}

fn trace(load: &Path, arguments: &[(&str, String)], into: &Path) -> Result<(), String> {
    let output = Command::new("strace")
        .args(["-f", "-xx", "-s", "16777216", "--seccomp-bpf", "-e", "signal=none", "-e"])
        .arg(format!("trace={TRACED}"))
        .arg("-o")
        .arg(into)
        .arg(load)
        .arg("load")
        .args(arguments.iter().flat_map(|(name, value)| [name, &**value]))
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .output()
        .map_err(|error| format!("strace cannot be started ({error}); install it"))?;
    if !output.status.success() {
        return Err(format!("the traced load failed: {}", String::from_utf8_lossy(&output.stderr)));
    }
    Ok(())
}

/// Replays a process to its end. Returns lines for the trace with the effects of calls that never returned.
fn play(machine: &mut Machine, text: &str) -> Result<String, String> {
    let trace = Trace::read(text)?;
    machine.process_starts();
    for event in &trace.events {
        machine.step(&trace, *event)?;
    }
    let unreturned: Vec<&Call> = trace.calls.iter().filter(|call| call.result.is_none()).collect();
    let mut patch = String::new();
    for call in &unreturned {
        let Some((node, at, length)) = machine.place_of(call) else { continue };
        // The file shows how much was written.
        let Some(path) = path_of(machine, node) else { continue };
        let content = fs::read(&path).map_err(|error| format!("{path}: {error}"))?;
        let data = &content[at.min(content.len())..(at + length).min(content.len())];
        let (descriptor, count) = (call.argument(0)?, data.len());
        let _ = writeln!(patch, "{ADDED} pwrite64({descriptor}, {}, {count}, {at}) = {count}", quoted(data));
    }
    step_all(machine, &patch)?;
    let Err(differs) = compare(machine) else { return Ok(patch) };
    // So the calls that change names have happened too.
    let mut rest = String::new();
    for call in unreturned.iter().filter(|call| !call.name.contains("write") && !call.name.contains("sync")) {
        let _ = writeln!(rest, "{ADDED} {}({}) = 1048576", call.name, call.arguments.join(", "));
    }
    if rest.is_empty() {
        return Err(differs);
    }
    step_all(machine, &rest)?;
    compare(machine)?;
    Ok(patch + &rest)
}

fn step_all(machine: &mut Machine, text: &str) -> Result<(), String> {
    let trace = Trace::read(text)?;
    trace
        .events
        .iter()
        .filter(|event| matches!(event, Event::Returns(_)))
        .try_for_each(|event| machine.step(&trace, *event))
}

/// The path of a file, if it has a name.
fn path_of(machine: &Machine, node: NodeId) -> Option<String> {
    let mut paths = BTreeMap::new();
    walk(machine, ROOT, machine.root(), &mut paths);
    paths.into_iter().find(|(_, of)| *of == node).map(|(path, _)| path)
}

fn walk(machine: &Machine, directory: NodeId, above: &str, paths: &mut BTreeMap<String, NodeId>) {
    let Node::Directory(names) = &machine.disk.nodes[directory] else { return };
    for (name, node) in &names.live {
        let path = format!("{above}{name}");
        walk(machine, *node, &format!("{path}/"), paths);
        paths.insert(path, *node);
    }
}

/// Compares the machine's disk with the directory that the program has left.
fn compare(machine: &mut Machine) -> Result<(), String> {
    let mut expected = BTreeMap::new();
    walk(machine, ROOT, machine.root(), &mut expected);
    let mut found = Vec::new();
    list(Path::new(machine.root()), &mut found).map_err(|error| error.to_string())?;
    found.sort();
    if let Some(path) = found.iter().find(|path| !expected.contains_key(*path)) {
        return Err(format!("the program has made {path}, and the trace does not show it"));
    }
    for (path, node) in expected {
        if found.binary_search(&path).is_err() {
            return Err(format!("the program has removed {path}, and the trace does not show it"));
        }
        if let Node::File(_) = machine.disk.nodes[node] {
            let content = fs::read(&path).map_err(|error| format!("{path}: {error}"))?;
            let known = machine.disk.content(node)?;
            if content != known {
                let at = content.iter().zip(&known).take_while(|(is, was)| is == was).count();
                let lengths = (content.len(), known.len());
                return Err(format!(
                    "the trace does not show what the program wrote into {path} at {at} (lengths {lengths:?})"
                ));
            }
        }
    }
    Ok(())
}

fn list(directory: &Path, found: &mut Vec<String>) -> std::io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        found.push(entry.path().to_string_lossy().into_owned());
        if entry.file_type()?.is_dir() {
            list(&entry.path(), found)?;
        }
    }
    Ok(())
}
