"""Prints the offsets that a group has committed for a topic, one `partition offset` a line.

    committed.py HOST:PORT GROUP TOPIC PARTITIONS

kcat cannot tell, so this asks by hand: one OffsetFetch of version 1, sent to the only broker there
is. A partition without a committed offset answers -1. Needs nothing but Python itself.
"""

import socket
import struct
import sys


def text(value):
    return struct.pack(">h", len(value)) + value.encode()


def main():
    address, group, topic, partitions = sys.argv[1:]
    host, port = address.rsplit(":", 1)
    count = int(partitions)
    header = struct.pack(">hhi", 9, 1, 1) + text("demo")
    asked = struct.pack(f">i{count}i", count, *range(count))
    request = header + text(group) + struct.pack(">i", 1) + text(topic) + asked
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(struct.pack(">i", len(request)) + request)
        answer = connection.makefile("rb")
        (size,) = struct.unpack(">i", answer.read(4))
        body = answer.read(size)
    # Correlation id, one topic with its name, then the partitions.
    position = 4 + 4 + len(text(topic))
    (found,) = struct.unpack_from(">i", body, position)
    position += 4
    offsets = {}
    for _ in range(found):
        partition, offset, metadata = struct.unpack_from(">iqh", body, position)
        position += 14 + max(metadata, 0)
        (error,) = struct.unpack_from(">h", body, position)
        position += 2
        if error:
            sys.exit(f"partition {partition} answers error {error}")
        offsets[partition] = offset
    for partition in sorted(offsets):
        print(partition, offsets[partition])


if __name__ == "__main__":
    main()
