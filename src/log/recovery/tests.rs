//! Directories in every state a crash, a disk or an operator can leave them in, and what opening them does.

use std::{collections::BTreeMap, fs::File, path::PathBuf};

use super::*;
use crate::log::chunk::ChunkHeader;
use crate::log::{at_rest::LogAtRest, scan};
use crate::proofs::faulty_store::{Fate, FaultyStoreDisk};
use stockhold_seeded::{Rng, seed};

/// Appends groups as the log's writer does, and remembers them.
struct Writer {
    log: OpenLog,
    synced: u64,
    /// Start and payload of every chunk of every whole group, since the log was created.
    written: Vec<(u64, Vec<u8>)>,
}

impl Writer {
    fn open(path: &Path) -> (Self, LogReport) {
        let (log, written, report) = open(path).unwrap();
        (Self { synced: log.tip.end, log, written }, report)
    }

    fn chunk(&mut self, payload_bytes: usize, commit: bool) {
        let tip = self.log.tip;
        let payload: Vec<u8> = (0..payload_bytes).map(|at| (tip.end as usize * 31 + at * at) as u8).collect();
        let header = ChunkHeader {
            epoch: self.log.epoch,
            start: tip.end,
            words: (payload_bytes / 8 + 1) as u32,
            commit,
            kinds: 0,
            previous: tip.hash,
            synced: self.synced,
        };
        let mut chunk = Vec::new();
        let hash = chunk::encode(&header, &payload, &mut chunk);
        self.log.store.append(tip.end, &chunk).unwrap();
        self.log.tip = Tip { end: header.end(), hash };
        self.written.push((tip.end, payload));
    }

    fn group(&mut self, payloads: &[usize]) {
        for (number, bytes) in payloads.iter().enumerate() {
            self.chunk(*bytes, number + 1 == payloads.len());
        }
        self.log.store.sync().unwrap();
        self.synced = self.log.tip.end;
    }

    fn acknowledge(&mut self) {
        let Tip { end, hash } = self.log.tip;
        self.log.sidecar.write(&Durable { epoch: self.log.epoch, end, hash, orderly: false }).unwrap();
    }

    fn close(self) -> Vec<(u64, Vec<u8>)> {
        let tip = self.log.tip;
        self.log.close(tip).unwrap();
        self.written
    }
}

type Opened = (OpenLog, Vec<(u64, Vec<u8>)>, LogReport);

fn open(path: &Path) -> Result<Opened, LogError> {
    let mut chunks = Vec::new();
    let (log, report) = OpenLog::open(
        path,
        &mut Beginning(|header: &ChunkHeader, payload: &[u8]| {
            chunks.push((header.start, payload.to_vec()));
            Ok(())
        }),
    )?;
    assert_eq!(report.end, log.tip.end);
    Ok((log, chunks, report))
}

fn refused(path: &Path) -> LogError {
    open(path).map(|(_, _, report)| report).unwrap_err()
}

/// Every file with its bytes, but the one that says which process holds the lock.
fn bytes_of(path: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    let mut directories = vec![path.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => directories.push(path),
                false if path.ends_with("lock") => {}
                false => drop(all.insert(path.clone(), fs::read(&path).unwrap())),
            }
        }
    }
    all
}

/// The directory as the death of the process would leave it.
fn killed(path: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for (file, bytes) in bytes_of(path) {
        let to = copy.path().join(file.strip_prefix(path).unwrap());
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::write(to, bytes).unwrap();
    }
    copy
}

/// The newest store's file.
fn data(path: &Path) -> PathBuf {
    let newest = *StoreFolder::at(path.join("log")).list().unwrap().last().unwrap();
    path.join(format!("log/{newest:08x}/db"))
}

/// Changes the newest store's file.
fn damage(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let data = data(path);
    let mut bytes = fs::read(&data).unwrap();
    change(&mut bytes);
    fs::write(&data, bytes).unwrap();
}

/// Where the copies of the chunk that starts at `start` lie.
fn copies(path: &Path, start: u64) -> Vec<u64> {
    let mut offsets = Vec::new();
    scan::scan(&File::open(data(path)).unwrap(), |seen| match seen {
        ScannedChunk::Chunk(found) if found.header.start == start => offsets.push(found.place.offset),
        _ => {}
    })
    .unwrap();
    assert!(!offsets.is_empty());
    offsets
}

