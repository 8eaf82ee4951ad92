//! The receipt of a sale: for people, and as one JSON object.

use std::fmt::Write;

use serde::Serialize;

use super::picture::latency;
use super::usual;
use crate::figure::thousands;

/// Act one at the top level, act two under `second_act`.
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
    /// Ctrl-C came before the end; what was decided until then was verified.
    pub(crate) interrupted: bool,
    #[serde(flatten)]
    pub(crate) engine: Tally,
    /// Acknowledged and, when looked for, not there.
    pub(crate) lost_acknowledgements: u64,
    /// Acknowledged and, when looked for, there.
    pub(crate) found_acknowledgements: u64,
    pub(crate) busy: u64,
    pub(crate) decisions_per_second: u64,
    pub(crate) ack_p50_us: u64,
    pub(crate) ack_p99_us: u64,
    /// Closed and opened again from disk before the levels and holds were looked at; never so in memory.
    pub(crate) reopened: bool,
    /// Levels add up, every acknowledged hold is found, and the judge found nothing.
    pub(crate) verified: bool,
    /// What was untrue, as sentences.
    pub(crate) complaints: Vec<String>,
    /// The same shoppers in the designs that people usually write.
    pub(crate) usual: Vec<UsualDesign>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) second_act: Option<SecondAct>,
}

/// What one design told the crowd, in holds, and the judge's verdict.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Tally {
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
    /// In refusals.
    pub(crate) falsely_refused: u64,
    /// Every other breach: two outcomes of one hold, outcomes too late or too early, and the like.
    pub(crate) other_breaches: u64,
}

/// A design that stands beside the engine.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct UsualDesign {
    pub(crate) design: &'static str,
    #[serde(flatten)]
    pub(crate) tally: Tally,
}

/// Act two.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct SecondAct {
    pub(crate) decisions: u64,
    pub(crate) granted: u64,
    pub(crate) refused: u64,
    pub(crate) confirmed: u64,
    pub(crate) released: u64,
    pub(crate) live: u64,
    pub(crate) busy: u64,
    /// False in memory, where nothing would be promised to survive it.
    pub(crate) killed: bool,
    pub(crate) killed_after_ms: u64,
    pub(crate) decisions_before_kill: u64,
    /// In holds.
    pub(crate) acknowledged_before_kill: u64,
    /// In holds.
    pub(crate) found_after_kill: u64,
    pub(crate) lost_acknowledgements: u64,
    /// Holds given to two errands, and errands with two holds.
    pub(crate) doubled: u64,
    pub(crate) oversold: u64,
    pub(crate) recovery_ms: u64,
    pub(crate) records_recovered: u64,
    /// Of a group that the kill cut short; none of it was acknowledged.
    pub(crate) cut_bytes: u64,
    pub(crate) decisions_per_second: u64,
    pub(crate) interrupted: bool,
    pub(crate) verified: bool,
    pub(crate) complaints: Vec<String>,
}

