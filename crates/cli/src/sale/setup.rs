//! What both parts of a sale run on, made from the command line: shoppers, directory, clock.

use std::path::{Path, PathBuf};
use std::time::Duration;

use stockhold::{Config, Durability, Engine};

use super::args::Args;
use super::durability::DurabilityArg;
use super::shop::{PlantedFault, SaleClock};
use super::shoppers::Crowd;
use crate::exit::CommandError;

/// Where the engine keeps its log.
pub(super) enum Storage {
    Memory,
    Directory(PathBuf),
}

/// The checked settings of a sale.
pub(super) struct Setup {
    pub(super) crowd: Crowd,
    pub(super) units: u32,
    pub(super) threads: usize,
    pub(super) durability: DurabilityArg,
    pub(super) storage: Storage,
    /// Decisions in the kill test; 0 = no kill test.
    pub(super) kill_test_decisions: u64,
    pub(super) plant: Option<PlantedFault>,
    pub(super) clock: SaleClock,
}

impl Setup {
    /// Checks the flags against each other, and makes the directory.
    pub(super) fn new(args: &Args) -> Result<Setup, CommandError> {
        let usage = |sentence: String| Err(CommandError::Usage(sentence));
        if args.cancel + args.abandon > 1.0 {
            return usage(format!(
                "--cancel {} and --abandon {} add up to more than 1, which is every holder",
                args.cancel, args.abandon
            ));
        }
        if args.skus > args.units {
            return usage(format!(
                "{} SKUs cannot share {} units; give --units at least as many as --skus",
                args.skus, args.units
            ));
        }
        if args.durability.0 == Durability::Memory && args.dir.is_some() {
            return usage("--durability memory keeps nothing on disk; leave --dir out".to_string());
        }
        // Before the directory is made, so that an invalid setting leaves none behind.
        Config::default()
            .durability(args.durability.0)
            .validate()
            .map_err(|error| CommandError::Usage(error.to_string()))?;
        let seed = args.seed.unwrap_or_else(random_seed);
        let cores = || std::thread::available_parallelism().map_or(1, |cores| cores.get());
        Ok(Setup {
            crowd: Crowd {
                seed,
                shoppers: args.shoppers,
                skus: args.skus,
                ttl: Duration::from_millis(args.ttl_ms),
                cancel: args.cancel,
                abandon: args.abandon,
            },
            units: args.units,
            threads: args.threads.map_or_else(cores, usize::from),
            durability: args.durability,
            storage: match (args.durability.0, &args.dir) {
                (Durability::Memory, _) => Storage::Memory,
                (_, Some(dir)) => Storage::Directory(given_directory(dir)?),
                (_, None) => Storage::Directory(fresh_directory(seed)?),
            },
            kill_test_decisions: args.second_act,
            plant: args.plant,
            clock: SaleClock::new(),
        })
    }

    pub(super) fn config(&self) -> Config {
        Config::default().durability(self.durability.0).clock(self.clock)
    }

    pub(super) fn open(&self) -> Result<Engine, CommandError> {
        Ok(match &self.storage {
            Storage::Memory => Engine::in_memory(self.config())?,
            Storage::Directory(dir) => Engine::open(dir, self.config())?,
        })
    }
}

/// A seed that is short enough to type.
fn random_seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::hash::RandomState::new().build_hasher().finish() % 1_000_000
}

fn given_directory(dir: &Path) -> Result<PathBuf, CommandError> {
    let cannot =
        |error| CommandError::Environment(format!("the directory {} cannot be used: {error}", dir.display()));
    if dir.exists() && (!dir.is_dir() || dir.read_dir().map_err(cannot)?.next().is_some()) {
        return Err(CommandError::Usage(format!(
            "{} exists and is not an empty directory; a sale begins with a new one",
            dir.display()
        )));
    }
    std::fs::create_dir_all(dir).map_err(cannot)?;
    Ok(dir.to_path_buf())
}

fn fresh_directory(seed: u64) -> Result<PathBuf, CommandError> {
    let target = Path::new("target");
    let parent = if target.is_dir() { target.to_path_buf() } else { std::env::temp_dir() };
    for attempt in 1..=10_000 {
        let suffix = if attempt == 1 { String::new() } else { format!("-{attempt}") };
        let dir = parent.join(format!("stockhold-sale-{seed}{suffix}"));
        match std::fs::create_dir(&dir) {
            Ok(()) => return Ok(dir),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => {
                let sentence =
                    format!("no directory can be made in {}: {error}; give --dir", parent.display());
                return Err(CommandError::Environment(sentence));
            }
        }
    }
    Err(CommandError::Environment(format!(
        "{} contains 10,000 directories of earlier sales; remove some, or give --dir",
        parent.display()
    )))
}
