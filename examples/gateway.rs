//! A flash-sale gateway in one file: HTTP/1.1 on TCP of std, one thread for each core, no framework.
//!
//! ```text
//! POST /reserve?sku=S&quantity=N&order=ID   201 hold | 409 refused
//! POST /confirm?hold=H                      200      | 409 expired or ended before
//! POST /release?hold=H                      200      | 409
//! GET  /level?sku=S                         200
//!                                    any:   400 invalid | 404 unknown | 503 busy, try again
//! ```
//! `cargo run --release --example gateway -- 127.0.0.1:8080` serves. With `--requests 10000`, client threads
//! of the same process send 10000 requests; the program checks that nothing was oversold or falsely refused,
//! and ends.
//!
//! A thread answers once the decision is durable, so its rate is that at which the log writes groups. A
//! gateway with more connections than cores would `.await` the receipt.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use stockhold::error::{ErrorKind, OperationError, ReserveError};
use stockhold::{Config, Engine, HoldId, Receive, Reserve};

const UNITS: u32 = 1_000;

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let requests: Option<u64> = match arguments.iter().position(|argument| argument == "--requests") {
        Some(at) => Some(arguments.get(at + 1).ok_or("--requests needs a number")?.parse()?),
        None => None,
    };
    let address =
        arguments.first().filter(|first| !first.starts_with('-')).map_or("127.0.0.1:0", String::as_str);

    let directory = std::env::temp_dir().join(format!("stockhold-gateway-{}", std::process::id()));
    let engine = Engine::open(&directory, Config::default())?;
    let key = engine.declare("poster", "web")?;
    engine.receive(Receive::units(key, UNITS))?.wait()?;

    let listener = TcpListener::bind(address)?;
    let address = listener.local_addr()?;
    let stop = AtomicBool::new(false);
    println!("serving http://{address} from {}", directory.display());
    thread::scope(|scope| -> Result<(), Failure> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        for _ in 0..cores {
            let (listener, engine, stop) = (listener.try_clone()?, &engine, &stop);
            scope.spawn(move || serve(&listener, engine, stop));
        }
        let Some(requests) = requests else { return Ok(()) };
        let requests = requests.next_multiple_of(cores as u64);
        let outcome = run_clients(&address.to_string(), requests, cores as u64);
        stop.store(true, Ordering::Release);
        // Each thread that waits for a connection gets one, and sees that it must stop.
        (0..cores).for_each(|_| drop(TcpStream::connect(address)));
        outcome
    })?;

    let level = engine.level(key)?;
    println!("sold {}, held {}, available {}", level.committed, level.held, level.available);
    if level.available < 0 || level.on_hand != UNITS.into() {
        return Err("the level does not add up".into());
    }
    engine.shutdown()?;
    std::fs::remove_dir_all(&directory)?;
    Ok(())
}

fn serve(listener: &TcpListener, engine: &Engine, stop: &AtomicBool) {
    while !stop.load(Ordering::Acquire) {
        if let Ok((stream, _)) = listener.accept() {
            // A client that disconnects or sends garbage loses only its own connection.
            let _ = handle_connection(stream, engine, stop);
        }
    }
}

fn handle_connection(stream: TcpStream, engine: &Engine, stop: &AtomicBool) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    while !stop.load(Ordering::Acquire) {
        let mut request = String::new();
        if reader.by_ref().take(8_192).read_line(&mut request)? == 0 {
            return Ok(());
        }
        let mut header = String::new();
        loop {
            header.clear();
            reader.by_ref().take(8_192).read_line(&mut header)?;
            if header.trim().is_empty() {
                break;
            }
        }
        let (status, body) = answer(engine, request.trim());
        let length = body.len();
        write!(
            writer,
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        )?;
    }
    Ok(())
}

fn answer(engine: &Engine, request: &str) -> (&'static str, String) {
    let mut words = request.split(' ');
    let (method, target) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let query: HashMap<&str, &str> = query.split('&').filter_map(|pair| pair.split_once('=')).collect();
    let outcome = match (method, path) {
        ("POST", "/reserve") => reserve(engine, &query),
        ("POST", "/confirm") => confirm(engine, &query),
        ("POST", "/release") => release(engine, &query),
        ("GET", "/level") => level(engine, &query),
        _ => Ok(("404 Not Found", message("no such path"))),
    };
    outcome.unwrap_or_else(|failure| ("500 Internal Server Error", message(&failure.to_string())))
}

fn message(text: &str) -> String {
    format!("{{\"error\":\"{}\"}}", text.replace(['"', '\\'], "'"))
}

