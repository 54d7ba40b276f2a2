# Sourced after common.sh: starts and stops the broker that a script talks to.
# shellcheck shell=bash
#
# start_broker DIR [key=value]... sets `bootstrap` and `broker_pid`; stop_broker ends that process.
# TIDEMARK_BIN names a built binary; without it the release binary is built first.
# With BROKER=kafka a real Apache Kafka from the prepared jars takes the broker's place, which tells
# a fault of a script from a fault of the broker.

broker_pid=""
bootstrap=""

start_broker() {
    local directory="$1" port http setting
    shift
    mkdir -p "$directory"
    port="$(free_port)"
    bootstrap="127.0.0.1:$port"
    if [[ "${BROKER:-tidemark}" == kafka ]]; then
        local settings=()
        for setting in "$@"; do
            # Kafka itself would only warn about the options that are ours.
            [[ "$setting" == tidemark.* ]] || settings+=(--set "$setting")
        done
        python3 "$foreign/kafka_server.py" --port "$port" "${settings[@]}" >"$directory/broker.out" 2>&1 &
    else
        local settings=(--set "listeners=PLAINTEXT://$bootstrap" --set "log.dirs=$directory/data")
        http="127.0.0.1:$(free_port)"
        settings+=(--set "tidemark.http.listener=$http")
        for setting in "$@"; do settings+=(--set "$setting"); done
        "$(tidemark_binary)" serve "${settings[@]}" >"$directory/broker.out" 2>&1 &
    fi
    broker_pid=$!
    if ! wait_until "the broker on $bootstrap" 120 broker_settled || ! broker_alive; then
        complain "the broker did not start:"
        cat "$directory/broker.out" >&2
        return 1
    fi
}

stop_broker() {
    [[ -n "$broker_pid" ]] || return 0
    kill "$broker_pid" 2>/dev/null || true
    wait "$broker_pid" 2>/dev/null || true
    broker_pid=""
}

# tidemark_binary: prints the path of the binary, building it when none was given.
tidemark_binary() {
    if [[ -n "${TIDEMARK_BIN:-}" ]]; then
        printf '%s\n' "$TIDEMARK_BIN"
        return
    fi
    (cd "$root" && cargo build --release --quiet --package tidemark >&2)
    printf '%s\n' "${CARGO_TARGET_DIR:-$root/target}/release/tidemark"
}

broker_alive() { kill -0 "$broker_pid" 2>/dev/null; }

# Either it answers, or it has ended and waiting longer is pointless.
broker_settled() { ! broker_alive || broker_answers; }

broker_answers() {
    python3 -c 'import sys
sys.path.insert(0, sys.argv[1])
import kafka_server
sys.exit(not kafka_server.answers(sys.argv[2]))' "$foreign" "$bootstrap"
}
