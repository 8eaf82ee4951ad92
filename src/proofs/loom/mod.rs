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
//! | counter | of two or three threads that take the last unit, exactly one gets it | [`counter`] |
//! | counter | announced units, and units taken and not settled, make no caller sold out | [`counter`] |
//! | counter | takes and gives at once neither make nor lose units | [`counter`] |
//! | reshape | of two or three threads that take the last unit over two or three cells, exactly one gets it | [`reshape`] |
//! | reshape | of two threads that want more than any one cell has, at least one gets its units | [`reshape`] |
//! | reshape | gives, rollbacks, corrections into debt and splits during a gather lose nothing, and make no caller sold out | [`reshape`] |
//! | reshape | a helper that is one or two uses of its block late changes nothing, of its key or of the block's next | [`reshape`] |
//! | hold | of confirm, release and expire exactly one wins, and the units go where the winner says | [`hold`] |
//! | hold | at the deadline confirm loses; an extension and an expiry exclude each other | [`hold`] |
//! | hold | cancelled and shipped parts add up to what was confirmed | [`hold`] |
//! | hold | an expired hold's slot goes to a late confirm or to a new hold, never to both | [`hold`] |
//! | indices | a free slot is handed out once, though the stack changes and changes back during a pop | [`indices`] |
//! | indices | each index in the queue comes out once, and a pop finds an index that was in the queue all along | [`indices`] |
//! | growth | while one thread grows a table the others get a slot or an answer; no slot and no reference is lost | [`growth`] |
//! | table | of two carts that want the last lines one gets them; a table is full only if it was so at one instant | [`growth`] |
//! | cart | of two carts that want the same last units one gets all of them, or a caller is told to try again | [`cart`] |
//! | cart | a cart that rolls back makes no caller sold out, also across a reshape | [`cart`] |
//! | cart | units of a partial confirm and of an expiry are given back once; a cart has its own lines though its slot is used again | [`cart`] |
//! | replace | against a confirm, an expiry or another replacement, the units go where the winner says | [`cart`] |
//! | fold | the log and the counter agree in either order of the records, a shortfall included | [`cart`] |
//! | transition | the log has the winner's record and the loser's void, in order, and no hole | [`transition`] |
//! | transition | units are spent behind the record that gave them back | [`transition`] |
//! | transition | a caller that sees a hold ended is never sold out because of its units | [`transition`] |
//! | ring | records come out whole and in the order of their positions, none is lost, over a lap | [`ring`] |
//! | ring | a thread that closes the ring and sees it unused has seen every record that will ever be | [`ring`] |
//! | log thread | it never sleeps over a published record, and ends when the ring is closed | [`bell`] |
//! | timers | no live hold has a deadline before the horizon, and the wheel never loses a hold | [`timers`] |
//! | engine | a due hold, swept or not, never makes a caller sold out | [`timers`] |
//! | engine | a shortfall is told, and a remaining number called exact, only if it was so at an instant of the call | [`timers`] |
//! | engine | of two reserves of the last unit one is granted, the other refused, and the log says which | [`engine`] |
//! | engine | a hold has one outcome through the real calls, the retake of a late confirm included | [`engine`] |
//!
//! [`faults`] plants bugs, and shows that these models find them.
//!
//! # What is not explored
//!
//! - Locks (op keys, the catalogue, a key's physical lock): loom does not see them, so threads neither wait
//!   at them nor learn anything from them.
//! - Threads that wait for a durable position ([`watch`](crate::log::watch)): this relies on the single order
//!   of SeqCst accesses, which loom does not model. It treats them as AcqRel, and the models pass even so.
//! - Time: a nap never ends by itself here, so the models show more than is needed: that no nap has to end.
//!   One does: a claim that is refused while the ring is being closed may make the log thread see the ring in
//!   use, and rings no bell, so that a shutdown takes one nap longer.
//! - Expiry under a clock that moves on within a call: each call has its own time from its start.
//! - More preemptions in one execution than the limit (two unless more are asked for, one less in the longest
//!   models), and a compare-and-swap that fails spuriously: loom's never does.

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

/// A time in the models.
const fn at(ms: u64) -> Timestamp {
    Timestamp(EPOCH_2020_MS + ms)
}

/// The deadline of the models' holds, the time just before it, and a time long after it.
const DEADLINE: Timestamp = at(1_000);
const BEFORE: Timestamp = at(999);
const LATER: Timestamp = at(5_000);

/// The lines of the models' holds.
const LINE: [Line; 1] = [Line { target: Target::of(0), units: 1 }];

/// Runs `body` in every interleaving up to the limit of preemptions.
fn explore(body: impl Fn() + Send + Sync + 'static) {
    explore_with(0, body);
}

/// As [`explore`], with one preemption less, for models with so many steps that they would take minutes.
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

/// Runs `body` many times, on ordinary threads.
#[cfg(not(stockhold_loom))]
fn explore_with(_less: usize, body: impl Fn() + Send + Sync + 'static) {
    for _ in 0..200 {
        body();
    }
}

/// One entry of the log: the bytes of a record, or `None` for a void.
type LogEntryBytes = Option<Vec<u8>>;

/// Reads and frees all published records, without waiting.
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
