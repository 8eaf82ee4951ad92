//! What an opening replays into: the newest undamaged checkpoint first, then the log behind it.

use std::sync::Arc;

use crate::checkpoint::RunError;
use crate::checkpoint::files::{DirFiles, Files};
use crate::checkpoint::load::Loaded;
use crate::checkpoint::manifest_set::{ManifestSet, Retention};
use crate::checkpoint::rows::OpRow;
use crate::checkpoint::thread::WINDOWS_MAX;
use crate::checkpoint::window::Window;
use crate::config::Config;
use crate::error::OpenError;
use crate::fold::answers::Answers;
use crate::fold::state::{Fold, FoldedOp};
use crate::hold::id::HoldIds;
use crate::hold::op_keys::{Done, OpKeys};
use crate::log::directory::{Identity, Layout};
use crate::log::record::Fact;
use crate::log::recovery::{LogError, Replay};
use crate::log::scan::{FoundChunk, Tip};
use crate::log::verdict::Start;
use crate::types::{OpKey, Position};

/// The checkpoint that the opening started from.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ReplayStart {
    /// 0 = none.
    pub number: u64,
    pub position: u64,
    /// Records before it.
    pub records: u64,
}

/// The state of an opening while it replays.
pub(super) struct ReplayTarget {
    pub fold: Fold,
    pub op_keys: OpKeys,
    pub answers: Answers,
    /// None in memory.
    pub manifest_set: Option<ManifestSet>,
    /// The log behind the newest checkpoint.
    pub window: Window,
    /// The log behind the checkpoint was too long to keep in `window`: it is read once more, when it is
    /// durable.
    is_long: bool,
    pub replay_start: ReplayStart,
    /// Checkpoints that were damaged, and why.
    pub rejected: Vec<String>,
    /// Leftover files that were removed.
    pub removed: u64,
    config: Config,
    /// The files of the checkpoints; `None` = the folder in the directory.
    pub files: Option<Arc<dyn Files>>,
}

impl ReplayTarget {
    /// The state of a new engine.
    pub(super) fn empty(config: &Config, identity: &Identity) -> Self {
        ReplayTarget {
            fold: Fold::default(),
            op_keys: op_keys(config),
            answers: answers(identity),
            manifest_set: None,
            window: Window::default(),
            is_long: false,
            replay_start: ReplayStart::default(),
            rejected: Vec::new(),
            removed: 0,
            config: config.clone(),
            files: None,
        }
    }

    /// The state before a replay. The identity is known once the directory is locked.
    pub(super) fn before_replay(config: &Config) -> Self {
        Self::empty(config, &Identity { id: [0; 16], secret: [0; 16], segment_bytes: 0 })
    }

    /// The error of the opening, with the damaged checkpoints if there are any.
    pub(super) fn explain(&self, error: LogError) -> OpenError {
        match OpenError::from(error) {
            OpenError::Damaged { readable, message } if !self.rejected.is_empty() => {
                let rejected = self.rejected.join("; ");
                let message = format!("{message} (and checkpoints could not be used: {rejected})");
                OpenError::Damaged { readable, message }
            }
            error => error,
        }
    }

    /// Removes files that no checkpoint needs. Only when nothing else of the opening can fail because of
    /// them.
    pub(super) fn remove_leftovers(&self) -> Result<u64, OpenError> {
        let tidied = self.manifest_set.as_ref().map_or(Ok(0), ManifestSet::tidy);
        tidied.map_err(|error| LogError::from(error).into())
    }

    /// Remembers an operation with an op key.
    fn remember(op_keys: &OpKeys, answers: &Answers, op: &FoldedOp<'_>) -> Option<()> {
        let FoldedOp { fact, position, at, epoch, .. } = *op;
        let position = Position(position);
        let answer = answers.of(fact, position, at, epoch)?;
        let key = OpKey(u128::from_le_bytes(fact.op?.key));
        let content = u64::from_le_bytes(fact.op?.content);
        op_keys.restore(key, content, Done { answer, position, at });
        Some(())
    }

