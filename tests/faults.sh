# Sourced by the scripts beside it. From here on cargo builds with the faults of src/fault.rs and the
# failpoints of src/stall.rs, which no ordinary build has. The target directory is a separate one, so that
# both builds keep their artefacts.
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/faults"
export RUSTFLAGS="${RUSTFLAGS:-} --cfg stockhold_faults"
export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_DEBUG=false

# The output of the last check.
output=$(mktemp)
trap 'rm -f "$output"' EXIT

# not_caught WHAT: prints the end of the output, and fails.
not_caught() {
    echo "$1"
    tail -n 20 "$output"
    exit 1
}

# must_catch FAULT COMMAND...: with the fault planted, the command must exit with code 1, which means that it
# was found.
must_catch() {
    local code=0
    STOCKHOLD_FAULT=$1 "${@:2}" >"$output" 2>&1 || code=$?
    [ "$code" = 1 ] || not_caught "$1: NOT caught (exit code $code) by ${*:2}"
}