/// Damages every copy of a chunk.
fn destroy(path: &Path, start: u64) {
    let offsets = copies(path, start);
    damage(path, |bytes| offsets.iter().for_each(|offset| bytes[*offset as usize + 50] ^= 4));
}

#[test]
fn reopening_returns_every_chunk_in_order() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path();
    let (mut writer, report) = Writer::open(path);
    assert!(report.created);
    for opening in 1..4 {
        assert_eq!(writer.log.epoch, opening);
        for group in 0..20 {
            writer.group(&[100, 20_000, group * 900]);
        }
        let written = writer.close();
        let report;
        (writer, report) = Writer::open(path);
        assert_eq!(writer.written, written);
        assert_eq!((report.chunks, report.bytes_rewritten, report.cut), (written.len() as u64, 0, None));
        assert_eq!(report.acknowledged, report.end);
    }
}

#[test]
fn the_death_of_the_process_loses_no_synced_group() {
    let scratch = tempfile::tempdir().unwrap();
    let (mut writer, _) = Writer::open(scratch.path());
    for group in 0..150 {
        writer.group(&[3000; 4][..group % 4 + 1]);
        if group == 60 {
            writer.acknowledge();
        }
    }
    let copy = killed(scratch.path());
    let (_, chunks, report) = open(copy.path()).unwrap();
    assert_eq!(chunks, writer.written);
    assert!(report.bytes_rewritten > 0 && report.acknowledged < report.end);
    assert_eq!(report.cut, None);
}

#[test]
fn a_group_without_its_last_chunk_is_cut_and_reported() {
    let scratch = tempfile::tempdir().unwrap();
    let (mut writer, _) = Writer::open(scratch.path());
    writer.group(&[500, 500]);
    let (whole, end) = (writer.written.clone(), writer.log.tip.end);
    writer.chunk(700, false);
    writer.chunk(800, false);
    let until = writer.log.tip.end;
    writer.log.store.sync().unwrap();
    let copy = killed(scratch.path());
    let (mut again, report) = Writer::open(copy.path());
    assert_eq!(again.written, whole);
    assert_eq!(report.cut, Some(Cut { from: end, until, chunks: 2, bytes: 700 + 800 + 2 * 48 }));
    again.group(&[900]);
    let written = again.close();
    let (_, chunks, report) = open(copy.path()).unwrap();
    assert_eq!((chunks, report.cut), (written, None));
}

#[test]
fn a_leftover_of_an_earlier_opening_is_not_taken_for_a_later_chunk() {
    let scratch = tempfile::tempdir().unwrap();
    let (mut writer, _) = Writer::open(scratch.path());
    writer.group(&[500]);
    writer.chunk(700, false);
    writer.chunk(800, true);
    writer.log.store.sync().unwrap();
    let last = writer.written.pop().unwrap().0;
    writer.written.pop();
    // The power took the last chunk, so its group is cut.
    let copy = killed(scratch.path());
    let lost = copies(copy.path(), last);
    let saved = fs::read(data(copy.path())).unwrap();
    destroy(copy.path(), last);
    let (log, chunks, report) = open(copy.path()).unwrap();
    assert_eq!((&chunks, report.cut.unwrap().chunks), (&writer.written, 1));
    drop(log);
    // And then it is there again, from a cache the first opening did not see.
    damage(copy.path(), |bytes| bytes.extend_from_slice(&saved[lost[0] as usize..][..800 + 48]));
    let (_, chunks, report) = open(copy.path()).unwrap();
    assert_eq!((chunks, report.cut), (writer.written, None));
}

#[test]
fn damage_in_the_middle_is_refused_with_its_position_and_nothing_is_changed() {
    let scratch = tempfile::tempdir().unwrap();
    let (mut writer, _) = Writer::open(scratch.path());
    for _ in 0..40 {
        writer.group(&[2000, 100]);
    }
    let at = writer.written[41].0;
    let next = writer.written[42].0;
    let group = writer.written[40].0;
    // Known to the sidecar, and known only to the groups behind it.
    for acknowledged in [true, false] {
        if acknowledged {
            writer.acknowledge();
        }
        let copy = killed(scratch.path());
        if !acknowledged {
            let mut sidecar = Sidecar::create(&copy.path().join("durable")).unwrap();
            sidecar.write(&Durable { epoch: 1, ..Durable::default() }).unwrap();
        }
        destroy(copy.path(), at);
        let before = bytes_of(copy.path());
        let error = refused(copy.path());
        let LogError::Refused(LogRefusal::Damaged { readable, resumes }) = error else { panic!("{error}") };
        assert!(readable == at || readable == group, "{readable} is not {at}");
        assert_eq!(resumes, next, "{error}");
        assert_eq!(bytes_of(copy.path()), before);
    }
}

