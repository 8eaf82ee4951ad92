//! `stockhold bench` as a user runs it, with measurements so short that the figures mean nothing.

#[allow(dead_code)] // standard output is no JSON here
mod program;

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use program::{code, run, stderr, stdout};
use serde_json::Value;

/// A very short run.
fn bench(dir: &Path, flags: &[&str]) -> Output {
    run(dir, &[&["bench", "--seconds", "0.05", "--only", "hot"], flags].concat())
}

fn entries(dir: &Path) -> usize {
    fs::read_dir(dir).unwrap().count()
}

/// Checks that every opened tag is closed, in order.
fn balanced(page: &str) -> Result<(), String> {
    let mut open = Vec::new();
    for tag in page.split('<').skip(1) {
        let tag = tag.split_once('>').ok_or(format!("<{tag} has no end"))?.0;
        if tag.starts_with('!') || tag.ends_with('/') {
            continue;
        }
        let name = tag.split_whitespace().next().unwrap_or_default();
        match name.strip_prefix('/') {
            None => open.push(name),
            Some(closed) if open.pop() == Some(closed) => {}
            Some(closed) => return Err(format!("</{closed}> closes nothing")),
        }
    }
    if open.is_empty() { Ok(()) } else { Err(format!("{open:?} are left open")) }
}

