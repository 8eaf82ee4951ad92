//! `stockhold replay` as a user runs it: orders of several lines.

mod shop;

use std::collections::HashMap;
use std::fs;
use std::process::Command;

use serde_json::Value;
use shop::{HEADER, Shop};
use stockhold::{Config, Engine, OpKey, Receive};
use stockhold_seeded::Rng;

const SEPARATE: [&str; 2] = ["--lines", "separate"];
const CARTS: [&str; 2] = ["--lines", "carts"];

/// Five each of `a` and `b`, and orders in lines like `o1,a,l,1`.
fn shop(orders: &str) -> Shop {
    Shop::new("sku,location,quantity\na,l,5\nb,l,5\n", file(orders))
}

fn file(orders: &str) -> String {
    format!("order_id,sku,location,quantity\n{}\n", orders.split_whitespace().collect::<Vec<_>>().join("\n"))
}

/// Units sold of all SKUs, in the life of the directory.
fn sold(shop: &Shop) -> i64 {
    let mut levels = Command::new(env!("CARGO_BIN_EXE_stockhold"));
    let output = levels.args(["levels", "--json", "--dir"]).arg(shop.path("d")).output().unwrap();
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    found["levels"].as_array().unwrap().iter().map(|level| level["committed"].as_i64().unwrap()).sum()
}

/// Runs the same orders again, and checks that nothing is sold and all outcomes are the same.
fn rerun_changes_nothing(shop: &Shop) {
    let outcomes = shop.outcomes();
    let before = sold(shop);
    for threads in ["1", "3"] {
        let again = shop.replay(&["--json", "--threads", threads]).json();
        assert_eq!((shop.outcomes(), sold(shop)), (outcomes.clone(), before));
        assert_eq!(again["granted"], again["granted_before"]);
    }
}

#[test]
fn a_cart_is_all_or_nothing() {
    let shop = shop("o1,a,l,3 o1,b,l,1  o2,b,l,1 o2,a,l,3 o2,b,l,1  o3,a,l,2 o3,b,l,4");
    let summary = shop.replay(&["--json"]).json();
    let expected = [
        "o1 granted",
        "o1 granted",
        "o2 refused other_line",
        "o2 refused out_of_stock",
        "o2 refused other_line",
        "o3 granted",
        "o3 granted",
    ];
    assert_eq!(shop.verdicts(), expected);
    let outcomes = shop.outcomes();
    assert_eq!(outcomes[2], "o2,b,l,1,refused,other_line,,");
    assert_eq!(outcomes[3], "o2,a,l,3,refused,out_of_stock,,2", "the refused line shows what was available");
    let hold = |line: &str| line.split(',').nth(6).unwrap().to_owned();
    assert_eq!(hold(&outcomes[0]), hold(&outcomes[1]), "one hold");
    assert_ne!(hold(&outcomes[0]), hold(&outcomes[5]));
    assert_eq!(
        (&summary["lines"], &summary["granted"], &summary["refused"]),
        (&7.into(), &4.into(), &3.into())
    );
    assert_eq!((&summary["carts"]["granted"], &summary["carts"]["refused"]), (&2.into(), &1.into()));
    assert_eq!(summary["refused_by_reason"]["other_line"], 2);
    assert_eq!(sold(&shop), 10);
    rerun_changes_nothing(&shop);

    let text = String::from_utf8(shop.replay(&[]).0.stdout).unwrap();
    assert!(text.contains("3 carts (2 granted, 1 refused)"), "{text}");
}

#[test]
fn lines_on_the_same_stock_are_added_up() {
    let shop = shop("o1,a,l,3 o1,b,l,1 o1,a,l,3  o2,a,l,2 o2,a,l,3");
    shop.replay(&[]).exits(0);
    let expected = ["o1 refused out_of_stock", "o1 refused other_line", "o1 refused out_of_stock"];
    assert_eq!(shop.verdicts()[..3], expected);
    assert_eq!(shop.verdicts()[3..], ["o2 granted", "o2 granted"]);
    rerun_changes_nothing(&shop);
}

