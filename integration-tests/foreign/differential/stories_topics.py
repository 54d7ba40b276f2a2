"""Creating, changing, describing and deleting topics."""

import tools
from stories import ZERO, only, story, table
from wire import CLOSED

ELSEWHERE = "11111111-2222-3333-4444-555555555555"


def created(broker, topics, version=7, **options):
    answer = broker.answer("CreateTopics", version, topics=topics, **{"timeout_ms": 30_000, **options})
    if answer is CLOSED:
        return answer
    # The configs of a new topic are compared by a story of their own.
    return [{key: value for key, value in entry.items() if key != "configs"} for entry in answer["topics"]]


def wanted(name, **options):
    return {"name": name, "num_partitions": 1, "replication_factor": 1, **options}


def assigned(*replicas):
    """Manual assignments: replica lists in the order of the partitions."""
    return [{"partition_index": index, "broker_ids": ids} for index, ids in enumerate(replicas)]


def manual(name, assignments):
    return {"name": name, "num_partitions": -1, "replication_factor": -1, "assignments": assignments}


@table(
    "create topic, name",
    {
        "empty": "",
        "one dot": ".",
        "two dots": "..",
        "three dots": "...",
        "space": "a b",
        "slash": "a/b",
        "umlaut": "ü",
        "star": "a*",
        "colon": "a:b",
        "250 characters": "x" * 250,
        "internal": "__consumer_offsets",
        "cluster metadata": "__cluster_metadata",
    },
)
def refused_names(broker, names, name):
    # Validation only: what is accepted must not stay.
    return created(broker, [wanted(name)], validate_only=True)


@story("create topic: the longest name")
def longest_name(broker, names):
    name = names("long").ljust(249, "x")
    return created(broker, [wanted(name)]), broker.produce(name, b"")["error_code"]


@table(
    "create topic, counts",
    {
        "replication factor 2": {"replication_factor": 2},
        "replication factor 0": {"replication_factor": 0},
        "replication factor -1": {"replication_factor": -1},
        "replication factor -2": {"replication_factor": -2},
        "replication factor 32767": {"replication_factor": 32767},
        "partitions 0": {"num_partitions": 0},
        "partitions -1": {"num_partitions": -1},
        "partitions -2": {"num_partitions": -2},
        "partitions 3": {"num_partitions": 3},
    },
)
def counts(broker, names, options):
    return created(broker, [wanted(names("topic"), **options)])


@table(
    "create topic, config",
    {
        "number expected": ("retention.ms", "soon"),
        "below the range": ("retention.ms", "-2"),
        "above the range": ("min.cleanable.dirty.ratio", "2"),
        "unknown name": ("no.such", "1"),
        "null value": ("retention.ms", None),
        "empty value": ("retention.ms", ""),
        "unknown policy": ("cleanup.policy", "shred"),
        "empty policy": ("cleanup.policy", ""),
        "both policies": ("cleanup.policy", "compact,delete"),
        "policy twice": ("cleanup.policy", "delete,delete"),
        "unknown codec": ("compression.type", "brotli"),
        "uncompressed": ("compression.type", "uncompressed"),
        "codec in capitals": ("compression.type", "GZIP"),
        "timestamp type": ("message.timestamp.type", "LogAppendTime"),
        "unknown timestamp type": ("message.timestamp.type", "Sundial"),
        "segment too small": ("segment.bytes", "100"),
        "segment at its least": ("segment.bytes", "1048576"),
        "int overflow": ("segment.bytes", "4294967296"),
        "boolean": ("preallocate", "yes"),
        "boolean in capitals": ("preallocate", "TRUE"),
        "spaces around": ("retention.ms", " 1000 "),
        "gzip level too high": ("compression.gzip.level", "10"),
        "gzip level default": ("compression.gzip.level", "-1"),
        "zstd level": ("compression.zstd.level", "22"),
        "throttled replicas": ("leader.replication.throttled.replicas", "*"),
        "bad throttled replicas": ("leader.replication.throttled.replicas", "all"),
        "flush every message": ("flush.messages", "1"),
        "flush never": ("flush.messages", "0"),
        "remote storage": ("remote.storage.enable", "true"),
        "removed name": ("message.format.version", "3.0"),
        "in-sync replicas 0": ("min.insync.replicas", "0"),
        "in-sync replicas 2": ("min.insync.replicas", "2"),
        "lag bounds crossed": ("max.compaction.lag.ms", "0"),
        "broker's name of it": ("log.retention.ms", "1"),
    },
)
def configs(broker, names, pair):
    config = [{"name": pair[0], "value": pair[1]}]
    return created(broker, [wanted(names("topic"), configs=config)])


