//! The sale that meets the trouble, in a child process, and the check of the directory that it leaves.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, IoSlice, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Stdio, exit};
use std::thread;
use std::time::Duration;

use stockhold::error::{
    ConfirmError, NameError, OpenError, OperationError, OutcomeUnknown, ReserveError, SharedError,
    StockError, Stopped,
};
use stockhold::inspect::Inspection;
use stockhold::retry::Retry;
use stockhold::{
    Config, Confirm, Durability, Engine, HoldId, HoldState, OpKey, Receipt, Receive, Reserve, StockKey,
};

const DIRECTORY: &str = "STOCKHOLD_TEST_SALE_IN";
const SALE: &str = "STOCKHOLD_TEST_SALE";
const UNITS: u32 = 100_000;
/// A sale that takes longer hangs.
const SALE_MAX: Duration = Duration::from_secs(60);

/// The task of the child.
#[derive(Clone, Debug)]
pub struct Sale {
    pub durability: Durability,
    /// The number of the first order. Sales in one directory must not share numbers.
    pub first: u64,
    pub orders: u64,
    /// Orders that are decided before the sale waits for the first of them.
    pub batch: u64,
    /// A shell command that runs when the orders are done. Its status is ignored.
    pub then: &'static str,
    /// Orders after that command.
    pub more: u64,
    pub ending: Ending,
    /// Whether it takes every descriptor that is left, once the engine runs.
    pub takes_all_descriptors: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    Close,
    /// The process exits without a close, as after `kill -9`.
    Abandon,
}

pub const SMALL: Sale = Sale {
    durability: Durability::Sync,
    first: 0,
    orders: 6,
    batch: 1,
    then: "",
    more: 0,
    ending: Ending::Close,
    takes_all_descriptors: false,
};

impl Sale {
    fn to_args(&self) -> String {
        let interval_ms = match self.durability {
            Durability::Interval(period) => period.as_millis() as u64,
            _ => 0,
        };
        let ending = self.ending as u64;
        let Sale { first, orders, batch, then, more, takes_all_descriptors, .. } = self;
        let takes_all = u64::from(*takes_all_descriptors);
        format!("{interval_ms} {first} {orders} {batch} {more} {ending} {takes_all} {then}")
    }

    fn from_args(args: String) -> Sale {
        let args: &'static str = args.leak();
        let words: Vec<&str> = args.splitn(8, ' ').collect();
        let numbers: Vec<u64> = words[..7].iter().map(|number| number.parse().unwrap()).collect();
        let [interval_ms, first, orders, batch, more, ending, takes_all] = numbers[..] else {
            panic!("{args}")
        };
        Sale {
            durability: match interval_ms {
                0 => Durability::Sync,
                ms => Durability::Interval(Duration::from_millis(ms)),
            },
            first,
            orders,
            batch,
            then: words[7],
            more,
            ending: [Ending::Close, Ending::Abandon][ending as usize],
            takes_all_descriptors: takes_all == 1,
        }
    }

    /// Runs in `directory`, under `wrapper` if there is one, until it ends.
    pub fn run(&self, wrapper: &[String], directory: &Path) -> Transcript {
        let child = [std::env::current_exe().unwrap().display().to_string()];
        let mut words = wrapper.iter().chain(&child);
        let output = Command::new(words.next().unwrap())
            .args(words)
            .args(["--exact", "sale::child_that_sells", "--nocapture", "--test-threads=1"])
            .env(DIRECTORY, directory)
            .env(SALE, self.to_args())
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let mut transcript = Transcript { stderr, ..Transcript::default() };
        String::from_utf8_lossy(&output.stdout).lines().for_each(|line| transcript.add_line(line));
        transcript
    }
}

/// The answers that the child got for an order.
#[derive(Clone, Copy, Debug, Default)]
pub struct Order {
    pub held: Option<u128>,
    pub sold: bool,
}

