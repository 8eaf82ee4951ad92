//! Calls on holds: confirm, release, extend, payment, replace, cancel, ship.

use stockhold::error::ConfirmError;
use stockhold::{Confirm, Extend, HoldAction, Replace};
use stockhold_check::Event;

use crate::clock::deadline_ns;
use crate::held::{Held, KEYS, Quantities, lines, units};
use crate::shopper::Shopper;

impl Shopper<'_> {
    /// Chooses a part of a hold's units, at least one.
    fn part(&mut self, quantities: &Quantities) -> Quantities {
        let mut part = *quantities;
        while part == *quantities || units(&part) == 0 {
            part = quantities.map(|units| self.state.rng.below(u64::from(units) + 1) as u32);
            if units(quantities) < 2 {
                return *quantities;
            }
        }
        part
    }

    pub(crate) fn confirm(&mut self) {
        let Some((held, place)) = self.choose() else { return };
        let only_key = held.only_key();
        // The lines of another thread's hold are unknown if its owner may have replaced it.
        if place.is_none() && !held.fixed {
            return self.release(held);
        }
        let taken = if self.state.rng.once_in(3) { self.part(&held.quantities) } else { held.quantities };
        let named = lines(&taken, self.keys);
        let mut request = Confirm::hold(held.hold);
        if taken != held.quantities {
            request = match only_key {
                Some(_) => request.quantity(units(&taken)),
                None => request.lines(&named),
            };
        }
        let retake = self.state.rng.once_in(2);
        if retake {
            request = request.retake_if_expired();
        }
        let (answer, span) = self.timed(|engine| engine.confirm(request));
        let confirmed = match answer {
            Ok(receipt) => self.receive(receipt),
            Err(error) => {
                if let ConfirmError::Refused(_) = error {
                    // A refused confirm means that the hold had expired: only a retake can be refused.
                    self.record_error(span, Some(&held), ConfirmError::Expired);
                } else if !error.is_busy() {
                    self.forget(place);
                }
                return self.record_error(span, Some(&held), error);
            }
        };
        self.forget(place);
        let mut paid = held;
        paid.quantities = match only_key {
            // Another thread may have replaced it: take the quantity from the answer.
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
        self.state.tally.confirmed += 1;
        self.state.tally.retaken += u64::from(confirmed.retaken);
        self.record_each(span, &held, |key| Event::Confirm {
            hold: held.name(),
            quantity: paid.quantities[key],
            retaken: confirmed.retaken,
        });
        self.state.paid.push(paid);
    }

    pub(crate) fn release_any(&mut self) {
        if self.mix.lets_expire {
            return self.reserve();
        }
        let Some((held, place)) = self.choose() else { return };
        self.release(held);
        self.forget(place);
    }

    pub(crate) fn release(&mut self, held: Held) {
        let (answer, span) = self.timed(|engine| engine.release(held.hold));
        match answer {
            Ok(receipt) => {
                let _ = self.receive(receipt);
                self.state.tally.released += 1;
                self.record_each(span, &held, |_| Event::Release { hold: held.name() });
            }
            Err(error) => self.record_error(span, Some(&held), error),
        }
    }

    pub(crate) fn extend(&mut self) {
        let Some((held, _)) = self.choose() else { return };
        let ttl = self.random_ttl();
        let (answer, span) = self.timed(|engine| engine.extend(Extend::hold(held.hold, ttl)));
        match answer {
            Ok(receipt) => {
                let deadline_ns = deadline_ns(self.receive(receipt).deadline);
                self.record_each(span, &held, |_| Event::Extend { hold: held.name(), deadline_ns });
            }
            Err(error) => self.record_error(span, Some(&held), error),
        }
    }

    pub(crate) fn begin_payment(&mut self) {
        let Some((held, _)) = self.choose() else { return };
        let (answer, span) = self.timed(|engine| engine.begin_payment(held.hold));
        match answer {
            Ok(receipt) => {
                let deadline_ns = deadline_ns(self.receive(receipt).deadline);
                self.record_each(span, &held, |_| Event::Extend { hold: held.name(), deadline_ns });
            }
            Err(error) => self.record_error(span, Some(&held), error),
        }
    }

    /// Replaces the units of the same keys. A cart may lose lines and get them back.
    pub(crate) fn replace(&mut self) {
        let Some((held, place)) = self.choose() else { return };
        let mut quantities = [0; KEYS];
        while units(&quantities) == 0 {
            for key in held.keys() {
                quantities[key] = self.state.rng.below(7) as u32;
            }
        }
        let named = lines(&quantities, self.keys);
        let mut request = match held.only_key() {
            Some(_) => Replace::quantity(held.hold, units(&quantities)),
            None if place.is_none() || held.fixed => return self.release_any(),
            None => Replace::lines(held.hold, &named),
        };
        if self.state.rng.once_in(3) {
            request = request.ttl(self.random_ttl());
        }
        let (answer, span) = self.timed(|engine| engine.replace(request));
        let replaced = match answer {
            Ok(receipt) => self.receive(receipt),
            Err(error) => return self.record_error(span, Some(&held), error),
        };
        if replaced.quantity != units(&quantities) {
            self.complain(format!("{replaced:?} for {request:?}"));
        }
        self.state.tally.replaced += 1;
        let deadline_ns = deadline_ns(replaced.deadline);
        self.record_each(span, &held, |key| Event::Replace {
            hold: held.name(),
            quantity: quantities[key],
            deadline_ns,
        });
        if let Some(place) = place {
            self.state.held[place].quantities = quantities;
        }
    }

    /// Cancels confirmed units, or ships them and receives as many new ones later.
    pub(crate) fn cancel(&mut self) {
        if self.state.paid.is_empty() {
            return self.reserve();
        }
        let mut paid = self.state.paid.remove(0);
        let part = if self.state.rng.once_in(3) { self.part(&paid.quantities) } else { paid.quantities };
        let named = lines(&part, self.keys);
        let mut request = HoldAction::hold(paid.hold);
        if part != paid.quantities {
            request = match paid.only_key() {
                Some(_) => request.quantity(units(&part)),
                None => request.lines(&named),
            };
        }
        let ships = self.state.rng.once_in(16);
        let (answer, span) =
            self.timed(|engine| if ships { engine.ship(request) } else { engine.cancel(request) });
        let moved = match answer {
            Ok(receipt) => self.receive(receipt),
            Err(error) => {
                if error.is_busy() {
                    self.state.paid.push(paid);
                } else {
                    self.complain(format!("{error}, for {request:?}"));
                }
                return self.record_error(span, None, error);
            }
        };
        paid.quantities = std::array::from_fn(|key| paid.quantities[key] - part[key]);
        if (moved.quantity, moved.remaining) != (units(&part), units(&paid.quantities)) {
            self.complain(format!("{moved:?} for {request:?}"));
        }
        if ships {
            for (key, units) in part.into_iter().enumerate() {
                self.state.owed[key] += units;
                self.state.shipped[key] += units;
            }
        } else {
            self.record_each(span, &paid, |key| Event::Cancel { hold: paid.name(), quantity: part[key] });
        }
        if units(&paid.quantities) > 0 {
            self.state.paid.push(paid);
        }
    }
}
