//! TigerBeetle: a stock key is an account whose debits may not exceed its credits, and a hold is a pending
//! transfer of one unit out of it, which the server voids by itself at its timeout. Nothing can be deleted
//! there, so each row has its own accounts.

use std::future::Future;
use std::pin::pin;
use std::process::Command;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tigerbeetle::{
    Account, AccountFlags, Client, CreateAccountStatus, CreateTransferStatus, Transfer, TransferFlags,
};

use crate::error::PeerError;
use crate::job::{Job, TTL, UNITS};
use crate::row::{Row, thousands};
use crate::sample::Sample;

const SYSTEM: &str = "TigerBeetle";

/// The most events of one request.
const BATCH_MAX: u64 = 8_189;

/// The number of clients, each with one pending request, and the holds of a request. More clients with the
/// largest requests are no faster.
const SHAPES: [(u64, u64); 3] = [(1, BATCH_MAX), (2, BATCH_MAX), (8, 1)];

/// The ledger and the code of all accounts and transfers.
const LEDGER: u32 = 1;
const CODE: u16 = 1;

pub(crate) fn rows(port: u16) -> Vec<Row> {
    let row = |(clients, batch)| Row {
        system: SYSTEM,
        setting: format!(
            "batches of {}, {clients} client{}",
            thousands(batch),
            if clients == 1 { "" } else { "s" }
        ),
        contains: "loopback, units returned at expiry; survives loss of power",
        lacks: "replication",
        measure: Box::new(move |job| run(port, clients, batch, job)),
    };
    SHAPES.map(row).into()
}

/// The version of the program, since a server does not report its own.
pub(crate) fn version(port: u16) -> Result<String, PeerError> {
    answer(port, connect(port)?.lookup_accounts(&[1]))?;
    let program = "tigerbeetle";
    let output = Command::new(program).arg("version").output();
    let text = output.map_err(|error| PeerError::NotThere { program, error })?.stdout;
    let text = String::from_utf8_lossy(&text);
    Ok(text.split_whitespace().last().unwrap_or_default().to_owned())
}

fn run(port: u16, clients: u64, batch: u64, job: Job) -> Result<Sample, PeerError> {
    let control = connect(port)?;
    let accounts = Accounts::open(port, &control, job)?;
    let mut asking =
        (0..clients).map(|number| Asking::begin(port, number << 32)).collect::<Result<Vec<_>, _>>()?;
    let holds_max = job.holds_max.div_ceil(clients);
    let began = Instant::now();
    thread::scope(|scope| {
        let workers: Vec<_> = asking
            .iter_mut()
            .map(|one| scope.spawn(|| one.ask(job, &accounts, batch.min(holds_max), holds_max, began)))
            .collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("worker threads do not panic"))
    })?;
    let mut sample = Sample { granted: 0, elapsed: began.elapsed(), ack_ns: Sample::histogram() };
    for one in &asking {
        sample.granted += one.granted;
        sample.ack_ns += &one.ack_ns;
    }
    let (missing, held) = accounts.count(port, &control)?;
    sample.agrees(missing, "units are missing from the stock")?;
    sample.agrees(held, "units are held")?;
    Ok(sample)
}

/// The accounts of a row: the supplier, the buyer, and after those one for each stock key.
struct Accounts {
    supplier: u128,
    keys: u64,
}

impl Accounts {
    fn open(port: u16, client: &Client, job: Job) -> Result<Accounts, PeerError> {
        let accounts = Accounts { supplier: tigerbeetle::id(), keys: job.demand.keys() };
        let account = |id, flags| Account { id, ledger: LEDGER, code: CODE, flags, ..Account::default() };
        let others = [accounts.supplier, accounts.buyer()].map(|id| account(id, AccountFlags::empty()));
        let stock = accounts.stock().map(|id| account(id, AccountFlags::DebitsMustNotExceedCredits));
        let opened: Vec<Account> = others.into_iter().chain(stock).collect();
        for some in opened.chunks(BATCH_MAX as usize) {
            for created in answer(port, client.create_accounts(some))? {
                if created.status != CreateAccountStatus::Created {
                    return Err(unexpected(created.status, "a new account"));
                }
            }
        }
        let supply = |id| Transfer {
            id: tigerbeetle::id(),
            debit_account_id: accounts.supplier,
            credit_account_id: id,
            amount: UNITS.into(),
            ledger: LEDGER,
            code: CODE,
            ..Transfer::default()
        };
        let supplies: Vec<Transfer> = accounts.stock().map(supply).collect();
        supplies.chunks(BATCH_MAX as usize).try_for_each(|some| transfer(port, client, some))?;
        Ok(accounts)
    }