@story("create topic: lags that contradict each other")
def crossed_lags(broker, names):
    pairs = [("min.compaction.lag.ms", "100"), ("max.compaction.lag.ms", "10")]
    return created(broker, [wanted(names("topic"), configs=[{"name": k, "value": v} for k, v in pairs])])


@story("create topic: a config twice")
def config_twice(broker, names):
    twice = [{"name": "retention.ms", "value": "1"}, {"name": "retention.ms", "value": "2"}]
    return created(broker, [wanted(names("topic"), configs=twice)])


@story("create topic: twice in one request")
def twice_in_a_request(broker, names):
    name = names("topic")
    return created(broker, [wanted(name), wanted(name), wanted(names("other"))])


@story("create topic: it exists")
def exists(broker, names):
    name = names("topic")
    return [created(broker, [wanted(name)], validate_only=only) for only in (False, False, True)]


@table("create topic, collision", {"dot then line": "._", "line then dot": "_.", "the same": "..", "both": "._."})
def collision(broker, names, marks):
    name = names("a")
    return [created(broker, [wanted(f"{name}{mark}b")]) for mark in marks]


@story("create topic: validation only")
def validation_only(broker, names):
    name = names("topic")
    answer = created(broker, [wanted(name)], validate_only=True)
    metadata = broker.call("Metadata", 9, topics=[{"name": name}], allow_auto_topic_creation=False)
    return answer, metadata["topics"]


@table(
    "create topic, assignment",
    {
        "one partition": lambda node: assigned([node]),
        "three partitions": lambda node: assigned([node], [node], [node]),
        "unknown broker": lambda node: assigned([node + 7]),
        "negative broker": lambda node: assigned([-3]),
        "a broker twice": lambda node: assigned([node, node]),
        "no broker": lambda node: assigned([]),
        "unequal factors": lambda node: assigned([node], []),
        "gap": lambda node: [{"partition_index": index, "broker_ids": [node]} for index in (0, 2)],
        "not from zero": lambda node: [{"partition_index": 1, "broker_ids": [node]}],
        "a partition twice": lambda node: [{"partition_index": 0, "broker_ids": [node]}] * 2,
        "negative partition": lambda node: [{"partition_index": -1, "broker_ids": [node]}],
    },
)
def assignment(broker, names, assignments):
    return created(broker, [manual(names("topic"), assignments(broker.node))])


@story("create topic: assignment and counts at once")
def assignment_and_counts(broker, names):
    both = {**wanted(names("topic")), "assignments": assigned([broker.node])}
    return created(broker, [both])


@table("create topic, version", {f"{version}": version for version in range(2, 8)})
def create_versions(broker, names, version):
    return created(broker, [wanted(names("topic")), wanted("."), wanted(names("two"), replication_factor=2)], version)


@story("create topic: the configs in the answer")
def configs_in_answer(broker, names):
    changed = [{"name": "retention.ms", "value": "1000"}]
    answer = broker.call("CreateTopics", 7, topics=[wanted(names("topic"), configs=changed)], timeout_ms=30_000)
    (topic,) = answer["topics"]
    return {entry.pop("name"): entry for entry in topic["configs"]}


# Deletion


def deleted(broker, version, **fields):
    answer = broker.answer("DeleteTopics", version, timeout_ms=30_000, **fields)
    return answer if answer is CLOSED else answer["responses"]


@table("delete topic, version", {f"{version}": version for version in range(1, 7)})
def delete_versions(broker, names, version):
    name = names("topic")
    broker.topic(name)
    known, unknown = (
        ({"topics": [{"name": one, "topic_id": ZERO}]} if version >= 6 else {"topic_names": [one]})
        for one in (name, names("unknown"))
    )
    return [deleted(broker, version, **fields) for fields in (known, known, unknown)]


@story("delete topic: by id")
def delete_by_id(broker, names):
    topic = broker.topic(names("topic"))
    fields = {"topics": [{"name": None, "topic_id": topic}]}
    return [deleted(broker, 6, **fields) for _ in range(2)]


@story("delete topic: by name and id at once")
def delete_by_both(broker, names):
    name = names("topic")
    topic = broker.topic(name)
    return deleted(broker, 6, topics=[{"name": name, "topic_id": topic}])


@story("delete topic: by neither")
def delete_by_neither(broker, names):
    return deleted(broker, 6, topics=[{"name": None, "topic_id": ZERO}])


