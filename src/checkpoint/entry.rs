//! Entries: what the runs of a checkpoint are made of, and what a later one means over an earlier one.
//!
//! An entry says what a stretch of the log did to one thing: to a key's book, to a slot of the table of holds. Of two
//! stretches, one right behind the other, the two entries of a thing make one, whatever came before them. So a stretch can
//! be written without a look at what it changes.
//!
//! Must survive: any bytes whose checksum holds.

use serde::{Deserialize, Serialize};

use super::run::Kind;
use crate::clock::Timestamp;
use crate::fold::hold::{self, FoldedHold, Wrong};
use crate::fold::levels::KeyLevel;
use crate::fold::state::FoldedOp;
use crate::hold::lines::Lines;
use crate::hold::op_keys;
use crate::hold::state::Word;
use crate::log::lines;
use crate::log::record::{Encoded, HoldPlace, Record};
use crate::types::{OpKey, Reference};
use crate::varint::{VarintReader, VarintWriter};

/// Integers take the bytes they need. No limit: whatever an entry's bytes say, decoding borrows from them alone.
const CODEC: bincode::config::Configuration = bincode::config::standard();

/// One entry of a run.
pub(crate) trait RunEntry: Sized {
    const KIND: Kind;

    /// Entries of a run ascend by it.
    fn place(&self) -> u64;

    fn encode(&self, out: &mut Vec<u8>);

    /// The entry at the start of `bytes`, and how many it took.
    fn decode(bytes: &[u8]) -> Option<(Self, usize)>;

    /// What happened according to `older`, and then according to this one.
    fn over(self, older: Self) -> Result<Self, Wrong>;

    /// When it was decided, if it is to be forgotten after a time.
    fn at(&self) -> Timestamp {
        Timestamp(0)
    }

    /// Whether anybody may ask for it still.
    fn is_kept(&self, _keep: &KeepUntil) -> bool {
        true
    }
}

/// What need not be kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeepUntil {
    pub now: Timestamp,
    pub op_keys: Option<std::time::Duration>,
}

pub(super) fn put<T: Serialize>(wire: &T, out: &mut Vec<u8>) {
    let encoded = bincode::serde::encode_into_std_write(wire, out, CODEC);
    debug_assert!(encoded.is_ok(), "a vector takes everything");
}

pub(super) fn get<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Option<(T, usize)> {
    bincode::serde::borrow_decode_from_slice(bytes, CODEC).ok()
}

/// What happened to a key's book: numbers to be added, and the switch of its sale if that was set.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct LevelRow {
    pub key: u32,
    /// As if the book had been empty before.
    pub level: KeyLevel,
    /// The switch, or the time of opening, was set.
    pub gated: bool,
}

impl LevelRow {
    pub(crate) fn apply(&mut self, record: &Record<'_>, first: u32, second: u32) {
        self.level.apply(record, first, second);
        self.gated |= matches!(record, Record::Sale { .. } | Record::Opens { .. });
    }
}

#[derive(Serialize, Deserialize)]
struct LevelWire {
    key: u32,
    on_hand: i64,
    held: i64,
    committed: i64,
    corrected_down: i64,
    gate: Option<(bool, u64)>,
}

impl RunEntry for LevelRow {
    const KIND: Kind = Kind::Levels;

    fn place(&self) -> u64 {
        self.key.into()
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let KeyLevel { on_hand, held, committed, corrected_down, stopped, opens_at_ms } = self.level;
        let gate = self.gated.then_some((stopped, opens_at_ms));
        put(&LevelWire { key: self.key, on_hand, held, committed, corrected_down, gate }, out);
    }

    fn decode(bytes: &[u8]) -> Option<(Self, usize)> {
        let (wire, bytes) = get::<LevelWire>(bytes)?;
        let (stopped, opens_at_ms) = wire.gate.unwrap_or_default();
        let LevelWire { key, on_hand, held, committed, corrected_down, gate } = wire;
        hold::check_time(Timestamp(opens_at_ms)).ok()?;
        let level = KeyLevel { on_hand, held, committed, corrected_down, stopped, opens_at_ms };
        Some((LevelRow { key, level, gated: gate.is_some() }, bytes))
    }

