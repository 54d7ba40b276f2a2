"""The document's programs, as they stand there, and the views: of the same events and lines the same.

These are `LambdaArchitecture` (section 6.1) and the word count (section 2.2).
"""

import collections
import datetime
import json
import random
import subprocess
import unicodedata
from decimal import Decimal

import pyarrow.parquet
import pytest

import document
import events
import tools
import views
from conftest import topic_of, write

FIELDS = ["total_events", "total_value", "first_event", "last_event", "recent_events", "last_event_time"]
COUNT = 400


@pytest.fixture(scope="module")
def program():
    """What the document's program has defined and found out when it has run."""
    document.check()
    names = {}
    exec(compile(document.block("6.1"), "section 6.1", "exec"), names)
    return names


@pytest.fixture
def served(bootstrap, name, tmp_path):
    """The view over a topic of its own."""
    with topic_of(bootstrap, name("document")) as topic, views.running(bootstrap, topic, tmp_path) as served:
        yield served


def generated(seed):
    """Events of the document's shape with their times, in no order of time.

    The document adds floats, of which a sum depends on the order, and the view adds digits. Here values are
    64ths, and few enough that both sums are exact. Some events do not tell their time: the record does. No
    other event has the same one.
    """
    chance = random.Random(seed)
    made = []
    for _ in range(COUNT):
        time = events.START + chance.randrange(events.DAYS * events.DAY // 1000) * 1000
        event = {"user_id": chance.choice(["user1", "user2", "ünïcødé", "user4", "user5"]), "event": "purchase"}
        if chance.random() < 0.9:
            event["value"] = chance.randrange(-1_000, 10_000) / 64
        if chance.random() < 0.8:
            event["timestamp"] = events.stamps(time)[0]
        else:
            time += 500
        made.append((time, event))
    return made


def with_times(stream):
    """The document's events, with their times."""
    utc = datetime.timezone.utc
    times = [datetime.datetime.fromisoformat(event["timestamp"]).replace(tzinfo=utc) for event in stream]
    return [(int(time.timestamp() * 1000), event) for time, event in zip(times, stream)]


def write_events(bootstrap, topic, made, seed):
    """Each goes to any partition, as it is: who asks must not see it."""
    chance = random.Random(seed)
    records = []
    for time, event in made:
        partition = chance.randrange(events.PARTITIONS)
        record = events.Record(partition, None, json.dumps(event).encode(), timestamp=time)
        record.user = event["user_id"]
        records.append(record)
    write(bootstrap, topic, records)
    return records


def of_document(results):
    """The document's answer by user, with numbers as digits."""
    return {
        user: {field: Decimal(str(found[field])) if field == "total_value" else found[field] for field in FIELDS}
        for user, found in results.items()
    }


def of_view(served, ends):
    at_least = views.coverage(served.topic, ends)
    return {row["key"]: row["value"] for row in served.all_keys("user_totals", at_least=at_least)}


def test_the_view_says_what_the_document_says(bootstrap, program, served):
    seed = tools.seed()
    made, ends = with_times(program["data_stream"]), {}

    def is_served(results, records):
        for record in records:
            ends[record.partition] = max(ends.get(record.partition, 0), record.offset + 1)
        wanted = of_document(results)
        # At once, as the speed layer has it, and of a snapshot.
        assert of_view(served, ends) == wanted
        served.snapshot_of("user_totals", ends)
        assert of_view(served, ends) == wanted

    # The document's own events, and what it prints of them itself.
    assert sorted(program["results"]) == ["user1", "user2"]
    is_served(program["results"], write_events(bootstrap, served.topic, made, seed))

    # What comes then is written in any order. The document calls the first and the last that it is given
    # the first and the last; the view goes by the time of the events. They mean the same where events
    # come in the order of their time, so that is how the document gets them.
    for number in range(2):
        more = generated(seed + number)
        made += more
        in_order = sorted(made, key=lambda own: own[0])
        results = program["LambdaArchitecture"]().process_data([event for _, event in in_order])
        is_served(results, write_events(bootstrap, served.topic, more, seed + number))


def test_its_layers_are_those_of_an_answer(bootstrap, program, served):
    """What `BatchLayer` and `SpeedLayer` say of a user each, the view says in one answer."""
    made = program["data_stream"]
    records = write_events(bootstrap, served.topic, with_times(made), tools.seed())
    ends = {record.partition: record.offset + 1 for record in records}
    batch = program["BatchLayer"]().process_batch(made)
    speed = {found["user_id"]: found for found in program["SpeedLayer"]().process_stream(made)}
    merged = program["ServingLayer"]().merge_results(speed.values(), batch)
    found = of_view(served, ends)
    assert found.keys() == batch.keys()
    for user, value in found.items():
        assert value["total_events"] == batch[user]["total_events"]
        assert value["recent_events"] == speed[user]["recent_events"]
        assert value["last_event_time"] == speed[user]["last_event_time"] == merged[user]["last_event_time"]


# Letters with and without case, numbers of all kinds, vowels that are marks, punctuation, and what is space for
# Python, four separators of old files among it.
LETTERS = "abcXYZ0189äÖßİΣσςдЖΩéñ用户世界हिन्दीกำไทยעִבְרִית٣½²ⅻⅫⒶ①_-'’.,!?…·\u00ad\u0301\u200d🦀"
SPACES = " \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2003\u2028\u202f\u3000"


def lines(seed):
    """Lines with words of any characters that Python knows."""
    chance = random.Random(seed)

    def character():
        while chance.random() < 0.3:
            one = chr(chance.randrange(0x20, 0x30000))
            if unicodedata.category(one) not in ("Cn", "Cs", "Co"):
                return one
        return chance.choice(LETTERS)

    def word():
        return "".join(character() for _ in range(chance.randrange(1, 6)))

    def space():
        return "".join(chance.choice(SPACES) for _ in range(chance.randrange(1, 3)))

    return ["".join(word() + space() for _ in range(chance.randrange(12))) for _ in range(COUNT)]


def test_words_are_those_of_the_mapper(bootstrap, name, tmp_path):
    document.check()
    names = {}
    exec(compile(document.block("2.2", "def map_function"), "section 2.2", "exec"), names)
    seed = tools.seed()
    made = [*names["documents"], *lines(seed)]
    wanted = collections.Counter(word for line in made for word, _ in names["map_function"](line))
    assert len(wanted) > COUNT
    chance = random.Random(seed)
    with topic_of(bootstrap, name("lines")) as topic:
        write(bootstrap, topic, [events.Record(chance.randrange(events.PARTITIONS), None, line.encode()) for line in made])
        command = [views.BINARY, "batch", "run", "--view", "word_count", "--input", topic]
        command += ["--bootstrap", bootstrap, "--snapshots", tmp_path]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    found = collections.Counter()
    for file in (tmp_path / "word_count" / "state").rglob("*.parquet"):
        for row in pyarrow.parquet.read_table(file).to_pylist():
            found[row["key"]] += int(row["value"])
    assert found == wanted