@story("delete topic: twice in one request")
def delete_twice(broker, names):
    name = names("topic")
    broker.topic(name)
    answer = deleted(broker, 6, topics=[{"name": name, "topic_id": ZERO}] * 2)
    return sorted(answer, key=lambda entry: entry["error_code"])


# Partitions


@table(
    "create partitions",
    {
        "one more": {"count": 3},
        "as many": {"count": 2},
        "fewer": {"count": 1},
        "none": {"count": 0},
        "negative": {"count": -1},
        "too few assignments": {"count": 4, "assignments": 1},
        "enough assignments": {"count": 4, "assignments": 2},
        "too many assignments": {"count": 3, "assignments": 2},
        "validation only": {"count": 3, "validate_only": True},
    },
)
def create_partitions(broker, names, case):
    name = names("topic")
    broker.topic(name, 2)
    chosen = [{"broker_ids": [broker.node]}] * case["assignments"] if "assignments" in case else None
    fields = {"timeout_ms": 30_000, "validate_only": case.get("validate_only", False)}
    answer = broker.call(
        "CreatePartitions", 3, topics=[{"name": name, "count": case["count"], "assignments": chosen}], **fields
    )
    metadata = broker.call("Metadata", 9, topics=[{"name": name}], allow_auto_topic_creation=False)
    count = len(only(metadata["topics"])["partitions"])
    return answer["results"], count if case["count"] <= 2 or "validate_only" in case else "settles later"


@story("create partitions: unknown topic, topic twice")
def create_partitions_badly(broker, names):
    name = names("topic")
    broker.topic(name)
    wanted = [
        {"name": names("unknown"), "count": 3, "assignments": None},
        {"name": name, "count": 3, "assignments": None},
        {"name": name, "count": 4, "assignments": None},
    ]
    answer = broker.call("CreatePartitions", 2, topics=wanted, timeout_ms=30_000, validate_only=False)
    return sorted(answer["results"], key=lambda entry: (entry["name"], entry["error_code"]))


@story("create partitions: unknown broker")
def create_partitions_elsewhere(broker, names):
    name = names("topic")
    broker.topic(name)
    wanted = [{"name": name, "count": 2, "assignments": [{"broker_ids": [broker.node + 7]}]}]
    return broker.call("CreatePartitions", 3, topics=wanted, timeout_ms=30_000, validate_only=False)


# Metadata


@table("metadata, version", {f"{version}": version for version in range(13)})
def metadata(broker, names, version):
    known, unknown = names("known"), names("unknown")
    broker.topic(known, 2)
    fields = {"topics": [{"name": known}, {"name": unknown}, {"name": "a b"}]}
    if version < 4:
        # The oldest versions always create: nothing unknown may be asked for.
        fields = {"topics": [{"name": known}, {"name": "a b"}]}
    if version >= 4:
        fields["allow_auto_topic_creation"] = False
    answer = broker.call("Metadata", version, **fields)
    answer["topics"].sort(key=lambda topic: topic["name"])
    for topic in answer["topics"]:
        topic["partitions"].sort(key=lambda partition: partition["partition_index"])
    return answer


@story("metadata: no topics")
def metadata_of_nothing(broker, names):
    return [broker.call("Metadata", version, topics=[])["topics"] for version in (1, 9, 12)]


@story("metadata: all topics include a new one")
def metadata_of_all(broker, names):
    name = names("topic")
    broker.topic(name)
    lists = [broker.call("Metadata", 0, topics=[])["topics"], broker.call("Metadata", 12, topics=None)["topics"]]
    return [[topic for topic in topics if topic["name"] == name] for topics in lists]


@story("metadata: by id")
def metadata_by_id(broker, names):
    topic = broker.topic(names("topic"))
    asked = [{"name": None, "topic_id": one} for one in (topic, ELSEWHERE)]
    topics = broker.call("Metadata", 12, topics=asked, allow_auto_topic_creation=False)["topics"]
    return sorted(topics, key=lambda one: one["error_code"])


@story("metadata: auto-creation answers at once or asks to come back")
def metadata_creates(broker, names):
    name = names("auto")
    (first,) = broker.call("Metadata", 9, topics=[{"name": name}], allow_auto_topic_creation=True)["topics"]
    return first["error_code"] in (0, 3, 5)


@story("metadata: auto-creation does not take a bad name")
def metadata_creates_no_bad_name(broker, names):
    return broker.call("Metadata", 9, topics=[{"name": "a b"}], allow_auto_topic_creation=True)["topics"]