#[test]
fn a_log_shorter_than_acknowledged_is_refused_before_the_store_sees_it() {
    let scratch = tempfile::tempdir().unwrap();
    let (mut writer, _) = Writer::open(scratch.path());
    for _ in 0..200 {
        writer.group(&[20_000]);
    }
    let acknowledged = writer.log.tip.end;
    writer.close();
    let whole = fs::read(data(scratch.path())).unwrap();
    for kept in [whole.len() / 2, 3 << 20, 1000, 0] {
        damage(scratch.path(), |bytes| *bytes = whole[..kept].to_vec());
        let before = bytes_of(scratch.path());
        let error = refused(scratch.path());
        let LogError::Refused(refusal) = &error else { panic!("{error}") };
        match *refusal {
            LogRefusal::Shorter { readable, acknowledged: said } => {
                assert!(readable < acknowledged && said == acknowledged);
            }
            // A copy of the end can survive in an earlier place.
            LogRefusal::Damaged { readable, .. } => assert!(readable < acknowledged),
            _ => panic!("{error}"),
        }
        assert_eq!(bytes_of(scratch.path()), before);
    }
}

#[test]
fn a_directory_that_lost_a_part_is_refused() {
    for part in ["log", "durable", "stockhold"] {
        let scratch = tempfile::tempdir().unwrap();
        let (mut writer, _) = Writer::open(scratch.path());
        writer.group(&[100]);
        writer.close();
        let lost = scratch.path().join(part);
        if lost.is_dir() {
            fs::remove_dir_all(&lost).unwrap()
        } else {
            fs::remove_file(&lost).unwrap()
        }
        let before = bytes_of(scratch.path());
        let error = refused(scratch.path());
        assert!(matches!(error, LogError::Directory(DirectoryError::Corrupt { .. })), "{part}: {error}");
        assert_eq!(bytes_of(scratch.path()), before);
    }
}

#[test]
fn an_interrupted_creation_is_completed() {
    let scratch = tempfile::tempdir().unwrap();
    fs::create_dir_all(scratch.path().join("log/00000001/blobs")).unwrap();
    fs::write(scratch.path().join("log/00000001/conf"), b"segment_size: 20").unwrap();
    fs::write(scratch.path().join("durable"), b"").unwrap();
    assert!(Writer::open(scratch.path()).1.created);
    assert!(!Writer::open(scratch.path()).1.created);
}

#[test]
fn a_second_opening_is_refused_and_the_first_goes_on() {
    let scratch = tempfile::tempdir().unwrap();
    let (mut writer, _) = Writer::open(scratch.path());
    assert!(matches!(refused(scratch.path()), LogError::Directory(DirectoryError::InUse { .. })));
    assert!(LogAtRest::open(scratch.path()).is_err());
    writer.group(&[100]);
}

#[test]
fn inspecting_changes_nothing() {
    let scratch = tempfile::tempdir().unwrap();
    let (mut writer, _) = Writer::open(scratch.path());
    writer.group(&[100, 200]);
    writer.chunk(300, false);
    writer.log.store.sync().unwrap();
    let copy = killed(scratch.path());
    let before = bytes_of(copy.path());
    let (log, _) = LogAtRest::open(copy.path()).unwrap();
    assert_eq!(bytes_of(copy.path()), before);
    assert!(!copy.path().join("lock").exists());
    assert_eq!(log.identity(), &writer.log.directory.identity);
    assert_eq!((log.proven.end, log.verdict.chain.len(), log.verdict.cut.unwrap().chunks), (0, 2, 1));
    for (found, (start, payload)) in log.verdict.chain.iter().zip(&writer.written) {
        assert_eq!((found.header.start, log.payload(found).unwrap()), (*start, payload.clone()));
    }
}

