//! The receipt of a sale: as text for people, and as one JSON object.

use std::fmt::Write;

use serde::Serialize;

use super::baselines;
use super::progress::latency;
use crate::figure::thousands;

/// The judged sale at the top level, the kill test under `second_act`.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Receipt {
    pub(crate) seed: u64,
    pub(crate) dir: Option<String>,
    pub(crate) filesystem: Option<String>,
    pub(crate) units: u32,
    pub(crate) shoppers: u32,
    pub(crate) threads: usize,
    pub(crate) ttl_ms: u64,
    pub(crate) skus: u32,
    pub(crate) durability: String,
    pub(crate) planted: Option<String>,
    /// Ctrl-C ended the sale early; what was decided until then was verified.
    pub(crate) interrupted: bool,
    #[serde(flatten)]
    pub(crate) engine: DesignTally,
    /// Acknowledged holds that were not found afterwards.
    pub(crate) lost_acknowledgements: u64,
    /// Acknowledged holds that were found afterwards.
    pub(crate) found_acknowledgements: u64,
    pub(crate) busy: u64,
    pub(crate) decisions_per_second: u64,
    pub(crate) ack_p50_us: u64,
    pub(crate) ack_p99_us: u64,
    /// Whether the engine was closed and reopened from disk before holds and levels were checked; never in
    /// memory.
    pub(crate) reopened: bool,
    /// Levels add up, every acknowledged hold is found, and the judge found no violation.
    pub(crate) verified: bool,
    /// Every failed check, as a sentence.
    pub(crate) complaints: Vec<String>,
    /// The same shoppers against the baselines.
    #[serde(rename = "usual")]
    pub(crate) baselines: Vec<BaselineTally>,
    #[serde(rename = "second_act", skip_serializing_if = "Option::is_none")]
    pub(crate) kill_test: Option<KillTestReceipt>,
}

/// Number of holds by what became of them in one design, and the judge's verdict on it.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct DesignTally {
    pub(crate) decisions: u64,
    pub(crate) granted: u64,
    pub(crate) refused: u64,
    pub(crate) confirmed: u64,
    pub(crate) released: u64,
    pub(crate) expired: u64,
    pub(crate) live: u64,
    pub(crate) units_sold: u64,
    /// In units.
    pub(crate) oversold: u64,
    /// Number of refusals.
    pub(crate) falsely_refused: u64,
    /// Number of other violations: two outcomes of one hold, outcomes too late or too early, and the like.
    pub(crate) other_breaches: u64,
}

/// The tally of a baseline, with its name.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct BaselineTally {
    pub(crate) design: &'static str,
    #[serde(flatten)]
    pub(crate) tally: DesignTally,
}

/// The result of the kill test.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct KillTestReceipt {
    pub(crate) decisions: u64,
    pub(crate) granted: u64,
    pub(crate) refused: u64,
    pub(crate) confirmed: u64,
    pub(crate) released: u64,
    pub(crate) live: u64,
    pub(crate) busy: u64,
    /// False in memory, where nothing survives a kill.
    pub(crate) killed: bool,
    pub(crate) killed_after_ms: u64,
    pub(crate) decisions_before_kill: u64,
    /// Number of holds.
    pub(crate) acknowledged_before_kill: u64,
    /// Number of holds.
    pub(crate) found_after_kill: u64,
    pub(crate) lost_acknowledgements: u64,
    /// Holds that two tasks received, and tasks with two holds.
    pub(crate) doubled: u64,
    pub(crate) oversold: u64,
    pub(crate) recovery_ms: u64,
    pub(crate) records_recovered: u64,
    /// Bytes of the group that the kill cut; it was not acknowledged.
    pub(crate) cut_bytes: u64,
    pub(crate) decisions_per_second: u64,
    pub(crate) interrupted: bool,
    pub(crate) verified: bool,
    pub(crate) complaints: Vec<String>,
}

