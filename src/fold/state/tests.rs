//! What the fold refuses, whatever its checksum, and what carts do to it.

use super::*;
use crate::clock::EPOCH_2020_MS;
use crate::hold::id::HoldIds;
use crate::hold::lines::{Line, Lines};
use crate::hold::op_keys::Answer;
use crate::hold::state::Phase;
use crate::index::{KeyIndex, SlotIndex, Target};
use crate::log::lines::pack;
use crate::log::record::{HoldPlace, Op, Record, Span};
use crate::request::AdjustReason;
use crate::types::QUANTITY_MAX;

const PLACE: HoldPlace = HoldPlace::new(0, 1);

fn reserve(place: HoldPlace, at: u64, quantity: u32) -> Record<'static> {
    let ttl = Span::from_millis(1);
    Record::Reserve { at, place, key: KeyIndex(0), quantity, ttl, reference: b"", op: None }
}

fn adjust(delta: i64) -> Record<'static> {
    Record::Adjust {
        at: 0,
        key: KeyIndex(0),
        delta,
        reason: AdjustReason::Count.into(),
        reference: b"",
        op: None,
    }
}

/// A directory with one stock key and two units of it.
fn shop() -> Fold {
    let mut fold = Fold::default();
    for (position, record) in [
        Record::Opened { epoch: 1, at_unix_ms: EPOCH_2020_MS },
        Record::Declare { key: KeyIndex(0), sku: "poster", location: "berlin" },
        Record::Receive { at: 0, key: KeyIndex(0), quantity: 2, reference: b"", op: None },
    ]
    .iter()
    .enumerate()
    {
        fold.apply(&Logged::of(position as u64, record), &mut |_| {}).unwrap();
    }
    fold
}

#[test]
fn what_no_operation_writes_is_refused_whatever_its_checksum() {
    let hostile = [
        reserve(PLACE, 0, 0),
        reserve(PLACE, 0, u32::MAX),
        reserve(PLACE, 0, 3),
        reserve(PLACE, u64::MAX, 1),
        reserve(HoldPlace::new(u32::MAX, 1), 0, 1),
        reserve(HoldPlace::new(0, 0), 0, 1),
        // It could not be changed any more.
        reserve(HoldPlace::new(0, u32::MAX), 0, 1),
        adjust(0),
        adjust(i64::MAX),
        adjust(i64::MIN),
        Record::Opened { epoch: 2, at_unix_ms: u64::MAX },
        Record::Declare { key: KeyIndex(7), sku: "poster", location: "berlin" },
        Record::Confirm { at: 0, place: PLACE, key: KeyIndex(0), taken: 1, returned: 0, op: None },
        Record::Ship { at: 0, place: PLACE, key: KeyIndex(9), quantity: 1, op: None },
    ];
    for record in hostile {
        let refused = shop().apply(&Logged::of(9, &record), &mut |_| {}).unwrap_err();
        assert_eq!(refused.position, 9, "{record:?}");
    }
}

#[test]
fn no_sequence_of_receipts_overflows_a_level() {
    let mut fold = shop();
    let received =
        Record::Receive { at: 0, key: KeyIndex(0), quantity: QUANTITY_MAX, reference: b"", op: None };
    let outcome = (0..600).try_for_each(|position| fold.apply(&Logged::of(position, &received), &mut |_| {}));
    assert_eq!(outcome.unwrap_err().what, "it leaves the stock key with a quantity out of range");
}

// ── carts ────────────────────────────────────────────────────────────────────────────────────────────────────

/// Every third key from 0 on, each with so many units.
fn packed(units: &[u32]) -> Vec<u8> {
    let lines: Vec<_> =
        (0..).step_by(3).zip(units).map(|(key, &units)| Line { target: Target::of(key), units }).collect();
    pack(&lines)
}

/// A directory with nine stock keys and ten units of each.
fn market() -> Fold {
    let mut fold = Fold::default();
    fold.apply(&Logged::of(0, &Record::Opened { epoch: 1, at_unix_ms: EPOCH_2020_MS }), &mut |_| {}).unwrap();
    for key in 0..9 {
        fold.apply(
            &Logged::of(1, &Record::Declare { key: KeyIndex(key), sku: "poster", location: "berlin" }),
            &mut |_| {},
        )
        .unwrap();
        let received = Record::Receive { at: 0, key: KeyIndex(key), quantity: 10, reference: b"", op: None };
        fold.apply(&Logged::of(2, &received), &mut |_| {}).unwrap();
    }
    fold
}

/// Applies records until one contradicts those before it.
fn all(fold: &mut Fold, records: &[Record<'_>]) -> Result<(), Contradiction> {
    (3..)
        .zip(records)
        .try_for_each(|(position, record)| fold.apply(&Logged::of(position, record), &mut |_| {}))
}

fn cart(lines: &[u8]) -> Record<'_> {
    Record::ReserveCart {
        at: 0,
        place: PLACE,
        ttl: Span::from_millis(9),
        lines,
        reference: b"cart",
        op: None,
    }
}

