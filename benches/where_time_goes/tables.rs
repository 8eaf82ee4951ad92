//! Writes the page's tables, and checks them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::arrow::{Arrow, OF_A_DECISION, OF_A_RECORD};
use super::callgrind::{Cost, Costs, total};
use super::groups::{Groups, THREADS};
use super::lines::Touched;
use crate::page;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../src/design/where_time_goes.md");
const ACCEPTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.txt");
const TOTAL: &str = "instructions";

/// Operations that are counted together.
const OPERATIONS: f64 = 1_000.0;

/// The columns of decisions, by the benchmark's name; `cart_line` is the cost of one more line of a cart.
const COLUMNS: [(&str, &str); 9] = [
    ("reserve", "reserve"),
    ("reserve_once", "with op key"),
    ("refuse", "refusal"),
    ("confirm", "confirm"),
    ("release", "release"),
    ("replace", "replace"),
    ("cart_of_4", "cart of 4"),
    ("cart_line", "a line more"),
    ("sweep", "expiry"),
];

/// A value of a column, from the values of the benchmarks.
fn column<T: Copy>(name: &str, of: impl Fn(&str) -> T, line: impl Fn(T, T) -> T) -> T {
    if name == "cart_line" { line(of("cart_of_4"), of("cart_of_64")) } else { of(name) }
}

pub struct Counted {
    /// Costs of one operation, by benchmark.
    pub decisions: BTreeMap<&'static str, Costs>,
    pub touched: BTreeMap<&'static str, Touched>,
    pub groups: Groups,
    pub calls: BTreeMap<String, Vec<(String, f64)>>,
}

impl Counted {
    fn cost(&self, column_name: &str, arrow: Option<Arrow>) -> Cost {
        let of = |name: &str| {
            let costs = &self.decisions[name];
            arrow.map_or_else(|| total(costs), |arrow| costs.get(arrow).copied().unwrap_or_default())
        };
        column(column_name, of, |four, all| (all - four) * (1.0 / 60.0))
    }

    fn tables(&self) -> String {
        let mut text =
            format!("\n| |{}\n|---|{}\n", heads(COLUMNS.map(|(_, head)| head)), "--:|".repeat(COLUMNS.len()));
        for arrow in OF_A_DECISION {
            row(&mut text, arrow, COLUMNS.map(|(name, _)| cell(self.cost(name, Some(arrow)))));
        }
        row(
            &mut text,
            &bold(TOTAL),
            COLUMNS.map(|(name, _)| bold(&whole(self.cost(name, None).instructions))),
        );
        row(
            &mut text,
            "cache misses",
            COLUMNS.map(|(name, _)| format!("{:.1}", self.cost(name, None).misses)),
        );
        let touched = |of: fn(&Touched) -> u64| {
            COLUMNS.map(|(name, _)| {
                if name == "sweep" {
                    return String::new(); // in one go, not one after another
                }
                let number = |name: &str| of(&self.touched[name]) as f64;
                whole(column(name, number, |four, all| (all - four) / 60.0))
            })
        };
        row(&mut text, "lines touched", touched(|touched| touched.lines));
        row(&mut text, "not touched by the previous", touched(|touched| touched.fresh));
        row(&mut text, "bytes read", touched(|touched| touched.bytes_read));
        row(&mut text, "bytes written", touched(|touched| touched.bytes_written));
        row(&mut text, "bytes of log", touched(|touched| touched.log_bytes));

        let mut threads = Vec::new();
        for (thread, _) in THREADS {
            threads.push(format!("{thread}: a group"));
            threads.push("a record".to_owned());
        }
        text += &format!("\n| |{}\n|---|{}\n", heads(&threads), "--:|".repeat(threads.len()));
        let costs = || THREADS.iter().map(|(thread, _)| &self.groups.threads[thread]);
        let both = |of: &dyn Fn(&Costs) -> String| {
            costs().flat_map(|behind| [of(&behind.group), of(&behind.record)]).collect::<Vec<_>>()
        };
        for arrow in OF_A_RECORD {
            row(
                &mut text,
                arrow,
                both(&|costs| costs.get(arrow).map_or_else(String::new, |cost| cell(*cost))),
            );
        }
        row(&mut text, &bold(TOTAL), both(&|costs| bold(&whole(total(costs).instructions))));
        row(&mut text, "cache misses", both(&|costs| format!("{:.1}", total(costs).misses)));

        text += &format!(
            "\nA record takes {:.0} bytes of log in a full chunk; a group takes {:.0} more, with its first record.\n\n\
             | thread | system calls a group |\n|---|---|\n",
            self.groups.record_bytes, self.groups.group_bytes
        );
        for (thread, calls) in &self.calls {
            let calls: Vec<String> = calls.iter().map(|(name, each)| format!("{each:.1} `{name}`")).collect();
            text += &format!("| {thread} | {} |\n", calls.join(", "));
        }
        text + "\n"
    }