type Answer = Result<(&'static str, String), Failure>;

/// The answer to a failed call: one status for each kind of error, for every operation.
fn failed(error: &impl OperationError) -> Answer {
    let status = match error.kind() {
        ErrorKind::InvalidInput => "400 Bad Request",
        ErrorKind::NotFound => "404 Not Found",
        ErrorKind::Refused | ErrorKind::Conflict | ErrorKind::Expired => "409 Conflict",
        ErrorKind::Busy | ErrorKind::InProgress | ErrorKind::Full => "503 Service Unavailable",
        _ => "500 Internal Server Error",
    };
    Ok((status, message(&error.to_string())))
}

fn reserve(engine: &Engine, query: &HashMap<&str, &str>) -> Answer {
    let key = match engine.key(query.get("sku").copied().unwrap_or(""), "web") {
        Err(error) => return failed(&error),
        Ok(key) => key,
    };
    let Some(quantity) = query.get("quantity").unwrap_or(&"1").parse().ok() else {
        return Ok(("400 Bad Request", message("quantity is not a number")));
    };
    let order = query.get("order").copied().unwrap_or("");
    match engine.reserve(Reserve::units(key, quantity).reference(order)) {
        Ok(receipt) => {
            let reserved = receipt.wait()?;
            let left = reserved.remaining.units();
            Ok(("201 Created", format!("{{\"hold\":\"{}\",\"left\":{left}}}", reserved.hold)))
        }
        Err(ReserveError::Refused(refusal)) => {
            Ok(("409 Conflict", format!("{{\"refused\":\"{refusal}\",\"available\":{}}}", refusal.available)))
        }
        Err(error) => failed(&error),
    }
}

fn hold(query: &HashMap<&str, &str>) -> Option<HoldId> {
    query.get("hold")?.parse().ok()
}

fn confirm(engine: &Engine, query: &HashMap<&str, &str>) -> Answer {
    let Some(hold) = hold(query) else { return Ok(("400 Bad Request", message("hold is not an id"))) };
    match engine.confirm(hold) {
        Ok(receipt) => Ok(("200 OK", format!("{{\"confirmed\":{}}}", receipt.wait()?.quantity))),
        Err(error) => failed(&error),
    }
}

fn release(engine: &Engine, query: &HashMap<&str, &str>) -> Answer {
    let Some(hold) = hold(query) else { return Ok(("400 Bad Request", message("hold is not an id"))) };
    match engine.release(hold) {
        Ok(receipt) => Ok(("200 OK", format!("{{\"released\":{}}}", receipt.wait()?.quantity))),
        Err(error) => failed(&error),
    }
}

fn level(engine: &Engine, query: &HashMap<&str, &str>) -> Answer {
    match engine.key(query.get("sku").copied().unwrap_or(""), "web") {
        Err(error) => failed(&error),
        Ok(key) => {
            let level = engine.level(key)?;
            let (held, committed, available) = (level.held, level.committed, level.available);
            Ok(("200 OK", format!("{{\"held\":{held},\"committed\":{committed},\"available\":{available}}}")))
        }
    }
}

/// Runs the clients. Each order reserves a unit and confirms the hold if there is one.
fn run_clients(address: &str, requests: u64, clients: u64) -> Result<(), Failure> {
    let [granted, refused, busy] = [const { AtomicU64::new(0) }; 3];
    thread::scope(|scope| -> Result<(), Failure> {
        let clients: Vec<_> = (0..clients)
            .map(|client| {
                let (granted, refused, busy) = (&granted, &refused, &busy);
                scope.spawn(move || -> Result<(), Failure> {
                    let mut connection = Client::connect(address)?;
                    for number in 0..requests / clients {
                        let target = format!("/reserve?sku=poster&quantity=1&order={client}-{number}");
                        let (status, body) = connection.post(&target)?;
                        match status {
                            201 => {
                                granted.fetch_add(1, Ordering::Relaxed);
                                let hold = body.split('"').nth(3).ok_or("no hold in the answer")?;
                                let (status, body) = connection.post(&format!("/confirm?hold={hold}"))?;
                                if status != 200 {
                                    return Err(format!("a confirm was answered {status} {body}").into());
                                }
                            }
                            409 => _ = refused.fetch_add(1, Ordering::Relaxed),
                            503 => _ = busy.fetch_add(1, Ordering::Relaxed),
                            _ => return Err(format!("{target} was answered {status} {body}").into()),
                        }
                    }
                    Ok(())
                })
            })
            .collect();
        for client in clients {
            client.join().map_err(|_| "a client panicked")??;
        }
        Ok(())
    })?;
    let [granted, refused, busy] = [granted, refused, busy].map(AtomicU64::into_inner);
    println!("{requests} requests: granted {granted}, refused {refused}, busy {busy}");
    let answered = granted + refused + busy;
    if granted != u64::from(UNITS).min(answered) {
        return Err(format!("{UNITS} units and {granted} grants: oversold, or falsely refused").into());
    }
    Ok(())
}

struct Client {
    reader: BufReader<TcpStream>,
}

impl Client {
    fn connect(address: &str) -> std::io::Result<Client> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Client { reader: BufReader::new(stream) })
    }

    fn post(&mut self, target: &str) -> Result<(u16, String), Failure> {
        write!(self.reader.get_mut(), "POST {target} HTTP/1.1\r\nhost: gateway\r\n\r\n")?;
        let mut line = String::new();
        self.reader.read_line(&mut line)?;
        let status = line.split(' ').nth(1).ok_or("no status line")?.parse()?;
        let mut length = 0;
        while !line.trim().is_empty() {
            line.clear();
            self.reader.read_line(&mut line)?;
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
        }
        let mut body = vec![0; length];
        self.reader.read_exact(&mut body)?;
        Ok((status, String::from_utf8(body)?))
    }
}
