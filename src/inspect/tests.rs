//! Directories made by engines, and logs made by hand that no engine would write.

use std::collections::HashMap;
use std::fs;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::*;
use crate::checkpoint::files::DirFiles;
use crate::checkpoint::manifest::Manifest;
use crate::checkpoint::run::RunWriter;
use crate::checkpoint::run_ref::RunKind;
use crate::engine::Engine;
use crate::error::TimeError;
use crate::index::{Generation, KeyIndex, Target};
use crate::log::chunk::{self, ChunkHeader};
use crate::log::lines::pack;
use crate::log::record::{Encoded, Op, RECORD_BYTES_MAX, Record, Records, Span};
use crate::log::recovery::{Beginning, OpenLog};
use crate::log::scan::Tip;
use crate::{
    Adjust, AdjustReason, Config, Confirm, Extend, HoldAction, ManualClock, OpKey, Receive, Reserve, StockKey,
};

/// 2026-01-01T00:00:00Z.
const START: Timestamp = Timestamp(1_767_225_600_000);
const SECOND: Duration = Duration::from_secs(1);

struct Shop {
    scratch: tempfile::TempDir,
    clock: Arc<ManualClock>,
    engine: Engine,
}

fn shop() -> Shop {
    let (scratch, clock) = (tempfile::tempdir().unwrap(), Arc::new(ManualClock::new(START)));
    let engine = open(scratch.path(), &clock);
    Shop { scratch, clock, engine }
}

fn open(path: &Path, clock: &Arc<ManualClock>) -> Engine {
    Engine::open(path, Config::default().clock(Arc::clone(clock)).driver_period(None)).unwrap()
}

impl Shop {
    fn stock(&self, sku: &str, units: u32) -> StockKey {
        let key = self.engine.declare(sku, "berlin").unwrap();
        self.engine.receive(Receive::units(key, units).reference("PO-1")).unwrap().wait().unwrap();
        key
    }

    fn reserve(&self, key: StockKey, units: u32) -> HoldId {
        self.engine.reserve(Reserve::units(key, units).reference("order")).unwrap().wait().unwrap().hold
    }

    /// Closes the engine and looks into its directory.
    fn inspect(&self) -> Inspection {
        self.engine.shutdown().unwrap();
        Inspection::open(self.scratch.path()).unwrap()
    }
}

fn kinds(inspection: &Inspection) -> Vec<EntryKind> {
    inspection.log(Position(0)).map(|entry| entry.unwrap().kind).collect()
}

/// Every operation once.
fn every_operation(shop: &Shop) -> (StockKey, Vec<HoldId>) {
    let (engine, key) = (&shop.engine, shop.stock("poster", 20));
    let [part, late, back, gone, sold] = [3, 1, 2, 4, 2].map(|units| shop.reserve(key, units));
    let op = OpKey(77);
    engine.confirm(Confirm::hold(part).quantity(2).op_key(op)).unwrap().wait().unwrap();
    engine.release(back).unwrap().wait().unwrap();
    engine.begin_payment(sold).unwrap().wait().unwrap();
    engine.extend(Extend::hold(sold, 3_000 * SECOND)).unwrap().wait().unwrap();
    shop.clock.advance(600 * SECOND);
    engine.confirm(Confirm::hold(late).retake_if_expired()).unwrap().wait().unwrap();
    engine.sweep();
    engine.confirm(sold).unwrap().wait().unwrap();
    engine.ship(HoldAction::hold(sold).quantity(1)).unwrap().wait().unwrap();
    engine.cancel(sold).unwrap().wait().unwrap();
    let damaged = Adjust::by(key, -3, AdjustReason::Damaged).reference("report");
    engine.adjust(damaged).unwrap().wait().unwrap();
    engine.stop_sale(key).unwrap().wait().unwrap();
    engine.resume_sale(key).unwrap().wait().unwrap();
    let refused = engine.reserve(Reserve::units(key, 1_000).op_key(OpKey(78)).remember_refusal());
    refused.unwrap_err();
    (key, vec![part, late, back, gone, sold])
}

