//! Reads any bytes as the file of a store, and any chunks as a log.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| stockhold::proofs::fuzz::chunks(bytes));
