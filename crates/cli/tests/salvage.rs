//! `stockhold checkpoint`, `backup`, `clock` and `salvage`, run as a user runs them; and `verify` and `log` on a log
//! whose beginning was removed.

mod program;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;

use program::{code, json, run, stderr, stdout};
use serde_json::Value;
use stockhold::{Config, Engine, ManualClock, OpKey, Receive, Reserve, Timestamp};

struct Shop {
    scratch: tempfile::TempDir,
    /// Positions of the checkpoints.
    positions: [u64; 2],
}

/// A directory with two checkpoints and a short log after them.
fn shop() -> Shop {
    let scratch = tempfile::tempdir().unwrap();
    let open = || Engine::open(scratch.path().join("shop"), Config::default()).unwrap();
    let engine = open();
    let poster = engine.declare("poster", "berlin").unwrap();
    engine.receive(Receive::units(poster, 10)).unwrap().wait().unwrap();
    let positions = [1, 2].map(|units| {
        engine.reserve(Reserve::units(poster, units).reference("order")).unwrap().wait().unwrap();
        engine.checkpoint().unwrap().0
    });
    engine.reserve(Reserve::units(poster, 3).reference("order")).unwrap().wait().unwrap();
    engine.shutdown().unwrap();
    // The log before the older checkpoint is removed with the next group at the latest.
    drop(open());
    Shop { scratch, positions }
}

impl Shop {
    fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    fn run(&self, args: &[&str]) -> Output {
        run(&self.path("shop"), args)
    }

    fn copy(&self, command: &str, json: bool) -> Output {
        let out = self.path("new");
        let mut args = vec![command, "--out", out.to_str().unwrap()];
        args.extend(json.then_some("--json"));
        self.run(&args)
    }
}

#[test]
fn verify_and_log_show_where_a_shortened_log_begins() {
    let shop = shop();
    let found = json(&shop.run(&["verify", "--json"]));
    let [older, newer] = shop.positions;
    assert_eq!((&found["from"], &found["checkpoint"]), (&older.into(), &newer.into()));
    assert_eq!((&found["verified"], &found["checkpoints_rejected"]), (&true.into(), &Value::Array(vec![])));
    let text = stdout(&shop.run(&["verify"]));
    assert!(text.contains(&format!("kept from position {older} on")), "{text}");
    assert!(text.contains(&format!("checkpoint     position {newer}")), "{text}");
    let all = shop.run(&["log"]);
    let from = |position: u64| shop.run(&["log", "--from", &position.to_string()]);
    assert_eq!((stdout(&all), stderr(&all)), (stdout(&from(older)), stderr(&from(older))));
    assert_eq!((code(&from(1)), stdout(&from(1))), (0, stdout(&all)));
    assert!(stderr(&from(1)).contains(&format!("kept from position {older} on")), "{}", stderr(&from(1)));
    assert_eq!(
        stdout(&all).lines().filter(|line| line.contains("  reserve  ")).count(),
        2,
        "{}",
        stdout(&all)
    );

    // A damaged checkpoint is reported, and the log is verified from the older one.
    let newest = format!("checkpoint/manifest-{:016x}", 2);
    fs::write(shop.path("shop").join(newest), b"scribble").unwrap();
    let output = shop.run(&["verify", "--json"]);
    let found = json(&output);
    assert_eq!((code(&output), &found["checkpoint"]), (0, &older.into()));
    assert_eq!(found["checkpoints_rejected"].as_array().unwrap().len(), 1);
    assert!(stdout(&shop.run(&["verify"])).contains("NOT USABLE: manifest-"));
}

#[test]
fn a_backup_has_the_same_content_as_the_directory() {
    for as_json in [false, true] {
        let shop = shop();
        let output = shop.copy("backup", as_json);
        assert_eq!((code(&output), stderr(&output).as_str()), (0, ""));
        if as_json {
            assert_eq!((&json(&output)["stock_keys"], &json(&output)["records"]), (&1.into(), &7.into()));
        } else {
            assert!(stdout(&output).contains("and verified: 7 records, 1 stock key"), "{}", stdout(&output));
        }
        for args in [&["levels"][..], &["levels", "--json"], &["holds", "--json"]] {
            let copy = run(&shop.path("new"), args);
            assert_eq!((code(&copy), stdout(&copy)), (0, stdout(&shop.run(args))), "{args:?}");
        }
        assert_eq!(code(&run(&shop.path("new"), &["verify"])), 0);
        let again = shop.copy("backup", as_json);
        assert_eq!(code(&again), 2, "{}", stderr(&again));
        assert!(stderr(&again).contains("is there already"), "{}", stderr(&again));
    }
}

