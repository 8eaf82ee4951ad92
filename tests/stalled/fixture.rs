//! An engine with stock, and the hold that the parked thread acts on.

use std::thread;

use stockhold::types::QUANTITY_MAX;
use stockhold::{
    Adjust, AdjustReason, CartLine, Confirm, Extend, HoldId, Receive, Replace, Reserve, ReserveCart, StockKey,
};

use crate::busy::{BusyCause, is_out_of_stock};
use crate::case::{Act, Case, Others, Truth};
use crate::common::{SECOND, Shop};

pub const OTHERS: usize = 2;
pub const PLENTY: u32 = 1 << 20;
pub const SCARCE: u32 = 4;

pub struct Fixture {
    pub shop: Shop,
    /// The first is the shop's.
    pub keys: [StockKey; 3],
    /// Two keys for each of the other threads.
    pub own: [[StockKey; 2]; OTHERS],
    /// The hold that the parked thread acts on.
    pub hold: Option<HoldId>,
}

impl Fixture {
    pub fn new(case: &Case, units: u32) -> Fixture {
        let shop = Shop::with_units(units);
        let declare = |sku: &str, units: u32| {
            let key = shop.engine.declare(sku, "berlin").unwrap();
            shop.engine.receive(Receive::units(key, units)).unwrap().not_yet_durable();
            key
        };
        let keys = [shop.key, declare("second", units.max(SCARCE)), declare("third", SCARCE)];
        let own = std::array::from_fn(|other| {
            [format!("own {other}"), format!("other {other}")].map(|sku| declare(&sku, PLENTY))
        });
        let mut fixture = Fixture { shop, keys, own, hold: None };
        if !case.cold {
            fixture.warm();
        }
        fixture.hold = fixture.prepare(case.act);
        fixture
    }

    /// Allocates memory in every shard, by threads of every number, and leaves free slots and an empty
    /// intake.
    fn warm(&self) {
        let count = thread::available_parallelism().map_or(1, usize::from).next_power_of_two().min(16);
        for _ in 0..count {
            thread::scope(|scope| {
                scope.spawn(|| {
                    let [a, b] = self.own[0];
                    let engine = &self.shop.engine;
                    let holds = [(); 8].map(|()| engine.reserve(Reserve::units(a, 1)).unwrap());
                    let lines = [a, b].map(|key| CartLine::units(key, 1));
                    let carts = [(); 8].map(|()| engine.reserve_cart(ReserveCart::lines(&lines)).unwrap());
                    let holds = holds.map(|reserved| reserved.not_yet_durable().hold);
                    let carts = carts.map(|reserved| reserved.not_yet_durable().hold);
                    for hold in holds.into_iter().chain(carts) {
                        engine.release(hold).unwrap().not_yet_durable();
                    }
                });
            });
        }
        self.shop.clock.advance(601 * SECOND);
        self.shop.engine.sweep();
    }

    fn prepare(&self, act: Act) -> Option<HoldId> {
        let (engine, clock) = (&self.shop.engine, &self.shop.clock);
        let [first, second, _] = self.keys;
        let two = Reserve::units(first, 2);
        let reserve = |request| Some(engine.reserve(request).unwrap().not_yet_durable().hold);
        match act {
            Act::Reserve | Act::ReserveShort | Act::Batch | Act::Cart | Act::Cart3 => None,
            Act::Receive | Act::Adjust => None,
            Act::Release | Act::Confirm | Act::ConfirmPart | Act::Extend => reserve(two),
            Act::ReplaceMore | Act::ReplaceFewer => reserve(two),
            Act::ReplaceShort => reserve(two.ttl(SECOND)),
            Act::ConfirmCart => {
                let lines = [CartLine::units(first, 2), CartLine::units(second, 1)];
                Some(engine.reserve_cart(ReserveCart::lines(&lines)).unwrap().not_yet_durable().hold)
            }
            Act::Cancel => {
                let hold = reserve(two);
                engine.confirm(hold.unwrap()).unwrap().not_yet_durable();
                hold
            }
            Act::Retake | Act::Sweep | Act::Inline => {
                let hold = reserve(two.ttl(SECOND));
                clock.advance(2 * SECOND);
                if act == Act::Retake {
                    assert_eq!(engine.sweep(), 1);
                }
                hold
            }
            Act::Exactly => {
                assert!(engine.prepare(first).unwrap());
                None
            }
            Act::Prepare => None,
        }
    }

