//! A drop: 300 posters go on sale at a set time, and 1,000 buyers wait for it.
//!
//! The counters are split in advance, so that the first buyers take from many cells instead of one. The clock
//! opens the sale for all waiting buyers at once. A refusal is handled by its reason. A poster is sold
//! together with a tube, or not at all.
//!
//! Run: `cargo run --release --example drop`

use std::error::Error;
use std::thread;
use std::time::Duration;

use stockhold::error::ReserveError;
use stockhold::retry::until_answered;
use stockhold::{CartLine, Config, Engine, Receive, RefusalReason, ReserveCart, StockKey};

const BUYERS: usize = 1_000;
const THREADS: usize = 8;

/// How many answers of each kind the buyers of a thread got.
#[derive(Default)]
struct Answers {
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

    let answers = thread::scope(|scope| {
        let engine = &engine;
        let buyers = || scope.spawn(move || buy(engine, poster, tube, BUYERS / THREADS));
        let threads: Vec<_> = (0..THREADS).map(|_| buyers()).collect();
        threads.into_iter().map(|thread| thread.join().expect("a thread of buyers")).collect::<Vec<_>>()
    });
    let sum = |what: fn(&Answers) -> usize| answers.iter().map(what).sum::<usize>();
    let (got_one, sold_out) = (sum(|answers| answers.got_one), sum(|answers| answers.sold_out));
    println!(
        "{got_one} got one, {sold_out} were refused as sold out, {} reserves came too early",
        sum(|answers| answers.came_early)
    );
    assert_eq!((got_one, sold_out), (300, BUYERS - 300));
    assert_eq!(engine.available_exactly(poster)?, 0);
    assert_eq!(engine.available_exactly(tube)?, 10_000 - 300, "no tube without its poster");
    Ok(())
}

/// Each buyer repeats the reserve until the answer is final: a poster with a tube, or sold out.
fn buy(engine: &Engine, poster: StockKey, tube: StockKey, buyers: usize) -> Answers {
    let lines = [CartLine::units(poster, 1), CartLine::units(tube, 1)];
    let mut answers = Answers::default();
    for _ in 0..buyers {
        loop {
            match until_answered(|| engine.reserve_cart(ReserveCart::lines(&lines))) {
                Ok(cart) => {
                    let hold = cart.not_yet_durable().hold; // an engine in memory writes nothing to wait for
                    engine.confirm(hold).expect("just reserved").not_yet_durable();
                    answers.got_one += 1;
                }
                Err(ReserveError::Refused(refusal)) => match refusal.reason {
                    RefusalReason::OutOfStock => answers.sold_out += 1,
                    RefusalReason::NotOpen => {
                        answers.came_early += 1;
                        let opens_at = engine.opens_at(refusal.key).expect("our key").unwrap_or(engine.now());
                        thread::sleep(opens_at.since(engine.now()));
                        continue;
                    }
                    reason => panic!("this sale is never stopped: {reason:?}"),
                },
                Err(error) => panic!("{error}"),
            }
            break;
        }
    }
    answers
}
