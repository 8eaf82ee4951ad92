//! A drop: 300 posters go on sale at a moment, 1,000 buyers wait for it.
//!
//! The key is split in advance, so that the first rush meets many cells and not one; the sale opens by the clock, for all
//! who wait at once; each refusal is answered by its reason; a poster comes with a tube, or not at all.
//!
//! Run: `cargo run --release --example drop`

use std::error::Error;
use std::thread;
use std::time::Duration;

use stockhold::error::ReserveError;
use stockhold::{CartLine, Config, Engine, Receive, RefusalReason, ReserveCart, StockKey};

const BUYERS: usize = 1_000;
const THREADS: usize = 8;

/// What a thread's buyers were told.
#[derive(Default)]
struct Told {
    got_one: usize,
    sold_out: usize,
    came_early: usize,
}

fn main() -> Result<(), Box<dyn Error>> {
    let engine = Engine::in_memory(Config::default())?;
    let (poster, tube) = (engine.declare("poster", "berlin")?, engine.declare("tube", "berlin")?);
    engine.receive(Receive::units(poster, 300))?.wait()?;
    engine.receive(Receive::units(tube, 10_000))?.wait()?;

    let opens_at = engine.now().plus(Duration::from_millis(50));
    engine.open_sale_at(poster, opens_at)?.wait()?;
    let (posters, tubes) = (engine.prepare(poster)?, engine.prepare(tube)?);
    println!("opens at {opens_at}; split in advance: posters {posters}, tubes {tubes}");

    let told = thread::scope(|scope| {
        let engine = &engine;
        let buyers = || scope.spawn(move || buy(engine, poster, tube, BUYERS / THREADS));
        let threads: Vec<_> = (0..THREADS).map(|_| buyers()).collect();
        threads.into_iter().map(|thread| thread.join().expect("a thread of buyers")).collect::<Vec<_>>()
    });
    let sum = |what: fn(&Told) -> usize| told.iter().map(what).sum::<usize>();
    let (got_one, sold_out) = (sum(|told| told.got_one), sum(|told| told.sold_out));
    println!(
        "{got_one} got one, {sold_out} were told sold out, asked {} times too early",
        sum(|told| told.came_early)
    );
    assert_eq!((got_one, sold_out), (300, BUYERS - 300));
    assert_eq!(engine.available_exactly(poster)?, 0);
    assert_eq!(engine.available_exactly(tube)?, 10_000 - 300, "no tube without its poster");
    Ok(())
}

/// Each buyer asks until there is an answer: a poster and its tube, or "sold out".
fn buy(engine: &Engine, poster: StockKey, tube: StockKey, buyers: usize) -> Told {
    let lines = [CartLine::units(poster, 1), CartLine::units(tube, 1)];
    let mut told = Told::default();
    for _ in 0..buyers {
        loop {
            match engine.reserve_cart(ReserveCart::lines(&lines)) {
                Ok(cart) => {
                    let hold = cart.not_yet_durable().hold; // kept in memory: there is nothing to wait for
                    engine.confirm(hold).expect("just reserved").not_yet_durable();
                    told.got_one += 1;
                }
                Err(ReserveError::Refused(refusal)) => match refusal.reason {
                    RefusalReason::OutOfStock => told.sold_out += 1,
                    RefusalReason::NotOpen => {
                        told.came_early += 1;
                        let opens_at = engine.opens_at(refusal.key).expect("our key").unwrap_or(engine.now());
                        thread::sleep(opens_at.since(engine.now()));
                        continue;
                    }
                    reason => panic!("nobody stops this sale: {reason:?}"),
                },
                Err(error) if error.is_busy() => continue,
                Err(error) => panic!("{error}"),
            }
            break;
        }
    }
    told
}
