//! On what the figures were taken.

use std::fs;
use std::thread;

use serde::Serialize;

use crate::trouble::Trouble;
use crate::{postgres, redis};

#[derive(Serialize)]
pub(crate) struct Machine {
    pub(crate) cores: u64,
    cpu: String,
    kernel: String,
    /// Of the minute before: what else was running.
    load: String,
    stockhold: &'static str,
    redis: Option<String>,
    postgres: Option<String>,
}

impl Machine {
    /// Also asks the servers, so that one that is not there is known before anything is measured.
    pub(crate) fn look(redis_port: Option<u16>, postgres_port: Option<u16>) -> Result<Machine, Trouble> {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let cpu = read("/proc/cpuinfo");
        let cpu = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
        Ok(Machine {
            cores: thread::available_parallelism().map_or(1, |cores| cores.get() as u64),
            cpu: cpu.trim_start_matches([' ', '\t', ':']).to_owned(),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            load: read("/proc/loadavg").split(' ').next().unwrap_or_default().to_owned(),
            stockhold: env!("CARGO_PKG_VERSION"),
            redis: redis_port.map(redis::version).transpose()?,
            postgres: postgres_port.map(postgres::version).transpose()?,
        })
    }

    pub(crate) fn print(&self) {
        let version = |version: &Option<String>| version.clone().unwrap_or_else(|| "not given".into());
        println!(
            "machine: {} cores of {}, Linux {}, load before {}\nversions: stockhold {}, Redis {}, PostgreSQL {}",
            self.cores,
            self.cpu,
            self.kernel,
            self.load,
            self.stockhold,
            version(&self.redis),
            version(&self.postgres)
        );
    }
}
