//! Tables that grow: no other thread waits for the growing one, is answered full because of it, or sees a
//! part of the new memory.

use std::sync::Arc;

use super::{DEADLINE, LINE, at, explore};
use crate::hold::slot::StoredLines;
use crate::hold::state::{Phase, Word};
use crate::hold::table::{Full, HoldTable, NewHold};
use crate::index::{Generation, SlotIndex, Target};
use crate::sync::thread;

fn new(reference: &'static [u8]) -> NewHold<'static> {
    NewHold { lines: &LINE, born: at(0), deadline: DEADLINE, reference, epoch: 1 }
}

/// Two threads want the first two slots of a table that has none yet, for holds with this reference: each
/// gets one, or is told that the table is growing; no slot is lost.
fn two_first_holds(reference: &'static [u8]) {
    let table = Arc::new(HoldTable::new(1, 2, 8, 0, 0));
    let other = Arc::clone(&table);
    let other = thread::spawn(move || other.place(0, new(reference)));
    let mine = table.place(0, new(reference));
    let other = other.join().unwrap();
    assert!(mine.is_ok() || other.is_ok(), "neither thread grew it");
    let mut places = Vec::new();
    for got in [mine, other] {
        match got {
            Ok(place) => places.push(place),
            Err(none) => assert_eq!(none, Full::Growing, "it was not full"),
        }
    }
    while let Ok(place) = table.place(0, new(reference)) {
        places.push(place);
    }
    places.sort_unstable_by_key(|place| place.slot);
    assert_eq!(
        places.iter().map(|place| place.slot).collect::<Vec<_>>(),
        [0, 1].map(SlotIndex),
        "lost, or given twice"
    );
    for place in places {
        let fields = table.slot(place.slot).unwrap().fields();
        assert_eq!(table.reference(place.slot, &fields).as_bytes(), reference, "the reference was dropped");
    }
}

/// A thread that reads a slot while it is made, and finds a hold in it, finds all of the hold.
fn a_look_while_it_grows() {
    let table = Arc::new(HoldTable::new(1, 1, 8, 0, 0));
    let other = Arc::clone(&table);
    let other = thread::spawn(move || {
        let place = other.place(0, new(b"order")).unwrap();
        let active = Word::with_deadline(Phase::Active, place.generation.0, DEADLINE);
        other.slot(place.slot).unwrap().publish(active);
    });
    if let Some(slot) = table.slot(SlotIndex(0))
        && slot.word().phase() == Phase::Active
    {
        let fields = slot.fields();
        assert_eq!(
            (fields.lines, fields.generation),
            (StoredLines::Line { target: Target::of(0), units: 1 }, Generation(1))
        );
        assert_eq!(table.reference(SlotIndex(0), &fields).as_bytes(), b"order");
    }
    other.join().unwrap();
}

#[test]
fn two_who_need_the_first_slots() {
    explore(|| two_first_holds(b""));
}

#[test]
fn two_who_need_the_first_slots_and_references() {
    explore(|| two_first_holds(b"order"));
}

#[test]
fn a_reader_while_a_table_grows() {
    explore(a_look_while_it_grows);
}