    /// The same for one that a checkpoint has.
    fn remember_row(op_keys: &OpKeys, answers: &Answers, row: &OpRow) -> Option<()> {
        let (fact, _) = Fact::decode(&row.record).ok().filter(|(fact, _)| fact.is_sane())?;
        let OpRow { position, at, epoch, .. } = *row;
        Self::remember(op_keys, answers, &FoldedOp { fact: &fact, bytes: &row.record, position, at, epoch })
    }

    fn windows_bytes_max(&self) -> usize {
        WINDOWS_MAX * self.config.checkpoint_bytes
    }

    /// Makes a checkpoint of the window, which must be durable.
    fn catch_up(&mut self) -> Result<(), RunError> {
        let Some(manifest_set) = &mut self.manifest_set else { return Ok(()) };
        manifest_set.write(&self.window, &Retention::of(&self.config), &|| false, |_| true)?;
        self.window.clear();
        Ok(())
    }
}

impl Replay for ReplayTarget {
    fn start(&mut self, directory: &Layout, identity: &Identity) -> Result<Start, RunError> {
        self.answers = answers(identity);
        let files = self.files.take().unwrap_or_else(|| Arc::new(DirFiles::at(directory.checkpoint())));
        let (mut manifest_set, rejected) = ManifestSet::open(files, identity.id)?;
        self.rejected.extend(rejected);
        let (op_keys, answers, config) = (&mut self.op_keys, &self.answers, &self.config);
        let newest = manifest_set.load_newest(&mut self.rejected, &mut |op| match op {
            Some(op) => drop(Self::remember_row(op_keys, answers, &op)),
            None => *op_keys = self::op_keys(config),
        })?;
        let (mut loaded, mut start) = (Loaded::default(), Start::default());
        if let Some((manifest, state)) = newest {
            let frontier = &manifest.frontier;
            let (number, position, records) = (manifest.number, frontier.position, frontier.records);
            self.replay_start = ReplayStart { number, position, records };
            start = Start { tip: frontier.tip(), epoch: frontier.epoch, keep: manifest_set.older_tip() };
            loaded = state;
        }
        self.fold = loaded.fold;
        manifest_set.start_from(loaded.hold_epochs);
        self.window.end = start.tip;
        self.manifest_set = Some(manifest_set);
        Ok(start)
    }

    fn chunk(&mut self, found: &FoundChunk, payload: &[u8]) -> Result<(), String> {
        let (op_keys, answers) = (&self.op_keys, &self.answers);
        let mut remember = |op: FoldedOp<'_>| {
            Self::remember(op_keys, answers, &op);
        };
        let folded = self.fold.payload(found.header.start, payload, &mut remember);
        folded.map_err(|contradiction| contradiction.to_string())?;
        if self.fold.position != found.header.end() {
            return Err(format!("its entries end at position {}", self.fold.position));
        }
        self.is_long |= self.window.bytes.len() >= self.windows_bytes_max();
        if !self.is_long {
            self.window.push(found.header.start, payload);
            self.window.end = Tip::after(found);
        }
        Ok(())
    }

    fn durable(
        &mut self,
        chain: &[FoundChunk],
        read: &dyn Fn(&FoundChunk) -> Result<Vec<u8>, LogError>,
    ) -> Result<(), LogError> {
        if let Some(manifest_set) = &self.manifest_set {
            manifest_set.sync()?;
        }
        if !self.is_long {
            return Ok(());
        }
        let begin = self.manifest_set.as_ref().map(ManifestSet::frontier).unwrap_or_default();
        self.window = Window { end: begin.tip(), ..Window::default() };
        for found in chain {
            self.window.push(found.header.start, &read(found)?);
            self.window.end = Tip::after(found);
            if found.header.commit && self.window.bytes.len() >= self.windows_bytes_max() {
                self.catch_up()?;
            }
        }
        Ok(())
    }
}

fn op_keys(config: &Config) -> OpKeys {
    OpKeys::new(config.op_keys_max, config.op_key_retention)
}

fn answers(identity: &Identity) -> Answers {
    let mut tag = [0; 4];
    tag.copy_from_slice(&identity.id[..4]);
    Answers { ids: HoldIds::new(identity.secret), tag: u32::from_le_bytes(tag) }
}
