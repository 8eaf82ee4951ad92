//! From a seed to a plain list of steps. A step says all that it needs, so that any of them can be left out: what it
//! names (a hold, a key, an op key) is picked from what there is when its turn comes.

use super::disk::{End, Trouble, WRITING};
use crate::config::Durability;
use std::time::Duration;
use stockhold_seeded::Rng;

/// Stock keys that can be declared.
pub(super) const KEYS_MAX: usize = 4;
pub(super) const TTL_DEFAULT_MS: u64 = 50;
pub(super) const TTL_MAX_MS: u64 = 200;
pub(super) const LIFE_MAX_MS: u64 = 300;
pub(super) const PAYMENT_MS: u64 = 30;
/// How long op keys are remembered.
pub(super) const RETENTION_MS: u64 = 3_600_000;

/// Units of each stock key.
pub(super) type Lines = [u32; KEYS_MAX];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Part {
    FullState,
    Quantity(u32),
    Lines(Lines),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Gate {
    Open,
    Stopped,
    OpensIn { ms: u64 },
}

/// An operation; holds are named by `H`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum What<H> {
    Declare { key: usize },
    Receive { key: usize, quantity: u32 },
    Adjust { key: usize, delta: i64 },
    Switch { key: usize, gate: Gate },
    Prepare { key: usize },
    Reserve { key: usize, quantity: u32, at_least: u32, ttl_ms: Option<u64>, remember_refusal: bool },
    Cart { lines: Lines, ttl_ms: Option<u64>, remember_refusal: bool },
    Batch { wanted: Vec<(usize, u32)> },
    Replace { hold: H, by: Part, ttl_ms: Option<u64> },
    Confirm { hold: H, part: Part, retake: bool },
    Release { hold: H },
    Extend { hold: H, ttl_ms: u64 },
    Pay { hold: H },
    Cancel { hold: H, part: Part },
    Ship { hold: H, part: Part },
}

impl<H: Copy> What<H> {
    /// The same with its hold named otherwise; `None` if that cannot be.
    pub(super) fn named<N>(&self, name: impl FnOnce(H) -> Option<N>) -> Option<What<N>> {
        Some(match *self {
            What::Declare { key } => What::Declare { key },
            What::Receive { key, quantity } => What::Receive { key, quantity },
            What::Adjust { key, delta } => What::Adjust { key, delta },
            What::Switch { key, gate } => What::Switch { key, gate },
            What::Prepare { key } => What::Prepare { key },
            What::Reserve { key, quantity, at_least, ttl_ms, remember_refusal } => {
                What::Reserve { key, quantity, at_least, ttl_ms, remember_refusal }
            }
            What::Cart { lines, ttl_ms, remember_refusal } => What::Cart { lines, ttl_ms, remember_refusal },
            What::Batch { ref wanted } => What::Batch { wanted: wanted.clone() },
            What::Replace { hold, by, ttl_ms } => What::Replace { hold: name(hold)?, by, ttl_ms },
            What::Confirm { hold, part, retake } => What::Confirm { hold: name(hold)?, part, retake },
            What::Release { hold } => What::Release { hold: name(hold)? },
            What::Extend { hold, ttl_ms } => What::Extend { hold: name(hold)?, ttl_ms },
            What::Pay { hold } => What::Pay { hold: name(hold)? },
            What::Cancel { hold, part } => What::Cancel { hold: name(hold)?, part },
            What::Ship { hold, part } => What::Ship { hold: name(hold)?, part },
        })
    }
}

/// The op key of an operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Key {
    None,
    New(u64),
}

/// What becomes of the disk before a process opens it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Damage {
    /// A bit of a chunk, of a checkpoint's file, or of a sidecar's slot is another.
    FlipChunk,
    LoseChunk,
    /// A chunk lies where another should.
    SwapChunks,
    FlipFile,
    LoseFile,
    FlipSlot,
    /// The newest checkpoint's manifest, or a file that it alone names.
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

/// A process ends and the next opens the directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Crash {
    pub end: End,
    /// Decides what became of every write that was not synced.
    pub seed: u64,
    pub damage: Option<Damage>,
    /// The openings that end at so many calls, and how.
    pub openings: Vec<(u64, End)>,
    /// What fails in the last opening.
    pub trouble: Option<Trouble>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// A client does something.
    Do {
        client: usize,
        what: What<u32>,
        key: Key,
    },
    /// It asks again what was asked with an op key, or something else with that key.
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
    /// A turn of the log; `vouch`: the sidecar has lagged for long, `sync`: an interval is over.
    Log {
        vouch: bool,
        sync: bool,
    },
    Fold,
    Checkpoint {
        forced: bool,
    },
    /// Everything is written and folded, and looked at.
    Look,
    Trouble(Trouble),
    /// The process or the power ends at so many calls from now.
    EndIn {
        calls: u64,
        crash: Crash,
    },
    Crash(Crash),
    /// An orderly close; what comes after is a crash of a process that is gone.
    Close(Crash),
}

/// What a life is lived with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Traits {
    pub seed: u64,
    pub durability: Durability,
    pub checkpoint_bytes: usize,
    pub payload_bytes_max: usize,
    pub expired_kept: u32,
    pub copied_bytes_max: u64,
    pub holds_max: u32,
}

/// A life: one directory, from its creation on.
#[derive(Clone, Debug)]
pub(super) struct Life {
    pub traits: Traits,
    pub steps: Vec<Step>,
}

