"""Debian's kcat against the broker, driven as a person drives it: by its command line."""

import json
import re
import subprocess

import pytest

import members
import tools
from samples import CODECS, MEGABYTE, START, incompressible


def kcat_bytes(*arguments, text=None, code=0):
    """Runs kcat to its end and returns what it wrote: its answer, or its errors where it must fail."""
    command = ["kcat", "-b", tools.bootstrap(), *map(str, arguments)]
    done = subprocess.run(command, input=text, capture_output=True, timeout=90)
    assert done.returncode == code, f"{command} ended with {done.returncode}: {done.stderr.decode()}"
    return done.stdout if code == 0 else done.stderr


def kcat(*arguments, **options):
    return kcat_bytes(*arguments, **options).decode()


def produce(topic, text, *arguments):
    kcat("-P", "-t", topic, *arguments, text=text.encode() if isinstance(text, str) else text)


def consume(topic, *arguments, form="%k=%s\n"):
    """Reads partition 0 (or what the arguments say) to its end."""
    return kcat("-C", "-e", "-q", "-t", topic, *arguments, "-f", form).splitlines()


def timed(topic, count):
    """Records one second apart. kcat sets no timestamps, so kafka-python writes these."""
    from kafka import KafkaProducer

    producer = KafkaProducer(bootstrap_servers=tools.bootstrap())
    for number in range(count):
        producer.send(topic, b"%d" % number, partition=0, timestamp_ms=START + number * 1000)
    producer.flush()
    producer.close()


@pytest.fixture
def topic(name, request):
    """A topic of one partition, or as the test's `topic` mark says."""
    from kafka import KafkaAdminClient

    mark = request.node.get_closest_marker("topic")
    topic = name("topic")
    admin = KafkaAdminClient(bootstrap_servers=tools.bootstrap())
    tools.create_topic(admin, topic, **(mark.kwargs if mark else {}))
    yield topic
    admin.delete_topics([topic], raise_errors=False)
    admin.close()


four_partitions = pytest.mark.topic(num_partitions=4)


# Metadata


@four_partitions
def test_list_as_text(topic):
    listing = kcat("-L", "-t", topic)
    assert re.search(rf"^ 1 brokers:\n  broker (\d+) at {re.escape(tools.bootstrap())}", listing, re.M), listing
    assert f'topic "{topic}" with 4 partitions:' in listing
    for partition in range(4):
        assert re.search(rf"^    partition {partition}, leader (\d+), replicas: \1, isrs: \1$", listing, re.M), listing


@four_partitions
def test_list_as_json(topic):
    listing = json.loads(kcat("-L", "-J"))
    (broker,) = listing["brokers"]
    assert broker["name"] == tools.bootstrap()
    (entry,) = [entry for entry in listing["topics"] if entry["topic"] == topic]
    assert sorted(partition["partition"] for partition in entry["partitions"]) == [0, 1, 2, 3]
    assert {partition["leader"] for partition in entry["partitions"]} == {broker["id"]}


def test_list_an_unknown_topic(name):
    listing = kcat("-L", "-t", name("unknown"), "-X", "allow.auto.create.topics=false")
    assert "Unknown topic or partition" in listing


# Produce and consume


@pytest.mark.parametrize("codec", CODECS)
def test_codecs(topic, codec):
    lines = [f"key-{number}:value {number} " + "x" * 100 for number in range(500)]
    produce(topic, "\n".join(lines) + "\n", "-K:", "-z", codec, "-X", "linger.ms=100")
    assert consume(topic, form="%k:%s\n") == lines


@pytest.mark.parametrize("acks", [0, 1, -1])
def test_acks(topic, acks):
    produce(topic, "one\ntwo\n", "-X", f"acks={acks}")
    tools.wait_until(lambda: len(consume(topic)) == 2, "both records")


def test_idempotent(topic):
    produce(topic, "".join(f"{number}\n" for number in range(2000)), "-X", "enable.idempotence=true")
    assert consume(topic, form="%o %s\n") == [f"{number} {number}" for number in range(2000)]


@pytest.mark.parametrize("codec", CODECS)
def test_keys_headers_tombstones_and_large_values(topic, tmp_path, codec):
    large, small = incompressible(MEGABYTE), bytes(range(256))
    files = tmp_path / "large", tmp_path / "small"
    for file, data in zip(files, (large, small)):
        file.write_bytes(data)
    # kcat itself would refuse values of this size.
    settings = ["-z", codec, "-X", f"message.max.bytes={2 * MEGABYTE}"]
    produce(topic, "key:value\n", *settings, "-K:", "-H", "a=1", "-H", "a=2", "-H", "empty=", "-H", "null")
    produce(topic, "gone:\n", *settings, "-K:", "-Z", "-H", "why=deleted")
    produce(topic, "no key\n", *settings)
    produce(topic, "key:\n", *settings, "-K:")
    for file in files:
        produce(topic, "", *settings, "-k", "file", file)
    lines = kcat("-C", "-e", "-q", "-J", "-t", topic, "-c", 4).splitlines()
    told = [[record[part] for part in ("offset", "key", "payload")] for record in map(json.loads, lines)]
    assert told == [[0, "key", "value"], [1, "gone", None], [2, None, "no key"], [3, "key", ""]]
    headers = [json.loads(line).get("headers") for line in lines]
    assert headers == [["a", "1", "a", "2", "empty", "", "null", None], ["why", "deleted"], None, None]
    # Sizes as kcat prints them: minus one is null.
    assert consume(topic, form="%K %S\n") == ["3 5", "4 -1", "-1 6", "3 0", f"4 {MEGABYTE}", "4 256"]
    for offset, data in (4, large), (5, small):
        assert kcat_bytes("-C", "-q", "-t", topic, "-o", offset, "-c", 1, "-f", "%s") == data


