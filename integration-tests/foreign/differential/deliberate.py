"""Where our answers differ from Apache Kafka's on purpose, and why.

A story listed here must differ: one that agrees again has to be taken out.
"""

import fnmatch
import re

DIFFERENCES = {
    "describe configs, resource: unknown group": "configs of groups are not served: an error says so",
    "incremental alter: unknown operation": "INVALID_REQUEST says what is wrong, Kafka only UNKNOWN_SERVER_ERROR",
    "offset commit and fetch by topic id": "version 10 is not served: the codec cannot read its requests",
    "list offsets, version: 11": "version 11 is not served: the codec cannot read it",
    "list offsets, special: * at 11": "version 11 is not served: the codec cannot read it",
    "produce, refused: offsets backwards": "Kafka stores it with its offsets out of order",
    "produce, refused: gzip, offsets backwards": "Kafka numbers the records anew",
    "produce, refused: garbage body": "INVALID_RECORD says what is wrong, Kafka only UNKNOWN_SERVER_ERROR",
    "produce, refused: transactional without producer": "transactions are not served",
    "produce, refused: codec [57]": "CORRUPT_MESSAGE says what is wrong, Kafka only UNKNOWN_SERVER_ERROR",
    "produce, refused: broken gzip": "CORRUPT_MESSAGE says what is wrong, Kafka only UNKNOWN_SERVER_ERROR",
    "produce, refused: gzip, cut off": "CORRUPT_MESSAGE says what is wrong, Kafka only UNKNOWN_SERVER_ERROR",
    "fetch, limits: negative limits": "a negative limit is a limit of 0, Kafka says UNKNOWN_SERVER_ERROR",
}

# We say why where Kafka leaves the text out.
SAYS_MORE = re.compile(r"error_message: Kafka None, we 'TEXT'$")


def is_deliberate(name):
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in DIFFERENCES)


def unexplained(found):
    return [line for line in found if not SAYS_MORE.search(line)]
