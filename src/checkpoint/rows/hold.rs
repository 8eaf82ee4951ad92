//! The effect of a stretch of the log on a slot of the table of holds.

use serde::{Deserialize, Serialize};

use crate::checkpoint::entry::{RunEntry, get, put};
use crate::checkpoint::run_ref::RunKind;
use crate::clock::Timestamp;
use crate::fold::hold::{self, FoldedHold, Wrong};
use crate::hold::lines::Lines;
use crate::hold::state::Word;
use crate::index::{Generation, SlotIndex};
use crate::log::lines;
use crate::log::record::{Fact, HoldPlace};
use crate::types::Reference;
use crate::varint::{VarintReader, VarintWriter};

/// The change of one slot of the table of holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct HoldRow {
    pub slot: SlotIndex,
    pub what: HoldDelta,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum HoldDelta {
    /// The last hold that was made in the slot, with its later records applied.
    Made(FoldedHold),
    /// Records of a hold that was made in an earlier stretch; see [`push_step`].
    Steps(Vec<u8>),
}

/// Appends a record, decided at `at`, to the bytes of a [`HoldDelta::Steps`].
pub(crate) fn push_step(steps: &mut Vec<u8>, record: &[u8], at: Option<Timestamp>) {
    put(&at.map(|at| at.0), steps);
    steps.extend_from_slice(record);
}

/// The first of the records and its time, and the bytes of the rest.
fn pull_step(steps: &[u8]) -> Option<(Fact<'_>, Option<Timestamp>, &[u8])> {
    let (at, bytes) = get::<Option<u64>>(steps)?;
    let steps = steps.get(bytes..)?;
    let (fact, bytes) = Fact::decode(steps).ok()?;
    Some((fact, at.map(Timestamp), steps.get(bytes..)?))
}

