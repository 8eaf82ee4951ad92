//! A system call of the engine fails, by strace: in each thread the first call of a kind, then the second, up
//! to the last.

use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use stockhold::Durability;
use stockhold_seeded::{Rng, seed_or};

use crate::sale::{Ending, SMALL, Sale, Told, judge};
use crate::{all, skip};

/// Calls, and the errors that each is made to return.
const FAULTS: &[(&str, &[&str])] = &[
    ("fdatasync", &["EIO", "ENOSPC", "EDQUOT"]),
    ("fsync", &["EIO", "ENOSPC"]),
    ("sync_file_range", &["EIO", "ENOSPC"]),
    ("pwrite64", &["ENOSPC", "EIO", "EDQUOT", "EFBIG", "EROFS"]),
    ("write", &["ENOSPC", "EIO"]),
    ("pread64", &["EIO"]),
    ("read", &["EIO"]),
    ("openat", &["EMFILE", "ENFILE", "EIO", "EROFS", "EACCES", "ENOSPC"]),
    ("ftruncate", &["ENOSPC", "EIO"]),
    ("rename", &["ENOSPC", "EIO"]),
    ("mkdir", &["ENOSPC", "EROFS"]),
    ("unlink", &["EIO"]),
    ("getdents64", &["EIO"]),
    ("flock", &["ENOLCK"]),
];

/// Where the sale begins.
const SCENES: [&str; 3] = ["creating", "after an orderly close", "after a crash"];

/// A row of the matrix.
#[derive(Clone, Debug)]
struct Row {
    scene: usize,
    call: &'static str,
    error: &'static str,
    /// Which of a thread's calls fails; with `on`, all from it on.
    number: usize,
    on: bool,
    durability: Durability,
}

impl Row {
    fn wrapper(&self, trace: &Path) -> Vec<String> {
        let Row { call, error, number, on, .. } = self;
        let when = format!("{number}{}", if *on { "+" } else { "" });
        strace(trace, call, &[format!("inject={call}:error={error}:when={when}")])
    }
}

fn strace(trace: &Path, calls: &str, expressions: &[String]) -> Vec<String> {
    let mut words: Vec<String> =
        ["strace", "-f", "-qq", "--seccomp-bpf", "-e", "signal=none", "-o"].map(String::from).into();
    words.push(trace.display().to_string());
    words.extend(["-e".into(), format!("trace={calls}")]);
    words.extend(expressions.iter().flat_map(|expression| ["-e".into(), expression.clone()]));
    words
}

fn strace_is_there() -> bool {
    let there = Command::new("strace").arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status();
    let there = there.is_ok_and(|status| status.success());
    if !there {
        skip("strace is missing; install it (apt-get install strace)");
    }
    there
}

/// A directory for each scene, and what was acknowledged in it.
struct Stage {
    scratch: tempfile::TempDir,
    scenes: Vec<(PathBuf, Told)>,
}

impl Stage {
    fn new() -> Stage {
        let scratch = tempfile::tempdir().unwrap();
        let mut scenes = Vec::new();
        for (number, name) in SCENES.iter().enumerate() {
            let directory = scratch.path().join(format!("scene{number}"));
            let told = match number {
                0 => Told::default(),
                _ => {
                    let ending = if number == 1 { Ending::Close } else { Ending::Abandon };
                    let told = Sale { first: 1_000, orders: 20, ending, ..SMALL }.run(&[], &directory);
                    assert_eq!(told.acknowledged(), 20, "{name}: {told:?}");
                    told
                }
            };
            scenes.push((directory, told));
        }
        Stage { scratch, scenes }
    }

    /// A copy of a scene's directory, to be spoiled.
    fn copy(&self, scene: usize, name: &str) -> PathBuf {
        let copy = self.scratch.path().join(name).join("shop");
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        if scene > 0 {
            copy_all(&self.scenes[scene].0, &copy);
        }
        copy
    }

