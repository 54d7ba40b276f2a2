"""The same calls on Apache Kafka (ORACLE) and on the broker under test (BOOTSTRAP).

Every story of the `stories_*` files runs on both; a failure prints each place where the answers
differ, as `path: Kafka this, we that`. Where they differ on purpose (deliberate.py) the places and
both sides have to be the known ones.
"""

import fnmatch
import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import deliberate  # noqa: E402
import stories  # noqa: E402
import stories_configs  # noqa: E402, F401
import stories_groups  # noqa: E402, F401
import stories_protocol  # noqa: E402, F401
import stories_records  # noqa: E402, F401
import stories_repeated  # noqa: E402, F401
import stories_topics  # noqa: E402, F401
import tools  # noqa: E402
import wire  # noqa: E402

# What clients need of this broker, as API names; the versions are compared with the oracle's.
SERVED = {
    "Produce": 0, "Fetch": 1, "ListOffsets": 2, "Metadata": 3, "OffsetCommit": 8, "OffsetFetch": 9,
    "FindCoordinator": 10, "JoinGroup": 11, "Heartbeat": 12, "LeaveGroup": 13, "SyncGroup": 14,
    "DescribeGroups": 15, "ListGroups": 16, "ApiVersions": 18, "CreateTopics": 19, "DeleteTopics": 20,
    "DeleteRecords": 21, "InitProducerId": 22, "OffsetForLeaderEpoch": 23, "DescribeConfigs": 32,
    "AlterConfigs": 33, "DescribeLogDirs": 35, "CreatePartitions": 37, "DeleteGroups": 42,
    "IncrementalAlterConfigs": 44, "OffsetDelete": 47, "DescribeCluster": 60,
    "ListConfigResources": 74, "DescribeTopicPartitions": 75,
}  # fmt: skip


BROKE_OFF = "the story broke off"


@pytest.fixture(scope="module")
def pair():
    oracle = wire.Broker("Apache Kafka", os.environ["ORACLE"])
    ours = wire.Broker("the broker under test", tools.bootstrap())
    for broker in (oracle, ours):
        # The first look for a coordinator makes its topic; the stories begin behind that.
        stories_groups.coordinator(broker, 4, key_type=0, coordinator_keys=["warm-up"])
        tools.wait_until(
            lambda: stories_groups.looked_up(broker, "warm-up", None)["groups"][0]["error_code"] == 0, "the coordinator"
        )
    yield oracle, ours
    oracle.close()
    ours.close()


def told(broker, function, number):
    """The normal form of what a broker answers in a story; both get the same names."""
    try:
        answer = function(broker, tools.Names(f"differential-{number}"))
    except (wire.Closed, OSError) as error:
        broker.close()
        return f"{BROKE_OFF}: {type(error).__name__}"
    except AssertionError as error:
        return f"{BROKE_OFF}: {stories.normal(str(error), broker)}"
    return stories.normal(answer, broker)


@pytest.mark.parametrize("name", stories.ALL)
def test_same_answer(pair, name):
    function, number = stories.ALL[name], list(stories.ALL).index(name)
    answers = [told(broker, function, number) for broker in pair]
    for broker, answer in zip(pair, answers):
        assert not str(answer).startswith(BROKE_OFF), f"on {broker.role} {answer}"
    found = deliberate.unexplained(stories.differences(*answers))
    wanted = deliberate.expected(name, found) if deliberate.is_deliberate(name) else []
    assert found == wanted, "\n".join(stories.changes(wanted, found))


def test_every_deliberate_difference_is_there():
    reasons = [pattern for pattern in deliberate.REASONS if not fnmatch.filter(stories.ALL, pattern)]
    assert not reasons, "reasons without a story"
    assert all(deliberate.is_deliberate(name) and lines for name, lines in deliberate.EXPECTED.items())
    assert deliberate.EXPECTED.keys() <= stories.ALL.keys()


@pytest.mark.parametrize("api", SERVED)
def test_versions_are_within_kafkas(pair, api):
    oracle, ours = (ranges(broker)[SERVED[api]] if SERVED[api] in ranges(broker) else None for broker in pair)
    assert ours is not None, f"{api} is not advertised"
    assert ours[0] == oracle[0] and ours[1] <= oracle[1], f"we advertise {ours}, Kafka {oracle}"


def ranges(broker):
    answer = broker.call("ApiVersions", 0)
    return {entry["api_key"]: (entry["min_version"], entry["max_version"]) for entry in answer["api_keys"]}
