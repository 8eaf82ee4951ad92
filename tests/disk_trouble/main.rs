//! Real trouble with the disk, made by the kernel and not by a fake store: the disk is full, fails, or is
//! read-only, or no descriptor is left.
//!
//! A child process ([`sale`]) opens a directory and sells until it is done or stopped, and prints the answers
//! that it gets. It must neither panic nor hang. Once the cause is gone, the directory is opened again and
//! checked: everything acknowledged is there, and every operation that is repeated with its op key has
//! happened once.
//!
//! Each call that can fail, at each of its occurrences, is a row of a matrix. A run takes some of the rows,
//! chosen by `STOCKHOLD_SEED`; with `STOCKHOLD_TROUBLE=all` it takes every row, which needs some minutes.

mod faults;
mod limits;
mod sale;
mod small_disk;
mod volumes;

use std::io::Write;

/// Whether the run takes every row.
fn all_rows() -> bool {
    std::env::var("STOCKHOLD_TROUBLE").as_deref() == Ok("all")
}

/// Reports that a test cannot run here. Under `CI=true` that is a failure.
fn skip(what: &str) {
    assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{what}");
    let _ = writeln!(std::io::stderr(), "skipped: {what}");
}
