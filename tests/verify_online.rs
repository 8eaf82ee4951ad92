//! `Engine::verify`: a running engine compares its counters, its log and its files with each other.

mod common;

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use common::{Disk, SECOND, Shop, insist};
use stockhold::error::VerifyError;
use stockhold::{CartLine, Confirm, Durability, Engine, Receive, Reserve, ReserveCart, StockKey};
use stockhold_seeded::{Rng, seed};

/// Takes holds through all their changes until `over` is set.
fn churn(engine: &Engine, keys: &[StockKey], mut rng: Rng, over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_micros(20));
        let key = keys[rng.below_u32(keys.len() as u32) as usize];
        let lines = [CartLine::units(key, 1), CartLine::units(keys[0], 2)];
        let hold = match rng.below_u32(3) {
            0 => insist(|| engine.reserve_cart(ReserveCart::lines(&lines)))
                .map(|cart| cart.not_yet_durable().hold),
            _ => insist(|| engine.reserve(Reserve::units(key, 3)))
                .map(|reserved| reserved.not_yet_durable().hold),
        };
        let Ok(hold) = hold else { continue };
        match rng.below_u32(4) {
            0 => drop(insist(|| engine.release(hold)).map(|released| released.not_yet_durable())),
            1 => drop(insist(|| engine.confirm(Confirm::hold(hold))).map(|paid| paid.not_yet_durable())),
            2 => {
                let _ = insist(|| engine.confirm(hold)).map(|paid| paid.not_yet_durable());
                let _ = insist(|| engine.ship(hold)).map(|shipped| shipped.not_yet_durable());
            }
            _ => {}
        }
        if rng.below_u32(20) == 0 {
            insist(|| engine.receive(Receive::units(key, 50))).unwrap().not_yet_durable();
        }
    }
}

#[test]
fn an_undamaged_engine_is_verified_while_sales_go_on() {
    let disk = Disk::new(Durability::Interval(Duration::from_millis(5)));
    let shop = disk.open_with(|config| config.checkpoint_bytes(64 << 10).ttl_default(SECOND));
    let keys: [StockKey; 12] = shop.keys();
    keys.iter().for_each(|key| shop.receive(*key, 5_000));
    shop.engine.prepare(keys[0]).unwrap();
    let (rng, over) = (Rng::new(seed()), AtomicBool::new(false));
    thread::scope(|scope| {
        for number in 0..3 {
            let (engine, rng, keys, over) = (shop.engine.clone(), rng.fork(number), &keys, &over);
            scope.spawn(move || churn(&engine, keys, rng, over));
        }
        let mut position = Default::default();
        for _ in 0..5 {
            shop.clock.advance(SECOND);
            shop.engine.sweep();
            let verified = shop.engine.verify();
            let verified = verified.inspect_err(|_| over.store(true, Ordering::Relaxed)).unwrap();
            assert!(verified.position > position, "{verified}");
            assert_eq!(verified.keys as usize + verified.unsettled.len(), keys.len());
            position = verified.position;
        }
        over.store(true, Ordering::Relaxed);
    });
    let verified = shop.engine.verify().unwrap();
    assert_eq!((verified.keys as usize, &verified.unsettled[..]), (keys.len(), &[][..]), "{verified}");
}

#[test]
fn an_engine_in_memory_compares_its_counters_with_its_levels() {
    let shop = Shop::with_units(9);
    shop.reserve(4);
    let verified = shop.engine.verify().unwrap();
    assert_eq!((verified.keys, verified.records), (1, 0));
}

#[test]
fn bytes_that_change_under_a_running_engine_are_found() {
    let disk = Disk::new(Durability::Sync);
    let shop = disk.open();
    shop.receive(shop.key, 100);
    shop.engine.checkpoint().unwrap();
    for _ in 0..20 {
        shop.reserve(1);
    }
    assert_eq!(shop.engine.verify().unwrap().holds, 20);
    for _ in 0..20 {
        shop.reserve(1);
    }
    let path = disk.directory.path().join("log/00000001/db");
    let mut bytes = fs::read(&path).unwrap();
    let magic = [0xD6, b'S', b'H', 0x9C];
    let last = bytes[..bytes.len() - 60].windows(4).rposition(|window| window == magic).unwrap();
    bytes[last + 50] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let error = shop.engine.verify().unwrap_err();
    assert!(matches!(error, VerifyError::Drift(_)), "{error}");
    bytes[last + 50] ^= 1;
    fs::write(&path, &bytes).unwrap();

    let folder = disk.directory.path().join("checkpoint");
    let run = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let run = run.filter(|path| path.to_str().unwrap().contains("holds-")).max().unwrap();
    let mut bytes = fs::read(&run).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&run, bytes).unwrap();
    let error = shop.engine.verify().unwrap_err();
    assert!(!matches!(error, VerifyError::Stopped(_)), "{error}");
}