    /// The most calls of each kind that one thread of an untroubled sale makes.
    fn counted(&self, scene: usize) -> BTreeMap<&'static str, usize> {
        let directory = self.copy(scene, &format!("counted{scene}"));
        let trace = directory.with_extension("trace");
        let names: Vec<&str> = FAULTS.iter().map(|(name, _)| *name).collect();
        let told = SMALL.run(&strace(&trace, &names.join(","), &[]), &directory);
        assert!(told.is_untroubled(), "may this machine trace processes? {told:?}");
        let mut counts: BTreeMap<(String, &str), usize> = BTreeMap::new();
        for line in fs::read_to_string(&trace).unwrap().lines() {
            let Some((thread, call)) = line.split_once(' ') else { continue };
            let name = names.iter().find(|name| call.trim_start().starts_with(&format!("{name}(")));
            if let Some(name) = name {
                *counts.entry((thread.into(), name)).or_default() += 1;
            }
        }
        let mut most = BTreeMap::new();
        for ((_, name), count) in counts {
            let kept: &mut usize = most.entry(name).or_default();
            *kept = count.max(*kept);
        }
        most
    }

    fn run(&self, row: &Row, number: usize) -> Told {
        let directory = self.copy(row.scene, &format!("row{number}"));
        let trace = directory.with_extension("trace");
        let told = Sale { durability: row.durability, ..SMALL }.run(&row.wrapper(&trace), &directory);
        let judged = catch_unwind(AssertUnwindSafe(|| {
            told.behaved();
            judge(&directory, &[&self.scenes[row.scene].1, &told]);
        }));
        if let Err(panic) = judged {
            let why = panic.downcast_ref::<String>().cloned();
            let why = why.or_else(|| panic.downcast_ref::<&str>().map(|why| (*why).to_owned()));
            let trace = fs::read_to_string(&trace).unwrap_or_default();
            let injected: Vec<&str> = trace.lines().filter(|line| line.contains("INJECTED")).collect();
            println!("FAILED {row:?} in {:?}\n  {injected:#?}\n  {told:#?}\n  {why:?}", SCENES[row.scene]);
            panic!("{row:?}: {why:?}");
        }
        fs::remove_dir_all(directory.parent().unwrap()).unwrap();
        told
    }
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (entry, name) = entry.map(|entry| (entry.path(), to.join(entry.file_name()))).unwrap();
        match entry.is_dir() {
            true => copy_all(&entry, &name),
            false => assert!(fs::copy(&entry, &name).is_ok()),
        }
    }
}

#[test]
fn whichever_call_fails_nothing_acknowledged_is_lost() {
    if !strace_is_there() {
        return;
    }
    let only = std::env::var("STOCKHOLD_TROUBLE_CALL").ok();
    let stage = Stage::new();
    let mut rows = Vec::new();
    for scene in 0..SCENES.len() {
        for (call, calls) in stage.counted(scene) {
            let errors = FAULTS.iter().find(|(name, _)| *name == call).unwrap().1;
            for (number, error) in
                (1..=calls).flat_map(|number| errors.iter().map(move |error| (number, *error)))
            {
                for on in [false, true] {
                    for durability in [Durability::Sync, Durability::Interval(Duration::from_millis(1))] {
                        rows.push(Row { scene, call, error, number, on, durability });
                    }
                }
            }
        }
    }
    let total = rows.len();
    rows.retain(|row| only.as_ref().is_none_or(|only| row.call == only));
    if !all() {
        // A pure function of the seed, whatever the rows before were.
        let mut rng = Rng::new(seed_or(1));
        rows.retain(|_| rng.once_in(8));
    }
    println!("{} of {total} rows", rows.len());
    let (failed, troubled) = (Mutex::new(Vec::new()), Mutex::new(0));
    let queue = Mutex::new(rows.iter().enumerate());
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let Some((number, row)) = queue.lock().unwrap().next() else { break };
                    match catch_unwind(AssertUnwindSafe(|| stage.run(row, number))) {
                        Ok(told) => *troubled.lock().unwrap() += usize::from(!told.is_untroubled()),
                        Err(_) => failed.lock().unwrap().push(row.clone()),
                    }
                }
            });
        }
    });
    println!("{} rows were troubled", troubled.lock().unwrap());
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{} rows failed: {failed:#?}", failed.len());
}