#[test]
fn every_operation_is_told_with_its_names() {
    let shop = shop();
    let (_, holds) = every_operation(&shop);
    let inspection = shop.inspect();
    assert_eq!(inspection.drift(), None);
    use EntryKind::*;
    let mut seen = kinds(&inspection);
    assert_eq!(seen[..3], [Opened, Declare, Receive]);
    seen.sort_unstable_by_key(|kind| kind.name());
    let mut expected = vec![
        Opened, Declare, Receive, Reserve, Reserve, Reserve, Reserve, Reserve, Confirm, Release, Pay, Extend,
        Expire, Expire, Retake, Confirm, Ship, Cancel, Adjust, Stop, Resume, Refuse,
    ];
    expected.sort_unstable_by_key(|kind| kind.name());
    assert_eq!(seen, expected);

    let entries: Vec<_> = inspection.log(Position(0)).map(Result::unwrap).collect();
    let of = |kind| entries.iter().find(|entry| entry.kind == kind).unwrap();
    let confirm = of(Confirm);
    assert_eq!((confirm.hold, confirm.quantity, confirm.returned), (Some(holds[0]), Some(2), Some(1)));
    assert_eq!((confirm.sku, confirm.location), (Some("poster"), Some("berlin")));
    assert_eq!((confirm.op_key, confirm.at, confirm.epoch), (Some(OpKey(77)), Some(START), 1));
    let extend = of(Extend);
    assert_eq!((extend.hold, extend.sku), (Some(holds[4]), Some("poster")));
    assert_eq!(extend.deadline, Some(START.plus(3_000 * SECOND)));
    let reserve = of(Reserve);
    assert_eq!(reserve.deadline, Some(START.plus(600 * SECOND)));
    assert_eq!(reserve.reference.unwrap().as_bytes(), b"order");
    assert_eq!(of(Retake).at, Some(START.plus(600 * SECOND)));
    let adjust = of(Adjust);
    assert_eq!((adjust.quantity, adjust.reason), (Some(-3), Some(AdjustReason::Damaged)));
    assert_eq!((of(Refuse).quantity, of(Refuse).available), (Some(1_000), Some(13)));
    assert_eq!(of(Opened).sku, None);
}

#[test]
fn levels_and_holds_are_the_engines_and_add_up() {
    let shop = shop();
    every_operation(&shop);
    let key = shop.stock("mug", 5);
    let (live, paying) = (shop.reserve(key, 1), shop.reserve(key, 2));
    shop.engine.begin_payment(paying).unwrap().wait().unwrap();
    let told: Vec<_> = shop.engine.keys().into_iter().map(|key| shop.engine.level(key).unwrap()).collect();
    let status = [live, paying].map(|hold| shop.engine.status(hold).unwrap());
    let inspection = shop.inspect();
    let levels: Vec<_> = inspection.levels().collect();
    assert_eq!(levels.iter().map(|entry| entry.level).collect::<Vec<_>>(), told);
    assert_eq!((levels[1].sku, levels[1].location), ("mug", "berlin"));

    let holds: Vec<_> = inspection.holds(START).unwrap().collect();
    for status in status {
        let found = holds.iter().find(|entry| entry.hold == status.hold).unwrap();
        assert_eq!(
            (found.state, found.quantity, found.deadline),
            (status.state, status.quantity, status.deadline)
        );
        assert_eq!((found.reference, found.lines[0].sku, found.overdue), (status.reference, "mug", false));
    }
    let mut units: HashMap<&str, i64> = HashMap::new();
    for line in holds.iter().flat_map(|entry| &entry.lines) {
        *units.entry(line.sku).or_default() += i64::from(line.quantity);
    }
    for entry in levels {
        assert_eq!(units[entry.sku], entry.level.held + entry.level.committed);
    }
}

