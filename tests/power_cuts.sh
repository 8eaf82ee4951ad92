#!/usr/bin/env bash
# Records the system calls of a load, builds images of what a disk may have kept if the power had failed after
# some of them, and checks each image, by hand and in CI. Then it repeats this with planted bugs, each of
# which must be found. Needs strace.
#
#   tests/power_cuts.sh          1000 images
#   tests/power_cuts.sh 150      150 images
#
# STOCKHOLD_SEED repeats the choices, but not the order in which the load's threads run. A failed image is
# reported with a command that makes it again; its recording is kept in target/power-cuts.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TERM_COLOR=never

cargo build --release --locked --quiet -p stockhold-crash
cuts=${CARGO_TARGET_DIR:-target}/release/stockhold-crash
"$cuts" power-cuts --images "${1:-1000}"

. tests/faults.sh
cargo build --release --locked --quiet -p stockhold-crash
# Each bug on each kind of disk that can show it.
for fault in SkipSync AckEarly; do
    for disk in protected volatile ordered; do
        must_catch "$fault" "$cuts" power-cuts --images 400 --disk "$disk" --into "$CARGO_TARGET_DIR/power-cuts" \
            --load "$CARGO_TARGET_DIR/release/stockhold-crash"
        echo "$fault on a $disk disk: caught, $(tail -n 1 "$output")"
    done
done
