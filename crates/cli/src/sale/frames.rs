//! The frames that the child sends to the parent through the pipe: one for each batch whose last decision is
//! durable.
//!
//! ```text
//! batch u32 | entries u32 | decisions u32 | busy u32 | entries x (outcome u8 | hold u128)
//! ```
//! All numbers are little-endian.
//!
//! A kill can cut the last frame. The parent ignores a cut frame: its batch was not acknowledged.

use std::io::{self, Read, Write};

/// The number of the frame that means: the directory is open, and the work begins.
pub(crate) const READY: u32 = u32::MAX;

/// What became of one task.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum TaskOutcome {
    Refused,
    /// Granted, and neither confirmed nor released.
    Held,
    Confirmed,
    Released,
}

/// The result of one task. `hold` is zero if it was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TaskResult {
    pub(crate) outcome: TaskOutcome,
    pub(crate) hold: u128,
}

/// The results of one batch of tasks, in the order of their numbers.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct TaskBatch {
    pub(crate) number: u32,
    pub(crate) entries: Vec<TaskResult>,
    /// Number of decided reserves, confirms and releases.
    pub(crate) decisions: u32,
    /// Number of answers that were "try again".
    pub(crate) busy: u32,
}

const ENTRY_BYTES: usize = 17;
const ENTRIES_MAX: usize = 1 << 16;

impl TaskBatch {
    /// Writes the frame with one system call.
    pub(crate) fn write(&self, pipe: &mut impl Write) -> io::Result<()> {
        let mut frame = Vec::with_capacity(16 + self.entries.len() * ENTRY_BYTES);
        for head in [self.number, self.entries.len() as u32, self.decisions, self.busy] {
            frame.extend(head.to_le_bytes());
        }
        for entry in &self.entries {
            frame.push(entry.outcome as u8);
            frame.extend(entry.hold.to_le_bytes());
        }
        pipe.write_all(&frame)?;
        pipe.flush()
    }

    /// Reads the next frame; `None` at the end, or if the frame is cut.
    pub(crate) fn read(pipe: &mut impl Read) -> io::Result<Option<TaskBatch>> {
        let mut head = [0; 16];
        if !read_whole(pipe, &mut head)? {
            return Ok(None);
        }
        let word = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().expect("four bytes"));
        let entries = word(4) as usize;
        if entries > ENTRIES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a batch of {entries} entries")));
        }
        let mut body = vec![0; entries * ENTRY_BYTES];
        if !read_whole(pipe, &mut body)? {
            return Ok(None);
        }
        let entries = body.chunks_exact(ENTRY_BYTES).map(decode).collect::<io::Result<_>>()?;
        Ok(Some(TaskBatch { number: word(0), entries, decisions: word(8), busy: word(12) }))
    }
}

fn decode(bytes: &[u8]) -> io::Result<TaskResult> {
    let outcome = match bytes[0] {
        0 => TaskOutcome::Refused,
        1 => TaskOutcome::Held,
        2 => TaskOutcome::Confirmed,
        3 => TaskOutcome::Released,
        other => return Err(io::Error::new(io::ErrorKind::InvalidData, format!("an entry of kind {other}"))),
    };
    Ok(TaskResult { outcome, hold: u128::from_le_bytes(bytes[1..].try_into().expect("sixteen bytes")) })
}

/// Fills `buffer`; false if the pipe ends first.
fn read_whole(pipe: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match pipe.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_as_written_and_a_cut_one_is_ignored() {
        let entry = |outcome, hold| TaskResult { outcome, hold };
        let entries = vec![
            entry(TaskOutcome::Refused, 0),
            entry(TaskOutcome::Held, 7),
            entry(TaskOutcome::Confirmed, u128::MAX),
            entry(TaskOutcome::Released, 1 << 100),
        ];
        let batch = TaskBatch { number: 3, entries, decisions: 6, busy: 1 };
        let mut pipe = Vec::new();
        batch.write(&mut pipe).unwrap();
        batch.write(&mut pipe).unwrap();
        for cut in 0..pipe.len() {
            let mut rest = &pipe[..cut];
            let whole = cut / (pipe.len() / 2);
            for _ in 0..whole {
                assert_eq!(TaskBatch::read(&mut rest).unwrap(), Some(batch.clone()));
            }
            assert_eq!(TaskBatch::read(&mut rest).unwrap(), None, "cut at {cut}");
        }
    }

    #[test]
    fn nonsense_is_an_error() {
        assert!(TaskBatch::read(&mut [0xff; 64].as_slice()).is_err());
    }
}
