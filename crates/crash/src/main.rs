//! Tests that acknowledgements survive a loss of power and a kill.
//!
//! ```text
//! load ── sends requests to an engine on a real directory, and writes requests and answers to a witness
//!  │
//!  ├─ power cuts   trace (strace) ─► machine ─► disk ─► image ─┐
//!  └─ kills        SIGKILL, the directory as it is ────────────┴─► judge ◄── witness
//! ```
//!
//! The judge knows the directory, and what the witness had read before the cut. It checks two things:
//! - An operation that was answered is there: a repeated request with its op key has the same answer and
//!   position.
//! - An operation that was requested and not answered happened completely or not at all, and a repeated
//!   request makes it happen once.
//!
//! All operations that happened, in the order of their positions, must then explain every hold and every
//! level (`book`).
//!
//! A kill loses nothing that was written to the kernel, so it shows nothing about a loss of power; an image
//! does.

mod base;
mod book;
mod cut;
mod cuts;
mod disk;
mod image;
mod judge;
mod kills;
mod load;
mod loss;
mod machine;
mod operation;
mod options;
mod power_cuts;
mod recording;
mod trace;
mod witness;

use std::process::ExitCode;

use options::Options;

const USAGE: &str = "\
usage: stockhold-crash power-cuts | kills | load [options]; a wrong option prints the options";

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let done = match args.next().as_deref() {
        Some("power-cuts") => {
            Options::read(args, power_cuts::USAGE).and_then(|options| power_cuts::run(&options))
        }
        Some("kills") => Options::read(args, kills::USAGE).and_then(|options| kills::run(&options)),
        Some("load") => Options::read(args, load::USAGE).and_then(|options| load::run(&options)),
        _ => Err(USAGE.to_owned()),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}