#[test]
fn a_damaged_directory_is_not_backed_up_but_salvaged() {
    let shop = shop();
    let end = json(&shop.run(&["verify", "--json"]))["end"].as_u64().unwrap();
    fs::remove_dir_all(shop.path("shop/log")).unwrap();
    let refused = shop.copy("backup", false);
    assert_eq!((code(&refused), shop.path("new").exists()), (1, false));
    assert!(stderr(&refused).contains("salvage"), "{}", stderr(&refused));

    let output = shop.copy("salvage", true);
    let (found, newer) = (json(&output), shop.positions[1]);
    assert_eq!((code(&output), &found["complete"]), (1, &false.into()));
    assert_eq!((&found["end"], &found["acknowledged"]), (&newer.into(), &end.into()));
    assert_eq!(found["missing"], serde_json::json!([{"from": newer, "until": end}]));
    assert!(
        stderr(&output).contains(&format!("ends at position {newer}, acknowledged was {end}")),
        "{}",
        stderr(&output)
    );
    assert_eq!(code(&run(&shop.path("new"), &["verify"])), 0);

    fs::remove_dir_all(shop.path("new")).unwrap();
    let text = stdout(&shop.copy("salvage", false));
    for line in [
        format!("from           a checkpoint at position {newer}\n"),
        format!("up to          position {newer}, of {end} acknowledged\n"),
        "recovered      5 records: 1 stock key, 2 holds with units, 0 op keys\n".into(),
        format!("MISSING        from position {newer} until {end}\n"),
        "verified       ".into(),
    ] {
        assert!(text.contains(&line), "{line}: {text}");
    }
}

#[test]
fn a_salvage_that_lost_nothing_exits_with_0_and_one_that_found_nothing_with_1() {
    let shop = shop();
    // With these bytes gone, the store would open as an empty one.
    let stores = fs::read_dir(shop.path("shop/log")).unwrap();
    let db = stores.map(|store| store.unwrap().path()).max().unwrap().join("db");
    let mut bytes = fs::read(&db).unwrap();
    bytes[..20].fill(0);
    fs::write(&db, bytes).unwrap();
    let output = shop.copy("salvage", false);
    assert_eq!((code(&output), stderr(&output).as_str()), (0, ""));
    assert_eq!(code(&shop.copy("salvage", false)), 2, "the new directory exists");

    fs::remove_dir_all(shop.path("new")).unwrap();
    fs::remove_dir_all(shop.path("shop/log")).unwrap();
    fs::remove_dir_all(shop.path("shop/checkpoint")).unwrap();
    let output = shop.copy("salvage", true);
    assert_eq!((code(&output), shop.path("new").exists()), (1, false));
    assert!(stderr(&output).contains("nothing can be salvaged"), "{}", stderr(&output));
    fs::remove_dir_all(shop.path("shop")).unwrap();
    assert_eq!(code(&shop.copy("salvage", true)), 3);
}

#[test]
fn after_a_checkpoint_the_next_opening_replays_no_log() {
    let shop = shop();
    let before = shop.run(&["levels", "--json"]);
    let kept = json(&shop.run(&["verify", "--json"]));
    let output = shop.run(&["checkpoint", "--json"]);
    assert_eq!((code(&output), stderr(&output).as_str()), (0, ""));
    let made = json(&output);
    // A reserve, and the record of the opening after it.
    assert_eq!((&made["records_spared"], &made["from"]), (&2.into(), &shop.positions[1].into()));
    assert!(
        made["checkpoint"].as_u64() > kept["end"].as_u64() && made["checkpoint_bytes"].as_u64() > Some(0)
    );
    let found = json(&shop.run(&["verify", "--json"]));
    for (of, expected) in
        [("checkpoint", "checkpoint"), ("end", "checkpoint"), ("chunks", "chunks"), ("bytes", "bytes")]
    {
        assert_eq!(found[of], made[expected], "{of}");
    }
    let [before, after] =
        [before, shop.run(&["levels", "--json"])].map(|output| json(&output)["levels"].clone());
    assert_eq!(before, after);

    let text = stdout(&shop.run(&["checkpoint"]));
    let lines: Vec<_> = text.lines().map(|line| line.split_at(15)).collect();
    assert_eq!(
        lines.iter().map(|(what, _)| what.trim()).collect::<Vec<_>>(),
        ["checkpoint", "log", "next opening", "verified"]
    );
    assert!(
        lines[1].1.starts_with(&format!("kept from position {} on, 1 chunk", made["checkpoint"])),
        "{text}"
    );
    assert_eq!(lines[2].1, "replays no records; this one replayed 0");
}

