"""Events of the document's shape, and what is to be found of them again, counted here.

What a view must not stumble over is among them: records that are no events, text that is not ASCII, keys
and values that are not UTF-8, headers without values, events that come days late.
"""

import datetime
import json
import random
from decimal import Decimal

PARTITIONS = 4
HOUR = 60 * 60 * 1000
DAY = 24 * HOUR

# 2023-01-30T00:00:00Z. The events are of five days, in two months.
START = 1_675_036_800_000
DAYS = 5

# When the records are said to have been written; an event that tells no time has this one.
WRITTEN = START + 10 * DAY

USERS = [f"user{number}" for number in range(40)] + [
    "ünïcødé", "пользователь", "用户", "emoji 🦀", "with space", "a/b", "50%", "?&#", 'qu"ote', "new\nline",
    "nul\0nul", "4711",
]

# Users with events in all partitions; each of the others has its own one.
EVERYWHERE = USERS[:5]

# Records that are no events, as (key, value).
BAD = [
    (b"tombstone", None),
    (b"empty", b""),
    (b"no json", b"not json"),
    (b"half", b'{"user_id": "user1", "value": 1'),
    (b"not utf-8", b"\xff\xfe\x00"),
    (b"\xff\x00\xfe", b'{"event": "nobody"}'),
    (None, b'{"user_id": null, "value": 1}'),
    (b"", b"[]"),
    ("ключ".encode(), b'{"user_id": "user1", "value": true}'),
]

HEADERS = [("trace", b"1"), ("trace", b"\xff\x00"), ("empty", b""), ("ünïcødé", "wért".encode()), ("null", None)]


class Record:
    """What is written, where it is then, and which event it is: without a user it is none."""

    def __init__(self, partition, key, value, headers=(), timestamp=WRITTEN):
        self.partition, self.key, self.value = partition, key, value
        self.headers, self.timestamp = list(headers), timestamp
        self.offset = None
        self.user, self.amount, self.stamp, self.time = None, Decimal(0), None, timestamp

    @property
    def place(self):
        return self.partition, self.offset

    @property
    def day(self):
        """(year, month, day) in UTC of the event's time."""
        date = moment(self.time)
        return date.year, date.month, date.day


def moment(time, offset=0):
    """Milliseconds since 1970 as a date of a zone so many hours east."""
    zone = datetime.timezone(datetime.timedelta(hours=offset))
    return datetime.datetime.fromtimestamp(time / 1000, zone)


def stamps(time):
    """One and the same moment, as an event may write it."""
    return [
        moment(time).strftime("%Y-%m-%dT%H:%M:%S"),
        moment(time).strftime("%Y-%m-%d %H:%M:%S"),
        # Of another day there, now and then.
        moment(time, 9).strftime("%Y-%m-%dT%H:%M:%S+09:00"),
        time,
    ]


def record_of(chance, user):
    """A record with an event of that user."""
    at_home = USERS.index(user) % PARTITIONS
    partition = chance.randrange(PARTITIONS) if user in EVERYWHERE else at_home
    time = START + chance.randrange(DAYS * DAY // 1000) * 1000
    fields = {"user_id": json.dumps(user, ensure_ascii=chance.random() < 0.5), "event": '"purchase"'}
    if user.isdigit() and chance.random() < 0.5:
        fields["user_id"] = user
    amount, stamp = Decimal(0), None
    kind = chance.random()
    if kind < 0.9:
        amount = Decimal(chance.randrange(-5_000, 100_000)).scaleb(-2)
        fields["value"] = str(amount)
    elif kind < 0.95:
        fields["value"] = "null"
    kind = chance.random()
    if kind < 0.9:
        stamp = chance.choice(stamps(time))
        fields["timestamp"] = json.dumps(stamp)
    elif kind < 0.95:
        stamp, time = "soon", None
        fields["timestamp"] = json.dumps(stamp)
    else:
        time = None
    text = "{" + ", ".join(f'"{name}": {value}' for name, value in fields.items()) + "}"
    record = Record(partition, user.encode(), text.encode(), timestamp=WRITTEN + chance.randrange(HOUR))
    record.user, record.amount, record.stamp = user, amount, stamp
    record.time = record.timestamp if time is None else time
    return record


def wave(seed, count):
    """So many events, by a seed, in no order of time, with all that is bad among them."""
    chance = random.Random(seed)
    records = [record_of(chance, chance.choice(USERS)) for _ in range(count)]
    for record in chance.sample(records, 20):
        record.headers = chance.sample(HEADERS, chance.randrange(1, len(HEADERS)))
    for key, value in BAD * 3:
        time = WRITTEN + chance.randrange(DAY)
        records.append(Record(chance.randrange(PARTITIONS), key, value, HEADERS[:2], time))
    chance.shuffle(records)
    return records


def totals(records):
    """By user, what the view has to answer."""
    found = {}
    # The first and the last one go by time; where times are equal, by place.
    for record in sorted(records, key=lambda record: (record.time, record.place)):
        if record.user is None:
            continue
        user = found.setdefault(
            record.user,
            {"total_events": 0, "total_value": Decimal(0), "first_event": None},
        )
        # As in the document: the first one is the first that there is, the last one is the last event's.
        if user["first_event"] is None:
            user["first_event"] = record.stamp
        user["total_events"] += 1
        user["total_value"] += record.amount
        user["last_event"] = record.stamp
    for user in found.values():
        user["recent_events"] = user["total_events"]
        user["last_event_time"] = user["last_event"]
    return found


def windows(records, size):
    """By user and start of a window, its number of events and the sum of their values."""
    found = {}
    for record in records:
        if record.user is not None:
            window = found.setdefault((record.user, record.time - record.time % size), [0, Decimal(0)])
            window[0] += 1
            window[1] += record.amount
    return found
