//! Which slots the table hands out, and which holds it keeps and forgets.

use super::*;
use crate::clock::EPOCH_2020_MS;
use crate::clock::Timestamp;
use crate::hold::id::EPOCHS;
use crate::hold::state::TAG_BITS;
use crate::index::{Generation, SlotIndex, Target};
use crate::segments::SEGMENT_ITEMS;

const LINE: [Line; 1] = [Line { target: Target::of(5), units: 3 }];

fn new(lines: &[Line]) -> NewHold<'_> {
    NewHold {
        lines,
        born: Timestamp(EPOCH_2020_MS + 9),
        deadline: Timestamp(EPOCH_2020_MS + 99),
        reference: b"order-4711",
        epoch: 21,
    }
}

#[test]
fn a_new_hold_has_the_fields_it_was_made_with() {
    let table = HoldTable::new(2, 8, 8, 0, 0);
    let place = table.place(1, new(&LINE)).unwrap();
    let slot = table.slot(place.slot).unwrap();
    let fields = slot.fields();
    assert_eq!(
        (fields.lines, fields.born.0),
        (StoredLines::Line { target: Target::of(5), units: 3 }, EPOCH_2020_MS + 9)
    );
    assert_eq!((fields.generation, fields.epoch), (Generation(1), 21 % EPOCHS));
    assert_eq!(table.reference(place.slot, &fields).as_bytes(), b"order-4711");
    assert_eq!(slot.word(), Word::with_deadline(Phase::Reserving, 1, Timestamp(EPOCH_2020_MS + 99)));
}

#[test]
fn holds_max_is_exact_for_every_shard() {
    for max in [1, 3, 8] {
        let table = HoldTable::new(4, max, 8, 0, 0);
        let places: Vec<_> = std::iter::from_fn(|| table.place(2, new(&LINE)).ok()).collect();
        assert_eq!(places.len(), max as usize);
        let slot = table.slot(places[0].slot).unwrap();
        slot.publish(Word::with_units(Phase::Released, 1, 0));
        table.free(places[0].slot);
        let again = table.place(0, new(&LINE)).unwrap();
        assert_eq!((again.slot, again.generation), (places[0].slot, Generation(2)));
    }
}

#[test]
fn a_discarded_place_is_used_again() {
    let table = HoldTable::new(1, 8, 8, 0, 0);
    let place = table.place(0, new(&LINE)).unwrap();
    table.discard(place);
    assert_eq!(table.place(0, new(&LINE)).unwrap(), place);
}

fn expire(table: &HoldTable, place: HoldPlace) {
    let expired = Word::with_units(Phase::Expired, place.generation.0, 0);
    table.slot(place.slot).unwrap().publish(expired);
    table.retain_expired(place.slot, expired);
}

#[test]
fn an_expired_hold_is_not_forgotten_because_of_earlier_entries_of_its_slot() {
    let table = HoldTable::new(1, 8, 8, 4, 0);
    for _ in 0..20 {
        let place = table.place(0, new(&LINE)).unwrap();
        let slot = table.slot(place.slot).unwrap();
        expire(&table, place);
        assert_eq!(slot.word().phase(), Phase::Expired, "at once");
        // Retaken late, and cancelled: its slot is used again, and its old entry is still in the queue.
        slot.publish(Word::with_units(Phase::Cancelled, place.generation.0, 0));
        table.free(place.slot);
    }
}

#[test]
fn an_expired_hold_is_remembered_until_its_room_is_needed() {
    let table = HoldTable::new(1, 3, 8, 1, 0);
    let first = table.place(0, new(&LINE)).unwrap();
    expire(&table, first);
    let second = table.place(0, new(&LINE)).unwrap();
    assert_ne!(first.slot, second.slot, "one expired hold is kept");
    expire(&table, second);
    assert_eq!(table.place(0, new(&LINE)).unwrap().slot, first.slot, "two are too many: the oldest goes");
    assert!(table.place(0, new(&LINE)).is_ok());
    assert_eq!(table.place(0, new(&LINE)).unwrap().slot, second.slot, "full: the last one goes");
    assert!(table.place(0, new(&LINE)).is_err());
}

