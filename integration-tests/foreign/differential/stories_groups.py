"""Classic groups and committed offsets."""

import tools
from stories import only, story, table
from wire import CLOSED, Closed, batch

NOBODY = "nobody-00000000-0000-0000-0000-000000000000"


def protocols(*names):
    return [{"name": name, "metadata": b"m"} for name in names]


# Joining


@table(
    "join group",
    {
        "a new member": {},
        "empty group": {"group_id": ""},
        "unknown member": {"member_id": NOBODY},
        "session too short": {"session_timeout_ms": 5999},
        "session at its shortest": {"session_timeout_ms": 6000},
        "session at its longest": {"session_timeout_ms": 1_800_000},
        "session too long": {"session_timeout_ms": 1_800_001},
        "no protocols": {"protocols": []},
        "no protocol type": {"protocol_type": ""},
        "another protocol type": {"protocol_type": "connect"},
        "static": {"group_instance_id": "instance"},
        "static, empty instance": {"group_instance_id": ""},
        "static, bad instance": {"group_instance_id": "a b"},
        "static, unknown member": {"group_instance_id": "instance", "member_id": NOBODY},
    },
)
def join_group(broker, names, options):
    try:
        return broker.join(names("group"), **options)
    except Closed:
        return CLOSED


@table("join group, version", {f"{version}": version for version in range(10)})
def join_versions(broker, names, version):
    group = names("group")
    fields = {
        "group_id": group,
        "session_timeout_ms": 30_000,
        "member_id": "",
        "protocol_type": "consumer",
        "protocols": protocols("range", "roundrobin"),
    }
    if version >= 1:
        fields["rebalance_timeout_ms"] = 30_000
    if version >= 8:
        fields["reason"] = "why not"
    first = broker.call("JoinGroup", version, **fields)
    fields["member_id"] = first["member_id"]
    return first, broker.call("JoinGroup", version, **fields)


@story("join group: what does not fit the group")
def join_misfits(broker, names):
    group = names("group")
    broker.stable(group)
    return [
        broker.join(group, protocol_type="connect"),
        broker.join(group, protocols=protocols("sticky")),
        broker.join(group, protocols=[]),
        broker.join(group, NOBODY),
    ]


@story("join group: a leader that joins again unchanged keeps the group running")
def join_again(broker, names):
    group = names("group")
    member, generation = broker.stable(group)
    again = broker.join(group, member)
    return generation, again


@story("join group: a member of generation zero is pending, not in the group")
def join_pending(broker, names):
    group = names("group")
    pending = broker.join(group)["member_id"]
    return [
        described(broker, group),
        heartbeat(broker, group, pending, 0),
        synced(broker, group, pending, 0),
        left(broker, group, pending),
        broker.join(group, pending),
    ]


@story("join group: static, the second incarnation fences the first")
def join_static(broker, names):
    group = names("group")
    first = broker.join(group, group_instance_id="instance")
    synced(broker, group, first["member_id"], first["generation_id"], instance="instance")
    second = broker.join(group, group_instance_id="instance")
    old, new = first["member_id"], second["member_id"]
    return [
        first,
        second,
        old != new,
        heartbeat(broker, group, old, first["generation_id"], instance="instance"),
        heartbeat(broker, group, new, second["generation_id"], instance="instance"),
        broker.join(group, old, group_instance_id="instance"),
        committed(broker, group, names("topic"), 1, member=old, generation=1, instance="instance"),
        left(broker, group, "", instance="instance"),
        left(broker, group, "", instance="instance"),
        described(broker, group),
    ]


# In the group


def heartbeat(broker, group, member, generation, version=4, instance=None):
    fields = {"group_instance_id": instance} if version >= 3 else {}
    return broker.call("Heartbeat", version, group_id=group, generation_id=generation, member_id=member, **fields)


def synced(broker, group, member, generation, assignments=(), version=5, instance=None, kind="consumer", protocol="range"):
    fields = {"group_instance_id": instance} if version >= 3 else {}
    if version >= 5:
        fields |= {"protocol_type": kind, "protocol_name": protocol}
    assigned = [{"member_id": one, "assignment": data} for one, data in assignments]
    return broker.call(
        "SyncGroup", version, group_id=group, generation_id=generation, member_id=member, assignments=assigned, **fields
    )


