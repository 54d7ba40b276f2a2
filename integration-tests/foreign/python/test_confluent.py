"""confluent-kafka (librdkafka) against the broker: records, groups, offsets, admin calls, errors."""

import itertools

import pytest
from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    Consumer,
    ConsumerGroupState,
    ConsumerGroupTopicPartitions,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Producer,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourceType,
)
from kafka import KafkaAdminClient

import members
import tools
from samples import CODECS, MEGABYTE, START, incompressible, samples


@pytest.fixture(scope="module")
def admin(bootstrap):
    return AdminClient({"bootstrap.servers": bootstrap})


@pytest.fixture
def topic(admin, name, request):
    """A topic of four partitions, or as the test's `topic` mark says."""
    mark = request.node.get_closest_marker("topic")
    options = {"num_partitions": 4, "replication_factor": 1, **(mark.kwargs if mark else {})}
    topic = name("topic")
    create(admin, NewTopic(topic, **options))
    yield topic
    for future in admin.delete_topics([topic]).values():
        future.exception()


one_partition = pytest.mark.topic(num_partitions=1)


def create(admin, topic):
    """Creates a topic and waits until it is served.

    The waiting is kafka-python's: a librdkafka client that asked too early does not find the
    leader for a long while.
    """
    admin.create_topics([topic])[topic.topic].result(30)
    watcher = KafkaAdminClient(bootstrap_servers=tools.bootstrap())
    tools.wait_served(watcher, topic.topic, topic.num_partitions)
    watcher.close()


def refusal(future):
    """The error code with which a call was refused."""
    with pytest.raises(KafkaException) as caught:
        future.result(30)
    return caught.value.args[0].code()


class Writer:
    """A producer that collects the delivery reports."""

    def __init__(self, bootstrap, **options):
        settings = {key.replace("_", "."): value for key, value in options.items()}
        self.producer = Producer({"bootstrap.servers": bootstrap, **settings})
        self.reports = []

    def send(self, topic, value, **options):
        report = lambda error, message: self.reports.append((error, message))  # noqa: E731
        try:
            self.producer.produce(topic, value, on_delivery=report, **options)
        except BufferError:
            self.producer.poll(1)
            self.producer.produce(topic, value, on_delivery=report, **options)

    def flush(self):
        """Waits for every report; returns the delivered messages or fails with the first error."""
        assert self.producer.flush(60) == 0
        for error, _ in self.reports:
            assert error is None, error
        return [message for _, message in self.reports]

    def flush_error(self):
        """Waits for the only report, which must be an error; returns its code."""
        assert self.producer.flush(60) == 0
        ((error, _),) = self.reports
        return error.code()


def fill(bootstrap, topic, count, **options):
    writer = Writer(bootstrap, **options)
    for number in range(count):
        writer.send(topic, b"%d" % number, partition=0, timestamp=START + number * 1000)
    return writer.flush()


def consumer_for(bootstrap, group, **options):
    settings = {key.replace("_", "."): value for key, value in options.items()}
    return Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            **settings,
        }
    )


@pytest.fixture
def reading(bootstrap, name):
    """A function that makes a consumer with the given partitions assigned; closed after the test."""
    consumers = []

    def make(*partitions, **options):
        consumer = consumer_for(bootstrap, name("reader"), **options)
        consumer.assign(list(partitions))
        consumers.append(consumer)
        return consumer

    yield make
    for consumer in consumers:
        consumer.close()


def read(consumer, count):
    messages = []

    def enough():
        for message in consumer.consume(count - len(messages), timeout=0.2):
            if message.error():
                raise KafkaException(message.error())
            messages.append(message)
        return len(messages) >= count

    tools.wait_until(enough, f"{count} records")
    return messages


# Records


@pytest.mark.parametrize("acks", [0, 1, -1])
@pytest.mark.parametrize("codec", CODECS)
@one_partition
def test_records_come_back_as_they_went(bootstrap, reading, topic, codec, acks):
    sent = samples()
    writer = Writer(bootstrap, compression_codec=codec, acks=acks, linger_ms=20)
    for sample in sent:
        writer.send(
            topic, sample.value, key=sample.key, headers=sample.headers, partition=0, timestamp=sample.timestamp
        )
    writer.flush()
    messages = read(reading(TopicPartition(topic, 0, 0), check_crcs=True), len(sent))
    assert [message.offset() for message in messages] == list(range(len(sent)))
    for sample, message in zip(sent, messages):
        seen = (message.key(), message.value(), message.headers() or [], message.timestamp())
        assert seen == (sample.key, sample.value, sample.headers, (1, sample.timestamp))


