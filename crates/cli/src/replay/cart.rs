//! A cart: the neighbouring lines of an order that are decided together, or one line by itself.

use super::key::{CartKeys, CartPlace};
use super::line::Names;
use super::turns::After;

/// One line of the order file.
#[derive(Debug)]
pub struct Line {
    /// Number of the line in the file at which it begins.
    pub number: u64,
    /// Units asked for.
    pub quantity: u32,
    /// Order id, SKU and location, concatenated.
    text: Box<str>,
    /// Where the first two end in `text`.
    ends: [usize; 2],
}

impl Line {
    /// Takes a copy of the names.
    pub fn new(number: u64, names: Names<'_>, quantity: u32) -> Self {
        let Names { order_id, sku, location } = names;
        let text = [order_id, sku, location].concat().into();
        Line { number, quantity, text, ends: [order_id.len(), order_id.len() + sku.len()] }
    }

    /// Order id, SKU and location.
    pub fn names(&self) -> Names<'_> {
        let [order_id, sku] = self.ends;
        Names {
            order_id: &self.text[..order_id],
            sku: &self.text[order_id..sku],
            location: &self.text[sku..],
        }
    }
}

/// One or more lines that are granted or refused together.
#[derive(Debug)]
pub struct Cart {
    /// In file order, at least one, all of one order.
    pub lines: Vec<Line>,
    /// Its op keys, which identify it in every run.
    pub keys: CartKeys,
    /// Its place among the carts of its order; `None` for a line that is decided by itself.
    pub place: Option<CartPlace>,
    /// The carts that must be decided before it.
    pub after: After,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_returns_its_names() {
        for (order_id, sku, location) in [("o-1", "poster", "berlin"), ("", "", ""), ("é", "", "ü")] {
            let names = Names { order_id, sku, location };
            assert_eq!(Line::new(7, names, 1).names(), names);
        }
    }
}