    fn buyer(&self) -> u128 {
        self.supplier + 1
    }

    fn stock(&self) -> impl Iterator<Item = u128> {
        (0..self.keys).map(|key| self.stock_key(key))
    }

    fn stock_key(&self, key: u64) -> u128 {
        self.supplier + 2 + u128::from(key)
    }

    fn hold(&self, job: Job, reference: u64) -> Transfer {
        Transfer {
            id: tigerbeetle::id(),
            debit_account_id: self.stock_key(job.key_of(reference)),
            credit_account_id: self.buyer(),
            amount: 1,
            user_data_64: reference,
            timeout: TTL.as_secs() as u32,
            ledger: LEDGER,
            code: CODE,
            flags: TransferFlags::Pending,
            ..Transfer::default()
        }
    }

    /// The missing units, and the held ones.
    fn count(&self, port: u16, client: &Client) -> Result<(i64, i64), PeerError> {
        let mut missing = 0;
        for ids in self.stock().collect::<Vec<_>>().chunks(BATCH_MAX as usize) {
            let accounts = answer(port, client.lookup_accounts(ids))?;
            missing += accounts.iter().map(|account| account.debits_pending).sum::<u128>();
        }
        let buyer = answer(port, client.lookup_accounts(&[self.buyer()]))?;
        let held = buyer.iter().map(|account| account.credits_pending).sum::<u128>();
        Ok((missing as i64, held as i64))
    }
}

/// A client in a thread that waits for each answer.
struct Asking {
    port: u16,
    client: Client,
    next: u64,
    granted: u64,
    ack_ns: Histogram<u64>,
}

impl Asking {
    /// Makes a first request, so that no figure includes the start of a session.
    fn begin(port: u16, first: u64) -> Result<Asking, PeerError> {
        let client = connect(port)?;
        answer(port, client.lookup_accounts(&[1]))?;
        Ok(Asking { port, client, next: first, granted: 0, ack_ns: Sample::histogram() })
    }

    fn ask(
        &mut self,
        job: Job,
        accounts: &Accounts,
        batch: u64,
        holds_max: u64,
        began: Instant,
    ) -> Result<(), PeerError> {
        let mut holds = Vec::new();
        while began.elapsed() < job.time && self.granted < holds_max {
            let called = Instant::now();
            holds.clear();
            holds.extend((self.next..self.next + batch).map(|reference| accounts.hold(job, reference)));
            transfer(self.port, &self.client, &holds)?;
            self.ack_ns.saturating_record_n(called.elapsed().as_nanos() as u64, batch);
            self.next += batch;
            self.granted += batch;
        }
        Ok(())
    }
}

fn connect(port: u16) -> Result<Client, PeerError> {
    Client::new(0, &format!("127.0.0.1:{port}")).map_err(failed)
}

fn transfer(port: u16, client: &Client, transfers: &[Transfer]) -> Result<(), PeerError> {
    for created in answer(port, client.create_transfers(transfers))? {
        if created.status != CreateTransferStatus::Created {
            return Err(unexpected(created.status, "a new transfer"));
        }
    }
    Ok(())
}

/// The client retries for ever; a server without an answer for this long counts as absent.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for the answer in this thread.
fn answer<T>(port: u16, asked: impl Future<Output = Result<T, tigerbeetle::Error>>) -> Result<T, PeerError> {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut asked = pin!(asked);
    let called = Instant::now();
    loop {
        match asked.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(said) => return said.map_err(failed),
            Poll::Pending => match PATIENCE.checked_sub(called.elapsed()) {
                Some(rest) => thread::park_timeout(rest),
                None => {
                    let error = std::io::ErrorKind::TimedOut.into();
                    return Err(PeerError::Connection { server: SYSTEM, port, error });
                }
            },
        }
    }
}

fn failed(error: impl std::fmt::Display) -> PeerError {
    PeerError::Failed { program: SYSTEM, error: error.to_string() }
}

fn unexpected(status: impl std::fmt::Debug, expected: &'static str) -> PeerError {
    PeerError::Answer { server: SYSTEM, answer: format!("{status:?}"), expected }
}
