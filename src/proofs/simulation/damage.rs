//! Damage to synced bytes: a bit is flipped, a write was lost, or a write went to another place.

use std::sync::Arc;

use super::disk::{Chunked, Disk};
use super::schedule::Damage;
use crate::checkpoint::manifest_set::ManifestSet;
use crate::log::chunk::{self, ChunkHeader};
use crate::log::sidecar::Sidecar;
use stockhold_seeded::Rng;

/// The damage that was done.
pub(super) struct Damaged {
    pub what: String,
    /// The position up to which the undamaged bytes prove that there was a log.
    pub provable: u64,
    /// Whether everything that was acknowledged can still be read, so that an opening must find it.
    pub harmless: bool,
}

/// Damages the disk, between two processes; `None` if there is nothing of that kind to damage.
pub(super) fn damage(disk: &Disk, what: Damage, seed: u64, directory: [u8; 16]) -> Option<Damaged> {
    let mut rng = Rng::new(seed ^ 0x00DA_11A6_E000);
    let (manifest_set, _) = ManifestSet::open(Arc::new(disk.clone()), directory).ok()?;
    let newest = manifest_set.newest().cloned();
    // If two checkpoints are intact, the younger one may be lost.
    let two = manifest_set.log_from() > 0;
    let older = manifest_set.before_newest().cloned();
    let checkpointed = newest.as_ref().map_or(0, |newest| newest.frontier.position);
    let mut harmless = false;
    let what = {
        let state = &mut *disk.state();
        // A name change that is not synced yet could bring back a lost file.
        state.folder.sync_names();
        let places = |(number, store): (&u32, &Chunked)| {
            store.seen.keys().map(|start| (*number, *start)).collect::<Vec<_>>()
        };
        let places: Vec<(u32, u64)> = state.stores.iter().flat_map(places).collect();
        let names: Vec<String> = state.folder.names().cloned().collect();
        let mut pick = |count: usize| (count > 0).then(|| rng.index(count));
        match what {
            Damage::FlipChunk | Damage::LoseChunk => {
                let (number, start) = places[pick(places.len())?];
                let store = state.stores.get_mut(&number)?;
                let chunk = store.seen.get(&start)?.clone();
                let header = chunk::decode(&chunk).ok().map(|(header, _, _)| header);
                harmless = header.is_some_and(|header: ChunkHeader| header.end() <= checkpointed);
                let bit = pick(chunk.len() * 8);
                for chunks in store.everywhere() {
                    match (what, bit) {
                        (Damage::FlipChunk, Some(bit)) => {
                            chunks
                                .get_mut(&start)
                                .into_iter()
                                .for_each(|chunk| chunk[bit / 8] ^= 1 << (bit % 8));
                        }
                        _ => drop(chunks.remove(&start)),
                    }
                }
                format!("the chunk at {start} in store {number}")
            }
            Damage::SwapChunks => {
                let (number, one) = places[pick(places.len())?];
                let store = state.stores.get_mut(&number)?;
                let starts: Vec<u64> = store.seen.keys().copied().collect();
                let other = starts[pick(starts.len())?];
                for chunks in store.everywhere() {
                    if let (Some(first), Some(second)) =
                        (chunks.get(&one).cloned(), chunks.get(&other).cloned())
                    {
                        chunks.insert(one, second);
                        chunks.insert(other, first);
                    }
                }
                format!("the chunks at {one} and {other}")
            }
            Damage::FlipFile => {
                let name = &names[pick(names.len())?];
                state.folder.flip(name, pick(1 << 20)?);
                name.clone()
            }
            Damage::LoseFile => {
                let name = &names[pick(names.len())?];
                state.folder.lose(name);
                name.clone()
            }
            Damage::FlipSlot => {
                let (slot, bit) = (pick(2)?, pick(44 * 8)?);
                for slots in [&mut state.slots.seen, &mut state.slots.kept] {
                    slots[slot][bit / 8] ^= 1 << (bit % 8);
                }
                format!("bit {bit} of slot {slot}")
            }
            Damage::FlipNewest | Damage::LoseNewest => {
                let (newest, older) = (newest?, older?);
                harmless = two;
                let mut of = vec![newest.name()];
                of.extend(newest.runs.iter().filter(|run| !older.runs.contains(run)).map(|run| run.name()));
                let name = of[pick(of.len())?].clone();
                match what {
                    Damage::FlipNewest => state.folder.flip(&name, pick(1 << 20)?),
                    _ => state.folder.lose(&name),
                }
                name
            }
        }
    };
    Some(Damaged { what, provable: provable(disk), harmless })
}

/// The position up to which the disk proves that there was a log.
fn provable(disk: &Disk) -> u64 {
    let sidecar = Sidecar::on(Box::new(disk.clone())).map_or(0, |(_, durable)| durable.end);
    let state = disk.state();
    let chunks = state.stores.values().flat_map(|store| store.all());
    let headers = chunks.filter_map(|chunk| Some(chunk::decode(chunk).ok()?.0.synced));
    headers.fold(sidecar, u64::max)
}
