//! The harnesses that must reach inside the library. None of this is in an ordinary build.
//!
//! [`loom`] explores the interleavings of the small protocols (`tests/loom.sh`), [`simulation`] runs the
//! engine in one thread on a failing disk (`tests/simulate.sh`), and `fuzz` has the entry points of the fuzz
//! targets (`tests/fuzz.sh`). `faulty_store` is a store whose disk fails as a test plans it. All other tests
//! use the public API, and live in `tests/` and `crates/`.

#[cfg(test)]
pub(crate) mod faulty_store;
#[cfg(fuzzing)]
pub mod fuzz;
#[cfg(test)]
mod loom;
#[cfg(all(test, not(stockhold_loom)))]
pub(crate) mod simulation;
