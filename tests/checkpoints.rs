//! Checkpoints go on when the cause of their failure is gone.

mod common;

use std::fs;
use std::path::Path;

use common::{Disk, insist};
use stockhold::error::CheckpointError;
use stockhold::inspect::Inspection;
use stockhold::{Durability, OpKey, Receive};

/// Puts a file where the folder of checkpoints should be, so that none can be written.
fn take_away(directory: &Path) {
    fs::rename(directory.join("checkpoint"), directory.join("aside")).unwrap();
    fs::write(directory.join("checkpoint"), b"").unwrap();
}

fn give_back(directory: &Path) {
    fs::remove_file(directory.join("checkpoint")).unwrap();
    fs::rename(directory.join("aside"), directory.join("checkpoint")).unwrap();
}

#[test]
fn checkpoints_go_on_after_failures_of_any_length() {
    let disk = Disk::new(Durability::Sync);
    let directory = disk.directory.path();
    let shop = disk.open_with(|config| config.checkpoint_bytes(64 << 10));
    let mut number = 0;
    let mut receive = |times: u32| {
        for _ in 0..times {
            number += 1;
            let receive = Receive::units(shop.key, 1).reference("a long reference for a long record");
            let receipt = insist(|| shop.engine.receive(receive.op_key(OpKey(number)))).unwrap();
            if number % 500 == 0 {
                receipt.wait().unwrap();
            } else {
                receipt.not_yet_durable();
            }
        }
    };
    receive(500);
    shop.engine.checkpoint().unwrap();
    for round in 1..4 {
        take_away(directory);
        // More than the window may have: the log alone has it.
        receive(8_000 * round);
        assert!(matches!(shop.engine.checkpoint(), Err(CheckpointError::Failed(_))));
        let metrics = shop.engine.metrics();
        assert!(metrics.checkpoint_failure.is_some(), "an operator can see it");
        give_back(directory);
        let made = shop.engine.checkpoint().unwrap();
        assert!(made >= metrics.position_folded.min(metrics.position_drawn));
        assert_eq!(shop.engine.metrics().checkpoint_failure, None);
        shop.engine.verify().unwrap();
        // And without a request, as the log grows.
        let before = shop.engine.metrics().checkpoints;
        receive(4_000);
        while shop.engine.metrics().checkpoints == before {
            std::thread::yield_now();
        }
    }
    shop.engine.shutdown().unwrap();
    let inspection = Inspection::open(directory).unwrap();
    assert_eq!((inspection.drift(), inspection.report().from.0 > 0), (None, true), "the log was cut");
    let reopened = disk.open();
    assert_eq!(reopened.engine.level(reopened.key).unwrap().on_hand, i64::from(500 + 48_000 + 12_000));
}
