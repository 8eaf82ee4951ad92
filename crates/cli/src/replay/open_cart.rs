//! The cart that is being read. It is complete when a line of another order follows, or the file ends.

use stockhold::types::{LINES_MAX, QUANTITY_MAX};

use super::cart::Line;
use super::key::{CartKeys, CartPlace};
use super::line::BadLine;

/// The neighbouring lines of one order that were read so far.
#[derive(Debug)]
pub struct OpenCart {
    pub order_id: Box<str>,
    pub keys: CartKeys,
    pub place: CartPlace,
    /// In file order.
    lines: Vec<ReadLine>,
    /// Number of the first bad line among them.
    first_bad: Option<u64>,
    too_long: bool,
    /// Lines after them whose order id cannot be read. They belong to the cart if another line of its order
    /// follows.
    unassigned: Vec<(u64, BadLine)>,
}

#[derive(Debug)]
enum ReadLine {
    Good(Line),
    Bad(u64, BadLine),
}

/// A complete cart.
#[derive(Debug)]
pub struct ClosedCart {
    /// All its lines, or why each of them cannot be used.
    pub cart: Result<Vec<Line>, Vec<(u64, BadLine)>>,
    /// Lines after it whose order id cannot be read.
    pub unassigned: Vec<(u64, BadLine)>,
}

impl OpenCart {
    /// The next cart of this order, without any line.
    pub fn new(order_id: &str, (keys, place): (CartKeys, CartPlace)) -> Self {
        let order_id = order_id.into();
        let (lines, unassigned) = (Vec::new(), Vec::new());
        OpenCart { order_id, keys, place, lines, first_bad: None, too_long: false, unassigned }
    }

    /// Adds a line of the order, or why it cannot be used.
    pub fn push(&mut self, number: u64, line: Result<Line, BadLine>) {
        for (number, why) in std::mem::take(&mut self.unassigned) {
            self.enter(number, Err(why));
        }
        self.enter(number, line);
    }

    fn enter(&mut self, number: u64, line: Result<Line, BadLine>) {
        self.lines.push(match line {
            Ok(line) => ReadLine::Good(line),
            Err(why) => {
                self.first_bad.get_or_insert(number);
                ReadLine::Bad(number, why)
            }
        });
    }

    /// Adds a line whose order is unknown. `false` if there are too many of them to wait for the next line of
    /// the order.
    pub fn push_unassigned(&mut self, number: u64, why: BadLine) -> bool {
        self.unassigned.push((number, why));
        self.unassigned.len() <= LINES_MAX
    }

    /// Whether it has more lines than [`LINES_MAX`].
    pub fn is_too_long(&self) -> bool {
        self.too_long || self.lines.len() > LINES_MAX
    }

    /// Removes the lines of a cart that is too long, and returns why each cannot be used. The cart stays
    /// open, so that the lines that follow are known to belong to it; they are not kept either.
    pub fn take_too_long(&mut self) -> Vec<(u64, BadLine)> {
        self.too_long = true;
        all_bad(std::mem::take(&mut self.lines), || BadLine::CartTooLong)
    }

    /// Completes the cart: no further line follows.
    pub fn close(self) -> ClosedCart {
        let OpenCart { lines, first_bad, too_long, unassigned, .. } = self;
        let quantity =
            |line: &ReadLine| if let ReadLine::Good(line) = line { line.quantity.into() } else { 0 };
        let units: u64 = lines.iter().map(quantity).sum();
        let cart = match first_bad {
            _ if too_long => Err(all_bad(lines, || BadLine::CartTooLong)),
            Some(bad) => Err(all_bad(lines, || BadLine::OtherLine(bad))),
            None if units > QUANTITY_MAX.into() => Err(all_bad(lines, || BadLine::CartOverflows(units))),
            None => {
                let good = |line| if let ReadLine::Good(line) = line { Some(line) } else { None };
                Ok(lines.into_iter().filter_map(good).collect())
            }
        };
        ClosedCart { cart, unassigned }
    }
}

/// Gives each line its own reason if it has one, otherwise `why`.
fn all_bad(lines: Vec<ReadLine>, why: impl Fn() -> BadLine) -> Vec<(u64, BadLine)> {
    let bad = |line| match line {
        ReadLine::Good(line) => (line.number, why()),
        ReadLine::Bad(number, own) => (number, own),
    };
    lines.into_iter().map(bad).collect()
}

#[cfg(test)]
mod tests {
    use super::super::key::KeyMaker;
    use super::super::line::Names;
    use super::*;

    fn open() -> OpenCart {
        OpenCart::new("o", KeyMaker::default().cart("o"))
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
    fn a_line_without_an_order_id_belongs_to_the_cart_around_it() {
        let unassigned = || BadLine::Empty("order_id");
        let mut cart = open();
        cart.push(2, line(2, 1));
        assert!(cart.push_unassigned(3, unassigned()));
        cart.push(4, line(4, 1));
        assert_eq!(cart.close().cart.unwrap_err()[1], (3, unassigned()));

        let mut cart = open();
        cart.push(2, line(2, 1));
        assert!(cart.push_unassigned(3, unassigned()));
        let closed = cart.close();
        assert_eq!((closed.cart.unwrap().len(), closed.unassigned), (1, vec![(3, unassigned())]));
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
    fn the_quantities_of_a_cart_are_limited() {
        let mut cart = open();
        cart.push(2, line(2, QUANTITY_MAX));
        cart.push(3, line(3, 1));
        let why = BadLine::CartOverflows(u64::from(QUANTITY_MAX) + 1);
        assert_eq!(cart.close().cart.unwrap_err(), [(2, why.clone()), (3, why)]);
    }
}
