//! Disk trouble made by the kernel, not by a fake: the disk is full or fails, it may not be written, or there
//! is no descriptor left.
//!
//! A child process ([`sale`]) opens a directory and sells until it is done or stopped, and reports its
//! answers. It must neither panic nor hang. Once the cause is gone the directory is opened again and judged:
//! everything acknowledged is there, and an operation that is sent again with its op key has happened once.
//!
//! Each call that fails, at each of its times, is a row of a matrix of which a run takes a part, dealt by
//! `STOCKHOLD_SEED`; with `STOCKHOLD_TROUBLE=all` every row, in some minutes.

mod faults;
mod limits;
mod sale;
mod small_disk;
mod volumes;

use std::io::Write;

/// Whether every row of the matrices is wanted.
fn all() -> bool {
    std::env::var("STOCKHOLD_TROUBLE").as_deref() == Ok("all")
}

/// Says that a test cannot run here; under `CI=true` that is a failure.
fn skip(what: &str) {
    assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{what}");
    let _ = writeln!(std::io::stderr(), "skipped: {what}");
}
