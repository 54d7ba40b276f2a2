"""kafka-python against the broker: records, groups, offsets, admin calls, errors."""

import uuid

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, OffsetAndMetadata, TopicPartition, errors
from kafka.admin import AlterConfigOp, ConfigResource, MemberToRemove, OffsetSpec, OffsetTimestamp

import members
import tools
from samples import CODECS, MEGABYTE, START, incompressible, samples


@pytest.fixture(scope="module")
def admin(bootstrap):
    client = KafkaAdminClient(bootstrap_servers=bootstrap)
    yield client
    client.close()


@pytest.fixture
def topic(admin, name, request):
    """A topic of four partitions, or as the test's `topic` mark says."""
    mark = request.node.get_closest_marker("topic")
    topic = name("topic")
    tools.create_topic(admin, topic, **{"num_partitions": 4, **(mark.kwargs if mark else {})})
    yield topic
    admin.delete_topics([topic], raise_errors=False)


one_partition = pytest.mark.topic(num_partitions=1)


def producing(bootstrap, **options):
    return KafkaProducer(bootstrap_servers=bootstrap, **options)


def fill(bootstrap, topic, count, partition=0, **options):
    """Writes `count` records with one second between their timestamps; returns the metadata."""
    producer = producing(bootstrap, **options)
    futures = [
        producer.send(topic, b"%d" % number, partition=partition, timestamp_ms=START + number * 1000)
        for number in range(count)
    ]
    producer.flush()
    written = [future.get(30) for future in futures]
    producer.close()
    return written


def reading(bootstrap, *partitions, **options):
    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap, **{"auto_offset_reset": "earliest", "enable_auto_commit": False, **options}
    )
    consumer.assign(list(partitions))
    return consumer


def joining(bootstrap, topic, **options):
    """A consumer that joins a group. It looks at the metadata often: kafka-python leaves partitions
    out when a rebalance was faster than its first look."""
    return KafkaConsumer(topic, bootstrap_servers=bootstrap, metadata_max_age_ms=1000, **options)


def read(consumer, count):
    """Polls until `count` records are there."""
    records = []

    def enough():
        for batch in consumer.poll(timeout_ms=200).values():
            records.extend(batch)
        return len(records) >= count

    tools.wait_until(enough, f"{count} records")
    return records


# Records


@pytest.mark.parametrize("acks", [0, 1, "all"])
@pytest.mark.parametrize("codec", CODECS)
@one_partition
def test_records_come_back_as_they_went(bootstrap, topic, codec, acks):
    compression = None if codec == "none" else codec
    sent = samples(null_headers=False)
    idempotent = {"enable_idempotence": False} if acks != "all" else {}
    producer = producing(bootstrap, compression_type=compression, acks=acks, linger_ms=20, **idempotent)
    for sample in sent:
        producer.send(topic, sample.value, sample.key, sample.headers, 0, sample.timestamp)
    producer.flush()
    producer.close()
    consumer = reading(bootstrap, TopicPartition(topic, 0))
    records = read(consumer, len(sent))
    consumer.close()
    assert [record.offset for record in records] == list(range(len(sent)))
    for sample, record in zip(sent, records):
        seen = (record.key, record.value, list(record.headers), record.timestamp)
        assert seen == (sample.key, sample.value, sample.headers, sample.timestamp)
        assert record.timestamp_type == 0


@one_partition
@pytest.mark.parametrize("codec", CODECS)
def test_messages_of_one_megabyte(bootstrap, topic, codec):
    compression = None if codec == "none" else codec
    producer = producing(bootstrap, compression_type=compression, max_request_size=4 << 20)
    values = [incompressible(MEGABYTE), b"x" * MEGABYTE, b""]
    for value in values:
        producer.send(topic, value, key=b"key").get(30)
    producer.close()
    consumer = reading(bootstrap, TopicPartition(topic, 0), max_partition_fetch_bytes=4096)
    assert [record.value for record in read(consumer, len(values))] == values
    consumer.close()


