#!/usr/bin/env bash
# Runs the engine in one thread on a disk that tears, drops, flips, misplaces and refuses writes. It crashes
# between any two calls to the disk, and after each opening everything acknowledged must be there. By hand and
# in CI.
#
#   tests/simulate.sh             without end, from a seed that it prints
#   tests/simulate.sh 10          for ten minutes
#   tests/simulate.sh seed N      one seed again: the failure, and the fewest steps that reproduce it
#   tests/simulate.sh faults      planted bugs, each of which must be caught
#
# The ordinary tests include a short run of it. STOCKHOLD_SEED sets its first seed,
# STOCKHOLD_SIMULATE_CRASHES its length.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TERM_COLOR=never RUST_BACKTRACE=0

simulate() {
    cargo test --release --locked --quiet --lib -- --exact --nocapture proofs::simulation::run::whatever_the_disk_does_the_contract_holds
}

case "${1:-}" in
seed)
    STOCKHOLD_SEED=${2:?which seed} STOCKHOLD_SIMULATE_CRASHES=1 simulate
    ;;
faults)
    . tests/faults.sh
    # Some bugs appear once in a hundred thousand crashes.
    export STOCKHOLD_SEED=5000001 STOCKHOLD_SIMULATE_CRASHES=1500000
    cargo test --release --locked --quiet --lib --no-run
    for fault in SkipSync AckEarly TrustNames TrustCache BelieveCopies KeepLeftover CheckpointAhead CutUnderTheYounger ForgetDeadline LinesApart; do
        if STOCKHOLD_FAULT=$fault timeout 600 bash -c "$(declare -f simulate); simulate" >"$output" 2>&1; then
            not_caught "$fault: NOT caught"
        fi
        grep -q '^wrong:' "$output" || not_caught "$fault: the simulation did not come to an end"
        echo "$fault: caught $(grep -oE '^after [0-9]+ crashes' "$output"), $(grep -oE '^in [0-9]+ steps' "$output"): $(grep '^wrong:' "$output")"
    done
    ;;
*)
    minutes=${1:-100000000}
    STOCKHOLD_SIMULATE_MINUTES=$minutes simulate
    ;;
esac
