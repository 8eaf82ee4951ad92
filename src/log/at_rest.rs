//! A log at rest: what an opening would take for the log, read without changing a byte.
//!
//! The store is not asked, since its own opening writes: chunks come out of its file, found by their marks and
//! linked by their hashes. The decision on them is the one of an opening, so what is refused here would be refused
//! there.
//!
//! Must survive: any bytes, and an engine that wants to open the directory meanwhile: it is told to wait.

use std::{fs::File, io, path::Path};

use super::{
    chunk::HEADER_BYTES,
    directory::{Identity, Inspection},
    recovery::{IN_RESCUE, LogError, at_risk, io_error, open_existing, survey},
    scan::{self, Found, Place},
    sidecar::{Durable, Sidecar},
    verdict::{Verdict, decide},
};

/// A log that is only read. As long as it exists no engine can open the directory.
#[derive(Debug)]
pub(crate) struct LogAtRest {
    /// What the sidecar vouches for.
    pub(crate) proven: Durable,
    pub(crate) verdict: Verdict,
    data: File,
    rescue: Option<File>,
    directory: Inspection,
}

impl LogAtRest {
    pub(crate) fn open(path: &Path) -> Result<Self, LogError> {
        let directory = Inspection::open(path)?;
        let layout = &directory.layout;
        let proven = Sidecar::read(&layout.durable())?.ok_or_else(|| layout.lacks("durable"))?;
        let doing = io_error("reading the log");
        let data = open_existing(&layout.log_data()).map_err(&doing)?;
        let data = data.ok_or_else(|| layout.lacks("log/db"))?;
        let rescue = open_existing(&layout.rescue()).map_err(&doing)?;
        let verdict = decide(&survey(layout)?, &proven)?;
        at_risk(&verdict, &proven)?;
        Ok(LogAtRest { proven, verdict, data, rescue, directory })
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.directory.identity
    }

    /// The records of a chunk of the verdict's chain, their bytes proven once more.
    pub(crate) fn payload(&self, found: &Found) -> Result<Vec<u8>, LogError> {
        let position = found.header.start;
        let lost = |problem: &str| LogError::Unreadable { position, problem: problem.into() };
        let file = match &self.rescue {
            Some(rescue) if found.place.offset & IN_RESCUE != 0 => rescue,
            _ => &self.data,
        };
        let place = Place { offset: found.place.offset & !IN_RESCUE, ..found.place };
        match scan::read_chunk(file, &Found { place, ..*found }) {
            Ok(mut chunk) => {
                chunk.drain(..HEADER_BYTES);
                Ok(chunk)
            }
            // The lock keeps engines out; a file that is copied over or cut meanwhile shows here.
            Err(error)
                if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) =>
            {
                Err(lost("it changed while it was being read"))
            }
            Err(error) => Err(io_error("reading the log")(error)),
        }
    }
}
