#!/usr/bin/env bash
# Counts instructions with valgrind and compares them with benches/instructions.txt, by hand and in CI. The
# design's page on where time goes shows them step by step.
#
#   benches/instructions.sh            fails if a benchmark takes more than the accepted count and the
#                                      tolerance, or if the page has other sums
#   benches/instructions.sh --accept   writes the counts into the file, and the page's tables (a minute more)
#
# Installs valgrind and strace (by apt-get) and gungraun's runner (into the target directory) if they are
# missing.
set -euo pipefail
cd "$(dirname "$0")/.."
accepted=benches/instructions.txt
# Cargo starts a bench in its package's folder, so a relative path would lead elsewhere.
export CARGO_TARGET_DIR
CARGO_TARGET_DIR=$(realpath -m "${CARGO_TARGET_DIR:-target}")
tolerance_percent=5

if ! command -v valgrind >/dev/null || ! command -v strace >/dev/null; then
    sudo=$([ "$(id -u)" = 0 ] || echo sudo)
    $sudo apt-get update -qq && $sudo apt-get install -y -qq valgrind strace >/dev/null
fi

# The runner must have the library's version. Unoptimised: it only starts valgrind and reads its output.
version=$(sed -n 's/^gungraun = "=\(.*\)"/\1/p' benches/Cargo.toml)
tools=$CARGO_TARGET_DIR/tools/gungraun-$version
if [ ! -x "$tools/bin/gungraun-runner" ]; then
    env -u CARGO_TARGET_DIR CARGO_PROFILE_DEV_DEBUG=0 \
        cargo install --quiet --debug --locked gungraun-runner --version "$version" --root "$tools" --no-track
fi
export GUNGRAUN_RUNNER=$tools/bin/gungraun-runner

# The engine has as many shards as cores: always two, so that counts are comparable.
cpus=$(sed -n 's/^Cpus_allowed_list:\s*//p' /proc/self/status | tr , '\n' |
    while IFS=- read -r first last; do seq "$first" "${last:-$first}"; done | sed -n 1,2p | paste -sd,)

output=$(mktemp)
trap 'rm -f "$output"' EXIT
if ! taskset -c "$cpus" cargo bench --locked -p stockhold-benches --bench instructions >"$output" 2>&1; then
    cat "$output"
    exit 1
fi
counted=$(awk '/^instructions::/ { split($1, path, "::"); name = path[3] }
    $1 == "Instructions:" { split($2, count, "|"); print name, count[1] }' "$output")
[ -n "$counted" ] || { cat "$output"; echo "no counts in gungraun's output: has its format changed?"; exit 1; }
where_time_goes() {
    taskset -c "$cpus" cargo bench --quiet --locked -p stockhold-benches --bench where_time_goes -- "$@"
}
if [ "${1:-}" = --accept ]; then
    behind=$(where_time_goes write "$CARGO_TARGET_DIR/gungraun/stockhold-benches/instructions/decisions")
else
    behind=$(where_time_goes counts)
fi
counted+=$'\n'$behind

if [ "${1:-}" = --accept ]; then
    {
        echo "# Instructions of 1,000 operations on the calling thread, and of 1,000 records on those behind it (log, fold,"
        echo "# checkpoint), as accepted: benches/instructions.sh compares, and writes with --accept."
        echo "# Counted by $(valgrind --version), $(rustc --version | cut -d' ' -f1,2), $(uname -m)."
        echo "$counted"
    } >"$accepted"
fi

awk -v tolerance="$tolerance_percent" -v file="$accepted" '
    FNR == NR { if ($1 !~ /^#/) accepted[$1] = $2; next }
    {
        seen[$1] = 1
        if (!($1 in accepted)) {
            printf "%-16s %9d              not in %s\n", $1, $2, file; failed = 1; next
        }
        change = 100 * ($2 / accepted[$1] - 1)
        verdict = change > tolerance ? "MORE" : change < -tolerance ? "fewer: accept it, or the gain can be lost unnoticed" : ""
        printf "%-16s %9d  accepted %9d  %+6.1f %%  %s\n", $1, $2, accepted[$1], change, verdict
        if (change > tolerance) failed = 1
    }
    END {
        for (name in accepted) if (!(name in seen)) { printf "%-16s is in %s and was not counted\n", name, file; failed = 1 }
        if (failed) {
            printf "Instruction counts are not what was accepted, by more than %d %%.\n", tolerance
            print "If the cost is justified: benches/instructions.sh --accept, and give the reason in the commit."
            exit 1
        }
    }' "$accepted" <(echo "$counted")
where_time_goes check
