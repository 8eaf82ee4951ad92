//! The ring: two writers, one reader, and a lap.

use std::sync::Arc;

use super::{drain, explore};
use crate::log::ring::{NoClaim, Reader, Ring, Share};
use crate::log::words::Words;
use crate::sync::{thread, yield_now};

/// The size of the ring, and the first position: records lie across its end.
const WORDS: usize = 4;
const START: u64 = 3;

/// Writes a record of two words whose bytes are all `mark`; returns its end, or `None` if the ring stayed
/// full or was closed.
fn write(ring: &Ring, mark: u8) -> Option<u64> {
    for _ in 0..3 {
        match ring.claim(Words(2), Share::Keep) {
            Ok(claim) => {
                let drawn = claim.draw(Words(2));
                let end = drawn.end();
                drawn.fill(&[mark; 14]);
                return Some(end);
            }
            Err(NoClaim::Full) => yield_now(),
            Err(NoClaim::Closed) => return None,
        }
    }
    None
}

/// Two writers fill a full ring while it is read, over more than a lap: every record that was written comes
/// out once, whole, and in the order of positions.
pub(super) fn over_a_lap() {
    let ring = Arc::new(Ring::new(WORDS, START));
    let mut written = vec![(write(&ring, 0xa1).unwrap(), 0xa1), (write(&ring, 0xa2).unwrap(), 0xa2)];
    assert_eq!(ring.claim(Words(1), Share::Keep).unwrap_err(), NoClaim::Full);
    let writers = [0xff, 0xb2].map(|mark| {
        let ring = Arc::clone(&ring);
        thread::spawn(move || (write(&ring, mark), mark))
    });
    let mut reader = Reader::new(START);
    let mut entries = Vec::new();
    for _ in 0..3 {
        entries.extend(drain(&ring, &mut reader));
        yield_now();
    }
    for writer in writers {
        let (end, mark) = writer.join().unwrap();
        written.extend(end.map(|end| (end, mark)));
    }
    entries.extend(drain(&ring, &mut reader));

    written.sort();
    let expected: Vec<_> = written.iter().map(|&(_, mark)| Some(vec![mark; 14])).collect();
    assert_eq!(entries, expected);
    assert_eq!((reader.position(), ring.used_words()), (ring.drawn(), 0));
}

/// A writer that has drawn and not yet filled holds back the records behind it, and none overtakes it.
fn a_hole() {
    let ring = Arc::new(Ring::new(8, START));
    let other = Arc::clone(&ring);
    let voider = thread::spawn(move || {
        let drawn = other.claim(Words(2), Share::Keep).unwrap().draw(Words(2));
        let end = drawn.end();
        drawn.void();
        end
    });
    let other = Arc::clone(&ring);
    let writer = thread::spawn(move || write(&other, 0xff).unwrap());
    let mut reader = Reader::new(START);
    let mut entries = drain(&ring, &mut reader);
    let (void, record) = (voider.join().unwrap(), writer.join().unwrap());
    entries.extend(drain(&ring, &mut reader));
    let record_entry = Some(vec![0xff; 14]);
    let expected = if void < record { [None, record_entry] } else { [record_entry, None] };
    assert_eq!(entries, expected);
    assert_eq!(ring.used_words(), 0);
}

/// A reader that has closed the ring, finds nothing more in it and then sees it unused has read all that was
/// ever claimed.
fn close_against_claims() {
    let ring = Arc::new(Ring::new(8, START));
    let writers = [0xff, 0xb2].map(|mark| {
        let ring = Arc::clone(&ring);
        thread::spawn(move || write(&ring, mark).is_some())
    });
    let mut reader = Reader::new(START);
    let mut read = drain(&ring, &mut reader).len();
    ring.close();
    assert_eq!(ring.claim(Words(1), Share::Keep).unwrap_err(), NoClaim::Closed);
    loop {
        let entries = drain(&ring, &mut reader).len();
        read += entries;
        if entries == 0 && ring.is_closed() && ring.used_words() == 0 {
            break;
        }
        yield_now();
    }
    let end = ring.drawn();
    let written = writers.map(|writer| writer.join().unwrap()).into_iter().filter(|wrote| *wrote).count();
    assert_eq!(read, written, "a record came after the end");
    assert_eq!((reader.position(), ring.drawn()), (end, end));
}

#[test]
fn two_writers_and_the_reader_over_a_lap() {
    explore(over_a_lap);
}

#[test]
fn a_void_beside_a_record() {
    explore(a_hole);
}

#[test]
fn closing_against_two_writers() {
    explore(close_against_claims);
}
