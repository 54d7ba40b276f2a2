"""Kafka's protocol spoken by hand: any request at any version, well-formed or not.

The message classes are those of kafka-python, which read Kafka's own schemas. Requests are built
from plain dicts, answers come back as plain dicts, so a story is data. Record batches are laid out
here byte by byte, because most stories need one that no client would send.
"""

import inspect
import socket
import struct
import uuid

import crc32c
import kafka.protocol.admin
import kafka.protocol.consumer
import kafka.protocol.metadata
import kafka.protocol.producer

import tools

MODULES = [kafka.protocol.admin, kafka.protocol.consumer, kafka.protocol.metadata, kafka.protocol.producer]
MESSAGES = {name: kind for module in MODULES for name, kind in inspect.getmembers(module, inspect.isclass)}
CLOSED = "the connection was closed"


class Closed(Exception):
    """The broker closed the connection instead of answering."""


class Broker:
    """One broker of a pair, with a connection that is opened again after each close."""

    def __init__(self, role, address):
        self.role = role
        self.address = address
        self.connection = None
        self.correlation = 0
        metadata = self.call("Metadata", 9, topics=[])
        (self.node,) = [entry["node_id"] for entry in metadata["brokers"]]

    def call(self, api, version, **fields):
        """Sends a request and gives the answer as a dict; `Closed` when the broker hung up."""
        return self.send(api, version, fields)()

    def answer(self, api, version, **fields):
        """Like `call`, but a closed connection is an answer too."""
        try:
            return self.call(api, version, **fields)
        except Closed:
            return CLOSED

    def send(self, api, version, fields):
        """Sends a request without waiting; the function given back waits for the answer."""
        request = build(MESSAGES[api + "Request"], fields, version)
        self.correlation += 1
        request.with_header(self.correlation, "differential")
        self.send_bytes(bytes(request.encode(version=version, header=True)))
        correlation = self.correlation

        def receive():
            body = self.receive_bytes()
            kind = MESSAGES[api + "Response"]
            assert int.from_bytes(body[:4], "big") == correlation, "the answers are out of order"
            # ApiVersions answers with the oldest header whatever the version of its body.
            flexible = kind.flexible_version_q(version) and api != "ApiVersions"
            rest = body[5:] if flexible else body[4:]
            return plain(kind.decode(rest, version=version).to_dict(json=False))

        return receive

    def send_bytes(self, body):
        """One frame with this body, header included."""
        self.send_unframed(len(body).to_bytes(4, "big") + body)

    def send_unframed(self, data):
        if self.connection is None:
            self.connection = socket.create_connection(tools.split_address(self.address), timeout=60)
        self.connection.sendall(data)

    def receive_bytes(self):
        """The body of the next frame."""
        return self._exactly(int.from_bytes(self._exactly(4), "big"))

    def hangs_up(self):
        """Whether the broker closes the connection without sending anything more."""
        try:
            self.receive_bytes()
        except Closed:
            return True
        return False

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def _exactly(self, size):
        data = b""
        while len(data) < size:
            try:
                more = self.connection.recv(size - len(data))
            except ConnectionError:
                more = b""
            if not more:
                self.close()
                raise Closed
            data += more
        return data

    # What stories need again and again.

    def topic(self, name, partitions=1, **configs):
        """Creates a topic and waits until the broker serves it; gives its id."""
        pairs = [{"name": key.replace("_", "."), "value": value} for key, value in configs.items()]
        topic = {"name": name, "num_partitions": partitions, "replication_factor": 1, "configs": pairs}
        (created,) = self.call("CreateTopics", 7, topics=[topic], timeout_ms=30_000)["topics"]
        assert created["error_code"] == 0, created

        # Metadata knows a partition a moment before its leader does, so the leader is asked.
        asked = [{"partition_index": index, "timestamp": -1, "current_leader_epoch": -1} for index in range(partitions)]
        question = {"replica_id": -1, "isolation_level": 0, "topics": [{"name": name, "partitions": asked}]}

        def served():
            (answer,) = self.call("ListOffsets", 4, **question)["topics"]
            return all(partition["error_code"] == 0 for partition in answer["partitions"])

        tools.wait_until(served, f"{name} on {self.role}")
        return created["topic_id"]

    def produce(self, topic, records, version=9, acks=-1, partition=0):
        """The answer for the only partition of a produce request."""
        name = {"topic_id": topic} if version >= 13 else {"name": topic}
        data = [{**name, "partition_data": [{"index": partition, "records": records}]}]
        answer = self.answer("Produce", version, acks=acks, timeout_ms=30_000, topic_data=data)
        return answer if answer is CLOSED else answer["responses"][0]["partition_responses"][0]

    def fetch(self, topic, offset, version=11, **options):
        """The whole answer to a fetch of one partition that does not wait for data."""
        of_partition = {"partition_max_bytes": 1 << 20, "current_leader_epoch": -1, "last_fetched_epoch": -1}
        of_partition.update((key, options.pop(key)) for key in list(options) if key in of_partition)
        partition = {"partition": options.pop("partition", 0), "fetch_offset": offset, **of_partition}
        name = {"topic_id": topic} if version >= 13 else {"topic": topic}
        settings = {"max_wait_ms": 0, "min_bytes": 1, "max_bytes": 1 << 24, "session_id": 0, "session_epoch": -1}
        return self.answer("Fetch", version, **{**settings, **options}, topics=[{**name, "partitions": [partition]}])

    def join(self, group, member_id="", **options):
        """A JoinGroup of version 7 with the protocols of an ordinary consumer."""
        settings = {
            "group_id": group,
            "session_timeout_ms": 30_000,
            "rebalance_timeout_ms": 30_000,
            "member_id": member_id,
            "protocol_type": "consumer",
            "protocols": [{"name": "range", "metadata": b"m"}],
        }
        return self.call("JoinGroup", options.pop("version", 7), **{**settings, **options})

    def stable(self, group, **options):
        """A group of one member that has its assignment; gives (member id, generation)."""
        member = self.join(group, **options)["member_id"]
        joined = self.join(group, member, **options)
        assert joined["error_code"] == 0, joined
        assignment = [{"member_id": member, "assignment": b"a"}]
        synced = self.call(
            *("SyncGroup", 4),
            group_id=group,
            generation_id=joined["generation_id"],
            member_id=member,
            assignments=assignment,
        )
        assert synced["error_code"] == 0, synced
        return member, joined["generation_id"]


