//! What is decided as one: the neighbouring lines of an order, or one line by itself.

use super::key::{CartKeys, Place};
use super::line::Names;
use super::turns::After;

/// One line on its way through the engine.
#[derive(Debug)]
pub struct Line {
    /// Where it began in the file.
    pub number: u64,
    /// Units asked for.
    pub quantity: u32,
    /// Order id, SKU and location in one piece, and where the first two end.
    text: Box<str>,
    ends: [usize; 2],
}

impl Line {
    /// Takes a copy of the names.
    pub fn new(number: u64, names: Names<'_>, quantity: u32) -> Self {
        let Names { order_id, sku, location } = names;
        let text = [order_id, sku, location].concat().into();
        Line { number, quantity, text, ends: [order_id.len(), order_id.len() + sku.len()] }
    }

    /// What it asks for.
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
    /// Its identity.
    pub keys: CartKeys,
    /// Among the carts of its order; `None` for a line that is decided by itself.
    pub place: Option<Place>,
    /// What must have been decided before it is.
    pub after: After,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_gives_its_names_back() {
        for (order_id, sku, location) in [("o-1", "poster", "berlin"), ("", "", ""), ("é", "", "ü")] {
            let names = Names { order_id, sku, location };
            assert_eq!(Line::new(7, names, 1).names(), names);
        }
    }
}
