//! `stockhold replay` as a user runs it: orders of one line, and lines that are decided separately.

mod shop;

use std::fs;
use std::time::{Duration, Instant};

use serde_json::Value;
use shop::Shop;

const STOCK: &str = "sku,location,quantity\nposter,berlin,5\nposter,paris,2\nmug,berlin,0\n";
const ORDERS: &str = "order_id,sku,location,quantity\n\
    o1,poster,berlin,3\no2,poster,berlin,3\no3,poster,paris,2\no4,mug,berlin,1\no5,poster,berlin,2\n\
    o6,cup,berlin,1\no7,mug,paris,1\n";
const VERDICTS: [&str; 7] = [
    "o1 granted",
    "o2 refused out_of_stock",
    "o3 granted",
    "o4 refused out_of_stock",
    "o5 granted",
    "o6 refused unknown_sku",
    "o7 refused unknown_location",
];

#[test]
fn orders_are_decided_in_file_order() {
    let shop = Shop::new(STOCK, ORDERS);
    let ran = shop.replay(&[]);
    ran.exits(0);
    assert_eq!(shop.verdicts(), VERDICTS);
    let available: Vec<String> =
        shop.outcomes().iter().map(|line| line.rsplit(',').next().unwrap().into()).collect();
    assert_eq!(available, ["2", "2", "0", "0", "0", "0", "0"]);
    let summary = String::from_utf8(ran.0.stdout).unwrap();
    assert!(summary.contains("poster") && summary.contains("unknown_location"), "{summary}");
}

#[test]
fn a_rerun_grants_nothing_twice_and_has_the_same_outcomes() {
    let shop = Shop::new(STOCK, ORDERS);
    let first = shop.replay(&["--json"]).json();
    assert_eq!((&first["granted"], &first["granted_before"]), (&3.into(), &0.into()));
    assert_eq!(first["stock"]["units_received"], 7);
    let outcomes = shop.outcomes();
    for _ in 0..2 {
        let again = shop.replay(&["--json"]).json();
        assert_eq!(shop.outcomes(), outcomes);
        assert_eq!((&again["granted"], &again["granted_before"]), (&3.into(), &3.into()));
        assert_eq!(again["stock"]["lines_received"], 0);
        assert_eq!(again["stock"]["lines_received_before"], 3);
        assert_eq!(again["skus"], first["skus"]);
    }
}

#[test]
fn the_summary_adds_up() {
    let shop = Shop::new(STOCK, ORDERS);
    let summary = shop.replay(&["--json", "--top", "1"]).json();
    assert_eq!(summary["lines"], 7);
    assert_eq!((&summary["granted_units"], &summary["refused_units"]), (&7.into(), &6.into()));
    assert_eq!(summary["refused_by_reason"]["unknown_sku"], 1);
    assert_eq!(summary["skus_more"], 1);
    let poster = &summary["skus"][0];
    assert_eq!((&poster["sku"], &poster["granted_units"]), (&"poster".into(), &7.into()));
    assert_eq!(
        (&poster["on_hand"], &poster["committed"], &poster["available"]),
        (&7.into(), &7.into(), &0.into())
    );
}

#[test]
fn threads_and_depth_change_no_outcome() {
    let skus = 40;
    let stock: String = (0..skus).map(|sku| format!("s{sku},l,{}\n", sku * 3)).collect();
    let orders: String = (0..4_000).map(|n| format!("o{n},s{},l,{}\n", n * 7 % skus, n % 3 + 1)).collect();
    let mut written = Vec::new();
    for options in [["--threads", "1"], ["--threads", "4"], ["--in-flight", "16"]] {
        let shop = Shop::new(
            format!("sku,location,quantity\n{stock}"),
            format!("order_id,sku,location,quantity\n{orders}"),
        );
        shop.replay(&options).exits(0);
        written.push(shop.verdicts());
    }
    assert_eq!(written[0].len(), 4_000);
    assert!(written[0].iter().any(|line| line.ends_with("granted")));
    assert_eq!(written[0], written[1]);
    assert_eq!(written[0], written[2]);
}

#[test]
fn one_in_flight_waits_for_each() {
    let shop = Shop::new(STOCK, ORDERS);
    shop.replay(&["--in-flight", "1", "--threads", "2"]).exits(0);
    assert_eq!(shop.verdicts(), VERDICTS);
}

#[test]
fn the_same_line_again_in_one_order_is_another_line() {
    let orders = "order_id,sku,location,quantity\no1,s,l,1\no2,s,l,1\no1,s,l,1\no1,s,l,1\n";
    let shop = Shop::new("sku,location,quantity\ns,l,3\n", orders);
    for _ in 0..2 {
        shop.replay(&["--lines", "separate"]).exits(0);
        assert_eq!(shop.verdicts(), ["o1 granted", "o2 granted", "o1 granted", "o1 refused out_of_stock"]);
    }
}

