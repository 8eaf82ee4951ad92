//! A process dies in the middle of a sale. The holds that it acknowledged are there when the directory is
//! opened again.
//!
//! Run: `cargo run --release --example crash_and_recover`. The program starts a copy of itself as a child
//! process, which prints each hold once it is durable, and aborts.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use stockhold::{Config, Engine, HoldId, HoldState, Receive, Reserve};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    if let Some(directory) = std::env::var_os("STOCKHOLD_CRASHES_IN") {
        return sell_and_crash(Path::new(&directory));
    }
    let directory = std::env::temp_dir().join(format!("stockhold-crash-{}", std::process::id()));
    let mut child = Command::new(std::env::current_exe()?)
        .env("STOCKHOLD_CRASHES_IN", &directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let lines = BufReader::new(child.stdout.take().ok_or("the child has no standard output")?).lines();
    let acknowledged: Vec<HoldId> =
        lines.map_while(Result::ok).filter_map(|line| line.parse().ok()).collect();
    let status = child.wait()?;
    println!("the child acknowledged {} holds and died ({status})", acknowledged.len());
    assert!(!status.success() && acknowledged.len() == 100);

    let engine = Engine::open(&directory, Config::default())?;
    println!("opened again: {}", engine.report());
    for hold in &acknowledged {
        assert_eq!(engine.status(*hold)?.state, HoldState::Active);
    }
    let level = engine.level(engine.key("poster", "berlin")?)?;
    println!("all {} are there: on hand {}, held {}", acknowledged.len(), level.on_hand, level.held);
    drop(engine);
    std::fs::remove_dir_all(&directory)?;
    Ok(())
}

fn sell_and_crash(directory: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let engine = Engine::open(directory, Config::default())?;
    let key = engine.declare("poster", "berlin")?;
    engine.receive(Receive::units(key, 1_000))?.wait()?;
    for order in 0..100 {
        let reference = format!("order-{order}");
        let reserved = engine.reserve(Reserve::units(key, 1).reference(&reference))?.wait()?;
        println!("{}", reserved.hold);
    }
    std::io::stdout().flush()?;
    std::process::abort();
}
