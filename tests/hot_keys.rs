//! Keys that are split over cells, as callers see them. On one core no key is ever split, and all of this
//! still holds.

mod common;

use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

use common::{Disk, ON_DISK, SECOND, Shop, at_once, insist, out_of_stock};
use stockhold::types::QUANTITY_MAX;
use stockhold::{Adjust, AdjustReason, Confirm, HoldAction, Receive, Reserve};
use stockhold_seeded::{Rng, seed};

const THREADS: usize = 4;

fn adjust(shop: &Shop, delta: i64) {
    drop(insist(|| shop.engine.adjust(Adjust::by(shop.key, delta, AdjustReason::Count))).unwrap());
}

#[test]
fn a_prepared_key_sells_out_exactly_and_never_refuses_falsely() {
    let rng = Rng::new(seed());
    for units in [1_u32, 500, 20_011] {
        let shop = Shop::with_units(units);
        shop.engine.prepare(shop.key).unwrap();
        let left = AtomicI64::new(units.into());
        at_once(THREADS, |thread| {
            let mut rng = rng.fork(thread);
            let mut wanted = 5;
            while wanted > 0 {
                let asked = 1 + rng.below_u32(wanted);
                let answer = insist(|| shop.engine.reserve(Reserve::units(shop.key, asked)));
                match answer {
                    Ok(granted) => {
                        left.fetch_sub(granted.not_yet_durable().quantity.into(), Ordering::SeqCst);
                    }
                    Err(_) => {
                        let available = out_of_stock(&answer).expect("out of stock and nothing else");
                        assert!((0..asked.into()).contains(&available));
                        // Nothing is given back, so there are never more units than that again.
                        assert!(shop.engine.available(shop.key).unwrap() <= available);
                        wanted = asked - 1;
                    }
                }
            }
        });
        assert_eq!(left.into_inner(), 0, "a reserve of one unit gets the last one");
        shop.assert_level(units.into(), units.into(), 0);
        assert_eq!(shop.engine.available_exactly(shop.key), Ok(0));
    }
}

/// A reserve must not depend on the units in the cell of its own thread.
#[test]
fn f03_a_buyer_gets_what_lies_in_the_cells_of_others() {
    for units in [1_000_u32, 64 * 16, 12_345] {
        let shop = Shop::with_units(units);
        shop.engine.prepare(shop.key).unwrap();
        // One thread has one cell: it needs the units of all other cells, one by one and all at once.
        for _ in 0..units / 2 {
            shop.reserve(1);
        }
        shop.engine.prepare(shop.key).unwrap();
        shop.reserve(units - units / 2 - 1);
        assert_eq!(out_of_stock(&shop.try_reserve(2)), Some(1));
        shop.reserve(1);
        shop.assert_level(units.into(), units.into(), 0);
    }
}

#[test]
fn f13_two_who_want_more_than_half_never_keep_each_other_from_it() {
    let shop = Shop::with_units(1_000);
    for _ in 0..300 {
        shop.engine.prepare(shop.key).unwrap();
        let answers = at_once(2, |_| insist(|| shop.try_reserve(600)));
        // Neither keeps a part of what it wants: one is granted, and the other's refusal names what is left.
        let granted: Vec<_> = answers.iter().flatten().collect();
        assert_eq!(granted.len(), 1, "{answers:?}");
        assert!(answers.iter().any(|answer| out_of_stock(answer) == Some(400)));
        shop.engine.release(granted[0].hold).unwrap().not_yet_durable();
    }
    shop.assert_level(1_000, 0, 0);
}

#[test]
fn f13_takers_of_several_units_that_fit_are_all_granted() {
    let shop = Shop::with_units(1_200);
    for _ in 0..200 {
        shop.engine.prepare(shop.key).unwrap();
        let holds = at_once(THREADS, |_| {
            insist(|| shop.try_reserve(300)).expect("there are enough units for each thread").hold
        });
        assert_eq!(out_of_stock(&shop.try_reserve(1)), Some(0));
        holds.into_iter().for_each(|hold| drop(shop.engine.release(hold).unwrap()));
    }
}