@one_partition
@pytest.mark.parametrize("codec", CODECS)
def test_messages_of_one_megabyte(bootstrap, reading, topic, codec):
    writer = Writer(bootstrap, compression_codec=codec, message_max_bytes=4 << 20)
    values = [incompressible(MEGABYTE), b"x" * MEGABYTE, b""]
    for value in values:
        writer.send(topic, value, key=b"key")
        writer.flush()
    messages = read(reading(TopicPartition(topic, 0, 0), fetch_message_max_bytes=4096), len(values))
    assert [message.value() for message in messages] == values


@one_partition
def test_idempotent_batches_keep_order_and_count(bootstrap, reading, topic):
    writer = Writer(bootstrap, enable_idempotence=True, batch_num_messages=50, linger_ms=1)
    for number in range(20_000):
        writer.send(topic, b"%06d" % number, partition=0)
    delivered = writer.flush()
    assert [message.offset() for message in delivered] == list(range(20_000))
    messages = read(reading(TopicPartition(topic, 0, 0)), 20_000)
    assert [message.value() for message in messages] == [b"%06d" % number for number in range(20_000)]


@one_partition
def test_one_big_batch(bootstrap, reading, topic):
    writer = Writer(
        bootstrap, batch_num_messages=100_000, batch_size=900_000, linger_ms=500, compression_codec="lz4"
    )
    for number in range(10_000):
        writer.send(topic, b"record number %d" % number, partition=0)
    writer.flush()
    messages = read(reading(TopicPartition(topic, 0, 9_990)), 10)
    assert [message.offset() for message in messages] == list(range(9_990, 10_000))


def test_keys_choose_the_same_partition(bootstrap, topic):
    writer = Writer(bootstrap, partitioner="murmur2_random")
    for number in range(28):
        writer.send(topic, b"v", key=b"user-%d" % (number % 7))
    chosen = {(message.key(), message.partition()) for message in writer.flush()}
    assert len(chosen) == 7


def test_first_produce_creates_the_topic(admin, bootstrap, name):
    topic = name("auto")
    writer = Writer(bootstrap)
    writer.send(topic, b"first")
    (message,) = writer.flush()
    assert (message.topic(), message.offset()) == (topic, 0)
    assert topic in admin.list_topics(timeout=30).topics
    admin.delete_topics([topic])[topic].result(30)


@one_partition
def test_end_of_partition_is_reported(bootstrap, reading, topic):
    fill(bootstrap, topic, 2)
    consumer = reading(TopicPartition(topic, 0, 0), enable_partition_eof=True)
    read(consumer, 2)
    end = tools.wait_until(lambda: consumer.poll(0.2), "the end of the partition")
    assert (end.error().code(), end.offset()) == (KafkaError._PARTITION_EOF, 2)


# Positions


@one_partition
def test_seek_by_time_beginning_and_end(bootstrap, reading, topic):
    fill(bootstrap, topic, 10)
    consumer = reading(TopicPartition(topic, 0, 0))

    def offset_at(timestamp):
        (found,) = consumer.offsets_for_times([TopicPartition(topic, 0, timestamp)], timeout=30)
        assert found.error is None
        return found.offset

    assert offset_at(START + 3500) == 4
    assert offset_at(START + 3000) == 3
    assert offset_at(START - 1) == 0
    assert offset_at(START + 9001) == OFFSET_END
    assert consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=30) == (0, 10)
    for start, expected in [(4, 4), (OFFSET_BEGINNING, 0), (9, 9)]:
        consumer.assign([TopicPartition(topic, 0, start)])
        assert read(consumer, 1)[0].offset() == expected
    at_end = reading(TopicPartition(topic, 0, OFFSET_END), enable_partition_eof=True)
    end = tools.wait_until(lambda: at_end.poll(0.2), "the end of the partition")
    assert (end.error().code(), end.offset()) == (KafkaError._PARTITION_EOF, 10)
    fill(bootstrap, topic, 1)
    assert read(at_end, 1)[0].offset() == 10


@one_partition
def test_seek_by_time_inside_a_compressed_batch(bootstrap, reading, topic):
    fill(bootstrap, topic, 50, compression_codec="zstd", linger_ms=200)
    consumer = reading(TopicPartition(topic, 0, 32))
    (found,) = consumer.offsets_for_times([TopicPartition(topic, 0, START + 31_001)], timeout=30)
    assert found.offset == 32
    assert read(consumer, 1)[0].offset() == 32