/// On hand, held and committed of keys 0, 3 and 6.
fn books(fold: &Fold) -> [[i64; 3]; 3] {
    [0, 3, 6].map(|key| {
        let level = fold.levels.get(KeyIndex(key)).unwrap();
        [level.on_hand, level.held, level.committed]
    })
}

#[test]
fn each_line_of_a_cart_moves_in_the_book_of_its_own_key() {
    let (place, op, ttl) = (PLACE, None, Span::from_millis(20));
    let [of_three, of_two, one] = [packed(&[1, 2, 3]), packed(&[1, 1]), packed(&[1])];
    let mut fold = market();
    let mut then = |record, word: (Phase, u32), lines: &[(u32, u32)], book| {
        all(&mut fold, &[record]).unwrap();
        let hold = fold.holds.get(SlotIndex(0)).unwrap();
        assert_eq!((hold.word.phase(), hold.word.units()), word, "{record:?}");
        let has: Vec<_> = hold.lines.iter().map(|line| (line.target.number(), line.units)).collect();
        assert_eq!((has.as_slice(), books(&fold)), (lines, book), "{record:?}");
    };
    let (active, sold) = ((Phase::Active, 0), |units| (Phase::Confirmed, units));
    then(cart(&of_two), active, &[(0, 1), (3, 1)], [[10, 1, 0], [10, 1, 0], [10, 0, 0]]);
    let replace = Record::Replace { at: 1, place, ttl, before: &of_two, lines: &of_three, op };
    let three = [(0, 1), (3, 2), (6, 3)];
    then(replace, active, &three, [[10, 1, 0], [10, 2, 0], [10, 3, 0]]);
    // A part of a part: nothing of the last line, one of two of the second.
    let returned =
        pack(&[Line { target: Target::of(3), units: 1 }, Line { target: Target::of(6), units: 3 }]);
    let confirm = Record::ConfirmCart { at: 2, place, taken: &of_two, returned: &returned, op };
    then(confirm, sold(2), &[(0, 1), (3, 1)], [[10, 0, 1], [10, 0, 1], [10, 0, 0]]);
    let ship = Record::ShipCart { at: 3, place, lines: &one, op };
    then(ship, sold(1), &[(3, 1)], [[9, 0, 0], [10, 0, 1], [10, 0, 0]]);
    // One line may be told as one.
    let cancel = Record::Cancel { at: 4, place, key: KeyIndex(3), quantity: 1, op };
    then(cancel, (Phase::Cancelled, 0), &[(3, 1)], [[9, 0, 0], [10, 0, 0], [10, 0, 0]]);
    assert_eq!(fold.now, Timestamp(EPOCH_2020_MS + 4));
}

#[test]
fn a_cart_ends_as_a_hold_of_one_line_does() {
    let (place, op, at) = (PLACE, None, 1);
    let [both, less] = [packed(&[2, 2]), packed(&[2, 1])];
    let lines = &both[..];
    for (records, phase, committed) in [
        (vec![Record::ReleaseCart { at, place, lines, op }], Phase::Released, 0),
        (vec![Record::ExpireCart { at: 9, place, lines }], Phase::Expired, 0),
        (
            vec![
                Record::ExpireCart { at: 9, place, lines },
                Record::RetakeCart { at, place, taken: &less, op },
            ],
            Phase::Confirmed,
            3,
        ),
        (
            vec![
                Record::ConfirmCart { at, place, taken: lines, returned: &[], op },
                Record::CancelCart { at, place, lines, op },
            ],
            Phase::Cancelled,
            0,
        ),
    ] {
        let mut fold = market();
        all(&mut fold, &[cart(lines)]).unwrap();
        all(&mut fold, &records).unwrap();
        assert_eq!(fold.holds.get(SlotIndex(0)).unwrap().word.phase(), phase);
        let sums =
            books(&fold).into_iter().fold([0; 2], |[h, c], [_, held, committed]| [h + held, c + committed]);
        assert_eq!(sums, [0, committed], "{records:?}");
    }
}

