//! The summary of a run: total counts, and counts by SKU.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};
use stockhold::Engine;

use super::cart::Line;
use super::decide::{LineOutcome, Reason, Verdict};
use super::progress::Reached;
use super::stock::StockCounts;
use crate::figure::thousands;

/// A number of lines, and the units that they ask for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Count {
    lines: u64,
    units: u64,
}

impl Count {
    fn add(&mut self, units: u32) {
        self.lines += 1;
        self.units += u64::from(units);
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct SkuCounts {
    granted: Count,
    refused: Count,
}

/// Counts durable outcomes. Its memory grows only with the number of known SKUs, not with unknown ones in the
/// order file.
#[derive(Debug, Default)]
pub struct Tally {
    granted: Count,
    /// Granted lines that an earlier run granted.
    granted_before: u64,
    refused: [Count; Reason::ALL.len()],
    bad_lines: u64,
    /// `None` in a run with separate lines.
    carts: Option<CartCounts>,
    by_sku: HashMap<Box<str>, SkuCounts>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct CartCounts {
    granted: u64,
    refused: u64,
}

impl Tally {
    /// For a run that counts carts too.
    pub fn with_carts() -> Self {
        Tally { carts: Some(CartCounts::default()), ..Tally::default() }
    }

    /// Counts a cart; its lines are counted by [`Tally::count`].
    pub fn count_cart(&mut self, verdict: &Verdict) {
        match (&mut self.carts, verdict) {
            (Some(carts), Verdict::Granted { .. }) => carts.granted += 1,
            (Some(carts), Verdict::Refused(_)) => carts.refused += 1,
            (None, _) | (_, Verdict::ContentChanged | Verdict::Blocked | Verdict::Failed(_)) => {}
        }
    }

    /// Counts the outcome of `line`; `before` = an earlier run decided it.
    pub fn count(&mut self, line: &Line, outcome: LineOutcome, before: bool) {
        let quantity = line.quantity;
        match outcome {
            LineOutcome::Granted { .. } => {
                self.granted.add(quantity);
                self.granted_before += u64::from(before);
                self.of_sku(line.names().sku).granted.add(quantity);
            }
            LineOutcome::Refused { why, .. } => {
                self.refused[why.index()].add(quantity);
                if why != Reason::UnknownSku {
                    self.of_sku(line.names().sku).refused.add(quantity);
                }
            }
        }
    }

    /// Counts a line that could not be used.
    pub fn count_bad(&mut self) {
        self.bad_lines += 1;
    }

    fn of_sku(&mut self, sku: &str) -> &mut SkuCounts {
        if !self.by_sku.contains_key(sku) {
            self.by_sku.insert(sku.into(), SkuCounts::default());
        }
        self.by_sku.get_mut(sku).expect("it was just put there")
    }

    fn refused(&self) -> Count {
        let sum = |a: Count, b: &Count| Count { lines: a.lines + b.lines, units: a.units + b.units };
        self.refused.iter().fold(Count::default(), sum)
    }

    /// The counts for the progress bar.
    pub fn reached(&self, bytes: u64) -> Reached {
        Reached { bytes, granted: self.granted.lines, refused: self.refused().lines }
    }

    /// The counts as text, for the message of a run that ended early.
    pub fn in_words(&self) -> String {
        let (granted, refused) = (self.granted.lines, self.refused().lines);
        format!("{} lines are decided ({} granted, {} refused)", granted + refused, granted, refused)
    }
}

/// The levels of one SKU, summed over its locations.
#[derive(Clone, Copy, Debug, Default)]
struct SkuLevels {
    on_hand: i64,
    held: i64,
    committed: i64,
    available: i64,
}

/// The summary of a run.
#[derive(Debug)]
pub struct Summary {
    tally: Tally,
    stock: StockCounts,
    elapsed: Duration,
    /// The SKUs with the most lines, in descending order.
    top: Vec<(Box<str>, SkuCounts, SkuLevels)>,
    skus_more: usize,
}

impl Summary {
    /// Reads the levels of the `top` SKUs with the most lines.
    pub fn new(engine: &Engine, mut tally: Tally, stock: StockCounts, elapsed: Duration, top: usize) -> Self {
        let mut skus: Vec<(Box<str>, SkuCounts)> = std::mem::take(&mut tally.by_sku).into_iter().collect();
        let skus_more = skus.len().saturating_sub(top);
        skus.sort_unstable_by(|(a, of_a), (b, of_b)| {
            let lines = |of: &SkuCounts| of.granted.lines + of.refused.lines;
            lines(of_b).cmp(&lines(of_a)).then_with(|| a.cmp(b))
        });
        skus.truncate(top);
        let mut levels: HashMap<&str, SkuLevels> =
            skus.iter().map(|(sku, _)| (&**sku, SkuLevels::default())).collect();
        for key in engine.keys() {
            let Some((sku, _)) = engine.name(key) else { continue };
            if let (Some(sum), Ok(level)) = (levels.get_mut(&*sku), engine.level(key)) {
                sum.on_hand += level.on_hand;
                sum.held += level.held;
                sum.committed += level.committed;
                sum.available += level.available;
            }
        }
        let top = skus.iter().map(|(sku, of)| (sku.clone(), *of, levels[&**sku])).collect();
        Summary { tally, stock, elapsed, top, skus_more }
    }

    fn lines(&self) -> u64 {
        self.tally.granted.lines + self.tally.refused().lines + self.tally.bad_lines
    }

    /// The summary as one JSON object.
    pub fn json(&self) -> Value {
        let (tally, seconds) = (&self.tally, self.elapsed.as_secs_f64());
        let by_reason: serde_json::Map<String, Value> = Reason::ALL
            .iter()
            .map(|why| (why.name().into(), tally.refused[why.index()].lines.into()))
            .collect();
        let skus: Vec<Value> = self
            .top
            .iter()
            .map(|(sku, of, levels)| {
                json!({
                    "sku": sku,
                    "granted_lines": of.granted.lines, "granted_units": of.granted.units,
                    "refused_lines": of.refused.lines, "refused_units": of.refused.units,
                    "on_hand": levels.on_hand, "held": levels.held,
                    "committed": levels.committed, "available": levels.available,
                })
            })
            .collect();
        let mut summary = json!({
            "lines": self.lines(),
            "granted": tally.granted.lines,
            "granted_units": tally.granted.units,
            "granted_before": tally.granted_before,
            "refused": tally.refused().lines,
            "refused_units": tally.refused().units,
            "refused_by_reason": by_reason,
            "bad_lines": tally.bad_lines,
            "stock": {
                "lines_received": self.stock.lines,
                "units_received": self.stock.units,
                "lines_received_before": self.stock.lines_before,
                "bad_lines": self.stock.bad_lines,
            },
            "seconds": seconds,
            "lines_per_second": (self.lines() as f64 / seconds.max(1e-9)).round(),
            "skus": skus,
            "skus_more": self.skus_more,
        });
        if let Some(CartCounts { granted, refused }) = tally.carts {
            summary["carts"] = json!({ "granted": granted, "refused": refused });
        }
        summary
    }

    /// The summary for people.
    pub fn text(&self) -> String {
        let (tally, stock, seconds) = (&self.tally, &self.stock, self.elapsed.as_secs_f64());
        let rate = thousands((self.lines() as f64 / seconds.max(1e-9)) as u64);
        let before = match tally.granted_before {
            0 => String::new(),
            lines => format!("  ({} of them by an earlier run)", thousands(lines)),
        };
        let count = |name: &str, count: Count| {
            format!("  {name:<18}{:>14} lines{:>16} units", thousands(count.lines), thousands(count.units))
        };
        let mut out = vec![
            format!(
                "stock: {} lines received ({} units), {} received by an earlier run",
                thousands(stock.lines),
                thousands(stock.units),
                thousands(stock.lines_before)
            ),
            format!("orders: {} lines in {seconds:.2} s, {rate} a second", thousands(self.lines())),
            count("granted", tally.granted) + &before,
            count("refused", tally.refused()),
        ];
        for why in Reason::ALL {
            let refused = tally.refused[why.index()];
            if refused.lines > 0 {
                out.push(count(&format!("  {}", why.name()), refused));
            }
        }
        if let Some(CartCounts { granted, refused }) = tally.carts {
            let (all, granted, refused) =
                (thousands(granted + refused), thousands(granted), thousands(refused));
            out.push(format!("  {:<18}{all:>14} carts ({granted} granted, {refused} refused)", "in"));
        }
        for (of, bad) in [("bad", tally.bad_lines), ("bad stock lines", stock.bad_lines)] {
            if bad > 0 {
                out.push(format!("  {of:<18}{:>14} lines, skipped", thousands(bad)));
            }
        }
        if !self.top.is_empty() {
            out.push(String::new());
            out.extend(self.table());
        }
        if self.skus_more > 0 {
            out.push(format!("and {} more SKUs", thousands(self.skus_more)));
        }
        out.join("\n")
    }

    fn table(&self) -> Vec<String> {
        const HEADS: [&str; 8] = [
            "granted lines",
            "granted units",
            "refused lines",
            "refused units",
            "on hand",
            "held",
            "committed",
            "available",
        ];
        let sku_width = self.top.iter().map(|(sku, ..)| sku.chars().count()).max().unwrap_or(0).clamp(3, 32);
        let row = |sku: &str, cells: [String; 8]| {
            let cells = cells
                .iter()
                .zip(HEADS)
                .map(|(cell, head)| format!("  {cell:>width$}", width = head.len().max(11)));
            format!("{sku:<sku_width$}{}", cells.collect::<String>())
        };
        let mut rows = vec![row("SKU", HEADS.map(str::to_owned))];
        for (sku, of, levels) in &self.top {
            let counts =
                [of.granted.lines, of.granted.units, of.refused.lines, of.refused.units].map(thousands);
            let terms = [levels.on_hand, levels.held, levels.committed, levels.available].map(thousands);
            let [a, b, c, d] = counts;
            let [e, f, g, h] = terms;
            // The name comes from the file: control characters must not reach the terminal.
            let name: String = sku.chars().map(|c| if c.is_control() { '·' } else { c }).collect();
            rows.push(row(&name, [a, b, c, d, e, f, g, h]));
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use stockhold::HoldId;

    use super::super::line::Names;
    use super::*;

    fn line(sku: &str, quantity: u32) -> Line {
        let names = Names { order_id: "o", sku, location: "l" };
        Line::new(2, names, quantity)
    }

    #[test]
    fn outcomes_are_counted_in_total_and_by_sku() {
        let mut tally = Tally::default();
        let granted = LineOutcome::Granted { hold: HoldId::from_u128(1), available: Some(0) };
        let refused = |why| LineOutcome::Refused { why, available: Some(0) };
        tally.count(&line("a", 2), granted, false);
        tally.count(&line("a", 3), granted, true);
        tally.count(&line("a", 5), refused(Reason::OutOfStock), false);
        tally.count(&line("nobody", 1), refused(Reason::UnknownSku), false);
        tally.count_bad();
        assert_eq!(tally.granted, Count { lines: 2, units: 5 });
        assert_eq!(tally.granted_before, 1);
        assert_eq!(tally.refused(), Count { lines: 2, units: 6 });
        assert_eq!(tally.by_sku.len(), 1, "an unknown SKU takes no memory");
        assert_eq!(tally.by_sku["a"].refused, Count { lines: 1, units: 5 });
        assert_eq!(tally.in_words(), "4 lines are decided (2 granted, 2 refused)");
    }
}