@one_partition
def test_a_header_without_a_value_is_read(bootstrap, topic):
    """kafka-python cannot send one, so confluent-kafka does."""
    from confluent_kafka import Producer

    headers = [("null", None), ("empty", b""), ("null", b"not this one")]
    writer = Producer({"bootstrap.servers": bootstrap})
    writer.produce(topic, b"value", headers=headers)
    assert writer.flush(30) == 0
    consumer = reading(bootstrap, TopicPartition(topic, 0))
    (record,) = read(consumer, 1)
    consumer.close()
    assert list(record.headers) == headers


@one_partition
def test_idempotent_batches_keep_order_and_count(bootstrap, topic):
    producer = producing(bootstrap, enable_idempotence=True, batch_size=4096, linger_ms=5)
    futures = [producer.send(topic, b"%06d" % number) for number in range(5000)]
    producer.flush()
    assert [future.get(30).offset for future in futures] == list(range(5000))
    producer.close()
    consumer = reading(bootstrap, TopicPartition(topic, 0))
    records = read(consumer, 5000)
    assert [record.value for record in records] == [b"%06d" % number for number in range(5000)]
    consumer.close()


@one_partition
def test_log_append_time_is_the_brokers(admin, bootstrap, topic):
    admin.alter_configs([ConfigResource("topic", topic, {"message.timestamp.type": "LogAppendTime"})])
    metadata = tools.wait_until(
        lambda: (written := fill(bootstrap, topic, 1)[0]).timestamp != START and written,
        "the changed timestamp type",
    )
    consumer = reading(bootstrap, TopicPartition(topic, 0))
    consumer.seek(TopicPartition(topic, 0), metadata.offset)
    record = read(consumer, 1)[0]
    assert (record.timestamp, record.timestamp_type) == (metadata.timestamp, 1)
    consumer.close()


def test_keys_choose_the_same_partition(bootstrap, topic):
    producer = producing(bootstrap)
    written = [producer.send(topic, b"v", key=b"user-%d" % (number % 7)).get(30) for number in range(28)]
    producer.close()
    by_key = {}
    for number, metadata in enumerate(written):
        by_key.setdefault(number % 7, set()).add(metadata.partition)
    assert all(len(partitions) == 1 for partitions in by_key.values())


def test_first_produce_creates_the_topic(admin, bootstrap, name):
    topic = name("auto")
    producer = producing(bootstrap)
    metadata = producer.send(topic, b"first").get(30)
    producer.close()
    assert (metadata.topic, metadata.offset) == (topic, 0)
    assert topic in admin.list_topics()
    admin.delete_topics([topic])


def test_describing_an_unknown_topic_does_not_create_it(admin, name):
    topic = name("unknown")
    described = admin.describe_topics([topic])
    assert [(entry["name"], entry["error_code"]) for entry in described] == [(topic, 3)]
    assert topic not in admin.list_topics()


# Positions


@one_partition
def test_seek_by_time_beginning_and_end(bootstrap, topic):
    fill(bootstrap, topic, 10)
    partition = TopicPartition(topic, 0)
    consumer = reading(bootstrap, partition)
    found = consumer.offsets_for_times({partition: START + 3500})
    assert (found[partition].offset, found[partition].timestamp) == (4, START + 4000)
    assert consumer.offsets_for_times({partition: START + 3000})[partition].offset == 3
    assert consumer.offsets_for_times({partition: START - 1})[partition].offset == 0
    assert consumer.offsets_for_times({partition: START + 9001})[partition] is None
    assert consumer.beginning_offsets([partition]) == {partition: 0}
    assert consumer.end_offsets([partition]) == {partition: 10}
    consumer.seek_to_end(partition)
    assert consumer.position(partition) == 10
    consumer.seek_to_beginning(partition)
    assert consumer.position(partition) == 0
    consumer.seek(partition, found[partition].offset)
    assert [record.value for record in read(consumer, 6)] == [b"%d" % number for number in range(4, 10)]
    consumer.close()


@one_partition
def test_seek_by_time_inside_a_compressed_batch(bootstrap, topic):
    fill(bootstrap, topic, 50, compression_type="zstd", linger_ms=100, batch_size=1 << 20)
    partition = TopicPartition(topic, 0)
    consumer = reading(bootstrap, partition)
    assert consumer.offsets_for_times({partition: START + 31_001})[partition].offset == 32
    consumer.seek(partition, 32)
    assert read(consumer, 1)[0].offset == 32
    consumer.close()