#[test]
fn a_longer_file_continues_where_the_shorter_one_ended() {
    let shop = Shop::new("sku,location,quantity\ns,l,2\n", "order_id,sku,location,quantity\no1,s,l,1\n");
    shop.replay(&[]).exits(0);
    let first = shop.outcomes();
    shop.write("orders.csv", "order_id,sku,location,quantity\no1,s,l,1\no2,s,l,1\no3,s,l,1\n");
    shop.replay(&[]).exits(0);
    assert_eq!(shop.outcomes()[0], first[0]);
    assert_eq!(shop.verdicts(), ["o1 granted", "o2 granted", "o3 refused out_of_stock"]);
}

#[test]
fn changed_stock_is_a_conflict_and_changes_nothing() {
    let shop = Shop::new(STOCK, ORDERS);
    let first = shop.replay(&["--json"]).json();
    let outcomes = shop.outcomes();
    for (changed, line) in [
        ("new,berlin,9\nposter,berlin,6\n", "line 3: \"poster\" at \"berlin\""),
        ("new,berlin,9\nposter,berlin,0\n", "line 3: \"poster\" at \"berlin\""),
        ("new,berlin,9\nmug,berlin,1\n", "line 3: \"mug\" at \"berlin\""),
    ] {
        shop.write("changed.csv", format!("sku,location,quantity\n{changed}"));
        let message = shop.replay(&["--stock", "changed.csv"]).exits(2);
        assert!(message.contains(line), "{message}");
        assert_eq!(shop.outcomes(), outcomes, "the file of outcomes is left alone");
    }
    let again = shop.replay(&["--json"]).json();
    assert_eq!(again["skus"], first["skus"]);
    shop.write("stock.csv", format!("{STOCK}new,berlin,9\n"));
    assert_eq!(shop.replay(&["--json"]).json()["stock"]["lines_received"], 1, "it was not received before");
}

#[test]
fn stock_named_twice_is_refused() {
    let shop = Shop::new("sku,location,quantity\ns,l,1\ns,m,1\ns,l,1\n", ORDERS);
    let message = shop.replay(&[]).exits(2);
    assert!(message.contains("line 4: \"s\" at \"l\" is on line 2 already"), "{message}");
    assert!(!shop.path("outcomes.csv").exists());
}

#[test]
fn stock_that_comes_later_is_sold_by_the_rerun() {
    let shop = Shop::new(STOCK, ORDERS);
    shop.replay(&[]).exits(0);
    shop.write("stock.csv", format!("{STOCK}cup,berlin,1\n"));
    shop.replay(&[]).exits(0);
    assert_eq!(shop.verdicts()[5], "o6 granted");
}

#[test]
fn bad_lines_are_reported_by_number_and_skipped() {
    let orders = b"order_id,sku,location,quantity,at\n\
        o1,poster,berlin\n\
        o2,poster,berlin,x\n\
        o3,poster,berlin,0\n\
        o4,poster,berlin,-1\n\
        o5,poster,berlin,99999999999\n\
        o6,post\xffer,berlin,1\n\
        ,poster,berlin,1\n\
        o8,poster,berlin,1,noon\n\
        \"o9,poster,berlin,1\n\
        \n\
        o11,poster,berlin,1\n";
    let shop = Shop::new(STOCK, orders);
    let ran = shop.replay(&["--json"]);
    let message = ran.exits(0);
    for (line, why) in [
        (2, "`quantity` is missing"),
        (3, "not a whole number"),
        (4, "zero"),
        (5, "negative"),
        (6, "overflows"),
        (7, "not UTF-8"),
        (8, "`order_id` is empty"),
        (9, "`at`"),
        (10, "quote"),
    ] {
        let start = format!("orders.csv line {line}: ");
        let said = message.lines().any(|text| text.starts_with(&start) && text.contains(why));
        assert!(said, "line {line}, {why}: {message}");
    }
    assert_eq!(ran.json()["bad_lines"], 9);
    assert_eq!(shop.verdicts(), ["o11 granted"]);
}

#[test]
fn many_bad_lines_are_counted_and_not_all_shown() {
    let shop = Shop::new(STOCK, format!("order_id,sku,location,quantity\n{}", "o,s,l,0\n".repeat(1_000)));
    let ran = shop.replay(&["--json"]);
    assert!(ran.exits(0).lines().count() < 30);
    assert_eq!(ran.json()["bad_lines"], 1_000);
}

