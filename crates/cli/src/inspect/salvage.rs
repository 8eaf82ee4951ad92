//! `stockhold salvage`: recovers what is left of a damaged directory into a new one.

use std::path::Path;

use serde::Serialize;
use stockhold::error::SalvageError;
use stockhold::salvage::{Missing, SalvageReport, Unapplied, salvage};

use super::directory::CopyArgs;
use super::text::counted;
use crate::exit::CODES;
use crate::figure::thousands;
use crate::output::{Output, Stop};

/// Recover the provably valid part of a damaged directory into a new one
///
/// The damaged directory is not changed. Salvage starts from an undamaged checkpoint or from the beginning of
/// the log, whichever gets further, and applies the log's groups in order. It ends before the first group
/// that is damaged, missing, or contradicts the state before it. Later groups that are readable are listed by
/// position and not applied. The new directory is verified before the command ends.
///
/// The new directory keeps the identity of the damaged one, unless that is lost: then holds have other ids
/// than the ones their callers received. Open the new directory in place of the damaged one, never both.
#[derive(clap::Args)]
#[command(after_long_help = format!("{MORE_HELP}\n\n{CODES}"))]
pub(crate) struct Args {
    #[command(flatten)]
    copy: CopyArgs,
}

const MORE_HELP: &str = "\
Examples:
  stockhold salvage --dir damaged --out shop
  stockhold salvage --dir damaged --out shop --json | jq '.missing'

Exit code 0 means that no acknowledged record is missing, exit code 1 that some are missing, or may be.

With --json, one object.";

#[derive(Serialize)]
struct Json<'a> {
    out: String,
    complete: bool,
    directory_id: String,
    identity_lost: Option<&'a str>,
    sidecar_lost: Option<&'a str>,
    checkpoint: Option<u64>,
    checkpoints_rejected: &'a [String],
    end: u64,
    acknowledged: u64,
    contradiction: Option<Contradiction<'a>>,
    missing: Vec<Range>,
    unapplied: Vec<Range>,
    records: u64,
    stock_keys: u64,
    holds: u64,
    op_keys: u64,
    time_unix_ms: u64,
    ledger_files_lost: u64,
}

#[derive(Serialize)]
struct Contradiction<'a> {
    position: u64,
    what: &'a str,
}

#[derive(Serialize)]
struct Range {
    from: u64,
    until: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    records: Option<u64>,
}

impl From<&Missing> for Range {
    fn from(missing: &Missing) -> Self {
        Range { from: missing.from.0, until: missing.until.0, records: None }
    }
}

impl From<&Unapplied> for Range {
    fn from(range: &Unapplied) -> Self {
        Range { from: range.from.0, until: range.until.0, records: Some(range.records) }
    }
}

pub(crate) fn run(Args { copy: CopyArgs { from, out } }: Args) -> Result<(), Stop> {
    let report = salvage(&from.dir, &out).map_err(|error| match error {
        SalvageError::Source(error) => Stop::from(error),
        SalvageError::Exists(sentence) => Stop::usage(sentence),
        SalvageError::Nothing(_) => Stop::Untrue(error.to_string()),
        error => Stop::environment(error),
    })?;
    let shown = from.print(|output| output.json(&Json::of(&out, &report)), |output| show(output, &report));
    // The exit code follows from what is missing, even if the output is not read.
    match shown {
        Ok(()) | Err(Stop::OutputClosed) if !report.is_complete() => Err(Stop::Untrue(format!(
            "not everything that was acknowledged was recovered: {}",
            lost(&report)
        ))),
        shown => shown,
    }
}

fn lost(report: &SalvageReport) -> String {
    let mut lost = Vec::new();
    if report.end < report.acknowledged {
        lost.push(format!(
            "the new directory ends at position {}, acknowledged was {}",
            report.end, report.acknowledged
        ));
    }
    if report.sidecar_lost.is_some() || report.contradiction.is_some() {
        lost.push("more may have been acknowledged".into());
    }
    if report.identity_lost.is_some() {
        lost.push("holds have other ids than before".into());
    }
    lost.join("; ")
}

impl<'a> Json<'a> {
    fn of(out: &Path, report: &'a SalvageReport) -> Json<'a> {
        Json {
            out: out.display().to_string(),
            complete: report.is_complete(),
            directory_id: format!("{:032x}", report.directory_id),
            identity_lost: report.identity_lost.as_deref(),
            sidecar_lost: report.sidecar_lost.as_deref(),
            checkpoint: report.checkpoint.map(|position| position.0),
            checkpoints_rejected: &report.checkpoints_rejected,
            end: report.end.0,
            acknowledged: report.acknowledged.0,
            contradiction: report
                .contradiction
                .as_ref()
                .map(|drift| Contradiction { position: drift.position.0, what: &drift.what }),
            missing: report.missing.iter().map(Range::from).collect(),
            unapplied: report.unapplied.iter().map(Range::from).collect(),
            records: report.records,
            stock_keys: report.stock_keys,
            holds: report.holds,
            op_keys: report.op_keys,
            time_unix_ms: report.time.0,
            ledger_files_lost: report.ledger_files_lost,
        }
    }
}

fn show(output: &mut Output, report: &SalvageReport) -> Result<(), Stop> {
    match report.checkpoint {
        Some(position) => output.line(format_args!("from           a checkpoint at position {position}"))?,
        None => output.line(format_args!("from           the beginning of the log"))?,
    }
    for rejected in &report.checkpoints_rejected {
        output.line(format_args!("not usable     {rejected}"))?;
    }
    let bound = if report.sidecar_lost.is_some() { " at least" } else { "" };
    output.line(format_args!(
        "up to          position {}, of {}{bound} acknowledged",
        report.end, report.acknowledged
    ))?;
    if let Some(drift) = &report.contradiction {
        output
            .line(format_args!("ended by       the record at position {}: {}", drift.position, drift.what))?;
    }
    output.line(format_args!(
        "recovered      {} records: {}, {} with units, {}",
        thousands(report.records),
        counted(report.stock_keys, "stock key"),
        counted(report.holds, "hold"),
        counted(report.op_keys, "op key")
    ))?;
    for Missing { from, until, .. } in &report.missing {
        output.line(format_args!("MISSING        from position {from} until {until}"))?;
    }
    for Unapplied { from, until, records, .. } in &report.unapplied {
        output.line(format_args!(
            "not applied    from position {from} until {until}: {} readable records after the gap",
            thousands(*records)
        ))?;
    }
    if let Some(why) = &report.sidecar_lost {
        output.line(format_args!("LOST           {why}: it is not known how much was acknowledged"))?;
    }
    if let Some(why) = &report.identity_lost {
        output.line(format_args!("LOST           {why}: holds have other ids than before"))?;
    }
    if report.ledger_files_lost > 0 {
        let files = thousands(report.ledger_files_lost);
        output.line(format_args!(
            "LOST           {files} files of the ledger; the new ledger begins after them"
        ))?;
    }
    output.line(format_args!("verified       the new directory is consistent"))
}
