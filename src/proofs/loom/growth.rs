//! Tables that grow: no other thread waits for the growing one, is answered full because of it, or sees a
//! part of the new memory.

use std::sync::Arc;

use super::{DEADLINE, LINE, at, explore};
use crate::hold::lines::Line;
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

/// Two carts of three lines each, in a table of four lines: one gets its lines.
pub(super) fn two_carts_of_the_last_lines() {
    const CART: [Line; 3] = [line(0), line(1), line(2)];
    let table = Arc::new(HoldTable::new(1, 2, 4, 0, 0));
    let cart = |table: &HoldTable| table.chain(&CART);
    // Its memory comes into being here, and all lines are in the stack.
    let first = [(); 4].map(|()| table.chain(&CART[..1]).unwrap());
    first.into_iter().for_each(|head| table.unchain(head));
    let other = Arc::clone(&table);
    let other = thread::spawn(move || cart(&other));
    let mine = cart(&table);
    let other = other.join().unwrap();
    let granted = usize::from(mine.is_ok()) + usize::from(other.is_ok());
    assert_eq!(granted, 1, "not one of the carts got the last lines: {mine:?} {other:?}");
    assert!(
        [mine, other].contains(&Err(Full::Moving)),
        "full, though the last lines may come back: {mine:?} {other:?}"
    );
}

const fn line(target: u32) -> Line {
    Line { target: Target::of(target), units: 1 }
}

/// A thread gives its slot back and takes the other one: at each instant one slot of the two is free, so no
/// thread is told that the table is full.
pub(super) fn a_slot_that_moves() {
    let table = Arc::new(HoldTable::new(2, 2, 8, 0, 0));
    // Both slots come into being here, and are in the stacks of their shards.
    let [first, second] = [0, 1].map(|home| table.place(home, new(b"")).unwrap());
    table.discard(second);
    let mover = Arc::clone(&table);
    let mover = thread::spawn(move || {
        mover.discard(first);
        mover.place(1, new(b"")).map(|place| mover.discard(place))
    });
    let mine = table.place(0, new(b""));
    let moved = mover.join().unwrap();
    assert!(mine != Err(Full::Holds) && moved != Err(Full::Holds), "full at no instant: {mine:?} {moved:?}");
}

#[test]
fn two_carts_that_want_the_last_lines() {
    explore(two_carts_of_the_last_lines);
}

#[test]
fn a_slot_that_moves_from_shard_to_shard() {
    explore(a_slot_that_moves);
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
