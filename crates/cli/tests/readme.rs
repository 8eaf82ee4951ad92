//! The documents show what `stockhold sale` prints, except for numbers and times.

use std::path::Path;
use std::process::Command;

/// Before the whole output, in `docs/program.md`.
const WHOLE: &str = "<!-- sale: kept true by crates/cli/tests/readme.rs -->\n```text\n";
/// Before some lines of it, in the README.
const PART: &str = "<!-- sale, in part: kept true by crates/cli/tests/readme.rs -->\n```text\n";

/// The block behind `mark` in a page.
fn shown(page: &str, mark: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(page);
    let text = std::fs::read_to_string(path).unwrap();
    let (_, block) = text.split_once(mark).unwrap_or_else(|| panic!("{page} shows a sale"));
    block.split_once("```").unwrap().0.trim_end().to_string()
}

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
fn the_sale_in_the_documents_is_what_the_command_prints() {
    let whole = shown("docs/program.md", WHOLE);
    let seed = whole.split_once("seed ").unwrap().1.split_whitespace().next().unwrap();

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
    assert_eq!(without_disk(shapes(&printed)), without_disk(shapes(&whole)), "\n{printed}");
}

#[test]
fn the_readme_shows_twelve_lines_of_that_run_as_they_are_and_in_their_order() {
    let whole = shown("docs/program.md", WHOLE);
    let part = shown("README.md", PART);
    assert_eq!(part.lines().count(), 12, "the README says how many");
    let mut lines = whole.lines();
    for line in part.lines() {
        assert!(
            lines.any(|printed| printed == line),
            "not in docs/program.md, or not in this order: {line:?}"
        );
    }
}
