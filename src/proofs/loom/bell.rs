//! The sleep of the log thread: it never sleeps while a record is published. A nap never ends by itself here,
//! so a missed wake-up is a deadlock.

use std::sync::Arc;
use std::time::Duration;

use super::{drain, explore};
use crate::config::Durability;
use crate::error::Stopped;
use crate::log::ring::{Reader, Share};
use crate::log::words::Words;
use crate::log::writer::{LogShared, WriterSetup, run};
use crate::sync::thread;

fn shared(words: usize) -> Arc<LogShared> {
    Arc::new(LogShared::new(words, 0, None))
}

fn write(shared: &LogShared) {
    shared.ring.claim(Words(1), Share::Keep).unwrap().draw(Words(1)).fill(b"unit");
    shared.bell.ring();
}

/// Each of several writers publishes one record and rings the bell; the sleeping thread gets them all.
pub(super) fn never_slept_over(writers: usize) {
    let shared = shared(4);
    let sleeper = {
        let shared = Arc::clone(&shared);
        move || {
            shared.bell.belong_to_this_thread();
            let mut reader = Reader::new(0);
            let mut read = 0;
            while read < writers {
                match drain(&shared.ring, &mut reader).len() {
                    0 => shared.bell.sleep(Duration::ZERO, || reader.has_next(&shared.ring)),
                    some => read += some,
                }
            }
        }
    };
    let sleeper = thread::spawn(sleeper);
    let others: Vec<_> = (1..writers)
        .map(|_| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || write(&shared))
        })
        .collect();
    write(&shared);
    others.into_iter().for_each(|writer| writer.join().unwrap());
    sleeper.join().unwrap();
    assert_eq!(shared.ring.used_words(), 0);
}

/// The real log thread with a store that keeps nothing: it passes on every published record, and ends once
/// the ring is closed.
fn the_log_thread() {
    let shared = shared(8);
    let (fold, groups) = crossbeam::channel::unbounded();
    let writer = WriterSetup { shared: Arc::clone(&shared), log: None, fold, durability: Durability::Memory };
    let log = thread::spawn(move || run(writer));
    let other = Arc::clone(&shared);
    let other = thread::spawn(move || write(&other));
    write(&shared);
    other.join().unwrap();
    shared.ring.close();
    shared.bell.ring();
    log.join().unwrap();
    let words: Words = groups.iter().flat_map(|group| group.chunks).map(|payload| payload.words).sum();
    assert_eq!((words, shared.ring.used_words()), (Words(2), 0));
    assert_eq!(shared.durable.position(), 2);
    assert_eq!(shared.poison.cause(), Stopped::ShutDown);
}

#[test]
fn a_writer_against_the_sleeper() {
    explore(|| never_slept_over(1));
}

#[test]
fn two_writers_against_the_sleeper() {
    explore(|| never_slept_over(2));
}

#[test]
fn two_writers_and_the_log_thread_until_it_is_closed() {
    explore(the_log_thread);
}
