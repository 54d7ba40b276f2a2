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
    "produce, refused: garbage body": "INVALID_RECORD says what is wrong, Kafka only UNKNOWN_SERVER_ERROR",
    "produce, refused: transactional without producer": "transactions are not served",
    "produce, refused: codec [57]": "CORRUPT_MESSAGE says what is wrong, Kafka only UNKNOWN_SERVER_ERROR",
    "produce, refused: broken gzip": "compressed records are not opened without a reason",
    "produce, refused: gzip": "compressed records are not opened without a reason",
    "produce, refused: gzip, empty": "compressed records are not opened without a reason",
    "produce, refused: gzip, cut off": "compressed records are not opened without a reason",
    "produce, refused: negative timestamp": "the header keeps the records' largest timestamp, below -1 too",
    "fetch, limits: negative limits": "a negative limit is a limit of 0, Kafka says UNKNOWN_SERVER_ERROR",
}

# Stories in which our answer need not be the same twice, so that it may agree or not.
VARYING = {
    "fetch: the budget goes to the first partition with data": "a fetch without a session starts at another partition each time, so that none is starved",
}

# We say why where Kafka leaves the text out.
SAYS_MORE = re.compile(r"error_message: Kafka None, we 'TEXT'$")


def is_deliberate(name):
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in DIFFERENCES)


def unexplained(found):
    return [line for line in found if not SAYS_MORE.search(line)]
