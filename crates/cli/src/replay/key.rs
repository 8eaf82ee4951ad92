//! Op keys of file lines: the same line has the same key in every run and in every version.
//!
//! A key is XXH3-128 over a domain and the line's names, each field after its length, in the form of a UUIDv8
//! (RFC 9562's form for custom content). The form matters: the engine would read a time from a UUIDv7. The
//! hash has no secret, because a rerun must make the same keys. The operator trusts the content of order
//! files.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

use stockhold::OpKey;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::line::Names;

/// A buffer that collects fields, to hash them together.
#[derive(Debug, Default)]
struct FieldBuffer(Vec<u8>);

impl FieldBuffer {
    fn begin(&mut self, domain: &str) -> &mut Self {
        self.0.clear();
        self.field(domain.as_bytes())
    }

    fn field(&mut self, field: &[u8]) -> &mut Self {
        self.0.extend_from_slice(&(field.len() as u64).to_le_bytes());
        self.0.extend_from_slice(field);
        self
    }

    fn hash(&self) -> u128 {
        xxh3_128(&self.0)
    }
}

/// Sets version 8 and variant 2, so that the key is never read as a UUIDv7.
fn in_uuid_v8_form(hash: u128) -> OpKey {
    let fixed = (0xf << 76) | (0b11 << 62);
    OpKey((hash & !fixed) | (0x8 << 76) | (0b10 << 62))
}

/// The op keys of one cart, or of one line that is decided by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CartKeys {
    pub reserve: OpKey,
    pub confirm: OpKey,
}

/// The place of a cart among the carts of its order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CartPlace {
    /// Hash of the order id.
    pub order: u128,
    /// Number of the order's carts before this one.
    pub before: u64,
}

/// Makes keys, and counts how often an order id, or an order's line with the same names, was seen.
///
/// It keeps a little more than 16 bytes per line or cart, because the lines of an order need not be
/// neighbours. The engine keeps more than that for their op keys.
#[derive(Debug, Default)]
pub struct KeyMaker {
    fields: FieldBuffer,
    seen: HashSet<u128, BuildHasherDefault<IdentityHasher>>,
    /// Number of repetitions of the hashes that were seen more than once.
    repeated: HashMap<u128, u64, BuildHasherDefault<IdentityHasher>>,
}

impl KeyMaker {
    /// The keys of the next order line with these names.
    pub fn order_line(&mut self, names: Names<'_>) -> CartKeys {
        let Names { order_id, sku, location } = names;
        self.fields.begin("stockhold replay order line");
        for name in [order_id, sku, location] {
            self.fields.field(name.as_bytes());
        }
        let line = self.fields.hash();
        let occurrence = self.occurrence(line).to_le_bytes();
        let line = line.to_le_bytes();
        let mut key =
            |domain| in_uuid_v8_form(self.fields.begin(domain).field(&line).field(&occurrence).hash());
        CartKeys { reserve: key("stockhold replay reserve"), confirm: key("stockhold replay confirm") }
    }

    /// The keys of this order's next cart. They are made from its number and not from its lines, so that a
    /// changed cart has the op key of the original one.
    pub fn cart(&mut self, order_id: &str) -> (CartKeys, CartPlace) {
        let order = self.fields.begin("stockhold replay cart").field(order_id.as_bytes()).hash();
        let before = self.occurrence(order);
        let (line, occurrence) = (order.to_le_bytes(), before.to_le_bytes());
        let mut key =
            |domain| in_uuid_v8_form(self.fields.begin(domain).field(&line).field(&occurrence).hash());
        let (reserve, confirm) = (key("stockhold replay reserve cart"), key("stockhold replay confirm cart"));
        (CartKeys { reserve, confirm }, CartPlace { order, before })
    }

    /// The key of the mark that records a directory's grouping.
    pub fn grouping_mark(&mut self, grouping: &str) -> OpKey {
        self.fields.begin("stockhold replay begun");
        in_uuid_v8_form(self.fields.field(grouping.as_bytes()).hash())
    }

    /// The key of a line of the stock file.
    pub fn stock_line(&mut self, sku: &str, location: &str) -> OpKey {
        self.fields.begin("stockhold replay stock line");
        in_uuid_v8_form(self.fields.field(sku.as_bytes()).field(location.as_bytes()).hash())
    }

    /// How often this hash was seen before.
    fn occurrence(&mut self, hash: u128) -> u64 {
        if self.seen.insert(hash) {
            return 0;
        }
        let before = self.repeated.entry(hash).or_insert(0);
        *before += 1;
        *before
    }
}

/// A hash of the stock key that a line names.
pub fn stock_hash(names: Names<'_>) -> u64 {
    xxh3_64(names.sku.as_bytes()).rotate_left(1) ^ xxh3_64(names.location.as_bytes())
}

/// The worker, out of `workers`, that decides all carts on this stock key alone, so that they keep their
/// order.
pub fn worker_of(stock_hash: u64, workers: usize) -> usize {
    (stock_hash % workers as u64) as usize
}