#[test]
fn expired_holds_are_forgotten_when_only_they_have_lines() {
    let table = HoldTable::new(2, 8, 4, 8, 0);
    let two = [Line { target: Target::of(5), units: 3 }, Line { target: Target::of(6), units: 1 }];
    let [first, second] = [0, 1].map(|home| table.place(home, new(&two)).unwrap());
    assert_eq!(table.place(0, new(&two)), Err(Full::Lines), "they are live");
    for place in [first, second] {
        expire(&table, place);
    }
    assert!(table.place(0, new(&two)).is_ok());
    assert_eq!(table.slot(second.slot).unwrap().word().phase(), Phase::Expired, "one was enough");
    assert!(table.place(0, new(&two)).is_ok());
    assert_eq!(table.place(0, new(&two)), Err(Full::Lines));
}

#[test]
fn a_retaken_hold_keeps_its_slot() {
    let table = HoldTable::new(1, 1, 8, 1, 0);
    let place = table.place(0, new(&LINE)).unwrap();
    let slot = table.slot(place.slot).unwrap();
    expire(&table, place);
    slot.swap(slot.word(), Word::with_units(Phase::Confirmed, 1, 3)).unwrap();
    assert!(table.place(0, new(&LINE)).is_err());
    assert_eq!(slot.word().phase(), Phase::Confirmed);
}

#[test]
fn a_stray_hold_takes_no_memory_for_the_slots_before_it() {
    let table = HoldTable::new(1, u32::MAX, 8, 8, 1 << 30);
    let word = |phase| Word::with_units(phase, 1, 0);
    let restore = |slot, phase| {
        let (new, place) = (new(&LINE), HoldPlace { slot, generation: Generation(1) });
        table.restore(OldHold { new, place, word: word(phase) }).unwrap();
    };
    let stray = SEGMENT_ITEMS as u32 * 2;
    restore(SlotIndex(1), Phase::Active);
    restore(SlotIndex(stray + 1), Phase::Active);
    restore(SlotIndex(stray + 2), Phase::Released);
    restore(SlotIndex((1 << 30) - 1), Phase::Expired);
    table.finish_restore();
    assert_eq!(table.slots().count(), 3 * SEGMENT_ITEMS);
    // Free slots come first, then fresh ones, and no place twice.
    let handed_out: Vec<_> = (0..3 * SEGMENT_ITEMS).map(|_| table.place(0, new(&LINE)).unwrap()).collect();
    assert_eq!(handed_out[0], HoldPlace::new(stray + 2, 2));
    let mut slots: Vec<_> = handed_out.iter().map(|place| place.slot).collect();
    slots.sort_unstable();
    slots.dedup();
    assert_eq!(slots.len(), handed_out.len());
    assert!(!slots.contains(&SlotIndex(1)) && !slots.contains(&SlotIndex(stray + 1)), "they are live");
    assert_eq!(table.slot(SlotIndex((1 << 30) - 1)).unwrap().word().phase(), Phase::Expired);
}

#[test]
fn the_generation_outgrows_the_word() {
    let table = HoldTable::new(1, 1, 8, 0, 0);
    let place = HoldPlace::new(0, (5 << TAG_BITS) | 7);
    let word = Word::with_units(Phase::Released, place.generation.0, 0);
    table.restore(OldHold { new: new(&LINE), place, word }).unwrap();
    table.finish_restore();
    assert_eq!(table.place(0, new(&LINE)).unwrap().generation, Generation(place.generation.0 + 1));
    let lines = StoredLines::Line { target: Target::of(0), units: 0 };
    let used_up = Fields { lines, born: Timestamp(0), uses: USES_MAX, epoch: 0, reference_length: 0 };
    table.slot(SlotIndex(0)).unwrap().set(used_up);
    table.slot(SlotIndex(0)).unwrap().publish(Word::with_units(Phase::Released, USES_MAX, 0));
    table.free(SlotIndex(0));
    assert!(table.place(0, new(&LINE)).is_err(), "a used-up slot is retired");
}