/// The answers that the child got, as it printed them.
#[derive(Clone, Debug, Default)]
pub struct Transcript {
    pub begun: bool,
    pub opened: bool,
    /// The error of the opening, if it failed: its variant and its sentence.
    pub refused: Option<(String, String)>,
    pub orders: BTreeMap<u64, Order>,
    /// Sentences of receipts whose outcome is unknown.
    pub unknown: Vec<String>,
    /// Sentences of the operations that the stopped engine refused.
    pub stopped: Vec<String>,
    /// The result of the shutdown, if there was one.
    pub closed: Option<Result<(), String>>,
    pub ended: bool,
    pub stderr: String,
}

impl Transcript {
    fn add_line(&mut self, line: &str) {
        // The test harness prints lines too.
        let Some(mark) = line.split_once("mark ").map(|(_, mark)| mark) else { return };
        let (what, rest) = mark.split_once(' ').unwrap_or((mark, ""));
        let (number, more) = rest.split_once(' ').unwrap_or((rest, ""));
        let number = number.parse::<u64>();
        match (what, number) {
            ("begun", _) => self.begun = true,
            ("opened", _) => self.opened = true,
            ("refused", _) => {
                self.refused = rest.split_once(' ').map(|(kind, why)| (kind.into(), why.into()))
            }
            ("asking", Ok(number)) => drop(self.orders.entry(number).or_default()),
            ("held", Ok(number)) => self.orders.entry(number).or_default().held = Some(more.parse().unwrap()),
            ("sold", Ok(number)) => self.orders.entry(number).or_default().sold = true,
            ("unknown", _) => self.unknown.push(rest.into()),
            ("stopped", _) => self.stopped.push(rest.into()),
            ("closed", _) => self.closed = Some(Ok(())),
            ("unclosed", _) => self.closed = Some(Err(rest.into())),
            ("end", _) => self.ended = true,
            _ => panic!("{line}"),
        }
    }

    pub fn acknowledged(&self) -> usize {
        self.orders.values().filter(|order| order.held.is_some()).count()
    }

    /// Whether no answer shows any trouble.
    pub fn is_untroubled(&self) -> bool {
        self.opened
            && self.ended
            && self.closed == Some(Ok(()))
            && self.unknown.is_empty()
            && self.stopped.is_empty()
    }

    /// Every sentence that must name a cause.
    pub fn sentences(&self) -> Vec<&str> {
        let refused = self.refused.iter().map(|(_, why)| why);
        let closed = self.closed.iter().filter_map(|closed| closed.as_ref().err());
        refused.chain(&self.unknown).chain(&self.stopped).chain(closed).map(String::as_str).collect()
    }

    /// Asserts that the child came to its end without a panic, and that each of its sentences says what to
    /// do.
    #[track_caller]
    pub fn assert_well_behaved(&self) {
        assert!(!self.stderr.contains("panicked"), "a thread panicked");
        assert!(self.ended || !self.begun, "the child ended early");
        if let Some((kind, why)) = &self.refused {
            assert!(["Io", "InUse", "Thread"].contains(&kind.as_str()), "an error of kind {kind}: {why}");
        }
        let advised =
            ["free space", "raise", "mount", "look at", "permi", "close the engine", "local file system"];
        for sentence in self.sentences() {
            assert!(
                advised.iter().any(|advice| sentence.contains(advice)),
                "it does not say what to do: {sentence}"
            );
        }
    }
}

fn config(durability: Durability) -> Config {
    let hour = Duration::from_secs(3600);
    Config::default().durability(durability).ring_bytes(1 << 20).ttl_bounds(hour, hour).ttl_default(hour)
}

fn reference(number: u64) -> String {
    format!("order-{number:034}")
}

fn order(key: StockKey, number: u64, reference: &str) -> Reserve<'_> {
    Reserve::units(key, 1).reference(reference).op_key(OpKey(u128::from(number) * 2 + 2))
}

fn payment(number: u64, hold: HoldId) -> Option<Confirm<'static>> {
    number.is_multiple_of(3).then(|| Confirm::hold(hold).op_key(OpKey(u128::from(number) * 2 + 3)))
}

fn stock(key: StockKey) -> Receive<'static> {
    Receive::units(key, UNITS).op_key(OpKey(1))
}

