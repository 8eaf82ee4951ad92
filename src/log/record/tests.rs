//! Every kind survives its bytes, its bytes are pinned, and no bytes do harm.

use super::effect::Signs;
use super::wire::ReasonCode;
use super::*;
use crate::index::KeyIndex;
use crate::log::lines::LinePair;
use crate::request::AdjustReason;
use stockhold_seeded::{Rng, seed};

const PLACE: HoldPlace = HoldPlace::new(70_000, 3);
const OP: Op = Op { key: [0xab; 16], content: [0xcd; 8], answer: [41, 0, 0, 0, 0, 0] };

/// 2 units of key 300, 1 of key 301, 200 of key 1,000.
const LINES: &[u8] = &[0xac, 2, 2, 1, 1, 0xbb, 5, 0xc8, 1];

fn bytes(record: Record<'_>) -> Vec<u8> {
    Encoded::new(&record).unwrap().as_bytes().to_vec()
}

fn every_kind() -> Vec<Record<'static>> {
    let (at, key, place, quantity, ttl) = (123_456, 300, PLACE, 2, Span::from_millis(600_000));
    let op = Some(OP);
    vec![
        Record::Void { words: 4 },
        Record::Opened { epoch: 1, at_unix_ms: 1_700_000_000_000 },
        Record::Declare { key: KeyIndex(key), sku: "poster", location: "berlin" },
        Record::Reserve { at, place, key: KeyIndex(key), quantity, ttl, reference: b"order-17", op: None },
        Record::Confirm { at, place, key: KeyIndex(key), taken: 1, returned: 1, op: None },
        Record::Retake { at, place, key: KeyIndex(key), taken: 2, op },
        Record::Release { at, place, key: KeyIndex(key), quantity, op: None },
        Record::Expire { at, place, key: KeyIndex(key), quantity },
        Record::Extend { at, place, ttl, op: None },
        Record::Pay { at, place, ttl: Span::from_millis(1_500), op: None },
        Record::Ship { at, place, key: KeyIndex(key), quantity, op: None },
        Record::Cancel { at, place, key: KeyIndex(key), quantity, op: None },
        Record::Receive { at, key: KeyIndex(key), quantity: 1_000, reference: b"PO-1", op },
        Record::Adjust {
            at,
            key: KeyIndex(key),
            delta: -3,
            reason: ReasonCode::Damaged,
            reference: b"",
            op: None,
        },
        Record::Sale { at, key: KeyIndex(key), stopped: true },
        Record::Refuse { at, key: KeyIndex(key), asked: 2, op: OP },
        Record::ReserveCart { at, place, ttl, lines: LINES, reference: b"order-17", op: None },
        Record::ConfirmCart { at, place, taken: LINES, returned: &[], op },
        Record::RetakeCart { at, place, taken: LINES, op: None },
        Record::ReleaseCart { at, place, lines: LINES, op: None },
        Record::ExpireCart { at, place, lines: LINES },
        Record::ShipCart { at, place, lines: LINES, op: None },
        Record::CancelCart { at, place, lines: LINES, op: None },
        Record::Replace { at, place, ttl, before: &[0xac, 2, 1], lines: LINES, op: None },
        Record::Opens { at, key: KeyIndex(key), opens_at_ms: 1_700_000_000_000 },
    ]
}

#[test]
fn every_record_survives_its_bytes() {
    let mut payload = Vec::new();
    let mut ends = Vec::new();
    for record in every_kind() {
        let encoded = bytes(record);
        ends.push(ends.last().unwrap_or(&100) + record.fact().words(encoded.len()).0);
        payload.extend(encoded);
    }
    let read = Records::new(&payload, 100).map(Result::unwrap);
    let read: Vec<_> = read.map(|logged| (logged.position, logged.fact)).collect();
    assert_eq!(read, ends.into_iter().zip(every_kind().iter().map(Record::fact)).collect::<Vec<_>>());
}

/// Formats 1 and 2. These bytes lie on disks: a change here is a new format, not a new expectation.
#[test]
fn golden_bytes_of_every_record() {
    let hex = |bytes: Vec<u8>| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let golden: Vec<String> = every_kind().into_iter().map(|record| hex(bytes(record))).collect();
    assert_eq!(golden.join("\n"), include_str!("../golden/records.txt").trim_end());
    let next = [[golden.len() as u8].as_slice(), &[0; 60]].concat();
    assert!(Record::decode(&next).is_err(), "a record of which every_kind() says nothing");
    let numbers = every_kind().into_iter().map(|record| kind_number(&bytes(record), 0));
    assert_eq!(numbers.collect::<Vec<_>>(), (0..=RECORD_KIND_MAX).collect::<Vec<_>>());
}

