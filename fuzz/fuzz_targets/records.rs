//! Hostile bytes as the payload of a chunk: `cargo +nightly fuzz run records`.
#![no_main]

libfuzzer_sys::fuzz_target!(|payload: &[u8]| stockhold::fuzzing::records(payload));
