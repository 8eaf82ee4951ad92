//! The life of a unit: it is received, reserved and confirmed, until all are sold.
//!
//! Run: `cargo run --release --example quickstart [directory]`

use std::time::Duration;

use stockhold::error::ReserveError;
use stockhold::{Config, Engine, Receive, Reserve};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = std::env::args_os().nth(1).map_or_else(
        || std::env::temp_dir().join(format!("stockhold-quickstart-{}", std::process::id())),
        Into::into,
    );
    let engine = Engine::open(&directory, Config::default())?;
    println!("{}: {}", directory.display(), engine.report());

    // Resolve a name once: later calls take the key and hash no string.
    let poster = engine.declare("poster", "berlin")?;
    engine.receive(Receive::units(poster, 2).reference("delivery-1"))?.wait()?;

    // wait() returns once the decision survives a loss of power.
    let ada = engine.reserve(Reserve::units(poster, 1).reference("order-ada"))?.wait()?;
    let bob = engine.reserve(Reserve::units(poster, 1).reference("order-bob"))?.wait()?;
    println!("ada holds {}, bob holds {}, left {:?}", ada.hold, bob.hold, bob.remaining);

    // A refusal is a value: its reason, and how many units were available.
    match engine.reserve(Reserve::units(poster, 1).ttl(Duration::from_secs(60))) {
        Err(ReserveError::Refused(refusal)) => {
            let blocking = engine.blocking_holds(poster)?;
            let at = blocking.earliest_deadline.map_or_else(|| "any moment".into(), |at| at.to_string());
            println!("cleo is refused: {refusal}; the first hold expires at {at}");
        }
        other => panic!("two units cannot be held three times: {other:?}"),
    }

    engine.confirm(ada.hold)?.wait()?;
    engine.release(bob.hold)?.wait()?;
    let level = engine.level(poster)?;
    println!(
        "on hand {}, held {}, committed {}, available {}",
        level.on_hand, level.held, level.committed, level.available
    );
    assert_eq!((level.held, level.available), (0, level.on_hand - level.committed));
    engine.shutdown()?;
    if std::env::args_os().nth(1).is_none() {
        std::fs::remove_dir_all(&directory)?;
    }
    Ok(())
}
