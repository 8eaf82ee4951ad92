//! What a run came to: in all, and by SKU.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};
use stockhold::Engine;

use super::cart::Line;
use super::decide::{Outcome, Verdict, Why};
use super::progress::Reached;
use super::stock::Received;
use crate::figure::thousands;

/// Lines, and the units they asked for.
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
struct OfSku {
    granted: Count,
    refused: Count,
}

/// Counts verdicts as they can be relied on. Its memory grows with the SKUs that the stock names, and no further:
/// a file full of SKUs that nobody knows adds none.
#[derive(Debug, Default)]
pub struct Tally {
    granted: Count,
    /// Of the granted lines, those that an earlier run had granted.
    granted_before: u64,
    refused: [Count; Why::ALL.len()],
    bad_lines: u64,
    /// Of the lines above, where neighbours of one order go together.
    carts: Option<Carts>,
    by_sku: HashMap<Box<str>, OfSku>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Carts {
    granted: u64,
    refused: u64,
}

impl Tally {
    /// For a run that counts carts too.
    pub fn of_carts() -> Self {
        Tally { carts: Some(Carts::default()), ..Tally::default() }
    }

    /// Counts a cart whose lines are counted one by one.
    pub fn count_cart(&mut self, verdict: &Verdict) {
        match (&mut self.carts, verdict) {
            (Some(carts), Verdict::Granted { .. }) => carts.granted += 1,
            (Some(carts), Verdict::Refused(_)) => carts.refused += 1,
            (None, _) | (_, Verdict::DecidedOtherwise | Verdict::HeldUp | Verdict::Failed(_)) => {}
        }
    }

    /// Counts what `line` got; `before` says that an earlier run had decided it.
    pub fn count(&mut self, line: &Line, outcome: Outcome, before: bool) {
        let quantity = line.quantity;
        match outcome {
            Outcome::Granted { .. } => {
                self.granted.add(quantity);
                self.granted_before += u64::from(before);
                self.of_sku(line.names().sku).granted.add(quantity);
            }
            Outcome::Refused { why, .. } => {
                self.refused[why.index()].add(quantity);
                if why != Why::UnknownSku {
                    self.of_sku(line.names().sku).refused.add(quantity);
                }
            }
        }
    }

    /// Counts a line that could not be used.
    pub fn count_bad(&mut self) {
        self.bad_lines += 1;
    }

    fn of_sku(&mut self, sku: &str) -> &mut OfSku {
        if !self.by_sku.contains_key(sku) {
            self.by_sku.insert(sku.into(), OfSku::default());
        }
        self.by_sku.get_mut(sku).expect("it was just put there")
    }

    fn refused(&self) -> Count {
        let sum = |a: Count, b: &Count| Count { lines: a.lines + b.lines, units: a.units + b.units };
        self.refused.iter().fold(Count::default(), sum)
    }

    /// For the progress bar.
    pub fn reached(&self, bytes: u64) -> Reached {
        Reached { bytes, granted: self.granted.lines, refused: self.refused().lines }
    }

    /// In words, for a message about how far a run came.
    pub fn in_words(&self) -> String {
        let (granted, refused) = (self.granted.lines, self.refused().lines);
        format!("{} lines are decided ({} granted, {} refused)", granted + refused, granted, refused)
    }
}

/// The levels of one SKU, all its locations added up.
#[derive(Clone, Copy, Debug, Default)]
struct Levels {
    on_hand: i64,
    held: i64,
    committed: i64,
    available: i64,
}

/// All that a run came to.
#[derive(Debug)]
pub struct Summary {
    tally: Tally,
    stock: Received,
    elapsed: Duration,
    /// The SKUs with the most lines, most first.
    top: Vec<(Box<str>, OfSku, Levels)>,
    skus_more: usize,
}

impl Summary {
    /// Reads the levels of the `top` SKUs with the most lines.
    pub fn new(engine: &Engine, mut tally: Tally, stock: Received, elapsed: Duration, top: usize) -> Self {
        let mut skus: Vec<(Box<str>, OfSku)> = std::mem::take(&mut tally.by_sku).into_iter().collect();
        let skus_more = skus.len().saturating_sub(top);
        skus.sort_unstable_by(|(a, of_a), (b, of_b)| {
            let lines = |of: &OfSku| of.granted.lines + of.refused.lines;
            lines(of_b).cmp(&lines(of_a)).then_with(|| a.cmp(b))
        });
        skus.truncate(top);
        let mut levels: HashMap<&str, Levels> =
            skus.iter().map(|(sku, _)| (&**sku, Levels::default())).collect();
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

    /// One object.
    pub fn json(&self) -> Value {
        let (tally, seconds) = (&self.tally, self.elapsed.as_secs_f64());
        let by_reason: serde_json::Map<String, Value> =
            Why::ALL.iter().map(|why| (why.name().into(), tally.refused[why.index()].lines.into())).collect();
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
        if let Some(Carts { granted, refused }) = tally.carts {
            summary["carts"] = json!({ "granted": granted, "refused": refused });
        }
        summary
    }

    /// For people.
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
        for why in Why::ALL {
            let refused = tally.refused[why.index()];
            if refused.lines > 0 {
                out.push(count(&format!("  {}", why.name()), refused));
            }
        }
        if let Some(Carts { granted, refused }) = tally.carts {
            let (all, granted, refused) =
                (thousands(granted + refused), thousands(granted), thousands(refused));
            out.push(format!("  {:<18}{all:>14} carts ({granted} granted, {refused} refused)", "in"));
        }
        for (of, bad) in [("bad", tally.bad_lines), ("bad stock lines", stock.bad_lines)] {
            if bad > 0 {
                out.push(format!("  {of:<18}{:>14} lines, not taken", thousands(bad)));
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
            // A name is the file's: nothing in it may steer the terminal.
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
    fn verdicts_are_counted_in_all_and_by_sku() {
        let mut tally = Tally::default();
        let granted = Outcome::Granted { hold: HoldId::from_u128(1), available: Some(0) };
        let refused = |why| Outcome::Refused { why, available: Some(0) };
        tally.count(&line("a", 2), granted, false);
        tally.count(&line("a", 3), granted, true);
        tally.count(&line("a", 5), refused(Why::OutOfStock), false);
        tally.count(&line("nobody", 1), refused(Why::UnknownSku), false);
        tally.count_bad();
        assert_eq!(tally.granted, Count { lines: 2, units: 5 });
        assert_eq!(tally.granted_before, 1);
        assert_eq!(tally.refused(), Count { lines: 2, units: 6 });
        assert_eq!(tally.by_sku.len(), 1, "an unknown SKU takes no memory");
        assert_eq!(tally.by_sku["a"].refused, Count { lines: 1, units: 5 });
        assert_eq!(tally.in_words(), "4 lines are decided (2 granted, 2 refused)");
    }
}