def plain(value):
    """Bytes as hexadecimal text and ids as text, so that answers can be printed and compared."""
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [plain(entry) for entry in value]
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).hex()
    return str(value) if isinstance(value, uuid.UUID) else value


def build(kind, fields, version=None):
    """An instance of a kafka-python message class from nested dicts."""
    built = {}
    for name, value in fields.items():
        field = kind._struct.fields[name]
        if field.is_struct_array() and value is not None:
            value = [build(field.data_class, entry, version) if isinstance(entry, dict) else entry for entry in value]
        elif field.is_struct() and isinstance(value, dict):
            value = build(field.data_class, value, version)
        built[name] = value
    return kind(version=version, **built)


# Record batches


def varint(value):
    zigzag = (value << 1) ^ (value >> 63)
    out = bytearray()
    while zigzag > 0x7F:
        out.append(zigzag & 0x7F | 0x80)
        zigzag >>= 7
    return bytes(out + bytes([zigzag]))


def sized(data):
    """A byte field of a record: minus one for null."""
    return varint(-1) if data is None else varint(len(data)) + data


def record(delta, value, key=b"k", time_delta=0, headers=()):
    """One record of a version 2 batch."""
    body = b"\0" + varint(time_delta) + varint(delta) + sized(key) + sized(value) + varint(len(headers))
    body += b"".join(sized(name) + sized(content) for name, content in headers)
    return varint(len(body)) + body


def batch(
    values=(b"value",),
    *,
    key=b"k",
    time=1_700_000_000_000,
    step=1000,
    max_time=None,
    attributes=0,
    producer=(-1, -1, -1),
    base_offset=0,
    count=None,
    last_delta=None,
    magic=2,
    crc=None,
    body=None,
    length=None,
):
    """A version 2 record batch; everything a broker checks can be set wrong."""
    if body is None:
        body = b"".join(record(index, value, key, index * step) for index, value in enumerate(values))
    count = len(values) if count is None else count
    last = len(values) - 1 if last_delta is None else last_delta
    latest = time + (len(values) - 1) * step if max_time is None else max_time
    checked = struct.pack(">hiqqqhii", attributes, last, time, latest, *producer, count) + body
    crc = crc32c.crc32c(checked) if crc is None else crc
    after_length = struct.pack(">ibI", -1, magic, crc) + checked
    length = len(after_length) if length is None else length
    return struct.pack(">qi", base_offset, length) + after_length


def legacy(magic, value=b"old"):
    """A message set of one message in the format of magic 0 or 1."""
    import zlib

    time = struct.pack(">q", 1_700_000_000_000) if magic == 1 else b""
    checked = struct.pack(">bb", magic, 0) + time + struct.pack(">i", -1) + struct.pack(">i", len(value)) + value
    message = struct.pack(">I", zlib.crc32(checked)) + checked
    return struct.pack(">qi", 0, len(message)) + message