#[test]
fn other_lines_never_shorten_a_hold_and_leave_its_phase() {
    let (place, op) = (PLACE, None);
    let [both, one] = [packed(&[2, 2]), packed(&[5])];
    let mut fold = market();
    let pay = Record::Pay { at: 1, place, ttl: Span::from_millis(50), op };
    let replace =
        |at, ttl, lines| Record::Replace { at, place, ttl: Span::from_millis(ttl), before: &both, lines, op };
    all(&mut fold, &[cart(&both), pay, replace(2, 10, &both)]).unwrap();
    let word = fold.holds.get(SlotIndex(0)).unwrap().word;
    assert_eq!((word.phase(), word.deadline()), (Phase::Paying, Timestamp(EPOCH_2020_MS + 51)));
    all(&mut fold, &[replace(2, 100, &one)]).unwrap();
    assert_eq!(fold.holds.get(SlotIndex(0)).unwrap().word.deadline(), Timestamp(EPOCH_2020_MS + 102));
    assert_eq!(fold.holds.get(SlotIndex(0)).unwrap().lines, Lines::one(Target::of(0), 5));
    // A part confirm leaves what a second one may name.
    let confirm = Record::Confirm { at: 3, place, key: KeyIndex(0), taken: 2, returned: 3, op };
    all(&mut fold, &[confirm]).unwrap();
    assert_eq!(fold.holds.get(SlotIndex(0)).unwrap().lines, Lines::one(Target::of(0), 2));
}

#[test]
fn an_extension_that_changed_nothing_may_lie_behind_the_outcome_of_a_cart() {
    let (place, both) = (PLACE, packed(&[2, 2]));
    let release = Record::ReleaseCart { at: 1, place, lines: &both, op: None };
    let extend = |op| Record::Extend { at: 1, place, ttl: Span::from_millis(8), op };
    all(&mut market(), &[cart(&both), release, extend(Some(Op::new(1, 2, 3)))]).unwrap();
    all(&mut market(), &[cart(&both), release, extend(None)]).unwrap_err();
}

