//! PostgreSQL: a hold is one statement, thus one transaction and one round trip. The client is pgbench, which
//! comes with the server, so that no client code of ours can be the limit.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::error::PeerError;
use crate::job::{Job, TTL, UNITS};
use crate::row::Row;
use crate::sample::Sample;

const CLIENTS: u64 = 32;

/// The name of the user and its database.
const NAME: &str = "stockhold";

pub(crate) fn rows(port: u16, directory: &Path) -> Vec<Row> {
    let directory = directory.to_owned();
    vec![Row {
        system: "PostgreSQL",
        setting: format!("synchronous_commit on, {CLIENTS} clients"),
        contains: "loopback, SQL; survives loss of power",
        lacks: "replication, units returned at expiry",
        measure: Box::new(move |job| run(port, &directory, job)),
    }]
}

pub(crate) fn version(port: u16) -> Result<String, PeerError> {
    let text = ask(port, "SHOW server_version")?;
    Ok(text.split_whitespace().next().unwrap_or_default().to_owned())
}

/// The tables. Each page has room for the next version of a row, as is usual for rows with frequent updates.
fn schema(job: Job) -> String {
    format!(
        "DROP TABLE IF EXISTS stock, hold;
         CREATE TABLE stock (key int PRIMARY KEY, available bigint NOT NULL) WITH (fillfactor = 50);
         CREATE TABLE hold (reference bigint PRIMARY KEY, key int NOT NULL, expires timestamptz NOT NULL);
         INSERT INTO stock SELECT key, {UNITS} FROM generate_series(1, {}) AS key",
        job.demand.keys()
    )
}

fn script(job: Job) -> String {
    format!(
        "\\set n :n + 1\n\
         \\set reference :client_id * 4294967296 + :n\n\
         \\set key random(1, {})\n\
         WITH taken AS (UPDATE stock SET available = available - 1 WHERE key = :key AND available >= 1 RETURNING key) \
         INSERT INTO hold SELECT :reference, key, now() + interval '{} seconds' FROM taken;\n",
        job.demand.keys(),
        TTL.as_secs()
    )
}

fn run(port: u16, directory: &Path, job: Job) -> Result<Sample, PeerError> {
    ask(port, &schema(job))?;
    for statement in ["VACUUM ANALYZE stock", "CHECKPOINT"] {
        ask(port, statement)?;
    }
    let scratch = tempfile::tempdir_in(directory).map_err(|error| PeerError::file(directory, error))?;
    let script_path = scratch.path().join("reserve.sql");
    fs::write(&script_path, script(job)).map_err(|error| PeerError::file(&script_path, error))?;
    let mut pgbench = Command::new("pgbench");
    pgbench.args(["--host=127.0.0.1", "--no-vacuum", "--protocol=prepared", "--define=n=0", "--log"]);
    pgbench.arg(format!("--port={port}")).arg(format!("--username={NAME}"));
    pgbench.arg(format!("--client={CLIENTS}")).arg(format!("--jobs={}", job.threads.min(CLIENTS)));
    pgbench.arg(format!("--time={}", job.time.as_secs()));
    pgbench.arg("--log-prefix").arg(scratch.path().join("log")).arg("--file").arg(&script_path).arg(NAME);
    let said = output("pgbench", &mut pgbench)?;

    let mut ack_ns = Sample::histogram();
    for entry in fs::read_dir(scratch.path()).map_err(|error| PeerError::file(scratch.path(), error))? {
        let path = entry.map_err(|error| PeerError::file(scratch.path(), error))?.path();
        if path != script_path {
            let log = fs::read_to_string(&path).map_err(|error| PeerError::file(&path, error))?;
            read_log(&log, &mut ack_ns)?;
        }
    }
    let granted = ack_ns.len();
    if granted == 0 {
        return Err(PeerError::Nothing(job.time.as_secs()));
    }
    let elapsed = Duration::from_secs_f64(granted as f64 / rate(&said)?);
    let sample = Sample { granted, elapsed, ack_ns };
    let missing = number(port, &format!("SELECT sum({UNITS} - available) FROM stock"))?;
    sample.agrees(missing, "units are missing from the stock")?;
    sample.agrees(number(port, "SELECT count(*) FROM hold JOIN stock USING (key)")?, "holds are there")?;
    ask(port, "DROP TABLE stock, hold")?;
    Ok(sample)
}

/// Reads lines with: client, transaction, microseconds, script, time.
fn read_log(log: &str, ack_ns: &mut Histogram<u64>) -> Result<(), PeerError> {
    for line in log.lines() {
        let microseconds = line.split(' ').nth(2).and_then(|word| word.parse::<u64>().ok());
        ack_ns.saturating_record(microseconds.ok_or_else(|| answer(line, "a line of a log"))? * 1_000);
    }
    Ok(())
}

/// The transactions per second, by the clock of pgbench.
fn rate(said: &str) -> Result<f64, PeerError> {
    let rate = said.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
    rate.filter(|rate| *rate > 0.0).ok_or_else(|| answer(said, "tps"))
}

fn number(port: u16, statement: &str) -> Result<i64, PeerError> {
    let text = ask(port, statement)?;
    text.parse().map_err(|_| answer(&text, "a number"))
}

fn ask(port: u16, statements: &str) -> Result<String, PeerError> {
    let mut psql = Command::new("psql");
    psql.args(["--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--set=ON_ERROR_STOP=1"]);
    psql.args(["--host=127.0.0.1", NAME, NAME]).arg(format!("--port={port}")).args(["--command", statements]);
    // Hides notices.
    psql.env("PGOPTIONS", "--client-min-messages=warning");
    output("psql", &mut psql)
}

fn output(program: &'static str, command: &mut Command) -> Result<String, PeerError> {
    let output = command.output().map_err(|error| PeerError::NotThere { program, error })?;
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(PeerError::Failed { program, error });
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn answer(said: &str, expected: &'static str) -> PeerError {
    PeerError::Answer { server: "PostgreSQL", answer: said.to_owned(), expected }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_output_of_pgbench_is_read() {
        let said = "number of transactions actually processed: 4711\n\
                    initial connection time = 31.2 ms\n\
                    tps = 1570.331 (without initial connection time)\n";
        assert_eq!(rate(said).unwrap(), 1570.331);
        assert!(rate("pgbench: error").is_err());

        let mut ack_ns = Sample::histogram();
        read_log("0 1 812 0 1790000000 123\n31 7 2000 0 1790000000 456\n", &mut ack_ns).unwrap();
        assert_eq!(ack_ns.len(), 2);
        assert!(read_log("0 1", &mut ack_ns).is_err());
    }
}
