//! The system calls of each thread while groups of one record are made durable, one after another, by strace.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

/// The number of traced groups.
const GROUPS: u64 = 50;

/// What the child writes before the first group and after the last.
const MARK: &str = "\"mark";

/// The system calls of a group, by thread and name; those in at most one of ten groups are left out.
pub fn measure(scratch: &Path) -> BTreeMap<String, Vec<(String, f64)>> {
    let trace = scratch.join("calls");
    let status = Command::new("strace")
        .args(["--follow-forks", "--decode-pids=comm", "--signal=none", "--output"])
        .arg(&trace)
        .arg(std::env::current_exe().unwrap())
        .args(["groups", &GROUPS.to_string(), "1"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("strace is there: apt-get install strace");
    assert!(status.success(), "the traced child failed; may this machine trace processes?");
    let trace = std::fs::read_to_string(&trace).unwrap();
    let mut counts: BTreeMap<&str, BTreeMap<&str, u64>> = BTreeMap::new();
    let between =
        trace.lines().skip_while(|line| !line.contains(MARK)).skip(1).take_while(|line| !line.contains(MARK));
    for line in between.filter(|line| !line.contains(" resumed>")) {
        let Some((thread, call)) = line.split_once("> ") else { continue };
        let Some((_, thread)) = thread.split_once('<') else { continue };
        let thread = match thread.strip_prefix("stockhold-") {
            Some(ours) => ours,
            None if thread.starts_with("sled-io") => "sled's threads, together",
            None => "waiting thread",
        };
        if let Some((name, _)) = call.trim_start().split_once('(') {
            *counts.entry(thread).or_default().entry(name).or_default() += 1;
        }
    }
    let calls = |names: BTreeMap<&str, u64>| {
        let each = names.into_iter().map(|(name, count)| (name.to_owned(), count as f64 / GROUPS as f64));
        each.filter(|(_, each)| *each > 0.1).collect::<Vec<_>>()
    };
    let threads = counts.into_iter().map(|(thread, names)| (thread.to_owned(), calls(names)));
    threads.filter(|(_, calls)| !calls.is_empty()).collect()
}
