//! Redis: one script for each hold, over fifty connections. Each thread sends on all its connections and then
//! reads the answers, like an event loop, so that no thread wakes for a single answer. An acknowledgement
//! counts when it is read.

use std::io::{self, BufReader, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::error::PeerError;
use crate::job::{Job, TTL, UNITS};
use crate::resp::{self, Reply};
use crate::row::Row;
use crate::sample::Sample;

/// KEYS: the stock, the hold. ARGV: the content of the hold, its time to live in milliseconds.
const RESERVE: &str = "\
local available = tonumber(redis.call('GET', KEYS[1]))
if not available or available < 1 then return 0 end
redis.call('DECR', KEYS[1])
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
return 1";

const CONNECTIONS: u64 = 50;

/// The number of requests on a connection before its answers are read.
const PIPELINES: [u64; 2] = [1, 64];

/// The values of `appendfsync`, with what each figure contains and lacks.
const SYNCS: [(&str, &str, &str); 3] = [
    ("no", "loopback", "replication, units returned at expiry; all is lost with the process"),
    (
        "everysec",
        "loopback; survives a kill",
        "replication, units returned at expiry; loss of power loses 1 to 2 s",
    ),
    ("always", "loopback; survives loss of power", "replication, units returned at expiry"),
];

pub(crate) fn rows(port: u16) -> Vec<Row> {
    let row = |(sync, contains, lacks): (&'static str, _, _), pipeline: u64| {
        let aof = if sync == "no" { "no AOF".into() } else { format!("AOF {sync}") };
        let setting = match pipeline {
            1 => format!("{aof}, {CONNECTIONS} connections"),
            _ => format!("{aof}, {CONNECTIONS} connections, pipeline {pipeline}"),
        };
        let measure = Box::new(move |job: Job| run(port, sync, pipeline, job));
        Row { system: "Redis", setting, contains, lacks, measure }
    };
    SYNCS.iter().flat_map(|sync| PIPELINES.map(|pipeline| row(*sync, pipeline))).collect()
}

pub(crate) fn version(port: u16) -> Result<String, PeerError> {
    let mut control = Connection::open(port)?;
    control.info("server", "redis_version")
}

fn run(port: u16, sync: &str, pipeline: u64, job: Job) -> Result<Sample, PeerError> {
    let mut control = Connection::open(port)?;
    control.begin(sync)?;
    let script = control.load()?;
    control.stock_up(job)?;
    let mut clients = (0..job.threads)
        .map(|thread| {
            // Fifty in all, also where the threads do not divide it.
            let count = CONNECTIONS / job.threads + u64::from(thread < CONNECTIONS % job.threads);
            Client::open(port, count.max(1), thread << 32)
        })
        .collect::<Result<Vec<_>, _>>()?;
    let began = Instant::now();
    thread::scope(|scope| {
        let workers: Vec<_> = clients
            .iter_mut()
            .map(|client| {
                let script = &script;
                scope.spawn(move || client.ask(job, script, pipeline, began))
            })
            .collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("worker threads do not panic"))
    })?;
    let mut sample = Sample { granted: 0, elapsed: began.elapsed(), ack_ns: Sample::histogram() };
    for client in &clients {
        sample.granted += client.granted;
        sample.ack_ns += &client.ack_ns;
    }
    let (missing, holds) = control.count(job)?;
    control.clear()?;
    sample.agrees(missing, "units are missing from the stock")?;
    sample.agrees(holds, "holds are there")?;
    Ok(sample)
}

fn stock_key(key: u64) -> String {
    format!("stock:{key}")
}

struct Client {
    connections: Vec<Connection>,
    next: u64,
    granted: u64,
    ack_ns: Histogram<u64>,
}

impl Client {
    fn open(port: u16, count: u64, first: u64) -> Result<Client, PeerError> {
        let connections = (0..count).map(|_| Connection::open(port)).collect::<Result<_, _>>()?;
        Ok(Client { connections, next: first, granted: 0, ack_ns: Sample::histogram() })
    }

    fn ask(&mut self, job: Job, script: &str, pipeline: u64, began: Instant) -> Result<(), PeerError> {
        let ttl_ms = TTL.as_millis().to_string();
        let mut commands = Vec::new();
        let mut called = vec![began; self.connections.len()];
        while began.elapsed() < job.time && self.granted < job.share() {
            for (connection, called) in self.connections.iter_mut().zip(&mut called) {
                commands.clear();
                for _ in 0..pipeline {
                    let key = job.key_of(self.next);
                    let hold = [b"h", &self.next.to_le_bytes()[..]].concat();
                    let (stock, said) = (stock_key(key), key.to_string());
                    resp::command(
                        &mut commands,
                        &[
                            b"EVALSHA",
                            script.as_bytes(),
                            b"2",
                            stock.as_bytes(),
                            &hold,
                            said.as_bytes(),
                            ttl_ms.as_bytes(),
                        ],
                    );
                    self.next += 1;
                }
                *called = Instant::now();
                connection.write(&commands)?;
            }
            for (connection, called) in self.connections.iter_mut().zip(&called) {
                for _ in 0..pipeline {
                    match connection.read()? {
                        Reply::Integer(1) => self.granted += 1,
                        other => return Err(answer(&other, "1")),
                    }
                    self.ack_ns.saturating_record(called.elapsed().as_nanos() as u64);
                }
            }
        }
        Ok(())
    }
}

