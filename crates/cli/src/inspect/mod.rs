//! Commands that look into a directory and change no byte of it: `verify`, `levels`, `holds`, `log`; `backup` and
//! `salvage`, which write a new one; and `checkpoint`, which opens it as a program does.
//!
//! What they have in common is which directory.

pub(crate) mod backup;
pub(crate) mod checkpoint;
pub(crate) mod holds;
pub(crate) mod levels;
pub(crate) mod log;
pub(crate) mod salvage;
mod table;
mod text;
pub(crate) mod verify;

use std::path::PathBuf;

use stockhold::inspect::Inspection;

use crate::output::{Output, Stop, finish};

/// What every inspecting command takes.
#[derive(clap::Args)]
struct Common {
    /// The directory to look into; no engine may have it open
    #[arg(long)]
    dir: PathBuf,
    /// JSON instead of text
    #[arg(long)]
    json: bool,
}

/// What a command takes that makes a new directory of another.
#[derive(clap::Args)]
struct Pair {
    #[command(flatten)]
    common: Common,
    /// The directory to make; nothing may be there
    #[arg(long)]
    out: PathBuf,
}

/// The directory, for a command that can say nothing of one in drift.
fn open_whole(common: &Common) -> Result<Inspection, Stop> {
    let inspection = Inspection::open(&common.dir)?;
    match inspection.drift() {
        None => Ok(inspection),
        Some(drift) => Err(Stop::Untrue(drift.to_string())),
    }
}
