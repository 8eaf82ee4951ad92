//! `stockhold sale` as a user runs it.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn stockhold(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_stockhold")).args(args).output().expect("the command starts")
}

/// A small sale in a directory of its own: `sale` and these flags.
fn sale(dir: &Path, flags: &[&str]) -> Output {
    let dir = dir.join("sale");
    let dir = dir.to_str().expect("a plain path");
    let small = [
        "sale",
        "--units",
        "60",
        "--shoppers",
        "400",
        "--ttl-ms",
        "60",
        "--seed",
        "7",
        "--json",
        "--dir",
        dir,
    ];
    stockhold(&[&small[..], flags].concat())
}

#[track_caller]
fn json(output: &Output) -> Value {
    let text = String::from_utf8(output.stdout.clone()).expect("UTF-8");
    serde_json::from_str(&text).unwrap_or_else(|error| {
        panic!(
            "{error}; standard output: {text:?}; standard error: {}",
            String::from_utf8_lossy(&output.stderr)
        )
    })
}

#[track_caller]
fn number(object: &Value, field: &str) -> u64 {
    object[field].as_u64().unwrap_or_else(|| panic!("{field} is missing in {object}"))
}

fn scratch() -> tempfile::TempDir {
    tempfile::tempdir().expect("a scratch directory")
}

/// Checks that a command line is refused: code 2, nothing on standard output, and `sentence` in the error.
#[track_caller]
fn refused(args: &[&str], sentence: &str) {
    let output = stockhold(args);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{args:?}: {errors}");
    assert!(errors.contains(sentence), "{args:?}: {errors}");
    assert!(output.stdout.is_empty(), "{args:?}");
}

#[test]
fn a_small_sale_is_verified_and_reported_in_json() {
    let dir = scratch();
    let output = sale(dir.path(), &["--second-act", "20000"]);
    let receipt = json(&output);
    assert_eq!(output.status.code(), Some(0), "{receipt:#}");

    for field in ["oversold", "falsely_refused", "lost_acknowledgements", "live", "other_breaches"] {
        assert_eq!(number(&receipt, field), 0, "{field} in {receipt:#}");
    }
    let [granted, refused, confirmed, released, expired] =
        ["granted", "refused", "confirmed", "released", "expired"].map(|field| number(&receipt, field));
    assert_eq!(granted + refused, 400);
    assert_eq!(granted, confirmed + released + expired);
    assert!(confirmed > 0 && expired > 0 && number(&receipt, "units_sold") <= 60, "{receipt:#}");
    for field in ["busy", "decisions_per_second", "ack_p50_us", "ack_p99_us"] {
        number(&receipt, field);
    }
    assert_eq!((&receipt["verified"], &receipt["reopened"]), (&Value::Bool(true), &Value::Bool(true)));
    assert_eq!(number(&receipt, "seed"), 7);
    assert!(dir.path().join("sale").read_dir().expect("it is kept").next().is_some());

    let baselines = receipt["usual"].as_array().expect("two designs");
    assert_eq!(baselines.len(), 2);
    for design in baselines {
        assert_eq!(number(design, "granted") + number(design, "refused"), 400, "{design}");
    }

    let test = &receipt["second_act"];
    assert_eq!((&test["verified"], &test["killed"]), (&Value::Bool(true), &Value::Bool(true)), "{test:#}");
    assert!(number(test, "decisions") >= 20_000);
    assert!(number(test, "acknowledged_before_kill") > 0);
    assert_eq!(number(test, "acknowledged_before_kill"), number(test, "found_after_kill"));
    for field in ["lost_acknowledgements", "doubled", "oversold"] {
        assert_eq!(number(test, field), 0, "{field} in {test:#}");
    }
}

#[test]
fn a_sold_out_flag_in_front_of_the_engine_is_found_as_false_refusals() {
    let dir = scratch();
    let output = sale(dir.path(), &["--second-act", "0", "--plant", "sold-out-flag"]);
    let receipt = json(&output);
    assert_eq!(output.status.code(), Some(1), "{receipt:#}");
    assert!(number(&receipt, "falsely_refused") > 0, "{receipt:#}");
    assert_eq!(number(&receipt, "oversold"), 0, "{receipt:#}");
    assert_eq!(receipt["verified"], Value::Bool(false));
}

#[test]
fn a_skipped_check_in_front_of_the_engine_is_found_as_oversells() {
    let dir = scratch();
    let output = sale(dir.path(), &["--second-act", "0", "--plant", "skip-check"]);
    let receipt = json(&output);
    assert_eq!(output.status.code(), Some(1), "{receipt:#}");
    assert!(number(&receipt, "oversold") > 0, "{receipt:#}");
    assert!(number(&receipt, "lost_acknowledgements") > 0, "{receipt:#}");
}

