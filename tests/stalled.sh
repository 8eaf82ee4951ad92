#!/usr/bin/env bash
# Stops one thread at each step of the sales path and checks the answers of the others (tests/stalled), by
# hand and in CI. It needs the failpoints of src/stall.rs, which no ordinary build has.
#
#   tests/stalled.sh            every step
#   tests/stalled.sh cart       only the tests whose name has "cart" in it
#
# STOCKHOLD_FAULT plants the named bug of src/fault.rs; a test that still passes does not find it.
set -euo pipefail
cd "$(dirname "$0")/.."

. tests/faults.sh
export RUST_BACKTRACE=0 CARGO_TERM_COLOR=never

# One test at a time: all threads of the process share the failpoints.
cargo test --release --locked --test stalled -- --test-threads 1 "$@"
