//! Doors for the fuzz targets, built only by them (`--cfg fuzzing`).

use crate::fold::state::Fold;
use crate::log::lines::{pack, unpack};
use crate::log::record::{Encoded, Record, Records};

/// Decodes a payload of hostile bytes: no panic, no unbounded memory, and what decodes encodes to what decodes alike;
/// lines that are well packed are packed so again.
/// Then folds it: a contradiction is an error, not a crash.
pub fn records(payload: &[u8]) {
    for record in Records::new(payload, 0) {
        let Ok((_, record)) = record else { break };
        if let Some(encoded) = Encoded::new(&record) {
            let again = Record::decode(encoded.as_bytes()).map(|(record, _)| record);
            assert_eq!(again, Ok(record));
        }
        let (first, second) = record.packed().unwrap_or_default();
        for packed in [first, second] {
            if let Some(lines) = unpack(packed) {
                assert_eq!(pack(&lines), packed);
            }
        }
    }
    let _ = Fold::default().payload(0, payload, &mut |_| {});
}
