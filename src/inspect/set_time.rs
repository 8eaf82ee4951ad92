//! A copy of a directory with an earlier engine time.

use std::path::Path;

use super::Inspection;
use crate::clock::{StepBack, Timestamp};
use crate::error::SetTimeError;
use crate::types::Position;

impl Inspection {
    /// Copies the directory into a new one in which engine time is `now`, which is earlier: the way back after an
    /// engine was opened by a wall clock that was far ahead. In the old directory such a time stays for good, since
    /// engine time never falls below the last time in the log; fresh UUIDv7 op keys are then too old, and sales
    /// open early. Returns the position of the copy.
    ///
    /// The copy has everything that the directory has, as after a [`backup`](Self::backup): open it in place of
    /// the directory, never beside it. Only times differ:
    ///
    /// - **A live hold keeps the time that it had left**, by the [last time in the log](super::Report::time). One
    ///   that was due stays due. So a hold that was made in the wrong time ends when its maker expected, and one
    ///   that was made before it is cut short by as much as the wrong time was ahead, but not ended.
    /// - What happened after `now` (an op key was used, a hold was made) keeps its age. What happened before
    ///   keeps its time.
    /// - The moments at which sales open stay, so a sale that opened too early is closed again until then. What
    ///   was sold stays sold; holds that expired in the wrong time stay expired.
    /// - The ledger keeps its records as they were written: it shows the wrong times, and the step back.
    ///
    /// Cost: as [`backup`](Self::backup).
    ///
    /// ```
    /// # use std::{sync::Arc, time::Duration};
    /// # use stockhold::{Config, Engine, ManualClock, Timestamp, inspect::Inspection};
    /// # let scratch = tempfile::tempdir()?;
    /// # let (directory, copy) = (scratch.path().join("stock"), scratch.path().join("mended"));
    /// # let (right, wrong) = (Timestamp::from_unix_secs(1_796_000_000), Timestamp::from_unix_secs(1_922_000_000));
    /// # let at = |time| Config::default().clock(Arc::new(ManualClock::new(time)));
    /// # Engine::open(&directory, at(wrong))?.shutdown()?;
    /// # assert_eq!(Engine::open(&directory, at(right))?.now(), wrong);
    /// Inspection::open(&directory)?.set_time(&copy, right)?;
    /// # assert_eq!(Engine::open(&copy, at(right))?.now(), right);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`SetTimeError::Time`] if `now` is no number of milliseconds of the years 2020 to 2089;
    /// [`SetTimeError::NotEarlier`] if it is not before the last time in the log; else as for a backup.
    pub fn set_time(&self, directory: impl AsRef<Path>, now: Timestamp) -> Result<Position, SetTimeError> {
        let now = now.check()?;
        let last = self.report.time;
        self.copy(directory.as_ref(), |whole| {
            let step = StepBack::new(whole.fold.now, now).ok_or(SetTimeError::NotEarlier { now, last })?;
            whole.step_back(step);
            Ok(())
        })
    }
}
