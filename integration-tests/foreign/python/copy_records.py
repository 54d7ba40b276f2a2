"""Reads records of one topic's partition 0 and writes them to another's as they are: key, value,
headers and timestamp.

    copy_records.py CLIENT BOOTSTRAP (FROM TO CODEC COUNT)...

CLIENT is kafka-python or confluent. Prints one line for each copy that is done.
"""

import sys


def kafka_python(bootstrap, source, target, codec, count):
    from kafka import KafkaConsumer, KafkaProducer, TopicPartition

    consumer = KafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest", group_id=None)
    consumer.assign([TopicPartition(source, 0)])
    producer = KafkaProducer(
        bootstrap_servers=bootstrap, compression_type=None if codec == "none" else codec, linger_ms=50
    )
    copied = 0
    while copied < count:
        for records in consumer.poll(timeout_ms=100).values():
            for one in records:
                producer.send(
                    target,
                    key=one.key,
                    value=one.value,
                    headers=list(one.headers),
                    timestamp_ms=one.timestamp,
                    partition=0,
                )
                copied += 1
    producer.flush()
    producer.close()
    consumer.close()


def confluent(bootstrap, source, target, codec, count):
    from confluent_kafka import Consumer, Producer, TopicPartition

    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "copy", "auto.offset.reset": "earliest"})
    consumer.assign([TopicPartition(source, 0, 0)])
    producer = Producer({"bootstrap.servers": bootstrap, "compression.type": codec, "linger.ms": 50})
    copied = 0
    while copied < count:
        for one in consumer.consume(100, timeout=0.1):
            if one.error():
                raise SystemExit(str(one.error()))
            producer.produce(
                target,
                key=one.key(),
                value=one.value(),
                headers=one.headers(),
                timestamp=one.timestamp()[1],
                partition=0,
            )
            copied += 1
    producer.flush()
    consumer.close()


def main():
    client, bootstrap, *copies = sys.argv[1:]
    copy = {"kafka-python": kafka_python, "confluent": confluent}[client]
    for at in range(0, len(copies), 4):
        source, target, codec, count = copies[at : at + 4]
        copy(bootstrap, source, target, codec, int(count))
        print("copied", count, flush=True)


if __name__ == "__main__":
    main()
