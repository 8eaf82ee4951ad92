//! Reads any bytes as the payload of a chunk.
#![no_main]

libfuzzer_sys::fuzz_target!(|payload: &[u8]| stockhold::proofs::fuzz::records(payload));
