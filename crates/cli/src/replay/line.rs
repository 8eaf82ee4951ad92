//! The columns of a line of an order or stock file, and the reasons why a line cannot be used.

use std::fmt;

use stockhold::types::{LINES_MAX, NAME_BYTES_MAX, QUANTITY_MAX};

use super::csv::{Fields, Malformed, Step};
use super::time::Micros;

/// Why a line cannot be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BadLine {
    /// It is not a CSV record.
    Malformed(Malformed),
    /// It has too few columns.
    NoColumn { column: &'static str, columns: usize },
    /// A column is empty.
    Empty(&'static str),
    /// A column is not UTF-8.
    NotUtf8(&'static str),
    /// A SKU or location is longer than the engine's limit.
    NameTooLong { column: &'static str, bytes: usize },
    /// The quantity is not a whole number.
    QuantityMalformed(Box<str>),
    /// The quantity is zero.
    QuantityZero,
    /// The quantity is below zero.
    QuantityNegative(Box<str>),
    /// The quantity is above the engine's limit.
    QuantityOverflows(Box<str>),
    /// The time is not a time.
    TimeMalformed(Box<str>),
    /// The line with this number, in the same cart, is bad: a cart is decided as a whole.
    OtherLine(u64),
    /// Its cart has more lines than the engine's limit.
    CartTooLong,
    /// The quantities of its cart add up to more than the engine's limit.
    CartOverflows(u64),
    /// An earlier run decided this line with other content.
    LineChanged,
    /// An earlier run decided this cart with other content.
    CartChanged,
    /// An earlier cart of its order was not decided.
    Blocked,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadLine::Malformed(Malformed::OpenQuote) => f.write_str("a quote is opened and not closed"),
            BadLine::Malformed(Malformed::AfterQuote) => f.write_str("text follows a closing quote"),
            BadLine::Malformed(Malformed::TooLong) => f.write_str("the line is longer than 64 KiB"),
            BadLine::NoColumn { column, columns: 1 } => {
                write!(f, "`{column}` is missing: the line has 1 column")
            }
            BadLine::NoColumn { column, columns } => {
                write!(f, "`{column}` is missing: the line has {columns} columns")
            }
            BadLine::Empty(column) => write!(f, "`{column}` is empty"),
            BadLine::NotUtf8(column) => write!(f, "`{column}` is not UTF-8"),
            BadLine::NameTooLong { column, bytes } => {
                write!(f, "`{column}` has {bytes} bytes; {NAME_BYTES_MAX} is the maximum")
            }
            BadLine::QuantityMalformed(text) => write!(f, "`quantity` {text:?} is not a whole number"),
            BadLine::QuantityZero => f.write_str("`quantity` is zero"),
            BadLine::QuantityNegative(text) => write!(f, "`quantity` {text:?} is negative"),
            BadLine::QuantityOverflows(text) => {
                write!(f, "`quantity` {text:?} overflows; {QUANTITY_MAX} is the maximum")
            }
            BadLine::TimeMalformed(text) => {
                write!(f, "`at` {text:?} is neither a time like 2026-11-27T09:00:00Z nor a number of seconds")
            }
            BadLine::OtherLine(number) => {
                write!(
                    f,
                    "line {number} of the same order is bad, and neighbouring lines of an order are \
                     decided together"
                )
            }
            BadLine::CartTooLong => write!(
                f,
                "the order has more than {LINES_MAX} neighbouring lines; give some of them another order id"
            ),
            BadLine::CartOverflows(units) => write!(
                f,
                "the order's neighbouring lines add up to {units} units; {QUANTITY_MAX} together is the \
                 maximum"
            ),
            BadLine::CartChanged => f.write_str(
                "an earlier run decided this order with other neighbouring lines or quantities, or another \
                 --hold or --ttl-ms; a changed order needs a new order id",
            ),
            BadLine::Blocked => f.write_str(
                "earlier lines of this order are bad, have changed, or name unknown stock, and the lines \
                 of an order are decided in file order: fix those lines and run again",
            ),
            BadLine::LineChanged => f.write_str(
                "an earlier run decided this order line with another quantity, or another --hold or \
                 --ttl-ms; a changed order needs a new order id",
            ),
        }
    }
}

/// The beginning of a bad field, for an error message.
fn excerpt(text: &str) -> Box<str> {
    const CHARS_MAX: usize = 40;
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text.into(),
    }
}

/// The indices of the columns that a header names.
#[derive(Clone, Copy, Debug)]
pub struct Columns {
    order_id: Option<usize>,
    sku: usize,
    location: usize,
    quantity: usize,
    at: Option<usize>,
    customer: Option<usize>,
}

