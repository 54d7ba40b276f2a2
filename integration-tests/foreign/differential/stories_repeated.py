"""What is named twice in one request: topics, partitions, groups, resources."""

from stories import ZERO, story, table
from stories_configs import BROKER, TOPIC
from stories_groups import committed, coordinator, looked_up
from wire import batch

# The partitions in each mention of the one topic of a request.
MENTIONS = {"topic": [[0], [1, 0]], "partition": [[0, 1, 0]], "topic and partition": [[0, 0], [1, 0]]}


def mentioned(topic, mentions, of_partition, key="partitions"):
    """A request's list of topics; `of_partition` makes an entry of an index and of its place."""
    place = iter(range(1, 100))
    return [{"name": topic, key: [of_partition(index, next(place)) for index in indexes]} for indexes in mentions]


@table("twice, offset commit", MENTIONS)
def offset_commit(broker, names, mentions):
    group, topic = names("group"), names("topic")
    broker.topic(topic, 2)
    committing = lambda index, place: {  # noqa: E731
        "partition_index": index, "committed_offset": place, "committed_leader_epoch": -1, "committed_metadata": "",
    }  # fmt: skip
    answer = broker.call(
        "OffsetCommit", 8, group_id=group, generation_id_or_member_epoch=-1, member_id="", group_instance_id=None,
        topics=mentioned(topic, mentions, committing),
    )  # fmt: skip
    return answer, looked_up(broker, group, [(topic, [0, 1])])


@table(
    "twice, offset fetch",
    {f"{what}, version {version}": (version, mentions) for version in (5, 8) for what, mentions in MENTIONS.items()},
)
def offset_fetch(broker, names, case):
    version, mentions = case
    group, topic = names("group"), names("topic")
    broker.topic(topic, 2)
    committed(broker, group, topic, 5)
    return looked_up(broker, group, [(topic, indexes) for indexes in mentions], version)


@table(
    "twice, offset fetch of a group",
    {"the same topics": ([0], [0]), "other partitions": ([0], [1]), "some, then all": ([0], None), "all twice": (None, None)},
)
def offset_fetch_group(broker, names, case):
    group, topic = names("group"), names("topic")
    broker.topic(topic, 2)
    committed(broker, group, topic, 5)
    asked = [
        {"group_id": group, "topics": indexes and [{"name": topic, "partition_indexes": indexes}]} for indexes in case
    ]
    return broker.call("OffsetFetch", 8, groups=asked, require_stable=False)


@table("twice, offset delete", MENTIONS)
def offset_delete(broker, names, mentions):
    group, topic = names("group"), names("topic")
    broker.topic(topic, 2)
    for partition in (0, 1):
        committed(broker, group, topic, 5, partition=partition)
    topics = mentioned(topic, mentions, lambda index, _: {"partition_index": index})
    answer = broker.call("OffsetDelete", 0, group_id=group, topics=topics)
    return answer, looked_up(broker, group, None)


@table("twice, delete records", {**MENTIONS, "the larger offset first": [[0], [1], [0]]})
def delete_records(broker, names, mentions):
    topic = names("topic")
    broker.topic(topic, 2)
    for partition in (0, 1):
        broker.produce(topic, batch([b"%d" % number for number in range(5)]), partition=partition)
    larger_first = len(mentions) == 3
    deleting = lambda index, place: {"partition_index": index, "offset": 5 - place if larger_first else place}  # noqa: E731
    topics = mentioned(topic, mentions, deleting)
    answer = broker.call("DeleteRecords", 2, topics=topics, timeout_ms=30_000)
    for entry in answer["topics"]:
        entry["partitions"].sort(key=lambda partition: partition["partition_index"])
    return answer


@table(
    "twice, describe configs",
    {
        "topic": [["retention.ms"], ["retention.ms"]],
        "topic, other keys": [["retention.ms"], ["cleanup.policy"]],
        "topic, all then some": [None, ["retention.ms"]],
    },
)
def describe_configs(broker, names, lists):
    topic = names("topic")
    broker.topic(topic)
    return described(broker, *((TOPIC, topic, keys) for keys in lists))


@story("twice, describe configs: broker")
def describe_broker_configs(broker, names):
    return described(broker, *((BROKER, str(broker.node), ["num.partitions"]) for _ in range(2)))


@story("twice, describe configs: unknown topic")
def describe_unknown_configs(broker, names):
    return described(broker, *((TOPIC, "no-such-topic", None) for _ in range(2)))