def left(broker, group, member, version=4, instance=None):
    fields = {"members": [{"member_id": member, "group_instance_id": instance}]} if version >= 3 else {"member_id": member}
    return broker.call("LeaveGroup", version, group_id=group, **fields)


def described(broker, group, version=5):
    return broker.call("DescribeGroups", version, groups=[group], include_authorized_operations=False)["groups"]


@table("heartbeat, version", {f"{version}": version for version in range(5)})
def heartbeats(broker, names, version):
    group = names("group")
    member, generation = broker.stable(group)
    return [
        heartbeat(broker, group, member, generation, version),
        heartbeat(broker, group, member, generation + 1, version),
        heartbeat(broker, group, member, generation - 1, version),
        heartbeat(broker, group, member, -1, version),
        heartbeat(broker, group, NOBODY, generation, version),
        heartbeat(broker, names("unknown"), member, generation, version),
        heartbeat(broker, "", member, generation, version),
    ]


@table("sync group, version", {f"{version}": version for version in range(6)})
def sync_group(broker, names, version):
    group = names("group")
    member, generation = broker.stable(group)
    return [
        synced(broker, group, member, generation, version=version),
        synced(broker, group, member, generation + 1, version=version),
        synced(broker, group, NOBODY, generation, version=version),
        synced(broker, names("unknown"), member, generation, version=version),
        synced(broker, "", member, generation, version=version),
    ]


@story("sync group: another protocol than the chosen one")
def sync_misfits(broker, names):
    group = names("group")
    member, generation = broker.stable(group)
    return [
        synced(broker, group, member, generation, kind="connect"),
        synced(broker, group, member, generation, protocol="sticky"),
    ]


@story("sync group: a leader that assigns nothing, and one that assigns a stranger")
def sync_nothing(broker, names):
    answers = []
    for assignments in ([], [(NOBODY, b"x")]):
        group = names("group")
        member = broker.join(group)["member_id"]
        generation = broker.join(group, member)["generation_id"]
        answers.append(synced(broker, group, member, generation, assignments))
        answers.append(described(broker, group))
    return answers


@table("leave group, version", {f"{version}": version for version in range(6)})
def leave_group(broker, names, version):
    group = names("group")
    member, _ = broker.stable(group)
    return [
        left(broker, group, NOBODY, version),
        left(broker, group, member, version),
        left(broker, group, member, version),
        left(broker, names("unknown"), member, version),
        left(broker, "", member, version),
        described(broker, group),
    ]


@story("leave group: several at once")
def leave_several(broker, names):
    group = names("group")
    member, _ = broker.stable(group)
    leaving = [(member, None), (NOBODY, None), ("", "no-instance"), (member, None), ("", None)]
    return broker.call(
        "LeaveGroup", 3, group_id=group,
        members=[{"member_id": one, "group_instance_id": instance} for one, instance in leaving],
    )


# Describing, listing, deleting


@table("describe groups, version", {f"{version}": version for version in range(7)})
def describe_versions(broker, names, version):
    stable, unknown = names("stable"), names("unknown")
    broker.stable(stable)
    fields = {"include_authorized_operations": False} if version >= 3 else {}
    answer = broker.call("DescribeGroups", version, groups=[stable, unknown, ""], **fields)
    # Kafka answers by coordinator, in no fixed order.
    answer["groups"].sort(key=lambda group: group["group_id"])
    return answer


@table("list groups, version", {f"{version}": version for version in range(6)})
def list_groups(broker, names, version):
    group = names("group")
    broker.stable(group)
    answer = broker.call("ListGroups", version)
    answer["groups"] = [entry for entry in answer["groups"] if entry["group_id"] == group]
    return answer


@table(
    "list groups, filter",
    {
        "state": {"states_filter": ["Stable"]},
        "state in small letters": {"states_filter": ["stable"]},
        "another state": {"states_filter": ["Empty", "Dead"]},
        "unknown state": {"states_filter": ["Sleepy"]},
        "type": {"types_filter": ["classic"]},
        "another type": {"types_filter": ["consumer"]},
        "unknown type": {"types_filter": ["modern"]},
    },
)
def list_filtered(broker, names, filters):
    group = names("group")
    broker.stable(group)
    answer = broker.call("ListGroups", 5, **{"states_filter": [], "types_filter": [], **filters})
    answer["groups"] = [entry for entry in answer["groups"] if entry["group_id"] == group]
    return answer