#[test]
fn lines_that_are_not_neighbours_are_two_carts() {
    let shop = shop("o1,a,l,5 o2,b,l,1 o1,a,l,1 o1,b,l,1");
    let summary = shop.replay(&["--json"]).json();
    let expected = ["o1 granted", "o2 granted", "o1 refused out_of_stock", "o1 refused other_line"];
    assert_eq!(shop.verdicts(), expected);
    assert_eq!(summary["carts"], serde_json::json!({ "granted": 2, "refused": 1 }));
    rerun_changes_nothing(&shop);
}

#[test]
fn separate_lines_are_decided_one_by_one() {
    let shop = shop("o1,a,l,3 o1,b,l,1 o2,a,l,3 o2,b,l,1");
    let summary = shop.replay(&["--json", "--lines", "separate"]).json();
    assert_eq!(shop.verdicts(), ["o1 granted", "o1 granted", "o2 refused out_of_stock", "o2 granted"]);
    assert_eq!(summary["carts"], Value::Null);
}

#[test]
fn a_cart_with_unknown_stock_is_refused_as_a_whole_and_sold_when_the_stock_is_received() {
    let orders = "o1,a,l,1 o1,cup,l,1 o1,a,m,1";
    let shop = shop(orders);
    shop.replay(&[]).exits(0);
    let expected = ["o1 refused other_line", "o1 refused unknown_sku", "o1 refused unknown_location"];
    assert_eq!(shop.verdicts(), expected);
    shop.write("stock.csv", "sku,location,quantity\na,l,5\nb,l,5\ncup,l,1\na,m,1\n");
    shop.replay(&[]).exits(0);
    assert_eq!(sold(&shop), 3);
    rerun_changes_nothing(&shop);
}

#[test]
fn a_bad_line_spoils_its_cart_and_no_other() {
    let shop = shop("o1,a,l,1 o1,b,l,0 o1,b,l,1  o2,a,l,1  ,b,l,1  o2,b,l,1  o3,a,l,1  ,b,l,1  o4,b,l,1");
    let ran = shop.replay(&["--json"]);
    let message = ran.exits(0);
    for said in [
        "line 2: line 3 of the same order is bad",
        "line 3: `quantity` is zero",
        "line 4: line 3 of the same order is bad",
        "line 5: line 6 of the same order is bad",
        "line 6: `order_id` is empty",
        "line 7: line 6 of the same order is bad",
        "line 9: `order_id` is empty",
    ] {
        assert!(message.contains(said), "{said}: {message}");
    }
    assert_eq!(shop.verdicts(), ["o3 granted", "o4 granted"]);
    let summary = ran.json();
    assert_eq!((&summary["bad_lines"], sold(&shop)), (&7.into(), 2));

    let fixed = "o1,a,l,1 o1,b,l,1 o1,b,l,1  o2,a,l,1  o2,b,l,1  o2,b,l,1  o3,a,l,1  o5,a,l,1  o4,b,l,1";
    shop.write("orders.csv", file(fixed));
    shop.replay(&[]).exits(0);
    assert!(shop.verdicts().iter().all(|line| line.ends_with(" granted")));
    assert_eq!((shop.verdicts().len(), sold(&shop)), (9, 9));
    rerun_changes_nothing(&shop);
}

#[test]
fn strict_ends_at_a_bad_line_and_decides_nothing_of_its_cart() {
    let orders = |bad| format!("o1,a,l,1 o2,a,l,1 o2,b,l,{bad} o2,b,l,1 o3,a,l,1");
    let shop = shop(&orders("x"));
    let message = shop.replay(&["--strict"]).exits(2);
    assert!(message.contains("orders.csv line 4: ") && message.contains("1 lines are decided"), "{message}");
    assert_eq!(shop.verdicts(), ["o1 granted"]);
    shop.write("orders.csv", file(&orders("1")));
    shop.replay(&["--strict"]).exits(0);
    assert_eq!(shop.verdicts(), ["o1 granted", "o2 granted", "o2 granted", "o2 granted", "o3 granted"]);
}

#[test]
fn the_number_of_lines_in_a_cart_is_limited() {
    let lines = |order: &str, count: usize| format!("{order},a,l,1\n").repeat(count);
    let orders =
        ["few", "many", "few2"].map(|order| lines(order, if order == "many" { 2_049 } else { 2_048 }));
    let shop = Shop::new("sku,location,quantity\na,l,9999\n", file(&format!("{}o,a,l,1", orders.concat())));
    let ran = shop.replay(&["--json", "--in-flight", "64"]);
    let message = ran.exits(0);
    assert!(
        message.contains("orders.csv line 2050: the order has more than 2048 neighbouring lines"),
        "{message}"
    );
    let summary = ran.json();
    assert_eq!((&summary["granted"], &summary["bad_lines"]), (&4_097.into(), &2_049.into()));
    assert_eq!(summary["carts"]["granted"], 3);
    assert_eq!(sold(&shop), 4_097);
    rerun_changes_nothing(&shop);
    shop.replay(&["--strict"]).exits(2);
}

