//! Models of the small protocols, on the real code, in every interleaving of up to two preemptions.
//!
//! A model is one short body with two to four threads. Under `--cfg stockhold_loom` loom explores its
//! interleavings and the values that each load may see; under plain `cargo test` the same bodies run as
//! ordinary threads, some hundred times. `tests/loom.sh` does the former, here and in CI.
//!
//! # Properties
//!
//! | of | property | model |
//! |---|---|---|
//! | counter | of two or three who take the last unit, exactly one gets it | [`counter`] |
//! | counter | what is announced, or taken and not settled, makes nobody sold out | [`counter`] |
//! | counter | units are neither made nor lost by takes and gives that meet | [`counter`] |
//! | reshape | of two or three who take the last unit over two or three cells, exactly one gets it | [`reshape`] |
//! | reshape | two who want more than any cell has never both go without | [`reshape`] |
//! | reshape | gives, rollbacks, corrections into debt and splits that meet a gather lose nothing, and make nobody sold out | [`reshape`] |
//! | reshape | a helper that is one or two uses of its block late changes nothing, of its key or of the block's next | [`reshape`] |
//! | hold | of confirm, release and expire exactly one wins, and the units go where the winner says | [`hold`] |
//! | hold | at the deadline confirm loses; an extension and an expiry exclude each other | [`hold`] |
//! | hold | parts that are cancelled and parts that ship add up to what was confirmed | [`hold`] |
//! | hold | an expired hold's slot goes to a late confirm or to a new hold, never to both | [`hold`] |
//! | indices | a free slot is handed out once, though the stack changes and changes back under a pop | [`indices`] |
//! | indices | what goes into the queue comes out once, and a pop finds what was in all along | [`indices`] |
//! | growth | while one thread grows a table the others get a slot or are told so; no slot and no reference is lost | [`growth`] |
//! | cart | of two carts that want the same last units one gets all of them, or somebody is told to try again | [`cart`] |
//! | cart | a cart that rolls back makes nobody sold out, also across a reshape | [`cart`] |
//! | cart | what is confirmed in part and what expires goes back once; a cart has its own lines though its slot is used again | [`cart`] |
//! | replace | against a confirm, an expiry or another replacement: the units go where the winner says | [`cart`] |
//! | fold | whichever record comes first, the log and the counter agree, a shortfall included | [`cart`] |
//! | transition | the log has the winner's record and the loser's void, in order, and no hole | [`transition`] |
//! | transition | units that were given back are spent behind the record that gave them back | [`transition`] |
//! | transition | who sees a hold ended is never told sold out because of its units | [`transition`] |
//! | ring | records come out whole, in the order of their positions, none lost, over a lap | [`ring`] |
//! | ring | who closes the ring and sees it unused has seen every record that will ever be | [`ring`] |
//! | log thread | it never sleeps over a published record, and ends when the ring is closed | [`bell`] |
//! | timers | a live hold's deadline is never later than the horizon says, and the wheel never loses a hold | [`timers`] |
//! | engine | a refuser is never told sold out because of a hold that is due, swept or not | [`timers`] |
//! | engine | the last unit: one reserve is granted, the other refused; the log says who | [`engine`] |
//! | engine | an outcome is one outcome through the real calls, a late confirm's retake included | [`engine`] |
//!
//! [`faults`] plants bugs and shows that these models find them.
//!
//! # What is not explored
//!
//! - Locks (op keys, the catalogue, a key's physical lock): loom does not see them, so threads neither wait
//!   at them nor learn anything from them.
//! - Those who wait for a durable position ([`watch`](crate::log::watch)): it rests on the one order of
//!   SeqCst accesses, which loom does not know. It has them as AcqRel, and what is explored here holds even
//!   so.
//! - Time: a nap never ends by itself here, so the models show more than is needed, that no nap has to end.
//!   One does: a claim that is refused while the ring is being closed may make the log thread see the ring in
//!   use, and rings no bell, so that a shutdown takes one nap longer.
//! - Expiry under a clock that moves on within a call: each call has its own time from the start.
//! - More than so many preemptions in one execution (two unless asked for more, one less in the longest
//!   models), and a compare-and-swap that fails for no reason: loom's never does.

mod bell;
mod cart;
mod counter;
mod engine;
#[cfg(stockhold_loom)]
mod faults;
mod growth;
mod hold;
mod indices;
mod reshape;
mod ring;
mod timers;
mod transition;

use crate::clock::EPOCH_2020_MS;
use crate::clock::Timestamp;
use crate::hold::lines::Line;
use crate::index::Target;
use crate::log::ring::{Reader, Ring, RingItem};

/// A moment in the models' time.
const fn at(ms: u64) -> Timestamp {
    Timestamp(EPOCH_2020_MS + ms)
}

/// The deadline of the models' holds, the moment before it, and one long after it.
const DEADLINE: Timestamp = at(1_000);
const BEFORE: Timestamp = at(999);
const LATER: Timestamp = at(5_000);

/// What the models' holds hold.
const LINE: [Line; 1] = [Line { target: Target::of(0), units: 1 }];

/// Runs `body` in every interleaving with as many preemptions as asked for.
fn explore(body: impl Fn() + Send + Sync + 'static) {
    explore_with(0, body);
}

/// As [`explore`], with one preemption less: for models with so many steps that they would take minutes.
fn explore_less(body: impl Fn() + Send + Sync + 'static) {
    explore_with(1, body);
}

#[cfg(stockhold_loom)]
fn explore_with(less: usize, body: impl Fn() + Send + Sync + 'static) {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    let executions = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&executions);
    let began = std::time::Instant::now();
    let mut builder = builder();
    builder.preemption_bound = builder.preemption_bound.map(|bound| bound - less);
    builder.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        body();
    });
    println!(
        "{}: {} executions, {} ms",
        std::thread::current().name().unwrap_or("?"),
        executions.load(Ordering::Relaxed),
        began.elapsed().as_millis()
    );
}

#[cfg(stockhold_loom)]
fn builder() -> loom::model::Builder {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(2);
    builder.max_branches = 20_000;
    builder
}

/// Runs `body` often, on ordinary threads.
#[cfg(not(stockhold_loom))]
fn explore_with(_less: usize, body: impl Fn() + Send + Sync + 'static) {
    for _ in 0..200 {
        body();
    }
}

/// One entry of the log: the bytes of a record, or `None` for a void.
type LogEntryBytes = Option<Vec<u8>>;

/// Reads and frees all that is published, without waiting.
fn drain(ring: &Ring, reader: &mut Reader) -> Vec<LogEntryBytes> {
    let mut entries = Vec::new();
    loop {
        let mut bytes = Vec::new();
        let (entry, words) = match reader.next(ring, &mut bytes) {
            RingItem::Nothing => return entries,
            RingItem::Record { words } => (Some(bytes), words),
            RingItem::Void { words } => (None, words),
        };
        reader.free(ring, words);
        assert!(entries.len() < 32, "what was read is read again");
        entries.push(entry);
    }
}
