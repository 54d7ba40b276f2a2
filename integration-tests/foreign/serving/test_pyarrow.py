"""pyarrow reads the files of a view as they are: their columns, their footers and what their manifests say."""

import json
import zlib

import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet
import pytest

import views

HEADERS = pa.struct([pa.field("key", pa.string(), nullable=False), pa.field("value", pa.binary())])

EVENT_SCHEMA = pa.schema(
    [
        pa.field("key", pa.string()),
        pa.field("value", pa.string()),
        pa.field("__key_bytes", pa.binary()),
        pa.field("__value_bytes", pa.binary()),
        pa.field("__partition", pa.int32(), nullable=False),
        pa.field("__offset", pa.int64(), nullable=False),
        pa.field("__timestamp", pa.timestamp("ms", tz="UTC"), nullable=False),
        pa.field("__headers", pa.list_(pa.field("element", HEADERS, nullable=False)), nullable=False),
    ]
)

WINDOW_START = pa.field("window_start", pa.timestamp("ms", tz="UTC"), nullable=False)


def state_schema(windowed):
    return pa.schema(
        [
            pa.field("key", pa.string(), nullable=False),
            pa.field("key_bytes", pa.binary()),
            *([WINDOW_START] if windowed else []),
            pa.field("state", pa.binary(), nullable=False),
            pa.field("value", pa.string(), nullable=False),
        ]
    )


VIEWS = ["user_totals", "user_windows"]


@pytest.fixture(params=VIEWS)
def view(request):
    return request.param


def events_of(world, view):
    """All files of raw events that manifests name."""
    return [file for manifest in world.manifests(view) for file in manifest["events"]]


def states_of(world, view):
    return world.manifests(view)[-1]["states"]


def footer(file):
    """The file as Parquet, and what its footer says of it."""
    parquet = pyarrow.parquet.ParquetFile(file)
    said = parquet.metadata.metadata or {}
    return parquet, {key.decode(): value.decode() for key, value in said.items() if key.startswith(b"tidemark.")}


def test_there_are_several_snapshots_each_with_events_of_its_own(world, view):
    manifests = world.manifests(view)
    assert len([manifest for manifest in manifests if manifest["events"]]) >= 3
    assert [manifest.get("parent") for manifest in manifests] == [
        None,
        *(manifest["snapshot"] for manifest in manifests[:-1]),
    ]


def test_manifests_name_the_files_that_there_are(world, view):
    folder = world.folder(view)
    named = {file["path"] for file in events_of(world, view)}
    assert named == {str(file.relative_to(folder)) for file in folder.glob("events/**/*.parquet")}
    for file in [*events_of(world, view), *states_of(world, view)]:
        path = folder / file["path"]
        assert path.stat().st_size == file["bytes"], path
        assert views.crc32(path) == file["crc32"], path
        assert pyarrow.parquet.read_metadata(path).num_rows == file["rows"], path


def test_manifests_have_a_checksum_of_their_own(world, view):
    for file in (world.folder(view) / "manifests").glob("*.json"):
        text = file.read_text()
        own = json.loads(text)["crc32"]
        before, _, behind = text.rpartition(f'"crc32": {own}')
        assert zlib.crc32(f'{before}"crc32": 0{behind}'.encode()) == own, file


def test_events_are_a_data_set(world, view):
    data = pa.dataset.dataset(world.folder(view) / "events", partitioning="hive")
    of_files = pa.schema([field for field in data.schema if field.name in EVENT_SCHEMA.names])
    assert of_files.equals(EVENT_SCHEMA), of_files
    folders = [field.name for field in data.schema if field.name not in EVENT_SCHEMA.names]
    assert folders == ["topic", "year", "month", "day"]
    table = data.to_table()
    places = zip(table["__partition"].to_pylist(), table["__offset"].to_pylist())
    assert sorted(places) == sorted(record.place for record in world.records)
    # A day by itself.
    february = pa.dataset.field("month") == 2
    assert data.count_rows(filter=february) == len([r for r in world.records if r.day[1] == 2])


def test_files_of_events_say_which_ones_they_have(world, view):
    for file in events_of(world, view):
        parquet, said = footer(world.folder(view) / file["path"])
        assert parquet.schema_arrow.equals(EVENT_SCHEMA), parquet.schema_arrow
        assert said == {
            "tidemark.topic": world.topic,
            "tidemark.partition": str(file["partition"]),
            "tidemark.from": str(file["from"]),
            "tidemark.to": str(file["to"]),
        }
        assert f"/part-{file['partition']}-{file['from']}-{file['to']}-" in file["path"]
        offsets = parquet.read(["__offset"])["__offset"].to_pylist()
        assert offsets == sorted(set(offsets))
        assert (offsets[0], offsets[-1] + 1) == (file["from"], file["to"])


def test_files_of_states_say_what_they_are_of(world, view):
    manifest = world.manifests(view)[-1]
    [source] = manifest["sources"]
    ranges = {own["partition"]: own for own in source["partitions"]}
    for file in manifest["states"]:
        parquet, said = footer(world.folder(view) / file["path"])
        windowed = view == "user_windows"
        assert parquet.schema_arrow.equals(state_schema(windowed)), parquet.schema_arrow
        # A file that has nothing new stays the parent's.
        assert int(said.pop("tidemark.snapshot")) <= manifest["snapshot"]
        assert said == {
            "tidemark.view": view,
            "tidemark.fingerprint": manifest["fingerprint"],
            "tidemark.topic": world.topic,
            "tidemark.partition": str(file["partition"]),
            "tidemark.begin": str(ranges[file["partition"]]["begin"]),
            "tidemark.to": str(ranges[file["partition"]]["to"]),
        }
        columns = parquet.read().to_pydict()
        starts = columns.get("window_start", [None] * len(columns["key"]))
        keys = [
            (key.encode() if other is None else other, start)
            for key, other, start in zip(columns["key"], columns["key_bytes"], starts)
        ]
        assert keys == sorted(set(keys))
        assert all(json.loads(value) for value in columns["value"])


# Nobody asks for a range of these.
OPAQUE = {"state": {"value", "state"}, "events": {"value", "__value_bytes"}}


def test_columns_are_packed_with_zstd_and_have_statistics(world, view):
    for file in [*events_of(world, view), *states_of(world, view)]:
        metadata = pyarrow.parquet.read_metadata(world.folder(view) / file["path"])
        assert metadata.created_by.startswith("tidemark version ")
        for group in range(metadata.num_row_groups):
            for at in range(metadata.num_columns):
                column = metadata.row_group(group).column(at)
                what = (file["path"], column.path_in_schema)
                assert column.compression == "ZSTD", what
                opaque = column.path_in_schema in OPAQUE[file["path"].split("/")[0]]
                assert (column.statistics is None) == opaque, what
                assert column.has_column_index != opaque, what
                assert column.has_offset_index or opaque, what
                if column.path_in_schema == "__offset":
                    found = column.statistics
                    assert (found.min, found.max + 1) == (file["from"], file["to"]), what
