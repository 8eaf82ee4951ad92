//! Makes a list of steps from a seed. No step depends on another, so any can be left out: a hold or stock
//! key is picked from those that exist when the step is done.

use std::time::Duration;

use stockhold_model::{KEYS_MAX, Lines, Operation, Rules, SaleSwitch, Selection};
use stockhold_seeded::Rng;

use super::disk::{Trouble, WRITING};
use super::ending::Ending;
use crate::config::Durability;

pub(super) const TTL_MAX_MS: u64 = 200;

/// The settings that the engine shares with its model.
pub(super) const RULES: Rules = Rules {
    ttl_default_ms: 50,
    life_max_ms: 300,
    payment_ms: 30,
    holds_max: 0, // each run sets it from its settings
    commitments_kept_ms: u64::MAX,
    op_keys_kept_ms: 3_600_000,
    forgets_expired: true,
};

/// Picks a hold: the eight highest numbers pick one of the last eight holds, others any, by the remainder.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct HoldPick(pub u32);

impl HoldPick {
    /// The number of the picked hold, of `count`; `None` if there are none.
    pub(super) fn number(self, count: usize) -> Option<usize> {
        let from_the_end = (u32::MAX - self.0) as usize;
        let number = if from_the_end < 8 { count.checked_sub(1 + from_the_end) } else { None };
        let number = number.unwrap_or(self.0 as usize % count.max(1));
        (number < count).then_some(number)
    }
}

/// Damage to the disk before a process opens it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Damage {
    /// `Flip`: one bit is flipped. `Lose`: the bytes are gone.
    FlipChunk,
    LoseChunk,
    /// Two chunks are at each other's places.
    SwapChunks,
    FlipFile,
    LoseFile,
    FlipSlot,
    /// The newest checkpoint's manifest, or a run that only this manifest names.
    FlipNewest,
    LoseNewest,
}

const DAMAGES: [Damage; 8] = [
    Damage::FlipChunk,
    Damage::LoseChunk,
    Damage::SwapChunks,
    Damage::FlipFile,
    Damage::LoseFile,
    Damage::FlipSlot,
    Damage::FlipNewest,
    Damage::LoseNewest,
];

/// The end of a process, and the openings after it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Crash {
    pub end: Ending,
    /// Decides which of the unsynced writes are kept.
    pub seed: u64,
    pub damage: Option<Damage>,
    /// Openings that end early: after how many calls to the disk, and how.
    pub openings: Vec<(u64, Ending)>,
    /// The failure of the disk during the last opening.
    pub trouble: Option<Trouble>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum ScheduleStep {
    /// A client does an operation.
    Do {
        client: usize,
        operation: Operation<HoldPick>,
        op_key: Option<u64>,
    },
    /// A client repeats an operation with its op key, or uses the key for another operation.
    Again {
        client: usize,
        which: u32,
        other: bool,
    },
    Advance {
        ms: u64,
    },
    Sweep {
        client: usize,
    },
    /// A turn of the log. `vouch`: the sidecar is due to be written; `sync`: an interval has passed.
    Log {
        vouch: bool,
        sync: bool,
    },
    Fold,
    Checkpoint {
        forced: bool,
    },
    /// Everything is written and folded, and then compared.
    Compare,
    Trouble(Trouble),
    /// Another process removes the directory under the engine.
    Remove,
    /// The process or the power ends after this number of calls to the disk.
    EndIn {
        calls: u64,
        crash: Crash,
    },
    Crash(Crash),
    /// An orderly close, and the crash after it, when the process has ended already.
    Close(Crash),
}

/// The settings of a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub seed: u64,
    pub durability: Durability,
    pub checkpoint_bytes: usize,
    pub payload_bytes_max: usize,
    pub expired_kept: u32,
    pub copied_bytes_max: u64,
    pub holds_max: u32,
}

/// A run: one directory, from its creation on.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    pub settings: Settings,
    pub steps: Vec<ScheduleStep>,
}

/// Draws random steps.
struct StepRng(Rng);

