"""DuckDB reads the files of a view as they are, and finds what was written and what is served."""

import json
import re
from collections import Counter
from decimal import Decimal

import duckdb
import pytest

import events
import tools
from conftest import WINDOW

EVENT_COLUMNS = {
    "key": "VARCHAR",
    "value": "VARCHAR",
    "__key_bytes": "BLOB",
    "__value_bytes": "BLOB",
    "__partition": "INTEGER",
    "__offset": "BIGINT",
    "__timestamp": "TIMESTAMP WITH TIME ZONE",
    "__headers": 'STRUCT("key" VARCHAR, "value" BLOB)[]',
    # Of the folders' names. DuckDB takes what begins with a zero for text, unless it is told.
    "topic": "VARCHAR",
    "year": "BIGINT",
    "month": "VARCHAR",
    "day": "VARCHAR",
}
NUMBERS = {"year": "BIGINT", "month": "BIGINT", "day": "BIGINT"}

STATE_COLUMNS = {"key": "VARCHAR", "key_bytes": "BLOB", "state": "BLOB", "value": "VARCHAR"}

# The events among the records, as a person would ask for them.
EVENTS = """
    SELECT *, fields->>'$.user_id' AS user,
        coalesce(CAST(fields->>'$.value' AS DECIMAL(18, 2)), 0) AS amount
    FROM (SELECT *, TRY_CAST(value AS JSON) AS fields FROM dated)
    WHERE fields->>'$.user_id' IS NOT NULL AND json_type(fields, '$.value') IS DISTINCT FROM 'BOOLEAN'
"""


@pytest.fixture
def sql(world):
    """A function from SQL to rows, over tables of what is in the files.

    `records`, with folders as they are; `dated`, with numbers of them; `events` of these; `states`, `windows`.
    """
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    raw = world.folder() / "events" / "*" / "*" / "*" / "*" / "*.parquet"
    connection.execute(f"CREATE VIEW records AS FROM read_parquet('{raw}', hive_partitioning = true)")
    connection.execute(f"CREATE VIEW dated AS FROM read_parquet('{raw}', hive_types = {NUMBERS})")
    connection.execute(f"CREATE VIEW events AS {EVENTS}")
    for name, view in [("states", "user_totals"), ("windows", "user_windows")]:
        files = [str(world.folder(view) / file["path"]) for file in world.manifests(view)[-1]["states"]]
        connection.execute(f"CREATE VIEW {name} AS FROM read_parquet({files}, filename = true)")
    yield lambda text: connection.execute(text).fetchall()
    connection.close()


def types(sql, table):
    return {name: kind for name, kind, *_ in sql(f"DESCRIBE {table}")}


def test_columns_have_the_types_that_the_guide_says(sql):
    assert types(sql, "records") == EVENT_COLUMNS
    assert types(sql, "dated") == {**EVENT_COLUMNS, **NUMBERS}
    assert types(sql, "states") == {**STATE_COLUMNS, "filename": "VARCHAR"}
    windowed = {**STATE_COLUMNS, "window_start": "TIMESTAMP WITH TIME ZONE", "filename": "VARCHAR"}
    assert types(sql, "windows") == windowed


def test_every_record_is_there_as_it_was_written(sql, world):
    found = {}
    columns = "__partition, __offset, key, __key_bytes, value, __value_bytes, epoch_ms(__timestamp), __headers"
    for partition, offset, key, key_bytes, value, value_bytes, time, headers in sql(f"SELECT {columns} FROM records"):
        assert (partition, offset) not in found, "a record is there twice"
        assert None in (key, key_bytes) and None in (value, value_bytes), "what is text is not there as bytes"
        key = key_bytes if key is None else key.encode()
        value = value_bytes if value is None else value.encode()
        found[partition, offset] = key, value, time, [(header["key"], header["value"]) for header in headers]
    written = {
        record.place: (record.key, record.value, record.timestamp, record.headers) for record in world.records
    }
    assert found == written


