"""Produce, fetch, list offsets, leader epochs, producer ids."""

import gzip

import tools
import wire
from stories import only, story, table
from wire import CLOSED, batch, record

START = 1_700_000_000_000
ELSEWHERE = "11111111-2222-3333-4444-555555555555"
# Year 2096: ahead of every clock by more than the hour that the default allows.
FAR_AHEAD = 4_000_000_000_000


@table("produce, version", {f"{version}": version for version in range(3, 14)})
def produce_versions(broker, names, version):
    name = names("topic")
    topic = broker.topic(name)
    target = topic if version >= 13 else name
    good = broker.produce(target, batch([b"a", b"b"]), version)
    unknown = broker.produce(ELSEWHERE if version >= 13 else names("unknown"), batch(), version)
    return good, broker.produce(target, batch(), version, partition=9), unknown


@table("produce, acks", {f"{acks}": acks for acks in (-2, -1, 1, 2, 32767)})
def produce_acks(broker, names, acks):
    name = names("topic")
    broker.topic(name)
    return broker.produce(name, batch(), acks=acks)


TWO = record(0, b"a") + record(1, b"b")


@table(
    "produce, refused",
    {
        "bad checksum": batch(crc=1),
        "magic 0": wire.legacy(0),
        "magic 1": wire.legacy(1),
        "magic 3": batch(magic=3),
        # Null records are left out: Apache Kafka never answers them.
        "empty": b"",
        "a few bytes": b"\0" * 10,
        "length too small": batch(length=10),
        "length negative": batch(length=-1),
        "cut off": batch()[:-3],
        "two batches": batch() + batch(),
        "no records": batch([], body=b"", count=0, last_delta=-1),
        "count too large": batch([b"a", b"b"], count=3),
        "count too small": batch([b"a", b"b"], count=1),
        "count negative": batch(count=-1),
        "last delta too large": batch(last_delta=5),
        "last delta negative": batch(last_delta=-1),
        "base offset not zero": batch(base_offset=5),
        "offsets with a gap": batch([b"a", b"b"], body=record(0, b"a") + record(5, b"b"), last_delta=5, count=2),
        "offsets backwards": batch([b"a", b"b"], body=record(1, b"a") + record(0, b"b")),
        "garbage body": batch([b"a", b"b"], body=b"\xff" * 20),
        "body too short": batch([b"a", b"b"], body=record(0, b"a")),
        "body too long": batch(body=TWO),
        "control": batch(attributes=0x20),
        "log append time": batch(attributes=0x08),
        "transactional without producer": batch(attributes=0x10),
        "unused attributes": batch(attributes=0x4000),
        "codec 5": batch(attributes=5),
        "codec 7": batch(attributes=7),
        "broken gzip": batch([b"a", b"b"], attributes=1, body=b"\x1f\x8bnonsense"),
        "gzip": batch([b"a", b"b"], attributes=1, body=gzip.compress(TWO, mtime=0)),
        "gzip, count too large": batch([b"a", b"b"], attributes=1, body=gzip.compress(TWO, mtime=0), count=3),
        "gzip, empty": batch([b"a", b"b"], attributes=1, body=gzip.compress(b"", mtime=0)),
        "gzip, cut off": batch([b"a", b"b"], attributes=1, body=gzip.compress(TWO, mtime=0)[:-9]),
        "two gzip batches": batch([b"a", b"b"], attributes=1, body=gzip.compress(TWO, mtime=0)) * 2,
        "too far ahead": batch(time=FAR_AHEAD),
        "max time wrong": batch([b"a", b"b"], max_time=START),
        "no timestamp": batch(time=-1, step=0),
        "negative timestamp": batch(time=-5, step=0),
        "producer without sequence": batch(producer=(1, 0, -1)),
        "sequence without producer": batch(producer=(-1, -1, 5)),
        "null key": batch(key=None),
        "null value": batch([None]),
        "header without key": batch(body=record(0, b"v", headers=[(None, b"x")])),
        "header without value": batch(body=record(0, b"v", headers=[(b"h", None)])),
    },
)
def produce_refused(broker, names, records):
    name = names("topic")
    broker.topic(name)
    answer = broker.produce(name, records)
    # What was refused must not have been written, what was accepted must be readable.
    return answer, broker.fetch(name, 0)