@one_partition
def test_out_of_range_position_follows_the_reset_policy(bootstrap, topic):
    fill(bootstrap, topic, 3)
    partition = TopicPartition(topic, 0)
    consumer = reading(bootstrap, partition)
    consumer.seek(partition, 1000)
    assert [record.offset for record in read(consumer, 3)] == [0, 1, 2]
    consumer.close()
    strict = reading(bootstrap, partition, auto_offset_reset="none")
    strict.seek(partition, 1000)
    with pytest.raises(errors.OffsetOutOfRangeError):
        read(strict, 1)
    strict.close()


@one_partition
def test_list_partition_offsets(admin, bootstrap, topic):
    fill(bootstrap, topic, 10)
    partition = TopicPartition(topic, 0)

    def offset(spec):
        return admin.list_partition_offsets({partition: spec})[partition].offset

    assert offset(OffsetSpec.EARLIEST) == 0
    assert offset(OffsetSpec.LATEST) == 10
    assert offset(OffsetSpec.MAX_TIMESTAMP) == 9
    assert offset(OffsetTimestamp(START + 1500)) == 2


# Groups


@pytest.fixture
def group_of(bootstrap, topic, name):
    """A function from an assignor to what starts a member of a new group, and what writes to its topic."""
    group, producer = name("group"), producing(bootstrap)

    def make(strategy):
        def start(**options):
            return members.Member(members.python_member("kafka-python", group, topic, strategy, **options))

        return start, lambda value, partition: producer.send(topic, value.encode(), partition=partition).get(30)

    yield make
    producer.close()


@pytest.mark.parametrize("strategy", ["range", "roundrobin", "sticky"])
def test_members_come_go_and_are_killed(group_of, strategy):
    members.rebalance_story(*group_of(strategy))


def test_static_member_keeps_its_partitions(group_of):
    members.static_story(group_of("range")[0])


@one_partition
def test_commit_and_resume(admin, bootstrap, topic, name):
    fill(bootstrap, topic, 10)
    group, partition = name("group"), TopicPartition(topic, 0)
    options = dict(group_id=group, enable_auto_commit=False, auto_offset_reset="earliest")
    first = joining(bootstrap, topic, max_poll_records=4, **options)
    assert [record.offset for record in read(first, 4)][:4] == [0, 1, 2, 3]
    first.commit({partition: OffsetAndMetadata(4, "half way, ünicode", -1)})
    assert first.committed(partition, metadata=True).metadata == "half way, ünicode"
    first.close()
    second = joining(bootstrap, topic, **options)
    assert [record.offset for record in read(second, 6)] == [4, 5, 6, 7, 8, 9]
    second.commit()
    second.close()
    assert admin.list_group_offsets({group: None})[group][partition].offset == 10


@one_partition
def test_auto_commit_at_close(bootstrap, topic, name):
    fill(bootstrap, topic, 5)
    group = name("group")
    first = joining(bootstrap, topic, group_id=group, auto_offset_reset="earliest", enable_auto_commit=True)
    read(first, 5)
    first.close()
    second = KafkaConsumer(group_id=group, bootstrap_servers=bootstrap)
    assert second.committed(TopicPartition(topic, 0)) == 5
    second.close()


def test_describe_list_and_delete_groups(admin, bootstrap, topic, name):
    group = name("group")
    consumer = joining(bootstrap, topic, group_id=group, client_id="watched")
    tools.wait_until(lambda: consumer.poll(timeout_ms=100) or consumer.assignment(), "an assignment")
    described = admin.describe_groups([group])[group]
    assert described["group_state"] == "Stable"
    assert described["protocol_type"] == "consumer"
    (member,) = described["members"]
    assert member["client_id"] == "watched"
    assert member["client_host"] == "/127.0.0.1"
    listed = {entry["group_id"]: entry for entry in admin.list_groups()}
    assert (listed[group]["protocol_type"], listed[group]["group_state"]) == ("consumer", "Stable")
    assert admin.delete_groups([group])[group] != "OK"
    consumer.commit()
    consumer.close()
    assert group in {entry["group_id"] for entry in admin.list_groups(states_filter=["Empty"])}
    assert admin.delete_groups([group])[group] == "OK"
    assert group not in {entry["group_id"] for entry in admin.list_groups()}


