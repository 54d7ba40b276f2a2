"""What docs/serving-guide.md says of asking, asked by a plain HTTP client."""

import http.client
import json
import re
import threading

import pytest

import events
import tools
import views
from conftest import topic_of, write

GUIDE = (tools.REPOSITORY / "docs" / "serving-guide.md").read_text()

# What it says of the fields.
ASKING = re.search(r"^## Asking$(.*?)^### ", GUIDE, re.S | re.M)[1]

# The document's events of section 6.1, one behind the other.
SAMPLES = [
    {"user_id": "user1", "event": "login", "value": 0, "timestamp": "2023-01-01T10:00:00"},
    {"user_id": "user1", "event": "purchase", "value": 99.99, "timestamp": "2023-01-01T10:05:00"},
    {"user_id": "user2", "event": "login", "value": 0, "timestamp": "2023-01-01T10:10:00"},
]


def write_values(bootstrap, topic, values):
    write(bootstrap, topic, [events.Record(0, None, json.dumps(value).encode()) for value in values])


@pytest.fixture(scope="module")
def small(bootstrap, tmp_path_factory):
    """The document's events in a topic of one partition."""
    topic = tools.Names("guide")("user-events")
    with topic_of(bootstrap, topic, partitions=1):
        write_values(bootstrap, topic, SAMPLES)
        with views.running(bootstrap, topic, tmp_path_factory.mktemp("guide"), "--windows", "1h") as served:
            for view in ("user_totals", "user_windows"):
                served.snapshot_of(view, {0: len(SAMPLES)})
            yield served


def test_the_answer_of_the_guide(small):
    shown = json.loads(re.search(r"^```json\n(.*?)^```", GUIDE, re.S | re.M)[1])
    at_least = views.coverage(small.topic, {0: 3})
    _, _, text = small.request("GET", f"/views/user_totals/keys/user1?at_least={at_least}")
    answer = json.loads(text)
    assert list(answer) == list(shown)
    assert list(answer["value"].items()) == list(shown["value"].items())
    assert answer["begin"] == {small.topic: {"0": 0}} and answer["coverage"] == {small.topic: {"0": 3}}
    assert answer["snapshot"] in small.answer("user_totals")["snapshots"]
    assert answer["freshness_ms"] >= 0 and answer["final"] is False


def test_all_fields_are_in_the_guide(small):
    def named(body, *leave):
        for name, value in body.items():
            yield name
            if isinstance(value, dict) and name not in ("value", "begin", "coverage", *leave):
                yield from named(value)

    one = small.answer("user_windows", "windows", "user1", parts="true", limit=1)
    found = {
        *named(small.answer()),
        *named(small.answer("user_windows")),
        *named(one),
        *named(one["rows"][0], "parts"),
        *named(small.answer("user_totals", "keys", "user1", parts="true"), "parts"),
        *named(small.answer("user_totals", "many", key="user1")),
        *named(small.answer("user_totals", "top", by="total_value")),
        *named(json.loads(small.request("GET", "/health")[2])),
    }
    told = set(re.findall(r'[`"]([a-z_]+)[`"]', ASKING))
    assert found >= {"rows", "next", "answers", "by", "ranked", "start", "age_ms", "speed", "status"}
    assert found <= told, found - told


def test_limits_are_those_of_the_guide(small):
    for page, name, most in (("keys", "limit", 1_000), ("top", "k", 1_000)):
        more = {"by": "total_events"} if page == "top" else {}
        assert small.get("user_totals", page, **{name: most}, **more)[0] == 200
        assert small.get("user_totals", page, **{name: most + 1}, **more)[0] == 400
    assert small.get("user_totals", "many", key=["a"] * 100)[0] == 200
    assert small.get("user_totals", "many", key=["a"] * 101)[0] == 400
    for said in ("1 to 1,000", "100 if nothing is said", "up to 100 keys", "4 MiB", "10 seconds"):
        assert said in ASKING


def test_head_tells_what_get_would(small):
    status, headers, text = small.request("GET", "/views/user_totals/keys?limit=1")
    assert status == 200 and headers["content-length"] == str(len(text.encode()))
    status, other, text = small.request("HEAD", "/views/user_totals/keys?limit=1")
    assert (status, text) == (200, "") and other["content-type"] == headers["content-type"]
    assert small.request("HEAD", "/views/other")[0] == 404


