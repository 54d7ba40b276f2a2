"""Versions, framing and what makes a broker hang up."""

import struct

from stories import story, table
from wire import CLOSED, Closed


def header(key, version, correlation=77, client=b"raw"):
    return struct.pack(">hhih", key, version, correlation, len(client)) + client


@table("api versions, unsupported version", {"5": 5, "99": 99, "-1": -1, "32767": 32767})
def unsupported_api_versions(broker, names, version):
    """The answer is in the oldest form, whatever was asked, so that a newer client can go on."""
    # Newer versions have a flexible header: no tags, then a body as version 3 has it.
    rest = b"\0" + b"\x02a\x02b\0" if version >= 3 else b""
    broker.send_bytes(header(18, version) + rest)
    try:
        body = broker.receive_bytes()
    except Closed:
        return CLOSED
    correlation, error, count = struct.unpack_from(">ihi", body)
    keys = [struct.unpack_from(">hhh", body, 10 + 6 * index) for index in range(count)]
    return correlation, error, len(body) == 10 + 6 * count, [entry for entry in keys if entry[0] == 18]


@table(
    "api versions, client",
    {
        "good": ("client", "1.0"),
        "empty name": ("", "1.0"),
        "empty version": ("client", ""),
        "spaces": ("my client", "1.0"),
        "leading dash": ("-client", "1.0"),
        "dots and dashes": ("a.b-c", "1.0-rc.1"),
    },
)
def api_versions_client(broker, names, client):
    # Version 3 has a flexible header and two compact strings; kafka-python cannot read a refusal.
    name, version = (bytes([len(text) + 1]) + text.encode() for text in client)
    broker.send_bytes(header(18, 3) + b"\0" + name + version + b"\0")
    body = broker.receive_bytes()
    (error,) = struct.unpack_from(">h", body, 4)
    return error, body[6:].hex() if error else "the versions"


@table(
    "hang up",
    {
        "unknown key": header(999, 0),
        "negative key": header(-1, 0),
        "key without a handler": header(4, 0),
        "version too old": header(0, 1) + b"\0" * 20,
        "version too new": header(3, 99) + b"\0" * 20,
        "negative version": header(3, -1) + b"\0" * 20,
        "no header": b"\0\3",
        "body cut off": header(3, 1) + b"\0\0",
        "count beyond the frame": header(3, 1) + b"\x7f\xff\xff\xff",
        "string beyond the frame": header(3, 1) + struct.pack(">ih", 1, 30_000) + b"abc",
        "negative string": header(3, 1) + struct.pack(">ih", 1, -5),
        "client id beyond the frame": struct.pack(">hhih", 3, 1, 1, 30_000) + b"x",
        "count of a compact array": header(3, 9) + b"\0" + b"\xff\xff\xff\xff\x0f",
        "endless varint": header(3, 9) + b"\0" + b"\xff" * 20,
        "empty frame": b"",
    },
)
def hang_up(broker, names, body):
    broker.close()
    broker.send_bytes(body)
    return "hung up" if broker.hangs_up() else "answered"


@table("hang up, size", {"negative": b"\xff\xff\xff\xff", "beyond the limit": b"\x7f\xff\xff\xff", "text": b"GET / HTTP/1.1\r\n\r\n"})
def hang_up_size(broker, names, data):
    broker.close()
    broker.send_unframed(data)
    return "hung up" if broker.hangs_up() else "answered"


@story("null client id")
def null_client_id(broker, names):
    broker.send_bytes(struct.pack(">hhih", 3, 1, 5, -1) + b"\0\0\0\0")
    return broker.receive_bytes()[:4].hex()


@story("bytes after the request")
def trailing_bytes(broker, names):
    broker.send_bytes(header(3, 1) + b"\0\0\0\0" + b"more")
    try:
        return broker.receive_bytes()[:4].hex()
    except Closed:
        return CLOSED


@story("answers come in the order of the requests")
def pipelined(broker, names):
    name = names("topic")
    broker.topic(name)
    waiting = [
        broker.send("Fetch", 11, {
            "max_wait_ms": 300, "min_bytes": 1, "max_bytes": 1000, "session_id": 0, "session_epoch": -1,
            "topics": [{"topic": name, "partitions": [{"partition": 0, "fetch_offset": 0, "partition_max_bytes": 1000, "current_leader_epoch": -1}]}],
        }),
        broker.send("ApiVersions", 0, {}),
        broker.send("Metadata", 1, {"topics": []}),
    ]
    return [receive()["error_code"] if index < 2 else len(receive()["brokers"]) for index, receive in enumerate(waiting)]
