//! The table in the room's header, and the invariants on random scripts.

use proptest::prelude::*;

use super::*;

const DAY_MS: i64 = 86_400_000;
const MINUTE_MS: i64 = 60_000;
const JUMP_MAX_MS: u64 = 60_000;
const START_MS: u64 = 1_767_225_600_000;

/// A steady clock, a wall set beside it, and engine time steered between them.
struct Script {
    steady: Timestamp,
    wall_ahead_ms: i64,
    line: SteerLine,
}

impl Script {
    fn new() -> Script {
        let steady = Timestamp(START_MS);
        Script { steady, wall_ahead_ms: 0, line: SteerLine::begin(steady, steady) }
    }

    fn wall(&self) -> Timestamp {
        Timestamp(self.steady.0.checked_add_signed(self.wall_ahead_ms).unwrap())
    }

    /// Lets time pass and reads engine time; returns how far it is ahead of the steady clock.
    fn pass(&mut self, ms: u64) -> i64 {
        self.steady.0 += ms;
        if !self.line.covers(self.steady) {
            let look = Look { steady: self.steady, wall: self.wall(), uptime: None };
            self.line = self.line.steer(&look, JUMP_MAX_MS);
        }
        ahead_ms(self.line.at(self.steady), self.steady)
    }

    /// The same, asking ten times a second.
    fn live(&mut self, ms: u64) -> i64 {
        (0..ms / 100).map(|_| self.pass(100)).last().unwrap()
    }

    fn unbelieved(&self) -> bool {
        is_unbelieved(self.wall(), self.line.at(self.steady), JUMP_MAX_MS)
    }
}

#[test]
fn a_wall_that_agrees_changes_nothing() {
    let mut script = Script::new();
    assert_eq!(script.live(10 * 60_000), 0);
    for off in [-NEAR_MS, NEAR_MS] {
        script.wall_ahead_ms = off;
        assert_eq!(script.live(10 * 60_000), 0);
    }
}

#[test]
fn a_wall_that_steps_back_is_met_by_running_a_sixteenth_slower() {
    let mut script = Script::new();
    script.live(10_000);
    script.wall_ahead_ms = -5 * MINUTE_MS;
    // Within a period it takes heed.
    assert!(script.live(60_000).abs_diff(-60_000 / 16) <= 64);
    assert!(!script.unbelieved());
    script.live(78 * 60_000);
    assert!(script.pass(1_000) > -5 * MINUTE_MS, "not yet there");
    assert!(script.live(2 * 60_000).abs_diff(-5 * MINUTE_MS) <= NEAR_MS as u64);
}

#[test]
fn a_wall_that_steps_a_little_ahead_is_met_by_running_a_thousandth_faster() {
    let mut script = Script::new();
    script.wall_ahead_ms = 10_000;
    assert!(script.live(1_024_000).abs_diff(1_000) <= 1);
    assert!(script.live(10 * 1_024_000).abs_diff(10_000) <= NEAR_MS as u64);
}

#[test]
fn a_wall_that_steps_a_day_ahead_is_not_followed_until_it_steps_back_or_is_accepted() {
    let mut script = Script::new();
    script.wall_ahead_ms = DAY_MS;
    assert_eq!(script.live(3_600_000), 0);
    assert!(script.unbelieved());
    script.wall_ahead_ms = 0;
    assert_eq!(script.live(60_000), 0);
    assert!(!script.unbelieved());
    script.wall_ahead_ms = DAY_MS;
    script.live(60_000);
    script.line = script.line.step(script.steady, script.wall());
    assert_eq!((script.pass(0), script.unbelieved()), (DAY_MS, false));
    assert_eq!(script.live(60_000), DAY_MS);
}

#[test]
fn the_limit_is_the_last_that_is_followed() {
    for (ahead_ms, follows) in [(JUMP_MAX_MS as i64, true), (JUMP_MAX_MS as i64 + 1, false)] {
        let mut script = Script::new();
        script.wall_ahead_ms = ahead_ms;
        assert_eq!(
            (script.pass(PERIOD_MS) != 0 || script.pass(PERIOD_MS) != 0, !script.unbelieved()),
            (follows, follows)
        );
    }
}

#[test]
fn accepting_a_wall_that_is_behind_changes_nothing() {
    let mut script = Script::new();
    script.wall_ahead_ms = -DAY_MS;
    let before = script.pass(500);
    script.line = script.line.step(script.steady, script.wall());
    assert_eq!(script.pass(0), before);
}

