"""One view for all tests of this suite: events written in waves, each in a snapshot before the next one comes."""

import contextlib
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))

import events  # noqa: E402  (the path above has to be there first)
import tools  # noqa: E402
import views  # noqa: E402

WAVES, EVENTS = 3, 1_200
WINDOW = events.HOUR


class World:
    """What has been written, and the running example that serves it."""

    def __init__(self, served, records, ends):
        self.served, self.records, self.ends = served, records, ends
        self.topic = served.topic
        self.at_least = views.coverage(self.topic, ends)

    def folder(self, view="user_totals"):
        return self.served.folder / view

    def manifests(self, view="user_totals"):
        return self.served.manifests(view)


def write(bootstrap, topic, records):
    """Writes the records and notes their offsets."""
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "compression.type": "zstd"})

    def noted(record):
        def done(error, message):
            assert error is None, error
            record.offset = message.offset()

        return done

    for record in records:
        producer.produce(
            topic,
            record.value,
            record.key,
            partition=record.partition,
            timestamp=record.timestamp,
            headers=record.headers or None,
            on_delivery=noted(record),
        )
        producer.poll(0)
    assert producer.flush(60) == 0
    assert all(record.offset is not None for record in records)


@contextlib.contextmanager
def topic_of(bootstrap, topic, partitions=events.PARTITIONS):
    """A topic for as long as it is needed."""
    from kafka import KafkaAdminClient

    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    tools.create_topic(admin, topic, num_partitions=partitions)
    yield topic
    admin.delete_topics([topic], raise_errors=False)
    admin.close()


@pytest.fixture(scope="session")
def world(bootstrap, tmp_path_factory):
    topic, folder = tools.Names("serving")("user-events"), tmp_path_factory.mktemp("snapshots")
    with topic_of(bootstrap, topic):
        # What is there before the view is, and what comes while it runs.
        written = events.wave(tools.seed(), EVENTS)
        write(bootstrap, topic, written)
        with views.running(bootstrap, topic, folder, "--windows", "1h") as served:
            records, ends = [], {}
            for number in range(1, WAVES + 1):
                records += written
                for record in written:
                    ends[record.partition] = max(ends.get(record.partition, 0), record.offset + 1)
                for view in ("user_totals", "user_windows"):
                    served.snapshot_of(view, ends)
                if number < WAVES:
                    written = events.wave(tools.seed() + number, EVENTS)
                    write(bootstrap, topic, written)
            yield World(served, records, ends)
