//! Reads any bytes as the entries of a checkpoint.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| stockhold::proofs::fuzz::checkpoint(bytes));