def test_alter_reset_and_delete_group_offsets(admin, bootstrap, topic, name):
    fill(bootstrap, topic, 10)
    group, partition = name("group"), TopicPartition(topic, 0)
    assert admin.alter_group_offsets(group, {partition: OffsetAndMetadata(7, "", -1)}) == {partition: errors.NoError}
    assert admin.list_group_offsets({group: [partition]})[group][partition].offset == 7
    answer = admin.reset_group_offsets(group, {partition: OffsetSpec.EARLIEST})[partition]
    assert (answer["error"], answer["offset"]) == (errors.NoError, 0)
    assert admin.delete_group_offsets(group, [partition]) == {partition: errors.NoError}
    assert admin.list_group_offsets({group: None})[group] == {}


def test_remove_a_static_member(admin, bootstrap, topic, name):
    group = name("group")
    consumer = joining(bootstrap, topic, group_id=group, group_instance_id="fixed")
    tools.wait_until(lambda: consumer.poll(timeout_ms=100) or consumer.assignment(), "an assignment")
    (outcome,) = admin.remove_group_members(group, [MemberToRemove(group_instance_id="fixed")]).values()
    assert outcome is errors.NoError
    tools.wait_until(lambda: not admin.describe_groups([group])[group]["members"], "the member to be gone")
    consumer.close(autocommit=False)


# Admin


def test_create_describe_and_delete_topics(admin, name):
    topic = name("made")
    created = admin.create_topics({topic: {"num_partitions": 3, "configs": {"retention.ms": "60000"}}})
    (entry,) = created["topics"]
    assert (entry["error_code"], entry["num_partitions"], entry["replication_factor"]) == (0, 3, 1)
    assert entry["configs"]["retention.ms"]["value"] == "60000"
    admin.wait_for_topics([topic])
    (described,) = admin.describe_topics([topic])
    assert sorted(partition["partition_index"] for partition in described["partitions"]) == [0, 1, 2]
    assert described["topic_id"] == entry["topic_id"]
    admin.delete_topics([topic])
    tools.wait_until(lambda: topic not in admin.list_topics(), "the topic to be gone")


def test_delete_a_topic_by_its_id(admin, topic):
    (described,) = admin.describe_topics([topic])
    admin.delete_topics([uuid.UUID(described["topic_id"])])
    tools.wait_until(lambda: topic not in admin.list_topics(), "the topic to be gone")


def test_create_partitions(admin, topic):
    admin.create_partitions({topic: 6})
    tools.wait_until(lambda: len(admin.describe_topics([topic])[0]["partitions"]) == 6, "six partitions")
    with pytest.raises(errors.InvalidPartitionsError):
        admin.create_partitions({topic: 6})


def test_describe_and_alter_configs(admin, topic):
    def value(key):
        answer = admin.describe_configs([ConfigResource("topic", topic)], config_filter="all")
        return answer["topic"][topic][key]["value"]

    assert value("retention.ms") == "604800000"
    for changes, expected in [
        ({"retention.ms": "1000", "cleanup.policy": "compact"}, ("1000", "compact")),
        ({"cleanup.policy": (AlterConfigOp.APPEND, "delete")}, ("1000", "compact,delete")),
        ({"cleanup.policy": (AlterConfigOp.SUBTRACT, "compact")}, ("1000", "delete")),
        ({"retention.ms": (AlterConfigOp.DELETE, None)}, ("604800000", "delete")),
    ]:
        admin.alter_configs([ConfigResource("topic", topic, changes)])
        tools.wait_until(lambda: (value("retention.ms"), value("cleanup.policy")) == expected, f"{expected}")


def test_alter_configs_without_increments_resets_the_rest(admin, topic):
    def modified():
        answer = admin.describe_configs([ConfigResource("topic", topic)], config_filter="modified")
        return {key: entry["value"] for key, entry in answer["topic"][topic].items()}

    admin.alter_configs([ConfigResource("topic", topic, {"retention.ms": "1000"})])
    tools.wait_until(lambda: modified() == {"retention.ms": "1000"}, "the first change")
    admin.reset_configs([ConfigResource("topic", topic, {})], incremental=False)
    tools.wait_until(lambda: modified() == {}, "the reset")


