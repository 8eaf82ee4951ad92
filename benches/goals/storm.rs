//! A million holds that expire in the same millisecond, while a thread reserves.

use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

use stockhold::{Engine, Reserve};

use crate::common::{insist, sale};
use crate::config;

const HOLDS: u64 = 1_000_000;
/// The time until the holds are due: enough to make them.
const DUE_IN: Duration = Duration::from_secs(3);
/// How long reserves are measured before that.
const BEFORE: Duration = Duration::from_secs(1);
/// The pause between two reserves.
const PAUSE: Duration = Duration::from_micros(4);

/// The nanoseconds of the reserves (p50, p99, p99.9), and the time until all units were returned.
pub struct Storm {
    before: [u64; 3],
    during: [u64; 3],
    back_ms: u64,
}

impl Storm {
    /// The p99 during the expiries, as a multiple of the p99 before.
    pub fn worse(&self) -> f64 {
        self.during[1] as f64 / self.before[1] as f64
    }
}

impl fmt::Display for Storm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Storm { before, during, back_ms } = self;
        write!(
            f,
            "a million holds due at once, all units back after {back_ms} ms; a reserve, p50/p99/p99.9, before: \
             {}/{}/{} ns, during: {}/{}/{} ns",
            before[0], before[1], before[2], during[0], during[1], during[2]
        )
    }
}

pub fn measure() -> Storm {
    let engine = Engine::in_memory(config()).unwrap();
    let key = sale(&engine, 2 * HOLDS);
    let due = engine.now().plus(DUE_IN);
    let left = || Duration::from_millis(due.0.saturating_sub(engine.now().0).max(1));
    for name in 0..HOLDS {
        let reference = name.to_le_bytes();
        let request = || Reserve::units(key, 1).ttl(left()).reference(&reference);
        let _ = insist(|| engine.reserve(request())).not_yet_durable();
    }
    let (mut before, mut during) = (Vec::new(), Vec::new());
    thread::sleep(left().saturating_sub(BEFORE));
    let (mut calls, mut back_ms) = (0_u64, None);
    while back_ms.is_none() {
        let (now, called) = (engine.now(), Instant::now());
        let reserved = engine.reserve(Reserve::units(key, 1));
        let took_ns = called.elapsed().as_nanos() as u64;
        let measured = if now < due { &mut before } else { &mut during };
        measured.push(took_ns);
        if let Ok(receipt) = reserved {
            let hold = receipt.not_yet_durable().hold;
            let _ = insist(|| engine.release(hold)).not_yet_durable();
        }
        calls += 1;
        // The metric is enough, without waiting for the fold.
        if now >= due && calls.is_multiple_of(256) && engine.metrics().expired >= HOLDS {
            back_ms = Some(engine.now().0 - due.0);
        }
        let paused = Instant::now();
        while paused.elapsed() < PAUSE {
            std::hint::spin_loop();
        }
    }
    Storm { before: percentiles(before), during: percentiles(during), back_ms: back_ms.unwrap_or_default() }
}

fn percentiles(mut took_ns: Vec<u64>) -> [u64; 3] {
    took_ns.sort_unstable();
    [0.5, 0.99, 0.999].map(|part| took_ns[(took_ns.len() as f64 * part) as usize])
}