/// Applies consecutive records to a hold.
fn apply_steps(hold: &mut FoldedHold, mut steps: &[u8]) -> Result<(), Wrong> {
    while !steps.is_empty() {
        let (fact, at, rest) = pull_step(steps).ok_or("bytes that are not a record")?;
        hold.apply(&fact, at)?;
        steps = rest;
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
enum HoldWire<'a> {
    Made {
        slot: SlotIndex,
        generation: Generation,
        epoch: u32,
        word: u64,
        born: u64,
        reference: &'a [u8],
        lines: &'a [u8],
    },
    Steps {
        slot: SlotIndex,
        steps: &'a [u8],
    },
}

/// The longest [`HoldWire::Made`] that is written without the codec.
const MADE_BYTES_MAX: usize = 128;

impl<'a> HoldWire<'a> {
    /// Writes a [`HoldWire::Made`] without the codec, because most entries are such. `None`: use the codec.
    fn write(&self, buffer: &mut [u8; MADE_BYTES_MAX]) -> Option<usize> {
        let HoldWire::Made { slot, generation, epoch, word, born, reference, lines } = *self else {
            return None;
        };
        let mut out = VarintWriter::new(buffer);
        out.byte(0)?;
        [slot.0, generation.0, epoch].into_iter().try_for_each(|number| out.short(number))?;
        out.long(word)?;
        out.long(born)?;
        out.slice(reference)?;
        out.slice(lines)?;
        Some(out.length())
    }

    /// Reads what [`write`](Self::write) wrote, and returns its length. `None`: use the codec.
    fn read(bytes: &'a [u8]) -> Option<(Self, usize)> {
        let mut rest = VarintReader(bytes);
        let [0] = rest.array()? else { return None };
        let made = HoldWire::Made {
            slot: SlotIndex(rest.short()?),
            generation: Generation(rest.short()?),
            epoch: rest.short()?,
            word: rest.long()?,
            born: rest.long()?,
            reference: rest.slice()?,
            lines: rest.slice()?,
        };
        Some((made, bytes.len() - rest.0.len()))
    }
}

impl RunEntry for HoldRow {
    const KIND: RunKind = RunKind::Holds;

    fn sort_key(&self) -> u64 {
        self.slot.0.into()
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let slot = self.slot;
        match &self.what {
            HoldDelta::Made(FoldedHold { generation, epoch, lines, born, reference, word }) => {
                let (lines, reference) = (&lines::pack(lines)[..], reference.as_bytes());
                let (generation, epoch, word, born) = (*generation, *epoch, word.0, born.0);
                let wire = HoldWire::Made { slot, generation, epoch, word, born, reference, lines };
                let mut buffer = [0; MADE_BYTES_MAX];
                match wire.write(&mut buffer) {
                    Some(length) => out.extend_from_slice(&buffer[..length]),
                    None => put(&wire, out),
                }
            }
            HoldDelta::Steps(steps) => put(&HoldWire::Steps { slot, steps }, out),
        }
    }

    fn decode(bytes: &[u8]) -> Option<(Self, usize)> {
        let (wire, bytes) = HoldWire::read(bytes).or_else(|| get(bytes))?;
        let (slot, what) = match wire {
            HoldWire::Made { slot, generation, epoch, word, born, reference, lines } => {
                let (word, born) = (Word(word), Timestamp(born));
                hold::check(HoldPlace { slot, generation }).and(hold::check_time(born)).ok()?;
                let checked = lines::check(lines)?;
                if !word.can_be_folded(generation) || checked.count == 0 {
                    return None;
                }
                let lines: Lines = lines::iter(lines).collect();
                let reference = Reference::new(reference)?;
                (slot, HoldDelta::Made(FoldedHold { generation, epoch, lines, born, reference, word }))
            }
            HoldWire::Steps { slot, steps } => (slot, HoldDelta::Steps(steps.to_vec())),
        };
        Some((HoldRow { slot, what }, bytes))
    }

    fn merge_onto(self, older: Self) -> Result<Self, Wrong> {
        let what = match (older.what, self.what) {
            (HoldDelta::Made(before), HoldDelta::Made(hold)) => {
                // The records that ended the older hold are left out of an entry with a newer hold.
                if before.generation >= hold.generation {
                    return Err("a slot is used again before its hold has ended");
                }
                HoldDelta::Made(hold)
            }
            (HoldDelta::Steps(_), made @ HoldDelta::Made(_)) => made,
            (HoldDelta::Made(mut hold), HoldDelta::Steps(steps)) => {
                apply_steps(&mut hold, &steps)?;
                HoldDelta::Made(hold)
            }
            (HoldDelta::Steps(mut first), HoldDelta::Steps(second)) => {
                first.extend(second);
                HoldDelta::Steps(first)
            }
        };
        Ok(HoldRow { slot: self.slot, what })
    }
}

#[cfg(all(test, not(stockhold_loom)))]
mod tests {
    use super::*;
    use stockhold_seeded::{Rng, seed};

    #[test]
    fn a_hold_is_written_and_read_alike_with_and_without_the_codec() {
        let mut rng = Rng::new(seed());
        let some = [7_u8; 200];
        for _ in 0..20_000 {
            let mut number =
                || [0, 250, 251, 0xffff, 0x1_0000, 0xffff_ffff, 0x1_0000_0000, u64::MAX][rng.index(8)];
            let (slot, generation, epoch) = (number() as u32, number() as u32, number() as u32);
            let (word, born) = (number(), number());
            let (reference, lines) = (&some[..rng.index(41)], &some[..rng.index(200)]);
            let wire = HoldWire::Made {
                slot: SlotIndex(slot),
                generation: Generation(generation),
                epoch,
                word,
                born,
                reference,
                lines,
            };
            let (mut by_codec, mut varint) = (Vec::new(), [0; MADE_BYTES_MAX]);
            put(&wire, &mut by_codec);
            if let Some(length) = wire.write(&mut varint) {
                assert_eq!(varint[..length], by_codec[..]);
            }
            assert_eq!(HoldWire::read(&by_codec), Some((wire, by_codec.len())));
            // If the changed bytes can be read without the codec, then the codec reads the same.
            let at = rng.index(by_codec.len());
            by_codec[at] = rng.next() as u8;
            if let Some(read) = HoldWire::read(&by_codec) {
                assert_eq!(get::<HoldWire<'_>>(&by_codec), Some(read));
            }
        }
    }
}
