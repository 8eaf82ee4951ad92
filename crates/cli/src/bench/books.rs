//! Whether it all adds up: what the clients were answered, what the engine counts, and what its book says.

use std::thread;
use std::time::{Duration, Instant};

use stockhold::Metrics;

use super::counts::Counts;
use super::fault::Fault;
use super::stage::{Stage, insist};
use super::workload::Workload;

/// How long holds past their deadline may take to be swept once everybody has left.
const SWEPT_WITHIN: Duration = Duration::from_secs(30);

/// All SKUs together, in units.
#[derive(Clone, Copy, Debug, Default)]
struct Book {
    on_hand: i64,
    held: i64,
    committed: i64,
    available: i64,
}

/// Checks everything, with nobody else at work, and says how many holds have expired.
pub(super) fn audit(stage: &Stage, counts: Counts) -> Result<u64, Fault> {
    if stage.workload == Workload::Expiry {
        all_expired(stage)?;
    }
    let book = read(stage)?;
    let metrics = stage.engine.metrics();
    agree(stage, counts, &metrics, book)?;
    Ok(metrics.expired)
}

fn all_expired(stage: &Stage) -> Result<(), Fault> {
    let began = Instant::now();
    loop {
        stage.engine.sweep();
        match stage.engine.metrics().holds_live {
            0 => return Ok(()),
            live if began.elapsed() > SWEPT_WITHIN => {
                return Err(Fault::Untrue(format!("{live} holds live on past their deadline")));
            }
            _ => thread::sleep(Duration::from_millis(1)),
        }
    }
}

fn read(stage: &Stage) -> Result<Book, Fault> {
    let mut all = Book::default();
    for key in &stage.keys {
        let level = stage.engine.level(*key).map_err(Fault::failed)?;
        let exactly = || stage.engine.available_exactly(*key);
        let counter = insist(&mut 0, exactly).map_err(Fault::failed)?;
        if counter != level.available {
            let sku = stage.engine.name(*key).map_or_else(String::new, |(sku, _)| sku.to_string());
            return Err(Fault::Untrue(format!(
                "the counter of {sku} has {counter} units, and the book {} at position {}",
                level.available, level.position
            )));
        }
        all.on_hand += level.on_hand;
        all.held += level.held;
        all.committed += level.committed;
        all.available += level.available;
    }
    Ok(all)
}

fn agree(stage: &Stage, counts: Counts, metrics: &Metrics, book: Book) -> Result<(), Fault> {
    let setup = stage.keys.len() as u64;
    // Every hold that is released, confirmed or expired has one unit.
    let ended = (counts.released + metrics.expired) as i64;
    let (granted, confirmed) = ((counts.granted_units + stage.held) as i64, counts.confirmed as i64);
    let shipped = counts.shipped as i64;
    for (what, claimed, found) in [
        ("holds granted", (counts.granted + stage.held) as i64, metrics.granted as i64),
        ("refusals", counts.refused as i64, metrics.refused_out_of_stock as i64),
        ("holds released", counts.released as i64, metrics.released as i64),
        ("holds confirmed", confirmed, metrics.confirmed as i64),
        ("holds shipped", shipped, metrics.shipped as i64),
        ("receipts of stock", (counts.received + setup) as i64, metrics.received as i64),
        ("units on hand", (stage.stocked + counts.received) as i64 - shipped, book.on_hand),
        ("units held", granted - ended - confirmed, book.held),
        ("units committed", confirmed - shipped, book.committed),
        (
            "units granted, less those given back or shipped",
            granted - ended - shipped,
            book.on_hand - book.available,
        ),
    ] {
        if claimed != found {
            return Err(Fault::Untrue(format!(
                "{what}: {claimed} by what the clients were answered, {found} by the engine's own books"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::client::Client;
    use super::super::level::Level;
    use super::*;

    /// Each workload, a few thousand steps of one client.
    fn played(workload: Workload) -> (Stage, Counts) {
        let stage = Stage::set(workload, Level::Memory, 0.01, std::path::Path::new("")).unwrap();
        let mut client = Client::new(&stage, 0);
        (0..4_000).for_each(|_| _ = client.step().unwrap());
        let counts = client.counts;
        (stage, counts)
    }

    #[test]
    fn every_workload_adds_up() {
        use clap::ValueEnum;
        for workload in Workload::value_variants() {
            let (stage, counts) = played(*workload);
            let expired = audit(&stage, counts).unwrap_or_else(|fault| panic!("{workload:?}: {fault:?}"));
            assert_eq!(counts.decisions, 4_000);
            assert_eq!(expired > 0, *workload == Workload::Expiry);
        }
    }

    #[test]
    fn a_grant_too_many_is_found() {
        let (stage, mut counts) = played(Workload::Hot);
        counts.granted -= 1;
        counts.granted_units -= 1;
        let fault = audit(&stage, counts).unwrap_err();
        assert!(
            matches!(&fault, Fault::Untrue(sentence) if sentence.starts_with("holds granted")),
            "{fault:?}"
        );
    }
}