#[test]
fn f02_an_absurd_quantity_is_refused_exactly_and_the_sale_goes_on() {
    let shop = Shop::with_units(10_000);
    shop.engine.prepare(shop.key).unwrap();
    let sold = AtomicI64::new(0);
    at_once(THREADS, |thread| {
        for round in 0..2_000 {
            if thread == 0 {
                let before = sold.load(Ordering::SeqCst);
                let asked = [QUANTITY_MAX, 10_001][round % 2];
                let available = out_of_stock(&insist(|| shop.try_reserve(asked))).unwrap();
                assert!((4_000..=10_000 - before).contains(&available), "{available}, {before} sold before");
            } else {
                insist(|| shop.engine.reserve(Reserve::units(shop.key, 1))).unwrap().not_yet_durable();
                sold.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    shop.assert_level(10_000, 6_000, 0);
    let splits = shop.engine.prepare(shop.key).unwrap();
    assert_eq!(out_of_stock(&shop.try_reserve(QUANTITY_MAX)), Some(4_000));
    assert_eq!(shop.engine.prepare(shop.key).unwrap(), splits, "the key can be split again");
}

#[test]
fn stock_arrives_and_is_corrected_while_a_prepared_key_sells() {
    let disk = Disk::new(ON_DISK[1]);
    let shop = disk.open();
    shop.receive(shop.key, 5_000);
    shop.engine.prepare(shop.key).unwrap();
    let held = AtomicI64::new(0);
    at_once(THREADS, |thread| {
        for round in 0..1_000_i64 {
            match thread {
                0 => drop(insist(|| shop.engine.receive(Receive::units(shop.key, 3))).unwrap()),
                1 => adjust(&shop, [-2, 1][round as usize % 2]),
                _ => {
                    let granted = insist(|| shop.engine.reserve(Reserve::units(shop.key, 2))).unwrap();
                    let hold = granted.not_yet_durable().hold;
                    match round % 4 {
                        0 => drop(insist(|| shop.engine.release(hold)).unwrap()),
                        1 => {
                            insist(|| shop.engine.confirm(Confirm::hold(hold).quantity(1)))
                                .unwrap()
                                .not_yet_durable();
                            insist(|| shop.engine.cancel(HoldAction::hold(hold).quantity(1)))
                                .unwrap()
                                .not_yet_durable();
                        }
                        _ => {
                            held.fetch_add(2, Ordering::Relaxed);
                        }
                    }
                }
            }
        }
    });
    let (on_hand, held) = (5_000 + 3_000 - 500, held.into_inner());
    shop.assert_level(on_hand, held, 0);
    assert_eq!(shop.engine.available_exactly(shop.key), Ok(on_hand - held));
    drop(shop);
    let shop = disk.open();
    shop.engine.prepare(shop.key).unwrap();
    shop.assert_level(on_hand, held, 0);
    shop.clock.advance(600 * SECOND);
    shop.reserve(on_hand as u32);
}

#[test]
fn a_shortfall_on_a_prepared_key_is_reported_and_paid_first() {
    let shop = Shop::with_units(4_000);
    shop.engine.prepare(shop.key).unwrap();
    let holds = at_once(THREADS, |_| insist(|| shop.try_reserve(900)).unwrap().hold);
    shop.engine.prepare(shop.key).unwrap();
    let adjusted =
        shop.engine.adjust(Adjust::by(shop.key, -1_000, AdjustReason::Lost)).unwrap().wait().unwrap();
    assert_eq!((adjusted.available, adjusted.shortfall), (-600, 600));
    assert_eq!(shop.engine.prepare(shop.key), Ok(false), "a key with a shortfall is never split");
    assert_eq!(out_of_stock(&shop.try_reserve(1)), Some(-600));
    shop.engine.release(holds[0]).unwrap().wait().unwrap();
    shop.engine.prepare(shop.key).unwrap();
    assert_eq!(out_of_stock(&shop.try_reserve(301)), Some(300));
    shop.assert_level(3_000, 2_700, 0);
}

#[test]
fn available_units_can_be_polled_while_a_prepared_key_sells() {
    let shop = Shop::with_units(9_000);
    let selling = AtomicU32::new(THREADS as u32 - 1);
    shop.engine.prepare(shop.key).unwrap();
    at_once(THREADS, |thread| {
        if thread > 0 {
            for _ in 0..3_000 {
                insist(|| shop.engine.reserve(Reserve::units(shop.key, 1))).unwrap().not_yet_durable();
            }
            selling.fetch_sub(1, Ordering::SeqCst);
        }
        let mut last = i64::MAX;
        while thread == 0 && selling.load(Ordering::SeqCst) > 0 {
            let approximate = shop.engine.available(shop.key).unwrap();
            assert!((0..=9_000).contains(&approximate));
            // Only sales happen, so exact answers never rise.
            let exactly = insist(|| shop.engine.available_exactly(shop.key)).unwrap();
            assert!(exactly <= last && exactly >= 0);
            last = exactly;
        }
    });
    assert_eq!(shop.engine.available_exactly(shop.key), Ok(0));
    shop.assert_level(9_000, 9_000, 0);
}

#[test]
fn more_keys_than_can_be_split_at_once_all_sell_their_units() {
    let shop = Shop::with_units(5_000);
    let keys = shop.keys::<300>();
    keys[1..].iter().for_each(|key| shop.receive(*key, 5_000));
    for key in keys {
        shop.engine.prepare(key).unwrap();
    }
    at_once(THREADS, |thread| {
        for key in keys.iter().cycle().skip(thread * 70).take(3_000) {
            insist(|| shop.engine.reserve(Reserve::units(*key, 2))).unwrap().not_yet_durable();
        }
    });
    // Four threads take two units of each key in ten rounds.
    keys.iter().for_each(|key| shop.assert_level_of(*key, 5_000, 80, 0));
    shop.clock.advance(600 * SECOND);
    shop.engine.sweep();
    keys.iter().for_each(|key| assert_eq!(shop.engine.available_exactly(*key), Ok(5_000)));
}

#[test]
fn units_that_were_announced_before_a_split_come_back_after_it() {
    let shop = Shop::with_units(3_000);
    at_once(THREADS, |thread| {
        for _ in 0..2_000 {
            match thread {
                0 => drop(shop.engine.prepare(shop.key).unwrap()),
                1 => drop(insist(|| shop.engine.available_exactly(shop.key)).unwrap()),
                _ => {
                    let hold = insist(|| shop.try_reserve(700)).unwrap().hold;
                    insist(|| shop.engine.release(hold)).unwrap().not_yet_durable();
                }
            }
        }
    });
    shop.assert_level(3_000, 0, 0);
    shop.reserve(3_000);
}
