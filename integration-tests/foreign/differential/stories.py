"""The list of stories, and how two answers are compared.

A story is a function of a broker and of a function that gives fresh names; it talks to the broker
and returns what it was answered, as plain data. The same story runs against Apache Kafka and
against the broker under test, and both must return the same once what may differ is replaced.
"""

import hashlib
import re

ALL = {}


def story(name):
    """Registers the function below under a name that tells a failure from any other."""

    def register(function):
        assert name not in ALL, name
        ALL[name] = function
        return function

    return register


def table(prefix, cases):
    """Registers one story for each entry of `cases`: a name and the arguments of the function below."""

    def register(function):
        for name, arguments in cases.items():
            story(f"{prefix}: {name}")(lambda broker, names, arguments=arguments: function(broker, names, arguments))
        return function

    return register


UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
ZERO = "00000000-0000-0000-0000-000000000000"
# How the names of a run begin (tools.Names): the numbers differ from run to run.
RUN = re.compile(r"differential-\d+-[0-9a-f]{8}-(?=\d{3}-)")
NODES = {"node_id", "leader_id", "leader", "controller_id", "broker_id", "coordinator"}
LISTS_OF_NODES = {"replica_nodes", "isr_nodes", "replicas", "isr"}
# Numbers that each broker draws for itself; the special values below zero (and zero) are compared.
DRAWN = {"producer_id", "session_id", "log_append_time_ms"}
# What is said in each broker's own words: only whether anything is said is compared.
WORDS = {"error_message", "message", "documentation", "batch_index_error_message"}
IGNORED = {"throttle_time_ms", "cluster_id", "node_endpoints", "log_dir", "total_bytes", "usable_bytes"}


LONGEST_SHOWN = 300


def normal(value, broker, key=None):
    """The answer with everything replaced that two equal brokers may answer differently."""
    if isinstance(value, dict):
        kept = {name: entry for name, entry in value.items() if name not in IGNORED}
        return {name: normal(entry, broker, name) for name, entry in kept.items()}
    if isinstance(value, (list, tuple)):
        if key in LISTS_OF_NODES:
            return ["NODE" if entry == broker.node else entry for entry in value]
        return [normal(entry, broker, key) for entry in value]
    if key in WORDS:
        return "TEXT" if value else value
    if key in NODES and value == broker.node and not isinstance(value, bool):
        return "NODE"
    if key == "port":
        return "PORT"
    if key in DRAWN and isinstance(value, int) and value > 0:
        return "DRAWN"
    if isinstance(value, str) and value != ZERO:
        return RUN.sub("", UUID.sub("UUID", value))
    return value


def differences(oracle, ours, path="answer"):
    """One line for each place where two normal answers differ."""
    if isinstance(oracle, dict) and isinstance(ours, dict):
        lines = []
        for key in sorted(set(oracle) | set(ours), key=str):
            absent = "(absent)"
            lines += differences(oracle.get(key, absent), ours.get(key, absent), f"{path}.{key}")
        return lines
    if isinstance(oracle, list) and isinstance(ours, list) and len(oracle) == len(ours):
        return [
            line
            for index, pair in enumerate(zip(oracle, ours))
            for line in differences(*pair, f"{path}[{index}]")
        ]
    return [] if oracle == ours else [f"{path}: Kafka {shown(oracle)}, we {shown(ours)}"]


def shown(value):
    """A value in few letters: two that differ are shown differently."""
    text = repr(value)
    if len(text) <= LONGEST_SHOWN:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    return f"{text[:LONGEST_SHOWN]}... ({len(text)} letters, {digest})"


def changes(wanted, found):
    """The lines that make the difference between two lists of differences, in words."""
    missing = [f"no longer: {line}" for line in wanted if line not in found]
    new = [f"differs: {line}" for line in found if line not in wanted]
    return [*missing, *new[:40]]


def only(items):
    """The single element of a list."""
    (item,) = items
    return item
