#!/usr/bin/env bash
# Runs the library's own tests and the integration tests with many threads under ThreadSanitizer. By hand, not
# in CI: it needs a nightly toolchain with rust-src (`rustup component add rust-src --toolchain nightly`), and
# builds std again.
#
#   tests/tsan.sh               all of them
#   tests/tsan.sh stock::       only the library's tests whose name has "stock::" in it
#
# ThreadSanitizer finds races on plain memory, which only code with `unsafe` can have. This library has none,
# so the script checks std, the dependencies (dashmap, parking_lot, crossbeam), and their use here. An
# ordering between atomics that is too weak is no such race; loom looks for those (tests/loom.sh).
#
# ThreadSanitizer does not understand fences. The library has six: `Bell::ring` and `Bell::sleep`
# (src/log/bell.rs), `Slot::taken_over` and `Slot::word_behind` (src/hold/slot.rs), `Chains::add` and
# `Chains::drop` (src/hold/chains.rs). All order only atomics, so they cause no false reports. sled's
# reference counts use a fence before they free, which looks like a race: reports with a frame of sled are
# suppressed. The tests must pass, and there must be no other report.
set -euo pipefail
cd "$(dirname "$0")/.."

sysroot=$(rustc +nightly --print sysroot 2>/dev/null) || { echo "tests/tsan.sh: needs a nightly toolchain: rustup toolchain install nightly" >&2; exit 2; }
if [ ! -d "$sysroot/lib/rustlib/src/rust/library" ]; then
  echo "tests/tsan.sh: needs std's source: rustup component add rust-src --toolchain nightly" >&2
  exit 2
fi
target=$(rustc +nightly -vV | sed -n 's/^host: //p')
export RUSTFLAGS="${RUSTFLAGS:-} -Zsanitizer=thread --cfg stockhold_faults"
# A target directory of its own, so that this and the ordinary build keep their artefacts.
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
