"""Apache Kafka's own Java clients: every case of Judge.java, which runs once in one process, and
groups of Member.java processes."""

import re
import subprocess

import pytest
from kafka import KafkaAdminClient, KafkaProducer

import members
import tools

SOURCE = (tools.FOREIGN / "java" / "Judge.java").read_text()
CODECS = re.search(r"CODECS = List\.of\((.*)\);", SOURCE)[1].replace('"', "").split(", ")
CASES = [f"{what}-{codec}" for codec in CODECS for what in ("records", "megabyte")]
CASES += re.findall(r'judge\.judge\("([\w-]+)", judge::', SOURCE)


@pytest.fixture(scope="module")
def verdicts(name):
    done = subprocess.run(
        tools.java_command("Judge", tools.bootstrap(), name("judge")), capture_output=True, text=True, timeout=300
    )
    lines = dict(re.findall(r"^(?:ok|FAIL) ([\w-]+)(.*)$", done.stdout, re.M))
    assert lines, f"the program judged nothing: {done.stdout}{done.stderr}"
    return lines, done


@pytest.mark.parametrize("case", CASES)
def test_client(verdicts, case):
    lines, done = verdicts
    assert case in lines, f"the program ended before this case: {done.stderr}"
    assert f"ok {case}\n" in done.stdout, f"{lines[case]}\n{done.stderr}"


@pytest.fixture
def group_of(name):
    """A function from an assignor to what starts a Java member of a new group, and what writes to
    its topic of four partitions."""
    producer = KafkaProducer(bootstrap_servers=tools.bootstrap())
    admin = KafkaAdminClient(bootstrap_servers=tools.bootstrap())
    topic, group = name("topic"), name("group")
    tools.create_topic(admin, topic, num_partitions=members.PARTITIONS)

    def make(strategy):
        def start(session=members.SHORT_SESSION, instance=None):
            arguments = [tools.bootstrap(), group, topic, strategy, session, *([instance] if instance else [])]
            return members.Member(tools.java_command("Member", *arguments))

        return start, lambda value, partition: producer.send(topic, value.encode(), partition=partition).get(30)

    yield make
    admin.delete_topics([topic], raise_errors=False)
    admin.close()
    producer.close()


@pytest.mark.parametrize("strategy", ["range", "roundrobin", "sticky", "cooperative-sticky"])
def test_members_come_go_and_are_killed(group_of, strategy):
    members.rebalance_story(*group_of(strategy))


def test_static_member_keeps_its_partitions(group_of):
    members.static_story(group_of("range")[0])