@table(
    "produce, config",
    {
        "compacted, null key": ({"cleanup_policy": "compact"}, batch([b"a", b"b"], key=None)),
        "compacted, key": ({"cleanup_policy": "compact"}, batch()),
        "compacted and deleted, null key": ({"cleanup_policy": "compact,delete"}, batch(key=None)),
        "at the limit": ({"max_message_bytes": str(len(batch()))}, batch()),
        "over the limit": ({"max_message_bytes": str(len(batch()) - 1)}, batch()),
        "limit 0": ({"max_message_bytes": "0"}, batch()),
        "larger than a segment": ({"segment_bytes": "1048576", "max_message_bytes": "4000000"}, batch([b"x" * (1 << 20)])),
        "too far behind": ({"message_timestamp_before_max_ms": "1000"}, batch()),
        "ahead, when allowed": ({"message_timestamp_after_max_ms": str(1 << 62)}, batch(time=FAR_AHEAD)),
        "log append time": ({"message_timestamp_type": "LogAppendTime"}, batch(time=FAR_AHEAD)),
        "in-sync replicas 2": ({"min_insync_replicas": "2"}, batch()),
    },
)
def produce_config(broker, names, case):
    configs, records = case
    name = names("topic")
    broker.topic(name, **configs)
    return broker.produce(name, records)


@story("produce: in-sync replicas 2, acks 1")
def produce_insync_leader(broker, names):
    name = names("topic")
    broker.topic(name, min_insync_replicas="2")
    return broker.produce(name, batch(), acks=1)


@story("produce: several topics and partitions, one bad")
def produce_several(broker, names):
    one, two = names("a"), names("b")
    broker.topic(one, 2)
    broker.topic(two)
    data = [
        {"name": one, "partition_data": [{"index": index, "records": batch()} for index in (0, 1, 7)]},
        {"name": two, "partition_data": [{"index": 0, "records": batch(crc=1)}]},
    ]
    answer = broker.call("Produce", 9, acks=-1, timeout_ms=30_000, topic_data=data)
    for topic in answer["responses"]:
        topic["partition_responses"].sort(key=lambda entry: entry["index"])
    return sorted(answer["responses"], key=lambda topic: topic["name"])


@story("produce: nothing")
def produce_nothing(broker, names):
    return broker.answer("Produce", 9, acks=-1, timeout_ms=30_000, topic_data=[])


@table("produce, acks 0", {"good": batch(), "bad": batch(crc=1), "unknown partition": 9})
def produce_without_answer(broker, names, case):
    name = names("topic")
    broker.topic(name)
    records, partition = (batch(), case) if isinstance(case, int) else (case, 0)
    data = [{"name": name, "partition_data": [{"index": partition, "records": records}]}]
    broker.send("Produce", 9, {"acks": 0, "timeout_ms": 1000, "topic_data": data})
    # The connection lives on after a good one only; the next answer tells.
    answer = broker.answer("ApiVersions", 0)
    return "answered" if answer is not CLOSED else CLOSED


# Idempotence


def initialised(broker, version, transactional_id=None, **known):
    """The answer to InitProducerId; Apache Kafka may first have to fetch a block of ids (error 14)."""
    fields = {"transactional_id": transactional_id, "transaction_timeout_ms": 60_000, **known}

    def ready():
        answer = broker.call("InitProducerId", version, **fields)
        return answer["error_code"] != 14 and answer

    return tools.wait_until(ready, "producer ids")


def producer_id(broker):
    answer = initialised(broker, 4, producer_id=-1, producer_epoch=-1)
    assert answer["error_code"] == 0, answer
    return answer["producer_id"]


