# Sourced after common.sh: starts and stops the broker that a script talks to.
# shellcheck shell=bash
#
# start_broker DIR [key=value]... sets `bootstrap`, `broker_pid` and `broker_output`; stop_broker ends
# that process and judges its end. It listens at `broker_port`, or at a free port if that is empty.
# TIDEMARK_BIN names a built binary; without it the release binary is built first.
# With BROKER=kafka a real Apache Kafka from the prepared jars takes the broker's place, which tells
# a fault of a script from a fault of the broker.

broker_pid=""
broker_port=""
broker_output=""
bootstrap=""

start_broker() {
    local directory="$1" port http setting
    shift
    mkdir -p "$directory"
    broker_output="$directory/broker.out"
    port="${broker_port:-$(free_port)}"
    bootstrap="127.0.0.1:$port"
    if [[ "${BROKER:-tidemark}" == kafka ]]; then
        local settings=()
        for setting in "$@"; do
            # Kafka itself would only warn about the options that are ours.
            [[ "$setting" == tidemark.* ]] || settings+=(--set "$setting")
        done
        python3 "$foreign/kafka_server.py" --port "$port" "${settings[@]}" >"$broker_output" 2>&1 &
    else
        local settings=(--set "listeners=PLAINTEXT://$bootstrap" --set "log.dirs=$directory/data")
        http="127.0.0.1:$(free_port)"
        settings+=(--set "tidemark.http.listener=$http")
        for setting in "$@"; do settings+=(--set "$setting"); done
        "$(tidemark_binary)" serve "${settings[@]}" >"$broker_output" 2>&1 &
    fi
    broker_pid=$!
    await_broker
}

# await_broker: waits until the broker that was just started answers.
await_broker() {
    if ! wait_until "the broker on $bootstrap" 120 broker_settled || ! broker_alive; then
        complain "the broker did not start:"
        cat "$broker_output" >&2
        return 1
    fi
}

# stop_broker: SIGTERM, and the end that a broker owes: it was alive until now, it ends with code 0,
# and nothing in it has panicked. Says what is amiss and fails otherwise.
stop_broker() {
    [[ -n "$broker_pid" ]] || return 0
    local pid="$broker_pid" code=0 amiss=()
    broker_pid=""
    kill "$pid" 2>/dev/null || amiss+=("it had ended before it was told to")
    if ! wait_until "the end of the broker" 60 has_ended "$pid"; then
        amiss+=("it had to be killed")
        kill -9 "$pid" 2>/dev/null || true
    fi
    wait "$pid" 2>/dev/null || code=$?
    [[ "${BROKER:-tidemark}" == kafka ]] && return 0
    ((code == 0)) || amiss+=("it ended with code $code")
    if grep -q panicked "$broker_output"; then amiss+=("it has panicked"); fi
    ((${#amiss[@]})) || return 0
    complain "the broker did not end well: $(printf '%s; ' "${amiss[@]}")it said"
    tail -n 50 "$broker_output" >&2
    return 1
}

# tidemark_binary: prints the path of the binary, building it when none was given.
tidemark_binary() {
    if [[ -n "${TIDEMARK_BIN:-}" ]]; then
        printf '%s\n' "$TIDEMARK_BIN"
        return
    fi
    (cd "$root" && cargo build --locked --release --quiet --package tidemark >&2)
    printf '%s\n' "${CARGO_TARGET_DIR:-$root/target}/release/tidemark"
}

broker_alive() { kill -0 "$broker_pid" 2>/dev/null; }

has_ended() { ! kill -0 "$1" 2>/dev/null; }

# Either it answers, or it has ended and waiting longer is pointless.
broker_settled() { ! broker_alive || broker_answers; }

broker_answers() {
    python3 -c 'import sys
sys.path.insert(0, sys.argv[1])
import kafka_server
sys.exit(not kafka_server.answers(sys.argv[2]))' "$foreign" "$bootstrap"
}