    /// The call of the parked thread. The levels, which `settle` checks, show whether its answer was right.
    pub fn act(&self, act: Act) {
        let engine = &self.shop.engine;
        let [first, second, third] = self.keys;
        let hold = self.hold.unwrap_or(HoldId::from_u128(0));
        let ended = match act {
            Act::Reserve => engine.reserve(Reserve::units(first, 2)).map(drop).map_err(|e| e.busy()),
            Act::ReserveShort => {
                engine.reserve(Reserve::units(first, 2).ttl(SECOND)).map(drop).map_err(|e| e.busy())
            }
            Act::Batch => {
                assert!(engine.reserve_batch(&[Reserve::units(first, 1); 2]).iter().all(Result::is_ok));
                Ok(())
            }
            Act::Cart => {
                let lines = [CartLine::units(first, 2), CartLine::units(second, 1)];
                engine.reserve_cart(ReserveCart::lines(&lines)).map(drop).map_err(|e| e.busy())
            }
            Act::Cart3 => {
                let lines = [(first, 2), (second, 2), (third, 1)];
                let lines = lines.map(|(key, units)| CartLine::units(key, units));
                let answer = engine.reserve_cart(ReserveCart::lines(&lines));
                assert!(is_out_of_stock(&answer), "{answer:?}");
                Ok(())
            }
            // Errors because another thread confirmed the hold, or because it has expired, are right too.
            Act::Release | Act::Inline => engine.release(hold).map(drop).map_err(|e| e.busy()),
            Act::Confirm => engine.confirm(hold).map(drop).map_err(|e| e.busy()),
            Act::ConfirmPart => {
                engine.confirm(Confirm::hold(hold).quantity(1)).map(drop).map_err(|e| e.busy())
            }
            Act::ConfirmCart => {
                let lines = [first, second].map(|key| CartLine::units(key, 1));
                engine.confirm(Confirm::hold(hold).lines(&lines)).map(drop).map_err(|e| e.busy())
            }
            Act::Extend => engine.extend(Extend::hold(hold, 900 * SECOND)).map(drop).map_err(|e| e.busy()),
            Act::ReplaceMore => engine.replace(Replace::quantity(hold, 3)).map(drop).map_err(|e| e.busy()),
            Act::ReplaceFewer | Act::ReplaceShort => {
                engine.replace(Replace::quantity(hold, 1)).map(drop).map_err(|e| e.busy())
            }
            Act::Cancel => engine.cancel(hold).map(drop).map_err(|e| e.busy()),
            Act::Retake => {
                engine.confirm(Confirm::hold(hold).retake_if_expired()).map(drop).map_err(|e| e.busy())
            }
            Act::Sweep => {
                assert_eq!(engine.sweep(), 1);
                Ok(())
            }
            Act::Receive => engine.receive(Receive::units(first, 1)).map(drop).map_err(|e| e.busy()),
            Act::Adjust => {
                let lost = Adjust::by(first, -1, AdjustReason::Lost);
                engine.adjust(lost).map(drop).map_err(|e| e.busy())
            }
            Act::Exactly => engine.available_exactly(first).map(drop).map_err(|e| e.busy()),
            Act::Prepare => engine.prepare(first).map(drop).map_err(|e| e.busy()),
        };
        assert!(!matches!(ended, Err(Some(_))), "Busy, though no other thread was parked: {ended:?}");
    }

    pub fn others(&self, others: Others) {
        let engine = &self.shop.engine;
        match others {
            Others::DrainFirst => drop(engine.reserve(Reserve::units(self.keys[0], SCARCE)).unwrap()),
            Others::DrainThird => drop(engine.reserve(Reserve::units(self.keys[2], SCARCE)).unwrap()),
            Others::Confirm => drop(engine.confirm(self.hold.unwrap()).unwrap()),
            Others::Later => self.shop.clock.advance(2 * SECOND),
        }
    }

    /// Checks, once no thread is parked, that nothing is `Busy` and that the counters agree with the log's
    /// levels.
    pub fn settle(&self) {
        let engine = &self.shop.engine;
        let own = self.own.as_flattened();
        for &key in self.keys.iter().chain(own) {
            let exactly = engine.available_exactly(key).expect("no other thread runs");
            let level = engine.level(key).unwrap();
            assert_eq!(level.available, exactly, "{level:?}");
            if own.contains(&key) {
                assert_eq!((level.on_hand, level.held, level.committed), (PLENTY.into(), 0, 0));
            }
            self.is_granted(key, QUANTITY_MAX, Truth, 1);
        }
        engine.shutdown().unwrap();
    }
}
