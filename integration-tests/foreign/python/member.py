"""One member of a consumer group, as a process of its own, so that a test can kill it.

    member.py CLIENT BOOTSTRAP GROUP TOPIC STRATEGY SESSION [INSTANCE]

SESSION is the session timeout in milliseconds, INSTANCE makes the member static.

Prints one JSON object a line: {"assignment": [partitions]} whenever it changes, {"value": text}
for every record (whose offset is committed afterwards), {"closed": true} at the end. SIGTERM makes
it leave the group.
"""

import json
import signal
import sys

running = True


def stop(*_):
    global running
    running = False


def say(**fields):
    print(json.dumps(fields), flush=True)


def kafka_python(bootstrap, group, topic, strategy, session, instance):
    from kafka import KafkaConsumer
    from kafka.coordinator.assignors import range as ranges, roundrobin, sticky

    assignors = {
        "range": ranges.RangePartitionAssignor,
        "roundrobin": roundrobin.RoundRobinPartitionAssignor,
        "sticky": sticky.sticky_assignor.StickyPartitionAssignor,
    }
    consumer = KafkaConsumer(
        topic,
        bootstrap_servers=bootstrap,
        group_id=group,
        group_instance_id=instance,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        session_timeout_ms=session,
        heartbeat_interval_ms=300,
        metadata_max_age_ms=1000,
        partition_assignment_strategy=[assignors[strategy]],
    )

    def poll():
        batches = consumer.poll(timeout_ms=100)
        return [record.value.decode() for batch in batches.values() for record in batch]

    return poll, consumer.commit, lambda: [tp.partition for tp in consumer.assignment()], consumer.close


def confluent(bootstrap, group, topic, strategy, session, instance):
    from confluent_kafka import Consumer

    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            **({"group.instance.id": instance} if instance else {}),
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "session.timeout.ms": session,
            "heartbeat.interval.ms": 300,
            "partition.assignment.strategy": strategy,
        }
    )
    consumer.subscribe([topic])

    def poll():
        values = []
        for message in consumer.consume(100, timeout=0.1):
            if message.error():
                raise SystemExit(str(message.error()))
            values.append(message.value().decode())
        return values

    def commit():
        consumer.commit(asynchronous=False)

    return poll, commit, lambda: [tp.partition for tp in consumer.assignment()], consumer.close


def main():
    client, bootstrap, group, topic, strategy, session, *instance = sys.argv[1:]
    signal.signal(signal.SIGTERM, stop)
    make = {"kafka-python": kafka_python, "confluent": confluent}[client]
    poll, commit, assignment, close = make(
        bootstrap, group, topic, strategy, int(session), *instance or [None]
    )
    known = None
    while running:
        values = poll()
        now = sorted(assignment())
        if now != known:
            known = now
            say(assignment=now)
        for value in values:
            say(value=value)
        if values:
            try:
                commit()
            except Exception as error:  # a rebalance took the partitions away: they come again
                say(refused=type(error).__name__ + ": " + str(error))
    close()
    say(closed=True)


if __name__ == "__main__":
    main()
