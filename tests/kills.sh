#!/usr/bin/env bash
# Kills a load with SIGKILL, again and again, and judges the directory by what the load had said: the same by hand and
# in CI. Then receipts are released too early, which must be seen. (That a sync is left out no kill can show: see
# tests/power_cuts.sh.)
#
#   tests/kills.sh          300 kills
#   tests/kills.sh 40       so many
#
# STOCKHOLD_SEED repeats the choices, though not the moment that a kill meets.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TERM_COLOR=never

cargo build --release --locked --quiet -p stockhold-crash
crash=${CARGO_TARGET_DIR:-target}/release/stockhold-crash
"$crash" kills --kills "${1:-300}"

# Beside the ordinary build, so that neither throws the other's artefacts away.
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/faults"
export RUSTFLAGS="${RUSTFLAGS:-} --cfg stockhold_faults"
export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_DEBUG=false
cargo build --release --locked --quiet -p stockhold-crash
output=$(mktemp)
trap 'rm -f "$output"' EXIT
code=0
STOCKHOLD_FAULT=AckEarly "$crash" kills --kills 300 --into "$CARGO_TARGET_DIR/kills" \
    --load "$CARGO_TARGET_DIR/release/stockhold-crash" >"$output" 2>&1 || code=$?
if [ "$code" != 1 ]; then
    echo "AckEarly: NOT caught (exit code $code)"
    tail -n 20 "$output"
    exit 1
fi
echo "AckEarly: caught at $(grep -m 1 '^kill ' "$output")"