def test_connections_are_kept_unless_it_is_said_otherwise(small):
    connection = http.client.HTTPConnection(small.address, timeout=120)
    connection.connect()
    kept = connection.sock
    for headers in ({}, {"Connection": "keep-alive"}, {"Connection": "close"}):
        connection.request("GET", "/health", headers=headers)
        answer = connection.getresponse()
        assert json.loads(answer.read()) == {"status": "running"}
        closes = headers.get("Connection") == "close"
        assert answer.will_close == closes
        assert connection.sock is (None if closes else kept)
    # What will be closed has been: nothing else comes.
    with http.client.socket.create_connection(small.address.rsplit(":", 1), timeout=120) as plain:
        plain.sendall(b"GET /health HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
        assert plain.makefile("rb").read().endswith(b'{"status":"running"}')


def test_parts_are_told_on_request(small):
    answer = small.answer("user_totals", "keys", "user1", parts="true")
    assert answer["parts"] == {"batch": answer["value"], "speed": None}
    assert "parts" not in small.answer("user_totals", "keys", "user1", parts="false")


def test_views_tell_what_they_are(small):
    listed = small.answer()["views"]
    assert [view["name"] for view in listed] == ["user_totals", "user_windows"]
    for view in listed:
        one = small.answer(view["name"])
        assert one["topics"] == [small.topic] and one["problem"] is None
        assert one["now"]["coverage"] == one["snapshot"]["coverage"] == {small.topic: {"0": 3}}
        assert view["definition"] == one["definition"] and view["fingerprint"] == one["fingerprint"]
        assert one["snapshot"]["id"] in one["snapshots"]


def test_ranges_and_prefixes_come_page_by_page(small):
    def keys(**parameters):
        return [row["key"] for row in small.answer("user_totals", "keys", **parameters)["rows"]]

    assert keys() == ["user1", "user2"]
    assert keys(**{"from": "user1", "to": "user2"}) == ["user1"]
    assert keys(prefix="user2") == ["user2"] and keys(prefix="other") == []
    first = small.answer("user_totals", "keys", limit=1)
    assert [row["key"] for row in first["rows"]] == ["user1"]
    second = small.answer("user_totals", "keys", limit=1, next=first["next"])
    assert [row["key"] for row in second["rows"]] == ["user2"] and second["next"] is None


def test_several_keys_are_answered_at_once(small):
    answers = small.answer("user_totals", "many", key=["user2", "nobody", ""])["answers"]
    assert [answer["key"] for answer in answers] == ["user2", "nobody", ""]
    assert [answer["value"] and answer["value"]["total_events"] for answer in answers] == [1, None, None]


def test_windows_and_the_largest(small):
    start = 1_672_567_200_000
    window = {"start": start, "end": start + events.HOUR}
    (row,) = small.answer("user_windows", "windows", "user1")["rows"]
    assert row["window"] == window and row["value"]["events"] == 2
    assert small.answer("user_windows", "windows", "user1", **{"from": start, "to": start + 1})["rows"] == [row]
    assert small.answer("user_windows", "windows", "user1", to=start)["rows"] == []
    assert small.answer("user_windows", "keys", "user1", window=start)["value"] == row["value"]
    top = small.answer("user_totals", "top", by="total_value", k=1)
    assert [row["key"] for row in top["rows"]] == ["user1"]
    assert (top["by"], top["ranked"], top["left_out"]) == ("total_value", 2, 0)
    assert small.request("GET", "/health")[0] == 200
    assert json.loads(small.request("GET", "/")[2])["pages"]


def test_keys_are_any_text(world):
    totals = events.totals(world.records)
    for user in events.USERS:
        answer = world.served.answer("user_totals", "keys", user, at_least=world.at_least)
        assert (answer["key"], answer["value"]) == (user, totals[user])


def test_answers_of_a_snapshot_that_is_held(world):
    held = world.served.answer("user_totals")["snapshots"]
    assert 1 <= len(held) <= 2
    manifests = {manifest["snapshot"]: manifest for manifest in world.manifests()}
    for snapshot in held:
        answer = world.served.answer("user_totals", "keys", "user1", snapshot=snapshot, parts="true")
        assert answer["snapshot"] == snapshot
        assert answer["value"] == events.totals(world.records)["user1"]
        # It is read with: the batch part is what that one has.
        (source,) = manifests[snapshot]["sources"]
        ends = {own["partition"]: own["to"] for own in source["partitions"]}
        inside = [record for record in world.records if record.offset < ends.get(record.partition, 0)]
        assert answer["parts"]["batch"] == events.totals(inside).get("user1")


@pytest.mark.parametrize("form", ["text", "json"])
def test_what_is_wanted_is_waited_for(bootstrap, name, tmp_path, form):
    with topic_of(bootstrap, name(form), partitions=1) as topic, views.running(bootstrap, topic, tmp_path) as served:
        at_least = {"text": f"{topic}:0:3", "json": json.dumps({topic: {"0": 3}})}[form]
        found = []
        asking = threading.Thread(
            target=lambda: found.append(served.get("user_totals", "keys", "user1", at_least=at_least))
        )
        asking.start()
        write_values(bootstrap, topic, SAMPLES)
        asking.join()
        ((status, answer),) = found
        assert status == 200 and answer["value"]["total_events"] == 2, answer
        assert answer["coverage"] == {topic: {"0": 3}}


def test_what_does_not_come_is_said_to_be_missing(small):
    status, body = small.get("user_totals", "keys", "user1", at_least=f"{small.topic}:0:1000")
    assert status == 503 and body["error"]["code"] == "behind"
    missing = {"topic": small.topic, "partition": 0, "covered": 3, "wanted": 1000, "missing": 997}
    assert body["missing"] == [missing]
    assert "997 short of 1000" in body["error"]["message"]


KEY = "/views/user_totals/keys/user1"

REFUSED = [
    ("/views/other", 404, "unknown_view"),
    ("/views/other/keys/user1", 404, "unknown_view"),
    ("/views/user_totals/keys/nobody", 404, "unknown_key"),
    (f"{KEY}?snapshot=1000000", 404, "unknown_snapshot"),
    ("/nothing", 404, "unknown_page"),
    ("/views/user_totals/keys/", 404, "unknown_page"),
    (f"{KEY}?at_least=user_events", 400, "bad_coverage"),
    (f"{KEY}?at_least=TOPIC:0", 400, "bad_coverage"),
    (f"{KEY}?at_least=TOPIC:0:-1", 400, "bad_coverage"),
    (f"{KEY}?at_least=TOPIC:0:1,TOPIC:0:2", 400, "bad_coverage"),
    (f"{KEY}?at_least=%7B%22TOPIC%22:%7B%220%22:%22x%22%7D%7D", 400, "bad_coverage"),
    (f"{KEY}?at_least=%7B%22TOPIC%22", 400, "bad_coverage"),
    (f"{KEY}?at_least=%7B%22TOPIC%22:%7B%220%22:1,%220%22:0%7D%7D", 400, "bad_coverage"),
    (f"{KEY}?at_least=other:0:3", 400, "bad_coverage"),
    (f"{KEY}?at_least=TOPIC:1:0", 400, "bad_coverage"),
    (f"{KEY}?at_least=", 400, "bad_coverage"),
    (f"{KEY}?at_least=%7B%7D", 400, "bad_coverage"),
    (f"{KEY}?snapshot=", 400, "bad_parameter"),
    ("/?what=1", 400, "bad_parameter"),
    ("/health?what=1", 400, "bad_parameter"),
    ("/views?snapshot=1", 400, "bad_parameter"),
    ("/views/user_totals?at_least=TOPIC:0:1", 400, "bad_parameter"),
    (f"{KEY}?parts=maybe", 400, "bad_parameter"),
    (f"{KEY}?parts=true&parts=true", 400, "bad_parameter"),
    (f"{KEY}?what=1", 400, "bad_parameter"),
    (f"{KEY}?snapshot=x", 400, "bad_parameter"),
    (f"{KEY}?window=5", 400, "bad_key"),
    ("/views/user_totals/keys/%FF", 400, "bad_parameter"),
    ("/views/user_totals/keys?limit=0", 400, "bad_parameter"),
    ("/views/user_totals/keys?limit=1001", 400, "bad_parameter"),
    ("/views/user_totals/keys?next=%21", 400, "bad_parameter"),
    ("/views/user_totals/many?key=%FF", 400, "bad_parameter"),
    ("/views/user_totals/keys?prefix=u&from=a", 400, "bad_parameter"),
    ("/views/user_totals/many", 400, "bad_parameter"),
    ("/views/user_totals/top", 400, "bad_parameter"),
    ("/views/user_totals/top?by=first_event", 400, "bad_parameter"),
    ("/views/user_totals/top?by=total_value&k=x", 400, "bad_parameter"),
    ("/views/user_totals/windows/user1", 400, "bad_key"),
    ("/views/user_windows/keys/user1", 400, "bad_key"),
    ("/views/user_windows/keys/user1?window=5", 400, "bad_parameter"),
    ("/views/user_windows/windows/user1?from=x", 400, "bad_parameter"),
]


@pytest.mark.parametrize("path, status, code", REFUSED)
def test_what_cannot_be_answered_says_why(small, path, status, code):
    found, headers, text = small.request("GET", path.replace("TOPIC", small.topic))
    assert headers["content-type"] == "application/json"
    error = json.loads(text)["error"]
    assert (found, error["code"]) == (status, code), text
    assert set(error) <= {"code", "message", "hint"} and error["message"]
    assert f"`{code}`" in GUIDE


def test_errors_tell_what_there_is(small):
    def refused(*path, **parameters):
        return small.get(*path, **parameters)[1]

    assert "user_totals" in refused("other")["error"]["hint"]
    assert refused("user_totals", "keys", "nobody")["coverage"] == {small.topic: {"0": 3}}
    assert refused("user_totals", "keys", "user1", snapshot=9)["held"] == small.answer("user_totals")["snapshots"]
    assert small.topic in refused("user_totals", "keys", "user1", at_least="other:0:3")["error"]["hint"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_there_is_nothing_but_get(small, method):
    status, headers, text = small.request(method, KEY)
    assert (status, json.loads(text)["error"]["code"]) == (405, "only_get")
    assert headers["allow"] == "GET,HEAD"