def sequence_story(broker, names, steps):
    """Batches of two records each, with (epoch, first sequence); the answers in order."""
    name = names("topic")
    broker.topic(name)
    producer = producer_id(broker)
    return [
        (epoch, first, broker.produce(name, batch([b"a", b"b"], producer=(producer, epoch, first))))
        for epoch, first in steps
    ]


@table(
    "idempotence",
    {
        "in order": [(0, 0), (0, 2), (0, 4)],
        "repeated": [(0, 0), (0, 2), (0, 2), (0, 0)],
        "the fifth last is known": [(0, 2 * number) for number in range(5)] + [(0, 0)],
        "the sixth last is not": [(0, 2 * number) for number in range(6)] + [(0, 0)],
        "gap": [(0, 0), (0, 4)],
        "overlap": [(0, 0), (0, 1)],
        "unknown producer, not from zero": [(0, 10)],
        "new epoch from zero": [(0, 0), (1, 0)],
        "new epoch not from zero": [(0, 0), (1, 2)],
        "old epoch": [(1, 0), (0, 2)],
        "negative epoch": [(-1, 0)],
        "wrap": [(0, 2**31 - 2), (0, 0)],
        "wrap inside a batch": [(0, 2**31 - 1), (0, 1)],
        "after a refused batch": [(0, 0), (0, 6), (0, 2)],
    },
)
def idempotence(broker, names, steps):
    return sequence_story(broker, names, steps)


@table("init producer id, version", {f"{version}": version for version in range(6)})
def init_producer_id(broker, names, version):
    known = {"producer_id": -1, "producer_epoch": -1} if version >= 3 else {}
    return initialised(broker, version, **known)


@table("init producer id", {"id without transaction": (5, 0), "epoch without id": (-1, 3), "id without epoch": (5, -1)})
def init_producer_id_badly(broker, names, case):
    return initialised(broker, 4, producer_id=case[0], producer_epoch=case[1])


@story("init producer id: empty transactional id")
def init_producer_id_empty(broker, names):
    return initialised(broker, 4, "", producer_id=-1, producer_epoch=-1)


# Fetch


def five_batches(broker, names, **configs):
    """A topic with five batches of two records: offsets 0 to 9."""
    name = names("topic")
    topic = broker.topic(name, **configs)
    for number in range(5):
        broker.produce(name, batch([b"a" * 100, b"b" * 100], time=START + number * 10_000))
    return name, topic


@table("fetch, version", {f"{version}": version for version in range(4, 19)})
def fetch_versions(broker, names, version):
    name, topic = five_batches(broker, names)
    target = topic if version >= 13 else name
    return [broker.fetch(target, offset, version) for offset in (0, 3, 9, 10, 11, -1)]


@table(
    "fetch, limits",
    {
        "partition limit of one byte": {"partition_max_bytes": 1},
        "limit of one byte": {"max_bytes": 1},
        "limit of zero": {"max_bytes": 0},
        "limits of a batch and a half": {"partition_max_bytes": 450},
        "limit of two batches": {"max_bytes": 600},
        "read committed": {"isolation_level": 1},
        "more wanted than there is": {"min_bytes": 1 << 20, "max_wait_ms": 10},
        "negative limits": {"min_bytes": -1, "max_bytes": -1},
    },
)
def fetch_limits(broker, names, options):
    name, _ = five_batches(broker, names)
    return [broker.fetch(name, offset, **options) for offset in (0, 3)]


@story("fetch: the budget goes to the first partition with data")
def fetch_budget(broker, names):
    name = names("topic")
    broker.topic(name, 3)
    for partition in (1, 2):
        broker.produce(name, batch([b"x" * 500]), partition=partition)
    partitions = [
        {"partition": index, "fetch_offset": 0, "partition_max_bytes": 1 << 20, "current_leader_epoch": -1}
        for index in range(3)
    ]
    return broker.call(
        "Fetch", 11, max_wait_ms=0, min_bytes=1, max_bytes=100, session_id=0, session_epoch=-1,
        topics=[{"topic": name, "partitions": partitions}],
    )


