//! A reserve whose thread is descheduled after it has read the clock and before it reads the stock must not
//! be refused falsely.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use stockhold::{Clock, Config, Engine, Receive, Reserve, Timestamp};

type Interruption = Box<dyn FnOnce() + Send>;

/// A clock that reads the time, then runs an interruption before it returns it.
#[derive(Default)]
struct InterruptingClock {
    now_ms: AtomicU64,
    interruption: Mutex<Option<Interruption>>,
}

impl Clock for InterruptingClock {
    fn now(&self) -> Timestamp {
        let now = Timestamp(1_767_225_600_000 + self.now_ms.load(Ordering::SeqCst));
        let interruption = self.interruption.lock().unwrap().take();
        if let Some(interruption) = interruption {
            interruption();
        }
        now
    }
}

#[test]
fn a_reserve_that_slept_through_a_deadline_is_not_refused_falsely() {
    let clock = Arc::new(InterruptingClock::default());
    let engine = Engine::in_memory(Config::default().driver_period(None).clock(Arc::clone(&clock))).unwrap();
    let key = engine.declare("poster", "berlin").unwrap();
    let _ = engine.receive(Receive::units(key, 2)).unwrap().not_yet_durable();
    let hour = Duration::from_secs(3_600);
    let _ = engine.reserve(Reserve::units(key, 1).ttl(Duration::from_millis(10))).unwrap().not_yet_durable();

    let (other, time) = (engine.clone(), Arc::clone(&clock));
    *clock.interruption.lock().unwrap() = Some(Box::new(move || {
        time.now_ms.store(20, Ordering::SeqCst); // the hold has expired: two units are available
        let _ = other.reserve(Reserve::units(key, 1).ttl(hour)).unwrap().not_yet_durable(); // one is left
    }));
    // At every instant of this call, one unit or more was available.
    assert!(engine.reserve(Reserve::units(key, 1).ttl(hour)).is_ok());
}