impl Columns {
    /// The columns of an order file, or a sentence that names the missing ones.
    pub fn of_orders(first: Step, header: &Fields) -> Result<Columns, String> {
        Columns::find(first, header, &["order_id", "sku", "location", "quantity"])
    }

    /// The columns of a stock file, or a sentence that names the missing ones.
    pub fn of_stock(first: Step, header: &Fields) -> Result<Columns, String> {
        let columns = Columns::find(first, header, &["sku", "location", "quantity"])?;
        Ok(Columns { order_id: None, at: None, customer: None, ..columns })
    }

    fn find(first: Step, header: &Fields, needed: &[&str]) -> Result<Columns, String> {
        let form = format!("its first line must name the columns {}, in any order", needed.join(","));
        match first {
            Step::Record(_) => {}
            Step::Malformed(line, why) => {
                return Err(format!("line {line}: {}; {form}", BadLine::Malformed(why)));
            }
            Step::More | Step::End => return Err(format!("the file is empty; {form}")),
        }
        let find = |name: &str| {
            let mut places =
                (0..header.len()).filter(|&i| header.get(i).map(<[u8]>::trim_ascii) == Some(name.as_bytes()));
            match (places.next(), places.next()) {
                (Some(_), Some(_)) => Err(format!("the header names the column `{name}` twice; keep one")),
                (place, _) => Ok(place),
            }
        };
        let mut missing = Vec::new();
        for name in needed {
            if find(name)?.is_none() {
                missing.push(format!("`{name}`"));
            }
        }
        if !missing.is_empty() {
            return Err(format!("the header does not name {}; {form}", missing.join(", ")));
        }
        let place = |name| Ok::<_, String>(find(name)?.unwrap_or_default());
        Ok(Columns {
            order_id: find("order_id")?,
            sku: place("sku")?,
            location: place("location")?,
            quantity: place("quantity")?,
            at: find("at")?,
            customer: find("customer")?,
        })
    }

    /// Whether the file has a column `at`.
    pub fn have_at(&self) -> bool {
        self.at.is_some()
    }

    /// The order id. Read before the other columns, because a bad line still belongs to its order.
    pub fn order_id<'f>(&self, fields: &'f Fields) -> Result<&'f str, BadLine> {
        match self.order_id {
            Some(column) => text(fields, column, "order_id"),
            None => Ok(""),
        }
    }

    /// Order id, SKU and location. Read before the other columns, because a line with a bad quantity still
    /// counts as an occurrence of its names.
    pub fn names<'f>(&self, fields: &'f Fields) -> Result<Names<'f>, BadLine> {
        Ok(Names {
            order_id: self.order_id(fields)?,
            sku: name(fields, self.sku, "sku")?,
            location: name(fields, self.location, "location")?,
        })
    }

    /// The quantity, zero included.
    pub fn quantity_or_zero(&self, fields: &Fields) -> Result<u32, BadLine> {
        quantity(text(fields, self.quantity, "quantity")?)
    }

    /// The quantity, and the time if the line has one.
    pub fn request(&self, fields: &Fields) -> Result<(u32, Option<Micros>), BadLine> {
        let quantity = match self.quantity_or_zero(fields)? {
            0 => return Err(BadLine::QuantityZero),
            quantity => quantity,
        };
        // The customer is not used yet, but must be readable for later versions.
        self.optional(fields, self.customer, "customer")?;
        let at = match self.optional(fields, self.at, "at")? {
            None => None,
            Some(at) => Some(Micros::parse(at).ok_or_else(|| BadLine::TimeMalformed(excerpt(at)))?),
        };
        Ok((quantity, at))
    }

    fn optional<'f>(
        &self,
        fields: &'f Fields,
        column: Option<usize>,
        name: &'static str,
    ) -> Result<Option<&'f str>, BadLine> {
        let Some(bytes) = column.and_then(|column| fields.get(column)) else { return Ok(None) };
        let text = str::from_utf8(bytes).map_err(|_| BadLine::NotUtf8(name))?.trim_ascii();
        Ok((!text.is_empty()).then_some(text))
    }
}

/// The three names of a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Names<'a> {
    /// Empty for a line of the stock file.
    pub order_id: &'a str,
    pub sku: &'a str,
    pub location: &'a str,
}

fn text<'f>(fields: &'f Fields, column: usize, name: &'static str) -> Result<&'f str, BadLine> {
    let bytes = fields.get(column).ok_or(BadLine::NoColumn { column: name, columns: fields.len() })?;
    match str::from_utf8(bytes) {
        Ok("") => Err(BadLine::Empty(name)),
        Ok(text) => Ok(text),
        Err(_) => Err(BadLine::NotUtf8(name)),
    }
}