#[test]
fn a_hold_with_an_eight_byte_reference_takes_32_log_bytes_at_most() {
    let hold = Record::Reserve {
        at: u64::from(u32::MAX),
        place: HoldPlace::new(1 << 24, 60_000),
        key: KeyIndex(60_000),
        quantity: 4,
        ttl: Span::from_millis(600_000),
        reference: b"12345678",
        op: None,
    };
    assert!(bytes(hold).len() <= 31, "{}", bytes(hold).len());
}

#[test]
fn the_longest_record_fits_the_limit() {
    let name = "x".repeat(crate::types::NAME_BYTES_MAX);
    bytes(Record::Declare { key: KeyIndex(u32::MAX), sku: &name, location: &name });
    let place = HoldPlace::new(u32::MAX, u32::MAX);
    let longest = Record::Reserve {
        at: u64::MAX,
        place,
        key: KeyIndex(u32::MAX),
        quantity: u32::MAX,
        ttl: Span(u64::MAX),
        reference: &[0; 40],
        op: Some(OP),
    };
    assert!(bytes(longest).len() <= 128);
    let lines = &[0xff; LINES_BYTES_MAX];
    let op = Some(OP);
    let longest = Record::Replace { at: u64::MAX, place, ttl: Span(u64::MAX), before: lines, lines, op };
    let mut encoded = Encoded::new(&longest).unwrap();
    encoded.set_answer(-3);
    // The limit of decoding counts what is decoded, which is more than the bytes it takes.
    let (read, length) = Fact::decode(encoded.as_bytes()).unwrap();
    assert_eq!((read.op.unwrap().answer(), length), (-3, encoded.as_bytes().len()));
    assert_eq!(encoded.words(), Words::of_record(length));
    let longer = &[0xff; LINES_BYTES_MAX + 128];
    let too_long = Record::Replace { at: u64::MAX, place, ttl: Span(u64::MAX), before: longer, lines, op };
    assert!(Encoded::new(&too_long).is_none());
}

#[test]
fn the_longest_record_goes_through_the_smallest_ring_into_a_chunk() {
    use crate::log::ring::{Reader, Ring, RingItem, Share};
    let ring = Ring::new(crate::config::RING_BYTES_MIN / 8, 0);
    let longest = vec![0xff; RECORD_BYTES_MAX];
    let words = Words::of_record(longest.len());
    ring.claim(words, Share::Take).unwrap().draw(words).fill(&longest);
    let mut reader = Reader::new(0);
    assert_eq!(reader.next_bytes(&ring), Some(RECORD_BYTES_MAX));
    let mut read = Vec::new();
    assert_eq!(reader.next(&ring, &mut read), RingItem::Record { words });
    assert_eq!((read, reader.next_bytes(&ring)), (longest, None));
    reader.free(&ring, words);
    // Reserves fill their share, and the largest cart can still be given back.
    let _full = ring.claim(Words(ring.capacity_words() * 3 / 4), Share::Take).unwrap();
    let release = Words::of_record(LINES_BYTES_MAX + 128);
    ring.claim(release, Share::Keep).unwrap().draw(release).void();
    assert_eq!(reader.next_bytes(&ring), Some(VOID_BYTES_MAX));
    assert!(bytes(Record::Void { words: u16::MAX }).len() <= VOID_BYTES_MAX);
}

#[test]
fn a_fact_says_which_stock_keys_and_lines_it_is_about() {
    let facts: Vec<_> = every_kind().iter().map(Record::fact).collect();
    for fact in &facts {
        let mut keys = Vec::new();
        let mut visit = |line: LinePair| {
            keys.push(line.target.number());
            Ok::<_, ()>(())
        };
        fact.visit(&mut visit).unwrap();
        match fact.subject {
            Subject::Nothing => assert_eq!((&keys[..], fact.stock_key()), (&[][..], None)),
            Subject::NewKey { .. } => {
                assert_eq!((&keys[..], fact.stock_key()), (&[][..], Some(KeyIndex(300))))
            }
            Subject::One(_) => assert_eq!((&keys[..], fact.stock_key()), (&[300][..], Some(KeyIndex(300)))),
            Subject::Cart { .. } => assert_eq!((&keys[..], fact.stock_key()), (&[300, 301, 1_000][..], None)),
        }
        assert!(fact.is_sane(), "{fact:?}");
    }
    for record in every_kind() {
        assert_eq!(record.has_op(), record.fact().op.is_some(), "{record:?}");
    }
    let units = |fact: &Fact<'_>| {
        let (first, second) = fact.lines();
        let sums = [first.map(|line| line.units).sum::<u32>(), second.map(|line| line.units).sum()];
        assert_eq!(<[u32; 2]>::from(fact.units()), sums);
        sums
    };
    let of_holds: Vec<_> = facts.iter().filter(|fact| fact.place.is_some()).map(units).collect();
    #[rustfmt::skip]
    assert_eq!(of_holds, [[2, 0], [1, 1], [2, 0], [2, 0], [2, 0], [0, 0], [0, 0], [2, 0], [2, 0],
        [203, 0], [203, 0], [203, 0], [203, 0], [203, 0], [203, 0], [203, 0], [1, 203]]);
}