#[test]
fn strict_ends_at_the_first_bad_line_and_a_rerun_continues() {
    let orders = |third: &str| {
        format!("order_id,sku,location,quantity\no1,s,l,1\no2,s,l,1\no3,s,l,{third}\no4,s,l,1\n")
    };
    let shop = Shop::new("sku,location,quantity\ns,l,3\n", orders("none"));
    let message = shop.replay(&["--strict"]).exits(2);
    assert!(message.contains("orders.csv line 4: ") && message.contains("2 lines are decided"), "{message}");
    assert_eq!(shop.verdicts(), ["o1 granted", "o2 granted"]);
    let before = shop.outcomes();

    shop.write("orders.csv", orders("1"));
    shop.replay(&["--strict"]).exits(0);
    assert_eq!(shop.outcomes()[..2], before);
    assert_eq!(shop.verdicts()[2..], ["o3 granted", "o4 refused out_of_stock"]);
}

#[test]
fn a_bad_line_that_is_fixed_changes_no_other() {
    let orders = |first: &str| format!("order_id,sku,location,quantity\no1,s,l,{first}\no1,s,l,2\n");
    let shop = Shop::new("sku,location,quantity\ns,l,9\n", orders("?"));
    shop.replay(&["--lines", "separate"]).exits(0);
    let before = shop.outcomes();
    shop.write("orders.csv", orders("1"));
    shop.replay(&["--lines", "separate"]).exits(0);
    assert_eq!(shop.verdicts(), ["o1 granted", "o1 granted"]);
    assert_eq!(shop.outcomes()[1], before[0], "the second line has the hold that it had");
}

#[test]
fn an_order_that_changes_is_a_bad_line() {
    let shop = Shop::new(STOCK, ORDERS);
    shop.replay(&[]).exits(0);
    shop.write("orders.csv", ORDERS.replace("o1,poster,berlin,3", "o1,poster,berlin,1"));
    let ran = shop.replay(&["--json"]);
    assert!(ran.exits(0).contains("orders.csv line 2: an earlier run decided"));
    assert_eq!(ran.json()["bad_lines"], 1);
    assert_eq!(shop.verdicts(), VERDICTS[1..]);
    shop.replay(&["--strict"]).exits(2);
}

#[test]
fn bad_stock_lines_are_skipped_or_fatal() {
    let shop = Shop::new(format!("{STOCK}cup,berlin,-1\n"), ORDERS);
    assert!(shop.replay(&["--strict"]).exits(2).contains("stock.csv line 5: "));
    let ran = shop.replay(&["--json"]);
    assert!(ran.exits(0).contains("stock.csv line 5: `quantity` \"-1\" is negative"));
    assert_eq!(ran.json()["stock"]["bad_lines"], 1);
    assert_eq!(shop.verdicts(), VERDICTS);
}

#[test]
fn a_hold_is_not_a_sale_and_expires() {
    let orders = |id: &str| format!("order_id,sku,location,quantity\n{id},s,l,2\n");
    let shop = Shop::new("sku,location,quantity\ns,l,2\n", orders("o1"));
    let hold = ["--json", "--hold", "--ttl-ms", "1500"];
    let first = shop.replay(&hold).json();
    assert_eq!((&first["skus"][0]["held"], &first["skus"][0]["committed"]), (&2.into(), &0.into()));
    let outcomes = shop.outcomes();
    shop.replay(&hold).exits(0);
    assert_eq!(shop.outcomes(), outcomes);

    std::thread::sleep(Duration::from_millis(1_600));
    shop.write("orders.csv", orders("o2"));
    shop.replay(&hold).exits(0);
    assert_eq!(shop.verdicts(), ["o2 granted"]);
}

#[test]
fn columns_come_in_any_order_and_fields_in_quotes() {
    let shop = Shop::new(
        "\u{feff}quantity,note,location,sku\r\n1,\"two\nlines\",\"Berlin, Mitte\",\"A \"\"4\"\"\"\r\n",
        "customer,quantity,sku,order_id,location\r\nc1,1,\"A \"\"4\"\"\",\"o,1\",\"Berlin, Mitte\"\r\n",
    );
    shop.replay(&[]).exits(0);
    assert!(shop.outcomes()[0].starts_with("\"o,1\",\"A \"\"4\"\"\",\"Berlin, Mitte\",1,granted,,"));
}

#[test]
fn names_of_any_legal_length_are_taken() {
    let (sku, order) = ("s".repeat(255), "o".repeat(300));
    let shop = Shop::new(
        format!("sku,location,quantity\n{sku},l,1\n"),
        format!("order_id,sku,location,quantity\n{order},{sku},l,1\n{order}x,{sku}x,l,1\n"),
    );
    let message = shop.replay(&[]).exits(0);
    assert!(message.contains("line 3: `sku` has 256 bytes"), "{message}");
    assert_eq!(shop.verdicts(), [format!("{order} granted")]);
}

#[test]
fn files_without_lines_are_not_an_error() {
    let shop = Shop::new("sku,location,quantity\n", "order_id,sku,location,quantity");
    assert_eq!(shop.replay(&["--json"]).json()["lines"], 0);
    assert_eq!(shop.outcomes(), [""; 0]);
}

