//! The timers through the engine's own calls: due holds are reclaimed before a caller is refused, and no live
//! hold is forgotten.

use super::engine::{Bare, KEY, sold_out};
use super::{BEFORE, DEADLINE, LATER, at, explore, explore_less};
use crate::answer::Remaining;
use crate::hold::state::Phase;
use crate::request::{Adjust, AdjustReason};
use crate::stock::counter::Reading;

/// The last unit is in a due hold. A sweeper expires it while another thread reserves: granted or busy, never
/// sold out.
pub(super) fn sweep_against_refuser() {
    let bare = Bare::new(1, 2);
    let hold = bare.reserve(at(0), DEADLINE).unwrap().hold;
    let sweeper = bare.spawn(|bare| bare.core.sweep(DEADLINE));
    let asked = bare.reserve(DEADLINE, LATER);
    sweeper.join().unwrap();
    assert!(!sold_out(&asked), "a false refusal: {asked:?}");
    assert_eq!(bare.phase(hold), Phase::Expired, "due, and neither of the two closed it");
    bare.log(&[1]);
}

/// A reserve is under way when its deadline passes: another thread that then reserves gets the unit, or is
/// told to try again.
pub(super) fn a_reserve_that_is_late() {
    let bare = Bare::new(1, 2);
    let maker = bare.spawn(|bare| bare.reserve(BEFORE, DEADLINE));
    let asked = bare.reserve(DEADLINE, LATER);
    let made = maker.join().unwrap();
    assert!(!sold_out(&asked), "a false refusal: {asked:?}");
    assert!(asked.is_ok() || made.is_ok(), "neither caller got the unit: {asked:?} {made:?}");
    bare.log(&[1]);
}

/// A hold is registered while the wheel is turned and another hold expires: afterwards the horizon is not
/// beyond its deadline, and the next turn finds it.
pub(super) fn register_against_turn() {
    let bare = Bare::new(2, 2);
    bare.reserve(at(0), DEADLINE).unwrap();
    let maker = bare.spawn(|bare| bare.reserve(at(0), at(2_000)).unwrap());
    bare.core.sweep(DEADLINE);
    let made = maker.join().unwrap();
    assert_eq!(bare.phase(made.hold), Phase::Active);
    assert!(
        bare.core.timers[0].state().earliest_ms() <= made.deadline.0,
        "the horizon is beyond a live hold"
    );
    bare.core.sweep(at(2_000));
    assert_eq!(bare.phase(made.hold), Phase::Expired, "the wheel has lost it");
    assert_eq!(bare.counter(), Reading { available: 2, pending: false });
}

/// The same while another thread reserves at a time when both holds are due: never sold out.
fn register_turn_and_refuser() {
    let bare = Bare::new(1, 2);
    let maker = bare.spawn(|bare| bare.reserve(BEFORE, DEADLINE));
    let sweeper = bare.spawn(|bare| bare.core.sweep(DEADLINE));
    let asked = bare.reserve(DEADLINE, LATER);
    let made = maker.join().unwrap();
    sweeper.join().unwrap();
    assert!(!sold_out(&asked), "a false refusal: {asked:?}");
    assert!(asked.is_ok() || made.is_ok());
    bare.log(&[1]);
}

/// A release while another thread reserves: sold out is a true answer only if the hold was live at some
/// instant of the call.
pub(super) fn release_against_refuser() {
    let bare = Bare::new(1, 2);
    let hold = bare.reserve(at(0), DEADLINE).unwrap().hold;
    let releaser = bare.spawn(move |bare| bare.core.release(hold.into(), BEFORE, None).is_ok());
    let live = bare.phase(hold).is_live();
    let asked = bare.reserve(BEFORE, LATER);
    assert!(releaser.join().unwrap());
    assert!(live || !sold_out(&asked), "a false refusal: {asked:?}");
    bare.log(&[1]);
}

/// A release while another thread corrects a unit away: a shortfall is told only if the hold was live at some
/// instant of the call.
pub(super) fn release_against_correction() {
    let bare = Bare::new(1, 2);
    let hold = bare.reserve(at(0), DEADLINE).unwrap().hold;
    let releaser = bare.spawn(move |bare| bare.core.release(hold.into(), BEFORE, None).is_ok());
    let live = bare.phase(hold).is_live();
    let corrected = bare.core.adjust(Adjust::by(KEY, -1, AdjustReason::Lost), BEFORE, None);
    assert!(releaser.join().unwrap());
    match corrected {
        Ok((corrected, _)) => {
            assert!(corrected.available == 0 || live, "a false shortfall: {corrected:?}");
            assert_eq!(corrected.shortfall, -corrected.available);
        }
        Err(error) => assert!(error.is_busy(), "{error:?}"),
    }
    assert!(!bare.counter().pending);
}

/// A release while another thread reserves: what remains is exact, or a lower bound.
pub(super) fn release_against_remaining() {
    let bare = Bare::new(3, 2);
    let hold = bare.reserve(at(0), DEADLINE).unwrap().hold;
    let releaser = bare.spawn(move |bare| bare.core.release(hold.into(), BEFORE, None).is_ok());
    let live = bare.phase(hold).is_live();
    let remaining = bare.reserve(BEFORE, LATER).unwrap().remaining;
    assert!(releaser.join().unwrap());
    let right = match remaining {
        Remaining::Exact(1) => live,
        remaining => [Remaining::Exact(2), Remaining::AtLeast(1), Remaining::AtLeast(2)].contains(&remaining),
    };
    assert!(right, "not what remained: {remaining:?}");
    bare.log(&[3]);
}

#[test]
fn a_sweep_against_a_refuser() {
    explore(sweep_against_refuser);
}

#[test]
fn a_late_reserve_against_a_refuser() {
    explore(a_reserve_that_is_late);
}

#[test]
fn a_register_against_a_turn() {
    explore(register_against_turn);
}

#[test]
fn a_register_a_turn_and_a_refuser() {
    explore_less(register_turn_and_refuser);
}

#[test]
fn a_release_against_a_refuser() {
    explore(release_against_refuser);
}

#[test]
fn a_release_against_a_correction() {
    explore(release_against_correction);
}

#[test]
fn a_release_against_a_reserve_that_tells_what_remains() {
    explore(release_against_remaining);
}
