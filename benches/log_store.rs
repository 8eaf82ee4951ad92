//! The rate at which records become durable through chunks and the store, for a few segment sizes, beside the
//! same bytes appended to a plain file.
//!
//! `cargo bench -p stockhold-benches --bench log_store`; `STOCKHOLD_BENCH_MIB` sets how much each row writes
//! (Default = 192). Not included: drawing positions, encoding records, waking waiters, a fold, deletion of
//! old chunks.

// These modules are private in the library; the bench compiles the same files.
#[allow(dead_code, unused_imports)]
#[path = "../src/log/chunk.rs"]
mod chunk;
#[allow(dead_code)]
#[path = "../src/creation.rs"]
mod creation;
#[allow(dead_code)]
#[path = "../src/log/newer.rs"]
mod newer;
#[allow(dead_code, unused_imports)]
#[path = "../src/log/sled.rs"]
mod sled;
#[allow(dead_code, unused_imports)]
#[path = "../src/log/store.rs"]
mod store;

use std::{
    fs::{self, File},
    io::Write,
    path::Path,
    time::{Duration, Instant},
};

use chunk::{ChunkHeader, HEADER_BYTES};
use stockhold_seeded::Rng;
use store::{Store, StoreError};

const RECORD_BYTES: usize = 28;
const SEGMENTS_KIB: [usize; 3] = [512, 2048, 4096];

fn main() {
    let mib = std::env::var("STOCKHOLD_BENCH_MIB").ok().and_then(|text| text.parse().ok()).unwrap_or(192);
    print_machine();
    println!(
        "records of {RECORD_BYTES} bytes, {mib} MiB a row, every group made durable before the next one"
    );
    println!(
        "| store                  | chunk KiB | group KiB | records/s |  MB/s | p50 ms | p99 ms | file MiB | RSS MiB |"
    );
    println!(
        "|------------------------|-----------|-----------|-----------|-------|--------|--------|----------|---------|"
    );
    for segment_kib in SEGMENTS_KIB {
        let segment_bytes = segment_kib << 10;
        let chunk_bytes = ((segment_bytes / 4 - 52) / 17 - 32) / 1024 * 1024;
        // A sync window, less room for the chunks' headers.
        let window_kib = (segment_bytes / 3 - 1) / 1024 / 32 * 32 * 31 / 32;
        for group_kib in [4, 64, window_kib] {
            let row = format!("sled, {segment_kib} KiB segments");
            run(&row, mib, group_kib, chunk_bytes, |directory| {
                Box::new(
                    sled::SledStore::create_with_segments(directory, segment_bytes)
                        .expect("a fresh store opens"),
                )
            });
            run("plain file", mib, group_kib, chunk_bytes, |directory| {
                Box::new(PlainFile(File::create(directory.join("db")).expect("a fresh file opens")))
            });
        }
    }
}

fn run(
    row: &str,
    mib: usize,
    group_kib: usize,
    chunk_bytes_max: usize,
    open: impl FnOnce(&Path) -> Box<dyn Store>,
) {
    // Small groups are limited by the disk's latency: less data gives the same figure.
    let mib = mib.min(group_kib * 4);
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a scratch directory");
    let mut store = open(directory.path());
    let group_records = group_kib * 1024 / RECORD_BYTES;
    let chunk_records = (chunk_bytes_max - HEADER_BYTES) / RECORD_BYTES;
    let groups = (mib << 20) / (group_records * RECORD_BYTES);

    let (mut start, mut previous, mut synced) = (0, 0, 0);
    let (mut payload, mut chunk) = (Vec::new(), Vec::new());
    let mut latencies = Vec::with_capacity(groups);
    let mut rng = Rng::new(1);
    let began = Instant::now();
    for _ in 0..groups {
        let group_began = Instant::now();
        let mut left = group_records;
        while left > 0 {
            let records = left.min(chunk_records);
            left -= records;
            payload.clear();
            for _ in 0..records {
                payload.extend_from_slice(&[rng.next().to_le_bytes(); 4].as_flattened()[..RECORD_BYTES]);
            }
            let words = records as u32 * 4;
            chunk.clear();
            let header =
                ChunkHeader { epoch: 1, start, words, commit: left == 0, kinds: 0, previous, synced };
            previous = chunk::encode(&header, &payload, &mut chunk);
            store.append(start, &chunk).expect("the disk takes it");
            start = header.end();
        }
        store.sync().expect("the disk takes it");
        synced = start;
        latencies.push(group_began.elapsed());
    }
    let took = began.elapsed();
    latencies.sort_unstable();
    let at = |part: f64| ms(latencies[((latencies.len() - 1) as f64 * part) as usize]);
    let records = (groups * group_records) as f64;
    println!(
        "| {row:22} | {:9} | {group_kib:9} | {:9.0} | {:5.0} | {:6.2} | {:6.2} | {:8} | {:7} |",
        chunk_bytes_max / 1024,
        records / took.as_secs_f64(),
        records * RECORD_BYTES as f64 / 1e6 / took.as_secs_f64(),
        at(0.5),
        at(0.99),
        fs::metadata(directory.path().join("db")).map_or(0, |data| data.len() >> 20),
        status_mib("VmRSS:"),
    );
}

/// The minimal log: append and fdatasync. The file grows as it is written, like sled's.
struct PlainFile(File);

impl Store for PlainFile {
    fn append(&mut self, _: u64, chunk: &[u8]) -> Result<(), StoreError> {
        self.0.write_all(chunk).map_err(|e| StoreError::io("appending", &e))
    }
    fn flush(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
    fn sync(&mut self) -> Result<(), StoreError> {
        self.0.sync_data().map_err(|e| StoreError::io("syncing", &e))
    }
    fn remove_below(&mut self, _: u64, _: usize) -> Result<usize, StoreError> {
        Ok(0)
    }
    fn has_name(&self) -> std::io::Result<bool> {
        Ok(true)
    }
    fn close(mut self: Box<Self>) -> Result<(), StoreError> {
        self.sync()
    }
}

fn print_machine() {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let mount = mounts
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ').skip(1);
            Some((fields.next()?, fields.next()?))
        })
        .filter(|(at, _)| Path::new(env!("CARGO_TARGET_TMPDIR")).starts_with(at))
        .max_by_key(|(at, _)| at.len());
    let cpu = cpu.trim_start_matches([':', ' ', '\t']);
    println!("{cores} cores, {cpu}, Linux {}, {}", kernel.trim(), mount.map_or("unknown", |(_, kind)| kind));
}

fn status_mib(field: &str) -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap_or("0");
    line.split_whitespace().next().and_then(|kib| kib.parse::<usize>().ok()).unwrap_or(0) / 1024
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
