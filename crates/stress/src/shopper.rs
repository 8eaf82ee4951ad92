//! One thread: chooses the next call, and records its answer.

use stockhold::{Engine, Receipt, RefusalReason, StockKey};
use stockhold_check::{Call, Event, Recorder};

use crate::held::{Held, KEYS, SharedHolds};
use crate::mix::Mix;
use crate::no::No;
use crate::tally::Tally;
use stockhold_seeded::Rng;

/// The most holds that a thread keeps; beyond it gives up the oldest.
const HELD_MAX: usize = 48;

/// The "busy" answers after which a thread ends: each takes as long as a thousand other answers.
const BUSY_MAX: u64 = 40;

/// The state of a thread, which outlives a restart.
pub(crate) struct ShopperState {
    pub rng: Rng,
    pub recorder: Recorder,
    pub held: Vec<Held>,
    pub paid: Vec<Held>,
    /// Units that were corrected away or shipped, and will be received again.
    pub owed: [u32; KEYS],
    pub shipped: [u32; KEYS],
    /// The holds on several keys.
    pub carts: Vec<Held>,
    pub tally: Tally,
    /// Answers that are always wrong.
    pub complaints: Vec<String>,
}

impl ShopperState {
    pub(crate) fn new(seed: u64, recorder: Recorder) -> ShopperState {
        ShopperState {
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

/// The start and the end of a call.
#[derive(Clone, Copy)]
pub(crate) struct Span {
    start_ns: u64,
    end_ns: u64,
}

pub(crate) struct Shopper<'a> {
    pub engine: &'a Engine,
    pub keys: &'a [StockKey; KEYS],
    pub shared_holds: &'a SharedHolds,
    pub mix: &'a Mix,
    pub state: ShopperState,
    /// A key whose sale this thread has stopped, and the turns until it resumes.
    pub stopped: Option<(usize, u32)>,
}

impl<'a> Shopper<'a> {
    /// Makes about this many calls.
    pub(crate) fn shop(mut self, calls: u64) -> ShopperState {
        let (enough, too_busy) = (self.state.tally.calls + calls, self.state.tally.busy + BUSY_MAX);
        while self.state.tally.calls < enough
            && self.state.tally.busy < too_busy
            && self.state.complaints.is_empty()
        {
            self.turn();
        }
        if let Some((key, _)) = self.stopped {
            self.resume(key);
        }
        self.state
    }

    fn turn(&mut self) {
        if let Some((key, turns)) = self.stopped {
            self.stopped = Some((key, turns.saturating_sub(1)));
            if turns == 0 {
                self.resume(key);
            }
        }
        if self.state.held.len() > HELD_MAX {
            let oldest = self.state.held.remove(0);
            if !self.mix.lets_expire {
                self.release(oldest);
            }
        } else if self.state.paid.len() > self.mix.paid_max() {
            self.cancel();
        }
        match self.state.rng.below(1_000) {
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

    // ── calls
    // ────────────────────────────────────────────────────────────────────────────────────────────────

    /// Makes a call and reads the clock directly before and after it.
    pub(crate) fn timed<T>(&mut self, call: impl FnOnce(&'a Engine) -> T) -> (T, Span) {
        let start_ns = self.state.recorder.now_ns();
        let answer = call(self.engine);
        let end_ns = self.state.recorder.now_ns();
        self.state.tally.calls += 1;
        (answer, Span { start_ns, end_ns })
    }

    /// Returns the answer. On disk, sometimes waits until it is durable, so that the log keeps up.
    pub(crate) fn receive<T>(&mut self, receipt: Receipt<'a, T>) -> T {
        if self.mix.durability.is_none() || !self.state.rng.once_in(256) {
            return receipt.not_yet_durable();
        }
        let position = receipt.position();
        if let Err(error) = self.engine.wait(position) {
            self.complain(error.to_string());
        }
        receipt.not_yet_durable()
    }

    pub(crate) fn complain(&mut self, complaint: String) {
        self.state.complaints.push(complaint);
    }

    // ── recording
    // ────────────────────────────────────────────────────────────────────────────────────────────

    pub(crate) fn record(&mut self, Span { start_ns, end_ns }: Span, key: usize, event: Event) {
        self.state.tally.checked += 1;
        self.state.recorder.record(Call { key: key as u32, start_ns, end_ns, event });
    }

    /// Records a step of a hold on each of its keys.
    pub(crate) fn record_each(&mut self, span: Span, held: &Held, event: impl Fn(usize) -> Event) {
        for key in held.keys() {
            self.record(span, key, event(key));
        }
    }

    /// Records the error of a call, which was about `held` if there is one.
    pub(crate) fn record_error(&mut self, span: Span, held: Option<&Held>, no: impl Into<No>) {
        match no.into() {
            No::Busy => self.state.tally.busy += 1,
            No::Expired => {
                if let Some(held) = held {
                    self.record_each(span, held, |_| Event::ExpiredSeen { hold: held.name() });
                }
            }
            No::Refused(refusal) if refusal.reason == RefusalReason::OutOfStock => {
                match self.keys.iter().position(|key| *key == refusal.key) {
                    Some(key) => {
                        self.state.tally.refused += 1;
                        let (asked, available) = (refusal.asked, refusal.available);
                        self.record(span, key, Event::Refuse { asked, available });
                    }
                    None => self.complain(format!("refused for an unknown key: {refusal:?}")),
                }
            }
            No::Refused(_) | No::Nothing => {}
            No::Strange(error) => self.complain(error),
        }
    }

    // ── holds
    // ────────────────────────────────────────────────────────────────────────────────────────────────

    /// Keeps a new hold, and may publish it to the other threads.
    pub(crate) fn keep(&mut self, held: Held) {
        if held.only_key().is_none() {
            self.state.carts.push(held);
        }
        if self.state.rng.once_in(2) {
            self.shared_holds.publish(&mut self.state.rng, held);
        }
        self.state.held.push(held);
    }

    /// Chooses a hold: one of this thread with its index, or another thread's.
    pub(crate) fn choose(&mut self) -> Option<(Held, Option<usize>)> {
        if self.state.rng.once_in(3)
            && let Some(held) = self.shared_holds.pick(&mut self.state.rng)
        {
            return Some((held, None));
        }
        let count = self.state.held.len() as u64;
        let place = (count > 0).then(|| self.state.rng.below(count) as usize)?;
        Some((self.state.held[place], Some(place)))
    }

    /// Usually forgets a hold that has ended. Keeps some, since a repeated call must change nothing.
    pub(crate) fn forget(&mut self, place: Option<usize>) {
        if let Some(place) = place
            && !self.state.rng.once_in(4)
        {
            self.state.held.swap_remove(place);
        }
    }
}
