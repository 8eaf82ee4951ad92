//! Directories that earlier builds have written. Every later build must open them and read the same content.
//!
//! `tests/golden/<name>` has a directory as the build left it, and its content in `expected.txt`. None of
//! them is ever changed or removed: a build that writes another format adds its own. `cargo test --test
//! golden -- --ignored` writes the missing ones with the current build.

mod common;

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::{SECOND, START, still};
use stockhold::inspect::Inspection;
use stockhold::{
    Adjust, AdjustReason, CartLine, Confirm, Engine, Extend, HoldAction, ManualClock, OpKey, Position,
    Receive, Replace, Reserve, ReserveCart, Timestamp,
};

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (entry, name) = entry.map(|entry| (entry.path(), to.join(entry.file_name()))).unwrap();
        if entry.is_dir() { copy(&entry, &name) } else { fs::copy(&entry, &name).map(drop).unwrap() }
    }
}

/// The whole content of a directory as text.
fn dump(directory: &Path) -> String {
    let inspection = Inspection::open(directory).unwrap();
    assert_eq!(inspection.drift(), None);
    let report = inspection.report();
    let mut text = String::new();
    writeln!(text, "{:032x} from {} to {}", report.directory_id, report.from, report.end).unwrap();
    for entry in inspection.levels() {
        let level = entry.level;
        let (on_hand, held, committed) = (level.on_hand, level.held, level.committed);
        writeln!(
            text,
            "{} at {}: {on_hand} on hand, {held} held, {committed} committed",
            entry.sku, entry.location
        )
        .unwrap();
        writeln!(text, "  stopped {}, opens {:?}", level.stopped, level.opens_at.map(|at| at.0)).unwrap();
    }
    for entry in inspection.holds(START).unwrap() {
        let deadline = entry.deadline.map(|at| at.0);
        writeln!(
            text,
            "{} {:?} {} {} {deadline:?}",
            entry.hold, entry.reference, entry.state, entry.quantity
        )
        .unwrap();
        for line in entry.lines {
            writeln!(text, "  {} of {} at {}", line.quantity, line.sku, line.location).unwrap();
        }
    }
    for entry in inspection.log(Position(0)) {
        let entry = entry.unwrap();
        let (at, hold) = (entry.at.map(|at| at.0), entry.hold.map(|hold| hold.to_string()));
        writeln!(text, "{} {} {at:?} {hold:?} {:?}", entry.position, entry.kind, entry.quantity).unwrap();
    }
    text
}

/// The answers of an engine to operations that are repeated with their op keys, as text.
fn answers(engine: &Engine) -> String {
    let poster = engine.key("poster", "berlin").unwrap();
    let mut text = String::new();
    let received = engine.receive(Receive::units(poster, 40).reference("delivery").op_key(OpKey(1))).unwrap();
    writeln!(text, "received at {}, then {}", received.position(), received.wait().unwrap().available)
        .unwrap();
    let reserved = engine.reserve(Reserve::units(poster, 3).reference("order-1").op_key(OpKey(2))).unwrap();
    let position = reserved.position();
    let reserved = reserved.wait().unwrap();
    writeln!(text, "reserved at {position}: {} of {}", reserved.hold, reserved.quantity).unwrap();
    let paid = engine.confirm(Confirm::hold(reserved.hold).op_key(OpKey(3))).unwrap();
    writeln!(text, "confirmed at {}: {}", paid.position(), paid.wait().unwrap().quantity).unwrap();
    let mut holds = [engine.holds_of("order-1"), engine.holds_of("order-2")].concat();
    holds.sort_by_key(|hold| hold.hold);
    for hold in holds {
        writeln!(text, "{} is {}", hold.hold, hold.state).unwrap();
    }
    text
}

fn opened(directory: &Path, now: Timestamp) -> Engine {
    Engine::open(directory, still(&Arc::new(ManualClock::new(now)))).unwrap()
}