    /// Writes the tables into the page.
    pub fn write(&self) {
        page::write(Path::new(PAGE), "counted", &self.tables());
    }
}

/// Checks that the page's sums are the accepted ones; the error lists those that are not.
pub fn check() -> Result<(), String> {
    let accepted = fs::read_to_string(ACCEPTED).expect("counts were accepted");
    let accepted: BTreeMap<&str, f64> = accepted
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(name, count)| Some((name, count.parse::<f64>().ok()? / OPERATIONS)))
        .collect();
    let accepted = |name: &str| accepted.get(name).copied().unwrap_or(f64::NAN);
    let page = fs::read_to_string(PAGE).expect("the page is there");
    let mut sums = page.lines().filter_map(|line| line.strip_prefix(&format!("| {} |", bold(TOTAL))));
    let mut next = || -> Vec<String> {
        let cells = sums.next().unwrap_or_default().split('|');
        cells.map(|cell| cell.trim().trim_matches('*').to_owned()).collect()
    };
    let (decisions, threads) = (next(), next());
    let said = |cells: &[String], at: usize| cells.get(at).cloned().unwrap_or_default();
    let decisions = COLUMNS.iter().enumerate().map(|(at, (name, _))| {
        let count = column(name, accepted, |four, all| (all - four) / 60.0);
        (name.to_string(), said(&decisions, at), count)
    });
    let threads = THREADS.iter().enumerate().map(|(at, (thread, _))| {
        let name = format!("{thread}_record");
        let count = accepted(&name);
        (name, said(&threads, 2 * at + 1), count)
    });
    let differ: Vec<String> = decisions
        .chain(threads)
        .filter(|(_, said, count)| *said != whole(*count))
        .map(|(name, said, count)| format!("{name}: {said:?} on the page, {} accepted", whole(count)))
        .collect();
    if differ.is_empty() {
        return Ok(());
    }
    Err(format!(
        "{PAGE} differs from the accepted counts; run benches/instructions.sh --accept\n{}",
        differ.join("\n")
    ))
}

fn heads<S: AsRef<str>>(heads: impl IntoIterator<Item = S>) -> String {
    heads.into_iter().map(|head| format!(" {} |", head.as_ref())).collect()
}

fn row<S: AsRef<str>>(text: &mut String, head: &str, cells: impl IntoIterator<Item = S>) {
    *text += &format!("| {head} |{}\n", heads(cells));
}

fn bold(text: &str) -> String {
    format!("**{text}**")
}

/// Instructions, nothing for less than half of one.
fn cell(cost: Cost) -> String {
    if cost.instructions < 0.5 { String::new() } else { whole(cost.instructions) }
}

/// Rounded, with a comma after the thousands.
fn whole(number: f64) -> String {
    let digits = format!("{number:.0}");
    match digits.len() {
        4.. if number > 0.0 => format!("{},{}", &digits[..digits.len() - 3], &digits[digits.len() - 3..]),
        _ => digits,
    }
}
