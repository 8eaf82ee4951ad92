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

. tests/faults.sh
cargo build --release --locked --quiet -p stockhold-crash
# On each kind of disk that can show it: one that writes in order, or keeps its cache, forgives more.
for fault in SkipSync AckEarly; do
    for disk in protected volatile ordered; do
        must_catch "$fault" "$cuts" power-cuts --images 400 --disk "$disk" --into "$CARGO_TARGET_DIR/power-cuts" \
            --load "$CARGO_TARGET_DIR/release/stockhold-crash"
        echo "$fault on a $disk disk: caught, $(tail -n 1 "$output")"
    done
done
