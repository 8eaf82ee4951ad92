//! Sums the counts of callgrind by step.
//!
//! Each instruction counts for the innermost line of ours that it comes from, inlined or not, by the debug
//! information of its address. Other code (the standard library, allocator, sled) counts for the line of ours
//! that called it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::io::Write;
use std::ops::{AddAssign, Mul, Sub};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use super::arrow::{self, Arrow, ELSEWHERE};

/// Instructions, and accesses that missed a first-level cache of 32 KiB and eight ways.
#[derive(Clone, Copy, Default, PartialEq, Debug)]
pub struct Cost {
    pub instructions: f64,
    pub misses: f64,
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Cost) {
        self.instructions += other.instructions;
        self.misses += other.misses;
    }
}

impl Sub for Cost {
    type Output = Cost;
    fn sub(self, other: Cost) -> Cost {
        Cost { instructions: self.instructions - other.instructions, misses: self.misses - other.misses }
    }
}

impl Mul<f64> for Cost {
    type Output = Cost;
    fn mul(self, times: f64) -> Cost {
        Cost { instructions: self.instructions * times, misses: self.misses * times }
    }
}

pub type Costs = BTreeMap<Arrow, Cost>;

pub fn total(costs: &Costs) -> Cost {
    costs.values().fold(Cost::default(), |mut sum, cost| {
        sum += *cost;
        sum
    })
}

/// One dump: a thread's counts.
pub struct Dump {
    binary: String,
    /// Function of the binary, address, and cost of the instruction.
    own: Vec<(usize, u64, Cost)>,
    /// Function, address in it, called function, and cost of the whole call.
    calls: Vec<(usize, u64, usize, Cost)>,
    /// (object, function)
    functions: HashMap<(String, String), usize>,
    total: Cost,
}

/// Paths of our own source, innermost first, by address.
pub type Lines = HashMap<u64, Vec<String>>;

impl Dump {
    /// Reads what `--dump-instr=yes` and `--compress-strings=no --compress-pos=no` write.
    pub fn read(file: &Path) -> Dump {
        let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let mut dump = Dump {
            binary: String::new(),
            own: Vec::new(),
            calls: Vec::new(),
            functions: HashMap::new(),
            total: Cost::default(),
        };
        let (mut object, mut function) = (String::new(), 0);
        let (mut called_object, mut called) = (None, None);
        let mut counts_call = false;
        for line in text.lines() {
            if line.starts_with("0x") {
                let mut fields = line.split_ascii_whitespace();
                let address = fields.next().map_or(0, |hex| u64::from_str_radix(&hex[2..], 16).unwrap());
                let cost = cost(fields.skip(1));
                if std::mem::take(&mut counts_call) {
                    let called = called.take().expect("a call has a target");
                    dump.calls.push((function, address, called, cost));
                } else {
                    dump.own.push((function, address, cost));
                }
            } else if line.starts_with("calls=") {
                counts_call = true;
            } else if let Some((what, name)) = line.split_once('=') {
                match what {
                    "ob" => object = name.to_owned(),
                    "cob" => called_object = Some(name.to_owned()),
                    "fn" => function = dump.function(&object, name),
                    "cfn" => {
                        let object = called_object.take().unwrap_or_else(|| object.clone());
                        called = Some(dump.function(&object, name));
                    }
                    _ => {}
                }
            } else if let Some(command) = line.strip_prefix("cmd:") {
                dump.binary = command.split_ascii_whitespace().next().unwrap_or_default().to_owned();
            } else if let Some(counts) = line.strip_prefix("summary:") {
                dump.total = cost(counts.split_ascii_whitespace());
            }
        }
        dump
    }

    fn function(&mut self, object: &str, name: &str) -> usize {
        let next = self.functions.len();
        *self.functions.entry((object.to_owned(), name.to_owned())).or_insert(next)
    }

    /// Functions of the benchmark's own binary.
    fn in_binary(&self) -> HashSet<usize> {
        let of =
            |((object, _), number): (&(String, String), &usize)| (*object == self.binary).then_some(*number);
        self.functions.iter().filter_map(of).collect()
    }

