//! Trouble with the disk, made by the kernel and not by a fake: it is full, it fails, it may not be written,
//! there is no descriptor left.
//!
//! A child process ([`sale`]) opens a directory and sells, until it is done or stopped, and says what it was
//! told. It must neither panic nor hang; once the cause is gone the directory is opened again and judged: all
//! that was acknowledged is there, and whatever is asked again with its op key has happened once.
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
