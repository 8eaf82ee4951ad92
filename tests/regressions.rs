//! Sequences of calls that once broke a promise.

mod common;
use common::*;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::time::Duration;
use stockhold::types::LINES_MAX;
use stockhold::*;

struct Panics;
impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("the waker panics on purpose");
    }
}

fn poll_once<T: Clone + Unpin>(receipt: &mut Receipt<'_, T>, waker: &Waker) -> bool {
    Pin::new(receipt).poll(&mut Context::from_waker(waker)).is_ready()
}

fn dir_config(clock: &Arc<ManualClock>) -> Config {
    still(clock)
}

#[test]
fn time_goes_on_after_a_wall_clock_was_set_back() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(Timestamp(START.0 + 86_400_000)));
    let key;
    {
        let engine = Engine::open(dir.path().join("d"), dir_config(&clock)).unwrap();
        key = engine.declare("a", "b").unwrap();
        engine.receive(Receive::units(key, 1)).unwrap().wait().unwrap();
        engine.shutdown().unwrap();
    }
    let clock = Arc::new(ManualClock::new(START));
    let engine = Engine::open(dir.path().join("d"), dir_config(&clock)).unwrap();
    let _ = engine.reserve(Reserve::units(key, 1).ttl(SECOND * 10)).unwrap().wait().unwrap();
    clock.advance(SECOND * 3600);
    let again = engine.reserve(Reserve::units(key, 1).ttl(SECOND * 10)).map(|r| r.not_yet_durable());
    assert!(again.is_ok(), "an hour later, a ten-second hold still counts: {again:?}");
}

#[test]
fn one_sweep_expires_all_that_is_due_and_a_lone_thread_is_never_busy() {
    for n in [10_000u32, 100_000] {
        let shop = Shop::with_units(n);
        for _ in 0..n {
            let _ = shop.engine.reserve(Reserve::units(shop.key, 1)).unwrap().not_yet_durable();
        }
        shop.clock.advance(SECOND * 600);
        let got = shop.engine.reserve(Reserve::units(shop.key, 1)).map(|r| r.not_yet_durable());
        println!("{n}: reserve by a lone thread: {got:?}");
        let swept: Vec<_> = (0..5).map(|_| shop.engine.sweep()).collect();
        println!("{n}: sweeps {swept:?}");
        if n == 100_000 {
            assert!(got.is_ok(), "a lone thread, whose log keeps up, got {got:?}");
            assert!(swept[1..].iter().all(|&s| s == 0), "a sweep left holds that were due: {swept:?}");
        }
    }
}

#[test]
fn a_uuid_v7_is_never_executed_twice() {
    // The client's clock is one hour ahead.
    let shop = Shop::with(10, |config| {
        config.op_key_retention(Some(SECOND * 3600 * 24)).driver_period(Some(Duration::from_millis(1)))
    });
    let at = START.0 + 3_600_000;
    let key = OpKey(u128::from(at) << 80 | 7 << 76 | 0b10 << 62 | 5);
    let first = shop.engine.receive(Receive::units(shop.key, 1).op_key(key)).unwrap().wait().unwrap();
    shop.clock.advance(SECOND * 3600 * 24 + SECOND * 60);
    std::thread::sleep(Duration::from_millis(100));
    match shop.engine.receive(Receive::units(shop.key, 1).op_key(key)) {
        Ok(r) => assert_eq!(r.not_yet_durable(), first, "executed twice"),
        Err(e) => println!("{e:?}"),
    }
}

#[test]
fn a_lowered_holds_max_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(START));
    let key;
    {
        let engine = Engine::open(dir.path().join("d"), dir_config(&clock)).unwrap();
        key = engine.declare("a", "b").unwrap();
        engine.receive(Receive::units(key, 1000)).unwrap().wait().unwrap();
        let holds: Vec<_> = (0..100)
            .map(|_| engine.reserve(Reserve::units(key, 1)).unwrap().not_yet_durable().hold)
            .collect();
        for hold in holds {
            let _ = engine.release(hold).unwrap().not_yet_durable();
        }
        engine.shutdown().unwrap();
    }
    let engine = Engine::open(dir.path().join("d"), dir_config(&clock).holds_max(3)).unwrap();
    let granted = (0..100)
        .filter(|_| engine.reserve(Reserve::units(key, 1)).map(|r| r.not_yet_durable()).is_ok())
        .count();
    assert!(granted <= 3, "{granted} live holds, holds_max is 3");
}

