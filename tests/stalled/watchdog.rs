//! Runs one scenario at a time, and turns a hang into a failure.

use std::io::Write;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use stockhold::stall::Stall;

/// A scenario that takes longer hangs.
pub const SCENARIO_MAX: Duration = Duration::from_secs(60);

/// Locks out the other scenarios: the threads of all engines share the failpoints, by their names.
pub fn exclusive() -> MutexGuard<'static, ()> {
    static LOCK: Mutex<()> = Mutex::new(());
    LOCK.lock()
}

/// Runs a scenario and ends the process if it hangs: parked threads cannot be joined.
pub fn watched(what: &str, scenario: impl FnOnce()) {
    let (done, ended) = mpsc::channel::<()>();
    let name = what.to_owned();
    thread::spawn(move || {
        if let Err(mpsc::RecvTimeoutError::Timeout) = ended.recv_timeout(SCENARIO_MAX) {
            let _ = writeln!(std::io::stderr(), "a hang: {name}"); // not captured
            std::process::exit(101);
        }
    });
    scenario();
    drop(done);
}

/// Waits until the thread is parked.
pub fn wait_until_parked(stall: &Stall, what: &dyn std::fmt::Debug) {
    assert!(stall.wait(SCENARIO_MAX / 4), "no thread came to the step of {what:?}");
}