#[test]
fn a_header_without_a_needed_column_is_refused_and_nothing_is_made() {
    for (stock, orders, said) in [
        ("sku,quantity\n", ORDERS, "stock.csv: the header does not name `location`"),
        (STOCK, "sku,location,quantity\n", "orders.csv: the header does not name `order_id`"),
        (STOCK, "", "orders.csv: the file is empty"),
        ("", ORDERS, "stock.csv: the file is empty"),
    ] {
        let shop = Shop::new(stock, orders);
        let message = shop.replay(&[]).exits(2);
        assert!(message.contains(said), "{message}");
        assert!(!shop.path("d").exists() && !shop.path("outcomes.csv").exists());
    }
}

#[test]
fn a_file_that_is_missing_is_named() {
    let shop = Shop::new(STOCK, ORDERS);
    assert!(shop.replay(&["--orders", "nowhere.csv"]).exits(3).contains("nowhere.csv"));
    assert!(shop.replay(&["--stock", "nowhere.csv"]).exits(3).contains("nowhere.csv"));
    assert!(shop.replay(&["--outcomes", "no/where.csv"]).exits(3).contains("no/where.csv"));
}

#[test]
fn outcomes_never_overwrite_an_input() {
    let shop = Shop::new(STOCK, ORDERS);
    assert!(shop.replay(&["--outcomes", "./orders.csv"]).exits(2).contains("overwrite"));
    assert_eq!(fs::read_to_string(shop.path("orders.csv")).unwrap(), ORDERS);
}

#[test]
fn the_command_line_is_checked() {
    let shop = Shop::new(STOCK, ORDERS);
    for bad in [
        &["--ttl-ms", "5"][..],
        &["--in-flight", "0"],
        &["--threads", "0"],
        &["--speed", "0"],
        &["--lines", "together"],
        &["--hold", "--ttl-ms", "0"],
    ] {
        shop.replay(bad).exits(2);
    }
    assert!(shop.replay(&["--speed", "1"]).exits(2).contains("`at`"));
    shop.replay(&["--lines", "separate"]).exits(0);
}

#[test]
fn lines_are_paced_by_their_time() {
    let orders = "order_id,sku,location,quantity,at\n\
        o1,poster,berlin,1,2026-11-27T09:00:00Z\n\
        o2,poster,berlin,1,\n\
        o3,poster,berlin,1,2026-11-27T10:00:30+01:00\n";
    let shop = Shop::new(STOCK, orders);
    let began = Instant::now();
    shop.replay(&["--speed", "50"]).exits(0);
    assert!(began.elapsed() >= Duration::from_millis(600), "30 seconds at 50 times the speed");
    assert_eq!(shop.verdicts(), ["o1 granted", "o2 granted", "o3 granted"]);
}

#[test]
fn an_outcome_is_written_while_the_next_line_is_not_due() {
    let orders = "order_id,sku,location,quantity,at\no1,poster,berlin,1,0\no2,poster,berlin,1,3600\n";
    let shop = Shop::new(STOCK, orders);
    let run =
        shop.replay_until(&["--speed", "1"], |outcomes| outcomes.contains("o1,poster,berlin,1,granted"));
    let message = shop.replay(&["--outcomes", "other.csv"]).exits(3);
    assert!(message.contains("in use"), "{message}");
    run.kill();
}

#[test]
fn a_killed_run_is_finished_by_the_next() {
    let orders: String = (0..60_000).map(|n| format!("o{n},s{},l,{}\n", n % 10, n % 4 + 1)).collect();
    let stock: String = (0..10).map(|sku| format!("s{sku},l,9000\n")).collect();
    let shop = Shop::new(
        format!("sku,location,quantity\n{stock}"),
        format!("order_id,sku,location,quantity\n{orders}"),
    );
    shop.replay_until(&["--in-flight", "64"], |outcomes| outcomes.len() >= 200_000).kill();
    let written = fs::read_to_string(shop.path("outcomes.csv")).unwrap();
    let written = &written[..=written.rfind('\n').unwrap()];

    let summary = shop.replay(&["--json"]).json();
    let finished = fs::read_to_string(shop.path("outcomes.csv")).unwrap();
    assert!(finished.starts_with(written), "outcomes that were written stay the same, byte by byte");
    assert_eq!(finished.lines().count(), 60_001);
    assert_eq!(summary["granted_units"], 90_000, "every unit is sold once");
    assert!(summary["granted_before"].as_u64() >= Some(written.matches(",granted,").count() as u64));
    let committed = |sku: &Value| sku["committed"].as_i64().unwrap();
    assert_eq!(summary["skus"].as_array().unwrap().iter().map(committed).sum::<i64>(), 90_000);
}