/// Operations that write every kind of record.
fn history(engine: &Engine, clock: &ManualClock, checkpoints: bool) {
    let poster = engine.declare("poster", "berlin").unwrap();
    let mug = engine.declare("mug", "läden/rom").unwrap();
    answers(engine);
    engine.receive(Receive::units(mug, 9)).unwrap().wait().unwrap();
    let lines = [CartLine::units(poster, 2), CartLine::units(mug, 4)];
    let cart =
        || engine.reserve_cart(ReserveCart::lines(&lines).reference("order-2")).unwrap().wait().unwrap().hold;
    let (first, second, third) =
        (cart(), cart(), engine.reserve(Reserve::units(poster, 4)).unwrap().wait().unwrap().hold);
    if checkpoints {
        engine.checkpoint().unwrap();
    }
    engine
        .confirm(Confirm::hold(first).lines(&[CartLine::units(poster, 1), CartLine::units(mug, 4)]))
        .unwrap()
        .wait()
        .unwrap();
    engine.ship(HoldAction::hold(first).lines(&[CartLine::units(mug, 3)])).unwrap().wait().unwrap();
    engine.cancel(HoldAction::hold(first).lines(&[CartLine::units(mug, 1)])).unwrap().wait().unwrap();
    engine.release(second).unwrap().wait().unwrap();
    engine.extend(Extend::hold(third, 1_000 * SECOND)).unwrap().wait().unwrap();
    engine.replace(Replace::quantity(third, 6)).unwrap().wait().unwrap();
    engine.begin_payment(third).unwrap().wait().unwrap();
    if checkpoints {
        engine.checkpoint().unwrap();
    }
    let gone = [cart(), engine.reserve(Reserve::units(poster, 1).ttl(SECOND)).unwrap().wait().unwrap().hold];
    clock.advance(700 * SECOND);
    assert_eq!(engine.sweep(), 2);
    engine.confirm(Confirm::hold(gone[1]).retake_if_expired()).unwrap().wait().unwrap();
    let adjust = Adjust::by(poster, -5, AdjustReason::Count).reference("count-1");
    engine.adjust(adjust).unwrap().wait().unwrap();
    engine.stop_sale(mug).unwrap().wait().unwrap();
    engine.open_sale_at(poster, START.plus(5_000 * SECOND)).unwrap().wait().unwrap();
    let refused = engine.reserve(Reserve::units(mug, 99).op_key(OpKey(9)).remember_refusal());
    assert!(refused.is_err());
}

#[test]
fn every_golden_directory_opens_with_the_content_that_it_had() {
    let mut seen = 0;
    for entry in fs::read_dir(golden()).unwrap() {
        let golden = entry.unwrap().path();
        let expected = fs::read_to_string(golden.join("expected.txt")).unwrap();
        let scratch = tempfile::tempdir().unwrap();
        let directory = scratch.path().join("stock");
        copy(&golden.join("stock"), &directory);
        let before = dump(&directory);
        Inspection::open(&directory).unwrap().verify_ledger().unwrap();
        let engine = opened(&directory, START.plus(700 * SECOND));
        assert_eq!(before + &answers(&engine), expected, "{golden:?}");
        engine.verify().unwrap();
        // Operations on it go on.
        let mug = engine.key("mug", "läden/rom").unwrap();
        engine.resume_sale(mug).unwrap().wait().unwrap();
        engine.reserve(Reserve::units(mug, 1)).unwrap().wait().unwrap();
        // A checkpoint of this build builds on files of the earlier one.
        engine.checkpoint().unwrap();
        engine.shutdown().unwrap();
        assert_eq!(Inspection::open(&directory).unwrap().drift(), None);
        opened(&directory, START.plus(701 * SECOND)).verify().unwrap();
        seen += 1;
    }
    assert!(seen >= 8);
}

#[test]
#[ignore = "writes the missing directories of tests/golden"]
fn write_missing_directories() {
    for (name, checkpoints, orderly, ledger) in [
        ("2-closed", false, true, false),
        ("2-checkpoints", true, true, false),
        ("2-killed", true, false, false),
        ("2-ledger", true, true, true),
    ] {
        let golden = golden().join(name);
        if golden.exists() {
            continue;
        }
        let scratch = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(START));
        let config = still(&clock).ledger_kept(ledger.then_some(1_000_000 * SECOND));
        let engine = Engine::open(scratch.path(), config).unwrap();
        history(&engine, &clock, checkpoints);
        if orderly {
            engine.shutdown().unwrap();
        }
        copy(scratch.path(), &golden.join("stock"));
        drop(engine);
        let _ = fs::remove_file(golden.join("stock/lock"));
        let copied = scratch.path().join("copied");
        copy(&golden.join("stock"), &copied);
        let expected = dump(&copied);
        let expected = expected + &answers(&opened(&copied, START.plus(700 * SECOND)));
        fs::write(golden.join("expected.txt"), expected).unwrap();
    }
}