#[test]
fn a_cart_of_more_units_than_there_can_be_is_bad() {
    let shop = shop("o1,a,l,2147483647 o1,b,l,1 o2,a,l,1");
    let message = shop.replay(&[]).exits(0);
    assert!(
        message.contains("line 2: the order's neighbouring lines add up to 2147483648 units"),
        "{message}"
    );
    assert_eq!(shop.verdicts(), ["o2 granted"]);
}

/// However a file changes between two runs, nothing is granted twice: an order never gets more units than the
/// first or the second file asks for.
#[test]
fn a_changed_cart_is_a_conflict_and_grants_nothing_twice() {
    // The file before and after the change, the units sold after each run, and the bad lines of the second
    // run.
    let cases = [
        ("gains a line", "o1,a,l,1", "o1,a,l,1 o1,b,l,1", (1, 1), 2),
        ("loses a line", "o1,a,l,1 o1,b,l,1", "o1,a,l,1", (2, 2), 1),
        ("gains unknown stock", "o1,a,l,1", "o1,a,l,1 o1,cup,l,1", (1, 1), 2),
        ("another quantity", "o1,a,l,1 o1,b,l,1", "o1,a,l,1 o1,b,l,2", (2, 2), 2),
        ("split", "o1,a,l,1 o1,b,l,1", "o1,a,l,1 o2,a,l,1 o1,b,l,1", (2, 3), 2),
        ("joined", "o1,a,l,1 o2,a,l,1 o1,b,l,1", "o1,a,l,1 o1,b,l,1 o2,a,l,1", (3, 3), 2),
        ("a cart comes before", "o1,a,l,1", "o1,b,l,1 o2,a,l,1 o1,a,l,1", (1, 2), 2),
        ("swapped", "o1,a,l,1 o2,a,l,1 o1,b,l,1", "o1,b,l,1 o2,a,l,1 o1,a,l,1", (3, 3), 2),
        // A cart that is bad or unknown in the first run leaves no record, so the cart after it must not be
        // decided.
        ("after a bad one that is removed", "o1,a,l,0 o2,a,l,1 o1,b,l,1", "o2,a,l,1 o1,b,l,1", (1, 2), 0),
        (
            "after an unknown one that is removed",
            "o1,cup,l,1 o2,a,l,1 o1,b,l,1",
            "o2,a,l,1 o1,b,l,1",
            (1, 2),
            0,
        ),
        (
            "after a bad one that is fixed",
            "o1,a,l,0 o2,a,l,1 o1,b,l,1",
            "o1,a,l,1 o2,a,l,1 o1,b,l,1",
            (1, 3),
            0,
        ),
        // New lines that are not neighbours of the first ones are a new cart.
        ("a later cart", "o1,a,l,1 o2,a,l,1", "o1,a,l,1 o2,a,l,1 o1,b,l,1", (2, 3), 0),
    ];
    for (index, (what, before, after, (sold_before, sold_after), bad)) in cases.into_iter().enumerate() {
        let threads = ["1", "2"][index % 2];
        let shop = shop(before);
        let run = || shop.replay(&["--json", "--threads", threads]);
        run().exits(0);
        assert_eq!(sold(&shop), sold_before, "{what}");
        let first = shop.outcomes();
        shop.write("orders.csv", file(after));
        let ran = run();
        let summary = ran.json();
        assert_eq!((sold(&shop), &summary["bad_lines"]), (sold_after, &bad.into()), "{what}");
        let said = ran.exits(0).contains("decided this order with other");
        assert_eq!(said, bad > 0, "{what}: {}", ran.exits(0));
        if bad > 0 {
            shop.replay(&["--strict"]).exits(2);
        }
        // With the first file again, the outcomes are the same as at first.
        shop.write("orders.csv", file(before));
        run().exits(0);
        assert_eq!(sold(&shop), sold_after, "{what}");
        let again = shop.outcomes();
        // A refusal for unknown stock is not a decision that is remembered.
        let mut decided = first.iter().filter(|line| !line.contains("unknown_sku"));
        assert!(decided.all(|line| again.contains(line)), "{what}: {first:?} {again:?}");
    }
}