@table("delete groups, version", {f"{version}": version for version in range(3)})
def delete_groups(broker, names, version):
    stable, empty, unknown = names("stable"), names("empty"), names("unknown")
    broker.stable(stable)
    left(broker, empty, broker.stable(empty)[0])
    answers = [broker.call("DeleteGroups", version, groups_names=[group]) for group in (stable, empty, empty, unknown, "")]
    return answers, described(broker, empty)


# Committed offsets


def committed(broker, group, topic, offset, member="", generation=-1, metadata="", partition=0, instance=None, version=8):
    of_partition = {"partition_index": partition, "committed_offset": offset, "committed_metadata": metadata}
    if version >= 6:
        of_partition["committed_leader_epoch"] = -1
    fields = {"group_instance_id": instance} if version >= 7 else {}
    if version <= 4:
        fields["retention_time_ms"] = -1
    return broker.call(
        "OffsetCommit", version, group_id=group, generation_id_or_member_epoch=generation, member_id=member,
        topics=[{"name": topic, "partitions": [of_partition]}], **fields,
    )


def looked_up(broker, group, topics, version=8, require_stable=False):
    asked = None if topics is None else [{"name": name, "partition_indexes": indexes} for name, indexes in topics]
    if version >= 8:
        return broker.call("OffsetFetch", version, groups=[{"group_id": group, "topics": asked}], require_stable=require_stable)
    fields = {"require_stable": require_stable} if version >= 7 else {}
    return broker.call("OffsetFetch", version, group_id=group, topics=asked, **fields)


@table("offset commit and fetch, version", {f"{version}": version for version in range(2, 10)})
def commit_versions(broker, names, version):
    group, topic = names("group"), names("topic")
    broker.topic(topic, 2)
    answers = [
        committed(broker, group, topic, 5, metadata="m", version=version),
        committed(broker, group, names("unknown"), 5, version=version),
        committed(broker, group, topic, 5, partition=9, version=version),
        committed(broker, group, topic, -3, version=version),
        committed(broker, "", topic, 5, version=version),
    ]
    fetch = min(version - 1, 9)
    for topics in ([(topic, [0, 1, 9])], [(names("nowhere"), [0])]):
        answers.append(looked_up(broker, group, topics, fetch))
    if fetch >= 2:
        answers.append(looked_up(broker, group, None, fetch))
    answers.append(looked_up(broker, names("no-group"), [(topic, [0])], fetch))
    # The group without a name must not live on into other stories.
    answers.append(broker.call("DeleteGroups", 2, groups_names=[""]))
    return answers


@story("offset commit and fetch by topic id")
def commit_by_id(broker, names):
    group, topic = names("group"), names("topic")
    topic_id = broker.topic(topic)
    committing, asked = [], []
    for one in (topic_id, "11111111-2222-3333-4444-555555555555"):
        partition = {"partition_index": 0, "committed_offset": 5, "committed_leader_epoch": -1, "committed_metadata": ""}
        committing.append([{"topic_id": one, "partitions": [partition]}])
        asked.append([{"topic_id": one, "partition_indexes": [0]}])
    commits = [
        broker.answer(
            "OffsetCommit", 10, group_id=group, generation_id_or_member_epoch=-1, member_id="", group_instance_id=None,
            topics=topics,
        )
        for topics in committing
    ]
    fetches = [
        broker.answer("OffsetFetch", 10, groups=[{"group_id": group, "topics": topics}], require_stable=topics is None)
        for topics in (*asked, None)
    ]
    return commits, fetches


@table("offset commit, metadata", {"4096 bytes": 4096, "4097 bytes": 4097})
def commit_metadata(broker, names, size):
    group, topic = names("group"), names("topic")
    broker.topic(topic)
    answer = committed(broker, group, topic, 1, metadata="m" * size)
    found = only(only(looked_up(broker, group, [(topic, [0])])["groups"])["topics"])
    return answer, len(only(found["partitions"])["metadata"])


@story("offset commit: null metadata comes back empty")
def commit_null_metadata(broker, names):
    group, topic = names("group"), names("topic")
    broker.topic(topic)
    return committed(broker, group, topic, 1, metadata=None), looked_up(broker, group, None)


