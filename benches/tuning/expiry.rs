//! The driver's period: its cost for an idle engine, and its effect on buyers.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use stockhold::{Config, Engine, Receive, Reserve};

use crate::common::insist;
use crate::load::settle;
use crate::{head, ms, row};

/// The number of holds, which hold all units and are due at once.
const HOLDS: u32 = 100_000;
const DUE_IN: Duration = Duration::from_millis(1_500);
/// How long an idle engine is measured, and a sale after its holds were due.
const IDLE: Duration = Duration::from_millis(500);
const AFTER: Duration = Duration::from_millis(300);

pub fn driver(_: &Path) -> String {
    let mut table =
        head(&["driver period", "processor time, idle", "longest reserve once 100,000 holds are due"]);
    let periods = [1, 10, 100, 1_000].map(|ms| Some(Duration::from_millis(ms)));
    for period in periods.into_iter().chain([None]) {
        let name = period.map_or_else(|| "none".into(), |period| format!("{} ms", period.as_millis()));
        let (idle, longest_ms) = once(period);
        table += &row(&[name, format!("{:.2} %", idle * 100.0), ms(longest_ms)]);
    }
    table
}

/// The part of a core that an idle engine uses, and the longest reserve once the holds of all units are due.
fn once(period: Option<Duration>) -> (f64, f64) {
    let config = Config::default().driver_period(period);
    let engine = Engine::in_memory(config).expect("an engine in memory opens");
    let key = insist(|| engine.declare("hot", "here"));
    insist(|| engine.receive(Receive::units(key, HOLDS))).not_yet_durable();
    settle(&engine, key);
    let cpu = process_time();
    thread::sleep(IDLE);
    let idle = (process_time() - cpu).as_secs_f64() / IDLE.as_secs_f64();

    let due = engine.now().plus(DUE_IN);
    let left = || Duration::from_millis(due.0.saturating_sub(engine.now().0).max(1));
    (0..HOLDS).for_each(|_| _ = insist(|| engine.reserve(Reserve::units(key, 1).ttl(left()))));
    settle(&engine, key);
    thread::sleep(left());
    let (began, mut longest) = (Instant::now(), Duration::ZERO);
    while began.elapsed() < AFTER {
        let called = Instant::now();
        let _ = engine.reserve(Reserve::units(key, 1).ttl(Duration::from_secs(60)));
        longest = longest.max(called.elapsed());
        thread::sleep(Duration::from_micros(100));
    }
    (idle, longest.as_secs_f64() * 1e3)
}

fn process_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