def described(broker, *resources):
    """The answer with the names of the configs only, in order: their values are told elsewhere."""
    asked = [{"resource_type": kind, "resource_name": name, "configuration_keys": keys} for kind, name, keys in resources]
    answer = broker.call("DescribeConfigs", 4, resources=asked)
    for result in answer["results"]:
        result["configs"] = sorted(entry["name"] for entry in result["configs"])
        if result["resource_type"] == BROKER:
            result["resource_name"] = result["resource_name"].replace(str(broker.node), "NODE")
    return answer


@table("twice, describe groups, version", {"5": 5, "6": 6})
def describe_groups(broker, names, version):
    stable, unknown = names("stable"), names("unknown")
    broker.stable(stable)
    groups = [stable, unknown, stable, unknown]
    answer = broker.call("DescribeGroups", version, groups=groups, include_authorized_operations=False)
    # Kafka answers by coordinator, in no fixed order.
    answer["groups"].sort(key=lambda group: group["group_id"])
    return answer


@story("twice, find coordinator")
def find_coordinator(broker, names):
    one, two = names("a"), names("b")
    return coordinator(broker, 4, key_type=0, coordinator_keys=[one, two, one, one])


@story("twice, metadata")
def metadata(broker, names):
    known, unknown = names("known"), names("unknown")
    topic = broker.topic(known)
    by_name = [{"name": name, "topic_id": ZERO} for name in (known, unknown, known, unknown)]
    by_id = [{"name": None, "topic_id": topic} for _ in range(2)]
    answers = [broker.call("Metadata", 12, topics=asked, allow_auto_topic_creation=False) for asked in (by_name, by_id)]
    return [sorted(answer["topics"], key=lambda entry: entry["name"]) for answer in answers]


@story("twice, describe topic partitions")
def describe_topic_partitions(broker, names):
    known, unknown = names("known"), names("unknown")
    broker.topic(known)
    asked = [{"name": name} for name in (known, unknown, known, unknown)]
    return broker.call("DescribeTopicPartitions", 0, topics=asked, response_partition_limit=100, cursor=None)


@table("twice, list offsets", MENTIONS)
def list_offsets(broker, names, mentions):
    topic = names("topic")
    broker.topic(topic, 2)
    asking = lambda index, place: {"partition_index": index, "timestamp": -1 - place % 2, "current_leader_epoch": -1}  # noqa: E731
    answer = broker.answer("ListOffsets", 4, replica_id=-1, isolation_level=0, topics=mentioned(topic, mentions, asking))
    for entry in answer["topics"]:
        entry["partitions"].sort(key=lambda partition: (partition["partition_index"], partition["error_code"]))
    return answer


@table("twice, fetch", MENTIONS)
def fetch(broker, names, mentions):
    topic = names("topic")
    broker.topic(topic, 2)
    broker.produce(topic, batch())
    wanting = lambda index, place: {  # noqa: E731
        "partition": index, "fetch_offset": place - 1, "partition_max_bytes": 1000, "current_leader_epoch": -1,
    }  # fmt: skip
    answer = broker.call(
        "Fetch", 11, max_wait_ms=0, min_bytes=1, max_bytes=10_000, session_id=0, session_epoch=-1,
        topics=[{"topic": one["name"], "partitions": one["partitions"]} for one in mentioned(topic, mentions, wanting)],
    )  # fmt: skip
    for entry in answer["responses"]:
        entry["partitions"].sort(key=lambda partition: (partition["partition_index"], partition["error_code"]))
    return sorted(answer["responses"], key=lambda entry: len(entry["partitions"]))


@table("twice, produce", MENTIONS)
def produce(broker, names, mentions):
    topic = names("topic")
    broker.topic(topic, 2)
    data = mentioned(topic, mentions, lambda index, place: {"index": index, "records": batch([b"%d" % place])}, "partition_data")
    answer = broker.call("Produce", 9, acks=-1, timeout_ms=30_000, topic_data=data)
    for entry in answer["responses"]:
        entry["partition_responses"].sort(key=lambda partition: (partition["index"], partition["base_offset"]))
    return answer, broker.fetch(topic, 0, partition=0), broker.fetch(topic, 0, partition=1)


@table("twice, delete groups", {"1": 1, "2": 2})
def delete_groups(broker, names, version):
    group, topic = names("group"), names("topic")
    broker.topic(topic)
    committed(broker, group, topic, 5)
    answer = broker.call("DeleteGroups", version, groups_names=[group, names("unknown"), group])
    return sorted(answer["results"], key=lambda entry: (entry["group_id"], entry["error_code"]))
