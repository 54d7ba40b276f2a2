"""Describing and altering configs."""

import tools
from stories import only, story, table

TOPIC, BROKER, LOGGER, METRICS, GROUP = 2, 4, 8, 16, 32


def described(broker, kind, name, keys=None, version=4, **options):
    """The answer with the entries as a dict by name, so that a difference names the config."""
    resource = {"resource_type": kind, "resource_name": name, "configuration_keys": keys}
    result = only(broker.call("DescribeConfigs", version, resources=[resource], **options)["results"])
    names = [entry["name"] for entry in result["configs"]]
    assert len(names) == len(set(names)), "a config comes twice"
    result["configs"] = {entry.pop("name"): entry for entry in result["configs"]}
    return result


@story("describe configs: everything of a new topic, with synonyms and documentation")
def whole_topic(broker, names):
    name = names("topic")
    broker.topic(name)
    return described(broker, TOPIC, name, include_synonyms=True, include_documentation=True)


@story("describe configs: everything of a changed topic")
def changed_topic(broker, names):
    name = names("topic")
    broker.topic(name, retention_ms="1000", cleanup_policy="compact,delete", compression_type="zstd")
    return described(broker, TOPIC, name, include_synonyms=True)


@table("describe configs, version", {f"{version}": version for version in range(1, 5)})
def versions(broker, names, version):
    name = names("topic")
    broker.topic(name, retention_ms="1000")
    return described(broker, TOPIC, name, ["retention.ms", "segment.bytes"], version, include_synonyms=True)


@table(
    "describe configs, keys",
    {"none": [], "one": ["retention.ms"], "unknown": ["no.such"], "twice": ["retention.ms", "retention.ms"]},
)
def keys(broker, names, keys):
    name = names("topic")
    broker.topic(name)
    return described(broker, TOPIC, name, keys)


@table(
    "describe configs, resource",
    {
        "unknown topic": (TOPIC, "no-such-topic"),
        "bad topic name": (TOPIC, "a b"),
        "empty topic name": (TOPIC, ""),
        "unknown broker": (BROKER, "99"),
        "broker that is no number": (BROKER, "first"),
        "unknown kind": (0, "x"),
        "kind that never was": (3, "x"),
        "unknown group": (GROUP, "no-such-group"),
    },
)
def resources(broker, names, resource):
    result = described(broker, *resource)
    result["configs"] = sorted(result["configs"])
    return result


@story("describe configs: the cluster-wide defaults")
def cluster_defaults(broker, names):
    return described(broker, BROKER, "")


# What an operator reads most, of a broker as it was started. Listeners and folders are its own.
OF_A_BROKER = [
    "auto.create.topics.enable",
    "compression.type",
    "connections.max.idle.ms",
    "delete.topic.enable",
    "group.initial.rebalance.delay.ms",
    "group.max.session.timeout.ms",
    "group.max.size",
    "group.min.session.timeout.ms",
    "log.cleanup.policy",
    "log.flush.interval.messages",
    "log.index.interval.bytes",
    "log.message.timestamp.type",
    "log.retention.bytes",
    "log.retention.check.interval.ms",
    "log.retention.hours",
    "log.retention.ms",
    "log.roll.hours",
    "log.segment.bytes",
    "log.segment.delete.delay.ms",
    "max.connections",
    "max.connections.per.ip",
    "message.max.bytes",
    "min.insync.replicas",
    "num.partitions",
    "offset.metadata.max.bytes",
    "offsets.retention.minutes",
    "offsets.topic.num.partitions",
    "producer.id.expiration.ms",
    "socket.request.max.bytes",
]


@table("describe configs, broker", {name: name for name in OF_A_BROKER})
def of_a_broker(broker, names, name):
    result = described(broker, BROKER, str(broker.node), [name], include_synonyms=True)
    return result["configs"]


@table("list config resources", {"all": (1, []), "topics": (1, [TOPIC]), "unknown kind": (1, [3]), "oldest": (0, None)})
def list_config_resources(broker, names, case):
    version, kinds = case
    name = names("topic")
    broker.topic(name)
    answer = broker.call("ListConfigResources", version, **({} if kinds is None else {"resource_types": kinds}))
    answer["config_resources"] = [one for one in answer["config_resources"] if one["resource_name"] == name]
    return answer


# Changing them

SET, DELETE, APPEND, SUBTRACT = 0, 1, 2, 3


def increment(broker, kind, name, *changes, validate_only=False):
    configs = [{"name": key, "config_operation": how, "value": value} for key, how, value in changes]
    resource = {"resource_type": kind, "resource_name": name, "configs": configs}
    answer = broker.call("IncrementalAlterConfigs", 1, resources=[resource], validate_only=validate_only)
    return only(answer["responses"])