#[test]
fn without_a_kill_test_there_is_none_in_the_receipt() {
    let dir = scratch();
    let output = sale(dir.path(), &["--second-act", "0", "--durability", "interval:50ms", "--skus", "3"]);
    let receipt = json(&output);
    assert_eq!(output.status.code(), Some(0), "{receipt:#}");
    assert!(receipt.get("second_act").is_none());
    assert_eq!(receipt["durability"], "interval:50ms");
}

#[test]
fn in_memory_nothing_is_kept_and_nothing_is_killed() {
    let output = stockhold(&[
        "sale",
        "--durability",
        "memory",
        "--shoppers",
        "400",
        "--units",
        "50",
        "--second-act",
        "20000",
        "--json",
    ]);
    let receipt = json(&output);
    assert_eq!(output.status.code(), Some(0), "{receipt:#}");
    assert_eq!((&receipt["dir"], &receipt["reopened"]), (&Value::Null, &Value::Bool(false)));
    let test = &receipt["second_act"];
    assert_eq!((&test["killed"], &test["verified"]), (&Value::Bool(false), &Value::Bool(true)), "{test:#}");
    assert!(number(test, "decisions") >= 20_000);
}

#[test]
fn holds_that_outlive_the_sale_are_live_and_survive_it() {
    let dir = scratch();
    let dir = dir.path().join("sale");
    let output = stockhold(&[
        "sale",
        "--shoppers",
        "300",
        "--ttl-ms",
        "3600000",
        "--abandon",
        "1",
        "--cancel",
        "0",
        "--second-act",
        "0",
        "--json",
        "--dir",
        dir.to_str().expect("a plain path"),
    ]);
    let receipt = json(&output);
    assert_eq!(output.status.code(), Some(0), "{receipt:#}");
    assert_eq!(number(&receipt, "live"), 300);
    assert_eq!(number(&receipt, "found_acknowledgements"), 300);
}

#[test]
fn the_receipt_for_people_names_the_next_command() {
    let dir = scratch();
    let dir = dir.path().join("sale");
    let dir = dir.to_str().expect("a plain path");
    let output =
        stockhold(&["sale", "--shoppers", "200", "--units", "40", "--second-act", "5000", "--dir", dir]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{text}");
    for part in ["falsely refused", "killed with SIGKILL", &format!("Next:  stockhold verify --dir {dir}")] {
        assert!(text.contains(part), "{part:?} is missing in:\n{text}");
    }
}

#[test]
fn a_wrong_command_line_is_refused_with_a_sentence() {
    refused(&["sale", "--cancel", "1.5"], "it is not between 0 and 1");
    refused(&["sale", "--cancel", "0.7", "--abandon", "0.7"], "more than 1, which is every holder");
    refused(&["sale", "--units", "0"], "0 is not in 1..");
    refused(&["sale", "--units", "2", "--skus", "3"], "3 SKUs cannot share 2 units");
    refused(&["sale", "--durability", "often"], "write sync, interval:100ms");
    refused(&["sale", "--durability", "interval:0ms"], "not between 1 ms and one hour");
    refused(&["sale", "--durability", "memory", "--dir", "x"], "leave --dir out");
    refused(&["sale", "--no-such-flag"], "unexpected argument");
}

#[test]
fn a_directory_with_something_in_it_is_left_alone() {
    let dir = scratch();
    let kept = dir.path().join("precious");
    std::fs::write(&kept, "yes").expect("a file");
    refused(&["sale", "--dir", dir.path().to_str().expect("a plain path")], "a sale begins with a new one");
    assert_eq!(std::fs::read_to_string(kept).expect("still there"), "yes");
}

#[test]
fn help_shows_examples_and_exit_codes_and_hides_what_is_internal() {
    for args in [&["--help"][..], &["sale", "--help"]] {
        let output = stockhold(args);
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(0));
        assert!(text.contains("Exit codes:") && text.contains("stockhold sale"), "{text}");
        assert!(!text.contains("sale-child") && !text.contains("--plant"), "{text}");
    }
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_the_sale_early_and_still_verifies() {
    let dir = scratch();
    let dir = dir.path().join("sale");
    let child = Command::new(env!("CARGO_BIN_EXE_stockhold"))
        .args(["sale", "--json", "--dir", dir.to_str().expect("a plain path")])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("the command starts");
    std::thread::sleep(std::time::Duration::from_millis(1_200));
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill is there");
    assert!(kill.success());
    let output = child.wait_with_output().expect("it ends");
    let receipt = json(&output);
    assert_eq!(output.status.code(), Some(0), "{receipt:#}");
    assert_eq!((&receipt["interrupted"], &receipt["verified"]), (&Value::Bool(true), &Value::Bool(true)));
    assert!(number(&receipt, "granted") + number(&receipt, "refused") < 5_000, "{receipt:#}");
    assert!(receipt.get("second_act").is_none());
}
