#!/usr/bin/env bash
# Explores the models in src/proofs/loom with loom, by hand and in CI.
#
#   tests/loom.sh            every model with up to 2 preemptions, and every planted bug
#   tests/loom.sh 3          with up to 3 preemptions: takes many minutes
#   tests/loom.sh 2 ring     only the models whose name has "ring" in it
#
# To explore a failed model again, verbosely:
#   LOOM_LOG=trace LOOM_LOCATION=1 RUSTFLAGS="--cfg stockhold_loom" cargo test --release --lib <its name>
set -euo pipefail
cd "$(dirname "$0")/.."

preemptions=${1:-2}
only=${2:-proofs::loom}
export RUSTFLAGS="${RUSTFLAGS:-} --cfg stockhold_loom"
# A target directory of its own, so that this and the ordinary build keep their artefacts.
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/loom"
export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_DEBUG=false
export RUST_BACKTRACE=0 CARGO_TERM_COLOR=never
output=$(mktemp)
trap 'rm -f "$output"' EXIT

printf '== at most %s preemptions\n' "$preemptions"
export LOOM_MAX_PREEMPTIONS=$preemptions
if ! cargo test --release --locked --lib "$only" -- --show-output >"$output" 2>&1; then
    cat "$output"
    exit 1
fi
sed -nE 's/^proofs::loom::(.* executions, .*)/\1/p; s/^(.*): caught: .*/caught: \1/p; /^test result/p' "$output" | sort