#[test]
fn no_lines_but_those_of_a_hold_move_with_it() {
    let (at, place, op, ttl) = (1, PLACE, None, Span::from_millis(9));
    let [both, other, three, one] = [packed(&[2, 2]), packed(&[2, 1]), packed(&[1, 1, 1]), packed(&[2])];
    let (all_sold, nothing) = (Record::ConfirmCart { at, place, taken: &both, returned: &[], op }, &[][..]);
    let expired = Record::ExpireCart { at: 9, place, lines: &both };
    let many = pack(&(0..2_049).map(|key| Line { target: Target::of(key), units: 1 }).collect::<Vec<_>>());
    let huge = pack(&[
        Line { target: Target::of(0), units: QUANTITY_MAX },
        Line { target: Target::of(3), units: 1 },
    ]);
    let (too_many, unknown) = (packed(&[1, 11]), packed(&[1; 4]));
    let insane = "it moves more units than any operation can";
    #[rustfmt::skip]
    let hostile: &[(&[Record<'_>], &str)] = &[
        (&[cart(nothing)], insane),
        (&[cart(&[3, 1, 0, 1])], insane),
        (&[cart(&[3, 1, 0xff, 0xff, 0xff, 0xff, 0x0f, 1])], insane),
        (&[cart(&[0, 1, 3, 0])], insane),
        (&[cart(&[0, 1, 3])], insane),
        (&[cart(&many)], insane),
        (&[cart(&huge)], insane),
        (&[cart(&too_many)], "it takes units that the stock key does not have"),
        (&[cart(&unknown)], "a stock key that was never declared"),
        (&[cart(&both), cart(&both)], "a slot is used again before its hold has ended"),
        (&[cart(&both), Record::ConfirmCart { at, place, taken: nothing, returned: &both, op }], insane),
        (&[cart(&both), Record::ConfirmCart { at, place, taken: &other, returned: nothing, op }], "a confirm of lines that the hold does not have"),
        (&[cart(&both), Record::Confirm { at, place, key: KeyIndex(0), taken: 2, returned: 0, op }], "a confirm of lines that the hold does not have"),
        (&[cart(&both), Record::ReleaseCart { at, place, lines: &other, op }], "a release of lines that the hold does not have"),
        (&[cart(&both), Record::Release { at, place, key: KeyIndex(0), quantity: 2, op }], "a release of lines that the hold does not have"),
        (&[cart(&both), Record::ExpireCart { at: 9, place, lines: &one }], "an expiry of lines that the hold does not have"),
        (&[cart(&both), expired, Record::RetakeCart { at, place, taken: &three, op }], "a retake of more units than the hold had"),
        (&[cart(&both), Record::RetakeCart { at, place, taken: &both, op }], "a retake of a hold that had not expired"),
        (&[cart(&both), all_sold, Record::CancelCart { at, place, lines: &three, op }], "it takes units that the stock key does not have"),
        (&[cart(&both), all_sold, Record::Cancel { at, place, key: KeyIndex(0), quantity: 3, op }], "it takes units that the stock key does not have"),
        (&[cart(&both), Record::ShipCart { at, place, lines: &both, op }], "it takes units that the stock key does not have"),
        (&[cart(&both), Record::Replace { at, place, ttl, before: &other, lines: &three, op }], "it replaces lines that the hold does not have"),
        (&[cart(&both), Record::Replace { at, place, ttl, before: &both, lines: nothing, op }], insane),
        (&[cart(&both), Record::Replace { at, place, ttl, before: nothing, lines: &both, op }], insane),
        (&[cart(&both), Record::Replace { at, place, ttl, before: &both, lines: &too_many, op }], "it takes units that the stock key does not have"),
        (&[cart(&both), expired, Record::Replace { at, place, ttl, before: &one, lines: &one, op }], "a replacement of a hold that is not live"),
        (&[Record::Opens { at, key: KeyIndex(9), opens_at_ms: 1 }], "a stock key that was never declared"),
        (&[Record::Opens { at, key: KeyIndex(0), opens_at_ms: u64::MAX }], "a time is out of range"),
    ];
    for (records, what) in hostile {
        let refused = all(&mut market(), records).unwrap_err();
        assert_eq!((refused.what, refused.position), (*what, records.len() as u64 + 2), "{records:?}");
    }
    // What another hold has pays for what this one does not have, in the book alone.
    let second = HoldPlace::new(1, 1);
    let another = Record::ReserveCart { at, place: second, ttl, lines: &three, reference: b"", op };
    let sold = Record::ConfirmCart { at, place: second, taken: &three, returned: &[], op };
    let mut fold = market();
    all(&mut fold, &[cart(&both), all_sold, another, sold]).unwrap();
    for record in [
        Record::ShipCart { at, place, lines: &three, op },
        Record::Ship { at, place, key: KeyIndex(6), quantity: 1, op },
        Record::Cancel { at, place, key: KeyIndex(0), quantity: 3, op },
    ] {
        let refused = all(&mut fold.clone(), &[record]).unwrap_err();
        assert_eq!(refused.what, "it moves more units than the hold has");
    }
}

#[test]
fn a_switch_and_a_time_of_opening_override_each_other() {
    let (at, key) = (0, 0);
    let opens = |opens_at_ms| Record::Opens { at, key: KeyIndex(key), opens_at_ms };
    let sale = |stopped| Record::Sale { at, key: KeyIndex(key), stopped };
    for (records, expected) in [
        (&[opens(EPOCH_2020_MS)][..], (false, Some(Timestamp(EPOCH_2020_MS)))),
        (&[opens(7), sale(true)], (true, None)),
        (&[opens(7), sale(false)], (false, None)),
        (&[sale(true), opens(7)], (false, Some(Timestamp(7)))),
        (&[opens(7), opens(0)], (false, None)),
    ] {
        let mut fold = market();
        all(&mut fold, records).unwrap();
        let level = fold.levels.get(KeyIndex(0)).unwrap();
        assert_eq!((level.stopped, level.opens_at()), expected, "{records:?}");
    }
}

#[test]
fn a_cart_is_answered_from_its_record_as_it_was_at_first() {
    let (at, place, ttl) = (0, PLACE, Span::from_millis(9));
    let op = Some(Op::new(1, 2, 4));
    let [both, one] = [packed(&[2, 2]), packed(&[2])];
    let answers = super::super::answers::Answers { ids: HoldIds::new([7; 16]), tag: 1 };
    let id = answers.ids.id(place, 1);
    let answer =
        |record: &Record<'_>| answers.of(&record.fact(), Default::default(), Timestamp(100), 1).unwrap();
    let reserve = Record::ReserveCart { at, place, ttl, lines: &both, reference: b"", op };
    let Answer::Cart(cart) = answer(&reserve) else { panic!() };
    assert_eq!((cart.hold, cart.quantity, cart.deadline), (id, 4, Timestamp(109)));
    let replace = Record::Replace { at, place, ttl, before: &one, lines: &both, op };
    let Answer::Replaced(replaced) = answer(&replace) else { panic!() };
    assert_eq!((replaced.hold, replaced.quantity, replaced.deadline), (id, 4, Timestamp(109)));
    let confirm = Record::ConfirmCart { at, place, taken: &both, returned: &one, op };
    let Answer::Confirmed(confirmed) = answer(&confirm) else { panic!() };
    assert_eq!((confirmed.quantity, confirmed.returned, confirmed.retaken), (4, 2, false));
    let retake = Record::RetakeCart { at, place, taken: &both, op };
    let Answer::Confirmed(confirmed) = answer(&retake) else { panic!() };
    assert_eq!((confirmed.quantity, confirmed.returned, confirmed.retaken), (4, 0, true));
    for record in [
        Record::ReleaseCart { at, place, lines: &both, op },
        Record::ShipCart { at, place, lines: &both, op },
        Record::CancelCart { at, place, lines: &both, op },
    ] {
        let Answer::Moved(moved) = answer(&record) else { panic!() };
        assert_eq!((moved.quantity, moved.remaining), (4, 4));
    }
}