#[test]
fn each_level_has_its_rows_its_figures_and_its_plots_and_nothing_is_left_behind() {
    let scratch = tempfile::tempdir().unwrap();
    let files = tempfile::tempdir().unwrap();
    let [json, html] = ["bench.json", "bench.html"].map(|name| files.path().join(name).display().to_string());
    let output = bench(scratch.path(), &["--json", &json, "--html", &html]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert_eq!(entries(scratch.path()), 0);

    let table = stdout(&output);
    assert!(table.starts_with("machine: "), "{table}");
    for level in ["sync", "interval", "memory"] {
        let rows = table.lines().filter(|line| line.starts_with(&format!("  {level} ")));
        assert_eq!(rows.count(), 1, "{level} in {table}");
    }
    assert!(table.ends_with("agreed.\n"), "{table}");

    let report: Value = serde_json::from_str(&fs::read_to_string(json).unwrap()).unwrap();
    let figures = report["figures"].as_array().unwrap();
    assert_eq!(figures.len(), 3);
    for one in figures {
        assert_eq!(one["workload"], "hot", "{one}");
        assert!(one["closed"]["decisions_per_second"].as_f64().unwrap() > 0.0, "{one}");
        let kept = one["level"] != "memory";
        assert_eq!(one["closed"]["log_bytes_per_decision"].is_f64(), kept, "{one}");
        let open = one["open"].as_array().unwrap();
        assert_eq!((open.len(), &open[0]["offered_per_second"]), (2, &Value::from(100_000)), "{one}");
        for rate in open {
            assert_eq!(rate["latency"]["count"], rate["offered"], "each operation has its latency: {rate}");
        }
    }

    let page = fs::read_to_string(html).unwrap();
    balanced(&page).unwrap();
    assert_eq!(page.matches("<polyline").count(), 2 * 3, "one curve per rate and level");
    for foreign in ["<script", "http", "url(", "NaN", "inf"] {
        assert!(!page.contains(foreign), "{foreign}");
    }
}

#[test]
fn only_what_is_named_is_measured() {
    let scratch = tempfile::tempdir().unwrap();
    let output = bench(scratch.path(), &["--only", "churn", "--level", "memory"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let table = stdout(&output);
    let heads = table.lines().filter_map(|line| Some(line.split_once(": ")?.0));
    let blocks: Vec<&str> = heads.filter(|head| !head.contains(' ')).collect();
    assert_eq!(blocks, ["machine", "hot", "churn"], "{table}");
    assert!(!table.lines().any(|line| line.trim_start().starts_with("sync")), "{table}");
}

#[test]
fn a_directory_that_cannot_be_written_is_an_error_of_the_environment() {
    let file = tempfile::NamedTempFile::new().unwrap();
    for dir in [file.path(), Path::new("/proc"), Path::new("/no/such/place")] {
        let output = bench(dir, &[]);
        assert_eq!((code(&output), stdout(&output).as_str()), (3, ""), "{dir:?}: {}", stderr(&output));
        assert!(stderr(&output).contains("give --dir"), "{}", stderr(&output));
    }
    let scratch = tempfile::tempdir().unwrap();
    for flag in ["--json", "--html"] {
        let output = bench(scratch.path(), &[flag, "/no/such/place/file"]);
        assert_eq!((code(&output), stdout(&output).as_str()), (3, ""), "{}", stderr(&output));
    }
    assert_eq!(entries(scratch.path()), 0);
}

#[test]
fn a_measurement_that_cannot_be_made_leaves_nothing_behind() {
    let scratch = tempfile::tempdir().unwrap();
    // With this limit, nothing can be written to the engine's files.
    let limited = format!(
        "ulimit -f 1; exec {} bench --seconds 0.05 --only hot --level sync --dir {}",
        env!("CARGO_BIN_EXE_stockhold"),
        scratch.path().display()
    );
    let output = Command::new("sh").args(["-c", &limited]).output().unwrap();
    assert_eq!(code(&output), 3, "{}{}", stdout(&output), stderr(&output));
    assert!(stderr(&output).contains("hot at sync: "), "{}", stderr(&output));
    assert_eq!(entries(scratch.path()), 0);
}

#[test]
fn an_interrupted_run_leaves_nothing_behind() {
    for signal in ["-INT", "-TERM"] {
        let scratch = tempfile::tempdir().unwrap();
        let page = scratch.path().join("bench.html");
        fs::write(&page, "an older page").unwrap();
        let flags = ["bench", "--seconds", "60", "--html", &page.display().to_string()];
        let mut running = program::stockhold(scratch.path(), &flags)
            .stderr(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // Wait until an engine runs, so that its files exist too.
        while !holds_an_engine(scratch.path()) {
            assert!(running.try_wait().unwrap().is_none(), "it ended by itself");
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(Command::new("kill").args([signal, &running.id().to_string()]).status().unwrap().success());
        let output = running.wait_with_output().unwrap();
        assert_eq!(code(&output), 3, "{}", stderr(&output));
        assert!(stderr(&output).contains("interrupted"), "{}", stderr(&output));
        assert_eq!(
            (entries(scratch.path()), fs::read_to_string(&page).unwrap().as_str()),
            (1, "an older page")
        );
    }
}

/// Whether a measuring process has made an engine in its scratch directory.
fn holds_an_engine(dir: &Path) -> bool {
    fs::read_dir(dir).unwrap().any(|entry| entry.unwrap().path().join("engine").exists())
}

#[test]
fn counts_that_do_not_add_up_fail_the_run() {
    let scratch = tempfile::tempdir().unwrap();
    let json = scratch.path().join("bench.json").display().to_string();
    let output = bench(scratch.path(), &["--level", "memory", "--plant", "--json", &json]);
    assert_eq!(code(&output), 1, "{}{}", stdout(&output), stderr(&output));
    assert!(stderr(&output).contains("hot at memory: holds granted: "), "{}", stderr(&output));
    assert_eq!(entries(scratch.path()), 0);
}

#[test]
fn a_wrong_command_line_or_an_engines_directory_is_refused() {
    let scratch = tempfile::tempdir().unwrap();
    for flags in [["--seconds", "0"], ["--seconds", "NaN"], ["--only", "cold"], ["--level", "never"]] {
        let output = run(scratch.path(), &["bench", flags[0], flags[1]]);
        assert_eq!((code(&output), stdout(&output).as_str()), (2, ""), "{flags:?}: {}", stderr(&output));
    }
    drop(stockhold::Engine::open(scratch.path().join("shop"), stockhold::Config::default()).unwrap());
    let shop = scratch.path().join("shop");
    let before = entries(&shop);
    let output = bench(&shop, &[]);
    assert_eq!((code(&output), stdout(&output).as_str()), (2, ""), "{}", stderr(&output));
    assert_eq!(entries(&shop), before);
}