#[test]
fn a_later_cart_waits_for_the_earlier_ones_of_its_order() {
    let orders = "o1,a,l,1 o2,a,l,1 o1,cup,l,1 o2,b,l,1 o1,b,l,1";
    let shop = shop(orders);
    let ran = shop.replay(&["--json", "--threads", "2"]);
    assert!(ran.exits(0).contains("orders.csv line 6: earlier lines of this order"));
    assert_eq!((sold(&shop), &ran.json()["bad_lines"]), (3, &1.into()));
    shop.write("stock.csv", "sku,location,quantity\na,l,5\nb,l,5\ncup,l,1\n");
    shop.replay(&[]).exits(0);
    assert_eq!(sold(&shop), 5);
    rerun_changes_nothing(&shop);
}

#[test]
fn a_directory_keeps_its_grouping() {
    let orders = "o1,a,l,1 o1,b,l,1 o2,a,l,1 o1,a,l,1";
    for (first, second) in [(CARTS, SEPARATE), (SEPARATE, CARTS)] {
        let shop = shop(orders);
        shop.replay(&first).exits(0);
        let outcomes = shop.outcomes();
        for changed in [orders, "o1,a,l,1", "o9,a,l,1 o9,b,l,1"] {
            shop.write("orders.csv", file(changed));
            // The grouping is found with any stock file, even one that has nothing in common with the first.
            for stock in ["a,l,5\nb,l,5\n", "new,l,1\n", "b,l,5\n", ""] {
                shop.write("other.csv", format!("sku,location,quantity\n{stock}"));
                let mut options = second.to_vec();
                options.extend(["--stock", "other.csv"]);
                let message = shop.replay(&options).exits(2);
                let said = format!("begun with --lines {}", first[1]);
                assert!(message.contains(&said) && message.contains("Nothing was received"), "{message}");
                assert_eq!(shop.outcomes(), outcomes, "the file of outcomes is left alone");
            }
        }
        shop.write("orders.csv", file(orders));
        shop.replay(&first).exits(0);
        assert_eq!(sold(&shop), 4);
        assert_eq!(shop.outcomes(), outcomes);
    }
}

#[test]
fn a_grouping_is_recorded_even_if_nothing_is_decided() {
    let shop = Shop::new("sku,location,quantity\n", file("o1,a,l,1"));
    shop.replay(&SEPARATE).exits(0);
    shop.replay(&CARTS).exits(0);
    shop.write("stock.csv", "sku,location,quantity\na,l,0\n");
    shop.replay(&CARTS).exits(0);
    shop.replay(&SEPARATE).exits(2);
}

/// A directory of another program, or of a version of replay that recorded no grouping.
#[test]
fn a_directory_without_a_grouping_takes_no_carts_if_it_may_have_decided_lines() {
    for (op_key, code) in [(None, 0), (Some(OpKey(7)), 2)] {
        let shop = shop("o1,a,l,1 o1,b,l,1");
        let engine = Engine::open(shop.path("d"), Config::default()).unwrap();
        let receive = Receive::units(engine.declare("a", "l").unwrap(), 1);
        let receive = op_key.map_or(receive, |op_key| receive.op_key(op_key));
        engine.receive(receive).unwrap().wait().unwrap();
        engine.shutdown().unwrap();
        let message = shop.replay(&CARTS).exits(code);
        assert_eq!(message.contains("does not say"), code == 2, "{message}");
        shop.replay(&SEPARATE).exits(2 - code);
        assert_eq!(sold(&shop), 2);
    }
}

/// Orders of one to five lines on shared stock, about half of which can be had; some orders come twice.
fn many(orders: u64) -> (String, String) {
    let mut rng = Rng::new(1);
    let mut throw = |sides: u64| rng.below(sides);
    let stock = (0..40).map(|sku| format!("s{sku},l,{}\n", orders / 20)).collect::<String>();
    let mut text = String::from("order_id,sku,location,quantity\n");
    for order in 0..orders {
        let order = if order % 10 == 9 { order - 5 } else { order };
        for _ in 0..=throw(5) {
            text += &format!("o{order},s{},l,{}\n", throw(40), throw(3) + 1);
        }
    }
    (format!("sku,location,quantity\n{stock}"), text)
}

