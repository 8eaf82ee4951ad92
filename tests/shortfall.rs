//! A correction below the units that are held and committed: it is applied, reported as a shortfall that the
//! next units pay, and never clamped.

mod common;

use common::{Shop, out_of_stock};
use stockhold::error::StockError;
use stockhold::{Adjust, AdjustReason, Receive};

fn adjust(shop: &Shop, delta: i64) -> (i64, i64) {
    let adjusted = shop.engine.adjust(Adjust::by(shop.key, delta, AdjustReason::Count));
    let adjusted = adjusted.unwrap().wait().unwrap();
    (adjusted.available, adjusted.shortfall)
}

fn receive(shop: &Shop, quantity: u32) -> (i64, i64) {
    let received = shop.engine.receive(Receive::units(shop.key, quantity)).unwrap().wait().unwrap();
    (received.available, received.shortfall)
}

#[test]
fn a_count_below_the_promised_units_is_applied_and_reported() {
    let shop = Shop::with_units(10);
    shop.reserve(4);
    let sold = shop.reserve(5);
    shop.engine.confirm(sold).unwrap().wait().unwrap();
    assert_eq!(adjust(&shop, -3), (-2, 2));
    shop.assert_level(7, 4, 5);
    assert_eq!(adjust(&shop, -7), (-9, 9));
    shop.assert_level(0, 4, 5);
}

#[test]
fn a_shortfall_refuses_sales_and_the_next_receipt_pays_it_first() {
    let shop = Shop::with_units(5);
    shop.reserve(5);
    assert_eq!(adjust(&shop, -2), (-2, 2));
    assert_eq!(out_of_stock(&shop.try_reserve(1)), Some(-2));
    assert_eq!(receive(&shop, 1), (-1, 1));
    assert_eq!(out_of_stock(&shop.try_reserve(1)), Some(-1));
    assert_eq!(receive(&shop, 3), (2, 0));
    shop.reserve(2);
    assert_eq!(out_of_stock(&shop.try_reserve(1)), Some(0));
}

#[test]
fn released_units_pay_a_shortfall_too() {
    let shop = Shop::with_units(4);
    let (first, second) = (shop.reserve(3), shop.reserve(1));
    assert_eq!(adjust(&shop, -4), (-4, 4));
    shop.engine.release(first).unwrap().wait().unwrap();
    assert_eq!(shop.engine.available(shop.key), Ok(-1));
    shop.engine.release(second).unwrap().wait().unwrap();
    shop.assert_level(0, 0, 0);
}

#[test]
fn a_shortfall_blocks_neither_a_confirm_nor_a_shipment() {
    let shop = Shop::with_units(2);
    let hold = shop.reserve(2);
    assert_eq!(adjust(&shop, -2), (-2, 2));
    shop.engine.confirm(hold).unwrap().wait().unwrap();
    shop.assert_level(0, 0, 2);
    // The shipment shows that the count was wrong, and is recorded.
    shop.engine.ship(hold).unwrap().wait().unwrap();
    shop.assert_level(-2, 0, 0);
    assert_eq!(receive(&shop, 3), (1, 0));
    shop.reserve(1);
}

#[test]
fn a_count_below_zero_is_refused() {
    let shop = Shop::with_units(3);
    let refused = shop.engine.adjust(Adjust::by(shop.key, -4, AdjustReason::Lost)).map(drop);
    assert_eq!(refused, Err(StockError::BelowZero { asked: 4, on_hand: 3 }));
    shop.assert_level(3, 0, 0);
}
