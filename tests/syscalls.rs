//! The system calls of the engine: it syncs the log before it acknowledges anything.
//!
//! A child process works on a directory under strace and writes a mark after every acknowledgement. Before
//! each mark the trace must have an fdatasync of the log's file that began after the last write to the file
//! and has returned.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use stockhold::{Config, Engine, Receive, Reserve};

const TRACE_IN: &str = "STOCKHOLD_TEST_TRACE_IN";
const ALONE: usize = 20;
const TOGETHER: usize = 10;
const BATCH: usize = 300;

/// Not a test: the body of the traced process, which runs if [`TRACE_IN`] is set.
#[test]
fn child_that_is_traced() {
    let Ok(directory) = std::env::var(TRACE_IN) else { return };
    let engine = Engine::open(directory, Config::default().ring_bytes(1 << 20)).unwrap();
    let key = engine.declare("poster", "berlin").unwrap();
    let mark = |what: &str| std::io::stdout().write_all(format!("mark {what}\n").as_bytes()).unwrap();
    mark("open");
    engine.receive(Receive::units(key, 100_000)).unwrap().wait().unwrap();
    mark("received");
    for _ in 0..ALONE {
        engine.reserve(Reserve::units(key, 1).reference("order-17")).unwrap().wait().unwrap();
        mark("alone");
    }
    for _ in 0..TOGETHER {
        let last = (0..BATCH)
            .map(|_| engine.reserve(Reserve::units(key, 1).reference("order-17")).unwrap().position())
            .max();
        engine.wait(last.unwrap()).unwrap();
        mark("together");
    }
    engine.shutdown().unwrap();
    mark("closed");
}

/// One system call of the trace. `began` and `returned` are numbers of lines.
#[derive(Debug)]
struct Call {
    name: String,
    arguments: String,
    began: usize,
    returned: usize,
}

/// Reads strace's lines, and joins the two parts of a call that the line of another thread has split.
fn calls(trace: &str) -> Vec<Call> {
    let mut calls = Vec::new();
    let mut unfinished: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
    for (number, line) in trace.lines().enumerate() {
        let Some((thread, text)) = line.split_once(' ') else { continue };
        let text = text.trim_start();
        if let Some(begun) = text.strip_suffix("<unfinished ...>") {
            unfinished.insert(thread, (number, begun));
            continue;
        }
        let (began, text) = match text.strip_prefix("<... ") {
            Some(_) => unfinished.remove(thread).expect("a call that began"),
            None => (number, text),
        };
        if let Some((name, arguments)) = text.split_once('(') {
            let (name, arguments) = (name.to_owned(), arguments.to_owned());
            calls.push(Call { name, arguments, began, returned: number });
        }
    }
    calls
}

fn has_strace() -> bool {
    let status = Command::new("strace").arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if status.is_ok_and(|status| status.success()) {
        return true;
    }
    assert_ne!(
        std::env::var("CI").as_deref(),
        Ok("true"),
        "strace is missing: install it (apt-get install strace)"
    );
    println!("skipped: strace is missing; install it to run this test (apt-get install strace)");
    false
}

#[test]
fn each_group_is_followed_by_a_sync_of_the_logs_file_before_its_receipts_are_released() {
    if !has_strace() {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let (directory, trace) = (scratch.path().join("shop"), scratch.path().join("trace"));
    let child = Command::new("strace")
        .args(["-f", "-y", "-s", "64", "-e", "signal=none", "-o"])
        .arg(&trace)
        .args([
            "-e",
            "trace=write,writev,pwrite64,pwritev,pwritev2,fsync,fdatasync,sync_file_range,ftruncate,openat",
        ])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "child_that_is_traced", "--nocapture", "--test-threads=1"])
        .env(TRACE_IN, &directory)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success(), "the traced child failed; may this machine trace processes?\n{stderr}");

    let file = fs::canonicalize(directory.join("log/00000001/db")).unwrap();
    let of_file = format!("<{}>", file.display());
    let calls = calls(&fs::read_to_string(&trace).unwrap());
    let on_file = |call: &&Call| call.arguments.split(',').next().is_some_and(|fd| fd.contains(&of_file));
    let writes: Vec<_> = calls.iter().filter(on_file).filter(|call| call.name.contains("write")).collect();
    let syncs: Vec<_> = calls.iter().filter(on_file).filter(|call| call.name == "fdatasync").collect();
    let marks: Vec<_> =
        calls.iter().filter(|call| call.name == "write" && call.arguments.contains("\"mark ")).collect();
    assert_eq!(marks.len(), 3 + ALONE + TOGETHER);
    assert!(syncs.len() > ALONE + TOGETHER, "{} syncs", syncs.len());

    for pair in marks.windows(2) {
        let [before, mark] = [pair[0], pair[1]];
        // The child does one thing at a time, so this mark acknowledges all that was written since the mark
        // before.
        let last = writes.iter().rfind(|write| write.returned < mark.began);
        let last = last.expect("something was written");
        assert!(
            before.returned < last.began || mark.arguments.contains("closed"),
            "nothing was written for {mark:?}"
        );
        let synced = syncs.iter().any(|sync| last.returned < sync.began && sync.returned < mark.began);
        assert!(synced, "no sync between {last:?} and {mark:?}");
    }
}
