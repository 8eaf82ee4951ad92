//! Draw, swap, fill or void: what the log and refused callers see of a hold that ends.

use super::hold::{Stand, UNITS};
use super::{BEFORE, DEADLINE, drain, explore};
use crate::hold::state::Event;
use crate::index::KeyIndex;
use crate::log::record::{Encoded, EntryKind, Fact, HoldPlace, Record};
use crate::log::ring::{Reader, Share};
use crate::stock::counter::Short;

/// Two outcomes of one hold race while the log is being read: one record and one void, or one record alone;
/// no hole, every word freed, the counter exact and nothing pending.
pub(super) fn two_ends_and_a_reader() {
    let stand = Stand::active();
    let release = stand.spawn(|stand| stand.change(BEFORE, Event::Release));
    let expire = stand.spawn(|stand| stand.change(DEADLINE, Event::Expire));
    let mut reader = Reader::new(6);
    let mut log = drain(&stand.ring, &mut reader);
    let (release, expire) = (release.join().unwrap(), expire.join().unwrap());
    log.extend(drain(&stand.ring, &mut reader));

    assert!(release.is_ok() != expire.is_ok(), "{release:?} {expire:?}");
    assert_eq!((reader.position(), stand.ring.used_words()), (stand.ring.drawn(), 0));
    let effective: Vec<_> = log.iter().flatten().map(|bytes| Fact::decode(bytes).unwrap().0.kind).collect();
    match effective[..] {
        [EntryKind::Release] => assert!(release.is_ok()),
        [EntryKind::Expire] => assert!(expire.is_ok()),
        _ => panic!("not one effective record: {effective:?}"),
    }
    assert!(log.len() <= 2);
    assert_eq!(stand.available(), i64::from(UNITS));
    assert!(!stand.one_key.reading().pending);
}

/// The order rule: a taker of returned units draws a position behind the record that gave them back, so every
/// prefix of the log is a valid state.
pub(super) fn spent_behind_the_give_back() {
    let stand = Stand::active();
    let release = stand.spawn(|stand| stand.change(BEFORE, Event::Release).unwrap());
    let place = HoldPlace::new(1, 1);
    let spend =
        Encoded::new(&Record::Ship { at: 0, place, key: KeyIndex(0), quantity: UNITS, op: None }).unwrap();
    let claim = stand.ring.claim(spend.words(), Share::Keep).unwrap();
    let spent = stand.one_key.take(1, UNITS).is_ok().then(|| {
        let drawn = claim.draw(spend.words());
        let end = drawn.end();
        drawn.fill(spend.as_bytes());
        end
    });
    let released = release.join().unwrap();
    if let Some(spent) = spent {
        assert!(released < spent, "spent at {spent}, given back at {released}");
    }
}

/// A caller that has seen the hold ended is never sold out: its units are back, or pending.
pub(super) fn ended_is_never_sold_out(now: crate::clock::Timestamp, event: Event) {
    let stand = Stand::active();
    let ending = stand.spawn(move |stand| stand.change(now, event).is_ok());
    let seen_live = stand.slot.word().phase().is_live();
    let taken = stand.one_key.take(1, UNITS);
    assert!(ending.join().unwrap());
    if !seen_live {
        assert!(matches!(taken, Ok(_) | Err(Short::Unknown)), "a false refusal: {taken:?}");
    }
    stand.log();
    assert_eq!(stand.available(), if taken.is_ok() { 0 } else { i64::from(UNITS) });
}

#[test]
fn two_ends_race_while_the_log_is_read() {
    explore(two_ends_and_a_reader);
}

#[test]
fn given_back_units_are_spent_behind_their_record() {
    explore(spent_behind_the_give_back);
}

#[test]
fn a_sweeper_against_a_refuser() {
    explore(|| ended_is_never_sold_out(DEADLINE, Event::Expire));
}

#[test]
fn a_release_against_a_refuser() {
    explore(|| ended_is_never_sold_out(BEFORE, Event::Release));
}
