//! The machine and the versions of the figures.

use std::fs;
use std::thread;

use serde::Serialize;

use crate::error::PeerError;
#[cfg(feature = "tigerbeetle")]
use crate::tigerbeetle;
use crate::{Args, postgres, redis};

#[derive(Serialize)]
pub(crate) struct Machine {
    pub(crate) cores: u64,
    cpu: String,
    kernel: String,
    /// The load average of the minute before, from other programs.
    load: String,
    stockhold: &'static str,
    redis: Option<String>,
    postgres: Option<String>,
    tigerbeetle: Option<String>,
}

impl Machine {
    /// Reads the machine and the servers' versions, so that an absent server is an error before anything is
    /// measured.
    pub(crate) fn read(args: &Args) -> Result<Machine, PeerError> {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let cpu = read("/proc/cpuinfo");
        let cpu = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
        Ok(Machine {
            cores: thread::available_parallelism().map_or(1, |cores| cores.get() as u64),
            cpu: cpu.trim_start_matches([' ', '\t', ':']).to_owned(),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            load: read("/proc/loadavg").split(' ').next().unwrap_or_default().to_owned(),
            stockhold: env!("CARGO_PKG_VERSION"),
            redis: args.redis.map(redis::version).transpose()?,
            postgres: args.postgres.map(postgres::version).transpose()?,
            #[cfg(feature = "tigerbeetle")]
            tigerbeetle: args.tigerbeetle.map(tigerbeetle::version).transpose()?,
            #[cfg(not(feature = "tigerbeetle"))]
            tigerbeetle: args.tigerbeetle.map_or(Ok(None), |_| Err(PeerError::NoClient))?,
        })
    }

    pub(crate) fn print(&self) {
        let version = |version: &Option<String>| version.clone().unwrap_or_else(|| "not given".into());
        println!(
            "machine: {} cores of {}, Linux {}, load before {}\n\
             versions: stockhold {}, Redis {}, PostgreSQL {}, TigerBeetle {}",
            self.cores,
            self.cpu,
            self.kernel,
            self.load,
            self.stockhold,
            version(&self.redis),
            version(&self.postgres),
            version(&self.tigerbeetle)
        );
    }
}
