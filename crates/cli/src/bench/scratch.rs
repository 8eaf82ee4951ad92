//! The scratch directory of a run, which is removed at its end, successful or not.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::exit::CommandError;

/// Name of the engine's identity file, which marks a stockhold directory.
const IDENTITY: &str = "stockhold";

pub(super) struct Scratch(PathBuf);

impl Scratch {
    /// Makes a new directory in `parent`.
    pub(super) fn within(parent: &Path) -> Result<Self, CommandError> {
        if parent.join(IDENTITY).is_file() {
            return Err(CommandError::Usage(format!(
                "{} is a stockhold directory, in which nothing is measured; give its parent directory as \
                 --dir",
                parent.display()
            )));
        }
        let cannot = |error: io::Error| {
            CommandError::Environment(format!(
                "no directory can be made in {}: {error}; give --dir with a writable directory",
                parent.display()
            ))
        };
        // An absolute path, which is passed to the measuring processes.
        let absolute = parent.canonicalize().map_err(cannot)?;
        for attempt in 0..1_000 {
            let dir = absolute.join(format!("stockhold-bench-{}-{attempt}", std::process::id()));
            match fs::create_dir(&dir) {
                Ok(()) => return Ok(Scratch(dir)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(cannot(error)),
            }
        }
        Err(CommandError::Environment(format!(
            "{} contains many old scratch directories; remove some",
            parent.display()
        )))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("stockhold: {} could not be removed: {error}; remove it", self.0.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_scratch_directory_is_removed_and_nothing_else() {
        let parent = tempfile::tempdir().unwrap();
        fs::write(parent.path().join("other"), "theirs").unwrap();
        let [one, two] = [0, 1].map(|_| Scratch::within(parent.path()).unwrap());
        assert_ne!(one.path(), two.path());
        fs::write(one.path().join("log"), "ours").unwrap();
        drop((one, two));
        let left: Vec<_> =
            fs::read_dir(parent.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["other"]);
    }

    #[test]
    fn an_engines_directory_is_left_alone() {
        let parent = tempfile::tempdir().unwrap();
        fs::write(parent.path().join(IDENTITY), "").unwrap();
        assert!(matches!(Scratch::within(parent.path()), Err(CommandError::Usage(_))));
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 1);
    }
}