def test_days_are_counted(sql, world):
    found = sql("SELECT year, month, day, count(*) FROM dated GROUP BY ALL")
    assert {(year, month, day): count for year, month, day, count in found} == Counter(
        record.day for record in world.records
    )


@pytest.mark.parametrize("month, day", [(1, 31), (2, 1)])
def test_a_day_is_read_without_the_others(sql, world, month, day):
    wanted = f"year = 2023 AND month = {month} AND day = {day}"
    found = sql(f"SELECT user, count(*), sum(amount) FROM events WHERE {wanted} GROUP BY user")
    own = [record for record in world.records if record.day == (2023, month, day)]
    totals = {user: (total["total_events"], total["total_value"]) for user, total in events.totals(own).items()}
    assert {user: (count, amount) for user, count, amount in found} == totals
    files = len(list(world.folder().glob(f"events/topic=*/year=2023/month={month:02}/day={day:02}/*.parquet")))
    for table, wanted in [("dated", wanted), ("records", f"year = 2023 AND month = '{month:02}' AND day = '{day:02}'")]:
        ((count,),) = sql(f"SELECT count(*) FROM {table} WHERE {wanted}")
        assert count == len(own)
        ((_, plan),) = sql(f"EXPLAIN ANALYZE SELECT count(*) FROM {table} WHERE {wanted}")
        assert re.search(rf"Total Files Read: {files}\b", plan), plan


def test_sums_by_user_are_those_that_are_served(sql, world):
    found = sql("SELECT user, count(*), sum(amount) FROM events GROUP BY user")
    found = {user: (count, amount) for user, count, amount in found}
    written = events.totals(world.records)
    assert found == {user: (total["total_events"], total["total_value"]) for user, total in written.items()}
    rows = world.served.all_keys("user_totals", at_least=world.at_least)
    assert {row["key"]: row["value"] for row in rows} == written


def test_states_are_those_that_are_served(sql, world):
    numbers = "sum(CAST(value->>'$.total_events' AS BIGINT)), sum(CAST(value->>'$.total_value' AS DECIMAL(18, 2)))"
    found = sql(f"SELECT key, {numbers} FROM states GROUP BY key")
    found = {user: (count, amount) for user, count, amount in found}
    served = {row["key"]: row["value"] for row in world.served.all_keys("user_totals", at_least=world.at_least)}
    assert found == {user: (value["total_events"], value["total_value"]) for user, value in served.items()}
    # Where a user is in one partition alone, its one state is all that there is.
    for user, value in sql("SELECT key, any_value(value) FROM states GROUP BY key HAVING count(*) = 1"):
        assert json.loads(value, parse_float=Decimal) == served[user]
        answer = world.served.answer("user_totals", "keys", user, parts="true", at_least=world.at_least)
        assert answer["value"] == answer["parts"]["batch"] == served[user]
        assert answer["parts"]["speed"] is None


def test_windows_are_counted(sql, world):
    numbers = "sum(CAST(value->>'$.events' AS BIGINT)), sum(CAST(value->>'$.value' AS DECIMAL(18, 2)))"
    found = sql(f"SELECT key, epoch_ms(window_start), {numbers} FROM windows GROUP BY ALL")
    written = events.windows(world.records, WINDOW)
    assert {(user, start): [count, amount] for user, start, count, amount in found} == written
    user = events.USERS[0]
    rows = world.served.answer("user_windows", "windows", user, limit=1_000, at_least=world.at_least)["rows"]
    served = {(user, row["window"]["start"]): [row["value"]["events"], row["value"]["value"]] for row in rows}
    assert served == {name: own for name, own in written.items() if name[0] == user}


def test_the_question_of_the_guide(sql, world):
    guide = (tools.REPOSITORY / "docs" / "serving-guide.md").read_text()
    (question,) = re.findall(r"^```sql\n(.*?)^```", guide, re.S | re.M)
    assert question.count("'snapshots/") == 1
    found = sql(question.replace("'snapshots/", f"'{world.served.folder}/"))
    own = Counter(record.user for record in world.records if record.day == (2023, 1, 31))
    assert dict(found) == own