/// Uses half of a 128-bit hash as its own hash.
#[derive(Debug, Default)]
pub struct IdentityHasher(u64);

impl Hasher for IdentityHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64(bytes);
    }

    fn write_u128(&mut self, hash: u128) {
        self.0 = hash as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names<'a>(order_id: &'a str, sku: &'a str, location: &'a str) -> Names<'a> {
        Names { order_id, sku, location }
    }

    /// These values are stored in users' directories: a change would grant their orders twice. They were
    /// computed by an independent implementation.
    #[test]
    fn keys_never_change() {
        let mut maker = KeyMaker::default();
        let first = maker.order_line(names("o-1", "poster", "berlin"));
        let second = maker.order_line(names("o-1", "poster", "berlin"));
        let (first_cart, _) = maker.cart("o-1");
        let (second_cart, _) = maker.cart("o-1");
        let golden = [
            (first.reserve, 0x61786ba6_935e87d6_aaa4b576_e3586cc7),
            (first.confirm, 0x87afdd2d_64b5899e_8ace2393_e6f60ff6),
            (second.reserve, 0x9d204a80_310b8c19_9a16b4d2_22d831a3),
            (second.confirm, 0x808273c0_f201820e_b50c8fe1_5c75955e),
            (maker.stock_line("poster", "berlin"), 0x8dc16a2b_55d389ea_86bbc1ec_2725673f),
            (first_cart.reserve, 0x063e6ef1_e4838a10_a83916b6_32cbbac0),
            (first_cart.confirm, 0x75e8ce7b_48b48a53_b9974358_d445d880),
            (second_cart.reserve, 0x8b792a7e_49298ab2_856186a3_25939382),
            (second_cart.confirm, 0x6f8ef097_0f70870f_a0cdd31f_0048f2de),
            (maker.grouping_mark("carts"), 0x92f0ae54_fa9f8dfa_a240f325_07028c9d),
            (maker.grouping_mark("separate"), 0xa03986ca_15db8cba_932e6f20_e02c89d4),
        ];
        for (index, (key, expected)) in golden.into_iter().enumerate() {
            assert_eq!(key, OpKey(expected), "{index}: {:#034x}", key.0);
        }
    }

    #[test]
    fn shifted_name_boundaries_give_other_keys() {
        let mut maker = KeyMaker::default();
        let mut keys = HashSet::new();
        for names in
            [names("a", "bc", "d"), names("ab", "c", "d"), names("a", "b", "cd"), names("a", "bc", "D")]
        {
            let line = maker.order_line(names);
            assert!(keys.insert(line.reserve) && keys.insert(line.confirm));
        }
        assert!(keys.insert(maker.stock_line("a", "bc")) && keys.insert(maker.stock_line("ab", "c")));
    }

    #[test]
    fn a_key_is_never_a_uuid_v7() {
        let mut maker = KeyMaker::default();
        for order in 0..1_000 {
            let key = maker.order_line(names(&order.to_string(), "s", "l")).reserve.0;
            assert_eq!((key >> 76) & 0xf, 8);
            assert_eq!((key >> 62) & 0b11, 0b10);
        }
    }

    #[test]
    fn occurrences_are_counted_apart_for_each_order_and_stock_key() {
        let mut maker = KeyMaker::default();
        let lines = [("a", "x"), ("a", "x"), ("b", "x"), ("a", "y"), ("a", "x"), ("b", "x")];
        let keys: Vec<OpKey> =
            lines.map(|(order, sku)| maker.order_line(names(order, sku, "l")).reserve).to_vec();
        let distinct: HashSet<OpKey> = keys.iter().copied().collect();
        assert_eq!(distinct.len(), lines.len());

        // Another run counts the same, whatever lines are in between.
        let mut rerun = KeyMaker::default();
        let again = [("a", "x"), ("a", "x"), ("a", "x")]
            .map(|(order, sku)| rerun.order_line(names(order, sku, "l")).reserve);
        assert_eq!(again, [keys[0], keys[1], keys[4]]);
    }

    #[test]
    fn the_lines_of_a_stock_key_have_one_worker() {
        let worker = |names: Names<'_>| worker_of(stock_hash(names), 4);
        let used: HashSet<usize> = (0..100).map(|sku| worker(names("o", &sku.to_string(), "l"))).collect();
        assert_eq!(used.len(), 4);
        assert_eq!(worker(names("a", "s", "l")), worker(names("b", "s", "l")));
    }

    #[test]
    fn carts_are_counted_by_order_and_apart_from_lines() {
        let mut maker = KeyMaker::default();
        let line = maker.order_line(names("a", "s", "l"));
        let carts = ["a", "b", "a", "a", "b"].map(|order| maker.cart(order));
        assert_eq!(carts.map(|(_, place)| place.before), [0, 0, 1, 2, 1]);
        assert_eq!(carts[0].1.order, carts[2].1.order);
        let mut keys = HashSet::from([line.reserve, line.confirm]);
        assert!(carts.iter().all(|(cart, _)| keys.insert(cart.reserve) && keys.insert(cart.confirm)));
    }
}
