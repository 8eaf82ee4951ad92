//! Limits of a process, set by the shell that starts it: file size, and number of descriptors.

use std::fs;

use crate::sale::{Ending, SMALL, Sale, judge};

/// Under limits that a shell sets.
fn limited(limits: &str) -> Vec<String> {
    ["bash", "-c", &format!("{limits}; exec \"$0\" \"$@\"")].map(String::from).into()
}

/// A sale that wants more of the disk than the limit of a test allows.
const LARGE: Sale = Sale { orders: 4_000, batch: 100, ..SMALL };

#[test]
fn a_file_that_may_grow_no_more_stops_the_engine_and_loses_nothing() {
    for (limit_kb, shielded) in [(0, true), (1, true), (9, true), (40, true), (300, true), (300, false)] {
        let scratch = tempfile::tempdir().unwrap();
        let directory = scratch.path().join("shop");
        let trap = if shielded { "trap '' XFSZ" } else { "true" };
        let told = LARGE.run(&limited(&format!("{trap}; ulimit -f {limit_kb}")), &directory);
        assert!(!told.is_untroubled());
        if shielded {
            told.behaved();
            let named = told.sentences();
            assert!(named.iter().all(|why| why.contains("ulimit -f")), "{named:?}");
        } else {
            // The signal ends who does not ignore it.
            assert!(told.opened && !told.ended, "{told:?}");
        }
        if limit_kb >= 40 {
            assert!(told.acknowledged() > 0, "{limit_kb} KB");
        }
        judge(&directory, &[&told]);
    }
}

#[test]
fn too_few_descriptors_to_open_lose_nothing() {
    for ending in [Ending::Close, Ending::Abandon] {
        let scratch = tempfile::tempdir().unwrap();
        let (base, mut opened) = (scratch.path().join("base"), 0);
        let mut in_base = vec![Sale { first: 1_000, ending, ..SMALL }.run(&[], &base)];
        for descriptors in 3..24 {
            for new in [false, true] {
                let directory =
                    if new { scratch.path().join(format!("new{descriptors}")) } else { base.clone() };
                let sale = Sale { first: 10_000 + descriptors * 100, ..SMALL };
                let told = sale.run(&limited(&format!("ulimit -n {descriptors}")), &directory);
                told.behaved();
                if let Some((_, why)) = &told.refused {
                    assert!(why.contains("ulimit -n"), "{why}");
                }
                opened += usize::from(told.opened);
                if told.opened {
                    assert!(told.is_untroubled(), "what is opened has all it needs: {told:?}");
                }
                if new {
                    judge(&directory, &[&told]);
                } else {
                    in_base.push(told);
                }
            }
        }
        judge(&base, &in_base.iter().collect::<Vec<_>>());
        assert!(opened > 0, "24 descriptors do");
    }
}

#[test]
fn an_engine_that_runs_needs_no_more_descriptors() {
    let scratch = tempfile::tempdir().unwrap();
    let directory = scratch.path().join("shop");
    // Some 10 MB of log, so that the store begins new segments too.
    let sale = Sale { orders: 20_000, batch: 500, hoard: true, ..SMALL };
    let told = sale.run(&limited("ulimit -n 64"), &directory);
    told.behaved();
    assert!(told.is_untroubled(), "{told:?}");
    assert!(fs::metadata(directory.join("log/00000001/db")).unwrap().len() > 2 << 20);
    judge(&directory, &[&told]);
}
