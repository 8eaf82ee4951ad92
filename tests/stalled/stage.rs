//! Runs one case at a time, with a time limit.

use std::io::Write;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use stockhold::stall::Stall;

/// How long a thread may take to come to its step, or a scenario to end. Only a hang takes so long.
pub const HANG: Duration = Duration::from_secs(60);

/// Failpoints are the process's, and the engine's threads have the same names in every engine: one at a time.
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock()
}

/// Turns a hang into a failure: parked threads cannot be joined.
pub fn watched(what: &str, scenario: impl FnOnce()) {
    let (done, ended) = mpsc::channel::<()>();
    let name = what.to_owned();
    thread::spawn(move || {
        if let Err(mpsc::RecvTimeoutError::Timeout) = ended.recv_timeout(HANG) {
            let _ = writeln!(std::io::stderr(), "a hang: {name}"); // not captured
            std::process::exit(101);
        }
    });
    scenario();
    drop(done);
}

pub fn parked(stall: &Stall, what: &dyn std::fmt::Debug) {
    assert!(stall.wait(HANG / 4), "nobody came to the step of {what:?}");
}
