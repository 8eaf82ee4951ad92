//! Any entries as a checkpoint's.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| stockhold::proofs::fuzz::checkpoint(bytes));
