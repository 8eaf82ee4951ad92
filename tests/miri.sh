#!/usr/bin/env bash
# Runs the parts of the library that need no disk under Miri, which looks for undefined behaviour. Each run
# tries other interleavings and other values that weak memory allows. By hand, not in CI: it needs a nightly
# toolchain with Miri.
#
#   tests/miri.sh               64 seeds of the counter, the table of holds, the ring and the timers
#   tests/miri.sh 8 stock::     8 seeds of the tests whose name has "stock::" in it
#
# Known limits: code runs about a hundred times slower, so engines with many thousand holds take hours. Miri
# does not support mmap of files, fdatasync and flock of another process: a test that opens sled or a
# directory aborts the run, so `log::sled`, `log::recovery`, `log::directory`, `inspect` and every engine on
# disk are left out. Threads and fences are supported, but not every effect of C11 SeqCst fences; Miri
# explores some executions, loom all of a model (tests/loom.sh). Time is virtual, so tests of clocks show
# nothing.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! cargo +nightly miri --version >/dev/null 2>&1; then
  echo "tests/miri.sh: Miri is not installed: rustup component add miri rust-src --toolchain nightly" >&2
  exit 2
fi
seeds=${1:-64}
# A target directory of its own, so that this and the ordinary build keep their artefacts.
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/miri" CARGO_TERM_COLOR=never
export MIRIFLAGS="${MIRIFLAGS:-} -Zmiri-many-seeds=0..$seeds -Zmiri-disable-isolation"
only=("${@:2}")
[ ${#only[@]} -gt 0 ] || only=(stock:: hold:: log::ring expiry:: segments::)
cargo +nightly miri test --locked --lib -- "${only[@]}"