    fn over(self, older: Self) -> Result<Self, Wrong> {
        let add = |old: i64, new: i64| old.checked_add(new).ok_or("a book beyond what can be counted");
        let (old, new) = (older.level, self.level);
        let gate = if self.gated { new } else { old };
        Ok(LevelRow {
            key: self.key,
            level: KeyLevel {
                on_hand: add(old.on_hand, new.on_hand)?,
                held: add(old.held, new.held)?,
                committed: add(old.committed, new.committed)?,
                corrected_down: add(old.corrected_down, new.corrected_down)?,
                stopped: gate.stopped,
                opens_at_ms: gate.opens_at_ms,
            },
            gated: self.gated || older.gated,
        })
    }
}

/// A stock key's names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct NameRow {
    pub key: u32,
    /// The SKU, and behind it the location.
    text: Box<str>,
    sku_bytes: usize,
}

impl NameRow {
    pub(crate) fn new(key: u32, sku: &str, location: &str) -> Self {
        NameRow { key, text: [sku, location].concat().into(), sku_bytes: sku.len() }
    }

    pub(crate) fn sku(&self) -> &str {
        self.text.split_at(self.sku_bytes).0
    }

    pub(crate) fn location(&self) -> &str {
        self.text.split_at(self.sku_bytes).1
    }
}

impl RunEntry for NameRow {
    const KIND: Kind = Kind::Names;

    fn place(&self) -> u64 {
        self.key.into()
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put(&(self.key, self.sku(), self.location()), out);
    }

    fn decode(bytes: &[u8]) -> Option<(Self, usize)> {
        let ((key, sku, location), bytes) = get::<(u32, &str, &str)>(bytes)?;
        Some((NameRow::new(key, sku, location), bytes))
    }

    fn over(self, _older: Self) -> Result<Self, Wrong> {
        Err("a stock key is declared twice")
    }
}

/// What happened in a slot of the table of holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct HoldRow {
    pub slot: u32,
    pub what: HoldDelta,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum HoldDelta {
    /// The last hold that was made there, as it became.
    Made(FoldedHold),
    /// Records, of a hold that was made before them; see [`push_step`].
    Steps(Vec<u8>),
}

/// Appends a record, decided at `at`, to those of a [`HoldDelta::Steps`].
pub(crate) fn push_step(steps: &mut Vec<u8>, record: &Record<'_>, at: Option<Timestamp>) {
    put(&at.map(|at| at.0), steps);
    match Encoded::new(record) {
        Some(encoded) => steps.extend_from_slice(encoded.as_bytes()),
        None => put(record, steps), // longer than any that was read
    }
}

/// The first of the records, and what is left of them.
fn pull_step(steps: &[u8]) -> Option<(Record<'_>, Option<Timestamp>, &[u8])> {
    let (at, bytes) = get::<Option<u64>>(steps)?;
    let steps = steps.get(bytes..)?;
    let (record, bytes) = Record::decode(steps).ok()?;
    Some((record, at.map(Timestamp), steps.get(bytes..)?))
}