#[test]
fn f05_a_hold_past_its_deadline_is_not_shown_as_live() {
    let shop = shop();
    let key = shop.stock("poster", 1);
    shop.reserve(key, 1);
    let inspection = shop.inspect();
    let deadline = START.plus(600 * SECOND);
    let at = |now| inspection.holds(now).unwrap().next().map(|entry| (entry.state, entry.overdue)).unwrap();
    assert_eq!(at(Timestamp(deadline.0 - 1)), (HoldState::Active, false));
    assert_eq!(at(deadline), (HoldState::Expired, true));
    assert_eq!(at(Timestamp::MIN), (HoldState::Active, false), "never before the last time in the log");
    for seconds in [deadline.0 / 1_000, deadline.0 * 1_000] {
        assert_eq!(inspection.holds(Timestamp(seconds)).err(), Some(TimeError(seconds as i64)));
    }
    assert_eq!(inspection.holds(deadline).unwrap().next().unwrap().deadline, Some(deadline));
}

#[test]
fn the_log_can_be_read_from_any_position_on_and_across_openings() {
    let mut shop = shop();
    let (key, holds) = every_operation(&shop);
    shop.engine.shutdown().unwrap();
    shop.engine = open(shop.scratch.path(), &shop.clock);
    let key = shop.engine.key("poster", &shop.engine.name(key).unwrap().1).unwrap();
    shop.engine.ship(holds[0]).unwrap().wait().unwrap();
    shop.reserve(key, 1);
    let inspection = shop.inspect();
    assert_eq!(inspection.report().epoch, 2);
    let all: Vec<_> = inspection.log(Position(0)).map(Result::unwrap).collect();
    assert_eq!(all.len() as u64, inspection.report().records);
    assert!(all.iter().any(|entry| entry.kind == EntryKind::Ship && entry.hold == Some(holds[0])));
    for (number, entry) in all.iter().enumerate() {
        let from: Vec<_> = inspection.log(entry.position).map(Result::unwrap).collect();
        assert_eq!(from, all[number..]);
    }
    assert_eq!(inspection.log(Position(inspection.report().end.0 + 1)).count(), 0);
}

#[test]
fn the_report_counts_what_the_engine_counted() {
    let shop = shop();
    every_operation(&shop);
    let inspection = shop.inspect();
    let report = inspection.report().clone();
    drop(inspection);
    let engine = open(shop.scratch.path(), &shop.clock);
    let found = engine.report();
    assert_eq!(
        (report.directory_id, report.records, report.end),
        (found.directory_id, found.records, found.end)
    );
    assert_eq!((report.acknowledged, report.closed_in_order), (report.end, true));
    assert_eq!((report.epoch, report.torn_tail), (1, None));
    assert_eq!(report.time, START.plus(600 * SECOND));
}

#[test]
fn a_directory_that_was_never_used_is_whole_and_empty() {
    let scratch = tempfile::tempdir().unwrap();
    drop(OpenLog::open(scratch.path(), &mut Beginning(|_: &ChunkHeader, _: &[u8]| Ok(()))).unwrap());
    let inspection = Inspection::open(scratch.path()).unwrap();
    assert_eq!((inspection.drift(), inspection.report().end), (None, Position(0)));
    assert_eq!(inspection.levels().count() + inspection.holds(START).unwrap().count(), 0);
    assert_eq!(inspection.log(Position(0)).count(), 0);
}