#[test]
fn who_asks_seldom_is_steered_as_far_as_who_asks_often() {
    for wall_ahead_ms in [-20 * MINUTE_MS, MINUTE_MS] {
        let (mut often, mut seldom) = (Script::new(), Script::new());
        (often.wall_ahead_ms, seldom.wall_ahead_ms) = (wall_ahead_ms, wall_ahead_ms);
        let often_ms = often.live(3_600_000);
        let seldom_ms = (0..6).map(|_| seldom.pass(600_000)).last().unwrap();
        assert!(often_ms.abs_diff(seldom_ms) <= often_ms.unsigned_abs() / 100 + 1, "{often_ms} {seldom_ms}");
    }
}

#[test]
fn coasting_goes_on_where_the_line_ended() {
    let mut script = Script::new();
    script.wall_ahead_ms = -DAY_MS;
    script.live(60_000);
    let end = script.line.ahead_at_end_ms();
    let later = Timestamp(script.steady.0 + 10 * PERIOD_MS);
    assert_eq!(ahead_ms(script.line.coast(later).at(later), later), end);
}

#[test]
fn a_jump_is_what_moves_the_wall_and_not_the_steady_clock() {
    let look = |steady, wall| Look { steady: Timestamp(steady), wall: Timestamp(wall), uptime: None };
    let before = look(1_000, 5_000);
    for (after, jumped) in [
        (look(2_000, 6_000), false),
        (look(90_000_000, 90_004_000), false), // a day of suspension
        (look(2_000, 6_127), false),
        (look(2_000, 6_128), true),
        (look(2_000, 5_872), true),
        (look(2_000, 86_400_000), true),
    ] {
        assert_eq!(has_jumped(&before, &after), jumped, "{after:?}");
    }
}

#[test]
fn absurd_clocks_do_no_harm() {
    for steady in [0, START_MS, u64::MAX] {
        for wall in [0, START_MS, u64::MAX] {
            let look = Look { steady: Timestamp(steady), wall: Timestamp(wall), uptime: None };
            for line in [SteerLine::begin(look.steady, look.wall), SteerLine::begin(look.wall, look.steady)] {
                let lines =
                    [line.steer(&look, 0), line.steer(&look, u64::MAX), line.step(look.steady, look.wall)];
                for line in lines {
                    let _ = line.at(look.steady);
                    assert_eq!(SteerLine::of_word(line.word()), line);
                }
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum ClockStep {
    Pass(u64),
    Wall(i64),
}

fn step() -> impl Strategy<Value = ClockStep> {
    prop_oneof![
        8 => (0..3 * PERIOD_MS).prop_map(ClockStep::Pass),
        1 => (0..6 * 3_600_000_u64).prop_map(ClockStep::Pass),
        1 => (-10 * MINUTE_MS..10 * MINUTE_MS).prop_map(ClockStep::Wall),
        1 => (-3 * DAY_MS..3 * DAY_MS).prop_map(ClockStep::Wall),
    ]
}

proptest! {
    #[test]
    fn engine_time_never_falls_and_keeps_pace(steps in prop::collection::vec(step(), 1..200)) {
        let mut script = Script::new();
        let mut told: Vec<(u64, u64)> = Vec::new();
        for step in steps {
            match step {
                ClockStep::Pass(ms) => {
                    script.pass(ms);
                    told.push((script.steady.0, script.line.at(script.steady).0));
                }
                ClockStep::Wall(ahead_ms) => script.wall_ahead_ms = ahead_ms,
            }
        }
        for (number, (from, early)) in told.iter().enumerate() {
            for (to, late) in &told[number..] {
                prop_assert!(late >= early);
                let (passed, went_on) = (to - from, late - early);
                prop_assert!(went_on + 2 >= passed / 16 * 15, "{passed} {went_on}");
                prop_assert!(went_on <= passed + passed / 1_024 + 2, "{passed} {went_on}");
            }
        }
    }

    #[test]
    fn a_line_is_its_word(ahead_ms in -(1_i64 << 41) + 1..1 << 41, slew_ms in -64_i64..2, number in 0..1_u64 << 14) {
        let line = SteerLine { ahead_ms, slew_ms, number };
        prop_assert_eq!(SteerLine::of_word(line.word()), line);
    }
}