#[test]
fn a_waker_that_panics_hangs_no_other_caller() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Engine::open(dir.path().join("d"), Config::default()).unwrap();
    let key = engine.declare("a", "b").unwrap();
    let waker = Waker::from(Arc::new(Panics));
    for _ in 0..1000 {
        let mut receipt = engine.receive(Receive::units(key, 1)).unwrap();
        if !poll_once(&mut receipt, &waker) {
            break;
        }
    }
    std::thread::sleep(Duration::from_millis(100));
    let done = Arc::new(AtomicBool::new(false));
    let (other, flag) = (engine.clone(), Arc::clone(&done));
    std::thread::spawn(move || {
        for _ in 0..50 {
            other.receive(Receive::units(key, 1)).unwrap().wait().unwrap();
        }
        flag.store(true, Ordering::SeqCst);
    });
    std::thread::sleep(Duration::from_secs(3));
    let ok = done.load(Ordering::SeqCst);
    std::mem::forget(engine);
    assert!(ok, "another caller's wait() hangs");
}

struct LastHandle(Mutex<Option<Engine>>, Arc<AtomicBool>);
impl Wake for LastHandle {
    fn wake(self: Arc<Self>) {
        drop(self.0.lock().unwrap().take());
        self.1.store(true, Ordering::SeqCst);
    }
}

#[test]
fn the_last_handle_dropped_by_a_waker_shuts_down() {
    let dir = tempfile::tempdir().unwrap();
    let fine = Arc::new(AtomicBool::new(false));
    let mut armed = false;
    for _ in 0..100 {
        let engine = Engine::open(dir.path().join("d"), Config::default()).unwrap();
        let key = engine.declare("a", "b").unwrap();
        let other = engine.clone();
        let waker = Waker::from(Arc::new(LastHandle(Mutex::new(Some(engine)), Arc::clone(&fine))));
        let mut receipt = other.receive(Receive::units(key, 1)).unwrap();
        let pending = !poll_once(&mut receipt, &waker);
        let _ = receipt.not_yet_durable();
        drop(other);
        drop(waker);
        if pending {
            armed = true;
            break;
        }
    }
    assert!(armed);
    std::thread::sleep(Duration::from_secs(2));
    assert!(fine.load(Ordering::SeqCst), "the waking thread panicked or hangs in shutdown");
}

#[test]
fn op_keys_are_forgotten_without_a_driver() {
    let shop = Shop::with(10, |config| config.op_keys_max(1).op_key_retention(Some(SECOND)));
    let _ = shop.engine.receive(Receive::units(shop.key, 1).op_key(OpKey(1))).unwrap().not_yet_durable();
    shop.clock.advance(SECOND * 3600);
    shop.engine.sweep();
    let got = shop.engine.receive(Receive::units(shop.key, 1).op_key(OpKey(2))).map(|r| r.not_yet_durable());
    assert!(got.is_ok(), "Busy forever: {got:?}");
}

#[test]
fn the_status_of_a_shipped_hold_has_no_units() {
    let shop = Shop::with_units(5);
    let hold = shop.reserve(5);
    let _ = shop.engine.confirm(Confirm::hold(hold).quantity(3)).unwrap().not_yet_durable();
    let _ = shop.engine.ship(hold).unwrap().not_yet_durable();
    let status = shop.engine.status(hold).unwrap();
    assert_eq!((status.state, status.quantity), (HoldState::Shipped, 0));
}

#[test]
fn a_status_never_mixes_two_holds() {
    let shop = Shop::with_units(100);
    let other_key = shop.engine.declare("other", "x").unwrap();
    let _ = shop.engine.receive(Receive::units(other_key, 100)).unwrap().not_yet_durable();
    let current = Arc::new(Mutex::new(None));
    let stop = Arc::new(AtomicBool::new(false));
    let mixed = std::thread::scope(|scope| {
        let (c, s, e, key) = (Arc::clone(&current), Arc::clone(&stop), shop.engine.clone(), shop.key);
        let watcher = scope.spawn(move || {
            let mut mixed = None;
            while !s.load(Ordering::Relaxed) {
                let Some(hold) = *c.lock().unwrap() else { continue };
                for _ in 0..50 {
                    if let Ok(status) = e.status(hold)
                        && (status.lines[0].key != key
                            || status.quantity != 1
                            || status.reference.as_bytes() != b"AAAAAAAAAAAA")
                    {
                        mixed = Some(status);
                        s.store(true, Ordering::Relaxed);
                    }
                }
            }
            mixed
        });
        for _ in 0..200_000 {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let Ok(a) = shop.engine.reserve(Reserve::units(shop.key, 1).reference("AAAAAAAAAAAA")) else {
                continue;
            };
            let a = a.not_yet_durable().hold;
            let _ = shop.engine.release(a).map(|r| r.not_yet_durable());
            *current.lock().unwrap() = Some(a);
            for _ in 0..20 {
                std::hint::spin_loop()
            }
            let Ok(b) = shop
                .engine
                .reserve(Reserve::units(other_key, 7).reference("BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB"))
            else {
                continue;
            };
            let b = b.not_yet_durable().hold;
            let _ = shop.engine.release(b).map(|r| r.not_yet_durable());
        }
        stop.store(true, Ordering::Relaxed);
        watcher.join().unwrap()
    });
    assert!(mixed.is_none(), "{mixed:?}");
}