#[test]
fn a_directory_that_cannot_be_inspected_says_why() {
    let scratch = tempfile::tempdir().unwrap();
    let missing = Inspection::open(scratch.path().join("no"));
    assert!(matches!(missing, Err(OpenError::Missing(_))));
    fs::write(scratch.path().join("letter.txt"), b"dear").unwrap();
    assert!(matches!(Inspection::open(scratch.path()), Err(OpenError::Foreign(_))));

    let shop = shop();
    let in_use = Inspection::open(shop.scratch.path());
    assert!(matches!(in_use, Err(OpenError::InUse { pid: Some(pid), .. }) if pid == std::process::id()));
    drop(shop.inspect());
    let identity = shop.scratch.path().join("stockhold");
    let mut bytes = fs::read(&identity).unwrap();
    bytes[20] = 9;
    fs::write(identity, bytes).unwrap();
    assert!(matches!(Inspection::open(shop.scratch.path()), Err(OpenError::Newer(_))));
}

/// A log of these records, each group a chunk, written as the engine's writer does.
fn written(groups: &[&[Record<'_>]], words_more: u32) -> (tempfile::TempDir, Vec<u64>) {
    let scratch = tempfile::tempdir().unwrap();
    let (mut log, _) =
        OpenLog::open(scratch.path(), &mut Beginning(|_: &ChunkHeader, _: &[u8]| Ok(()))).unwrap();
    let mut ends = Vec::new();
    for (number, records) in groups.iter().enumerate() {
        let (mut payload, mut words) = (Vec::new(), 0);
        for record in *records {
            let mut buffer = [0; RECORD_BYTES_MAX];
            let bytes = record.encode(&mut buffer).unwrap();
            words += record.fact().words(bytes.len()).0;
            ends.push(log.tip.end + words);
            payload.extend_from_slice(bytes);
        }
        let more = if number + 1 == groups.len() { words_more } else { 0 };
        let header = ChunkHeader {
            epoch: 1,
            start: log.tip.end,
            words: words as u32 + more,
            commit: true,
            kinds: 0,
            previous: log.tip.hash,
            synced: log.tip.end,
        };
        let mut bytes = Vec::new();
        let hash = chunk::encode(&header, &payload, &mut bytes);
        log.store.append(header.start, &bytes).unwrap();
        log.tip = Tip { end: header.end(), hash };
    }
    log.store.sync().unwrap();
    let tip = log.tip;
    log.close(tip).unwrap();
    (scratch, ends)
}

const OPENED: Record<'_> = Record::Opened { epoch: 1, at_unix_ms: START.0 };
const DECLARE: Record<'_> = Record::Declare { key: KeyIndex(0), sku: "poster", location: "berlin" };
const OTHER: Record<'_> = Record::Declare { key: KeyIndex(1), sku: "mug", location: "berlin" };
const PLACE: HoldPlace = HoldPlace::new(5, 1);

fn receive(key: u32) -> Record<'static> {
    Record::Receive { at: 1, key: KeyIndex(key), quantity: 10, reference: b"", op: None }
}

/// Lives from 10 ms to 1,010 ms after the opening.
fn reserve() -> Record<'static> {
    let ttl = Span::from_millis(1_000);
    Record::Reserve {
        at: 10,
        place: PLACE,
        key: KeyIndex(0),
        quantity: 4,
        ttl,
        reference: b"order",
        op: None,
    }
}

fn confirm(at: u64, key: u32, taken: u32, returned: u32) -> Record<'static> {
    Record::Confirm { at, place: PLACE, key: KeyIndex(key), taken, returned, op: None }
}

