//! `stockhold verify`, `levels`, `holds` and `log`, run as a user runs them: on directories that an engine
//! made, that a crash tore, that a disk damaged, and that are not stockhold directories.

#[allow(dead_code, reason = "each test file uses its part")]
#[path = "../../../tests/common/damage.rs"]
mod damage;
mod program;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use damage::{chunk_behind, damage_chunks, everything, store};
use program::{code, json, run, stderr, stdout, stockhold};
use serde_json::Value;
use stockhold::{
    Adjust, AdjustReason, Config, Confirm, Engine, HoldId, ManualClock, OpKey, Receive, Reserve, Timestamp,
};

/// 2021-01-01T00:00:00Z: by the machine's clock, every hold of 10 minutes from here is overdue.
const START: Timestamp = Timestamp(1_609_459_200_000);
const COMMANDS: [&str; 4] = ["verify", "levels", "holds", "log"];
/// Longer than any test runs.
const MONTH: Duration = Duration::from_secs(30 * 86_400);

struct Shop {
    scratch: tempfile::TempDir,
    sold: HoldId,
}

/// A directory with two stock keys, a sale, an overdue hold, and a name with a terminal control sequence.
fn shop() -> Shop {
    let scratch = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(START));
    let config = Config::default().clock(Arc::clone(&clock)).driver_period(None);
    let engine = Engine::open(scratch.path().join("shop"), config).unwrap();
    let poster = engine.declare("poster", "berlin").unwrap();
    let odd = engine.declare("mug \u{1b}[2J", "hamburg").unwrap();
    engine.receive(Receive::units(poster, 10).reference("PO-1")).unwrap().wait().unwrap();
    engine.receive(Receive::units(odd, 3)).unwrap().wait().unwrap();
    let reserve = Reserve::units(poster, 4).reference("order-1").op_key(OpKey(7));
    let sold = engine.reserve(reserve).unwrap().wait().unwrap().hold;
    engine.confirm(Confirm::hold(sold).quantity(3)).unwrap().wait().unwrap();
    engine.reserve(Reserve::units(poster, 2).reference(&[0x6f, 0xff])).unwrap().wait().unwrap();
    let broken = Adjust::by(odd, -1, AdjustReason::Damaged).reference("fell");
    engine.adjust(broken).unwrap().wait().unwrap();
    engine.stop_sale(odd).unwrap().wait().unwrap();
    engine.shutdown().unwrap();
    Shop { scratch, sold }
}

impl Shop {
    fn dir(&self) -> PathBuf {
        self.scratch.path().join("shop")
    }

    fn run(&self, args: &[&str]) -> Output {
        run(&self.dir(), args)
    }
}

fn json_lines(output: &Output) -> Vec<Value> {
    assert_eq!(code(output), 0, "{}", stderr(output));
    stdout(output).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

// ── sound directories
// ────────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn no_byte_under_the_directory_changes() {
    let shop = shop();
    // The next opening would repair a torn tail and a missing lock file.
    tear(&shop.dir());
    fs::remove_file(shop.dir().join("lock")).unwrap();
    let before = everything(&shop.dir());
    for command in COMMANDS {
        for args in [&[command][..], &[command, "--json"]] {
            let output = shop.run(args);
            assert_eq!(code(&output), 0, "{}", stderr(&output));
            assert!(everything(&shop.dir()) == before, "{args:?}");
        }
    }
}

#[test]
fn verify_says_what_it_found() {
    let shop = shop();
    let output = shop.run(&["verify"]);
    assert_eq!((code(&output), stderr(&output).as_str()), (0, ""));
    assert!(stdout(&output).contains("10 records in "), "{}", stdout(&output));
    assert!(stdout(&output).contains("\nverified "), "{}", stdout(&output));

    let found = json(&shop.run(&["verify", "--json"]));
    assert_eq!((&found["verified"], &found["records"]), (&true.into(), &10.into()));
    assert_eq!((&found["stock_keys"], &found["closed_in_order"]), (&2.into(), &true.into()));
    assert_eq!((&found["end"], &found["torn_tail"]), (&found["acknowledged"], &Value::Null));
    assert_eq!(found["time_unix_ms"], START.0);
}