#[test]
fn holds_beyond_a_lowered_holds_max_are_kept_and_get_no_successors() {
    let disk = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(START));
    let config = |holds| still(&clock).holds_max(holds);
    let engine = Engine::open(disk.path().join("d"), config(100)).unwrap();
    let key = engine.declare("poster", "berlin").unwrap();
    engine.receive(Receive::units(key, 1_000)).unwrap().wait().unwrap();
    for _ in 0..40 {
        engine.reserve(Reserve::units(key, 1)).unwrap().wait().unwrap();
    }
    drop(engine);

    let engine = Engine::open(disk.path().join("d"), config(2)).unwrap();
    assert_eq!(engine.blocking_holds(key).unwrap().held, 40);
    assert_eq!(engine.level(key).unwrap().held, 40);
    clock.advance(Duration::from_secs(3_600));
    assert_eq!(engine.sweep(), 40);
    let granted = (0..50).filter(|_| engine.reserve(Reserve::units(key, 1)).is_ok()).count();
    assert_eq!(granted, 2);
}

/// Lines of a cart with one unit of each of `keys` new stock keys.
fn singles(shop: &Shop, keys: usize) -> Vec<CartLine> {
    let key = |number| shop.engine.declare("single", &format!("shelf {number}")).unwrap();
    let keys: Vec<_> = (0..keys).map(key).collect();
    keys.iter().for_each(|key| shop.receive(*key, 1));
    keys.into_iter().map(|key| CartLine::units(key, 1)).collect()
}

#[test]
fn a_confirmed_hold_ships_in_as_many_parts_as_it_has_units() {
    let units = (1 << 16) + 9;
    let shop = Shop::with_units(units);
    let [a, b] = shop.keys();
    shop.receive(b, 1);
    let hold = shop.cart(&[(a, units), (b, 1)]);
    shop.engine.confirm(hold).unwrap().wait().unwrap();
    let one = [CartLine::units(a, 1)];
    for _ in 0..units {
        insist(|| shop.engine.ship(HoldAction::hold(hold).lines(&one))).unwrap().not_yet_durable();
    }
    shop.assert_level_of(a, 0, 0, 0);
    shop.assert_level_of(b, 1, 0, 1);
}

#[test]
fn lines_of_carts_that_are_due_do_not_keep_a_hold_from_being_replaced() {
    let shop = Shop::with(2, |config| config.lines_max(LINES_MAX as u32));
    let lines = singles(&shop, LINES_MAX);
    shop.engine.reserve_cart(ReserveCart::lines(&lines).ttl(SECOND)).unwrap().wait().unwrap();
    let hold = shop.reserve(1);
    shop.clock.advance(SECOND);
    let replaced = shop.engine.replace(Replace::quantity(hold, 2)).unwrap().wait().unwrap();
    assert_eq!(replaced.quantity, 2);
}

#[test]
fn lines_of_expired_carts_are_reused_even_if_their_slots_are_not() {
    let disk = Disk::new(Durability::Sync);
    let shop = disk.open_with(|config| config.lines_max(LINES_MAX as u32));
    shop.receive(shop.key, 99);
    // Every shard then has more slots than the next opening allows.
    let before: Vec<_> = (0..20).map(|_| shop.reserve(1)).collect();
    let lines = singles(&shop, LINES_MAX);
    shop.engine.reserve_cart(ReserveCart::lines(&lines).ttl(SECOND)).unwrap().wait().unwrap();
    shop.engine.shutdown().unwrap();

    let shop = disk.open_with(|config| config.lines_max(LINES_MAX as u32).holds_max(16));
    for hold in before {
        shop.engine.release(hold).unwrap().wait().unwrap();
    }
    shop.clock.advance(SECOND);
    assert_eq!(shop.engine.sweep(), 1);
    shop.engine.reserve_cart(ReserveCart::lines(&lines)).unwrap().wait().unwrap();
}
