//! Runs the rows of this process: each checks itself, whatever its figure.

use std::fs;
use std::process::Command;

#[test]
fn every_row_of_this_process_agrees_with_its_own_stock() {
    let scratch = tempfile::tempdir().unwrap();
    let json = scratch.path().join("figures.json");
    let output = Command::new(env!("CARGO_BIN_EXE_stockhold-peers"))
        .args(["--threads", "3", "--holds-max", "5000", "--json"])
        .arg(&json)
        .arg("--dir")
        .arg(scratch.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let report: serde_json::Value = serde_json::from_str(&fs::read_to_string(&json).unwrap()).unwrap();
    let rows = report["rows"].as_array().unwrap();
    let measured = rows.iter().filter(|row| row["holds"].as_u64().is_some_and(|holds| holds > 0)).count();
    assert_eq!(measured, rows.len());
    for server in ["Redis", "PostgreSQL", "TigerBeetle"] {
        let named = String::from_utf8_lossy(&output.stdout).contains(&format!("{server} was not measured"));
        assert!(named, "{server} is not mentioned");
    }
    let left: Vec<_> = fs::read_dir(scratch.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(left, [json]);
}

#[test]
fn an_unknown_row_is_an_error() {
    let output = Command::new(env!("CARGO_BIN_EXE_stockhold-peers"))
        .args(["--only", "unknown", "--dir"])
        .arg(std::env::temp_dir())
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("no row is called"));
}