fn name<'f>(fields: &'f Fields, column: usize, name: &'static str) -> Result<&'f str, BadLine> {
    let text = text(fields, column, name)?;
    match text.len() {
        0..=NAME_BYTES_MAX => Ok(text),
        bytes => Err(BadLine::NameTooLong { column: name, bytes }),
    }
}

fn quantity(text: &str) -> Result<u32, BadLine> {
    let digits = text.trim_ascii();
    let all_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits.strip_prefix('-').is_some_and(all_digits) {
        return Err(BadLine::QuantityNegative(excerpt(text)));
    }
    if !all_digits(digits) {
        return Err(BadLine::QuantityMalformed(excerpt(text)));
    }
    match digits.parse() {
        Ok(quantity) if quantity <= QUANTITY_MAX => Ok(quantity),
        _ => Err(BadLine::QuantityOverflows(excerpt(text))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::csv::Records;
    use super::*;

    fn fields(line: &[u8]) -> (Step, Fields) {
        let mut fields = Fields::default();
        let step = Records::new(line).unwrap().next(&mut fields).unwrap();
        (step, fields)
    }

    fn orders(header: &str) -> Result<Columns, String> {
        let (step, header) = fields(header.as_bytes());
        Columns::of_orders(step, &header)
    }

    fn request(line: &[u8]) -> Result<(String, u32, Option<Micros>), BadLine> {
        let (_, fields) = fields(line);
        let columns = orders("order_id,sku,location,quantity,at,customer").unwrap();
        let names = columns.names(&fields)?;
        let (quantity, at) = columns.request(&fields)?;
        Ok((format!("{} {} {}", names.order_id, names.sku, names.location), quantity, at))
    }

    #[test]
    fn columns_come_in_any_order_among_others() {
        let columns = orders("note, quantity ,location,x,sku,order_id").unwrap();
        let (_, line) = fields(b"n,2,berlin,?,poster,o-1,more");
        let names = Names { order_id: "o-1", sku: "poster", location: "berlin" };
        assert_eq!(columns.names(&line), Ok(names));
        assert_eq!(columns.request(&line), Ok((2, None)));
        assert!(!columns.have_at());
    }

    #[test]
    fn a_header_without_needed_columns_is_refused_with_their_names() {
        let message = orders("sku,quantity").unwrap_err();
        assert!(message.contains("`order_id`, `location`"), "{message}");
        assert!(orders("").unwrap_err().contains("empty"));
        assert!(orders("order_id,sku,location,quantity,sku").unwrap_err().contains("`sku` twice"));
    }

    #[test]
    fn quantities_are_whole_and_in_range() {
        assert_eq!(quantity("0"), Ok(0));
        assert_eq!(quantity(" 007 "), Ok(7));
        assert_eq!(quantity("2147483647"), Ok(QUANTITY_MAX));
        for over in ["2147483648", "4294967296", "99999999999999999999999"] {
            assert_eq!(quantity(over), Err(BadLine::QuantityOverflows(over.into())));
        }
        for negative in ["-1", "-0", "-99999999999999999999"] {
            assert_eq!(quantity(negative), Err(BadLine::QuantityNegative(negative.into())));
        }
        for bad in ["x", "1.0", "1e3", "+1", "--1", "-", " ", "١"] {
            assert_eq!(quantity(bad), Err(BadLine::QuantityMalformed(bad.into())), "{bad:?}");
        }
    }

    #[test]
    fn each_bad_line_has_its_message() {
        let long = format!("o,{},l,1,,", "s".repeat(256));
        let cases: [(&[u8], &str); 9] = [
            (b"o,s,l", "`quantity` is missing: the line has 3 columns"),
            (b"o", "`sku` is missing: the line has 1 column"),
            (b",s,l,1", "`order_id` is empty"),
            (b"o,s,l,", "`quantity` is empty"),
            (b"o,s,l,0", "`quantity` is zero"),
            (b"o,\xff,l,1", "`sku` is not UTF-8"),
            (b"o,s,l,1,,\xff", "`customer` is not UTF-8"),
            (b"o,s,l,1,noon", "`at` \"noon\" is neither"),
            (long.as_bytes(), "`sku` has 256 bytes"),
        ];
        for (line, expected) in cases {
            let message = request(line).unwrap_err().to_string();
            assert!(message.starts_with(expected), "{message}");
        }
    }

    #[test]
    fn time_and_customer_may_be_left_out() {
        for line in ["o,s,l,1", "o,s,l,1,", "o,s,l,1,,", "o,s,l,1, ,c"] {
            assert_eq!(request(line.as_bytes()), Ok(("o s l".into(), 1, None)));
        }
    }
}
