//! The identity of a directory: a random id, a secret, and the settings that are fixed when it is created.
//!
//! ```text
//!  0       20       24              28    44       60
//!  | magic | format | segment bytes | id  | secret | crc32 |
//! ```
//! All numbers are little-endian.

use std::{
    fs::File,
    io::{self, Read},
};

use super::layout::{DirectoryError, IDENTITY, Layout};
use super::sled::SEGMENT_BYTES;

const MAGIC: &[u8; 20] = b"stockhold directory\n";
const FORMAT: u32 = 1;
const IDENTITY_BYTES: usize = 64;

/// The identity of a directory.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) id: [u8; 16],
    /// The key of everything that must not be guessable from outside.
    pub(crate) secret: [u8; 16],
    pub(crate) segment_bytes: u32,
}

impl Identity {
    pub(crate) fn random() -> Self {
        Identity { id: rand::random(), secret: rand::random(), segment_bytes: SEGMENT_BYTES as u32 }
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The secret must not be printed.
        f.debug_struct("Identity").field("id", &self.id).field("segment_bytes", &self.segment_bytes).finish()
    }
}

/// Reads the identity of a directory; `None` if it has none.
pub(super) fn read_identity(layout: &Layout) -> Result<Option<Identity>, DirectoryError> {
    let file = match File::open(layout.identity()) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(layout.io("reading its identity")(error)),
    };
    let mut bytes = Vec::new();
    // One byte more than an identity has: a longer file is noticed, and a huge one is not read.
    let read = (&file).take(IDENTITY_BYTES as u64 + 1).read_to_end(&mut bytes);
    read.map_err(layout.io("reading its identity"))?;
    decode(&bytes).map(Some).map_err(|problem| match problem {
        IdentityProblem::Foreign => {
            DirectoryError::Foreign { path: layout.path().to_owned(), found: IDENTITY.into() }
        }
        IdentityProblem::Newer(found) => {
            DirectoryError::Newer { path: layout.path().to_owned(), found, known: FORMAT }
        }
        IdentityProblem::Empty => layout.corrupt("its identity is empty"),
        IdentityProblem::Corrupt => layout.corrupt("its identity does not match its checksum"),
        IdentityProblem::Segments(found) => {
            layout.corrupt(format!("it has segments of {found} bytes, this build writes {SEGMENT_BYTES}"))
        }
    })
}

/// Why some bytes are no identity that this build can use.
#[derive(Debug, PartialEq, Eq)]
enum IdentityProblem {
    Foreign,
    Newer(u32),
    Empty,
    Corrupt,
    Segments(u32),
}

pub(super) fn encode(identity: &Identity) -> Vec<u8> {
    let mut out = Vec::with_capacity(IDENTITY_BYTES);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&FORMAT.to_le_bytes());
    out.extend_from_slice(&identity.segment_bytes.to_le_bytes());
    out.extend_from_slice(&identity.id);
    out.extend_from_slice(&identity.secret);
    out.extend_from_slice(&crc32fast::hash(&out).to_le_bytes());
    out
}

fn decode(bytes: &[u8]) -> Result<Identity, IdentityProblem> {
    if bytes.iter().all(|byte| *byte == 0) {
        return Err(IdentityProblem::Empty); // a crash leaves such a file if its bytes were not on the disk
    }
    let rest = bytes.strip_prefix(MAGIC.as_slice()).ok_or(IdentityProblem::Foreign)?;
    let (format, rest) = rest.split_first_chunk::<4>().ok_or(IdentityProblem::Corrupt)?;
    let format = u32::from_le_bytes(*format);
    // A newer format may be longer, and have its checksum elsewhere.
    if format > FORMAT {
        return Err(IdentityProblem::Newer(format));
    }
    if bytes.len() != IDENTITY_BYTES || format == 0 {
        return Err(IdentityProblem::Corrupt);
    }
    let (body, crc) = bytes.split_at(IDENTITY_BYTES - 4);
    if crc != crc32fast::hash(body).to_le_bytes() {
        return Err(IdentityProblem::Corrupt);
    }
    let (segment_bytes, rest) = rest.split_first_chunk::<4>().ok_or(IdentityProblem::Corrupt)?;
    let (id, rest) = rest.split_first_chunk::<16>().ok_or(IdentityProblem::Corrupt)?;
    let (secret, _) = rest.split_first_chunk::<16>().ok_or(IdentityProblem::Corrupt)?;
    let segment_bytes = u32::from_le_bytes(*segment_bytes);
    if segment_bytes as usize != SEGMENT_BYTES {
        return Err(IdentityProblem::Segments(segment_bytes));
    }
    Ok(Identity { id: *id, secret: *secret, segment_bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_of_the_identity_is_seen() {
        let identity = Identity { id: [1; 16], secret: [2; 16], segment_bytes: SEGMENT_BYTES as u32 };
        let bytes = encode(&identity);
        assert_eq!(decode(&bytes), Ok(identity));
        assert_eq!(bytes.len(), IDENTITY_BYTES);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&flipped).is_err(), "bit {bit}");
        }
        let mut newer = bytes.clone();
        newer[20] = 9;
        assert_eq!(decode(&newer), Err(IdentityProblem::Newer(9)));
        assert_eq!(decode(&bytes[..40]), Err(IdentityProblem::Corrupt));
    }
}