#[test]
fn a_checkpoint_expires_and_forgets_nothing() {
    let scratch = tempfile::tempdir().unwrap();
    // 2021-01-01: by the machine's clock every hold is overdue, and every op key is older than the default
    // retention.
    let clock = Arc::new(ManualClock::new(Timestamp(1_609_459_200_000)));
    let open = || {
        let config = Config::default().clock(Arc::clone(&clock)).driver_period(None);
        Engine::open(scratch.path(), config.op_key_retention(None)).unwrap()
    };
    let request = |key| Reserve::units(key, 1).op_key(OpKey(7));
    let engine = open();
    let poster = engine.declare("poster", "berlin").unwrap();
    engine.receive(Receive::units(poster, 2)).unwrap().wait().unwrap();
    let reserved = engine.reserve(request(poster)).unwrap().wait().unwrap();
    engine.shutdown().unwrap();
    drop(engine);
    for _ in 0..3 {
        assert_eq!(code(&run(scratch.path(), &["checkpoint"])), 0);
    }
    let log = stdout(&run(scratch.path(), &["log"]));
    assert!(!log.contains("expire"), "{log}");
    let found = json(&run(scratch.path(), &["holds", "--json"]));
    assert_eq!((&found["overdue"], &found["hold"]), (&true.into(), &reserved.hold.to_string().into()));
    assert_eq!(open().reserve(request(poster)).unwrap().wait().unwrap(), reserved);
}

#[test]
fn no_checkpoint_is_made_of_a_directory_that_is_missing_in_use_or_damaged() {
    let shop = shop();
    let refused = |dir: &Path, with: i32, why: &str| {
        let output = run(dir, &["checkpoint"]);
        assert_eq!((code(&output), stdout(&output).as_str()), (with, ""), "{why}");
        assert!(stderr(&output).contains(why), "{}", stderr(&output));
    };
    refused(&shop.path("no"), 3, "there is no stockhold directory");
    assert!(!shop.path("no").exists());
    let engine = Engine::open(shop.path("shop"), Config::default()).unwrap();
    refused(&shop.path("shop"), 3, &format!("in use by process {}", std::process::id()));
    drop(engine);
    fs::remove_dir_all(shop.path("shop/log")).unwrap();
    refused(&shop.path("shop"), 1, "salvage");
}

#[test]
fn clock_compares_and_sets_engine_time_back_in_a_copy() {
    let scratch = tempfile::tempdir().unwrap();
    let (shop, out) = (scratch.path().join("shop"), scratch.path().join("mended"));
    // 2060-01-01T00:00:00Z
    let clock = Arc::new(ManualClock::new(Timestamp::from_unix_secs(2_840_140_800)));
    let engine = Engine::open(&shop, Config::default().clock(clock).driver_period(None)).unwrap();
    let poster = engine.declare("poster", "berlin").unwrap();
    engine.receive(Receive::units(poster, 10)).unwrap().wait().unwrap();
    engine.reserve(Reserve::units(poster, 3)).unwrap().wait().unwrap();
    engine.shutdown().unwrap();
    drop(engine);

    let found = run(&shop, &["clock"]);
    assert_eq!(code(&found), 0);
    assert!(
        stdout(&found).contains("2060-01-01T00:00:00.000Z") && stdout(&found).contains("--set now --out")
    );
    let ahead = json(&run(&shop, &["clock", "--json"]));
    assert!(ahead["ahead_ms"].as_u64().unwrap() > 86_400_000);

    let to = out.to_str().unwrap();
    for (args, sentence) in [
        (&["clock", "--set", "now"][..], "--out"),
        (&["clock", "--set", "1796029200", "--out", to], "2026-11-27T09:00:00Z"),
        (&["clock", "--set", "2019-12-31T23:59:59Z", "--out", to], "milliseconds since 1970"),
        (&["clock", "--set", "2060-01-01T00:00:00Z", "--out", to], "is not before it"),
    ] {
        let refused = run(&shop, args);
        assert_eq!(code(&refused), 2, "{args:?}");
        assert!(stderr(&refused).contains(sentence), "{}", stderr(&refused));
        assert!(!out.exists());
    }
    let set = json(&run(&shop, &["clock", "--set", "2026-11-27T10:00:00+01:00", "--out", to, "--json"]));
    assert_eq!((&set["set_unix_ms"], &set["holds_live"]), (&1_795_770_000_000_u64.into(), &1.into()));
    assert_eq!(json(&run(&out, &["clock", "--json"]))["log_unix_ms"], 1_795_770_000_000_u64);
    assert_eq!(code(&run(&out, &["verify"])), 0);
    std::fs::remove_dir_all(&out).unwrap();
    let now = run(&shop, &["clock", "--set", "now", "--out", to]);
    assert_eq!(code(&now), 0, "{}", stderr(&now));
    assert!(stdout(&now).contains("1 live hold in it keep"), "{}", stdout(&now));
    assert_eq!(json(&run(&out, &["clock", "--json"]))["ahead_ms"], 0);
    assert_eq!(code(&run(&shop, &["clock", "--set", "now", "--out", to])), 2, "it exists");
}
