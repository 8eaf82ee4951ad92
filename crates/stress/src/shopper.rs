//! One thread: what it does next, and what it writes down of the answer.

use stockhold::{Engine, Receipt, RefusalReason, StockKey};
use stockhold_check::{Call, Event, Recorder};

use crate::held::{Board, Held, KEYS};
use crate::mix::Mix;
use crate::no::No;
use crate::tally::Tally;
use stockhold_seeded::Rng;

/// Holds that a thread keeps an eye on; of one more, it lets the oldest go.
const HELD_MAX: usize = 48;

/// Times that a thread is told "busy" before it leaves: each takes as long as a thousand answers.
const BUSY_MAX: u64 = 40;

/// What a thread takes along over a restart.
pub(crate) struct Bag {
    pub rng: Rng,
    pub recorder: Recorder,
    pub held: Vec<Held>,
    pub paid: Vec<Held>,
    /// Units that a count found missing or that were shipped, and will come again.
    pub owed: [u32; KEYS],
    pub shipped: [u32; KEYS],
    /// Of a hold on several keys, those.
    pub carts: Vec<Held>,
    pub tally: Tally,
    /// Answers that no engine should give.
    pub complaints: Vec<String>,
}

impl Bag {
    pub(crate) fn new(seed: u64, recorder: Recorder) -> Bag {
        Bag {
            rng: Rng::new(seed),
            recorder,
            held: Vec::new(),
            paid: Vec::new(),
            owed: [0; KEYS],
            shipped: [0; KEYS],
            carts: Vec::new(),
            tally: Tally::default(),
            complaints: Vec::new(),
        }
    }
}

/// From when to when a call was made.
#[derive(Clone, Copy)]
pub(crate) struct Span {
    start_ns: u64,
    end_ns: u64,
}

pub(crate) struct Shopper<'a> {
    pub engine: &'a Engine,
    pub keys: &'a [StockKey; KEYS],
    pub board: &'a Board,
    pub mix: &'a Mix,
    pub bag: Bag,
    /// A key whose sale it has stopped, and for how many turns more.
    pub stopped: Option<(usize, u32)>,
}

impl<'a> Shopper<'a> {
    /// Makes about so many calls.
    pub(crate) fn shop(mut self, calls: u64) -> Bag {
        let (enough, too_busy) = (self.bag.tally.calls + calls, self.bag.tally.busy + BUSY_MAX);
        while self.bag.tally.calls < enough
            && self.bag.tally.busy < too_busy
            && self.bag.complaints.is_empty()
        {
            self.turn();
        }
        if let Some((key, _)) = self.stopped {
            self.resume(key);
        }
        self.bag
    }

    fn turn(&mut self) {
        if let Some((key, turns)) = self.stopped {
            self.stopped = Some((key, turns.saturating_sub(1)));
            if turns == 0 {
                self.resume(key);
            }
        }
        if self.bag.held.len() > HELD_MAX {
            let oldest = self.bag.held.remove(0);
            if !self.mix.lets_expire {
                self.release(oldest);
            }
        } else if self.bag.paid.len() > self.mix.paid_max() {
            self.cancel();
        }
        match self.bag.rng.below(1_000) {
            0..450 => self.reserve(),
            450..480 => self.reserve_batch(),
            480..590 => self.reserve_cart(),
            590..690 => self.confirm(),
            690..760 => self.release_any(),
            760..800 => self.extend(),
            800..820 => self.begin_payment(),
            820..880 => self.replace(),
            880..930 => self.cancel(),
            930..940 => self.correct(),
            940..965 => self.read(),
            965..980 => self.prepare(),
            980..990 => self.status(),
            990..993 => self.level(),
            993..998 => self.sweep(),
            _ => self.stop(),
        }
    }

    // ── asking ───────────────────────────────────────────────────────────────────────────────────────────────

    /// Makes a call and looks at the clock around it, and does nothing else between the looks.
    pub(crate) fn ask<T>(&mut self, call: impl FnOnce(&'a Engine) -> T) -> (T, Span) {
        let start_ns = self.bag.recorder.now_ns();
        let answer = call(self.engine);
        let end_ns = self.bag.recorder.now_ns();
        self.bag.tally.calls += 1;
        (answer, Span { start_ns, end_ns })
    }

    /// The answer; on disk now and then only when it is durable, so that the log is not left behind.
    pub(crate) fn receive<T>(&mut self, receipt: Receipt<'a, T>) -> T {
        if self.mix.durability.is_none() || !self.bag.rng.once_in(256) {
            return receipt.not_yet_durable();
        }
        let position = receipt.position();
        if let Err(error) = self.engine.wait(position) {
            self.complain(error.to_string());
        }
        receipt.not_yet_durable()
    }

    pub(crate) fn complain(&mut self, complaint: String) {
        self.bag.complaints.push(complaint);
    }

    // ── writing down ─────────────────────────────────────────────────────────────────────────────────────────

    pub(crate) fn record(&mut self, Span { start_ns, end_ns }: Span, key: usize, event: Event) {
        self.bag.tally.checked += 1;
        self.bag.recorder.record(Call { key: key as u32, start_ns, end_ns, event });
    }

    /// A step of a hold is one on each of its keys.
    pub(crate) fn record_each(&mut self, span: Span, held: &Held, event: impl Fn(usize) -> Event) {
        for key in held.keys() {
            self.record(span, key, event(key));
        }
    }

    /// What an error of a call says, about `held` if it was of one.
    pub(crate) fn told_no(&mut self, span: Span, held: Option<&Held>, no: impl Into<No>) {
        match no.into() {
            No::Busy => self.bag.tally.busy += 1,
            No::Expired => {
                if let Some(held) = held {
                    self.record_each(span, held, |_| Event::ExpiredSeen { hold: held.name() });
                }
            }
            No::Refused(refusal) if refusal.reason == RefusalReason::OutOfStock => {
                match self.keys.iter().position(|key| *key == refusal.key) {
                    Some(key) => {
                        self.bag.tally.refused += 1;
                        let (asked, available) = (refusal.asked, refusal.available);
                        self.record(span, key, Event::Refuse { asked, available });
                    }
                    None => self.complain(format!("refused for a key that nobody has: {refusal:?}")),
                }
            }
            No::Refused(_) | No::Nothing => {}
            No::Strange(error) => self.complain(error),
        }
    }

    // ── holds ────────────────────────────────────────────────────────────────────────────────────────────────

    /// Remembers a new hold, and may show it to the others.
    pub(crate) fn keep(&mut self, held: Held) {
        if held.only_key().is_none() {
            self.bag.carts.push(held);
        }
        if self.bag.rng.once_in(2) {
            self.board.show(&mut self.bag.rng, held);
        }
        self.bag.held.push(held);
    }

    /// A hold to do something with: an own one and where it is kept, or another's.
    pub(crate) fn choose(&mut self) -> Option<(Held, Option<usize>)> {
        if self.bag.rng.once_in(3)
            && let Some(held) = self.board.see(&mut self.bag.rng)
        {
            return Some((held, None));
        }
        let count = self.bag.held.len() as u64;
        let place = (count > 0).then(|| self.bag.rng.below(count) as usize)?;
        Some((self.bag.held[place], Some(place)))
    }

    /// Mostly forgets a hold that has had its outcome: asking again must change nothing.
    pub(crate) fn done_with(&mut self, place: Option<usize>) {
        if let Some(place) = place
            && !self.bag.rng.once_in(4)
        {
            self.bag.held.swap_remove(place);
        }
    }
}
