//! Reads any bytes as the two slots of a sidecar.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| stockhold::proofs::fuzz::sidecar(bytes));