/// Each cart of the outcomes is granted or refused as one, and nothing is sold that there was not.
fn assert_all_or_nothing(outcomes: &[String], stock_of_each: u64) {
    let mut sold: HashMap<&str, u64> = HashMap::new();
    let fields: Vec<Vec<&str>> = outcomes.iter().map(|line| line.split(',').collect()).collect();
    for cart in fields.chunk_by(|a, b| a[0] == b[0]) {
        assert!(cart.iter().all(|line| (line[4], line[6]) == (cart[0][4], cart[0][6])), "{cart:?}");
        let short = cart.iter().filter(|line| line[5] == "out_of_stock").count();
        assert_eq!(short > 0, cart[0][4] == "refused", "the line with too little stock is named: {cart:?}");
        for line in cart.iter().filter(|line| line[4] == "granted") {
            *sold.entry(line[1]).or_default() += line[3].parse::<u64>().unwrap();
        }
    }
    assert!(sold.values().all(|&units| units <= stock_of_each), "{sold:?}");
}

#[test]
fn threads_and_depth_change_no_outcome() {
    let (stock, orders) = many(4_000);
    let mut written = Vec::new();
    for options in [["--threads", "1"], ["--threads", "2"], ["--threads", "5"], ["--in-flight", "16"]] {
        let shop = Shop::new(&stock, &orders);
        shop.replay(&options).exits(0);
        assert_all_or_nothing(&shop.outcomes(), 200);
        written.push(shop.verdicts());
        let outcomes = shop.outcomes();
        shop.replay(&["--threads", "3"]).exits(0);
        assert_eq!(shop.outcomes(), outcomes, "a rerun writes the same outcomes, byte by byte");
    }
    assert!(written[0].iter().any(|line| line.ends_with("granted")));
    assert!(written.iter().all(|run| *run == written[0]));
}

#[test]
fn a_killed_run_is_finished_by_the_next() {
    let (stock, orders) = many(20_000);
    let lines = orders.lines().count();
    for threads in ["1", "3"] {
        let shop = Shop::new(&stock, &orders);
        let options = ["--in-flight", "64", "--threads", threads];
        shop.replay_until(&options, |outcomes| outcomes.len() >= 200_000).kill();
        let written = fs::read_to_string(shop.path("outcomes.csv")).unwrap();
        let written = &written[..=written.rfind('\n').unwrap()];

        assert!(shop.replay(&SEPARATE).exits(2).contains("begun with --lines carts"));
        let summary = shop.replay(&["--json", "--top", "99"]).json();
        let finished = fs::read_to_string(shop.path("outcomes.csv")).unwrap();
        assert!(
            finished.starts_with(HEADER) && finished.starts_with(written),
            "outcomes that were written stay the same"
        );
        assert_eq!(finished.lines().count(), lines);
        assert_all_or_nothing(&shop.outcomes(), 1_000);
        assert_eq!(summary["granted_units"], sold(&shop), "every unit is sold once");
        assert!(summary["granted_before"].as_u64() >= Some(written.matches(",granted,").count() as u64));
    }
}

#[test]
fn a_killed_run_of_separate_lines_is_not_finished_in_carts() {
    let (stock, orders) = many(20_000);
    let shop = Shop::new(&stock, &orders);
    let options = ["--lines", "separate", "--in-flight", "64"];
    shop.replay_until(&options, |outcomes| outcomes.len() > HEADER.len() + 1).kill();
    assert!(shop.replay(&[]).exits(2).contains("begun with --lines separate"));
    let summary = shop.replay(&["--json", "--lines", "separate", "--top", "99"]).json();
    assert_eq!(summary["granted_units"], sold(&shop));
}

#[test]
fn the_outcome_of_a_cart_is_written_while_the_next_is_not_due() {
    let orders = "order_id,sku,location,quantity,at\no1,a,l,1,0\no1,b,l,1,0\no2,a,l,1,3600\n";
    let shop = Shop::new("sku,location,quantity\na,l,5\nb,l,5\n", orders);
    shop.replay_until(&["--speed", "1"], |outcomes| outcomes.contains("o1,b,l,1,granted")).kill();
}
