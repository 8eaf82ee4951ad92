//! Command-line options: names and values.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::SystemTime;

/// The options that were given.
#[derive(Debug)]
pub(crate) struct Options {
    given: BTreeMap<String, String>,
    usage: &'static str,
}

impl Options {
    /// Reads `--name value` pairs; every name must be in the usage text.
    pub(crate) fn read(
        mut args: impl Iterator<Item = String>,
        usage: &'static str,
    ) -> Result<Options, String> {
        let mut given = BTreeMap::new();
        while let Some(name) = args.next() {
            let known = name.starts_with("--")
                && usage.split_ascii_whitespace().any(|word| word.trim_matches(['[', ']']) == name);
            let Some(value) = args.next().filter(|_| known) else { return Err(usage.to_owned()) };
            given.insert(name, value);
        }
        Ok(Options { given, usage })
    }

    /// The value of an option.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.given.get(name).map(|text| &**text)
    }

    /// The value of an option that is required.
    pub(crate) fn needed(&self, name: &str) -> Result<&str, String> {
        self.text(name).ok_or_else(|| format!("{name} is missing\n\n{}", self.usage))
    }

    /// The value of an option that is a number.
    pub(crate) fn number(&self, name: &str, default: u64) -> Result<u64, String> {
        let Some(text) = self.text(name) else { return Ok(default) };
        text.replace('_', "").parse().map_err(|_| format!("{name} takes a number, not {text:?}"))
    }

    /// The program that runs the load.
    pub(crate) fn program(&self) -> Result<PathBuf, String> {
        let given = self.text("--load").map(PathBuf::from);
        let program = given.map_or_else(std::env::current_exe, std::fs::canonicalize);
        program.map_err(|error| format!("the load's program: {error}"))
    }

    /// The seed: the option, or `STOCKHOLD_SEED`, or the time in seconds, which is short enough to type.
    pub(crate) fn seed(&self) -> Result<u64, String> {
        let time = || SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs());
        self.number("--seed", stockhold_seeded::seed_given()?.unwrap_or_else(time))
    }
}
