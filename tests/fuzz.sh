#!/usr/bin/env bash
# Fuzzes all code that reads bytes from a disk, and whole engines against the model (crates/model), by hand
# and in CI. Starts with the inputs in fuzz/corpus, two targets at a time.
#
#   tests/fuzz.sh                60 seconds for each target
#   tests/fuzz.sh 600            600 seconds for each
#   tests/fuzz.sh 600 directory  one target
#   tests/fuzz.sh seed           writes the first inputs again, from a real directory
#   tests/fuzz.sh cmin           reduces the corpus, found inputs included, without loss of coverage
#
# Found inputs are kept in target/fuzz/found, findings in target/fuzz/findings. A finding is reported with a
# command that repeats it.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TERM_COLOR=never
targets=(records chunks checkpoint sidecar directory operations)

root=${CARGO_TARGET_DIR:-$PWD/target}/fuzz
mkdir -p "$root"
root=$(cd "$root" && pwd)
export CARGO_TARGET_DIR=$root
# Lets the stable compiler take the flags of the instrumentation, which otherwise need a nightly one.
export RUSTC_BOOTSTRAP=1
# Thousands of directories are written and removed, so they are put in memory.
[ -n "${TMPDIR:-}" ] || [ ! -w /dev/shm ] || export TMPDIR=/dev/shm

if [ "${1:-}" = seed ]; then
    RUSTFLAGS="--cfg fuzzing" cargo run --release --locked --quiet --manifest-path fuzz/Cargo.toml --example seed
    exit
fi

PATH=$root/bin:$PATH
if ! command -v cargo-fuzz >/dev/null; then
    cargo install --quiet --locked --root "$root" cargo-fuzz --version 0.13.2
fi
cargo fetch --quiet --locked --manifest-path fuzz/Cargo.toml
cargo fuzz build -O -a --codegen-units 16 2>"$root/build.log" || { tail -n 40 "$root/build.log"; exit 1; }
bin=$root/$(rustc -vV | sed -n 's/^host: //p')/release
export ASAN_OPTIONS=detect_leaks=0

# A target ignores the rest of a longer input.
limits() {
    case $1 in
    directory) echo -max_len=96 ;;
    operations) echo -max_len=401 ;;
    *) echo -max_len=4096 ;;
    esac
    echo -rss_limit_mb=1024 -malloc_limit_mb=256 -timeout=20
}

if [ "${1:-}" = cmin ]; then
    for target in "${targets[@]}"; do
        mkdir -p "$root/found/$target" "$root/least/$target"
        rm -f "$root/least/$target"/*
        # shellcheck disable=SC2046
        "$bin/$target" -merge=1 $(limits "$target") "$root/least/$target" "fuzz/corpus/$target" "$root/found/$target" \
            >"$root/$target.log" 2>&1 || { tail -n 20 "$root/$target.log"; exit 1; }
        find "fuzz/corpus/$target" -type f ! -name 'seed-*' -delete
        # Keeps the first inputs, and the shortest others up to 8 KiB for each target. The fuzzer finds the
        # rest again.
        bytes=0
        while read -r size name; do
            bytes=$((bytes + size))
            [ "$bytes" -le 8192 ] || break
            cp "$root/least/$target/$name" "fuzz/corpus/$target/"
        done < <(find "$root/least/$target" -type f -printf '%s %f\n' | sort -n)
        echo "$target: $(find "fuzz/corpus/$target" -type f | wc -l) inputs of $(find "$root/least/$target" -type f | wc -l)"
    done
    exit
fi

seconds=${1:-60}
[ -z "${2:-}" ] || targets=("$2")

fuzz() {
    local target=$1 log=$root/$1.log found=$root/found/$1
    mkdir -p "$found" "$root/findings/$target"
    # shellcheck disable=SC2046
    if ! timeout $((seconds * 2 + 120)) "$bin/$target" -max_total_time="$seconds" $(limits "$target") \
        -print_final_stats=1 -artifact_prefix="$root/findings/$target/" "$found" "fuzz/corpus/$target" >"$log" 2>&1; then
        grep -E -A 3 "panicked|ERROR" "$log" | head -n 20 || true
        finding=$(sed -n 's/.*Test unit written to //p' "$log" | tail -n 1)
        echo "$target: FOUND something; repeat it with: TMPDIR=${TMPDIR:-/tmp} $bin/$target $finding"
        [ -z "$finding" ] || echo "$target: in hex: $(od -An -v -tx1 "$finding" | tr -d ' \n')"
        return 1
    fi
    awk -v target="$target" '
        / cov: / { for (at = 1; at < NF; at++) if ($at == "cov:") last = $(at + 1); if (!begun && /INITED/) begun = last }
        /number_of_executed_units/ { runs = $2 }
        /average_exec_per_sec/ { rate = $2 }
        /peak_rss_mb/ { rss = $2 }
        END { printf "%-11s %9d inputs, %6d a second, edges %d (%d new), %d MiB\n", target ":", runs, rate, last, last - begun, rss }
    ' "$log"
}

failed=0
for ((at = 0; at < ${#targets[@]}; at += 2)); do
    running=()
    for target in "${targets[@]:at:2}"; do
        fuzz "$target" &
        running+=($!)
    done
    for job in "${running[@]}"; do
        wait "$job" || failed=1
    done
done
exit $failed
