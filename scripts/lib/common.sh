# Sourced by the scripts: where things are, how to say something, how to wait for a condition.
# shellcheck shell=bash

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
tools="${TIDEMARK_TOOLS:-$root/.tools}"
foreign="$root/integration-tests/foreign"

say() { printf '%s\n' "$*"; }
complain() { printf '%s\n' "$*" >&2; }
have() { command -v "$1" >/dev/null 2>&1; }

# wait_until WHAT SECONDS COMMAND...: polls until the command succeeds. The deadline only bounds a
# hang; no caller measures time with it.
wait_until() {
    local what="$1" deadline=$((SECONDS + $2))
    shift 2
    until "$@"; do
        if ((SECONDS >= deadline)); then
            complain "gave up waiting for $what"
            return 1
        fi
        sleep 0.05
    done
}

# free_port: prints a port that was free a moment ago on the loopback address.
free_port() {
    python3 -c 'import socket
with socket.socket() as listener:
    listener.bind(("127.0.0.1", 0))
    print(listener.getsockname()[1])'
}
