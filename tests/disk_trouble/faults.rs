//! strace makes a system call of the engine fail: the first of its kind in a thread, the second, and so on to
//! the last.

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

use crate::sale::{Ending, SMALL, Sale, Transcript, check_directory};
use crate::{all_rows, skip};

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

/// The directory in which the sale begins.
const STARTS: [&str; 3] = ["creating", "after an orderly close", "after a crash"];

/// A row of the matrix.
#[derive(Clone, Debug)]
struct Row {
    start: usize,
    call: &'static str,
    error: &'static str,
    /// Which of a thread's calls fails; with `and_later`, all of them from this one on.
    number: usize,
    and_later: bool,
    durability: Durability,
}

impl Row {
    fn wrapper(&self, trace: &Path) -> Vec<String> {
        let Row { call, error, number, and_later, .. } = self;
        let when = format!("{number}{}", if *and_later { "+" } else { "" });
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

fn has_strace() -> bool {
    let status = Command::new("strace").arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status();
    let found = status.is_ok_and(|status| status.success());
    if !found {
        skip("strace is missing; install it (apt-get install strace)");
    }
    found
}

/// A directory for each of [`STARTS`], and the transcript of the sale in it.
struct Directories {
    scratch: tempfile::TempDir,
    starts: Vec<(PathBuf, Transcript)>,
}

impl Directories {
    fn new() -> Directories {
        let scratch = tempfile::tempdir().unwrap();
        let mut starts = Vec::new();
        for (number, name) in STARTS.iter().enumerate() {
            let directory = scratch.path().join(format!("start{number}"));
            let transcript = match number {
                0 => Transcript::default(),
                _ => {
                    let ending = if number == 1 { Ending::Close } else { Ending::Abandon };
                    let transcript = Sale { first: 1_000, orders: 20, ending, ..SMALL }.run(&[], &directory);
                    assert_eq!(transcript.acknowledged(), 20, "{name}: {transcript:?}");
                    transcript
                }
            };
            starts.push((directory, transcript));
        }
        Directories { scratch, starts }
    }

    /// A copy of a directory, for one sale.
    fn copy(&self, start: usize, name: &str) -> PathBuf {
        let copy = self.scratch.path().join(name).join("shop");
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        if start > 0 {
            copy_all(&self.starts[start].0, &copy);
        }
        copy
    }

    /// The most calls of each kind that one thread of an untroubled sale makes.
    fn count_calls(&self, start: usize) -> BTreeMap<&'static str, usize> {
        let directory = self.copy(start, &format!("counted{start}"));
        let trace = directory.with_extension("trace");
        let names: Vec<&str> = FAULTS.iter().map(|(name, _)| *name).collect();
        let transcript = SMALL.run(&strace(&trace, &names.join(","), &[]), &directory);
        assert!(transcript.is_untroubled(), "may this machine trace processes? {transcript:?}");
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

    fn run(&self, row: &Row, number: usize) -> Transcript {
        let directory = self.copy(row.start, &format!("row{number}"));
        let trace = directory.with_extension("trace");
        let transcript = Sale { durability: row.durability, ..SMALL }.run(&row.wrapper(&trace), &directory);
        let checked = catch_unwind(AssertUnwindSafe(|| {
            transcript.assert_well_behaved();
            check_directory(&directory, &[&self.starts[row.start].1, &transcript]);
        }));
        if let Err(panic) = checked {
            let why = panic.downcast_ref::<String>().cloned();
            let why = why.or_else(|| panic.downcast_ref::<&str>().map(|why| (*why).to_owned()));
            let trace = fs::read_to_string(&trace).unwrap_or_default();
            let injected: Vec<&str> = trace.lines().filter(|line| line.contains("INJECTED")).collect();
            println!(
                "FAILED {row:?} in {:?}\n  {injected:#?}\n  {transcript:#?}\n  {why:?}",
                STARTS[row.start]
            );
            panic!("{row:?}: {why:?}");
        }
        fs::remove_dir_all(directory.parent().unwrap()).unwrap();
        transcript
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
fn a_call_that_fails_loses_nothing_acknowledged() {
    if !has_strace() {
        return;
    }
    let only = std::env::var("STOCKHOLD_TROUBLE_CALL").ok();
    let directories = Directories::new();
    let mut rows = Vec::new();
    for start in 0..STARTS.len() {
        for (call, calls) in directories.count_calls(start) {
            let errors = FAULTS.iter().find(|(name, _)| *name == call).unwrap().1;
            for (number, error) in
                (1..=calls).flat_map(|number| errors.iter().map(move |error| (number, *error)))
            {
                for and_later in [false, true] {
                    for durability in [Durability::Sync, Durability::Interval(Duration::from_millis(1))] {
                        rows.push(Row { start, call, error, number, and_later, durability });
                    }
                }
            }
        }
    }
    let total = rows.len();
    rows.retain(|row| only.as_ref().is_none_or(|only| row.call == only));
    if !all_rows() {
        // The choice depends only on the seed and on the number of rows.
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
                    match catch_unwind(AssertUnwindSafe(|| directories.run(row, number))) {
                        Ok(transcript) => {
                            *troubled.lock().unwrap() += usize::from(!transcript.is_untroubled())
                        }
                        Err(_) => failed.lock().unwrap().push(row.clone()),
                    }
                }
            });
        }
    });
    println!("{} rows met trouble", troubled.lock().unwrap());
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{} rows failed: {failed:#?}", failed.len());
}