#[test]
fn levels_are_shown_as_a_table_and_as_json() {
    let shop = shop();
    let output = shop.run(&["levels"]);
    let table = stdout(&output);
    assert_eq!((code(&output), table.lines().count()), (0, 4), "{table}");
    let poster: Vec<_> = table.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(poster, ["poster", "berlin", "10", "2", "3", "5"]);
    assert!(table.contains("mug \\u{1b}[2J") && table.contains("sale stopped"), "{table}");
    assert!(!table.contains('\u{1b}'));

    let all = json(&shop.run(&["levels", "--json"]));
    assert_eq!(all["levels"].as_array().unwrap().len(), 2);
    assert_eq!(all["position"], json(&shop.run(&["verify", "--json"]))["end"]);
    let one = json(&shop.run(&["levels", "--sku", "poster", "--json"]));
    assert_eq!(one["levels"].as_array().unwrap()[..], all["levels"].as_array().unwrap()[..1]);
    let poster = &one["levels"][0];
    assert_eq!((&poster["sku"], &poster["location"]), (&"poster".into(), &"berlin".into()));
    for (term, units) in [("on_hand", 10), ("held", 2), ("committed", 3), ("available", 5)] {
        assert_eq!(poster[term], units, "{term}");
    }

    let unknown = shop.run(&["levels", "--sku", "vase"]);
    assert_eq!((code(&unknown), stdout(&unknown).as_str()), (2, ""));
    assert!(stderr(&unknown).contains("\"vase\""));
}

#[test]
fn f05_an_overdue_hold_is_not_shown_as_live() {
    let shop = shop();
    let holds = json_lines(&shop.run(&["holds", "--json"]));
    assert_eq!(holds.len(), 2);
    let [sold, over] = &holds[..] else { unreachable!() };
    assert_eq!((&sold["hold"], &sold["state"]), (&shop.sold.to_string().into(), &"confirmed".into()));
    assert_eq!((&sold["quantity"], &sold["deadline_unix_ms"]), (&3.into(), &Value::Null));
    assert_eq!((&over["state"], &over["overdue"]), (&"expired".into(), &true.into()));
    assert_eq!(over["deadline_unix_ms"], START.plus(Duration::from_secs(600)).0);
    assert_eq!((&over["reference_hex"], &sold["reference"]), (&"6fff".into(), &"order-1".into()));
    let table = stdout(&shop.run(&["holds"]));
    let row: Vec<_> = table.lines().nth(2).unwrap().split_whitespace().collect();
    assert_eq!(row[1..6], ["poster", "berlin", "2", "overdue", "2021-01-01T00:10:00.000Z"]);
}

#[test]
fn a_live_hold_is_shown_as_live() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = Engine::open(scratch.path(), Config::default()).unwrap();
    let key = engine.declare("poster", "berlin").unwrap();
    engine.receive(Receive::units(key, 2)).unwrap().wait().unwrap();
    for paying in [false, true] {
        let hold = engine.reserve(Reserve::units(key, 1).ttl(MONTH)).unwrap().wait().unwrap().hold;
        if paying {
            engine.begin_payment(hold).unwrap().wait().unwrap();
        }
    }
    engine.shutdown().unwrap();
    let holds = json_lines(&run(scratch.path(), &["holds", "--json"]));
    let states: Vec<_> =
        holds.iter().map(|hold| (hold["state"].as_str().unwrap(), &hold["overdue"])).collect();
    assert!(states.contains(&("active", &false.into())) && states.contains(&("paying", &false.into())));
}

#[test]
fn the_log_is_told_entry_by_entry_from_any_position() {
    let shop = shop();
    let all = json_lines(&shop.run(&["log", "--json"]));
    let kinds: Vec<_> = all.iter().map(|entry| entry["kind"].as_str().unwrap()).collect();
    assert_eq!(
        kinds,
        [
            "opened", "declare", "declare", "receive", "receive", "reserve", "confirm", "reserve", "adjust",
            "stop"
        ]
    );
    let (reserve, confirm) = (&all[5], &all[6]);
    assert_eq!((&reserve["sku"], &reserve["reference"]), (&"poster".into(), &"order-1".into()));
    assert_eq!((&reserve["hold"], &confirm["hold"]), (&confirm["hold"], &shop.sold.to_string().into()));
    assert_eq!(reserve["op_key"], "00000000000000000000000000000007");
    assert_eq!((&confirm["quantity"], &confirm["returned"]), (&3.into(), &1.into()));
    assert_eq!((&all[8]["quantity"], &all[8]["reason"]), (&(-1).into(), &"damaged".into()));
    assert_eq!(confirm["at_unix_ms"], START.0);

    let from = confirm["position"].to_string();
    assert_eq!(json_lines(&shop.run(&["log", "--json", "--from", &from])), all[6..]);
    let text = stdout(&shop.run(&["log", "--from", &from]));
    assert_eq!(text.lines().count(), 4);
    let expected =
        format!("{from}  2021-01-01T00:00:00.000Z  confirm   sku=poster  location=berlin  units=3");
    assert!(text.trim_start().starts_with(&expected), "{text}");
    assert!(!text.contains('\u{1b}'));
}

