//! A thread is descheduled between reading the clock and reading the stock: it must not refuse falsely.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use stockhold::{Clock, Config, Engine, Receive, Reserve, Timestamp};

type Meanwhile = Box<dyn FnOnce() + Send>;

/// A clock whose next reader is put to sleep right after reading, while other things happen.
#[derive(Default)]
struct SleepyClock {
    now_ms: AtomicU64,
    meanwhile: Mutex<Option<Meanwhile>>,
}

impl Clock for SleepyClock {
    fn now(&self) -> Timestamp {
        let now = Timestamp(1_767_225_600_000 + self.now_ms.load(Ordering::SeqCst));
        let meanwhile = self.meanwhile.lock().unwrap().take();
        if let Some(meanwhile) = meanwhile {
            meanwhile();
        }
        now
    }
}

#[test]
fn a_refuser_that_slept_through_a_deadline_does_not_refuse_falsely() {
    let clock = Arc::new(SleepyClock::default());
    let engine = Engine::in_memory(Config::default().driver_period(None).clock(Arc::clone(&clock))).unwrap();
    let key = engine.declare("poster", "here").unwrap();
    let _ = engine.receive(Receive::units(key, 2)).unwrap().not_yet_durable();
    let hour = Duration::from_secs(3_600);
    let _ = engine.reserve(Reserve::units(key, 1).ttl(Duration::from_millis(10))).unwrap().not_yet_durable();

    let (other, time) = (engine.clone(), Arc::clone(&clock));
    *clock.meanwhile.lock().unwrap() = Some(Box::new(move || {
        time.now_ms.store(20, Ordering::SeqCst); // the hold has expired: two are available
        let _ = other.reserve(Reserve::units(key, 1).ttl(hour)).unwrap().not_yet_durable(); // one is
    }));
    // At every instant of this call, one unit or more was available.
    assert!(engine.reserve(Reserve::units(key, 1).ttl(hour)).is_ok());
}