/// Draws steps, and what is in them.
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

    fn part(&mut self) -> Part {
        match self.below(4) {
            0 | 1 => Part::FullState,
            2 => Part::Quantity(1 + self.below(4) as u32),
            _ => Part::Lines(self.lines()),
        }
    }

    fn ttl(&mut self) -> Option<u64> {
        (!self.one_in(3)).then(|| 1 + self.below(TTL_MAX_MS as usize) as u64)
    }

    fn what(&mut self) -> What<u32> {
        let (key, hold, quantity) = (self.below(KEYS_MAX), self.0.next() as u32, 1 + self.below(4) as u32);
        // Mostly a young hold.
        let hold = if self.one_in(3) { hold } else { u32::MAX - hold % 6 };
        match self.below(60) {
            0 | 1 => What::Declare { key },
            2..=6 => What::Receive { key, quantity: if self.one_in(12) { 300 } else { quantity } },
            7..=9 => What::Adjust { key, delta: self.below(9) as i64 - 5 },
            10 => {
                let ms = self.below(80) as u64;
                What::Switch { key, gate: self.pick(&[Gate::Stopped, Gate::OpensIn { ms }, Gate::Open]) }
            }
            11 | 12 => What::Switch { key, gate: Gate::Open },
            13 => What::Prepare { key },
            14..=24 => {
                let at_least =
                    if self.one_in(3) { self.below(quantity as usize + 2) as u32 } else { quantity };
                let (ttl_ms, remember_refusal) = (self.ttl(), self.one_in(2));
                What::Reserve { key, quantity, at_least, ttl_ms, remember_refusal }
            }
            25..=30 => {
                What::Cart { lines: self.lines(), ttl_ms: self.ttl(), remember_refusal: self.one_in(2) }
            }
            31 => {
                let wanted = (0..self.below(5)).map(|_| (self.below(KEYS_MAX), 1 + self.below(4) as u32));
                What::Batch { wanted: wanted.collect() }
            }
            32..=36 => {
                let by = if self.one_in(2) { Part::Quantity(quantity) } else { Part::Lines(self.lines()) };
                What::Replace { hold, by, ttl_ms: if self.one_in(3) { self.ttl() } else { None } }
            }
            37..=44 => What::Confirm { hold, part: self.part(), retake: self.one_in(2) },
            45..=47 => What::Release { hold },
            48..=50 => What::Extend { hold, ttl_ms: 1 + self.below(TTL_MAX_MS as usize) as u64 },
            51 | 52 => What::Pay { hold },
            53..=55 => What::Cancel { hold, part: self.part() },
            _ => What::Ship { hold, part: self.part() },
        }
    }

    fn end(&mut self) -> End {
        if self.one_in(4) { End::Kill } else { End::Power }
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

impl Life {
    pub(super) fn of(seed: u64) -> Life {
        let mut rng = StepRng(Rng::new(seed));
        let interval = Durability::Interval(Duration::from_secs(3_600));
        let traits = Traits {
            seed,
            durability: if rng.one_in(4) { interval } else { Durability::Sync },
            checkpoint_bytes: rng.pick(&[150, 400, 1_000, 4_000]),
            payload_bytes_max: rng.pick(&[160, 160, 400, 30_000]),
            expired_kept: rng.pick(&[2, 1_000]),
            holds_max: rng.pick(&[6, 1_000]),
            copied_bytes_max: rng.pick(&[0, 300, 2_000, 1 << 20]),
        };
        // How hurried the clients are, the log, the fold.
        let (log, fold, checkpoint) = (rng.pick(&[2, 4, 12]), rng.pick(&[1, 3]), rng.pick(&[2, 6]));
        let crashes = rng.pick(&[6, 10, 25]);
        let mut steps = vec![
            Step::Do { client: 0, what: What::Declare { key: 0 }, key: Key::None },
            Step::Do { client: 0, what: What::Receive { key: 0, quantity: 6 }, key: Key::None },
        ];
        // Now and then one that is long and quiet, so that checkpoints are many.
        let (length, crashes) =
            if rng.one_in(30) { (2_000, 6 * crashes) } else { (60 + rng.below(240) as u64, crashes) };
        for number in 0..length {
            let client = rng.below(3);
            if rng.one_in(crashes) {
                let crash = rng.crash();
                steps.push(match rng.below(8) {
                    0 => Step::Close(crash),
                    1 | 2 => Step::Crash(crash),
                    _ => Step::EndIn { calls: rng.below(30) as u64, crash },
                });
            }
            if rng.one_in(log) {
                steps.push(Step::Log { vouch: rng.one_in(4), sync: rng.one_in(3) });
            }
            if rng.one_in(fold) {
                steps.push(Step::Fold);
            }
            if rng.one_in(checkpoint) {
                steps.push(Step::Checkpoint { forced: rng.one_in(6) });
            }
            steps.push(match rng.below(40) {
                0..=3 => {
                    let ms = 1 + rng.below(60) as u64;
                    Step::Advance { ms: if rng.one_in(20) { ms * RETENTION_MS / 8 } else { ms } }
                }
                4 => Step::Sweep { client },
                5 => Step::Look,
                6 if rng.one_in(4) => Step::Trouble(rng.trouble()),
                7..=9 => Step::Again { client, which: rng.0.next() as u32, other: rng.one_in(5) },
                _ => {
                    let key = if rng.one_in(3) { Key::New(number) } else { Key::None };
                    Step::Do { client, what: rng.what(), key }
                }
            });
        }
        steps.push(Step::Look);
        Life { traits, steps }
    }
}