struct Connection {
    port: u16,
    stream: BufReader<TcpStream>,
}

impl Connection {
    fn open(port: u16) -> Result<Connection, PeerError> {
        let connect = || {
            let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(Duration::from_secs(30)))?;
            Ok(stream)
        };
        connect()
            .map(|stream| Connection { port, stream: BufReader::new(stream) })
            .map_err(|error| connection_error(port, error))
    }

    fn write(&mut self, commands: &[u8]) -> Result<(), PeerError> {
        self.stream.get_mut().write_all(commands).map_err(|error| connection_error(self.port, error))
    }

    fn read(&mut self) -> Result<Reply, PeerError> {
        resp::read(&mut self.stream).map_err(|error| connection_error(self.port, error))
    }

    fn call(&mut self, words: &[&[u8]]) -> Result<Reply, PeerError> {
        let mut command = Vec::new();
        resp::command(&mut command, words);
        self.write(&command)?;
        self.read()
    }

    fn ok(&mut self, words: &[&[u8]]) -> Result<(), PeerError> {
        match self.call(words)? {
            Reply::Simple(text) if text == "OK" => Ok(()),
            other => Err(answer(&other, "OK")),
        }
    }

    fn integer(&mut self, words: &[&[u8]]) -> Result<i64, PeerError> {
        match self.call(words)? {
            Reply::Integer(number) => Ok(number),
            other => Err(answer(&other, "a number")),
        }
    }

    fn text(&mut self, words: &[&[u8]]) -> Result<String, PeerError> {
        match self.call(words)? {
            Reply::Bulk(Some(bytes)) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            other => Err(answer(&other, "a text")),
        }
    }

    fn info(&mut self, section: &str, name: &str) -> Result<String, PeerError> {
        let text = self.text(&[b"INFO", section.as_bytes()])?;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        value.map(|value| value.trim().to_owned()).ok_or(PeerError::Answer {
            server: "Redis",
            answer: text.clone(),
            expected: "a line of INFO",
        })
    }

    /// Empties the server, and makes a fresh append-only file if there is one.
    fn begin(&mut self, sync: &str) -> Result<(), PeerError> {
        self.clear()?;
        if sync == "no" {
            return Ok(());
        }
        self.ok(&[b"CONFIG", b"SET", b"appendfsync", sync.as_bytes()])?;
        self.ok(&[b"CONFIG", b"SET", b"appendonly", b"yes"])?;
        // A child process makes the file; it is not in use until the child has ended.
        while self.info("persistence", "aof_rewrite_in_progress")? != "0"
            || self.info("persistence", "aof_rewrite_scheduled")? != "0"
        {
            thread::sleep(Duration::from_millis(10));
        }
        match &*self.info("persistence", "aof_last_bgrewrite_status")? {
            "ok" => Ok(()),
            other => Err(answer(&Reply::Simple(other.to_owned()), "a file that was begun")),
        }
    }

    fn clear(&mut self) -> Result<(), PeerError> {
        self.ok(&[b"CONFIG", b"SET", b"appendonly", b"no"])?;
        self.ok(&[b"FLUSHALL", b"SYNC"])
    }

    fn load(&mut self) -> Result<String, PeerError> {
        self.text(&[b"SCRIPT", b"LOAD", RESERVE.as_bytes()])
    }

    fn stock_up(&mut self, job: Job) -> Result<(), PeerError> {
        for key in 0..job.demand.keys() {
            self.ok(&[b"SET", stock_key(key).as_bytes(), UNITS.to_string().as_bytes()])?;
        }
        Ok(())
    }

    /// The missing units, and the number of holds.
    fn count(&mut self, job: Job) -> Result<(i64, i64), PeerError> {
        let mut missing = 0;
        for key in 0..job.demand.keys() {
            let available = self.text(&[b"GET", stock_key(key).as_bytes()])?;
            let available: i64 =
                available.parse().map_err(|_| answer(&Reply::Simple(available.clone()), "a number"))?;
            missing += i64::from(UNITS) - available;
        }
        Ok((missing, self.integer(&[b"DBSIZE"])? - job.demand.keys() as i64))
    }
}

fn connection_error(port: u16, error: io::Error) -> PeerError {
    PeerError::Connection { server: "Redis", port, error }
}

fn answer(reply: &Reply, expected: &'static str) -> PeerError {
    PeerError::Answer { server: "Redis", answer: format!("{reply:?}"), expected }
}