@one_partition
def test_out_of_range_position(bootstrap, reading, topic):
    fill(bootstrap, topic, 3)
    assert read(reading(TopicPartition(topic, 0, 1000)), 1)[0].offset() == 0
    strict = reading(TopicPartition(topic, 0, 1000), auto_offset_reset="error")
    with pytest.raises(KafkaException) as caught:
        read(strict, 1)
    assert caught.value.args[0].code() == KafkaError._AUTO_OFFSET_RESET


@one_partition
def test_list_offsets(admin, bootstrap, topic):
    fill(bootstrap, topic, 10)
    partition = TopicPartition(topic, 0)

    def offset(spec, level=IsolationLevel.READ_UNCOMMITTED):
        return admin.list_offsets({partition: spec}, isolation_level=level)[partition].result(30).offset

    assert offset(OffsetSpec.earliest()) == 0
    assert offset(OffsetSpec.latest()) == 10
    assert offset(OffsetSpec.latest(), IsolationLevel.READ_COMMITTED) == 10
    assert offset(OffsetSpec.max_timestamp()) == 9
    assert offset(OffsetSpec.for_timestamp(START + 1500)) == 2
    assert offset(OffsetSpec.for_timestamp(START + 100_000)) == -1


# Groups


@pytest.fixture
def group_of(bootstrap, topic, name):
    """A function from an assignor to what starts a member of a new group, and what writes to its topic."""
    group, producer = name("group"), Producer({"bootstrap.servers": bootstrap, "linger.ms": 0})

    def send(value, partition):
        errors = []
        producer.produce(topic, value.encode(), partition=partition, on_delivery=lambda error, _: errors.append(error))
        producer.flush(60)
        assert errors == [None], errors

    def make(strategy):
        def start(**options):
            return members.Member(members.python_member("confluent", group, topic, strategy, **options))

        return start, send

    return make


@pytest.mark.parametrize("strategy", ["range", "roundrobin", "cooperative-sticky"])
def test_members_come_go_and_are_killed(group_of, strategy):
    members.rebalance_story(*group_of(strategy))


@pytest.mark.parametrize("strategy", ["range", "cooperative-sticky"])
def test_static_member_keeps_its_partitions(group_of, strategy):
    members.static_story(group_of(strategy)[0])


@one_partition
def test_commit_and_resume(bootstrap, topic, name):
    fill(bootstrap, topic, 10)
    group = name("group")
    first = consumer_for(bootstrap, group)
    first.subscribe([topic])
    message = read(first, 4)[3]
    first.commit(offsets=[TopicPartition(topic, 0, message.offset() + 1, metadata="half way, ünicode")], asynchronous=False)
    (committed,) = first.committed([TopicPartition(topic, 0)], timeout=30)
    assert (committed.offset, committed.metadata) == (4, "half way, ünicode")
    first.close()
    second = consumer_for(bootstrap, group)
    second.subscribe([topic])
    assert [message.offset() for message in read(second, 6)] == [4, 5, 6, 7, 8, 9]
    second.commit(asynchronous=False)
    second.close()
    third = consumer_for(bootstrap, group)
    assert third.committed([TopicPartition(topic, 0)], timeout=30)[0].offset == 10
    third.close()


@one_partition
def test_auto_commit_at_close(bootstrap, topic, name):
    fill(bootstrap, topic, 5)
    group = name("group")
    first = consumer_for(bootstrap, group, enable_auto_commit=True)
    first.subscribe([topic])
    read(first, 5)
    first.close()
    second = consumer_for(bootstrap, group)
    assert second.committed([TopicPartition(topic, 0)], timeout=30)[0].offset == 5
    second.close()


def test_pattern_subscription_sees_a_new_topic(admin, bootstrap, name):
    prefix = name("pattern")
    consumer = consumer_for(bootstrap, name("group"), topic_metadata_refresh_interval_ms=300)
    consumer.subscribe([f"^{prefix}.*"])
    for word in ["a", "b"]:
        create(admin, NewTopic(f"{prefix}-{word}", 1))
        fill(bootstrap, f"{prefix}-{word}", 1)
        # A rebalance makes the consumer read from the start again: nothing was committed.
        tools.wait_until(lambda: read(consumer, 1)[0].topic() == f"{prefix}-{word}", f"topic {word}")
    consumer.close()
    for future in admin.delete_topics([f"{prefix}-a", f"{prefix}-b"]).values():
        future.result(30)