@story("offset commit: members and generations")
def commit_members(broker, names):
    group, topic = names("group"), names("topic")
    broker.topic(topic)
    member, generation = broker.stable(group)
    return [
        committed(broker, group, topic, 1, member, generation),
        committed(broker, group, topic, 2, member, generation + 1),
        committed(broker, group, topic, 3, member, generation - 1),
        committed(broker, group, topic, 4, NOBODY, generation),
        committed(broker, group, topic, 5),
        committed(broker, group, topic, 6, member, -1),
        committed(broker, names("unknown"), topic, 7, NOBODY, 1),
        committed(broker, names("unknown"), topic, 8, NOBODY, -1),
        committed(broker, group, topic, 9, member, generation, instance="no-instance"),
        looked_up(broker, group, None),
    ]


@story("offset commit: while the group waits for its leader")
def commit_while_waiting(broker, names):
    group, topic = names("group"), names("topic")
    broker.topic(topic)
    member = broker.join(group)["member_id"]
    generation = broker.join(group, member)["generation_id"]
    return [
        committed(broker, group, topic, 1, member, generation),
        heartbeat(broker, group, member, generation),
        described(broker, group),
    ]


@story("offset fetch: several groups at once")
def fetch_several(broker, names):
    one, two, topic = names("a"), names("b"), names("topic")
    broker.topic(topic)
    committed(broker, one, topic, 1)
    asked = [{"group_id": one, "topics": None}, {"group_id": two, "topics": [{"name": topic, "partition_indexes": [0]}]}]
    answer = broker.call("OffsetFetch", 8, groups=asked, require_stable=True)
    answer["groups"].sort(key=lambda entry: entry["group_id"])
    return answer


@story("offset delete: live and empty groups, unknown ones")
def offset_delete(broker, names):
    group, topic = names("group"), names("topic")
    broker.topic(topic)
    committed(broker, group, topic, 1)

    def deleted(of, *partitions):
        asked = [{"partition_index": partition} for partition in partitions]
        answer = broker.call("OffsetDelete", 0, group_id=of, topics=[{"name": topic, "partitions": asked}])
        # Kafka puts refused partitions first.
        for entry in answer["topics"]:
            entry["partitions"].sort(key=lambda partition: partition["partition_index"])
        return answer

    answers = [deleted(group, 0, 9), deleted(group, 0), deleted(names("unknown"), 0), deleted("", 0)]
    return answers, looked_up(broker, group, None), described(broker, group)


@story("offsets outlive the members, and go with the topic")
def offsets_and_topics(broker, names):
    group, topic = names("group"), names("topic")
    broker.topic(topic)
    broker.produce(topic, batch())
    member, generation = broker.stable(group)
    committed(broker, group, topic, 1, member, generation)
    left(broker, group, member)
    kept = looked_up(broker, group, None)
    broker.call("DeleteTopics", 5, topic_names=[topic], timeout_ms=30_000)
    gone = lambda: not only(looked_up(broker, group, None)["groups"])["topics"]  # noqa: E731
    tools.wait_until(gone, "the offsets of the deleted topic to be gone")
    return kept


# Coordinators


@table("find coordinator, version", {f"{version}": version for version in range(7)})
def find_coordinator(broker, names, version):
    group = names("group")
    fields = {"coordinator_keys": [group, ""]} if version >= 4 else {"key": group}
    if version >= 1:
        fields["key_type"] = 0
    return coordinator(broker, version, **fields)


@table("find coordinator", {"unknown kind": (4, 9), "unknown kind, one key": (3, 9), "negative kind": (4, -1)})
def find_coordinator_badly(broker, names, case):
    version, kind = case
    group = names("group")
    fields = {"coordinator_keys": [group]} if version >= 4 else {"key": group}
    return broker.answer("FindCoordinator", version, key_type=kind, **fields)


def coordinator(broker, version, **fields):
    """The coordinator may have to make its topic first, so the first answers may say so."""
    def ready():
        answer = broker.call("FindCoordinator", version, **fields)
        errors = [entry.get("error_code") for entry in [answer, *answer.get("coordinators", [])]]
        return 15 not in errors and answer

    return tools.wait_until(ready, "the coordinator")