# Records away


@table("delete records", {"to 3": 3, "to the end": -1, "beyond the end": 6, "special": -2, "to 0": 0})
def delete_records(broker, names, offset):
    from wire import batch

    name = names("topic")
    broker.topic(name)
    broker.produce(name, batch([b"%d" % number for number in range(5)]))
    partition = {"partition_index": 0, "offset": offset}
    fields = {"topics": [{"name": name, "partitions": [partition]}], "timeout_ms": 30_000}
    answer = broker.call("DeleteRecords", 2, **fields)
    found = broker.call(
        "ListOffsets", 4, replica_id=-1, isolation_level=0,
        topics=[{"name": name, "partitions": [{"partition_index": 0, "timestamp": -2, "current_leader_epoch": -1}]}],
    )
    fetched = [broker.fetch(name, start)["responses"] for start in (0, 3)]
    return answer, found, fetched


@story("delete records: unknown topic and partition")
def delete_records_nowhere(broker, names):
    name = names("topic")
    broker.topic(name)
    places = [(name, 7), (names("unknown"), 0)]
    return [
        broker.call(
            "DeleteRecords", version, timeout_ms=30_000,
            topics=[{"name": topic, "partitions": [{"partition_index": partition, "offset": 0}]}],
        )
        for topic, partition in places
        for version in (0, 2)
    ]


# The cluster


@table("describe cluster", {"0": (0, {}), "1": (1, {}), "1, unknown kind": (1, {"endpoint_type": 3}), "2": (2, {})})
def describe_cluster(broker, names, case):
    version, fields = case
    return broker.call("DescribeCluster", version, **fields)


@story("describe topic partitions: known, unknown, bad name")
def describe_topic_partitions(broker, names):
    one, two = names("a"), names("b")
    broker.topic(one, 2)
    broker.topic(two)
    asked = [{"name": name} for name in (two, one, names("unknown"), "a b")]
    return broker.call("DescribeTopicPartitions", 0, topics=asked, response_partition_limit=100, cursor=None)


@story("describe topic partitions: page by page")
def describe_topic_partitions_paged(broker, names):
    name = names("topic")
    broker.topic(name, 5)
    pages, cursor = [], None
    for _ in range(4):
        page = broker.call(
            "DescribeTopicPartitions", 0, topics=[{"name": name}], response_partition_limit=2, cursor=cursor
        )
        pages.append(page)
        cursor = page["next_cursor"]
        if cursor is None:
            break
    return pages


@table("describe log dirs, version", {f"{version}": version for version in range(1, 5)})
def describe_log_dirs(broker, names, version):
    name = names("topic")
    broker.topic(name, 2)
    asked = [{"topic": name, "partitions": [0, 1]}, {"topic": names("unknown"), "partitions": [0]}]
    answer = broker.call("DescribeLogDirs", version, topics=asked)
    for directory in answer["results"]:
        for topic in directory["topics"]:
            topic["partitions"].sort(key=lambda partition: partition["partition_index"])
    return answer


# The topic of the groups. The last stories of all: what they delete is what other stories stand on.


@table("offsets topic, create partitions", {"validated": True, "done": False})
def widen_offsets(broker, names, validate_only):
    wanted = [{"name": "__consumer_offsets", "count": 6, "assignments": None}]
    return broker.call("CreatePartitions", 3, topics=wanted, timeout_ms=30_000, validate_only=validate_only)


@story("offsets topic: deleted, the groups are gone and new ones come")
def delete_offsets_topic(broker, names):
    from stories_groups import committed, coordinator, looked_up

    group, topic = names("group"), names("topic")
    broker.topic(topic)
    committed(broker, group, topic, 5)

    def found():
        return only(only(only(looked_up(broker, group, [(topic, [0])])["groups"])["topics"])["partitions"])

    before = found()
    answer = deleted(broker, 6, topics=[{"name": "__consumer_offsets", "topic_id": ZERO}])

    def replaced():
        # Who looks for the coordinator has its topic made again.
        coordinator(broker, 4, key_type=0, coordinator_keys=[group])
        found = only(looked_up(broker, group, [(topic, [0])])["groups"])
        return found["error_code"] == 0 and only(only(found["topics"])["partitions"])["committed_offset"] == -1

    tools.wait_until(replaced, "a new topic of the groups")
    after = found()
    return before, answer, after, committed(broker, group, topic, 6), found(), broker.stable(names("group"))[1]
