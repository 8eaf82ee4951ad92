//! A log that no engine has open: read as an opening would read it, without changing a byte.
//!
//! The store itself is not opened, since its opening writes: chunks are read from its file, found by their
//! marks and linked by their hashes. The same function decides on them as in an opening, so a log that is
//! refused here would be refused there.
//!
//! The directory is locked only while its files are opened, so a reader never keeps an engine from opening it:
//! an engine appends to files of its own, and what it removes stays readable here.
//!
//! Must survive: any bytes, and an engine that opens the directory meanwhile.

use std::{path::Path, sync::Arc};

use super::{
    chunk::HEADER_BYTES,
    chunk_index::ChunkIndex,
    directory::{Identity, Layout, ReadOnlyDirectory},
    opened_stores::OpenedStores,
    recovery::{LogError, io_error, read, survey},
    scan::{FoundChunk, Tip},
    sidecar::{Durable, Sidecar},
    stores::StoreFolder,
    verdict::{Start, Verdict, decide},
};
use crate::checkpoint::RunError;
use crate::checkpoint::files::DirFiles;
use crate::checkpoint::load::Loaded;
use crate::checkpoint::manifest::Manifest;
use crate::checkpoint::manifest_set::ManifestSet;
use crate::checkpoint::opened_files::OpenedFiles;

/// A log that is only read.
#[derive(Debug)]
pub(crate) struct LogAtRest {
    /// The content of the sidecar.
    pub(crate) proven: Durable,
    pub(crate) verdict: Verdict,
    /// All chunks of the log: those between the two checkpoints, if they were found, and the verdict's.
    pub(crate) chain: Vec<FoundChunk>,
    /// The newest undamaged checkpoint; the verdict's chunks follow it.
    pub(crate) newest: Option<Manifest>,
    chunks: RawChunks,
    directory: ReadOnlyDirectory,
    /// The files of its checkpoints.
    pub(crate) files: Arc<OpenedFiles>,
}

/// The stores of a log, of which only the raw chunks are read.
#[derive(Debug)]
pub(crate) struct RawChunks(OpenedStores);

/// The state before the chain of a log at rest.
#[derive(Default)]
pub(crate) struct Before {
    /// The state where the chain begins.
    pub(crate) base: Loaded,
    /// The newest checkpoint, if the chain begins before it: the state that the log up to there must lead to.
    pub(crate) newest: Option<Loaded>,
    /// Checkpoints that are damaged, and why.
    pub(crate) rejected: Vec<String>,
}

impl LogAtRest {
    pub(crate) fn open(path: &Path) -> Result<(Self, Before), LogError> {
        let mut directory = ReadOnlyDirectory::open(path)?;
        let layout = &directory.layout;
        let proven = Sidecar::read(&layout.durable())?.ok_or_else(|| layout.lacks("durable"))?;
        let (chunks, files) = (RawChunks::open(layout)?, open_checkpoints(layout));
        // From here on an engine may open the directory: it changes none of these files.
        directory.release();
        let (mut manifest_set, rejected) = ManifestSet::open(files.clone(), directory.identity.id)?;
        let mut before = Before { rejected, ..Before::default() };
        let newest = manifest_set.load_newest(&mut before.rejected, &mut |_| {})?;
        let frontier = newest.as_ref().map(|(manifest, _)| manifest.frontier).unwrap_or_default();
        let start = Start { tip: frontier.tip(), epoch: frontier.epoch, keep: Tip::ORIGIN };
        let index = chunks.survey()?;
        let verdict = decide(&index, &proven, &start)?;

        // An opening starts from the newest checkpoint; here the log before it is used too, if it is still
        // there.
        let history = match &newest {
            Some(_) => history(&mut manifest_set, &index, start.tip, &mut before.rejected)?,
            None => None,
        };
        let (newest, loaded) = newest.unzip();
        let mut chain = Vec::new();
        match history {
            Some((base, between)) => (before.base, before.newest, chain) = (base, loaded, between),
            None => before.base = loaded.unwrap_or_default(),
        }
        chain.extend(&verdict.chain);
        Ok((LogAtRest { proven, verdict, chain, newest, chunks, directory, files }, before))
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.directory.layout
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.directory.identity
    }

    /// The records of a chunk of the chain; its checksum and hash are checked once more.
    pub(crate) fn payload(&self, found: &FoundChunk) -> Result<Vec<u8>, LogError> {
        self.chunks.payload(found)
    }
}

/// Opens the files of the checkpoints.
pub(crate) fn open_checkpoints(layout: &Layout) -> Arc<OpenedFiles> {
    Arc::new(OpenedFiles::open(DirFiles::at(layout.checkpoint())))
}

impl RawChunks {
    pub(crate) fn open(layout: &Layout) -> Result<Self, LogError> {
        let opened = OpenedStores::open(&StoreFolder::at(layout.log()));
        Ok(RawChunks(opened.map_err(io_error("reading the log"))?))
    }

    pub(crate) fn survey(&self) -> Result<ChunkIndex, LogError> {
        survey(&self.0)
    }

    /// The records of a chunk that a survey has found; its checksum and hash are checked once more.
    pub(crate) fn payload(&self, found: &FoundChunk) -> Result<Vec<u8>, LogError> {
        let mut chunk = read(&self.0, found)?;
        chunk.drain(..HEADER_BYTES);
        Ok(chunk)
    }
}

/// The history before the newest checkpoint: an older checkpoint or an empty state, and the chunks from there
/// `to` the end of the newest. `None` if a chunk is missing.
fn history(
    manifest_set: &mut ManifestSet,
    index: &ChunkIndex,
    to: Tip,
    rejected: &mut Vec<String>,
) -> Result<Option<(Loaded, Vec<FoundChunk>)>, RunError> {
    manifest_set.reject_newest();
    let older = manifest_set.load_newest(rejected, &mut |_| {})?;
    let from = older.as_ref().map_or(Tip::ORIGIN, |(manifest, _)| manifest.frontier.tip());
    let chain = index.chain_back(from, to).ok();
    Ok(chain.map(|chain| (older.map(|(_, loaded)| loaded).unwrap_or_default(), chain)))
}
