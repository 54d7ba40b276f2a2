"""The Kafka programs of the customer's document (sections 4.1 and 4.2), run as they stand.

The Python blocks are taken out of the document; the only change is mechanical: the calls that the
document shows commented out at the end of a block are uncommented. The programs talk to their own
default address, localhost:9092. When the broker under test is elsewhere, the default argument of
`KafkaManager.__init__` is replaced at run time, after the class was made; the text stays as it is.
scripts/try-readme has them meet the broker at that very address.
"""

import ast
import json
import re
import signal
import subprocess
import sys

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition

import document
import tools


def enabled(code, calls):
    """The block with the named commented calls uncommented, everything else byte for byte.

    A commented call is a line `# x.y(...)` or `# x = Y(...)` at the start of a line.
    """
    lines, found = [], []
    for line in code.splitlines(keepends=True):
        match = re.match(r"# ((?:\w+ = )?([\w.]+)\(.*\))$", line.rstrip("\n"))
        if match and match[2] in calls:
            ast.parse(match[1])
            found.append(match[2])
            line = match[1] + "\n"
        lines.append(line)
    assert found == calls, f"expected the commented calls {calls}, found {found}"
    return "".join(lines)


def program(*parts):
    """One source text out of the blocks, pointed at the broker under test."""
    host, port = tools.split_address(tools.bootstrap())
    if (host, port) in {("127.0.0.1", 9092), ("localhost", 9092)}:
        return "".join(parts)
    # The class statement has run when the first line after it does; the default is replaced there.
    redirect = f"KafkaManager.__init__.__defaults__ = ({tools.bootstrap()!r},)\n"
    marker = "# Usage example\nkafka_manager = KafkaManager()"
    first, *rest = parts
    assert first.count(marker) == 1
    head, tail = first.split(marker)
    return "".join([head, redirect, marker, tail, *rest])


def run_directly(source):
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def read_all(topic, count):
    """The first `count` records of a topic's only partition, as (key, decoded value)."""
    consumer = KafkaConsumer(bootstrap_servers=tools.bootstrap(), auto_offset_reset="earliest")
    consumer.assign([TopicPartition(topic, 0)])
    records = []

    def enough():
        for batch in consumer.poll(timeout_ms=200).values():
            records.extend((record.key, json.loads(record.value)) for record in batch)
        return len(records) >= count

    tools.wait_until(enough, f"{count} records of {topic}")
    consumer.close()
    return records


@pytest.fixture(autouse=True)
def clean_slate(bootstrap):
    """The programs name their topics and groups themselves, so earlier runs are wiped first."""
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    topics = {"user_events", "analytics_output"} & set(admin.list_topics())
    if topics:
        admin.delete_topics(sorted(topics))
        tools.wait_until(lambda: not topics & set(admin.list_topics()), "the topics to be gone")
    groups = {"default_group", "analytics_group"} & {entry["group_id"] for entry in admin.list_groups()}
    if groups:
        admin.delete_groups(sorted(groups))
    yield
    admin.close()


KAFKA_MANAGER = ["kafka_manager.produce_messages", "kafka_manager.consume_messages"]


def test_the_fixture_is_the_customers_document():
    document.check()


def test_kafka_manager_produces_and_consumes():
    source = program(enabled(document.block("4.1"), KAFKA_MANAGER))
    output = run_directly(source)
    produced = re.findall(r"Produced message to user_events partition 0 offset (\d+)", output)
    assert produced == ["0", "1", "2"]
    consumed = re.findall(r"^Consumed message: key=(\w+), value=(.*), partition=0, offset=(\d+)$", output, re.M)
    assert [(key, offset) for key, _, offset in consumed] == [("user1", "0"), ("user2", "1"), ("user1", "2")]
    assert ast.literal_eval(consumed[1][1]) == {
        "event": "purchase",
        "amount": 99.99,
        "timestamp": "2023-01-01T10:01:00",
    }
    stored = read_all("user_events", 3)
    assert [(key, value["event"]) for key, value in stored] == [
        (b"user1", "login"),
        (b"user2", "purchase"),
        (b"user1", "logout"),
    ]
    again = re.findall(r"^Consumed message: .*, offset=(\d+)$", run_directly(source), re.M)
    assert again == ["3", "4", "5"], "a second run goes on behind the offsets the first one committed"


# Events in the shape that 4.2 reads; the one without an event type is passed over in silence.
EVENTS = [
    {"user_id": "user1", "event_type": "login", "timestamp": "2023-01-01T10:00:00"},
    {"user_id": "user2", "event_type": "login", "timestamp": "2023-01-01T10:00:30"},
    {"user_id": "user1", "event_type": "purchase", "timestamp": "2023-01-01T10:01:00"},
    {"user_id": "user3", "timestamp": "2023-01-01T10:01:30"},
    {"user_id": "user1", "event_type": "purchase", "timestamp": "2023-01-01T10:02:00"},
]


def analytics_of(events):
    """What 4.2 has to answer, counted independently; the event types as a set."""
    per_user, overall, answers = {}, {}, []
    for event in events:
        user, kind = event["user_id"], event.get("event_type")
        if not kind:
            continue
        overall[kind] = overall.get(kind, 0) + 1
        seen = per_user.setdefault(user, [])
        seen.append(kind)
        answers.append(
            (
                user.encode(),
                {
                    "user_id": user,
                    "total_events": len(seen),
                    "event_types": sorted(set(seen)),
                    "last_event": kind,
                    "last_timestamp": event["timestamp"],
                    "global_event_counts": dict(overall),
                },
            )
        )
    return answers


def test_real_time_analytics(bootstrap):
    # Both blocks are one program: 4.2 uses the KafkaManager, Dict and Any of 4.1. The producing side
    # stays commented in 4.1, and its class writes the events of the shape that 4.2 reads.
    first = document.block("4.1")
    source = program(first, enabled(document.block("4.2"), ["RealTimeAnalytics", "analytics.process_stream"]))
    feed = f"kafka_manager.produce_messages('user_events', {[{'key': e['user_id'], 'value': e} for e in EVENTS]!r}, delay=0)\n"
    run_directly(program(first, feed))
    running = subprocess.Popen(
        [sys.executable, "-u", "-c", source],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Whoever runs the tests in the background has SIGINT ignored, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        expected = analytics_of(EVENTS)
        stored = read_all("analytics_output", len(expected))
        running.send_signal(signal.SIGINT)
        output, errors = running.communicate(timeout=60)
    finally:
        if running.poll() is None:
            running.kill()
            running.communicate()
    assert running.returncode == 0, errors
    for _, value in stored:
        value["event_types"].sort()
    assert stored == expected
    assert "Starting real-time analytics on topic: user_events" in output
    assert output.count("Processed event for user") == len(expected)
    assert output.rstrip().endswith("Stopping real-time analytics...")
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    committed = admin.list_group_offsets({"analytics_group": None})["analytics_group"]
    admin.close()
    assert committed[TopicPartition("user_events", 0)].offset == len(EVENTS)