    /// Adds the source lines of ours for its addresses.
    pub fn lines(&self, lines: &mut Lines) {
        let ours = self.in_binary();
        let own = self.own.iter().map(|(function, address, _)| (function, address));
        let calls = self.calls.iter().map(|(function, address, ..)| (function, address));
        let addresses: HashSet<u64> = own
            .chain(calls)
            .filter(|(function, address)| ours.contains(function) && !lines.contains_key(address))
            .map(|(_, address)| *address)
            .collect();
        resolve(&self.binary, &addresses, lines);
    }

    /// The thread's costs by step. `decides` is true for a caller's thread.
    pub fn by_arrow(&self, lines: &Lines, decides: bool) -> Costs {
        let in_binary = self.in_binary();
        let at = |function: &usize, address: &u64| {
            let paths = lines.get(address).filter(|_| in_binary.contains(function))?;
            paths.iter().find_map(|path| arrow::of(path, decides))
        };
        // A function is ours if any of it comes from our lines.
        let own = self.own.iter().map(|(function, address, _)| (function, address));
        let calls = self.calls.iter().map(|(function, address, ..)| (function, address));
        let ours: HashSet<usize> =
            own.chain(calls).filter(|(f, a)| at(f, a).is_some()).map(|(function, _)| *function).collect();
        // Other code sometimes calls back into ours (a closure): that part counts where it is.
        let mut into: HashMap<usize, f64> = HashMap::new();
        let mut back: HashMap<usize, f64> = HashMap::new();
        for (function, _, called, cost) in &self.calls {
            *into.entry(*called).or_default() += cost.instructions;
            if ours.contains(called) && !ours.contains(function) {
                *back.entry(*function).or_default() += cost.instructions;
            }
        }
        // In a function of ours, instructions without a line of ours count for the step with the most.
        let mut within: HashMap<usize, Costs> = HashMap::new();
        for (function, address, cost) in &self.own {
            if let Some(arrow) = at(function, address) {
                *within.entry(*function).or_default().entry(arrow).or_default() += *cost;
            }
        }
        let most = |function: &usize| {
            let most =
                within.get(function)?.iter().max_by(|a, b| a.1.instructions.total_cmp(&b.1.instructions));
            most.map(|(arrow, _)| *arrow)
        };
        let mut costs = Costs::new();
        let mut count = |function: &usize, address: &u64, cost: Cost| {
            let arrow = at(function, address).or_else(|| most(function)).unwrap_or(ELSEWHERE);
            *costs.entry(arrow).or_default() += cost;
        };
        for (function, address, cost) in &self.own {
            if ours.contains(function) {
                count(function, address, *cost);
            }
        }
        for (function, address, called, cost) in &self.calls {
            if ours.contains(function) && !ours.contains(called) {
                let of = into.get(called).copied().unwrap_or(0.0).max(1.0);
                let share = 1.0 - (back.get(called).copied().unwrap_or(0.0) / of).clamp(0.0, 1.0);
                count(function, address, *cost * share);
            }
        }
        let missing = self.total - total(&costs);
        *costs.entry(ELSEWHERE).or_default() += missing;
        costs
    }
}

/// Ir Dr Dw I1mr D1mr D1mw ..., trailing zeros left out.
fn cost<'t>(counts: impl Iterator<Item = &'t str>) -> Cost {
    let counts: Vec<f64> = counts.map(|count| count.parse().unwrap()).collect();
    let count = |at: usize| counts.get(at).copied().unwrap_or(0.0);
    Cost { instructions: count(0), misses: count(4) + count(5) }
}

fn resolve(binary: &str, addresses: &HashSet<u64>, lines: &mut Lines) {
    let mut child = Command::new("addr2line")
        .args(["--inlines", "--addresses", "--exe", binary])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("addr2line is there: it comes with the linker (binutils)");
    let mut input = child.stdin.take().unwrap();
    let asked: String = addresses.iter().map(|address| format!("{address:#x}\n")).collect();
    let asking = thread::spawn(move || input.write_all(asked.as_bytes()).expect("addr2line listens"));
    let said = child.wait_with_output().expect("addr2line answers").stdout;
    asking.join().unwrap();
    let root = format!("{}/", Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().display());
    let mut at = 0;
    for line in String::from_utf8_lossy(&said).lines() {
        if let Some(hex) = line.strip_prefix("0x") {
            at = u64::from_str_radix(hex, 16).unwrap();
            lines.entry(at).or_default();
        } else if let Some(path) = line.strip_prefix(&root) {
            let path = path.split(':').next().unwrap_or_default();
            lines.entry(at).or_default().push(path.to_owned());
        }
    }
}
