//! Runs the program on a directory, and reads its output.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// The command `args[0]` on a directory, with the other `args`.
pub fn stockhold(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stockhold"));
    command.arg(args[0]).arg("--dir").arg(dir).args(&args[1..]);
    command
}

pub fn run(dir: &Path, args: &[&str]) -> Output {
    stockhold(dir, args).output().unwrap()
}

pub fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

pub fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", stderr(output)))
}
