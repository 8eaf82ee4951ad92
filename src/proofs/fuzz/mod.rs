//! Doors for the fuzz targets, built only by them (`--cfg fuzzing`): each takes any bytes, and panics where a
//! promise is broken. Checksums are made to hold, so that what lies behind them is reached.

mod checkpoint;
mod chunks;
mod input;

pub use self::checkpoint::{checkpoint, entries};
pub use self::chunks::{chunks, payloads};
use self::input::{Bytes, Input};
use crate::fold::state::Fold;
use crate::fold::verify::Verifier;
use crate::log::lines::{pack, unpack};
use crate::log::record::{Encoded, Fact, Logged, Record, Records, Subject};
use crate::log::sidecar::{self, RECORD_BYTES, SLOT_BYTES};

/// A payload: the fast codec and the general one read it alike, a decoded record encodes to bytes that decode
/// alike, and well packed lines are packed so again. Then it is folded: a contradiction is an error, not a
/// crash, a checkpoint of it says the same, and an engine can go on from it.
pub fn records(payload: &[u8]) {
    for at in 0..payload.len().min(64) {
        let by_codec = Record::decode(&payload[at..]).map(|(record, taken)| (record.fact(), taken));
        assert_eq!(Fact::decode(&payload[at..]), by_codec);
    }
    for record in Records::new(payload, 0) {
        let Ok(Logged { fact, bytes, .. }) = record else { break };
        let (record, _) = Record::decode(bytes).expect("what the fact was decoded from");
        if let Some(encoded) = Encoded::new(&record) {
            let again = Fact::decode(encoded.as_bytes()).map(|(fact, _)| fact);
            assert_eq!(again, Ok(fact));
        }
        let Subject::Cart { first, second } = fact.subject else { continue };
        for packed in [first, second] {
            if let Some(lines) = unpack(packed) {
                assert_eq!(pack(&lines), packed);
            }
        }
    }
    let mut fold = Fold::default();
    let folded = fold.payload(0, payload, &mut |_| {});
    let digested = checkpoint::digested(payload, fold.position);
    if folded.is_ok() {
        let digested = digested.expect("a checkpoint of what can be folded");
        if let Ok(verifier) = Verifier::from(fold.clone()) {
            verifier.same_as(&digested).expect("a checkpoint says what the log says");
        }
        restored(fold);
    }
}

/// Two slots of a sidecar: the newer of those that are whole is read.
pub fn sidecar(bytes: &[u8]) {
    let mut input = Input(bytes);
    let mut file = vec![0; 2 * SLOT_BYTES as usize];
    let mut whole = Vec::new();
    for slot in file.chunks_mut(SLOT_BYTES as usize) {
        let seal = input.byte() % 2 == 0;
        let mut record = [0; RECORD_BYTES];
        input.fill(&mut record);
        if seal {
            record[..6].copy_from_slice(&[0xD6, b'S', b'C', 0x9C, 1, 0]);
            let crc = crc32fast::hash(&record[..RECORD_BYTES - 4]);
            record[RECORD_BYTES - 4..].copy_from_slice(&crc.to_le_bytes());
        }
        slot[..RECORD_BYTES].copy_from_slice(&record);
        if let Ok((sequence, durable)) = sidecar::decode(&record) {
            assert_eq!(sidecar::decode(&sidecar::encode(sequence, &durable)), Ok((sequence, durable)));
            whole.push((sequence, durable));
        }
    }
    file.truncate(SLOT_BYTES as usize * 2 - input.number::<2>() as usize % (SLOT_BYTES as usize * 2));
    let is_cut = file.len() < SLOT_BYTES as usize + RECORD_BYTES;
    match sidecar::newest(&Bytes { before: 0, bytes: &file }) {
        Ok(read) if is_cut => assert!(whole.contains(&read)),
        Ok(read) => assert_eq!(Some(read.0), whole.iter().map(|(sequence, _)| *sequence).max()),
        Err(sidecar::SidecarError::Corrupt) => assert!(is_cut || whole.is_empty()),
        Err(sidecar::SidecarError::Newer { .. }) => {}
        Err(error) => panic!("{error}"),
    }
}

/// Any state that the fold takes is put back into an engine, or is told not to be one.
fn restored(fold: Fold) {
    match crate::engine::restore(fold) {
        Ok(()) | Err(crate::error::OpenError::Damaged { .. }) => {}
        Err(error) => panic!("{error}"),
    }
}