#[test]
fn a_reader_may_close_the_output_early() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = Engine::open(scratch.path(), Config::default()).unwrap();
    let key = engine.declare("poster", "berlin").unwrap();
    engine.receive(Receive::units(key, 20_000)).unwrap().wait().unwrap();
    // More than a pipe holds.
    for _ in 0..5_000 {
        let _ = engine.reserve(Reserve::units(key, 1).ttl(MONTH)).unwrap().position();
    }
    engine.shutdown().unwrap();
    for args in [&["log"][..], &["log", "--json"], &["holds"], &["holds", "--json"]] {
        let mut child =
            stockhold(scratch.path(), args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let status = child.wait().unwrap();
        let mut errors = String::new();
        child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        assert_eq!((status.code(), errors.as_str()), (Some(0), ""), "{args:?}");
    }
}

// ── directories that cannot be inspected
// ─────────────────────────────────────────────────────────────────────────────────

/// Checks that all four commands exit with 3, print one sentence that contains `why`, and nothing on standard
/// output.
fn refused(dir: &Path, why: &str) {
    for command in COMMANDS {
        for args in [&[command][..], &[command, "--json"]] {
            let output = run(dir, args);
            assert_eq!((code(&output), stdout(&output).as_str()), (3, ""), "{args:?}");
            let error = stderr(&output);
            assert!(error.starts_with("stockhold: ") && error.contains(why), "{error}");
            assert_eq!(error.lines().count(), 1, "{error}");
        }
    }
}

#[test]
fn a_missing_or_foreign_directory_is_named_as_such() {
    let scratch = tempfile::tempdir().unwrap();
    refused(&scratch.path().join("no"), "there is no stockhold directory");
    assert!(!scratch.path().join("no").exists());
    refused(scratch.path(), "there is no stockhold directory");
    fs::write(scratch.path().join("letter.txt"), b"dear").unwrap();
    refused(scratch.path(), "is not a stockhold directory");
    refused(&scratch.path().join("letter.txt"), "letter.txt");
}

#[test]
fn a_newer_directory_is_left_to_a_newer_program() {
    let shop = shop();
    let identity = shop.dir().join("stockhold");
    let mut bytes = fs::read(&identity).unwrap();
    // The format version, after a mark of 20 bytes. It is read before the checksum, whose place a newer
    // format may change.
    bytes[20..24].copy_from_slice(&2_u32.to_le_bytes());
    fs::write(identity, bytes).unwrap();
    refused(&shop.dir(), "newer stockhold");
}

#[test]
fn a_directory_in_use_names_the_process() {
    let shop = shop();
    let _engine = Engine::open(shop.dir(), Config::default()).unwrap();
    refused(&shop.dir(), &format!("in use by process {}", std::process::id()));
}

#[test]
fn wrong_usage_has_a_code_of_its_own() {
    let shop = shop();
    assert_eq!(code(&shop.run(&["log", "--from", "yesterday"])), 2);
    let without = Command::new(env!("CARGO_BIN_EXE_stockhold")).arg("verify").output().unwrap();
    assert_eq!(code(&without), 2);
    let help = Command::new(env!("CARGO_BIN_EXE_stockhold")).args(["verify", "--help"]).output().unwrap();
    assert!(code(&help) == 0 && stdout(&help).contains("Exit codes:"));
}

// ── damage
// ───────────────────────────────────────────────────────────────────────────────────────────────────

/// The first chunk of a group whose last chunk never came.
fn tear(dir: &Path) {
    store(dir, &chunk_behind(dir, false, 4, &[0, 4]).1);
}

#[test]
fn a_torn_tail_is_reported_and_is_not_a_failure() {
    let shop = shop();
    let end = json(&shop.run(&["verify", "--json"]))["end"].as_u64().unwrap();
    tear(&shop.dir());
    let output = shop.run(&["verify", "--json"]);
    let found = json(&output);
    assert_eq!((code(&output), &found["verified"]), (0, &true.into()));
    let tail = &found["torn_tail"];
    assert_eq!((tail["from"].as_u64(), tail["until"].as_u64()), (Some(end), Some(end + 4)));
    assert_eq!((&tail["chunks"], &tail["bytes"]), (&1.into(), &50.into()));
    let text = stdout(&shop.run(&["verify"]));
    assert!(text.contains(&format!("torn tail      from position {end} until {}", end + 4)), "{text}");
    assert_eq!(json_lines(&shop.run(&["log", "--json"])).len(), 10);
}

