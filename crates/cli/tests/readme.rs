//! The README shows what `stockhold sale` prints, except for numbers and times.

use std::path::Path;
use std::process::Command;

const MARK: &str = "<!-- sale: kept true by crates/cli/tests/readme.rs -->\n```text\n";

/// A line without its numbers, which differ from run to run and from machine to machine.
fn shape(line: &str) -> String {
    let mut shape = String::new();
    let unit = |word: &str| ["µs", "ms", "s"].contains(&word);
    for word in line.split_whitespace() {
        let bare = word.trim_matches(|c: char| "(),.;:".contains(c));
        let number = bare.starts_with(|c: char| c.is_ascii_digit());
        match bare {
            _ if number => shape.push('#'),
            // "457 µs" on one machine is "1.2 ms" on another.
            _ if unit(bare) && shape.ends_with("# ") => shape.push('t'),
            _ if bare.contains("stockhold-sale-") => shape.push_str("DIR"),
            _ => shape.push_str(word),
        }
        shape.push(' ');
    }
    shape
}

#[test]
fn the_sale_in_the_readme_is_what_the_command_prints() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let shown = readme.split_once(MARK).expect("the README shows a sale").1.split_once("```").unwrap().0;
    let seed = shown.split_once("seed ").unwrap().1.split_whitespace().next().unwrap();

    let scratch = tempfile::tempdir().unwrap();
    let sale = Command::new(env!("CARGO_BIN_EXE_stockhold"))
        .args(["sale", "--threads", "2", "--seed", seed])
        .current_dir(scratch.path())
        .output()
        .unwrap();
    assert!(sale.status.success(), "{}", String::from_utf8_lossy(&sale.stderr));
    let printed = String::from_utf8(sale.stdout).unwrap();
    let shapes = |text: &str| text.trim_end().lines().map(shape).collect::<Vec<_>>();
    let without_disk = |lines: Vec<String>| -> Vec<String> {
        // The name of the file system depends on the machine.
        lines.into_iter().map(|line| if line.starts_with("Kept in") { "Kept".into() } else { line }).collect()
    };
    assert_eq!(without_disk(shapes(&printed)), without_disk(shapes(shown)), "\n{printed}");
}
