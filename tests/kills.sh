#!/usr/bin/env bash
# Kills a load with SIGKILL repeatedly and checks the directory against the load's output, by hand and in CI.
# Then it repeats this with a planted bug that releases receipts too early, which must be found. (A kill
# cannot show a missing sync: see tests/power_cuts.sh.)
#
#   tests/kills.sh          300 kills
#   tests/kills.sh 40       40 kills
#
# STOCKHOLD_SEED repeats the choices, but not the exact moment of a kill.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TERM_COLOR=never

cargo build --release --locked --quiet -p stockhold-crash
crash=${CARGO_TARGET_DIR:-target}/release/stockhold-crash
"$crash" kills --kills "${1:-300}"

. tests/faults.sh
cargo build --release --locked --quiet -p stockhold-crash
must_catch AckEarly "$crash" kills --kills 300 --into "$CARGO_TARGET_DIR/kills" \
    --load "$CARGO_TARGET_DIR/release/stockhold-crash"
echo "AckEarly: caught at $(grep -m 1 '^kill ' "$output")"
