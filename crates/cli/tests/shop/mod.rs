//! A directory to run `stockhold replay` in.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

pub const HEADER: &str = "order_id,sku,location,quantity,outcome,reason,hold,available";

/// Stock and orders in a directory of their own.
pub struct Shop {
    folder: TempDir,
}

impl Shop {
    pub fn new(stock: impl AsRef<[u8]>, orders: impl AsRef<[u8]>) -> Self {
        let shop = Shop { folder: TempDir::new().unwrap() };
        shop.write("stock.csv", stock);
        shop.write("orders.csv", orders);
        shop
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).unwrap();
    }

    pub fn command(&self, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stockhold"));
        command.arg("replay").current_dir(self.folder.path()).args(more);
        let usual = [
            ("--stock", "stock.csv"),
            ("--orders", "orders.csv"),
            ("--dir", "d"),
            ("--outcomes", "outcomes.csv"),
        ];
        for (flag, value) in usual {
            if !more.contains(&flag) {
                command.args([flag, value]);
            }
        }
        command
    }

    pub fn replay(&self, more: &[&str]) -> Ran {
        Ran(self.command(more).output().unwrap())
    }

    /// Starts a replay, and returns when `reached` is true for the outcomes written so far.
    pub fn replay_until(&self, more: &[&str], reached: impl Fn(&str) -> bool) -> Running {
        let mut command = self.command(more);
        let mut run = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let end = Instant::now() + Duration::from_secs(60);
        while !fs::read_to_string(self.path("outcomes.csv")).is_ok_and(|text| reached(&text)) {
            assert!(
                Instant::now() < end && run.try_wait().unwrap().is_none(),
                "it runs on and writes outcomes"
            );
            thread::sleep(Duration::from_millis(1));
        }
        Running(run)
    }

    /// The rows of the outcomes, without the header.
    pub fn outcomes(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("outcomes.csv")).unwrap();
        assert!(text.ends_with('\n'));
        let mut lines = text.lines().map(str::to_owned);
        assert_eq!(lines.next().as_deref(), Some(HEADER));
        lines.collect()
    }

    /// Order id, outcome and reason of each line.
    pub fn verdicts(&self) -> Vec<String> {
        let pick = |line: String| {
            let fields: Vec<&str> = line.split(',').collect();
            assert_eq!(fields.len(), 8, "{line}");
            assert_eq!(fields[6].len(), if fields[4] == "granted" { 32 } else { 0 }, "{line}");
            format!("{} {} {}", fields[0], fields[4], fields[5]).trim_end().to_owned()
        };
        self.outcomes().into_iter().map(pick).collect()
    }
}

/// A running replay.
pub struct Running(Child);

impl Running {
    pub fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

pub struct Ran(pub Output);

impl Ran {
    /// Checks the exit code, and returns standard error.
    #[track_caller]
    pub fn exits(&self, code: i32) -> String {
        let (out, err) = (String::from_utf8_lossy(&self.0.stdout), String::from_utf8_lossy(&self.0.stderr));
        assert_eq!(self.0.status.code(), Some(code), "stdout: {out}\nstderr: {err}");
        err.into_owned()
    }

    /// Checks for exit code 0 and one JSON object on standard output, and returns the object.
    #[track_caller]
    pub fn json(&self) -> Value {
        self.exits(0);
        serde_json::from_slice(&self.0.stdout).unwrap()
    }
}
