#!/usr/bin/env bash
# The library's own tests and those with many threads under ThreadSanitizer. By hand, not in CI: it needs a nightly
# toolchain with rust-src (`rustup component add rust-src --toolchain nightly`), and builds std anew.
#
#   tests/tsan.sh               all of them
#   tests/tsan.sh stock::       only the library's tests whose name has "stock::" in it
#
# What it can see: races on plain memory, by code with `unsafe` in it. Ours has none, so these are std's and our
# dependencies' (dashmap, parking_lot, crossbeam), and how we use them. What it cannot see: an ordering too weak between
# atomics, which is no race; loom looks for those (tests/loom.sh).
#
# It does not understand fences. We have them at five places: `Bell::ring` and `Bell::sleep` (src/log/bell.rs),
# `Slot::taken_over` and `Slot::word_behind` (src/hold/slot.rs), `Chains::add` (src/hold/chains.rs); all order atomics
# alone, so they raise nothing false. sled's reference counts fence before they free, which it takes for races: whatever
# has a frame of sled in it is left out. The tests must pass, and nothing else may be reported.
set -euo pipefail
cd "$(dirname "$0")/.."

sysroot=$(rustc +nightly --print sysroot 2>/dev/null) || { echo "tests/tsan.sh: needs a nightly toolchain: rustup toolchain install nightly" >&2; exit 2; }
if [ ! -d "$sysroot/lib/rustlib/src/rust/library" ]; then
  echo "tests/tsan.sh: needs std's source: rustup component add rust-src --toolchain nightly" >&2
  exit 2
fi
target=$(rustc +nightly -vV | sed -n 's/^host: //p')
export RUSTFLAGS="${RUSTFLAGS:-} -Zsanitizer=thread --cfg stockhold_faults"
# Beside the ordinary build, so that neither throws the other's artefacts away.
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/tsan"
export CARGO_PROFILE_RELEASE_LTO=off CARGO_TERM_COLOR=never
left_out=$(mktemp)
trap 'rm -f "$left_out"' EXIT
echo 'race:sled::' >"$left_out"
export TSAN_OPTIONS="suppressions=$left_out history_size=4"

run() { cargo +nightly test -Zbuild-std --target "$target" --release --locked "$@"; }
if [ $# -gt 0 ]; then
  run --lib -- "$@"
else
  run --lib
  run --test false_refusals --test oversells --test op_keys --test expiry
  run --test stalled -- --test-threads 1
fi
