//! The cart that is being read: complete when a line of another order follows, or the file ends.

use stockhold::types::{LINES_MAX, QUANTITY_MAX};

use super::cart::Line;
use super::key::{CartKeys, Place};
use super::line::BadLine;

/// Neighbouring lines of one order, so far.
#[derive(Debug)]
pub struct Open {
    pub order_id: Box<str>,
    pub keys: CartKeys,
    pub place: Place,
    /// In file order.
    entries: Vec<Entry>,
    /// The first bad line among them.
    culprit: Option<u64>,
    too_long: bool,
    /// Lines behind them whose order id cannot be read. They are the order's if another of its lines follows.
    loose: Vec<(u64, BadLine)>,
}

#[derive(Debug)]
enum Entry {
    Line(Line),
    Bad(u64, BadLine),
}

/// What a cart came to.
#[derive(Debug)]
pub struct Closed {
    /// All of it, or what is bad about each of its lines.
    pub cart: Result<Vec<Line>, Vec<(u64, BadLine)>>,
    /// Lines behind it whose order nobody knows.
    pub loose: Vec<(u64, BadLine)>,
}

impl Open {
    /// The next cart of this order, without a line.
    pub fn new(order_id: &str, (keys, place): (CartKeys, Place)) -> Self {
        let order_id = order_id.into();
        let (entries, loose) = (Vec::new(), Vec::new());
        Open { order_id, keys, place, entries, culprit: None, too_long: false, loose }
    }

    /// Takes a line of the order, or what is bad about it.
    pub fn push(&mut self, number: u64, line: Result<Line, BadLine>) {
        for (number, why) in std::mem::take(&mut self.loose) {
            self.enter(number, Err(why));
        }
        self.enter(number, line);
    }

    fn enter(&mut self, number: u64, line: Result<Line, BadLine>) {
        self.entries.push(match line {
            Ok(line) => Entry::Line(line),
            Err(why) => {
                self.culprit.get_or_insert(number);
                Entry::Bad(number, why)
            }
        });
    }

    /// Takes a line that may or may not be of the order. `false` = so many of them have come that it cannot be told.
    pub fn push_loose(&mut self, number: u64, why: BadLine) -> bool {
        self.loose.push((number, why));
        self.loose.len() <= LINES_MAX
    }

    /// Whether it has more lines than a cart may have.
    pub fn is_too_long(&self) -> bool {
        self.too_long || self.entries.len() > LINES_MAX
    }

    /// What is bad about the lines of a cart that is too long. It goes on without them, so that those that follow are
    /// known to be of it, and are not kept either.
    pub fn take_too_long(&mut self) -> Vec<(u64, BadLine)> {
        self.too_long = true;
        all_bad(std::mem::take(&mut self.entries), || BadLine::CartTooLong)
    }

    /// No further line follows.
    pub fn close(self) -> Closed {
        let Open { entries, culprit, too_long, loose, .. } = self;
        let quantity = |entry: &Entry| if let Entry::Line(line) = entry { line.quantity.into() } else { 0 };
        let units: u64 = entries.iter().map(quantity).sum();
        let cart = match culprit {
            _ if too_long => Err(all_bad(entries, || BadLine::CartTooLong)),
            Some(culprit) => Err(all_bad(entries, || BadLine::OtherLine(culprit))),
            None if units > QUANTITY_MAX.into() => Err(all_bad(entries, || BadLine::CartOverflows(units))),
            None => {
                let line = |entry| if let Entry::Line(line) = entry { Some(line) } else { None };
                Ok(entries.into_iter().filter_map(line).collect())
            }
        };
        Closed { cart, loose }
    }
}

/// Says `why` of each line that is not bad by itself.
fn all_bad(entries: Vec<Entry>, why: impl Fn() -> BadLine) -> Vec<(u64, BadLine)> {
    let bad = |entry| match entry {
        Entry::Line(line) => (line.number, why()),
        Entry::Bad(number, own) => (number, own),
    };
    entries.into_iter().map(bad).collect()
}

#[cfg(test)]
mod tests {
    use super::super::key::KeyMaker;
    use super::super::line::Names;
    use super::*;

    fn open() -> Open {
        Open::new("o", KeyMaker::default().cart("o"))
    }

    fn line(number: u64, quantity: u32) -> Result<Line, BadLine> {
        Ok(Line::new(number, Names { order_id: "o", sku: "s", location: "l" }, quantity))
    }

    #[test]
    fn a_bad_line_spoils_its_cart() {
        let mut cart = open();
        cart.push(2, line(2, 1));
        cart.push(3, Err(BadLine::QuantityZero));
        cart.push(4, line(4, 1));
        let other = || BadLine::OtherLine(3);
        assert_eq!(cart.close().cart.unwrap_err(), [(2, other()), (3, BadLine::QuantityZero), (4, other())]);
    }

    #[test]
    fn a_line_of_nobody_is_of_the_cart_around_it() {
        let nobody = || BadLine::Empty("order_id");
        let mut cart = open();
        cart.push(2, line(2, 1));
        assert!(cart.push_loose(3, nobody()));
        cart.push(4, line(4, 1));
        assert_eq!(cart.close().cart.unwrap_err()[1], (3, nobody()));

        let mut cart = open();
        cart.push(2, line(2, 1));
        assert!(cart.push_loose(3, nobody()));
        let closed = cart.close();
        assert_eq!((closed.cart.unwrap().len(), closed.loose), (1, vec![(3, nobody())]));
    }

    #[test]
    fn a_cart_that_is_too_long_keeps_none_of_its_lines() {
        let mut cart = open();
        let lines = LINES_MAX as u64;
        (0..lines).for_each(|number| cart.push(number, line(number, 1)));
        assert!(!cart.is_too_long());
        cart.push(lines, line(lines, 1));
        assert!(cart.is_too_long());
        assert_eq!(cart.take_too_long().len(), LINES_MAX + 1);
        cart.push(lines + 1, line(lines + 1, 1));
        assert!(cart.is_too_long());
        assert_eq!(cart.take_too_long(), [(lines + 1, BadLine::CartTooLong)]);
        assert_eq!(cart.close().cart.unwrap_err(), []);
    }

    #[test]
    fn quantities_add_up_to_what_the_engine_takes_at_most() {
        let mut cart = open();
        cart.push(2, line(2, QUANTITY_MAX));
        cart.push(3, line(3, 1));
        let why = BadLine::CartOverflows(u64::from(QUANTITY_MAX) + 1);
        assert_eq!(cart.close().cart.unwrap_err(), [(2, why.clone()), (3, why)]);
    }
}