#[test]
fn a_cart_means_what_a_single_line_does() {
    let facts: Vec<_> = every_kind().iter().map(Record::fact).collect();
    let kinds = |cart: bool| {
        let is_cart = |fact: &&Fact<'_>| matches!(fact.subject, Subject::Cart { .. }) == cart;
        facts.iter().filter(is_cart).map(|fact| fact.kind).collect::<Vec<_>>()
    };
    let carts = kinds(true);
    for kind in carts.iter().filter(|kind| **kind != EntryKind::Replace) {
        assert!(kinds(false).contains(kind), "{kind}");
    }
    assert!(facts.iter().all(|fact| EntryKind::ALL.contains(&fact.kind)), "a kind that ALL does not have");
    // Every kind has a record: a stop is one of the two forms of a switch.
    for kind in EntryKind::ALL {
        assert!(kind == EntryKind::Resume || facts.iter().any(|fact| fact.kind == kind), "{kind}");
    }
}

/// On hand, held, committed, and corrected down, for a unit of the first and one of the second quantity.
#[test]
fn the_table_says_what_each_kind_does_to_stock() {
    let nothing = [[0; 4], [0; 4]];
    for kind in EntryKind::ALL {
        let Signs { on_hand, held, committed, corrected_down } = &kind.effect().signs;
        let signs = [0, 1].map(|at| [on_hand[at], held[at], committed[at], corrected_down[at]]);
        let expected = match kind {
            EntryKind::Reserve => [[0, 1, 0, 0], [0; 4]],
            EntryKind::Confirm => [[0, -1, 1, 0], [0, -1, 0, 0]],
            EntryKind::Retake => [[0, 0, 1, 0], [0; 4]],
            EntryKind::Release | EntryKind::Expire => [[0, -1, 0, 0], [0; 4]],
            EntryKind::Ship => [[-1, 0, -1, 0], [0; 4]],
            EntryKind::Cancel => [[0, 0, -1, 0], [0; 4]],
            EntryKind::Receive => [[1, 0, 0, 0], [0; 4]],
            EntryKind::Adjust => [[1, 0, 0, 0], [-1, 0, 0, 1]],
            EntryKind::Replace => [[0, -1, 0, 0], [0, 1, 0, 0]],
            EntryKind::Void
            | EntryKind::Opened
            | EntryKind::Declare
            | EntryKind::Extend
            | EntryKind::Pay
            | EntryKind::Stop
            | EntryKind::Resume
            | EntryKind::Refuse
            | EntryKind::Opens => nothing,
        };
        assert_eq!(signs, expected, "{kind}");
    }
}

/// Formats 1 and 2. These bytes lie on disks.
#[test]
fn golden_bytes_of_every_reason_of_a_correction() {
    let reasons = [
        (AdjustReason::Count, 0),
        (AdjustReason::Damaged, 1),
        (AdjustReason::Lost, 2),
        (AdjustReason::Found, 3),
        (AdjustReason::Other, 4),
    ];
    for (reason, code) in reasons {
        let record = Record::Adjust {
            at: 0,
            key: KeyIndex(0),
            delta: 1,
            reason: reason.into(),
            reference: b"",
            op: None,
        };
        let encoded = bytes(record);
        assert_eq!(encoded, [13, 0, 0, 2, code, 0, 0], "{reason:?}");
        let (fact, _) = Fact::decode(&encoded).unwrap();
        assert_eq!(fact.detail, Detail::Correction { delta: 1, reason });
    }
    assert!(Fact::decode(&[13, 0, 0, 2, reasons.len() as u8, 0, 0]).is_err());
}