#[test]
fn a_ledger_from_the_beginning_is_judged_entry_by_entry() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = Engine::open(scratch.path(), Config::default().ledger_kept(Some(Duration::MAX))).unwrap();
    let mug = engine.declare("mug", "berlin").unwrap();
    engine.receive(Receive::units(mug, 10)).unwrap().wait().unwrap();
    let reserved = engine.reserve(Reserve::units(mug, 2)).unwrap().position();
    engine.checkpoint().unwrap();
    engine.shutdown().unwrap();
    let inspection = Inspection::open(scratch.path()).unwrap();
    assert_eq!(inspection.verify_ledger().unwrap(), 4);

    // Fewer were received than were reserved, under checksums that hold.
    let newest = inspection.log.newest.clone().unwrap();
    let files = DirFiles::at(inspection.log.layout().checkpoint());
    let ledger = newest.of(RunKind::Ledger)[0];
    let stretches: Vec<_> = Stretches::of(&files, vec![ledger]).map(Result::unwrap).collect();
    drop(inspection);
    let mut run = RunWriter::create(&files, ledger.number).unwrap();
    for mut stretch in stretches {
        let mut records = Vec::new();
        for logged in Records::new(&stretch.records, stretch.start) {
            let (mut record, _) = Record::decode(logged.unwrap().bytes).unwrap();
            if let Record::Receive { quantity, .. } = &mut record {
                *quantity = 1;
            }
            records.extend_from_slice(Encoded::new(&record).unwrap().as_bytes());
        }
        stretch.records = records.into();
        run.put(&stretch).unwrap();
    }
    let run = run.finish().unwrap();
    let runs = newest.runs.iter().map(|kept| if *kept == ledger { run } else { *kept }).collect();
    Manifest { number: newest.number + 1, runs, ..newest }.commit(&files).unwrap();
    match Inspection::open(scratch.path()).unwrap().verify_ledger() {
        Err(OpenError::Damaged { readable, message }) => {
            assert_eq!(readable, Some(reserved));
            assert!(message.contains("units that the stock key does not have"), "{message}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_first_contradiction_is_named_by_its_position() {
    let (at, place, key) = (20, PLACE, 0);
    let again = HoldPlace { generation: Generation(2), ..PLACE };
    let release = Record::Release { at, place, key: KeyIndex(key), quantity: 4, op: None };
    let expire = |at| Record::Expire { at, place, key: KeyIndex(key), quantity: 4 };
    let ship = |quantity| Record::Ship { at, place, key: KeyIndex(key), quantity, op: None };
    let extend = |at| Record::Extend { at, place, ttl: Span::from_millis(5_000), op: None };
    let retake = Record::Retake { at: 2_000, place, key: KeyIndex(key), taken: 4, op: None };
    let Record::Reserve { at: born, quantity, ttl, reference, op, .. } = reserve() else { unreachable!() };
    let reuse = Record::Reserve { at: born, place: again, key: KeyIndex(key), quantity, ttl, reference, op };
    #[rustfmt::skip]
    let logs: &[(&str, &[Record<'_>])] = &[
        ("more is sold than there is",   &[Record::Adjust { at, key: KeyIndex(1), delta: -10, reason: AdjustReason::Lost.into(), reference: b"", op: None },
                                           Record::Release { at, place, key: KeyIndex(1), quantity: 4, op: None }]),
        ("declared twice",               &[DECLARE]),
        ("never declared",               &[receive(2)]),
        ("a place is used twice",        &[reuse]),
        ("a sold place is used again",   &[confirm(at, key, 4, 0), reuse]),
        ("confirmed at the deadline",    &[confirm(1_010, key, 4, 0)]),
        ("extended at the deadline",     &[extend(1_010)]),
        ("expired before the deadline",  &[expire(1_009)]),
        ("expired before the extension", &[extend(at), expire(1_010)]),
        ("confirmed and released",       &[confirm(at, key, 4, 0), release]),
        ("released and confirmed",       &[release, confirm(at, key, 4, 0)]),
        ("expired and released",         &[expire(1_010), release]),
        ("retaken while it lives",       &[retake]),
        ("a forged hold",                &[Record::Expire { at, place: again, key: KeyIndex(key), quantity: 4 }]),
        ("confirmed for another key",    &[confirm(at, 1, 4, 0)]),
        ("units lost on the way",        &[confirm(at, key, 2, 1)]),
        ("units from nowhere",           &[confirm(at, key, 4, 1)]),
        ("shipped before it was sold",   &[ship(1)]),
        ("shipped more than was sold",   &[confirm(at, key, 2, 2), ship(3)]),
    ];
    for (what, records) in logs {
        let begun: &[Record<'_>] = &[OPENED, DECLARE, OTHER, receive(0), receive(1), reserve()];
        let (scratch, ends) = written(&[begun, records, &[receive(0)]], 0);
        let inspection = Inspection::open(scratch.path()).unwrap();
        let drift = inspection.drift().unwrap_or_else(|| panic!("{what}: not seen"));
        let bad = ends[begun.len() + records.len() - 1];
        assert_eq!(drift.position, Position(bad), "{what}: {drift}");

        let log: Vec<_> = inspection.log(Position(0)).collect();
        let (last, shown) = log.split_last().unwrap();
        assert!(
            matches!(last, Err(OpenError::Damaged { readable: Some(at), .. }) if *at == drift.position),
            "{what}"
        );
        assert!(shown.len() + 1 >= begun.len() + records.len() && shown.len() <= begun.len() + records.len());
        assert!(shown.iter().all(Result::is_ok), "{what}");
    }
}

#[test]
fn a_chunk_that_its_records_do_not_fill_is_seen() {
    let (scratch, ends) = written(&[&[OPENED, DECLARE]], 3);
    let inspection = Inspection::open(scratch.path()).unwrap();
    assert_eq!(inspection.drift().unwrap().position, Position(ends[1]));
    assert!(inspection.log(Position(0)).last().unwrap().is_err());

    let (scratch, _) = written(&[&[DECLARE]], 0);
    let inspection = Inspection::open(scratch.path()).unwrap();
    assert!(inspection.drift().unwrap().what.contains("which has no record of its own"));
}

#[test]
fn every_legal_history_made_by_hand_is_whole() {
    let (at, place, key) = (20, PLACE, 0);
    let until = Span::from_millis(2_000);
    let op = Some(Op::new(1, 2, 3));
    #[rustfmt::skip]
    let histories: &[&[Record<'_>]] = &[
        &[confirm(1_009, key, 4, 0)],
        &[confirm(at, key, 1, 3), Record::Void { words: 4 }, Record::Ship { at, place, key: KeyIndex(key), quantity: 1, op }],
        &[Record::Extend { at, place, ttl: until, op }, Record::Pay { at: 1_500, place, ttl: until, op: None }, confirm(3_400, key, 4, 0)],
        &[Record::Expire { at: 1_010, place, key: KeyIndex(key), quantity: 4 }, Record::Retake { at: 1_009, place, key: KeyIndex(key), taken: 2, op }],
        // A count lower than what was promised: a shortfall, applied.
        &[Record::Adjust { at, key: KeyIndex(key), delta: -10, reason: AdjustReason::Count.into(), reference: b"", op }, confirm(at, key, 4, 0)],
    ];
    for history in histories {
        let (scratch, _) = written(&[&[OPENED, DECLARE, receive(0), reserve()], history], 0);
        assert_eq!(Inspection::open(scratch.path()).unwrap().drift(), None, "{history:?}");
    }
}

// ── carts ────────────────────────────────────────────────────────────────────────────────────────────────────

/// So many units of the poster, and of the mug.
fn lines(of_poster: u32, of_mug: u32) -> Vec<u8> {
    pack(&[Line { target: Target::of(0), units: of_poster }, Line { target: Target::of(1), units: of_mug }])
}

fn cart(lines: &[u8]) -> Record<'_> {
    Record::ReserveCart {
        at: 10,
        place: PLACE,
        ttl: Span::from_millis(1_000),
        lines,
        reference: b"cart",
        op: None,
    }
}

#[test]
fn a_cart_is_shown_with_all_its_lines() {
    let (place, op, ttl) = (PLACE, None, Span::from_millis(5_000));
    let (first, more, sold, back) =
        (lines(4, 3), lines(4, 5), lines(4, 2), pack(&[Line { target: Target::of(1), units: 3 }]));
    let records = [
        cart(&first),
        Record::Replace { at: 20, place, ttl, before: &first, lines: &more, op },
        Record::Extend { at: 30, place, ttl, op },
        Record::ConfirmCart { at: 40, place, taken: &sold, returned: &back, op },
        Record::Ship { at: 50, place, key: KeyIndex(1), quantity: 1, op },
        Record::Opens { at: 60, key: KeyIndex(1), opens_at_ms: START.0 + 70 },
    ];
    let (scratch, _) = written(&[&[OPENED, DECLARE, OTHER, receive(0), receive(1)], &records], 0);
    let inspection = Inspection::open(scratch.path()).unwrap();
    assert_eq!(inspection.drift(), None);
    let told: Vec<_> = inspection.log(Position(0)).map(Result::unwrap).skip(5).collect();
    let line = |line: &LineEntry<'_>| (line.sku.to_string(), line.quantity, line.returned, line.before);
    let of = |number: usize| -> (_, _, _, Vec<_>) {
        let entry: &LogEntry<'_> = &told[number];
        (entry.kind, entry.sku, entry.quantity, entry.lines.iter().map(line).collect())
    };
    let one = |sku: &str, units, returned, before| (sku.to_string(), units, returned, before);
    let (poster, mug) = ("poster", "mug");
    let reserved = vec![one(poster, 4, None, None), one(mug, 3, None, None)];
    assert_eq!(of(0), (EntryKind::Reserve, None, Some(7), reserved));
    let replaced = vec![one(poster, 4, None, Some(4)), one(mug, 5, None, Some(3))];
    assert_eq!(of(1), (EntryKind::Replace, None, Some(9), replaced));
    assert_eq!(of(2), (EntryKind::Extend, None, None, vec![]));
    let confirmed = vec![one(poster, 4, None, None), one(mug, 2, Some(3), None)];
    assert_eq!(of(3), (EntryKind::Confirm, None, Some(6), confirmed));
    assert_eq!(of(4), (EntryKind::Ship, Some(mug), Some(1), vec![]));
    let deadlines: Vec<_> = told.iter().map(|entry| entry.deadline.map(|at| at.0 - START.0)).collect();
    assert_eq!(deadlines, [Some(1_010), Some(5_020), Some(5_030), None, None, None]);
    assert_eq!((told[3].returned, told[0].reference.unwrap().as_bytes()), (Some(3), &b"cart"[..]));
    assert_eq!((told[5].kind, told[5].opens_at), (EntryKind::Opens, Some(Timestamp(START.0 + 70))));
    assert!(told[..5].iter().all(|entry| entry.hold.is_some() && entry.hold == told[0].hold));

    let holds: Vec<_> = inspection.holds(START).unwrap().collect();
    assert_eq!((holds.len(), holds[0].quantity, holds[0].state), (1, 5, HoldState::Confirmed));
    let has: Vec<_> = holds[0].lines.iter().map(line).collect();
    assert_eq!(has, [one(poster, 4, None, None), one(mug, 1, None, None)]);
    let levels: Vec<_> = inspection.levels().map(|entry| entry.level).collect();
    assert_eq!((levels[0].committed, levels[0].opens_at), (4, None));
    assert_eq!((levels[1].on_hand, levels[1].committed, levels[1].opens_at), (9, 1, told[5].opens_at));
}

#[test]
fn a_cart_that_time_or_its_lines_contradict_is_seen() {
    let (at, place, op, ttl) = (20, PLACE, None, Span::from_millis(5_000));
    let (both, other) = (lines(4, 3), lines(3, 3));
    let confirm = |at| Record::ConfirmCart { at, place, taken: &both, returned: &[], op };
    let replace = |at, before| Record::Replace { at, place, ttl, before, lines: &other, op };
    let expire = |at| Record::ExpireCart { at, place, lines: &both };
    let release = Record::ReleaseCart { at, place, lines: &both, op };
    #[rustfmt::skip]
    let logs: &[(&str, &[Record<'_>])] = &[
        ("confirmed at the deadline",    &[confirm(1_010)]),
        ("replaced at the deadline",     &[replace(1_010, &both)]),
        ("expired before the deadline",  &[expire(1_009)]),
        ("expired before the longer one",&[replace(at, &both), Record::ExpireCart { at: 5_019, place, lines: &other }]),
        ("replaced what it did not have",&[replace(at, &other)]),
        ("confirmed what was replaced",  &[replace(at, &both), confirm(at)]),
        ("released twice",               &[release, release]),
        ("replaced after its end",       &[release, replace(at, &both)]),
        ("extended after its end",       &[release, Record::Extend { at, place, ttl, op }]),
        ("shipped another line",         &[Record::ConfirmCart { at, place, taken: &other, returned: &pack(&[Line { target: Target::of(0), units: 1 }]), op },
                                           Record::ShipCart { at, place, lines: &both, op }]),
    ];
    let begun = [OPENED, DECLARE, OTHER, receive(0), receive(1), cart(&both)];
    for (what, records) in logs {
        let (scratch, ends) = written(&[&begun, records, &[receive(0)]], 0);
        let inspection = Inspection::open(scratch.path()).unwrap();
        let drift = inspection.drift().unwrap_or_else(|| panic!("{what}: not seen"));
        assert_eq!(drift.position, Position(ends[begun.len() + records.len() - 1]), "{what}: {drift}");
    }
    let op = Some(Op::new(1, 2, 3));
    for legal in [
        &[confirm(1_009)][..],
        &[replace(1_009, &both), Record::ExpireCart { at: 6_009, place, lines: &other }],
        &[expire(1_010), Record::RetakeCart { at: 1_011, place, taken: &other, op }],
        // It changed nothing, and its record came behind that of the outcome.
        &[release, Record::Extend { at, place, ttl: Span::from_millis(990), op }],
    ] {
        let (scratch, _) = written(&[&begun, legal], 0);
        assert_eq!(Inspection::open(scratch.path()).unwrap().drift(), None, "{legal:?}");
    }
}

/// Threads that race for few units with holds so short that time, holders and sweepers race for their ends:
/// whatever won, what is in the log was allowed.
#[test]
fn a_log_that_threads_raced_for_has_no_drift() {
    let scratch = tempfile::tempdir().unwrap();
    for _opening in 0..2 {
        let engine = Engine::open(scratch.path(), Config::default()).unwrap();
        let key = engine.declare("poster", "berlin").unwrap();
        engine.receive(Receive::units(key, 50)).unwrap().wait().unwrap();
        thread::scope(|scope| {
            for thread in 0..3 {
                let engine = &engine;
                scope.spawn(move || {
                    let mut last = None;
                    for round in 0..3_000_u32 {
                        let ttl = Duration::from_millis(u64::from(round % 3 + 1));
                        if let Ok(granted) = engine.reserve(Reserve::units(key, round % 4 + 1).ttl(ttl)) {
                            last = Some(granted.not_yet_durable().hold);
                        }
                        let Some(hold) = last else { continue };
                        match (round + thread) % 8 {
                            0 => drop(engine.release(hold)),
                            1 => drop(engine.confirm(Confirm::hold(hold).quantity(1))),
                            2 => drop(engine.confirm(Confirm::hold(hold).retake_if_expired())),
                            3 => drop(engine.extend(Extend::hold(hold, ttl))),
                            4 => drop(engine.begin_payment(hold)),
                            5 => drop(engine.cancel(hold)),
                            6 => drop(engine.ship(HoldAction::hold(hold).quantity(1))),
                            _ => thread::yield_now(),
                        }
                    }
                });
            }
        });
        engine.shutdown().unwrap();
        let inspection = Inspection::open(scratch.path()).unwrap();
        assert_eq!(inspection.drift(), None);
        assert!(inspection.log(Position(0)).all(|entry| entry.is_ok()));
    }
}