#[test]
fn a_corrupt_middle_is_a_failure_with_its_position() {
    let shop = shop();
    let all = json_lines(&shop.run(&["log", "--json"]));
    let confirmed = all[6]["position"].as_u64().unwrap();
    let (damaged, _) = damage_chunks(&shop.dir().join("log/00000001/db"), confirmed - 1, confirmed);
    assert!(damaged > 0);

    let output = shop.run(&["verify", "--json"]);
    let found = json(&output);
    assert_eq!((code(&output), &found["verified"]), (1, &false.into()));
    assert_eq!(found["bad_position"].as_u64(), Some(damaged));
    assert!(stderr(&output).contains(&format!("position {damaged}")), "{}", stderr(&output));
    for command in COMMANDS {
        let output = shop.run(&[command]);
        assert_eq!(code(&output), 1, "{command}");
        assert!(stderr(&output).contains(&format!("position {damaged}")), "{}", stderr(&output));
    }
}

#[test]
fn a_record_that_contradicts_the_log_is_a_failure_with_its_position() {
    let shop = shop();
    // A release (kind 6) at 0 ms of the hold at place 0, generation 9, of stock key 0: 1 unit, without an op
    // key.
    let (end, chunk) = chunk_behind(&shop.dir(), true, 2, &[6, 0, 0, 9, 0, 1, 0]);
    store(&shop.dir(), &chunk);
    let bad = end + 2;
    let output = shop.run(&["verify", "--json"]);
    let found = json(&output);
    assert_eq!((code(&output), &found["verified"]), (1, &false.into()));
    assert_eq!(found["bad_position"].as_u64(), Some(bad));
    for command in COMMANDS {
        let output = shop.run(&[command]);
        assert_eq!(code(&output), 1, "{command}");
        assert!(stderr(&output).contains(&format!("position {bad}")), "{}", stderr(&output));
    }
    let log = shop.run(&["log", "--json"]);
    assert_eq!(stdout(&log).lines().count(), 10, "what lies before it is shown");
}

#[test]
fn the_ledger_is_printed_before_the_log_and_verified_with_it() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("shop");
    let engine = Engine::open(&dir, Config::default().ledger_kept(Some(MONTH))).unwrap();
    let poster = engine.declare("poster", "berlin").unwrap();
    for _ in 0..3 {
        engine.receive(Receive::units(poster, 1)).unwrap().wait().unwrap();
        engine.checkpoint().unwrap();
    }
    engine.shutdown().unwrap();
    let log = json_lines(&run(&dir, &["log", "--json"]));
    let kinds: Vec<_> = log.iter().map(|entry| entry["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["opened", "declare", "receive", "receive", "receive"]);
    let verified = json(&run(&dir, &["verify", "--json"]));
    assert_eq!((&verified["verified"], &verified["ledger_from"]), (&true.into(), &0.into()));
    assert!(verified["from"].as_u64().unwrap() > 0, "the log alone does not reach so far");
    assert!(stdout(&run(&dir, &["verify"])).contains("ledger         kept from position 0 on"));
    // `checkpoint` removes nothing from the ledger: the directory's own program sets how long it is kept.
    for _ in 0..3 {
        assert_eq!(code(&run(&dir, &["checkpoint"])), 0);
    }
    let verified = json(&run(&dir, &["verify", "--json"]));
    assert_eq!((&verified["verified"], &verified["ledger_from"]), (&true.into(), &0.into()));

    for entry in fs::read_dir(dir.join("checkpoint")).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_string_lossy().starts_with("ledger-") {
            fs::remove_file(path).unwrap();
        }
    }
    for command in ["verify", "log"] {
        let output = run(&dir, &[command]);
        assert_eq!(code(&output), 1, "{}", stderr(&output));
        assert!(stderr(&output).contains("the ledger cannot be read"), "{}", stderr(&output));
    }
    let log_from = verified["from"].to_string();
    assert_eq!(json_lines(&run(&dir, &["log", "--json", "--from", &log_from])).len(), 1);
    assert_eq!(code(&run(&dir, &["levels"])), 0);
}
