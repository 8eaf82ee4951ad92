//! Runs two parts of an opening at once, where that is worth a thread.

use std::{panic, thread};

/// The results of both; `one` runs in a thread of its own if `is_worth_it` and a thread can be started.
pub(crate) fn join<A: Send, B>(
    is_worth_it: bool,
    one: impl Fn() -> A + Sync,
    other: impl FnOnce() -> B,
) -> (A, B) {
    if !is_worth_it {
        return (one(), other());
    }
    thread::scope(|scope| {
        let beside = thread::Builder::new().name("stockhold-open".into()).spawn_scoped(scope, &one);
        let other = other();
        let one = match beside {
            Ok(beside) => beside.join().unwrap_or_else(|panic| panic::resume_unwind(panic)),
            Err(_) => one(),
        };
        (one, other)
    })
}
