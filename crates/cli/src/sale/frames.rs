//! What the child tells the parent through the pipe: one frame for each batch whose last decision is durable.
//!
//! ```text
//! batch u32 | entries u32 | decisions u32 | busy u32 | entries x (what u8 | hold u128)      all little-endian
//! ```
//! A kill can cut the last frame. It then says nothing: what it would have told was not acknowledged.

use std::io::{self, Read, Write};

/// What became of one errand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum What {
    Refused,
    /// Granted and left alone.
    Held,
    Confirmed,
    Released,
}

/// The answer to one errand. `hold` is zero when it was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Entry {
    pub(crate) what: What,
    pub(crate) hold: u128,
}

/// Errands that were done together, in the order of their numbers.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Batch {
    pub(crate) number: u32,
    pub(crate) entries: Vec<Entry>,
    /// Answers that decided something: reserves, confirms and releases.
    pub(crate) decisions: u32,
    /// Answers that said: try again.
    pub(crate) busy: u32,
}

const ENTRY_BYTES: usize = 17;
const ENTRIES_MAX: usize = 1 << 16;

impl Batch {
    /// Writes the frame with one call.
    pub(crate) fn write(&self, pipe: &mut impl Write) -> io::Result<()> {
        let mut frame = Vec::with_capacity(16 + self.entries.len() * ENTRY_BYTES);
        for head in [self.number, self.entries.len() as u32, self.decisions, self.busy] {
            frame.extend(head.to_le_bytes());
        }
        for entry in &self.entries {
            frame.push(entry.what as u8);
            frame.extend(entry.hold.to_le_bytes());
        }
        pipe.write_all(&frame)?;
        pipe.flush()
    }

    /// The next frame; `None` at the end, or when the rest is cut.
    pub(crate) fn read(pipe: &mut impl Read) -> io::Result<Option<Batch>> {
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
        Ok(Some(Batch { number: word(0), entries, decisions: word(8), busy: word(12) }))
    }
}

fn decode(bytes: &[u8]) -> io::Result<Entry> {
    let what = match bytes[0] {
        0 => What::Refused,
        1 => What::Held,
        2 => What::Confirmed,
        3 => What::Released,
        other => return Err(io::Error::new(io::ErrorKind::InvalidData, format!("an entry of kind {other}"))),
    };
    Ok(Entry { what, hold: u128::from_le_bytes(bytes[1..].try_into().expect("sixteen bytes")) })
}

/// False when the pipe ends first.
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
    fn frames_survive_the_pipe_and_a_cut_one_says_nothing() {
        let entry = |what, hold| Entry { what, hold };
        let entries = vec![
            entry(What::Refused, 0),
            entry(What::Held, 7),
            entry(What::Confirmed, u128::MAX),
            entry(What::Released, 1 << 100),
        ];
        let batch = Batch { number: 3, entries, decisions: 6, busy: 1 };
        let mut pipe = Vec::new();
        batch.write(&mut pipe).unwrap();
        batch.write(&mut pipe).unwrap();
        for cut in 0..pipe.len() {
            let mut rest = &pipe[..cut];
            let whole = cut / (pipe.len() / 2);
            for _ in 0..whole {
                assert_eq!(Batch::read(&mut rest).unwrap(), Some(batch.clone()));
            }
            assert_eq!(Batch::read(&mut rest).unwrap(), None, "cut at {cut}");
        }
    }

    #[test]
    fn nonsense_is_an_error() {
        assert!(Batch::read(&mut [0xff; 64].as_slice()).is_err());
    }
}