def test_describe_list_and_delete_groups(admin, bootstrap, topic, name):
    group = name("group")
    consumer = consumer_for(bootstrap, group, client_id="watched", partition_assignment_strategy="range")
    consumer.subscribe([topic])
    tools.wait_until(lambda: consumer.poll(0.1) or consumer.assignment(), "an assignment")
    described = admin.describe_consumer_groups([group])[group].result(30)
    assert described.state == ConsumerGroupState.STABLE
    assert described.partition_assignor == "range"
    (member,) = described.members
    assert (member.client_id, member.host) == ("watched", "/127.0.0.1")
    assert [tp.partition for tp in member.assignment.topic_partitions] == [0, 1, 2, 3]

    def listed(**filters):
        return {entry.group_id for entry in admin.list_consumer_groups(**filters).result(30).valid}

    assert group in listed(states={ConsumerGroupState.STABLE})
    assert refusal(admin.delete_consumer_groups([group])[group]) == KafkaError.NON_EMPTY_GROUP
    consumer.commit(offsets=[TopicPartition(topic, 0, 0)], asynchronous=False)
    consumer.close()
    assert group in listed(states={ConsumerGroupState.EMPTY})
    admin.delete_consumer_groups([group])[group].result(30)
    assert group not in listed()
    assert refusal(admin.delete_consumer_groups([group])[group]) == KafkaError.GROUP_ID_NOT_FOUND


def test_list_and_alter_group_offsets(admin, topic, name):
    group = name("group")
    wanted = [TopicPartition(topic, 0, 7), TopicPartition(topic, 3, 1)]
    altered = admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, wanted)])
    assert [tp.error for tp in altered[group].result(30).topic_partitions] == [None, None]
    listed = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])[group].result(30)
    assert sorted((tp.partition, tp.offset) for tp in listed.topic_partitions) == [(0, 7), (3, 1)]


# Admin


def test_create_describe_and_delete_topics(admin, name):
    topic = name("made")
    create(admin, NewTopic(topic, 3, config={"retention.ms": "60000"}))
    described = admin.describe_topics(TopicCollection([topic]))[topic].result(30)
    assert [partition.id for partition in described.partitions] == [0, 1, 2]
    assert [len(partition.isr) for partition in described.partitions] == [1, 1, 1]
    assert refusal(admin.create_topics([NewTopic(topic, 1)])[topic]) == KafkaError.TOPIC_ALREADY_EXISTS
    admin.delete_topics([topic])[topic].result(30)
    tools.wait_until(lambda: topic not in admin.list_topics(timeout=30).topics, "the topic to be gone")
    assert refusal(admin.delete_topics([topic])[topic]) == KafkaError.UNKNOWN_TOPIC_OR_PART


def test_validate_only_creates_nothing(admin, name):
    topic = name("validated")
    admin.create_topics([NewTopic(topic, 1)], validate_only=True)[topic].result(30)
    assert topic not in admin.list_topics(timeout=30).topics


def test_create_partitions(admin, topic):
    admin.create_partitions([NewPartitions(topic, 6)])[topic].result(30)
    tools.wait_until(lambda: len(admin.list_topics(topic, timeout=30).topics[topic].partitions) == 6, "six partitions")
    assert refusal(admin.create_partitions([NewPartitions(topic, 6)])[topic]) == KafkaError.INVALID_PARTITIONS


def test_describe_and_alter_configs(admin, topic):
    def config():
        resource = ConfigResource(ResourceType.TOPIC, topic)
        return admin.describe_configs([resource])[resource].result(30)

    def alter(key, value, operation):
        entry = ConfigEntry(key, value, incremental_operation=operation)
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
        return admin.incremental_alter_configs([resource])[resource]

    before = config()
    assert (before["retention.ms"].value, before["retention.ms"].is_default) == ("604800000", True)
    for key, value, operation, expected in [
        ("retention.ms", "1000", AlterConfigOpType.SET, "1000"),
        ("cleanup.policy", "compact", AlterConfigOpType.APPEND, "delete,compact"),
        ("cleanup.policy", "delete", AlterConfigOpType.SUBTRACT, "compact"),
        ("retention.ms", None, AlterConfigOpType.DELETE, "604800000"),
    ]:
        alter(key, value, operation).result(30)
        tools.wait_until(lambda: config()[key].value == expected, f"{key}={expected}")
    assert refusal(alter("retention.ms", "-2", AlterConfigOpType.SET)) == KafkaError.INVALID_CONFIG
    assert refusal(alter("no.such", "1", AlterConfigOpType.SET)) == KafkaError.INVALID_CONFIG


