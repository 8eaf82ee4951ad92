//! Flags that the inspecting commands share, and how they print.

use std::path::PathBuf;

use stockhold::inspect::Inspection;

use crate::output::{Output, Stop};

/// The directory to read, and the form of the output.
#[derive(clap::Args)]
pub(crate) struct DirectoryArgs {
    /// The stockhold directory; no engine may have it open
    #[arg(long)]
    pub(super) dir: PathBuf,
    /// Print JSON instead of text
    #[arg(long)]
    pub(super) json: bool,
}

/// For a command that makes a new directory from another.
#[derive(clap::Args)]
pub(crate) struct CopyArgs {
    #[command(flatten)]
    pub(super) from: DirectoryArgs,
    /// The directory to make; it must not exist
    #[arg(long)]
    pub(super) out: PathBuf,
}

impl DirectoryArgs {
    /// Opens the directory for a command that needs it free of contradictions.
    pub(super) fn open_verified(&self) -> Result<Inspection, Stop> {
        let inspection = Inspection::open(&self.dir)?;
        match inspection.drift() {
            None => Ok(inspection),
            Some(drift) => Err(Stop::Untrue(drift.to_string())),
        }
    }

    /// Prints with `json` if `--json` was given, otherwise with `text`.
    pub(super) fn print(
        &self,
        json: impl FnOnce(&mut Output) -> Result<(), Stop>,
        text: impl FnOnce(&mut Output) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        let mut output = Output::new();
        if self.json {
            json(&mut output)?
        } else {
            text(&mut output)?
        }
        output.close()
    }
}
