//! Errors, after which there are no figures.

use std::io;
use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub(crate) enum PeerError {
    #[error("{}: {error}", path.display())]
    File { path: PathBuf, error: io::Error },
    #[error("{server} on port {port} of loopback: {error}")]
    Connection { server: &'static str, port: u16, error: io::Error },
    #[error("{server} answered {answer:?} where {expected} was expected")]
    Answer { server: &'static str, answer: String, expected: &'static str },
    #[error("{program} does not start: {error}; benches/peers.sh installs it")]
    NotThere { program: &'static str, error: io::Error },
    #[error("{program} failed: {error}")]
    Failed { program: &'static str, error: String },
    #[cfg(not(feature = "tigerbeetle"))]
    #[error("this build has no client for TigerBeetle; build it with --features tigerbeetle")]
    NoClient,
    #[error("the journal failed: {0}")]
    Journal(String),
    #[error("the engine: {0}")]
    Engine(String),
    #[error("refused a unit of stock key {key}, which has plenty")]
    FalseRefusal { key: u64 },
    #[error("nothing was acknowledged within {0} s; give it more time with --seconds")]
    Nothing(u64),
    /// The row is worthless then.
    #[error("{granted} holds were acknowledged, but {found} {what}: there is no figure")]
    Mismatch { granted: u64, found: i64, what: &'static str },
    #[error("no row is called {0:?}; without --only all rows are measured and named")]
    NoRow(String),
    #[error("{row}: {error}")]
    Row { row: String, error: Box<PeerError> },
}

impl PeerError {
    pub(crate) fn file(path: &Path, error: io::Error) -> PeerError {
        PeerError::File { path: path.to_owned(), error }
    }
}
