//! Any bytes as a store's file, and any chunks as a log.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| stockhold::proofs::fuzz::chunks(bytes));
