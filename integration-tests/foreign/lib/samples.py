"""The records every client has to carry unharmed, and the codecs it has to carry them with."""

import random
import string

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]

# As much as a value may have under the limits that a broker has by itself, with room for the rest of
# its batch.
MEGABYTE = 1_000_000

# A fixed instant, so that timestamps can be compared exactly.
START = 1_700_000_000_000


class Sample:
    """One record: key, value, headers as pairs, timestamp in milliseconds."""

    def __init__(self, key, value, headers=(), timestamp=START):
        self.key = key
        self.value = value
        self.headers = list(headers)
        self.timestamp = timestamp

    def __repr__(self):
        size = None if self.value is None else len(self.value)
        return f"Sample(key={self.key!r}, {size} bytes, headers={self.headers!r}, {self.timestamp})"


def samples(null_headers=True):
    """Keys, tombstones, headers (twice the same key, null and empty values), sizes, timestamps.

    `null_headers` is off for clients that cannot send a header without a value.
    """
    headers = [("trace", b"1"), ("trace", b"2"), ("empty", b""), ("ütf", "wért".encode())]
    if null_headers:
        headers.append(("null", None))
    return [
        Sample(b"plain", b"value"),
        Sample(None, b"no key", timestamp=START + 1),
        Sample(b"", b"empty key", timestamp=START + 2),
        Sample(b"empty value", b"", timestamp=START + 3),
        Sample(b"tombstone", None, timestamp=START + 4),
        Sample(b"headers", b"with headers", headers, START + 5),
        Sample(b"tombstone", None, [("why", b"deleted")], START + 6),
        Sample(bytes(range(256)), bytes(range(256)) * 4, timestamp=START + 7),
        Sample(b"long", b"0123456789abcdef" * 4096, timestamp=START + 8),
        # Older than its predecessors: the broker must keep it as it is.
        Sample(b"back in time", b"late", timestamp=START - 5000),
    ]


def incompressible(size):
    """Bytes that no codec makes smaller, the same in every run."""
    return random.Random(size).randbytes(size)


def unpredictable_text(size):
    """As many letters, for tools that take lines of text."""
    return "".join(random.Random(size).choices(string.ascii_letters + string.digits, k=size))