impl StepRng {
    fn below(&mut self, bound: usize) -> usize {
        self.0.index(bound)
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    fn lines(&mut self) -> Lines {
        std::array::from_fn(|_| self.below(4).saturating_sub(1) as u32)
    }

    fn selection(&mut self) -> Selection {
        match self.below(4) {
            0 | 1 => Selection::Whole,
            2 => Selection::Quantity(1 + self.below(4) as u32),
            _ => Selection::Lines(self.lines()),
        }
    }

    fn ttl(&mut self) -> Option<u64> {
        (!self.one_in(3)).then(|| 1 + self.below(TTL_MAX_MS as usize) as u64)
    }

    fn operation(&mut self) -> Operation<HoldPick> {
        let (key, hold, quantity) = (self.below(KEYS_MAX), self.0.next() as u32, 1 + self.below(4) as u32);
        // Mostly one of the youngest holds.
        let hold = HoldPick(if self.one_in(3) { hold } else { u32::MAX - hold % 6 });
        match self.below(60) {
            0 | 1 => Operation::Declare { name: key },
            2..=6 => Operation::Receive { key, quantity: if self.one_in(12) { 300 } else { quantity } },
            7..=9 => Operation::Adjust { key, delta: self.below(9) as i64 - 5 },
            10 => {
                let ms = self.below(80) as u64;
                Operation::Switch {
                    key,
                    to: self.pick(&[SaleSwitch::Stopped, SaleSwitch::OpensIn { ms }, SaleSwitch::Open]),
                }
            }
            11 | 12 => Operation::Switch { key, to: SaleSwitch::Open },
            13 => Operation::Prepare { key },
            14..=24 => {
                let at_least =
                    if self.one_in(3) { self.below(quantity as usize + 2) as u32 } else { quantity };
                let (ttl_ms, remember_refusal) = (self.ttl(), self.one_in(2));
                Operation::Reserve { key, quantity, at_least, ttl_ms, remember_refusal }
            }
            25..=30 => {
                Operation::Cart { lines: self.lines(), ttl_ms: self.ttl(), remember_refusal: self.one_in(2) }
            }
            31 => {
                let requests = (0..self.below(5)).map(|_| (self.below(KEYS_MAX), 1 + self.below(4) as u32));
                Operation::Batch { requests: requests.collect() }
            }
            32..=36 => {
                let by = if self.one_in(2) {
                    Selection::Quantity(quantity)
                } else {
                    Selection::Lines(self.lines())
                };
                Operation::Replace { hold, by, ttl_ms: if self.one_in(3) { self.ttl() } else { None } }
            }
            37..=44 => Operation::Confirm { hold, selection: self.selection(), retake: self.one_in(2) },
            45..=47 => Operation::Release { hold },
            48..=50 => Operation::Extend { hold, ttl_ms: 1 + self.below(TTL_MAX_MS as usize) as u64 },
            51 | 52 => Operation::BeginPayment { hold },
            53..=55 => Operation::Cancel { hold, selection: self.selection() },
            _ => Operation::Ship { hold, selection: self.selection() },
        }
    }

    fn end(&mut self) -> Ending {
        if self.one_in(4) { Ending::Kill } else { Ending::Power }
    }

    fn trouble(&mut self) -> Trouble {
        let (call, after) = (self.pick(&WRITING), self.below(6) as u16);
        Trouble { call, after: if self.one_in(2) { 0 } else { after }, full: self.one_in(4) }
    }

    fn crash(&mut self) -> Crash {
        let mut openings = Vec::new();
        while self.one_in(3) && openings.len() < 3 {
            openings.push((self.below(24) as u64, self.end()));
        }
        let damage = self.one_in(6).then(|| self.pick(&DAMAGES));
        let trouble = (damage.is_none() && self.one_in(8)).then(|| self.trouble());
        Crash { end: self.end(), seed: self.0.next(), damage, openings, trouble }
    }
}

impl Schedule {
    pub(super) fn of(seed: u64) -> Schedule {
        let mut rng = StepRng(Rng::new(seed));
        let interval = Durability::Interval(Duration::from_secs(3_600));
        let settings = Settings {
            seed,
            durability: if rng.one_in(4) { interval } else { Durability::Sync },
            checkpoint_bytes: rng.pick(&[150, 400, 1_000, 4_000]),
            payload_bytes_max: rng.pick(&[160, 160, 400, 30_000]),
            expired_kept: rng.pick(&[2, 1_000]),
            holds_max: rng.pick(&[6, 1_000]),
            copied_bytes_max: rng.pick(&[0, 300, 2_000, 1 << 20]),
        };
        // One in so many steps is followed by a turn of the log, the fold or the checkpoints.
        let (log, fold, checkpoint) = (rng.pick(&[2, 4, 12]), rng.pick(&[1, 3]), rng.pick(&[2, 6]));
        let crashes = rng.pick(&[6, 10, 25]);
        let mut steps = vec![
            ScheduleStep::Do { client: 0, operation: Operation::Declare { name: 0 }, op_key: None },
            ScheduleStep::Do {
                client: 0,
                operation: Operation::Receive { key: 0, quantity: 6 },
                op_key: None,
            },
        ];
        // One in 30 runs is long and has few crashes, so that it makes many checkpoints.
        let (length, crashes) =
            if rng.one_in(30) { (2_000, 6 * crashes) } else { (60 + rng.below(240) as u64, crashes) };
        for number in 0..length {
            let client = rng.below(3);
            if rng.one_in(crashes) {
                let crash = rng.crash();
                steps.push(match rng.below(8) {
                    0 => ScheduleStep::Close(crash),
                    1 | 2 => ScheduleStep::Crash(crash),
                    _ => ScheduleStep::EndIn { calls: rng.below(30) as u64, crash },
                });
            }
            if rng.one_in(log) {
                steps.push(ScheduleStep::Log { vouch: rng.one_in(4), sync: rng.one_in(3) });
            }
            if rng.one_in(fold) {
                steps.push(ScheduleStep::Fold);
            }
            if rng.one_in(checkpoint) {
                steps.push(ScheduleStep::Checkpoint { forced: rng.one_in(6) });
            }
            steps.push(match rng.below(40) {
                0..=3 => {
                    let ms = 1 + rng.below(60) as u64;
                    ScheduleStep::Advance {
                        ms: if rng.one_in(20) { ms * RULES.op_keys_kept_ms / 8 } else { ms },
                    }
                }
                4 => ScheduleStep::Sweep { client },
                5 => ScheduleStep::Compare,
                6 if rng.one_in(4) => ScheduleStep::Trouble(rng.trouble()),
                6 if rng.one_in(8) => ScheduleStep::Remove,
                7..=9 => ScheduleStep::Again { client, which: rng.0.next() as u32, other: rng.one_in(5) },
                _ => {
                    let op_key = rng.one_in(3).then_some(number);
                    ScheduleStep::Do { client, operation: rng.operation(), op_key }
                }
            });
        }
        steps.push(ScheduleStep::Compare);
        Schedule { settings, steps }
    }
}
