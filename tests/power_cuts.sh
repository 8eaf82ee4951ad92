#!/usr/bin/env bash
# Records the system calls of a load, cuts its power after some of them, and judges what a disk may have kept: the same
# by hand and in CI. Then the same with a bug planted, which must be seen. Needs strace.
#
#   tests/power_cuts.sh          1000 images
#   tests/power_cuts.sh 150      so many
#
# STOCKHOLD_SEED repeats the choices, though not the order in which the load's threads run. An image that fails is told
# with a command that makes it again; what it is made of is kept in target/power-cuts.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TERM_COLOR=never

cargo build --release --locked --quiet -p stockhold-crash
cuts=${CARGO_TARGET_DIR:-target}/release/stockhold-crash
"$cuts" power-cuts --images "${1:-1000}"

# Beside the ordinary build, so that neither throws the other's artefacts away.
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/faults"
export RUSTFLAGS="${RUSTFLAGS:-} --cfg stockhold_faults"
export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_DEBUG=false
cargo build --release --locked --quiet -p stockhold-crash
output=$(mktemp)
trap 'rm -f "$output"' EXIT
# On each kind of disk that can show it: one that writes in order, or keeps its cache, forgives more.
for fault in SkipSync AckEarly; do
    for disk in protected volatile ordered; do
        code=0
        STOCKHOLD_FAULT=$fault "$cuts" power-cuts --images 400 --disk "$disk" --into "$CARGO_TARGET_DIR/power-cuts" \
            --load "$CARGO_TARGET_DIR/release/stockhold-crash" >"$output" 2>&1 || code=$?
        if [ "$code" != 1 ]; then
            echo "$fault on a $disk disk: NOT caught (exit code $code)"
            tail -n 20 "$output"
            exit 1
        fi
        echo "$fault on a $disk disk: caught, $(tail -n 1 "$output")"
    done
done