/// Not a test: the body of the child process, which runs if [`DIRECTORY`] is set.
#[test]
fn child_that_sells() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    let sale = Sale::from_args(std::env::var(SALE).unwrap());
    thread::spawn(|| {
        thread::sleep(SALE_MAX);
        eprintln!("hung");
        exit(1);
    });
    // Uses writev, which no test makes fail.
    let out = File::from(io::stdout().as_fd().try_clone_to_owned().unwrap());
    let mark = |what: &str| {
        let line = format!("mark {what}\n");
        let written = (&out).write_vectored(&[IoSlice::new(line.as_bytes())]).unwrap();
        assert_eq!(written, line.len());
    };
    mark("begun");
    match Engine::open(&directory, config(sale.durability)) {
        Ok(engine) => {
            mark("opened");
            let descriptors = if sale.takes_all_descriptors { take_all_descriptors() } else { Vec::new() };
            sell(&engine, &sale, &mark);
            if !sale.then.is_empty() {
                let _ = Command::new("sh")
                    .args(["-c", sale.then])
                    .current_dir(&directory)
                    .stderr(Stdio::null())
                    .status();
                let more = Sale { first: sale.first + sale.orders, orders: sale.more, ..sale };
                sell(&engine, &more, &mark);
            }
            if sale.ending != Ending::Abandon {
                match engine.shutdown() {
                    Ok(()) => mark("closed"),
                    Err(error) => mark(&format!("unclosed {error}")),
                }
                drop(engine);
            } else {
                std::mem::forget(engine);
            }
            drop(descriptors);
        }
        Err(error) => mark(&format!("refused {} {error}", variant(&error))),
    }
    mark("end");
    exit(0);
}

fn variant(error: &OpenError) -> String {
    let text = format!("{error:?}");
    text.split(|end: char| !end.is_alphanumeric()).next().unwrap().to_owned()
}

/// Sells until the orders are done or the engine has stopped, then checks that a stopped engine refuses all
/// but reads.
fn sell(engine: &Engine, sale: &Sale, mark: &impl Fn(&str)) {
    let mut held = Vec::new();
    let stopped = sell_until_stopped(engine, sale, mark, &mut held);
    let Err(stopped) = stopped else { return };
    mark(&format!("stopped {stopped}"));
    assert!(matches!(stopped, Stopped::Poisoned(_)), "{stopped:?}");
    // Reads still work, and nothing else does.
    for &hold in &held {
        let status = engine.status(hold).unwrap();
        assert!(matches!(status.state, HoldState::Active | HoldState::Confirmed), "{status:?}");
        let released = engine.release(hold).map(|receipt| receipt.not_yet_durable());
        assert!(released.is_err(), "{released:?}");
    }
    for key in engine.keys() {
        match engine.level(key) {
            Ok(level) => assert!(level.on_hand == 0 || level.on_hand == i64::from(UNITS), "{level:?}"),
            // Its declaration never reached the log.
            Err(error) => assert!(held.is_empty() && is_stopped(&error), "{error}"),
        }
        assert!(engine.available(key).unwrap() <= i64::from(UNITS));
        assert!(engine.available_exactly(key).unwrap() <= i64::from(UNITS));
        let again = engine.reserve(Reserve::units(key, 1)).map(|receipt| receipt.not_yet_durable());
        assert!(again.is_err(), "{again:?}");
    }
    assert!(engine.declare("frame", "berlin").is_err());
}

fn is_stopped(error: &StockError) -> bool {
    matches!(error, StockError::Shared(SharedError::Stopped(Stopped::Poisoned(_))))
}

