//! The disk alone: the shortest time in which any program can acknowledge after a sync.
//!
//! Operations are due as in the open loop. All due operations are written to a plain file together, with as
//! many bytes as their log would have, and synced with one fdatasync. Nothing is decided and no other thread
//! works, so a stall here is one of the disk or of the machine.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::Instant;

use super::latency::{Curve, Latencies};
use super::schedule::Schedule;

/// About the size of an operation in the log.
const BYTES: usize = 24;
const FILE: &str = "disk-alone";

/// Measures latency in this directory, at `rate` operations a second for `seconds`.
pub(super) fn measure(scratch: &Path, rate: u64, seconds: f64) -> io::Result<Curve> {
    let path = scratch.join(FILE);
    let mut file = File::create_new(&path)?;
    let mut latencies = Latencies::new();
    let mut due_ns = Schedule::new(rate, seconds, u64::MAX, 1).due_ns(0).peekable();
    let began = Instant::now();
    let now_ns = || began.elapsed().as_nanos() as u64;
    let (mut group, mut bytes) = (Vec::new(), Vec::new());
    while due_ns.peek().is_some() {
        let now = now_ns();
        group.extend(std::iter::from_fn(|| due_ns.next_if(|due| *due <= now)));
        if group.is_empty() {
            std::hint::spin_loop();
            continue;
        }
        bytes.resize(group.len() * BYTES, 0xd6);
        file.write_all(&bytes)?;
        file.sync_data()?;
        let now = now_ns();
        group.drain(..).for_each(|due| latencies.note(due, now));
    }
    std::fs::remove_file(path)?;
    Ok(latencies.curve())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_due_operation_is_counted_and_no_file_is_left() {
        let scratch = tempfile::tempdir().unwrap();
        let curve = measure(scratch.path(), 10_000, 0.02).unwrap();
        assert_eq!(curve.count, 200);
        assert!(curve.p50_ns > 0 && curve.p50_ns <= curve.max_ns);
        assert_eq!(scratch.path().read_dir().unwrap().count(), 0);
    }
}
