//! Units become holds: reserves, batches, carts.

use std::time::Duration;

use stockhold::error::{ReserveError, SharedError};
use stockhold::types::QUANTITY_MAX;
use stockhold::{Receipt, Reserve, ReserveCart, Reserved};
use stockhold_check::Event;

use crate::clock::deadline_ns;
use crate::held::{Held, KEYS, lines, units};
use crate::shopper::{Shopper, Span};

/// Outlives every round.
const FOREVER: Duration = Duration::from_secs(86_400);

/// What is asked of one key.
#[derive(Clone, Copy)]
struct Wish {
    key: usize,
    quantity: u32,
    at_least: u32,
    ttl: Duration,
}

impl<'a> Shopper<'a> {
    fn a_key(&mut self) -> usize {
        let key = self.bag.rng.below(8) as usize;
        if key < KEYS { key } else { 0 }
    }

    pub(crate) fn a_ttl(&mut self) -> Duration {
        match !self.mix.lets_expire && self.bag.rng.once_in(512) {
            true => FOREVER,
            false => Duration::from_millis(self.bag.rng.upto(self.mix.ttl_max_ms).into()),
        }
    }

    fn wish(&mut self) -> Wish {
        let (key, ttl, quantity) = (self.a_key(), self.a_ttl(), self.bag.rng.upto(5));
        let rng = &mut self.bag.rng;
        let at_least = if rng.once_in(8) { rng.upto(quantity) } else { quantity };
        match rng.below(512) {
            0 => Wish { key, quantity: QUANTITY_MAX, at_least: QUANTITY_MAX, ttl },
            // All there is, and more.
            1 => Wish { key, quantity: QUANTITY_MAX, at_least: 1, ttl: Duration::from_millis(1) },
            2 => Wish { key, quantity: 0, at_least: 0, ttl },
            _ => Wish { key, quantity, at_least, ttl },
        }
    }

    fn request(&self, wish: Wish) -> Reserve<'static> {
        let Wish { key, quantity, at_least, ttl } = wish;
        Reserve::units(self.keys[key], quantity).or_at_least(at_least).ttl(ttl)
    }

    pub(crate) fn reserve(&mut self) {
        let wish = self.wish();
        let request = self.request(wish);
        let (answer, span) = self.ask(|engine| engine.reserve(request));
        self.reserved(wish, span, answer);
    }

    pub(crate) fn reserve_batch(&mut self) {
        let count = self.bag.rng.upto(3);
        let wishes: Vec<Wish> = (0..count).map(|_| self.wish()).collect();
        let requests: Vec<_> = wishes.iter().map(|wish| self.request(*wish)).collect();
        let (answers, span) = self.ask(|engine| engine.reserve_batch(&requests));
        self.bag.tally.calls += u64::from(count - 1);
        for (wish, answer) in wishes.into_iter().zip(answers) {
            self.reserved(wish, span, answer);
        }
    }

    fn reserved(&mut self, wish: Wish, span: Span, answer: Result<Receipt<'a, Reserved>, ReserveError>) {
        let Wish { key, quantity: asked, at_least, .. } = wish;
        let receipt = match answer {
            Ok(receipt) => receipt,
            Err(ReserveError::Shared(SharedError::Quantity(_))) if asked == 0 => return,
            Err(error) => return self.told_no(span, None, error),
        };
        let Reserved { hold, quantity, deadline, .. } = self.receive(receipt);
        if quantity < at_least || quantity > asked || asked == 0 {
            self.complain(format!("{quantity} units for {asked}, or at least {at_least}"));
        }
        self.bag.tally.granted += 1;
        let mut quantities = [0; KEYS];
        quantities[key] = quantity;
        let held = Held::new(hold, quantities, true);
        let deadline_ns = deadline_ns(deadline);
        self.record(span, key, Event::Grant { hold: held.name(), quantity, deadline_ns });
        self.keep(held);
    }

    pub(crate) fn reserve_cart(&mut self) {
        let mut quantities = [0; KEYS];
        for _ in 0..2 + self.bag.rng.below(2) {
            let key = self.a_key();
            quantities[key] += self.bag.rng.upto(3);
        }
        let mut lines = lines(&quantities, self.keys);
        // In any order, and in parts that are to be added up.
        if self.bag.rng.once_in(2) {
            lines.reverse();
        }
        if lines[0].quantity > 1 && self.bag.rng.once_in(3) {
            let part = self.bag.rng.upto(lines[0].quantity - 1);
            let mut other = lines[0];
            (lines[0].quantity, other.quantity) = (part, other.quantity - part);
            lines.push(other);
        }
        let ttl = self.a_ttl();
        let (answer, span) = self.ask(|engine| engine.reserve_cart(ReserveCart::lines(&lines).ttl(ttl)));
        let receipt = match answer {
            Ok(receipt) => receipt,
            Err(error) => return self.told_no(span, None, error),
        };
        let cart = self.receive(receipt);
        if cart.quantity != units(&quantities) {
            self.complain(format!("{} units for a cart of {lines:?}", cart.quantity));
        }
        self.bag.tally.granted += 1;
        self.bag.tally.carts += 1;
        let held = Held::new(cart.hold, quantities, self.bag.rng.once_in(2));
        let deadline_ns = deadline_ns(cart.deadline);
        self.record_each(span, &held, |key| Event::Grant {
            hold: held.name(),
            quantity: quantities[key],
            deadline_ns,
        });
        self.keep(held);
    }
}
