#!/usr/bin/env bash
# Compares the engine with Redis, PostgreSQL, TigerBeetle and hand-written code, in one run: installs the
# first two (by apt-get) if they are missing, starts each on loopback with a directory of its own, measures,
# and removes all of it. TigerBeetle takes part if there is a `tigerbeetle` on the PATH, 0.17.9 or later, and
# takes 1.6 GB of memory and about a kilobyte of disk a hold.
#
#   benches/peers.sh                    every row, for 3 s each
#   benches/peers.sh --seconds 1        the program's arguments: --only NAME, --json FILE, ... (--help)
#
# All data is in a scratch directory of the build's folder, or in $STOCKHOLD_BENCH_DIR: one disk for all.
# Servers that run on the machine already, or that apt-get starts on their usual ports, are not touched.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TERM_COLOR=never

# Debian keeps PostgreSQL's programs off the path, a directory a version.
find_postgres() { for bin in /usr/lib/postgresql/*/bin; do [ ! -x "$bin/initdb" ] || PATH=$bin:$PATH; done; }
find_postgres
if ! command -v redis-server >/dev/null || ! command -v initdb >/dev/null || ! command -v pgbench >/dev/null; then
    sudo=$([ "$(id -u)" = 0 ] || echo sudo)
    if ! { $sudo apt-get update -qq &&
        $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq redis-server postgresql >/dev/null; }; then
        echo "Redis or PostgreSQL is missing and cannot be installed; nothing was measured"
        exit 77 # tells the caller that this check was skipped
    fi
    find_postgres
fi

with=()
if tigerbeetle=$(command -v tigerbeetle); then with=(--features tigerbeetle); fi
cargo build --release --locked --quiet -p stockhold-peers "${with[@]}"
target=${CARGO_TARGET_DIR:-target}
into=${STOCKHOLD_BENCH_DIR:-$target}
mkdir -p "$into"
scratch=$(mktemp -d "$(cd "$into" && pwd)/peers.XXXXXX")

started=()
clean_up() {
    trap '' INT TERM # once is enough
    # Newest first: clients, then servers. QUIT is PostgreSQL's immediate end; Redis and the program end at
    # TERM.
    for ((i = ${#started[@]} - 1; i >= 0; i--)); do
        read -r signal pid <<<"${started[i]}"
        kill "-$signal" "$pid" 2>/dev/null || continue
        for _ in $(seq 100); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
        kill -KILL "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    rm -rf "$scratch"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# PostgreSQL refuses to run as root, so the servers run as a user that owns only their directories.
as=()
if [ "$(id -u)" = 0 ]; then
    user=$(id -un postgres 2>/dev/null || echo nobody)
    as=(setpriv --reuid "$user" --regid "$(id -g "$user")" --clear-groups)
    chmod 711 "$scratch"
    if ! "${as[@]}" test -x "$scratch"; then
        echo "$user may not enter $scratch; set STOCKHOLD_BENCH_DIR to a directory on the same disk that all may enter"
        exit 1
    fi
fi
for server in redis postgres tigerbeetle; do
    mkdir "$scratch/$server"
    [ ${#as[@]} = 0 ] || chown "$user" "$scratch/$server"
done

listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

free_port() { # at or above $1
    local port=$1
    while listens "$port"; do port=$((port + 1)); done
    echo "$port"
}

# Waits until "$@" succeeds, in the time that a loaded machine may need.
until_ready() {
    for _ in $(seq 300); do
        ! "$@" >/dev/null 2>&1 || return 0
        sleep 0.1
    done
    echo "not ready within 30 s: $*"
    tail -n 20 "$scratch"/*/log
    exit 1
}

redis=$(free_port 17379)
(cd "$scratch/redis" && exec "${as[@]}" redis-server --bind 127.0.0.1 --port "$redis" --dir "$scratch/redis" \
    --save "" --appendonly no --daemonize no) >"$scratch/redis/log" 2>&1 &
started+=("TERM $!")
until_ready redis-cli -h 127.0.0.1 -p "$redis" ping

postgres=$(free_port 17432)
data=$scratch/postgres/data
(cd "$scratch/postgres" && "${as[@]}" initdb --pgdata "$data" --username stockhold --auth trust --no-sync) \
    >"$scratch/postgres/log" 2>&1 || { cat "$scratch/postgres/log"; exit 1; }
(cd "$scratch/postgres" && exec "${as[@]}" postgres -D "$data" -p "$postgres" -c listen_addresses=127.0.0.1 \
    -c unix_socket_directories= -c synchronous_commit=on -c fsync=on) >>"$scratch/postgres/log" 2>&1 &
started+=("QUIT $!")
until_ready pg_isready -h 127.0.0.1 -p "$postgres"
createdb -h 127.0.0.1 -p "$postgres" -U stockhold stockhold

ports=(--redis "$redis" --postgres "$postgres")
if [ -n "$tigerbeetle" ]; then
    port=$(free_port 17001)
    (cd "$scratch/tigerbeetle" && "${as[@]}" "$tigerbeetle" format --cluster=0 --replica=0 --replica-count=1 data) \
        >"$scratch/tigerbeetle/log" 2>&1 || { cat "$scratch/tigerbeetle/log"; exit 1; }
    (cd "$scratch/tigerbeetle" && exec "${as[@]}" "$tigerbeetle" start --addresses="127.0.0.1:$port" data) \
        >>"$scratch/tigerbeetle/log" 2>&1 &
    started+=("TERM $!")
    until_ready listens "$port"
    ports+=(--tigerbeetle "$port")
fi

# In the background: bash handles signals while it waits, but not while a program runs in the foreground.
"$target/release/stockhold-peers" --dir "$scratch" "${ports[@]}" "$@" &
started+=("TERM $!")
wait $!
