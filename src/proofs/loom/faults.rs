//! The models find bugs: each of these is planted, and a model must fail because of it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{
    DEADLINE, bell, builder, cart, counter, engine, growth, hold, indices, reshape, ring, timers, transition,
};
use crate::fault::{Fault, plant};
use crate::hold::state::Event;

/// Plants `fault` and asserts that exploring `model` fails, for the reason that `says`.
fn caught(fault: Fault, says: &str, model: impl Fn() + Send + Sync + 'static) {
    plant(Some(fault));
    let found = catch_unwind(AssertUnwindSafe(|| builder().check(model)));
    plant(None);
    let Err(panic) = found else { panic!("{fault:?} was not found") };
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or(panic.downcast_ref::<&str>().copied()).unwrap_or_default();
    assert!(text.contains(says), "{fault:?} was found for another reason: {text}");
    println!("{fault:?}: caught: {}", text.lines().next().unwrap_or_default());
}

#[test]
fn the_pending_count_is_forgotten_by_a_give_back() {
    caught(Fault::ForgetPending, "a false refusal", counter::take_against_give);
}

#[test]
fn the_pending_count_is_forgotten_by_a_rollback() {
    caught(Fault::ForgetPending, "a false refusal", counter::rollback_against_take);
}

#[test]
fn the_pending_count_is_forgotten_by_a_transition() {
    caught(Fault::ForgetPending, "a false refusal", || {
        transition::ended_is_never_sold_out(DEADLINE, Event::Expire)
    });
}

#[test]
fn the_pending_count_is_forgotten_by_the_engine() {
    caught(Fault::ForgetPending, "a false refusal", timers::release_against_refuser);
}

#[test]
fn the_pending_count_is_forgotten_by_a_cart() {
    caught(Fault::ForgetPending, "a false refusal", cart::rollback_against_reserve);
}

#[test]
fn a_correction_does_not_wait_for_what_is_pending() {
    caught(Fault::CorrectUnsettled, "a false shortfall", timers::release_against_correction);
}

#[test]
fn what_remains_is_called_exact_while_units_are_pending() {
    caught(Fault::ExactWhilePending, "not what remained", timers::release_against_remaining);
}

#[test]
fn the_lines_of_a_cart_are_taken_one_by_one() {
    caught(Fault::LinesByHalves, "the last lines", growth::two_carts_of_the_last_lines);
}

#[test]
fn the_shards_are_read_one_after_the_other() {
    caught(Fault::ShardByShard, "full at no instant", growth::a_slot_that_moves);
}

#[test]
fn the_lines_of_a_cart_are_not_added_up() {
    caught(Fault::LinesApart, "more was granted than there was", cart::lines_on_one_key);
}

#[test]
fn the_tag_stays_when_the_lines_change() {
    caught(Fault::SameTag, "confirmed as it was before", cart::replace_against_confirm);
}

#[test]
fn the_fold_decides_again() {
    caught(Fault::RejudgeInFold, "the counter and the log differ", cart::correction_against_reserve);
}

#[test]
fn the_freeze_is_skipped() {
    caught(Fault::SkipFreeze, "both: true, one: true", reshape::both_against_one);
}

#[test]
fn a_split_shape_is_believed_when_it_is_short() {
    caught(Fault::RefuseOnSplit, "Err(Out { available: 0 }) Err(Out", reshape::two_who_want_both);
}

#[test]
fn the_version_is_too_narrow() {
    caught(Fault::NarrowVersion, "units came out of nothing", || reshape::a_late_helper(1));
}

#[test]
fn a_hold_is_released_twice() {
    caught(Fault::ReleaseTwice, "left == right", hold::three_outcomes);
}

#[test]
fn units_are_given_before_the_position_is_drawn() {
    caught(Fault::GiveBeforeDraw, "given back at", transition::spent_behind_the_give_back);
}

#[test]
fn the_loser_fills_its_position() {
    caught(Fault::FillTheLoser, "not one effective record", transition::two_ends_and_a_reader);
}

#[test]
fn the_deadline_is_forgotten() {
    caught(Fault::ForgetDeadline, "confirmed too late", hold::confirm_at_the_deadline);
}

#[test]
fn the_deadline_is_forgotten_by_the_engine() {
    caught(Fault::ForgetDeadline, "confirmed too late", engine::confirm_against_sweep);
}

#[test]
fn the_reader_zeroes_nothing() {
    caught(Fault::SkipZeroing, "read again", ring::over_a_lap);
}

#[test]
fn the_log_thread_does_not_look_again() {
    caught(Fault::SkipSecondLook, "deadlock", || bell::never_slept_over(1));
}

#[test]
fn a_slot_is_not_queued_for_the_wheel() {
    caught(Fault::SkipIntake, "the wheel has lost it", timers::register_against_turn);
}

#[test]
fn a_turn_is_not_seen() {
    caught(Fault::TurnUnseen, "a false refusal", timers::sweep_against_refuser);
}

#[test]
fn an_expired_slot_is_handed_out_unasked() {
    caught(Fault::TakeExpiredSlot, "two holds in one slot", hold::retake_against_reuse);
}

#[test]
fn the_tag_is_forgotten() {
    caught(Fault::ForgetTag, "handed out twice", indices::a_stack_that_changes_back);
}