/// A line of the table: its name, and its number for each design.
type Row = (&'static str, fn(&Tally) -> u64);

impl Receipt {
    /// Whether everything that was claimed is true.
    pub(crate) fn is_true(&self) -> bool {
        self.verified && self.second_act.as_ref().is_none_or(|act| act.verified)
    }

    /// For a machine.
    pub(crate) fn json(&self) -> String {
        serde_json::to_string(self).expect("a receipt has no maps with odd keys")
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        let t = &mut text;
        // Writing to a string cannot fail.
        let _ = self.write_act_one(t);
        if let Some(act) = &self.second_act {
            let _ = act.write(t);
        }
        let _ = self.write_end(t);
        text
    }

    fn write_act_one(&self, t: &mut String) -> std::fmt::Result {
        let Receipt { seed, ttl_ms, durability, .. } = self;
        let [units, skus, shoppers] = [self.units, self.skus, self.shoppers].map(thousands);
        let threads = self.threads;
        writeln!(t, "Act one: {units} units ({skus} SKU), {shoppers} shoppers, {threads} threads,")?;
        writeln!(t, "         holds of {ttl_ms} ms, {durability}, seed {seed}")?;
        if let Some(planted) = &self.planted {
            writeln!(t, "         with a planted fault in front of the engine: {planted}")?;
        }
        writeln!(t)?;

        let columns: Vec<&Tally> =
            std::iter::once(&self.engine).chain(self.usual.iter().map(|usual| &usual.tally)).collect();
        write!(t, "{:24}{:>16}", "", "stockhold")?;
        self.usual.iter().try_for_each(|usual| write!(t, "{:>16}", usual.design))?;
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
            ("other breaches", |tally| tally.other_breaches),
        ];
        for (name, value) in rows {
            write!(t, "  {name:22}")?;
            columns.iter().try_for_each(|tally| write!(t, "{:>16}", thousands(value(tally))))?;
            writeln!(t)?;
        }
        if !self.usual.is_empty() {
            let (trip, sweep, buckets) = (usual::ROUND_TRIP, usual::SWEEP, usual::BUCKETS);
            writeln!(
                t,
                "\n  check-then-act reads the stock and writes it {trip:?} later; fixed buckets are {buckets}."
            )?;
            writeln!(t, "  Both give expired holds back every {sweep:?}, and neither touches a disk.")?;
        }

        let [decisions, rate, busy] =
            [self.engine.decisions, self.decisions_per_second, self.busy].map(thousands);
        writeln!(
            t,
            "\n  decided {decisions} ({rate} a second, as fast as they came); told \"try again\" {busy} times"
        )?;
        let (p50, p99) = (latency(self.ack_p50_us), latency(self.ack_p99_us));
        writeln!(t, "  acknowledged after p50 {p50}, p99 {p99}, from the call to its durability")?;
        let [found, all] =
            [self.found_acknowledgements, self.found_acknowledgements + self.lost_acknowledgements]
                .map(thousands);
        match self.reopened {
            true => {
                writeln!(t, "  closed and opened again from disk: {found} of {all} acknowledged holds found")?
            }
            false => {
                writeln!(t, "  looked up in memory: {found} of {all} acknowledged holds found")?;
                writeln!(t, "  nothing is kept on disk at this durability, so nothing was reopened")?;
            }
        }
        self.complaints.iter().try_for_each(|complaint| writeln!(t, "  UNTRUE: {complaint}"))
    }

    fn write_end(&self, t: &mut String) -> std::fmt::Result {
        writeln!(t)?;
        if self.interrupted {
            writeln!(t, "Interrupted. What was decided until then has been verified.")?;
        }
        match self.is_true() {
            true => writeln!(
                t,
                "All of it is true: the judge of the calls found nothing, and all that was looked up was there."
            )?,
            false => writeln!(t, "NOT ALL OF IT IS TRUE.")?,
        }
        writeln!(t, "The same dice again:  --seed {} and the flags of this run", self.seed)?;
        if let Some(dir) = &self.dir {
            if let Some(filesystem) = &self.filesystem {
                writeln!(t, "Kept in {dir} ({filesystem})")?;
                if filesystem == "tmpfs" {
                    writeln!(
                        t,
                        "which is memory: a sync costs nothing there. Give --dir on a disk for real figures."
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

impl SecondAct {
    fn write(&self, t: &mut String) -> std::fmt::Result {
        let [decisions, rate, busy] = [self.decisions, self.decisions_per_second, self.busy].map(thousands);
        let [granted, refused] = [self.granted, self.refused].map(thousands);
        writeln!(
            t,
            "\nAct two: {decisions} decisions ({granted} holds, {refused} refusals), {rate} a second,"
        )?;
        writeln!(t, "         told \"try again\" {busy} times")?;
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
            writeln!(t, "         in a child process that was killed with SIGKILL after {after}\n")?;
            writeln!(t, "  {:42}{acknowledged:>16}", "holds acknowledged before the kill")?;
            writeln!(t, "  {:42}{found:>16}", "of them found after it, as acknowledged")?;
            writeln!(t, "  {:42}{lost:>16}", "lost")?;
            writeln!(t, "  {:42}{doubled:>16}", "doubled by asking again")?;
            writeln!(t, "  {:42}{oversold:>16}", "units oversold")?;
            let (recovery, records) = (latency(self.recovery_ms * 1_000), thousands(self.records_recovered));
            writeln!(
                t,
                "\n  opened again in {recovery} ({records} records), finished, opened once more and verified"
            )?;
        } else {
            writeln!(
                t,
                "         in memory, where nothing is promised to survive a kill: so nothing was killed"
            )?;
            writeln!(t, "  holds lost {}, units oversold {}", self.lost_acknowledgements, self.oversold)?;
        }
        self.complaints.iter().try_for_each(|complaint| writeln!(t, "  UNTRUE: {complaint}"))
    }
}
