//! What happens to holds: confirm, release, extend, payment, replace, cancel, ship.

use stockhold::error::ConfirmError;
use stockhold::{Confirm, Extend, HoldAction, Replace};
use stockhold_check::Event;

use crate::clock::deadline_ns;
use crate::held::{Held, KEYS, Quantities, lines, units};
use crate::shopper::Shopper;

impl Shopper<'_> {
    /// A part of a hold's lines that is not nothing.
    fn part(&mut self, whole: &Quantities) -> Quantities {
        let mut part = *whole;
        while part == *whole || units(&part) == 0 {
            part = whole.map(|units| self.bag.rng.below(u64::from(units) + 1) as u32);
            if units(whole) < 2 {
                return *whole;
            }
        }
        part
    }

    pub(crate) fn confirm(&mut self) {
        let Some((held, place)) = self.choose() else { return };
        let only_key = held.only_key();
        // The lines of a hold that its owner may have replaced are not to be guessed.
        if place.is_none() && !held.fixed {
            return self.release(held);
        }
        let taken = if self.bag.rng.once_in(3) { self.part(&held.quantities) } else { held.quantities };
        let named = lines(&taken, self.keys);
        let mut request = Confirm::hold(held.hold);
        if taken != held.quantities {
            request = match only_key {
                Some(_) => request.quantity(units(&taken)),
                None => request.lines(&named),
            };
        }
        let retake = self.bag.rng.once_in(2);
        if retake {
            request = request.retake_if_expired();
        }
        let (answer, span) = self.ask(|engine| engine.confirm(request));
        let confirmed = match answer {
            Ok(receipt) => self.receive(receipt),
            Err(error) => {
                if let ConfirmError::Refused(_) = error {
                    // It would not have to take anything again, had it not expired.
                    self.told_no(span, Some(&held), ConfirmError::Expired);
                } else if !error.is_busy() {
                    self.done_with(place);
                }
                return self.told_no(span, Some(&held), error);
            }
        };
        self.done_with(place);
        let mut paid = held;
        paid.quantities = match only_key {
            // Others may have replaced it: the answer knows.
            Some(key) => {
                let mut quantities = [0; KEYS];
                quantities[key] = confirmed.quantity;
                quantities
            }
            None => taken,
        };
        if units(&paid.quantities) != confirmed.quantity || confirmed.retaken && !retake {
            self.complain(format!("{confirmed:?} for {request:?}"));
        }
        self.bag.tally.confirmed += 1;
        self.bag.tally.retaken += u64::from(confirmed.retaken);
        self.record_each(span, &held, |key| Event::Confirm {
            hold: held.name(),
            quantity: paid.quantities[key],
            retaken: confirmed.retaken,
        });
        self.bag.paid.push(paid);
    }

    pub(crate) fn release_any(&mut self) {
        if self.mix.lets_expire {
            return self.reserve();
        }
        let Some((held, place)) = self.choose() else { return };
        self.release(held);
        self.done_with(place);
    }

    pub(crate) fn release(&mut self, held: Held) {
        let (answer, span) = self.ask(|engine| engine.release(held.hold));
        match answer {
            Ok(receipt) => {
                let _ = self.receive(receipt);
                self.bag.tally.released += 1;
                self.record_each(span, &held, |_| Event::Release { hold: held.name() });
            }
            Err(error) => self.told_no(span, Some(&held), error),
        }
    }

    pub(crate) fn extend(&mut self) {
        let Some((held, _)) = self.choose() else { return };
        let ttl = self.a_ttl();
        let (answer, span) = self.ask(|engine| engine.extend(Extend::hold(held.hold, ttl)));
        match answer {
            Ok(receipt) => {
                let deadline_ns = deadline_ns(self.receive(receipt).deadline);
                self.record_each(span, &held, |_| Event::Extend { hold: held.name(), deadline_ns });
            }
            Err(error) => self.told_no(span, Some(&held), error),
        }
    }

    pub(crate) fn begin_payment(&mut self) {
        let Some((held, _)) = self.choose() else { return };
        let (answer, span) = self.ask(|engine| engine.begin_payment(held.hold));
        match answer {
            Ok(receipt) => {
                let deadline_ns = deadline_ns(self.receive(receipt).deadline);
                self.record_each(span, &held, |_| Event::Extend { hold: held.name(), deadline_ns });
            }
            Err(error) => self.told_no(span, Some(&held), error),
        }
    }

    /// Other units of the same keys. A cart may lose lines and get them back.
    pub(crate) fn replace(&mut self) {
        let Some((held, place)) = self.choose() else { return };
        let mut quantities = [0; KEYS];
        while units(&quantities) == 0 {
            for key in held.keys() {
                quantities[key] = self.bag.rng.below(7) as u32;
            }
        }
        let named = lines(&quantities, self.keys);
        let mut request = match held.only_key() {
            Some(_) => Replace::quantity(held.hold, units(&quantities)),
            None if place.is_none() || held.fixed => return self.release_any(),
            None => Replace::lines(held.hold, &named),
        };
        if self.bag.rng.once_in(3) {
            request = request.ttl(self.a_ttl());
        }
        let (answer, span) = self.ask(|engine| engine.replace(request));
        let replaced = match answer {
            Ok(receipt) => self.receive(receipt),
            Err(error) => return self.told_no(span, Some(&held), error),
        };
        if replaced.quantity != units(&quantities) {
            self.complain(format!("{replaced:?} for {request:?}"));
        }
        self.bag.tally.replaced += 1;
        let deadline_ns = deadline_ns(replaced.deadline);
        self.record_each(span, &held, |key| Event::Replace {
            hold: held.name(),
            quantity: quantities[key],
            deadline_ns,
        });
        if let Some(place) = place {
            self.bag.held[place].quantities = quantities;
        }
    }

    /// Gives paid units back, or ships them, which takes as many new ones in later.
    pub(crate) fn cancel(&mut self) {
        if self.bag.paid.is_empty() {
            return self.reserve();
        }
        let mut paid = self.bag.paid.remove(0);
        let part = if self.bag.rng.once_in(3) { self.part(&paid.quantities) } else { paid.quantities };
        let named = lines(&part, self.keys);
        let mut request = HoldAction::hold(paid.hold);
        if part != paid.quantities {
            request = match paid.only_key() {
                Some(_) => request.quantity(units(&part)),
                None => request.lines(&named),
            };
        }
        let ships = self.bag.rng.once_in(16);
        let (answer, span) =
            self.ask(|engine| if ships { engine.ship(request) } else { engine.cancel(request) });
        let moved = match answer {
            Ok(receipt) => self.receive(receipt),
            Err(error) => {
                if error.is_busy() {
                    self.bag.paid.push(paid);
                } else {
                    self.complain(format!("{error}, for {request:?}"));
                }
                return self.told_no(span, None, error);
            }
        };
        paid.quantities = std::array::from_fn(|key| paid.quantities[key] - part[key]);
        if (moved.quantity, moved.remaining) != (units(&part), units(&paid.quantities)) {
            self.complain(format!("{moved:?} for {request:?}"));
        }
        if ships {
            for (key, units) in part.into_iter().enumerate() {
                self.bag.owed[key] += units;
                self.bag.shipped[key] += units;
            }
        } else {
            self.record_each(span, &paid, |key| Event::Cancel { hold: paid.name(), quantity: part[key] });
        }
        if units(&paid.quantities) > 0 {
            self.bag.paid.push(paid);
        }
    }
}