def test_describe_cluster_and_log_dirs(admin, bootstrap, topic):
    cluster = admin.describe_cluster()
    (broker,) = cluster["brokers"]
    assert f"{broker['host']}:{broker['port']}" == bootstrap
    assert cluster["controller_id"] == broker["broker_id"]
    fill(bootstrap, topic, 3)
    assert topic in str(admin.describe_log_dirs())


@one_partition
def test_delete_records(admin, bootstrap, topic):
    fill(bootstrap, topic, 10)
    partition = TopicPartition(topic, 0)
    assert admin.delete_records({partition: 6})[partition]["low_watermark"] == 6
    consumer = reading(bootstrap, partition)
    assert consumer.beginning_offsets([partition]) == {partition: 6}
    assert [record.offset for record in read(consumer, 4)] == [6, 7, 8, 9]
    consumer.close()
    with pytest.raises(errors.BrokerResponseError, match="OffsetOutOfRange"):
        admin.delete_records({partition: 11})
    assert admin.delete_records({partition: -1})[partition]["low_watermark"] == 10


# Errors


@pytest.mark.parametrize(
    ("topic_name", "options", "expected"),
    [
        ("has space", {}, errors.InvalidTopicError),
        (".", {}, errors.InvalidTopicError),
        ("..", {}, errors.InvalidTopicError),
        ("x" * 250, {}, errors.InvalidTopicError),
        ("", {}, errors.InvalidTopicError),
        ("bad-partitions", {"num_partitions": 0}, errors.InvalidPartitionsError),
        ("bad-replicas", {"replication_factor": 2}, errors.InvalidReplicationFactorError),
        ("bad-config", {"configs": {"retention.ms": "soon"}}, errors.InvalidConfigurationError),
        ("no-such-config", {"configs": {"no.such": "1"}}, errors.InvalidConfigurationError),
    ],
)
def test_refused_topics(admin, topic_name, options, expected):
    with pytest.raises(expected):
        admin.create_topics({topic_name: {"num_partitions": 1, "replication_factor": 1, **options}})


def test_a_topic_is_made_once_and_deleted_once(admin, name):
    topic = name("twice")
    admin.create_topics({topic: {"num_partitions": 1}})
    with pytest.raises(errors.TopicAlreadyExistsError):
        admin.create_topics({topic: {"num_partitions": 1}})
    admin.delete_topics([topic])
    with pytest.raises(errors.UnknownTopicOrPartitionError):
        admin.delete_topics([topic])


@pytest.mark.topic(num_partitions=1, configs={"max.message.bytes": "1000"})
def test_a_message_over_the_topics_limit(bootstrap, topic):
    # An idempotent kafka-python producer gives up for good after a refusal.
    producer = producing(bootstrap, enable_idempotence=False)
    with pytest.raises(errors.MessageSizeTooLargeError):
        producer.send(topic, incompressible(2000)).get(30)
    assert producer.send(topic, b"small").get(30).offset == 0
    producer.close()


@pytest.mark.topic(num_partitions=1, configs={"cleanup.policy": "compact"})
def test_a_compacted_topic_wants_keys(bootstrap, topic):
    producer = producing(bootstrap, enable_idempotence=False)
    with pytest.raises(errors.InvalidRecordError):
        producer.send(topic, b"no key").get(30)
    assert producer.send(topic, b"value", key=b"key").get(30).offset == 0
    producer.close()


@one_partition
def test_a_timestamp_too_far_ahead(bootstrap, topic):
    producer = producing(bootstrap)
    with pytest.raises(errors.InvalidTimestampError):
        producer.send(topic, b"tomorrow", timestamp_ms=START * 2).get(30)
    producer.close()


def test_session_timeout_out_of_bounds(bootstrap, topic, name):
    consumer = joining(
        bootstrap, topic, group_id=name("group"), session_timeout_ms=5000, heartbeat_interval_ms=1000
    )
    with pytest.raises(errors.InvalidSessionTimeoutError):
        tools.wait_until(lambda: consumer.poll(timeout_ms=200), "the refusal")
    consumer.close()