/// What records in a row do to a hold.
fn apply_steps(hold: &mut FoldedHold, mut steps: &[u8]) -> Result<(), Wrong> {
    while !steps.is_empty() {
        let (record, at, rest) = pull_step(steps).ok_or("bytes that are not a record")?;
        hold.apply(&record, at)?;
        steps = rest;
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
enum HoldWire<'a> {
    Made {
        slot: u32,
        generation: u32,
        epoch: u32,
        word: u64,
        born: u64,
        reference: &'a [u8],
        lines: &'a [u8],
    },
    Steps {
        slot: u32,
        steps: &'a [u8],
    },
}

/// The longest [`HoldWire::Made`] that is written by hand.
const MADE_BYTES_MAX: usize = 128;

impl<'a> HoldWire<'a> {
    /// Writes a hold that was made by hand: they are most of what a checkpoint is full of. `None` says nothing about it.
    fn write(&self, buffer: &mut [u8; MADE_BYTES_MAX]) -> Option<usize> {
        let HoldWire::Made { slot, generation, epoch, word, born, reference, lines } = *self else {
            return None;
        };
        let mut out = VarintWriter::new(buffer);
        out.byte(0)?;
        [slot, generation, epoch].into_iter().try_for_each(|number| out.short(number))?;
        out.long(word)?;
        out.long(born)?;
        out.slice(reference)?;
        out.slice(lines)?;
        Some(out.length())
    }

    /// The same for reading; how many bytes it took.
    fn read(bytes: &'a [u8]) -> Option<(Self, usize)> {
        let mut rest = VarintReader(bytes);
        let [0] = rest.array()? else { return None };
        let made = HoldWire::Made {
            slot: rest.short()?,
            generation: rest.short()?,
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
    const KIND: Kind = Kind::Holds;

    fn place(&self) -> u64 {
        self.slot.into()
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

    fn over(self, older: Self) -> Result<Self, Wrong> {
        let what = match (older.what, self.what) {
            (HoldDelta::Made(before), HoldDelta::Made(hold)) => {
                // How the one before ended is left out of a stretch that has both.
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

/// An operation with an op key: its record, from which it is answered again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct OpRow {
    pub position: u64,
    pub at: Timestamp,
    /// The opening that made the record's hold, or that wrote the record; its low bits.
    pub epoch: u32,
    pub record: Box<[u8]>,
}

impl OpRow {
    /// What the fold has come upon.
    pub(crate) fn of(op: &FoldedOp<'_>) -> OpRow {
        let record = Encoded::new(op.record).map(|record| record.as_bytes().into()).unwrap_or_default();
        OpRow { position: op.position, at: op.at, epoch: op.epoch, record }
    }

    fn key(&self) -> Option<OpKey> {
        let (record, _) = Record::decode(&self.record).ok()?;
        Some(OpKey(u128::from_le_bytes(record.op()?.key)))
    }
}

impl RunEntry for OpRow {
    const KIND: Kind = Kind::Ops;

    fn place(&self) -> u64 {
        self.position
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put(&(self.position, self.at.0, self.epoch, &*self.record), out);
    }

    fn decode(bytes: &[u8]) -> Option<(Self, usize)> {
        let ((position, at, epoch, record), bytes) = get::<(u64, u64, u32, &[u8])>(bytes)?;
        let entry = OpRow { position, at: Timestamp(at), epoch, record: record.into() };
        hold::check_time(entry.at).ok()?;
        Some((entry, bytes))
    }

    fn over(self, _older: Self) -> Result<Self, Wrong> {
        Err("two operations end at one position")
    }

    fn at(&self) -> Timestamp {
        self.at
    }

    fn is_kept(&self, keep: &KeepUntil) -> bool {
        let Some((retention, key)) = keep.op_keys.zip(self.key()) else { return true };
        op_keys::is_remembered(key, self.at, keep.now, retention)
    }
}

#[cfg(all(test, not(stockhold_loom)))]
mod tests {
    use super::*;
    use stockhold_seeded::{Rng, seed};

    #[test]
    fn a_hold_is_written_and_read_alike_by_hand_and_by_the_codec() {
        let mut rng = Rng::new(seed());
        let some = [7_u8; 200];
        for _ in 0..20_000 {
            let mut number =
                || [0, 250, 251, 0xffff, 0x1_0000, 0xffff_ffff, 0x1_0000_0000, u64::MAX][rng.index(8)];
            let (slot, generation, epoch) = (number() as u32, number() as u32, number() as u32);
            let (word, born) = (number(), number());
            let (reference, lines) = (&some[..rng.index(41)], &some[..rng.index(200)]);
            let wire = HoldWire::Made { slot, generation, epoch, word, born, reference, lines };
            let (mut by_codec, mut varint) = (Vec::new(), [0; MADE_BYTES_MAX]);
            put(&wire, &mut by_codec);
            if let Some(length) = wire.write(&mut varint) {
                assert_eq!(varint[..length], by_codec[..]);
            }
            assert_eq!(HoldWire::read(&by_codec), Some((wire, by_codec.len())));
            // Whatever becomes of the bytes, the codec says the same if it is read at all.
            let at = rng.index(by_codec.len());
            by_codec[at] = rng.next() as u8;
            if let Some(read) = HoldWire::read(&by_codec) {
                assert_eq!(get::<HoldWire<'_>>(&by_codec), Some(read));
            }
        }
    }
}
