#!/usr/bin/env bash
# Parks one thread at each step of the sales path and sees what the others are answered (tests/stalled): the same by
# hand and in CI. It needs the failpoints of src/stall.rs, which no ordinary build has.
#
#   tests/stalled.sh            every step
#   tests/stalled.sh cart       only the tests whose name has "cart" in it
#
# STOCKHOLD_FAULT plants a bug of src/fault.rs by its name: tests that then pass do not see it.
set -euo pipefail
cd "$(dirname "$0")/.."

. tests/faults.sh
export RUST_BACKTRACE=0 CARGO_TERM_COLOR=never

# One after the other: the failpoints are the process's.
cargo test --release --locked --test stalled -- --test-threads 1 "$@"