/// Breaks the header of the segment that vouches for the newest data: the store would open empty.
fn break_newest_segment(path: &Path) {
    damage(path, |bytes| {
        let lsn = |segment: &[u8]| {
            let lsn = segment[4..12].try_into().map(u64::from_le_bytes).unwrap() ^ (u64::MAX >> 1);
            if lsn > 1 << 40 { 0 } else { lsn }
        };
        let newest = (0..bytes.len()).step_by(2 << 20).max_by_key(|at| lsn(&bytes[*at..])).unwrap();
        bytes[newest + 1] ^= 1;
    });
}

#[test]
fn what_the_stores_own_opening_would_destroy_is_all_there() {
    let scratch = tempfile::tempdir().unwrap();
    let (mut writer, _) = Writer::open(scratch.path());
    for _ in 0..100 {
        writer.group(&[25_000]);
    }
    for acknowledged in [false, true] {
        if acknowledged {
            writer.acknowledge();
        }
        let copy = killed(scratch.path());
        break_newest_segment(copy.path());
        for _ in 0..3 {
            let (log, chunks, _) = open(copy.path()).unwrap();
            assert_eq!(chunks, writer.written);
            drop(log);
        }
    }
}

#[test]
fn a_crash_at_any_step_of_an_opening_loses_nothing() {
    let scratch = tempfile::tempdir().unwrap();
    let (mut writer, _) = Writer::open(scratch.path());
    for _ in 0..100 {
        writer.group(&[25_000]);
    }
    let copy = killed(scratch.path());
    let durable = fs::read(copy.path().join("durable")).unwrap();
    let error =
        OpenLog::open(copy.path(), &mut Beginning(|_: &ChunkHeader, _: &[u8]| Err("killed here".into())))
            .map(|_| ())
            .unwrap_err();
    assert!(matches!(error, LogError::Fold { position: 0, .. }), "{error}");
    // The fresh store is there, whole or not, and the sidecar has not moved on.
    for kept in [0, 1, 2] {
        let before = killed(copy.path());
        let (log, ..) = open(copy.path()).unwrap();
        let fresh = killed(copy.path());
        drop(log);
        for (file, mut bytes) in bytes_of(fresh.path()) {
            bytes.truncate(bytes.len() * kept / 2);
            let to = before.path().join(file.strip_prefix(fresh.path()).unwrap());
            if !to.exists() {
                fs::create_dir_all(to.parent().unwrap()).unwrap();
                fs::write(to, bytes).unwrap();
            }
        }
        fs::write(before.path().join("durable"), &durable).unwrap();
        assert_eq!(open(before.path()).unwrap().1, writer.written);
    }
}

#[test]
fn many_openings_leave_few_stores() {
    let scratch = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(scratch.path()).0;
    for _ in 0..20 {
        writer.group(&[900, 900]);
        let written = writer.close();
        writer = Writer::open(scratch.path()).0;
        assert_eq!(writer.written, written);
        assert_eq!(StoreFolder::at(scratch.path().join("log")).list().unwrap().len(), 1);
    }
    // A long one is not copied again and again.
    for _ in 0..500 {
        writer.group(&[25_000]);
    }
    for _ in 0..4 {
        let written = writer.close();
        writer = Writer::open(scratch.path()).0;
        assert_eq!(writer.written, written);
        writer.group(&[900, 900]);
    }
    assert_eq!(StoreFolder::at(scratch.path().join("log")).list().unwrap().len(), 2);
}

#[test]
fn chunks_are_found_however_the_store_moves_its_pages() {
    let mut rng = Rng::new(seed());
    let scratch = tempfile::tempdir().unwrap();
    let (mut writer, _) = Writer::open(scratch.path());
    for round in 0..12 {
        for _ in 0..rng.index(120) {
            let group: Vec<usize> = (0..1 + rng.index(6)).map(|_| rng.index(29_000)).collect();
            writer.group(&group);
        }
        writer.acknowledge();
        let (_, chunks, _) = open(killed(scratch.path()).path()).unwrap();
        assert_eq!(chunks, writer.written, "round {round}");
        if round % 3 == 2 {
            let written = writer.close();
            writer = Writer::open(scratch.path()).0;
            assert_eq!(writer.written, written);
        }
    }
}

