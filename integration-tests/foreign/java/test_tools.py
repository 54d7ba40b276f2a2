"""Apache Kafka's own command-line tools against the broker.

Every call starts a Java process of its own, about a second each, so a test says as much as it can
with each call.
"""

import json
import re
import subprocess

import pytest

import members
import tools
from samples import CODECS, MEGABYTE, START, unpredictable_text

MAIN = {
    "kafka-broker-api-versions": "org.apache.kafka.tools.BrokerApiVersionsCommand",
    "kafka-cluster": "org.apache.kafka.tools.ClusterTool",
    "kafka-configs": "kafka.admin.ConfigCommand",
    "kafka-console-consumer": "org.apache.kafka.tools.consumer.ConsoleConsumer",
    "kafka-console-producer": "org.apache.kafka.tools.ConsoleProducer",
    "kafka-consumer-groups": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    "kafka-consumer-perf-test": "org.apache.kafka.tools.ConsumerPerformance",
    "kafka-delete-records": "org.apache.kafka.tools.DeleteRecordsCommand",
    "kafka-get-offsets": "org.apache.kafka.tools.GetOffsetShell",
    "kafka-log-dirs": "org.apache.kafka.tools.LogDirsCommand",
    "kafka-producer-perf-test": "org.apache.kafka.tools.ProducerPerformance",
    "kafka-topics": "org.apache.kafka.tools.TopicCommand",
}