@table("fetch, leader epoch", {"current": 0, "ahead": 5, "none": -1, "behind": -2})
def fetch_epochs(broker, names, epoch):
    name, _ = five_batches(broker, names)
    return broker.fetch(name, 0, current_leader_epoch=epoch, partition_max_bytes=1)


@table("fetch, last fetched epoch", {"current": 0, "ahead": 5, "none": -1})
def fetch_diverging(broker, names, epoch):
    _, topic = five_batches(broker, names)
    return broker.fetch(topic, 4, 17, last_fetched_epoch=epoch, partition_max_bytes=1)


@story("fetch: unknown topic and partition")
def fetch_nowhere(broker, names):
    name, _ = five_batches(broker, names)
    answers = [broker.fetch(names("unknown"), 0), broker.fetch(name, 0, partition=9), broker.fetch("", 0)]
    return [answer for answer in answers]


@story("fetch: unknown topic id")
def fetch_unknown_id(broker, names):
    return broker.fetch(ELSEWHERE, 0, 13)


@story("fetch: a deleted and recreated topic has another id")
def fetch_recreated(broker, names):
    name = names("topic")
    old = broker.topic(name)
    broker.call("DeleteTopics", 5, topic_names=[name], timeout_ms=30_000)
    unknown = lambda: only(broker.call("Metadata", 9, topics=[{"name": name}], allow_auto_topic_creation=False)["topics"])  # noqa: E731
    tools.wait_until(lambda: unknown()["error_code"] == 3, "the deletion")
    new = broker.topic(name)
    return old != new, broker.fetch(old, 0, 13), broker.fetch(new, 0, 13)


# Fetch sessions


def session_fetch(broker, session, epoch, topics=(), forgotten=()):
    return broker.call(
        "Fetch", 12, max_wait_ms=0, min_bytes=1, max_bytes=1 << 20, session_id=session, session_epoch=epoch,
        topics=list(topics), forgotten_topics_data=list(forgotten),
    )


def wants(name, *partitions, offset=0):
    return {
        "topic": name,
        "partitions": [
            {"partition": index, "fetch_offset": offset, "partition_max_bytes": 1 << 20, "current_leader_epoch": -1,
             "last_fetched_epoch": -1}
            for index in partitions
        ],
    }


@story("fetch session: open, change, forget, close")
def session_life(broker, names):
    name = names("topic")
    broker.topic(name, 2)
    opened = session_fetch(broker, 0, 0, [wants(name, 0, 1)])
    session = opened["session_id"]
    answers = [opened, session_fetch(broker, session, 1)]
    broker.produce(name, batch(), partition=1)
    answers.append(session_fetch(broker, session, 2))
    answers.append(session_fetch(broker, session, 3, [wants(name, 1, offset=1)]))
    answers.append(session_fetch(broker, session, 4))
    answers.append(session_fetch(broker, session, 5, forgotten=[{"topic": name, "partitions": [1]}]))
    broker.produce(name, batch(), partition=1)
    answers.append(session_fetch(broker, session, 6))
    answers.append(session_fetch(broker, session, -1))
    answers.append(session_fetch(broker, session, 7))
    return answers


@story("fetch session: wrong epoch, unknown session, no session wanted")
def session_errors(broker, names):
    name = names("topic")
    broker.topic(name)
    session = session_fetch(broker, 0, 0, [wants(name, 0)])["session_id"]
    return [
        session_fetch(broker, session, 5),
        session_fetch(broker, session, 0, [wants(name, 0)])["error_code"],
        session_fetch(broker, 2_000_000_000, 1),
        session_fetch(broker, 0, -1, [wants(name, 0)]),
        session_fetch(broker, 0, 3, [wants(name, 0)]),
    ]


@story("fetch session: an unknown partition stays in it")
def session_unknown(broker, names):
    name = names("topic")
    broker.topic(name)
    opened = session_fetch(broker, 0, 0, [wants(name, 0, 9)])
    return opened, session_fetch(broker, opened["session_id"], 1)


# Offsets


