//! The cache lines that an operation touches, from valgrind's trace of every access to memory.
//!
//! A child under `valgrind --tool=lackey` writes the number of each operation to one word before it begins,
//! so that the trace can be cut. Lines of 64 bytes are counted, those of the thread's stack apart. The trace
//! does not say which thread made an access; threads take turns under valgrind, so almost all operations are
//! one thread's alone, and the median of all is reported.

use std::collections::HashSet;
use std::hint::black_box;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use super::workload::{OPERATIONS, Workload};

/// Written before each operation.
static MARK: AtomicU64 = AtomicU64::new(0);

/// How far the stack reaches around one of its variables.
const STACK_BYTES: u64 = 1 << 20;

/// The accesses of the median operation, without the stack.
#[derive(Clone, Copy, Debug, Default)]
pub struct Touched {
    pub lines: u64,
    /// Those of them that the previous operation has not touched.
    pub fresh: u64,
    pub bytes_read: u64,
    pub bytes_written: u64,
    /// Bytes of log.
    pub log_bytes: u64,
}

/// Runs in the traced child: prints the addresses of its marks, then works.
pub fn child(name: &str) {
    let workload = Workload::set(name);
    let on_stack = 0u64;
    let before = workload.words();
    println!("{:x} {:x}", &raw const MARK as usize, &raw const *black_box(&on_stack) as usize);
    for step in 0..OPERATIONS {
        MARK.store(step + 1, Ordering::Relaxed);
        workload.step(step);
    }
    MARK.store(0, Ordering::Relaxed);
    println!("{}", (workload.words() - before) * 8 / OPERATIONS);
    // Exits without cleaning up, since every instruction of that would be traced.
    std::process::exit(0);
}

pub fn measure(name: &str) -> Touched {
    // Under valgrind addresses are the same in each run: a quick run prints them before the traced one.
    let told = run(&["--tool=none", "-q"], name).wait_with_output().expect("valgrind runs").stdout;
    let told = String::from_utf8_lossy(&told);
    let mut told = told.split_whitespace();
    let mut hex = || told.next().and_then(|hex| u64::from_str_radix(hex, 16).ok());
    let (Some(mark), Some(stack)) = (hex(), hex()) else { panic!("{name} does not run under valgrind") };
    let log_bytes = told.next().and_then(|number| number.parse().ok()).expect("the bytes of a record");

    let mut child = run(&["--tool=lackey", "--trace-mem=yes"], name);
    let mut trace = BufReader::with_capacity(1 << 20, child.stderr.take().unwrap());
    let mut operations: Vec<Operation> = Vec::new();
    let (mut counts, mut line) = (false, Vec::new());
    while trace.read_until(b'\n', &mut line).expect("a trace can be read") > 0 {
        if let Some((kind, address, bytes)) = access(&line) {
            if address == mark && kind == b'S' {
                counts = operations.len() < OPERATIONS as usize;
                operations.extend(counts.then(Operation::default));
            } else if counts && address.abs_diff(stack) > STACK_BYTES {
                operations.last_mut().unwrap().note(kind, address, bytes);
            }
        }
        line.clear();
    }
    child.wait().unwrap();
    assert_eq!(operations.len(), OPERATIONS as usize, "{name}: marks that were found in the trace");
    let before = std::iter::once(None).chain(operations.iter().map(Some));
    let fresh = before.zip(&operations).map(|(before, operation)| match before {
        Some(before) => operation.lines.difference(&before.lines).count() as u64,
        None => operation.lines.len() as u64,
    });
    let of = |count: fn(&Operation) -> u64| middle(operations.iter().map(count).collect());
    Touched {
        lines: of(|operation| operation.lines.len() as u64),
        fresh: middle(fresh.collect()),
        bytes_read: of(|operation| operation.bytes_read),
        bytes_written: of(|operation| operation.bytes_written),
        log_bytes,
    }
}

fn run(tool: &[&str], name: &str) -> std::process::Child {
    Command::new("valgrind")
        .args(tool)
        .arg(std::env::current_exe().unwrap())
        .args(["lines", name])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("valgrind is installed: benches/instructions.sh does it")
}

#[derive(Default)]
struct Operation {
    lines: HashSet<u64>,
    bytes_read: u64,
    bytes_written: u64,
}

impl Operation {
    fn note(&mut self, kind: u8, address: u64, bytes: u64) {
        self.lines.extend(address / 64..=(address + bytes - 1) / 64);
        // M: read and written.
        self.bytes_read += if kind == b'S' { 0 } else { bytes };
        self.bytes_written += if kind == b'L' { 0 } else { bytes };
    }
}

/// ` S 1ffeffe7e8,8`: kind, address and bytes. Lines of instructions begin with an I.
fn access(line: &[u8]) -> Option<(u8, u64, u64)> {
    let line = std::str::from_utf8(line).ok()?.strip_prefix(' ')?;
    let (kind, access) = line.trim_end().split_once(' ')?;
    let (address, bytes) = access.trim_start().split_once(',')?;
    Some((*kind.as_bytes().first()?, u64::from_str_radix(address, 16).ok()?, bytes.parse().ok()?))
}

fn middle(mut numbers: Vec<u64>) -> u64 {
    numbers.sort_unstable();
    numbers[numbers.len() / 2]
}