/// A line of the table: its name, and its number for each design.
type Row = (&'static str, fn(&DesignTally) -> u64);

impl Receipt {
    /// Whether every check of the sale held.
    pub(crate) fn is_true(&self) -> bool {
        self.verified && self.kill_test.as_ref().is_none_or(|test| test.verified)
    }

    /// The receipt for people.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        let t = &mut text;
        // Writing to a string cannot fail.
        let _ = self.write_judged_sale(t);
        if let Some(test) = &self.kill_test {
            let _ = test.write(t);
        }
        let _ = self.write_end(t);
        text
    }

    fn write_judged_sale(&self, t: &mut String) -> std::fmt::Result {
        let Receipt { seed, ttl_ms, durability, .. } = self;
        let [units, skus, shoppers] = [self.units, self.skus, self.shoppers].map(thousands);
        let threads = self.threads;
        writeln!(t, "Judged sale: {units} units ({skus} SKU), {shoppers} shoppers, {threads} threads,")?;
        writeln!(t, "             holds of {ttl_ms} ms, durability {durability}, seed {seed}")?;
        if let Some(planted) = &self.planted {
            writeln!(t, "             with a planted fault in front of the engine: {planted}")?;
        }
        writeln!(t)?;

        let baselines = self.baselines.iter().map(|baseline| &baseline.tally);
        let columns: Vec<&DesignTally> = std::iter::once(&self.engine).chain(baselines).collect();
        write!(t, "{:24}{:>16}", "", "stockhold")?;
        self.baselines.iter().try_for_each(|baseline| write!(t, "{:>16}", baseline.design))?;
        writeln!(t)?;
        let rows: [Row; 10] = [
            ("granted", |tally| tally.granted),
            ("refused", |tally| tally.refused),
            ("paid", |tally| tally.confirmed),
            ("cancelled", |tally| tally.released),
            ("expired", |tally| tally.expired),
            ("still live", |tally| tally.live),
            ("units sold", |tally| tally.units_sold),
            ("units oversold", |tally| tally.oversold),
            ("falsely refused", |tally| tally.falsely_refused),
            ("other violations", |tally| tally.other_breaches),
        ];
        for (name, value) in rows {
            write!(t, "  {name:22}")?;
            columns.iter().try_for_each(|tally| write!(t, "{:>16}", thousands(value(tally))))?;
            writeln!(t)?;
        }
        if !self.baselines.is_empty() {
            let (trip, sweep, buckets) = (baselines::ROUND_TRIP, baselines::SWEEP, baselines::BUCKETS);
            writeln!(t, "\n  check-then-act reads the stock and writes it {trip:?} later;")?;
            writeln!(t, "  fixed buckets divides it over {buckets} counters.")?;
            writeln!(
                t,
                "  Both return expired holds to the stock every {sweep:?}, and neither writes to a disk."
            )?;
        }

        let [decisions, rate, busy] =
            [self.engine.decisions, self.decisions_per_second, self.busy].map(thousands);
        writeln!(
            t,
            "\n  {decisions} decisions ({rate} a second, as fast as shoppers came); {busy} answers \"try \
             again\""
        )?;
        let (p50, p99) = (latency(self.ack_p50_us), latency(self.ack_p99_us));
        writeln!(t, "  time from a call to its acknowledgement: p50 {p50}, p99 {p99}")?;
        let [found, all] =
            [self.found_acknowledgements, self.found_acknowledgements + self.lost_acknowledgements]
                .map(thousands);
        match self.reopened {
            true => {
                writeln!(t, "  closed and reopened from disk: {found} of {all} acknowledged holds found")?
            }
            false => {
                writeln!(t, "  looked up in memory: {found} of {all} acknowledged holds found")?;
                writeln!(t, "  this durability keeps nothing on disk, so nothing was reopened")?;
            }
        }
        self.complaints.iter().try_for_each(|complaint| writeln!(t, "  FAILED: {complaint}"))
    }

    fn write_end(&self, t: &mut String) -> std::fmt::Result {
        writeln!(t)?;
        if self.interrupted {
            writeln!(t, "Interrupted. What was decided until then was checked.")?;
        }
        match self.is_true() {
            true => {
                writeln!(t, "Verified: the judge found no violation, and every acknowledged hold was found.")?
            }
            false => writeln!(t, "NOT VERIFIED: at least one check failed.")?,
        }
        writeln!(t, "Same random choices again:  add --seed {} to the flags of this run", self.seed)?;
        if let Some(dir) = &self.dir {
            if let Some(filesystem) = &self.filesystem {
                writeln!(t, "Kept in {dir} ({filesystem})")?;
                if filesystem == "tmpfs" {
                    writeln!(
                        t,
                        "tmpfs is memory, where a sync costs nothing. Give --dir on a disk for real figures."
                    )?;
                }
            } else {
                writeln!(t, "Kept in {dir}")?;
            }
            writeln!(t, "Next:  stockhold verify --dir {dir}")?;
        }
        Ok(())
    }
}

impl KillTestReceipt {
    fn write(&self, t: &mut String) -> std::fmt::Result {
        let [decisions, rate, busy] = [self.decisions, self.decisions_per_second, self.busy].map(thousands);
        let [granted, refused] = [self.granted, self.refused].map(thousands);
        writeln!(
            t,
            "\nKill test: {decisions} decisions ({granted} holds, {refused} refusals), {rate} a second,"
        )?;
        writeln!(t, "           {busy} answers \"try again\",")?;
        if self.killed {
            let [acknowledged, found, lost, doubled, oversold] = [
                self.acknowledged_before_kill,
                self.found_after_kill,
                self.lost_acknowledgements,
                self.doubled,
                self.oversold,
            ]
            .map(thousands);
            let after = latency(self.killed_after_ms * 1_000);
            writeln!(t, "           in a child process that was killed with SIGKILL after {after}\n")?;
            writeln!(t, "  {:42}{acknowledged:>16}", "holds acknowledged before the kill")?;
            writeln!(t, "  {:42}{found:>16}", "of these, found after the kill")?;
            writeln!(t, "  {:42}{lost:>16}", "lost")?;
            writeln!(t, "  {:42}{doubled:>16}", "granted twice by a retry")?;
            writeln!(t, "  {:42}{oversold:>16}", "units oversold")?;
            let (recovery, records) = (latency(self.recovery_ms * 1_000), thousands(self.records_recovered));
            writeln!(
                t,
                "\n  reopened in {recovery} ({records} records), finished, then reopened and verified again"
            )?;
        } else {
            writeln!(t, "           in memory, where nothing survives a kill, so nothing was killed")?;
            writeln!(t, "  holds lost {}, units oversold {}", self.lost_acknowledgements, self.oversold)?;
        }
        self.complaints.iter().try_for_each(|complaint| writeln!(t, "  FAILED: {complaint}"))
    }
}