def test_describe_cluster_and_broker_configs(admin, bootstrap):
    cluster = admin.describe_cluster().result(30)
    (node,) = cluster.nodes
    assert f"{node.host}:{node.port}" == bootstrap
    assert cluster.cluster_id
    resource = ConfigResource(ResourceType.BROKER, str(node.id))
    configs = admin.describe_configs([resource])[resource].result(30)
    assert configs["num.partitions"].value == "1"
    assert configs["log.dirs"].is_read_only


@one_partition
def test_delete_records(admin, bootstrap, reading, topic):
    fill(bootstrap, topic, 10)

    def delete(offset):
        return next(iter(admin.delete_records([TopicPartition(topic, 0, offset)]).values()))

    assert delete(6).result(30).low_watermark == 6
    consumer = reading(TopicPartition(topic, 0, OFFSET_BEGINNING))
    assert [message.offset() for message in read(consumer, 4)] == [6, 7, 8, 9]
    assert refusal(delete(11)) == KafkaError.OFFSET_OUT_OF_RANGE
    assert delete(OFFSET_END).result(30).low_watermark == 10


# Errors


@pytest.mark.parametrize(
    ("topic_name", "options", "expected"),
    [
        ("has space", {}, KafkaError.TOPIC_EXCEPTION),
        (".", {}, KafkaError.TOPIC_EXCEPTION),
        ("x" * 250, {}, KafkaError.TOPIC_EXCEPTION),
        ("bad-replicas", {"replication_factor": 2}, KafkaError.INVALID_REPLICATION_FACTOR),
        ("bad-config", {"config": {"retention.ms": "soon"}}, KafkaError.INVALID_CONFIG),
        ("no-such-config", {"config": {"no.such": "1"}}, KafkaError.INVALID_CONFIG),
    ],
)
def test_refused_topics(admin, topic_name, options, expected):
    future = admin.create_topics([NewTopic(topic_name, 1, **options)])[topic_name]
    assert refusal(future) == expected


@pytest.mark.topic(num_partitions=1, config={"max.message.bytes": "1000"})
def test_a_message_over_the_topics_limit(bootstrap, topic):
    writer = Writer(bootstrap)
    writer.send(topic, incompressible(2000))
    assert writer.flush_error() == KafkaError.MSG_SIZE_TOO_LARGE


@pytest.mark.topic(num_partitions=1, config={"cleanup.policy": "compact"})
def test_a_compacted_topic_wants_keys(bootstrap, topic):
    writer = Writer(bootstrap)
    writer.send(topic, b"no key")
    assert writer.flush_error() == KafkaError.INVALID_RECORD


@one_partition
def test_a_timestamp_too_far_ahead(bootstrap, topic):
    writer = Writer(bootstrap)
    writer.send(topic, b"tomorrow", timestamp=START * 2)
    assert writer.flush_error() == KafkaError.INVALID_TIMESTAMP


@one_partition
def test_an_unknown_partition(bootstrap, topic):
    writer = Writer(bootstrap, topic_metadata_propagation_max_ms=100)
    with pytest.raises(KafkaException) as caught:
        # librdkafka learns the partition count from the broker, then refuses by itself.
        for _ in itertools.repeat(None, 1000):
            writer.send(topic, b"v", partition=99)
            writer.producer.poll(0.1)
            for error, _message in writer.reports:
                raise KafkaException(error)
    assert caught.value.args[0].code() == KafkaError._UNKNOWN_PARTITION


def test_an_unknown_topic_without_auto_creation(admin, bootstrap, name):
    topic = name("unknown")
    consumer = consumer_for(bootstrap, name("group"), topic_metadata_propagation_max_ms=0)
    consumer.subscribe([topic])
    message = tools.wait_until(lambda: consumer.poll(0.2), "the refusal")
    assert message.error().code() == KafkaError.UNKNOWN_TOPIC_OR_PART
    consumer.close()
    assert topic not in admin.list_topics(timeout=30).topics


def test_session_timeout_out_of_bounds(bootstrap, topic, name):
    errors = []
    consumer = consumer_for(bootstrap, name("group"), session_timeout_ms=5999, heartbeat_interval_ms=1000)
    consumer.subscribe([topic])

    def refused():
        message = consumer.poll(0.2)
        return message is not None and (errors.append(message.error().code()) or True)

    tools.wait_until(refused, "the refusal")
    consumer.close()
    assert errors == [KafkaError.INVALID_SESSION_TIMEOUT]