def start(tool, *arguments, **options):
    return subprocess.Popen(command(tool, *arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def command(tool, *arguments):
    return tools.java_command(MAIN[tool], *bootstrapped(tool, arguments))


def bootstrapped(tool, arguments):
    """The arguments, led by the address unless they say it themselves or start with a verb."""
    address = ["--bootstrap-server", tools.bootstrap()]
    verbs = list(arguments[:1]) if tool == "kafka-cluster" else []
    return [*verbs, *address, *arguments[len(verbs) :]]


def run(tool, *arguments, text=None, fails=False):
    """Runs a tool to its end; gives its output, with standard error when it is meant to fail."""
    process = start(tool, *arguments, stdin=subprocess.PIPE)
    output, errors = process.communicate(text, timeout=120)
    # Some tools report an error and still end with code 0, so a failure is also known by its text.
    failed = process.returncode != 0 or "Error" in output + errors or "Exception" in output + errors
    assert failed == fails, f"{tool} {arguments} ended with {process.returncode}: {output}{errors}"
    return output + errors if fails else output


def rows(table):
    """A printed table as a list of dicts, one a row."""
    lines = [line.split() for line in table.splitlines() if line.strip()]
    head = next(index for index, words in enumerate(lines) if words[0] == "GROUP")
    return [dict(zip(lines[head], words)) for words in lines[head + 1 :] if words[0] != "GROUP"]


@pytest.fixture(scope="module")
def admin():
    """kafka-python does what is not the point of a test: making topics and old records."""
    from kafka import KafkaAdminClient

    client = KafkaAdminClient(bootstrap_servers=tools.bootstrap())
    yield client
    client.close()


@pytest.fixture
def topic(admin, name, request):
    mark = request.node.get_closest_marker("topic")
    topic = name("topic")
    tools.create_topic(admin, topic, **(mark.kwargs if mark else {}))
    yield topic
    admin.delete_topics([topic], raise_errors=False)


def fill(topic, count, partition=0):
    """`count` records one second apart."""
    from kafka import KafkaProducer

    producer = KafkaProducer(bootstrap_servers=tools.bootstrap())
    for number in range(count):
        producer.send(topic, b"%d" % number, partition=partition, timestamp_ms=START + number * 1000)
    producer.flush()
    producer.close()


def consume(topic, count, *arguments):
    return run(
        *("kafka-console-consumer", "--topic", topic, "--from-beginning", "--max-messages", count),
        *("--timeout-ms", 60_000, *arguments),
    ).splitlines()


# Cluster


def test_broker_api_versions():
    output = run("kafka-broker-api-versions")
    assert output.startswith(tools.bootstrap() + " (id: "), output
    for api in ["Produce(0)", "Fetch(1)", "ApiVersions(18)", "CreateTopics(19)", "OffsetDelete(47)"]:
        assert re.search(rf"{re.escape(api)}: \d+( to \d+)? \[usable: \d+\]", output), api


def test_cluster_id():
    from kafka import KafkaAdminClient

    client = KafkaAdminClient(bootstrap_servers=tools.bootstrap())
    cluster = client.describe_cluster()["cluster_id"]
    client.close()
    assert run("kafka-cluster", "cluster-id") == f"Cluster ID: {cluster}\n"


# Topics


def test_topics_from_creation_to_deletion(name):
    topic = name("made")
    run("kafka-topics", "--create", "--topic", topic, "--partitions", 2, "--config", "retention.ms=60000")
    assert "already exists" in run("kafka-topics", "--create", "--topic", topic, fails=True)
    run("kafka-topics", "--create", "--topic", topic, "--if-not-exists")
    described = run("kafka-topics", "--describe", "--topic", topic)
    summary, *partitions = described.splitlines()
    assert re.search(r"PartitionCount: 2\tReplicationFactor: 1\tConfigs: retention.ms=60000$", summary), summary
    assert re.search(r"TopicId: [\w-]{22}\t", summary)
    for number, line in enumerate(partitions):
        assert re.search(rf"Partition: {number}\tLeader: (\d+)\tReplicas: \1\tIsr: \1\t", line), line
    run("kafka-topics", "--alter", "--topic", topic, "--partitions", 5)
    assert "PartitionCount: 5" in run("kafka-topics", "--describe", "--topic", topic)
    assert topic in run("kafka-topics", "--list").splitlines()
    run("kafka-topics", "--delete", "--topic", topic)
    missing = run("kafka-topics", "--describe", "--topic", topic, fails=True)
    assert f"Topic '{topic}' does not exist as expected" in missing


def test_refused_topics(name):
    topic = name("refused")
    for arguments, reason in [
        (["--replication-factor", 2], "Unable to replicate the partition 2 time(s)"),
        (["--config", "retention.ms=soon"], "Invalid value soon for configuration retention.ms"),
    ]:
        assert reason in run("kafka-topics", "--create", "--topic", topic, *arguments, fails=True)


# Configs


def test_topic_configs(topic):
    entity = ["--entity-type", "topics", "--entity-name", topic]
    everything = run("kafka-configs", "--describe", "--all", *entity)
    assert re.search(r"^  retention.ms=604800000 sensitive=false synonyms=\{\}$", everything, re.M), everything
    assert re.search(
        r"^  cleanup.policy=delete sensitive=false synonyms=\{DEFAULT_CONFIG:log.cleanup.policy=delete\}$",
        everything,
        re.M,
    ), everything
    change = "retention.ms=1000,cleanup.policy=[compact,delete]"
    run("kafka-configs", "--alter", *entity, "--add-config", change)
    described = run("kafka-configs", "--describe", *entity)
    assert "retention.ms=1000 sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:retention.ms=1000}" in described
    assert "cleanup.policy=compact,delete" in described
    run("kafka-configs", "--alter", *entity, "--delete-config", "retention.ms")
    described = run("kafka-configs", "--describe", *entity)
    assert "retention.ms" not in described and "cleanup.policy=compact,delete" in described
    run("kafka-configs", "--alter", *entity, "--add-config", "retention.ms=soon", fails=True)


def test_broker_configs(admin):
    (broker,) = admin.describe_cluster()["brokers"]
    entity = ["--entity-type", "brokers", "--entity-name", broker["broker_id"]]
    everything = run("kafka-configs", "--describe", "--all", *entity)
    assert re.search(r"^  num.partitions=1 sensitive=false synonyms=\{", everything, re.M), everything
    run("kafka-configs", "--alter", *entity, "--add-config", "message.max.bytes=2000000")
    described = run("kafka-configs", "--describe", *entity)
    assert "message.max.bytes=2000000 sensitive=false synonyms={DYNAMIC_BROKER_CONFIG:message.max.bytes=2000000" in described
    run("kafka-configs", "--alter", *entity, "--delete-config", "message.max.bytes")
    assert "message.max.bytes" not in run("kafka-configs", "--describe", *entity)
    refused = run("kafka-configs", "--alter", *entity, "--add-config", "broker.id=9", fails=True)
    assert "Cannot update these configs dynamically" in refused


# Records


def properties(option, *pairs):
    return [part for pair in pairs for part in (option, pair)]


@pytest.mark.parametrize("codec", CODECS)
def test_console_producer_and_consumer(topic, codec):
    text = "".join(f"a:1,b:,a:NULL,a:3\tkey-{number}\tvalue {number}\n" for number in range(50))
    large = unpredictable_text(MEGABYTE)
    run(
        *("kafka-console-producer", "--topic", topic, "--compression-codec", codec),
        # The large line shares no batch with others, or it would be beyond the broker's limit.
        *("--command-property", "linger.ms=0"),
        *properties("--reader-property", "parse.headers=true", "parse.key=true", "null.marker=NULL"),
        text=f"{text}NULL\tdeleted\tNULL\nNULL\tempty\t\nNULL\tlarge\t{large}\n",
    )
    wanted = ["print.headers=true", "print.key=true", "print.offset=true", "print.partition=true"]
    lines = consume(topic, 53, *properties("--formatter-property", *wanted))
    assert lines[:50] == [
        f"Partition:0\tOffset:{number}\ta:1,b:,a:null,a:3\tkey-{number}\tvalue {number}" for number in range(50)
    ]
    assert lines[50] == "Partition:0\tOffset:50\tNO_HEADERS\tdeleted\tnull"
    assert lines[51] == "Partition:0\tOffset:51\tNO_HEADERS\tempty\t"
    *before, last = lines[52].split("\t")
    assert before == ["Partition:0", "Offset:52", "NO_HEADERS", "large"]
    assert len(last) == MEGABYTE and last == large


def test_console_consumer_prints_timestamps(topic):
    fill(topic, 3)
    lines = consume(topic, 3, "--formatter-property", "print.timestamp=true")
    assert lines == [f"CreateTime:{START + number * 1000}\t{number}" for number in range(3)]


@pytest.mark.parametrize("acks", [0, 1, "all"])
def test_console_producer_acks(topic, acks):
    idempotent = "false" if acks != "all" else "true"
    run(
        *("kafka-console-producer", "--topic", topic, "--sync"),
        *("--command-property", f"enable.idempotence={idempotent}", "--command-property", f"acks={acks}"),
        text="one\ntwo\n",
    )
    assert consume(topic, 2) == ["one", "two"]


def test_a_console_consumer_group_resumes(topic, name):
    group = name("group")
    fill(topic, 6)
    assert consume(topic, 4, "--group", group) == ["0", "1", "2", "3"]
    fill(topic, 1)
    assert consume(topic, 3, "--group", group) == ["4", "5", "0"]


@pytest.mark.topic(num_partitions=3)
@pytest.mark.parametrize(
    ("codec", "count", "size"), [*((codec, 50_000, 100) for codec in CODECS), ("none", 100, MEGABYTE)]
)
def test_producer_and_consumer_performance(topic, codec, count, size):
    written = run_performance(
        *("kafka-producer-perf-test", "--topic", topic, "--num-records", count, "--record-size", size),
        *("--throughput", -1, "--command-property", f"compression.type={codec}"),
    )
    assert re.search(rf"^{count} records sent, ", written, re.M), written
    read = run_performance("kafka-consumer-perf-test", "--topic", topic, "--num-records", count)
    head, line = [text.split(", ") for text in read.splitlines() if ", " in text][:2]
    assert int(line[head.index("data.consumed.in.nMsg")]) == count
    assert float(line[head.index("data.consumed.in.MB")]) == pytest.approx(count * size / 2**20, abs=0.001)


def run_performance(tool, *arguments):
    """The performance tools write warnings about their defaults, which are no failure."""
    process = start(tool, *arguments)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, output + errors
    return output


# Offsets


@pytest.mark.topic(num_partitions=2)
def test_get_offsets(topic):
    fill(topic, 10)

    def offsets(*arguments):
        return sorted(run("kafka-get-offsets", "--topic", topic, *arguments).splitlines())

    assert offsets() == [f"{topic}:0:10", f"{topic}:1:0"]
    assert offsets("--time", "earliest") == [f"{topic}:0:0", f"{topic}:1:0"]
    assert offsets("--time", "max-timestamp", "--partitions", 0) == [f"{topic}:0:9"]
    assert offsets("--time", START + 3500) == [f"{topic}:0:4"]


@pytest.mark.topic(num_partitions=2)
def test_delete_records(topic, tmp_path):
    fill(topic, 10)
    wanted = tmp_path / "offsets.json"
    partitions = [{"topic": topic, "partition": 0, "offset": 6}, {"topic": topic, "partition": 1, "offset": -1}]
    wanted.write_text(json.dumps({"version": 1, "partitions": partitions}))
    output = run("kafka-delete-records", "--offset-json-file", wanted)
    assert f"partition: {topic}-0\tlow_watermark: 6" in output
    assert f"partition: {topic}-1\tlow_watermark: 0" in output
    assert consume(topic, 4) == ["6", "7", "8", "9"]


@pytest.mark.topic(num_partitions=2)
def test_log_dirs(topic):
    fill(topic, 10)
    answer = json.loads(run("kafka-log-dirs", "--describe", "--topic-list", topic).splitlines()[-1])
    (broker,) = answer["brokers"]
    (directory,) = broker["logDirs"]
    assert directory["error"] is None
    sizes = {entry["partition"]: entry["size"] for entry in directory["partitions"]}
    assert sizes[f"{topic}-0"] > 0 and sizes[f"{topic}-1"] == 0
    assert all((entry["offsetLag"], entry["isFuture"]) == (0, False) for entry in directory["partitions"])


# Groups


@pytest.mark.topic(num_partitions=2)
def test_a_live_group_is_described(topic, name):
    group = name("group")
    fill(topic, 10)
    consumer = start(
        *("kafka-console-consumer", "--topic", topic, "--group", group, "--from-beginning"),
        *("--command-property", "client.id=watched", "--command-property", "auto.commit.interval.ms=50"),
    )
    try:
        for _ in range(10):
            consumer.stdout.readline()

        def described():
            table = rows(run("kafka-consumer-groups", "--describe", "--group", group))
            return {row["PARTITION"]: row for row in table if row["CURRENT-OFFSET"] == "10"} and table

        table = tools.wait_until(described, "the commit")
        full = next(row for row in table if row["PARTITION"] == "0")
        assert (full["TOPIC"], full["CURRENT-OFFSET"], full["LOG-END-OFFSET"], full["LAG"]) == (topic, "10", "10", "0")
        assert (full["HOST"], full["CLIENT-ID"]) == ("/127.0.0.1", "watched")
        (member,) = rows(run("kafka-consumer-groups", "--describe", "--group", group, "--members"))
        assert (member["#PARTITIONS"], member["CLIENT-ID"]) == ("2", "watched")
        (state,) = rows(run("kafka-consumer-groups", "--describe", "--group", group, "--state"))
        assert "Stable" in state.values() and "range" in state.values(), state
        listed = run("kafka-consumer-groups", "--list", "--state")
        assert re.search(rf"^{group}\s+(Classic\s+|Consumer\s+)?Stable", listed, re.M), listed
        refused = run("kafka-consumer-groups", "--delete", "--group", group, fails=True)
        assert "The group is not empty" in refused
        consumer.terminate()
        consumer.communicate(timeout=60)
    finally:
        if consumer.poll() is None:
            consumer.kill()
            consumer.communicate()
    assert "has no active members" in run_both("kafka-consumer-groups", "--describe", "--group", group)
    run("kafka-consumer-groups", "--delete", "--group", group)
    assert group not in run("kafka-consumer-groups", "--list").splitlines()


@pytest.mark.topic(num_partitions=4)
def test_console_consumers_share_and_one_is_killed(topic, name):
    from kafka import KafkaProducer

    producer, group = KafkaProducer(bootstrap_servers=tools.bootstrap()), name("group")

    def send(value, partition):
        producer.send(topic, value.encode(), partition=partition).get(30)

    def told():
        """What the tool tells of the group's members: the partitions of each by its client id."""
        described = rows(run("kafka-consumer-groups", "--describe", "--group", group, "--members"))
        return {row["CLIENT-ID"]: row["#PARTITIONS"] for row in described}

    with members.Stream(send) as stream, members.Members(ConsoleConsumer) as consumers:
        first = consumers.add(topic=topic, group=group, client="first")
        # The tool knows no group before its first member has come.
        consumers.wait_for_values(stream.next(), "one consumer")
        second = consumers.add(topic=topic, group=group, client="second")
        shared = {"first": "2", "second": "2"}
        tools.wait_until(lambda: told() == shared, "fair shares", pause=0)
        consumers.wait_for_values(stream.next(), "two consumers")
        second.kill()
        tools.wait_until(lambda: told() == {"first": "4"}, "the takeover", pause=0)
        late = stream.next()
        consumers.wait_for_values(late, "the survivor")
        assert set(late) <= set(first.values), "the survivor reads every partition"
        consumers.wait_for_values(stream.stop(), "everything that was written")
        assert consumers.values() <= set(stream.sent), "nothing else was read"
    producer.close()


class ConsoleConsumer(members.Member):
    """kafka-console-consumer as a member of a group; it prints the values and nothing else."""

    def __init__(self, topic, group, client):
        settings = [
            f"client.id={client}", "auto.commit.interval.ms=100",
            f"session.timeout.ms={members.SHORT_SESSION}", "heartbeat.interval.ms=300",
        ]  # fmt: skip
        arguments = ["--topic", topic, "--group", group, "--from-beginning"]
        arguments += properties("--command-property", *settings)
        super().__init__(command("kafka-console-consumer", *arguments))

    def take(self, line):
        self.values.append(line.strip())


def run_both(tool, *arguments):
    """Standard output and error together, for notes that a tool writes to the latter."""
    process = start(tool, *arguments)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, output + errors
    return output + errors


def test_reset_and_delete_offsets(admin, topic, name, tmp_path):
    from kafka import OffsetAndMetadata, TopicPartition

    group = name("group")
    fill(topic, 10)
    partition = TopicPartition(topic, 0)
    admin.alter_group_offsets(group, {partition: OffsetAndMetadata(5, "", -1)})
    tail = ["--reset-offsets", "--group", group, "--topic", topic, "--execute"]

    def reset(*mode):
        run("kafka-consumer-groups", *tail, *mode)
        return admin.list_group_offsets({group: None})[group][partition].offset

    plan = tmp_path / "plan.csv"
    plan.write_text(f'"{topic}",0,2\n')
    # Half a second past the fourth record: the fifth is the first that is not older.
    iso = "2023-11-14T22:13:23.500"
    for mode, expected in [
        (["--to-earliest"], 0),
        (["--to-latest"], 10),
        (["--to-offset", 7], 7),
        (["--shift-by", -3], 4),
        (["--to-current"], 4),
        (["--by-duration", "P1D"], 10),
        (["--from-file", plan], 2),
        (["--to-datetime", iso], 4),
    ]:
        assert reset(*mode) == expected, mode
    assert consume(topic, 6, "--group", group) == ["4", "5", "6", "7", "8", "9"]
    dry = ["--reset-offsets", "--group", group, "--topic", topic, "--dry-run", "--to-earliest"]
    assert rows(run("kafka-consumer-groups", *dry))[0]["NEW-OFFSET"] == "0"
    assert admin.list_group_offsets({group: None})[group][partition].offset == 10
    run("kafka-consumer-groups", "--delete-offsets", "--group", group, "--topic", topic)
    assert admin.list_group_offsets({group: None})[group] == {}
