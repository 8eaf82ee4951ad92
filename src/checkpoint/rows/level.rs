//! The effect of a stretch of the log on the level of a stock key.

use serde::{Deserialize, Serialize};

use crate::checkpoint::entry::{RunEntry, get, put};
use crate::checkpoint::run_ref::RunKind;
use crate::clock::Timestamp;
use crate::fold::hold::{self, Wrong};
use crate::fold::level::KeyLevel;
use crate::index::KeyIndex;
use crate::log::record::{Detail, Fact};

/// The change of a stock key's level: quantities to add, and the gate of its sale if that was set.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct LevelRow {
    pub key: KeyIndex,
    /// The change, as the level of a key that was empty before.
    pub level: KeyLevel,
    /// Whether the gate (stopped, or the opening time of the sale) was set.
    pub gated: bool,
}

impl LevelRow {
    pub(crate) fn apply(&mut self, fact: &Fact<'_>, first: u32, second: u32) {
        self.level.apply(fact, first, second);
        self.gated |= matches!(fact.detail, Detail::Gate { .. });
    }
}

#[derive(Serialize, Deserialize)]
struct LevelWire {
    key: KeyIndex,
    on_hand: i64,
    held: i64,
    committed: i64,
    corrected_down: i64,
    gate: Option<(bool, u64)>,
}

impl RunEntry for LevelRow {
    const KIND: RunKind = RunKind::Levels;

    fn sort_key(&self) -> u64 {
        self.key.0.into()
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

    fn merge_onto(self, older: Self) -> Result<Self, Wrong> {
        let add = |old: i64, new: i64| old.checked_add(new).ok_or("the sum of a level's changes overflows");
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