@four_partitions
def test_keys_spread_and_stay(topic):
    produce(topic, "".join(f"user-{number % 10}:{number}\n" for number in range(100)), "-K:")
    homes = {tuple(line.split("=")) for line in consume(topic, form="%k=%p\n")}
    assert len(homes) == 10


@four_partitions
def test_a_chosen_partition(topic):
    produce(topic, "here\n", "-p", "3")
    assert consume(topic, form="%p %o %s\n") == ["3 0 here"]
    assert consume(topic, "-p", "1") == []


def test_first_produce_creates_the_topic(name):
    topic = name("auto")
    produce(topic, "first\n")
    assert consume(topic, form="%s\n") == ["first"]


# Positions


def test_offsets(topic):
    produce(topic, "".join(f"{number}\n" for number in range(10)))
    assert consume(topic, "-o", "beginning", "-c", "2", form="%s\n") == ["0", "1"]
    assert consume(topic, "-o", "7", form="%s\n") == ["7", "8", "9"]
    assert consume(topic, "-o", "-1", form="%s\n") == ["9"]
    assert consume(topic, "-o", "-3", form="%s\n") == ["7", "8", "9"]
    assert consume(topic, "-o", "end", form="%s\n") == []


def test_query_offsets_by_time(topic):
    timed(topic, 10)

    def query(timestamp):
        answer = kcat("-Q", "-t", f"{topic}:0:{timestamp}")
        return re.fullmatch(rf"{re.escape(topic)} \[0\] offset (-?\d+)\n", answer)[1]

    assert query(START + 3500) == "4"
    assert query(START + 3000) == "3"
    assert query(START - 1) == "0"
    assert query(-2) == "0"
    assert query(-1) == "10"
    assert query(START + 100_000) == "-1"


def test_consume_between_two_times(topic):
    timed(topic, 10)
    begin, end = START + 2000, START + 6000
    assert consume(topic, "-o", f"s@{begin}", "-o", f"e@{end}", form="%s %T\n") == [
        f"{number} {START + number * 1000}" for number in range(2, 6)
    ]
    assert consume(topic, "-o", f"s@{START + 8500}", form="%s\n") == ["9"]


def test_end_of_partition_is_announced(topic):
    produce(topic, "one\n")
    done = subprocess.run(
        ["kcat", "-b", tools.bootstrap(), "-C", "-e", "-t", topic], capture_output=True, text=True, timeout=90
    )
    assert done.returncode == 0
    assert f"Reached end of topic {topic} [0] at offset 1: exiting" in done.stderr


# Groups


class Member(members.Member):
    """kcat as a member of a group: it prints partitions and values, and tells of rebalances."""

    def __init__(self, group, topic, strategy):
        settings = {
            "auto.offset.reset": "earliest",
            "auto.commit.interval.ms": 100,
            "session.timeout.ms": members.SHORT_SESSION,
            "heartbeat.interval.ms": 300,
            "partition.assignment.strategy": strategy,
        }
        options = [part for key, value in settings.items() for part in ("-X", f"{key}={value}")]
        super().__init__(["kcat", "-b", tools.bootstrap(), *options, "-G", group, "-u", "-f", "%s\n", topic])

    def take(self, line):
        self.values.append(line.strip())

    def take_error(self, line):
        super().take_error(line)
        change = re.search(r" rebalanced.*: (?:incremental )?(assign|revoke)", line)
        if change:
            named = {int(number) for number in re.findall(r"\[(\d+)\]", line)}
            held = set(self.assignment)
            # The whole share with an eager protocol, what comes and goes with a cooperative one.
            self.assignments.append(sorted(held | named if change[1] == "assign" else held - named))

    def leave(self):
        self.process.terminate()
        self._wait()
        assert self.process.returncode == 0, "".join(self.errors)


@four_partitions
@pytest.mark.parametrize("strategy", ["range", "roundrobin", "cooperative-sticky"])
def test_members_come_go_and_are_killed(topic, name, strategy):
    from kafka import KafkaProducer

    group, producer = name("group"), KafkaProducer(bootstrap_servers=tools.bootstrap())
    members.rebalance_story(
        lambda: Member(group, topic, strategy),
        lambda value, partition: producer.send(topic, value.encode(), partition=partition).get(30),
        # kcat commits the record that it has in its hand at SIGTERM, but does not print it.
        dropped=1,
    )
    producer.close()


def test_a_group_resumes(topic, name):
    group = name("group")

    def next_values(count):
        return kcat(
            *("-G", group, "-q", "-c", count, "-f", "%s\n", "-X", "auto.offset.reset=earliest"), topic
        ).splitlines()

    produce(topic, "".join(f"{number}\n" for number in range(6)))
    assert next_values(4) == ["0", "1", "2", "3"]
    assert next_values(2) == ["4", "5"]


# Errors


def test_a_message_over_the_topics_limit(name):
    from kafka import KafkaAdminClient

    topic = name("small")
    admin = KafkaAdminClient(bootstrap_servers=tools.bootstrap())
    tools.create_topic(admin, topic, configs={"max.message.bytes": "100"})
    admin.close()
    errors = kcat("-P", "-t", topic, text=b"x" * 500 + b"\n", code=1)
    assert "Broker: Message size too large" in errors


def test_an_unknown_partition_is_refused(topic):
    assert "partition 7 does not exist" in kcat("-C", "-e", "-t", topic, "-p", "7", code=1)