def listed(broker, topic, timestamp, version=4, partition=0, **options):
    of_partition = {"partition_index": partition, "timestamp": timestamp}
    if version >= 4:
        of_partition["current_leader_epoch"] = options.get("epoch", -1)
    fields = {"isolation_level": options.get("isolation", 0)} if version >= 2 else {}
    if version >= 10:
        fields["timeout_ms"] = 30_000
    topics = [{"name": topic, "partitions": [of_partition]}]
    return broker.answer("ListOffsets", version, replica_id=-1, topics=topics, **fields)


@table("list offsets, version", {f"{version}": version for version in range(1, 12)})
def list_offsets_versions(broker, names, version):
    name, _ = five_batches(broker, names)
    moments = [-1, -2, START, START + 1, START + 21_000, START + 22_000, START + 10**9, 0]
    return [listed(broker, name, moment, version) for moment in moments]


@table("list offsets, special", {f"{moment} at {version}": (moment, version) for moment in (-3, -4, -5, -6, -7) for version in (6, 7, 8, 9, 10, 11)})
def list_offsets_special(broker, names, case):
    moment, version = case
    name, _ = five_batches(broker, names)
    return listed(broker, name, moment, version)


@table("list offsets, empty partition", {f"{moment}": moment for moment in (-1, -2, -3, -4, 0, START)})
def list_offsets_empty(broker, names, moment):
    name = names("topic")
    broker.topic(name)
    return listed(broker, name, moment, 8)


@table("list offsets, leader epoch", {"current": 0, "ahead": 5, "none": -1})
def list_offsets_epochs(broker, names, epoch):
    name, _ = five_batches(broker, names)
    return listed(broker, name, -1, epoch=epoch)


@story("list offsets: unknown topic and partition, read committed")
def list_offsets_nowhere(broker, names):
    name, _ = five_batches(broker, names)
    return [
        listed(broker, names("unknown"), -1),
        listed(broker, name, -1, partition=9),
        listed(broker, name, -1, isolation=1),
        listed(broker, name, START + 21_000, isolation=1),
    ]


@story("list offsets: the first of equal greatest timestamps")
def list_offsets_tie(broker, names):
    name = names("topic")
    broker.topic(name)
    for times in [(5, 0), (9, 0), (9, 0), (1, 0)]:
        broker.produce(name, batch([b"a", b"b"], time=START + times[0], step=times[1]))
    return listed(broker, name, -3, 7), listed(broker, name, START + 6, 7)


@story("list offsets: timestamps out of order inside and between batches")
def list_offsets_disorder(broker, names):
    name = names("topic")
    broker.topic(name)
    body = b"".join(record(index, b"v", time_delta=delta) for index, delta in enumerate((50, 10, 90, 20)))
    broker.produce(name, batch([b"v"] * 4, body=body, max_time=START + 90))
    broker.produce(name, batch([b"v"], time=START + 5))
    return [listed(broker, name, START + moment, 7) for moment in (0, 5, 20, 51, 90, 91)] + [listed(broker, name, -3, 7)]


@table("offset for leader epoch", {"current": (0, -1), "ahead": (5, -1), "negative": (-1, -1), "fenced": (0, 9), "checked": (0, 0)})
def leader_epochs(broker, names, case):
    epoch, current = case
    name, _ = five_batches(broker, names)
    partition = {"partition": 0, "current_leader_epoch": current, "leader_epoch": epoch}
    return [
        broker.call(
            "OffsetForLeaderEpoch", version, topics=[{"topic": name, "partitions": [partition]}],
            **({"replica_id": -1} if version >= 3 else {}),
        )
        for version in (2, 3, 4)
    ]


@story("offset for leader epoch: unknown topic and partition")
def leader_epochs_nowhere(broker, names):
    name, _ = five_batches(broker, names)
    return [
        broker.call(
            "OffsetForLeaderEpoch", 4, replica_id=-1,
            topics=[{"topic": topic, "partitions": [{"partition": partition, "current_leader_epoch": -1, "leader_epoch": 0}]}],
        )
        for topic, partition in ((name, 9), (names("unknown"), 0))
    ]
