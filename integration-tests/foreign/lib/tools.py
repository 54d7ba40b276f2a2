"""Where the prepared tools live, and the small helpers every suite shares.

`scripts/prepare` fills the tool folder; nothing here downloads anything.
"""

import os
import pathlib
import random
import socket
import time

FOREIGN = pathlib.Path(__file__).resolve().parent.parent
REPOSITORY = FOREIGN.parent.parent
TOOLS = pathlib.Path(os.environ.get("TIDEMARK_TOOLS") or REPOSITORY / ".tools").resolve()
JARS = TOOLS / "java" / "jars"
ARCHIVE = TOOLS / "java" / "tools.jsa"
PYTHON = TOOLS / "python" / "bin" / "python"
NODE_MODULES = TOOLS / "node" / "node_modules"


def bootstrap():
    """The address of the broker under test, from the environment."""
    return os.environ["BOOTSTRAP"]


def split_address(address):
    """`host:port` or `[v6]:port` as (host, port)."""
    host, port = address.rsplit(":", 1)
    return host.strip("[]"), int(port)


def seed():
    """The run's seed: given by SEED or drawn once; every name of a run derives from it."""
    if "SEED" not in os.environ:
        os.environ["SEED"] = str(random.SystemRandom().randrange(1 << 32))
    return int(os.environ["SEED"])


class Names:
    """Topic and group names that no other run or suite uses, repeatable from the seed."""

    def __init__(self, suite):
        self.prefix = f"{suite}-{seed():08x}"
        self.count = 0

    def __call__(self, what):
        self.count += 1
        return f"{self.prefix}-{self.count:03d}-{what}"


def wait_until(condition, what, deadline=60.0, pause=0.05):
    """Polls until `condition()` is truthy and returns its value.

    The deadline is generous: it bounds a hang, it is never what a test measures. `what` is a text
    or a function that gives one at the end.
    """
    end = time.monotonic() + deadline
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            what = what() if callable(what) else what
            raise AssertionError(f"gave up after {deadline} s waiting for {what}")
        time.sleep(pause)


def create_topic(admin, topic, **options):
    """Creates a topic with a kafka-python admin client and waits until it is served."""
    options = {"num_partitions": 1, "replication_factor": 1, **options}
    admin.create_topics({topic: options})
    wait_served(admin, topic, options["num_partitions"])


def wait_served(admin, topic, partitions):
    """Waits, with a kafka-python admin client, until all partitions of a new topic are served.

    Metadata knows a partition a moment before its leader does, so the leaders are asked.
    """
    from kafka import TopicPartition, errors
    from kafka.admin import OffsetSpec

    asked = {TopicPartition(topic, index): OffsetSpec.LATEST for index in range(partitions)}

    def served():
        try:
            return admin.list_partition_offsets(asked)
        except errors.KafkaError:
            return False

    wait_until(served, f"topic {topic}")


def free_port():
    """A port that was free a moment ago on the loopback address."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def hold_port():
    """A socket that keeps a free port on the loopback address from everyone but a server that is told
    its number: who listens with SO_REUSEADDR, as Java does, may share it with a socket that does not
    listen, and the system gives it to nobody else."""
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind(("127.0.0.1", 0))
    return holder


def java_command(main, *arguments, heap="256m", options=()):
    """The command line that runs one of Kafka's own main classes from the prepared jars."""
    java = os.path.join(os.environ["JAVA_HOME"], "bin", "java") if "JAVA_HOME" in os.environ else "java"
    # The tools are short-lived: one compiler tier and the serial collector start fastest.
    fixed = [f"-Xmx{heap}", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"]
    # Kafka's classes, already parsed. A JVM that cannot use the archive passes it over, and must not
    # say so among the tool's answers.
    if ARCHIVE.exists():
        fixed += [f"-XX:SharedArchiveFile={ARCHIVE}", "-Xlog:disable"]
    logging = f"-Dlog4j2.configurationFile={FOREIGN / 'java' / 'log4j2.properties'}"
    return [java, *fixed, logging, *options, "-cp", f"{JARS}/*", main, *map(str, arguments)]
