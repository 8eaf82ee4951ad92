//! Calls that make holds: reserves, batches, carts.

use std::time::Duration;

use stockhold::answer::Remaining;
use stockhold::error::{ReserveError, SharedError};
use stockhold::types::QUANTITY_MAX;
use stockhold::{Receipt, Reserve, ReserveCart, Reserved};
use stockhold_check::Event;

use crate::clock::deadline_ns;
use crate::held::{Held, KEYS, lines, units};
use crate::shopper::{Shopper, Span};

/// Longer than every round.
const FOREVER: Duration = Duration::from_secs(86_400);

/// A request for units of one key.
#[derive(Clone, Copy)]
struct Request {
    key: usize,
    quantity: u32,
    at_least: u32,
    ttl: Duration,
}

impl<'a> Shopper<'a> {
    fn random_key(&mut self) -> usize {
        let key = self.state.rng.below(8) as usize;
        if key < KEYS { key } else { 0 }
    }

    pub(crate) fn random_ttl(&mut self) -> Duration {
        match !self.mix.lets_expire && self.state.rng.once_in(512) {
            true => FOREVER,
            false => Duration::from_millis(self.state.rng.upto(self.mix.ttl_max_ms).into()),
        }
    }

    fn choose_request(&mut self) -> Request {
        let (key, ttl, quantity) = (self.random_key(), self.random_ttl(), self.state.rng.upto(5));
        let rng = &mut self.state.rng;
        let at_least = if rng.once_in(8) { rng.upto(quantity) } else { quantity };
        match rng.below(512) {
            0 => Request { key, quantity: QUANTITY_MAX, at_least: QUANTITY_MAX, ttl },
            // All available units.
            1 => Request { key, quantity: QUANTITY_MAX, at_least: 1, ttl: Duration::from_millis(1) },
            2 => Request { key, quantity: 0, at_least: 0, ttl },
            _ => Request { key, quantity, at_least, ttl },
        }
    }

    fn request(&self, chosen: Request) -> Reserve<'static> {
        let Request { key, quantity, at_least, ttl } = chosen;
        Reserve::units(self.keys[key], quantity).or_at_least(at_least).ttl(ttl)
    }

    pub(crate) fn reserve(&mut self) {
        let chosen = self.choose_request();
        let request = self.request(chosen);
        let (answer, span) = self.timed(|engine| engine.reserve(request));
        self.reserved(chosen, span, answer);
    }

    pub(crate) fn reserve_batch(&mut self) {
        let count = self.state.rng.upto(3);
        let chosen: Vec<Request> = (0..count).map(|_| self.choose_request()).collect();
        let requests: Vec<_> = chosen.iter().map(|chosen| self.request(*chosen)).collect();
        let (answers, span) = self.timed(|engine| engine.reserve_batch(&requests));
        self.state.tally.calls += u64::from(count - 1);
        for (chosen, answer) in chosen.into_iter().zip(answers) {
            self.reserved(chosen, span, answer);
        }
    }

    fn reserved(&mut self, chosen: Request, span: Span, answer: Result<Receipt<'a, Reserved>, ReserveError>) {
        let Request { key, quantity: asked, at_least, .. } = chosen;
        let receipt = match answer {
            Ok(receipt) => receipt,
            Err(ReserveError::Shared(SharedError::Quantity(_))) if asked == 0 => return,
            Err(error) => return self.record_error(span, None, error),
        };
        let Reserved { hold, quantity, deadline, remaining } = self.receive(receipt);
        if quantity < at_least || quantity > asked || asked == 0 {
            self.complain(format!("{quantity} units for {asked}, or at least {at_least}"));
        }
        self.state.tally.granted += 1;
        let mut quantities = [0; KEYS];
        quantities[key] = quantity;
        let held = Held::new(hold, quantities, true);
        let deadline_ns = deadline_ns(deadline);
        self.record(span, key, Event::Grant { hold: held.name(), quantity, deadline_ns });
        if let Remaining::Exact(available) = remaining {
            self.record(span, key, Event::Reading { available });
        }
        self.keep(held);
    }

    pub(crate) fn reserve_cart(&mut self) {
        let mut quantities = [0; KEYS];
        for _ in 0..2 + self.state.rng.below(2) {
            let key = self.random_key();
            quantities[key] += self.state.rng.upto(3);
        }
        let mut lines = lines(&quantities, self.keys);
        // In any order, and with a line divided in two.
        if self.state.rng.once_in(2) {
            lines.reverse();
        }
        if lines[0].quantity > 1 && self.state.rng.once_in(3) {
            let part = self.state.rng.upto(lines[0].quantity - 1);
            let mut other = lines[0];
            (lines[0].quantity, other.quantity) = (part, other.quantity - part);
            lines.push(other);
        }
        let ttl = self.random_ttl();
        let (answer, span) = self.timed(|engine| engine.reserve_cart(ReserveCart::lines(&lines).ttl(ttl)));
        let receipt = match answer {
            Ok(receipt) => receipt,
            Err(error) => return self.record_error(span, None, error),
        };
        let cart = self.receive(receipt);
        if cart.quantity != units(&quantities) {
            self.complain(format!("{} units for a cart of {lines:?}", cart.quantity));
        }
        self.state.tally.granted += 1;
        self.state.tally.carts += 1;
        let held = Held::new(cart.hold, quantities, self.state.rng.once_in(2));
        let deadline_ns = deadline_ns(cart.deadline);
        self.record_each(span, &held, |key| Event::Grant {
            hold: held.name(),
            quantity: quantities[key],
            deadline_ns,
        });
        self.keep(held);
    }
}