#[test]
fn a_loss_of_power_in_the_middle_of_a_group_spares_every_group_before_it() {
    const BLOCK: usize = 4096;
    let seed = seed();
    let mut rng = Rng::new(seed);
    let scratch = tempfile::tempdir().unwrap();
    let (mut writer, _) = Writer::open(scratch.path());
    let (mut whole, mut cut) = (0, 0);
    for round in 0..8 {
        for _ in 0..rng.index(12) {
            writer.group(&vec![29_000; rng.index(12)]);
        }
        writer.acknowledge();
        let synced = fs::read(data(scratch.path())).unwrap();
        let before = writer.written.len();
        let chunks = 1 + rng.index(20);
        for number in 0..chunks {
            writer.chunk(29_000, number + 1 == chunks);
        }
        writer.log.store.flush().unwrap();
        let unsynced = fs::read(data(scratch.path())).unwrap();
        for image in 0..5 {
            // Of what was not synced, the disk may have taken any blocks, and the new length of the file or
            // not.
            let mut bytes = unsynced.clone();
            if rng.index(2) == 0 {
                bytes.truncate(synced.len());
            }
            let lost_of_8 = [1, 4, 8][rng.index(3)];
            for (at, block) in bytes.chunks_mut(BLOCK).enumerate() {
                let old = synced.get(at * BLOCK..).unwrap_or_default();
                if rng.index(8) < lost_of_8 {
                    let old_bytes = old.len().min(block.len());
                    block[..old_bytes].copy_from_slice(&old[..old_bytes]);
                    block[old_bytes..].fill(0);
                }
            }
            let copy = killed(scratch.path());
            fs::write(data(copy.path()), bytes).unwrap();
            let (_, found, report) =
                open(copy.path()).unwrap_or_else(|e| panic!("round {round}, image {image}: {e}"));
            assert!(
                found.len() == before || found.len() == writer.written.len(),
                "round {round}, image {image}"
            );
            assert_eq!(found, writer.written[..found.len()], "round {round}, image {image}");
            whole += u32::from(found.len() > before);
            cut += u32::from(report.cut.is_some());
        }
        writer.log.store.sync().unwrap();
        writer.synced = writer.log.tip.end;
    }
    println!("of {} images the last group was whole in {whole}, cut in {cut}", 8 * 5);
}

