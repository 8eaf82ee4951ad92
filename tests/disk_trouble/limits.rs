//! Limits of a process, set by the shell that starts it: the size of files and the number of descriptors.

use std::fs;

use crate::sale::{Ending, SMALL, Sale, check_directory};

/// A wrapper command that sets limits.
fn limited(limits: &str) -> Vec<String> {
    ["bash", "-c", &format!("{limits}; exec \"$0\" \"$@\"")].map(String::from).into()
}

/// A sale that wants more of the disk than the limit of a test allows.
const LARGE: Sale = Sale { orders: 4_000, batch: 100, ..SMALL };

#[test]
fn a_limit_on_the_size_of_files_stops_the_engine_and_loses_nothing() {
    for (limit_kb, shielded) in [(0, true), (1, true), (9, true), (40, true), (300, true), (300, false)] {
        let scratch = tempfile::tempdir().unwrap();
        let directory = scratch.path().join("shop");
        let trap = if shielded { "trap '' XFSZ" } else { "true" };
        let transcript = LARGE.run(&limited(&format!("{trap}; ulimit -f {limit_kb}")), &directory);
        assert!(!transcript.is_untroubled());
        if shielded {
            transcript.assert_well_behaved();
            let sentences = transcript.sentences();
            assert!(sentences.iter().all(|why| why.contains("ulimit -f")), "{sentences:?}");
        } else {
            // The signal ends a process that does not ignore it.
            assert!(transcript.opened && !transcript.ended, "{transcript:?}");
        }
        if limit_kb >= 40 {
            assert!(transcript.acknowledged() > 0, "{limit_kb} KB");
        }
        check_directory(&directory, &[&transcript]);
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
                let transcript = sale.run(&limited(&format!("ulimit -n {descriptors}")), &directory);
                transcript.assert_well_behaved();
                if let Some((_, why)) = &transcript.refused {
                    assert!(why.contains("ulimit -n"), "{why}");
                }
                opened += usize::from(transcript.opened);
                if transcript.opened {
                    assert!(
                        transcript.is_untroubled(),
                        "an engine that has opened has all the descriptors that it needs: {transcript:?}"
                    );
                }
                if new {
                    check_directory(&directory, &[&transcript]);
                } else {
                    in_base.push(transcript);
                }
            }
        }
        check_directory(&base, &in_base.iter().collect::<Vec<_>>());
        assert!(opened > 0, "24 descriptors are enough");
    }
}

#[test]
fn an_engine_that_runs_needs_no_more_descriptors() {
    let scratch = tempfile::tempdir().unwrap();
    let directory = scratch.path().join("shop");
    // About 10 MB of log, so that the store begins new segments too.
    let sale = Sale { orders: 20_000, batch: 500, takes_all_descriptors: true, ..SMALL };
    let transcript = sale.run(&limited("ulimit -n 64"), &directory);
    transcript.assert_well_behaved();
    assert!(transcript.is_untroubled(), "{transcript:?}");
    assert!(fs::metadata(directory.join("log/00000001/db")).unwrap().len() > 2 << 20);
    check_directory(&directory, &[&transcript]);
}