fn sell_until_stopped(
    engine: &Engine,
    sale: &Sale,
    mark: &impl Fn(&str),
    held: &mut Vec<HoldId>,
) -> Result<(), Stopped> {
    let unknown = |error: OutcomeUnknown| {
        mark(&format!("unknown {error}"));
        error.cause
    };
    let key = engine.declare("poster", "berlin").map_err(|error| match error {
        NameError::Shared(common) => cause(common),
        error => panic!("{error}"),
    })?;
    let received = engine.receive(stock(key)).map_err(|error| match error {
        StockError::Shared(common) => cause(common),
        error => panic!("{error}"),
    })?;
    received.wait().map_err(unknown)?;
    let mut next = sale.first;
    while next < sale.first + sale.orders {
        let mut batch = Vec::new();
        let mut stopped = Ok(());
        for number in (next..sale.first + sale.orders).take(sale.batch as usize) {
            mark(&format!("asking {number}"));
            let reference = reference(number);
            match engine.reserve(order(key, number, &reference)) {
                Ok(receipt) => batch.push((number, receipt)),
                Err(ReserveError::Shared(common)) => {
                    stopped = Err(cause(common));
                    break;
                }
                Err(error) => panic!("{error}"),
            }
        }
        next += sale.batch;
        for (number, receipt) in batch {
            match receipt.wait() {
                Ok(reserved) => {
                    mark(&format!("held {number} {}", reserved.hold.to_u128()));
                    held.push(reserved.hold);
                    let Some(payment) = payment(number, reserved.hold) else { continue };
                    match engine.confirm(payment) {
                        Ok(receipt) => match receipt.wait() {
                            Ok(_) => mark(&format!("sold {number}")),
                            Err(error) => stopped = Err(unknown(error)),
                        },
                        Err(ConfirmError::Shared(common)) => stopped = Err(cause(common)),
                        Err(error) => panic!("{error}"),
                    }
                }
                Err(error) => stopped = Err(unknown(error)),
            }
        }
        stopped?;
    }
    Ok(())
}

fn cause(common: SharedError) -> Stopped {
    match common {
        SharedError::Stopped(stopped) => stopped,
        other => panic!("{other}"),
    }
}

/// Opens files until no descriptor is left.
fn take_all_descriptors() -> Vec<File> {
    std::iter::from_fn(|| File::open("/dev/null").ok()).collect()
}

/// Repeats the call while its error is transient. The decision is durable once the engine has closed.
fn insist<'e, T, E: OperationError>(call: impl FnMut() -> Result<Receipt<'e, T>, E>) -> T {
    let answer = Retry::yielding().call(call);
    answer.unwrap_or_else(|error| panic!("{error}")).not_yet_durable()
}

/// Opens the directory without trouble and checks it against the transcripts of all sales in it: everything
/// acknowledged is there, and an operation that is repeated with its op key happens once.
#[track_caller]
pub fn check_directory(directory: &Path, transcripts: &[&Transcript]) {
    let orders = transcripts.iter().flat_map(|transcript| transcript.orders.iter());
    let orders: Vec<(u64, Order)> = orders.map(|(number, order)| (*number, *order)).collect();
    if transcripts.iter().any(|transcript| transcript.acknowledged() > 0) {
        assert_eq!(Inspection::open(directory).unwrap().drift(), None);
    }
    let engine = match Engine::open(directory, config(Durability::Sync)) {
        Ok(engine) => engine,
        Err(error) => panic!("not opened again: {error:?}"),
    };
    let key = engine.declare("poster", "berlin").unwrap();
    engine.receive(stock(key)).unwrap().wait().unwrap();
    let (mut held, mut committed) = (0, 0);
    let first = orders.first().map_or(0, |(number, _)| *number);
    for (number, answers) in orders {
        if let Some(hold) = answers.held {
            let state = engine.status(HoldId::from_u128(hold)).expect("an acknowledged hold").state;
            assert!(state == HoldState::Confirmed || state == HoldState::Active && !answers.sold, "{state}");
        }
        let reference = reference(number);
        let ask = || insist(|| engine.reserve(order(key, number, &reference))).hold;
        let hold = ask();
        assert_eq!(hold, ask(), "the operation happened twice");
        assert!(answers.held.is_none_or(|held| held == hold.to_u128()), "not the hold that was acknowledged");
        match payment(number, hold) {
            Some(payment) => {
                insist(|| engine.confirm(payment));
                committed += 1;
            }
            None => held += 1,
        }
    }
    let level = engine.level(key).unwrap();
    assert_eq!(engine.holds_of(reference(first)).len(), usize::from(held + committed > 0));
    assert_eq!((level.on_hand, level.held, level.committed), (i64::from(UNITS), held, committed));
    engine.shutdown().unwrap();
    assert_eq!(Inspection::open(directory).unwrap().drift(), None);
}