@table(
    "incremental alter",
    {
        "set": [("retention.ms", SET, "1000")],
        "set to what it is": [("retention.ms", SET, "604800000")],
        "set null": [("retention.ms", SET, None)],
        "set nonsense": [("retention.ms", SET, "soon")],
        "unknown name": [("no.such", SET, "1")],
        "delete what is not set": [("retention.ms", DELETE, None)],
        "delete an unknown name": [("no.such", DELETE, None)],
        "append": [("cleanup.policy", APPEND, "compact")],
        "append what is there": [("cleanup.policy", APPEND, "delete")],
        "append nonsense": [("cleanup.policy", APPEND, "shred")],
        "append to a number": [("retention.ms", APPEND, "1")],
        "subtract all": [("cleanup.policy", SUBTRACT, "delete")],
        "subtract what is not there": [("cleanup.policy", SUBTRACT, "compact")],
        "subtract from a number": [("retention.ms", SUBTRACT, "1")],
        "the same name twice": [("retention.ms", SET, "1"), ("retention.ms", SET, "2")],
        "two names": [("retention.ms", SET, "1"), ("segment.bytes", SET, "2000000")],
        "one good, one bad": [("retention.ms", SET, "1"), ("segment.bytes", SET, "x")],
        "unknown operation": [("retention.ms", 9, "1")],
        "nothing": [],
    },
)
def incremental(broker, names, changes):
    name = names("topic")
    broker.topic(name)
    answer = increment(broker, TOPIC, name, *changes)
    # A change is there when the answer is: Apache Kafka replays it within milliseconds, so wait.
    return answer, settled(broker, name, answer, changes)


def settled(broker, name, answer, changes):
    keys = ["retention.ms", "segment.bytes", "cleanup.policy"]

    def now():
        return {key: (entry["value"], entry["config_source"]) for key, entry in described(broker, TOPIC, name, keys)["configs"].items()}

    before = {"retention.ms": ("604800000", 5), "segment.bytes": ("1073741824", 5), "cleanup.policy": ("delete", 5)}
    if answer["error_code"] == 0 and any(how != DELETE for _, how, _ in changes):
        tools.wait_until(lambda: now() != before, "the change")
    return now()


@table(
    "incremental alter, resource",
    {
        "unknown topic": (TOPIC, "no-such-topic"),
        "bad topic name": (TOPIC, "a b"),
        "empty topic name": (TOPIC, ""),
        "unknown broker": (BROKER, "99"),
        "broker that is no number": (BROKER, "first"),
        "unknown kind": (0, "x"),
        "kind that never was": (3, "x"),
    },
)
def incremental_resources(broker, names, resource):
    return increment(broker, *resource, ("retention.ms", SET, "1"))


@story("incremental alter: validation only")
def incremental_validation(broker, names):
    name = names("topic")
    broker.topic(name)
    answers = [
        increment(broker, TOPIC, name, ("retention.ms", SET, value), validate_only=True) for value in ("1000", "soon")
    ]
    return answers, described(broker, TOPIC, name, ["retention.ms"])["configs"]


@story("incremental alter: the same topic twice")
def incremental_twice(broker, names):
    name = names("topic")
    broker.topic(name)
    change = [{"name": "retention.ms", "config_operation": SET, "value": "1"}]
    twice = [{"resource_type": TOPIC, "resource_name": name, "configs": change}] * 2
    answer = broker.answer("IncrementalAlterConfigs", 1, resources=twice, validate_only=True)
    return answer


@table(
    "incremental alter, broker",
    {
        "read-only": [("broker.id", SET, "7")],
        "unknown": [("no.such", SET, "1")],
        "nonsense": [("log.retention.ms", SET, "soon")],
        "dynamic": [("log.retention.ms", SET, "123456789")],
    },
)
def incremental_broker(broker, names, changes):
    return increment(broker, BROKER, str(broker.node), *changes, validate_only=True)


@table(
    "alter configs",
    {
        "set": [("retention.ms", "1000")],
        "nonsense": [("retention.ms", "soon")],
        "unknown name": [("no.such", "1")],
        "null": [("retention.ms", None)],
        "nothing": [],
        "the same name twice": [("retention.ms", "1"), ("retention.ms", "2")],
    },
)
def alter_configs(broker, names, pairs):
    name = names("topic")
    broker.topic(name, segment_bytes="2000000")
    configs = [{"name": key, "value": value} for key, value in pairs]
    resource = {"resource_type": TOPIC, "resource_name": name, "configs": configs}
    return [
        only(broker.call("AlterConfigs", version, resources=[resource], validate_only=True)["responses"])
        for version in (0, 2)
    ]
