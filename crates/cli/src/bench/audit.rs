//! Checks that the answers to the clients, the engine's counters and its levels agree.

use std::thread;
use std::time::{Duration, Instant};

use stockhold::Metrics;

use super::counts::Counts;
use super::fault::Fault;
use super::stage::{Stage, insist};
use super::workload::Workload;

/// Time limit for sweeping the overdue holds after the clients have ended.
const SWEPT_WITHIN: Duration = Duration::from_secs(30);

/// The levels of all SKUs together, in units.
#[derive(Clone, Copy, Debug, Default)]
struct LevelTotals {
    on_hand: i64,
    held: i64,
    committed: i64,
    available: i64,
}

/// Checks everything, after all clients have ended, and returns the number of expired holds.
pub(super) fn audit(stage: &Stage, counts: Counts) -> Result<u64, Fault> {
    if stage.workload == Workload::Expiry {
        all_expired(stage)?;
    }
    let levels = read(stage)?;
    let metrics = stage.engine.metrics();
    compare(stage, counts, &metrics, levels)?;
    Ok(metrics.expired)
}

fn all_expired(stage: &Stage) -> Result<(), Fault> {
    let began = Instant::now();
    loop {
        stage.engine.sweep();
        match stage.engine.metrics().holds_live {
            0 => return Ok(()),
            live if began.elapsed() > SWEPT_WITHIN => {
                return Err(Fault::Untrue(format!("{live} holds are still live after their deadline")));
            }
            _ => thread::sleep(Duration::from_millis(1)),
        }
    }
}

fn read(stage: &Stage) -> Result<LevelTotals, Fault> {
    let mut all = LevelTotals::default();
    for key in &stage.keys {
        let level = stage.engine.level(*key).map_err(Fault::failed)?;
        let exactly = || stage.engine.available_exactly(*key);
        let counter = insist(&mut 0, exactly).map_err(Fault::failed)?;
        if counter != level.available {
            let sku = stage.engine.name(*key).map_or_else(String::new, |(sku, _)| sku.to_string());
            return Err(Fault::Untrue(format!(
                "the counter of {sku} has {counter} available units, but its level has {} at position {}",
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

fn compare(stage: &Stage, counts: Counts, metrics: &Metrics, levels: LevelTotals) -> Result<(), Fault> {
    let setup = stage.keys.len() as u64;
    // Every hold that was released, confirmed or expired has one unit.
    let ended = (counts.released + metrics.expired) as i64;
    let (granted, confirmed) = ((counts.granted_units + stage.held) as i64, counts.confirmed as i64);
    let shipped = counts.shipped as i64;
    for (name, answered, found) in [
        ("holds granted", (counts.granted + stage.held) as i64, metrics.granted as i64),
        ("refusals", counts.refused as i64, metrics.refused_out_of_stock as i64),
        ("holds released", counts.released as i64, metrics.released as i64),
        ("holds confirmed", confirmed, metrics.confirmed as i64),
        ("holds shipped", shipped, metrics.shipped as i64),
        ("receipts of stock", (counts.received + setup) as i64, metrics.received as i64),
        ("units on hand", (stage.stocked + counts.received) as i64 - shipped, levels.on_hand),
        ("units held", granted - ended - confirmed, levels.held),
        ("units committed", confirmed - shipped, levels.committed),
        (
            "units granted, less those given back or shipped",
            granted - ended - shipped,
            levels.on_hand - levels.available,
        ),
    ] {
        if answered != found {
            return Err(Fault::Untrue(format!(
                "{name}: {answered} according to the answers to the clients, {found} according to the engine"
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

    /// A few thousand steps of one client.
    fn run(workload: Workload) -> (Stage, Counts) {
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
            let (stage, counts) = run(*workload);
            let expired = audit(&stage, counts).unwrap_or_else(|fault| panic!("{workload:?}: {fault:?}"));
            assert_eq!(counts.decisions, 4_000);
            assert_eq!(expired > 0, *workload == Workload::Expiry);
        }
    }

    #[test]
    fn a_grant_without_an_answer_is_found() {
        let (stage, mut counts) = run(Workload::Hot);
        counts.granted -= 1;
        counts.granted_units -= 1;
        let fault = audit(&stage, counts).unwrap_err();
        assert!(
            matches!(&fault, Fault::Untrue(sentence) if sentence.starts_with("holds granted")),
            "{fault:?}"
        );
    }
}