#[test]
fn hostile_bytes_are_refused_or_read_alike_by_hand_and_by_the_codec() {
    let alike = |bytes: &[u8]| {
        let by_codec = Record::decode(bytes).map(|(record, taken)| (record.fact(), taken));
        assert_eq!(Fact::decode(bytes), by_codec);
    };
    for record in every_kind() {
        let good = bytes(record);
        for at in 0..good.len() {
            for flip in 0..=255u8 {
                let mut bad = good.clone();
                bad[at] ^= flip;
                alike(&bad);
                alike(&bad[..at]);
            }
        }
    }
    let mut rng = Rng::new(seed());
    for _ in 0..200_000 {
        // Kinds, small numbers, and the marks of wider ones.
        let marks = [0, 1, 1, 8, 250, 251, 251, 252, 253, 254, 255, rng.next() as u8];
        let mut wild: Vec<u8> = (0..rng.index(80)).map(|_| marks[rng.index(marks.len())]).collect();
        wild.insert(0, rng.index(26) as u8);
        alike(&wild);
    }
    // A length that claims the address space.
    assert_eq!(Record::decode(&[2, 0, 253, 255, 255, 255, 255, 255, 255, 255, 255]), Err(NotARecord));
    assert_eq!(Record::decode(&[20, 0, 1, 1, 253, 255, 255, 255, 255, 255, 255, 255, 255]), Err(NotARecord));
    assert!(Records::new(&[0, 0], 0).next().unwrap().is_err(), "a void of no words would never end");
}

#[test]
fn an_answer_is_set_after_its_record_was_sized() {
    for answer in [0, 41, -1, 1 << 46, -(1 << 46)] {
        let record =
            Record::Receive { at: 1, key: KeyIndex(2), quantity: 3, reference: b"PO-1", op: Some(OP) };
        let mut encoded = Encoded::new(&record).unwrap();
        encoded.set_answer(answer);
        let (read, _) = Fact::decode(encoded.as_bytes()).unwrap();
        assert_eq!(read.op.unwrap().answer(), answer);
    }
}

#[test]
fn the_fast_codec_knows_the_kinds_that_a_sale_is_full_of() {
    for record in every_kind() {
        let encoded = bytes(record);
        let length = fast_codec::encode(&record, &mut [0; 128]).map(|(length, _)| length);
        assert_eq!(length, fast_codec::decode(&encoded).map(|(_, length)| length));
        match record {
            Record::Reserve { .. }
            | Record::Confirm { .. }
            | Record::Release { .. }
            | Record::Expire { .. }
            | Record::Ship { .. }
            | Record::Receive { .. } => {
                assert_eq!(fast_codec::decode(&encoded), Some((record.fact(), encoded.len())));
            }
            _ => assert_eq!(fast_codec::decode(&encoded), None),
        }
    }
}

#[test]
fn the_fast_codec_writes_the_bytes_that_the_general_one_writes() {
    let alike = |record: Record<'_>| {
        let mut buffer = [0; SHORT_BYTES_MAX];
        let by_codec = record.encode(&mut buffer).unwrap();
        let (length, has_op) = (by_codec.len(), record.fact().op.is_some());
        assert_eq!(fast_codec::encode(&record, &mut [0xff; SHORT_BYTES_MAX]), Some((length, has_op)));
        assert_eq!(bytes(record), by_codec, "{record:?}");
        assert_eq!(record.encode(&mut vec![0; length]), Some(by_codec), "no room to spare");
        assert_eq!(fast_codec::encode(&record, &mut vec![0; length - 1]), None);
        assert_eq!(record.encode(&mut vec![0; length - 1]), None);
    };
    let mut rng = Rng::new(seed());
    for _ in 0..50_000 {
        // Around every width that a number may have.
        let mut number = || {
            let widths = [0, 250, 251, 0xffff, 0x1_0000, 0xffff_ffff, 0x1_0000_0000, u64::MAX];
            widths[rng.index(8)].wrapping_add(rng.index(3) as u64).wrapping_sub(1)
        };
        let (at, key, quantity, ttl) = (number(), number() as u32, number() as u32, Span(number()));
        let place = HoldPlace::new(number() as u32, number() as u32);
        let reference = &[7; 40][..rng.index(41)];
        let op = (rng.index(2) == 0).then_some(OP);
        alike(Record::Reserve { at, place, key: KeyIndex(key), quantity, ttl, reference, op });
        alike(Record::Confirm { at, place, key: KeyIndex(key), taken: quantity, returned: key, op });
        alike(Record::Release { at, place, key: KeyIndex(key), quantity, op });
        alike(Record::Expire { at, place, key: KeyIndex(key), quantity });
        alike(Record::Ship { at, place, key: KeyIndex(key), quantity, op });
        alike(Record::Receive { at, key: KeyIndex(key), quantity, reference, op });
    }
}

#[test]
fn a_span_keeps_its_milliseconds() {
    for ms in [0, 1, 999, 1_000, 1_001, 600_000, 315_360_000_000] {
        assert_eq!(Span::from_millis(ms).millis(), ms);
    }
    assert_eq!(Span(u64::MAX).millis(), u64::MAX);
}
