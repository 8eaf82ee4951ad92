# Sourced by the scripts beside it: from here on cargo builds what src/fault.rs and src/stall.rs plant, which no ordinary
# build has. Beside that build, so that neither throws the other's artefacts away.
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/faults"
export RUSTFLAGS="${RUSTFLAGS:-} --cfg stockhold_faults"
export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_DEBUG=false

# What the last judge said.
output=$(mktemp)
trap 'rm -f "$output"' EXIT

# not_caught WHAT: tells the end of what the judge said, and fails.
not_caught() {
    echo "$1"
    tail -n 20 "$output"
    exit 1
}

# must_catch FAULT JUDGE...: with the bug planted the judge must leave with code 1, as one does that has seen it.
must_catch() {
    local code=0
    STOCKHOLD_FAULT=$1 "${@:2}" >"$output" 2>&1 || code=$?
    [ "$code" = 1 ] || not_caught "$1: NOT caught (exit code $code) by ${*:2}"
}