#[test]
fn damaged_files_are_refused_or_give_a_whole_prefix_not_below_the_sidecar() {
    let scratch = tempfile::tempdir().unwrap();
    let (mut writer, _) = Writer::open(scratch.path());
    for group in 0..40 {
        writer.group(&[300, 6000, 40]);
        if group == 30 {
            writer.acknowledge();
        }
    }
    let acknowledged = writer.written[3 * 31 - 1].0;
    let whole = killed(scratch.path());
    let seed = seed();
    let (mut opened, mut kept) = (0, 0);
    for round in 0..120_u64 {
        let mut rng = Rng::new(seed ^ round << 32);
        let copy = killed(whole.path());
        let data = data(copy.path());
        let others = ["durable", "stockhold"].map(|name| copy.path().join(name));
        let victim = [&data, &data, &data, &others[0], &others[1]][rng.index(5)];
        let mut bytes = fs::read(victim).unwrap();
        // Most of the file is what the store allocated ahead; damage what is written.
        let written = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
        match rng.index(4) {
            0 => bytes.truncate(rng.index(written)),
            1 => {
                let at = rng.index(written);
                let length = rng.index(5000).min(written - at);
                bytes[at..at + length].fill(0);
            }
            _ => {
                for _ in 0..1 + rng.index(3) {
                    let bit = rng.index(written * 8);
                    bytes[bit / 8] ^= 1 << (bit % 8);
                }
            }
        }
        fs::write(victim, bytes).unwrap();
        match open(copy.path()) {
            Ok((_, chunks, report)) => {
                opened += 1;
                kept += chunks.len();
                assert_eq!(chunks, writer.written[..chunks.len()], "round {round}");
                // The sidecar's own newest slot may be what was damaged: then the one before counts.
                assert!(chunks.last().is_some_and(|last| last.0 >= acknowledged) || report.acknowledged == 0);
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
    println!("{opened} of 120 opened, with {kept} chunks");
}

/// What of a log in memory can be recovered.
fn recovered(
    disk: &FaultyStoreDisk,
    proven: &Durable,
    into: impl FnMut(&ChunkHeader, &[u8]) -> Result<(), String>,
) -> Result<RecoveredLog, LogError> {
    let stores: Arc<dyn Stores> = Arc::new(disk.clone());
    Ok(recover(&stores, proven, &Start::default(), &mut Beginning(into))?.unwrap())
}

#[test]
fn a_fold_that_refuses_names_the_position() {
    let disk = FaultyStoreDisk::default();
    let mut store = disk.create(1).unwrap();
    let tips = append(&mut *store, Tip::ORIGIN, 1, &[true, true, true]);
    let refused = recovered(&disk, &Durable::default(), |header, _| {
        if header.start == tips[0].end { Err("no such SKU".into()) } else { Ok(()) }
    });
    let error = refused.map(|_| ()).unwrap_err();
    assert_eq!(error.to_string(), "the log cannot be replayed at position 3: no such SKU");
}

#[test]
fn a_chunk_of_a_later_build_is_never_cut() {
    type Newer = fn(&[u8]) -> Vec<u8>;
    let both: [(Newer, &str); 2] =
        [(chunk::of_newer_format, "format 3"), (chunk::of_newer_kind, "record kind 25")];
    for (newer, named) in both {
        a_chunk_is_refused_and_kept(newer, named);
    }
}

fn a_chunk_is_refused_and_kept(newer: fn(&[u8]) -> Vec<u8>, named: &str) {
    let disk = FaultyStoreDisk::default();
    let mut store = disk.create(1).unwrap();
    let tips = append(&mut *store, Tip::ORIGIN, 1, &[true, true]);
    store.sync().unwrap();
    disk.place(tips[0].end, newer(&disk.chunk(tips[0].end).unwrap()));
    let error = recovered(&disk, &Durable::default(), |_, _| Ok(())).map(|_| ()).unwrap_err();
    assert!(matches!(error, LogError::Newer { position: 3, .. }), "{error}");
    assert!(error.to_string().contains(named), "{error}");
    assert_eq!(disk.synced(), [0, 3]);
}

/// Appends chunks of three words; returns the tip behind each.
fn append(store: &mut dyn Store, mut tip: Tip, epoch: u32, commits: &[bool]) -> Vec<Tip> {
    let synced = tip.end;
    commits
        .iter()
        .map(|commit| {
            let header = ChunkHeader {
                epoch,
                start: tip.end,
                words: 3,
                commit: *commit,
                kinds: 0,
                previous: tip.hash,
                synced,
            };
            let mut chunk = Vec::new();
            let hash = chunk::encode(&header, &tip.end.to_le_bytes(), &mut chunk);
            store.append(tip.end, &chunk).unwrap();
            tip = Tip { end: header.end(), hash };
            tip
        })
        .collect()
}

#[test]
fn whatever_a_crash_leaves_of_the_last_window_every_synced_group_survives_and_no_half_one_does() {
    let seed = seed();
    for round in 0..400_u64 {
        let mut rng = Rng::new(seed ^ round << 32);
        let disk = FaultyStoreDisk::default();
        let (mut durable_end, mut proven) = (0, Durable { orderly: true, ..Durable::default() });
        let mut ends = vec![0];
        for epoch in 1..6 {
            let RecoveredLog { mut store, older, verdict, .. } =
                recovered(&disk, &proven, |_, _| Ok(())).unwrap();
            assert!(verdict.tip.end >= durable_end, "round {round}: a synced group is gone");
            assert!(ends.contains(&verdict.tip.end), "round {round}: half a group");
            assert!(verdict.epoch_next >= epoch);
            ends.retain(|end| *end <= verdict.tip.end);
            let mut tip = verdict.tip;
            proven = Durable { epoch: verdict.epoch_next, end: tip.end, hash: tip.hash, orderly: false };
            durable_end = tip.end;
            older.tidy().unwrap();
            for _ in 0..rng.index(6) {
                let mut commits = vec![false; rng.index(4)];
                commits.push(true);
                tip = *append(&mut *store, tip, verdict.epoch_next, &commits).last().unwrap();
                ends.push(tip.end);
                if rng.index(8) == 0 {
                    break;
                }
                store.sync().unwrap();
                durable_end = tip.end;
                if rng.index(2) == 0 {
                    proven = Durable { end: tip.end, hash: tip.hash, ..proven };
                }
            }
            disk.crash(|_| [Fate::Lost, Fate::Kept, Fate::Torn(rng.index(60))][rng.index(3)]);
        }
    }
}
