"""Where our answers differ from Apache Kafka's on purpose, and why.

A story listed here must differ in exactly the lines that deliberate.json keeps for it, both sides of
each. When an answer changes on purpose, UPDATE_DIFFERENCES=1 writes the file anew; read the change
before you keep it.
"""

import fnmatch
import json
import os
import pathlib
import re

import stories

REASONS = {
    "describe configs, resource: unknown group": "configs of groups are not served: an error says so",
    "incremental alter: unknown operation": "INVALID_REQUEST says what is wrong, Kafka only UNKNOWN_SERVER_ERROR",
    "offset commit and fetch by topic id": "version 10 is not served: the codec cannot read its requests",
    "list offsets, version: 11": "version 11 is not served: the codec cannot read it",
    "list offsets, special: * at 11": "version 11 is not served: the codec cannot read it",
    "produce, refused: offsets backwards": "Kafka stores it with its offsets out of order",
    "produce, refused: gzip, offsets backwards": "INVALID_RECORD says what is wrong, Kafka only UNKNOWN_SERVER_ERROR",
    "produce, refused: garbage body": "INVALID_RECORD says what is wrong, Kafka only UNKNOWN_SERVER_ERROR",
    "produce, refused: transactional without producer": "transactions are not served",
    "produce, refused: codec [57]": "CORRUPT_MESSAGE says what is wrong, Kafka only UNKNOWN_SERVER_ERROR",
    "produce, refused: broken gzip": "CORRUPT_MESSAGE says what is wrong, Kafka only UNKNOWN_SERVER_ERROR",
    "produce, refused: gzip, cut off": "CORRUPT_MESSAGE says what is wrong, Kafka only UNKNOWN_SERVER_ERROR",
    "fetch, limits: negative limits": "a negative limit is a limit of 0, Kafka says UNKNOWN_SERVER_ERROR",
    "twice, offset fetch*": "what is named again is answered once: no answer is many times its request",
    "twice, describe configs*": "what is named again is answered once: no answer is many times its request",
    "twice, describe groups*": "what is named again is answered once: no answer is many times its request",
    "twice, find coordinator": "what is named again is answered once: no answer is many times its request",
    "twice, list offsets*": "each mention of a partition is refused, Kafka's answer names it once",
    "offsets topic, create partitions*": "the groups' offsets would no longer be where they are looked for",
}

# We say why where Kafka leaves the text out.
SAYS_MORE = re.compile(r"error_message: Kafka None, we 'TEXT'$")

FILE = pathlib.Path(__file__).with_name("deliberate.json")
EXPECTED = json.loads(FILE.read_text()) if FILE.exists() else {}


def is_deliberate(name):
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in REASONS)


def unexplained(found):
    return [line for line in found if not SAYS_MORE.search(line)]


def expected(name, found):
    """The lines in which a story has to differ; those that were found when the file is to be renewed."""
    if "UPDATE_DIFFERENCES" in os.environ:
        EXPECTED[name] = found
        kept = {story: EXPECTED[story] for story in stories.ALL if is_deliberate(story) and story in EXPECTED}
        EXPECTED.clear()
        EXPECTED.update(kept)
        FILE.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")
    return EXPECTED.get(name, [])
