//! Does an acknowledgement outlive a loss of power, and a kill?
//!
//! ```text
//! load ── asks an engine on a real directory, and says to a witness what it asks and what it is told
//!  │
//!  ├─ power cuts   trace (strace) ─► machine ─► disk ─► image ─┐
//!  └─ kills        SIGKILL, the directory as it is ────────────┴─► judge ◄── witness
//! ```
//!
//! The judge knows the directory, and what the witness had heard before the cut. It asks for two things:
//! - What was told is there: asked again with the same op key, the answer and its position are the same.
//! - What was asked and not answered happened whole or not at all, and asking again makes it happen once.
//!
//! Everything that happened, in the order of its positions, then explains every hold and every level (`book`).
//!
//! A kill loses nothing that the kernel was given, so it says nothing about loss of power; an image does.

mod base;
mod book;
mod cut;
mod disk;
mod errand;
mod image;
mod judge;
mod kills;
mod load;
mod machine;
mod options;
mod power_cuts;
mod recording;
mod trace;
mod witness;

use std::process::ExitCode;

use options::Options;

const USAGE: &str = "\
usage: stockhold-crash power-cuts | kills | load [options]; each tells its options when it is given a wrong one";

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
