# The times are naive on purpose: that is what Parquet timestamps without a zone are.
# ruff: noqa: DTZ001

import datetime as dt
import decimal
import io
import json
import pickle
import string
import subprocess
import sys

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pydp_cli.datasets import parquet_read
from pydp_cli.datasets.formats import open_sink
from pydp_cli.datasets.parquet_read import open_parquet
from pydp_cli.datasets.parquet_write import ParquetSink
from pydp_cli.errors import InputError, OutputError

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
NAIVE = st.datetimes(dt.datetime(1678, 1, 1), dt.datetime(2262, 1, 1))
LEAVES = [
    (pa.bool_(), st.booleans()),
    (pa.int8(), st.integers(-128, 127)),
    (pa.uint16(), st.integers(0, 2**16 - 1)),
    (pa.uint32(), st.integers(0, 2**32 - 1)),
    (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    (pa.uint64(), st.integers(0, 2**64 - 1)),
    (pa.float16(), st.floats(width=16, allow_nan=False)),
    (pa.float32(), st.floats(width=32, allow_nan=False)),
    (pa.float64(), st.floats(allow_nan=False)),
    (pa.decimal128(12, 2), st.decimals(-(10**9), 10**9, places=2)),
    (pa.decimal256(60, 0), st.integers(-(10**59), 10**59).map(decimal.Decimal)),
    (pa.string(), TEXT),
    (pa.large_string(), TEXT),
    (pa.string_view(), TEXT),
    (pa.binary(), st.binary(max_size=8)),
    (pa.large_binary(), st.binary(max_size=8)),
    (pa.binary(4), st.binary(min_size=4, max_size=4)),
    (pa.date32(), st.dates()),
    (pa.time32("ms"), st.times().map(lambda t: t.replace(microsecond=t.microsecond // 1000 * 1000))),
    (pa.time64("us"), st.times()),
    (pa.timestamp("ms"), NAIVE.map(lambda t: t.replace(microsecond=0))),
    (pa.timestamp("us", "Europe/Berlin"), NAIVE.map(lambda t: t.replace(tzinfo=dt.timezone.utc))),
    (pa.timestamp("ns"), NAIVE),
    (pa.duration("us"), st.timedeltas(dt.timedelta(-(10**6)), dt.timedelta(10**6))),
    (pa.null(), st.none()),
    (pa.dictionary(pa.int8(), pa.string()), st.sampled_from(["a", "b", ""])),
    (pa.dictionary(pa.int32(), pa.large_string(), ordered=True), st.sampled_from(["x", "y"])),
    (pa.uuid(), st.uuids().map(lambda u: u.bytes)),
]


def nested(leaf):
    kind, values = leaf
    maybe = st.none() | values
    return [
        (pa.list_(kind), st.lists(maybe, max_size=3)),
        (pa.large_list(pa.field("odd name", kind)), st.lists(maybe, max_size=3)),
        (pa.list_(kind, 2), st.lists(maybe, min_size=2, max_size=2)),
        (pa.struct([("a", kind), ("b", pa.int16())]), st.fixed_dictionaries({"a": maybe, "b": st.integers(0, 9)})),
        (pa.map_(pa.string(), kind), st.lists(st.tuples(TEXT, maybe), max_size=3)),
    ]


@st.composite
def columns(draw, rows):
    leaf = draw(st.sampled_from(LEAVES))
    plain = not (isinstance(leaf[0], pa.BaseExtensionType) or pa.types.is_null(leaf[0]))
    kind, values = draw(st.sampled_from([leaf, *(nested(leaf) if plain else [])]))
    required = draw(st.booleans()) and not pa.types.is_null(kind)
    if isinstance(kind, pa.FixedSizeListType):
        required = True  # pyarrow itself cannot write a null one
    cells = draw(st.lists(values if required else st.none() | values, min_size=rows, max_size=rows))
    if pa.types.is_dictionary(kind):
        column = pa.array(cells, kind.value_type).dictionary_encode().cast(kind)
    else:
        column = pa.array(cells, kind)
    metadata = draw(st.none() | st.just({"note": "of the field"}))
    return pa.field("c", kind, nullable=not required, metadata=metadata), column


@st.composite
def tables(draw):
    rows = draw(st.integers(0, 40))
    drawn = draw(st.lists(columns(rows), min_size=1, max_size=5))
    fields = [field.with_name(f"{field.name}{number}") for number, (field, _) in enumerate(drawn)]
    metadata = draw(st.none() | st.dictionaries(st.text(string.ascii_letters, min_size=1), TEXT, max_size=2))
    return pa.table([column for _, column in drawn], pa.schema(fields, metadata=metadata))


CODECS = st.sampled_from(["none", "snappy", "gzip", "brotli", "lz4", "zstd"])


@st.composite
def written(draw):
    table = draw(tables())
    out = io.BytesIO()
    pq.write_table(
        table,
        out,
        # pyarrow cannot cut string views into row groups.
        row_group_size=50 if "view" in str(table.schema) else draw(st.integers(1, 50)),
        compression=draw(CODECS),
        use_dictionary=draw(st.booleans()),
        data_page_version=draw(st.sampled_from(["1.0", "2.0"])),
        write_page_checksum=draw(st.booleans()),
        write_page_index=draw(st.booleans()),
        store_schema=draw(st.booleans()),
    )
    return out.getvalue()


def copy(data, *, schema=None, change=None, like=True, **options):
    source = open_parquet(io.BytesIO(data), "in.parquet")
    out = io.BytesIO()
    sink = ParquetSink(out, schema or source.schema, source if like else None, **options)
    for chunk in source.chunks():
        for batch in chunk.read():
            sink.write(sink.encoder.encode(change(batch) if change else batch), chunk.group)
    sink.close()
    return out.getvalue()


def parquet(table, **options):
    out = io.BytesIO()
    pq.write_table(table, out, **options)
    return out.getvalue()


def read_groups(file):
    # One by one, because pyarrow cannot read a dictionary within a list from several row groups at once.
    return [
        file.read_row_group(group) for group in range(file.num_row_groups) if file.metadata.row_group(group).num_rows
    ]


def read(data):
    return pq.ParquetFile(io.BytesIO(data)).read()


@given(written())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_copy_has_the_same_cells_types_metadata_row_groups_and_layout(data):
    again = copy(data)
    before, after = pq.ParquetFile(io.BytesIO(data)), pq.ParquetFile(io.BytesIO(again))
    assert after.schema_arrow.equals(before.schema_arrow, check_metadata=True)
    assert read_groups(after) == read_groups(before)
    assert after.schema.equals(before.schema)
    assert set(after.metadata.metadata or {}) == set(before.metadata.metadata or {})
    rows = [before.metadata.row_group(group).num_rows for group in range(before.num_row_groups)]
    assert [after.metadata.row_group(group).num_rows for group in range(after.num_row_groups)] == [r for r in rows if r]
    layouts = [open_parquet(io.BytesIO(one), "x").layout for one in (data, again)]
    assert layouts[0] == layouts[1]


@given(written())
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_chunks_pickle_with_every_type(data):
    for chunk in open_parquet(io.BytesIO(data), "x").chunks():
        again = pickle.loads(pickle.dumps(chunk))
        assert again.group == chunk.group
        assert next(again.read()).equals(next(chunk.read()))


def test_a_pickled_slice_carries_its_own_rows_only():
    batch = pa.record_batch({"a": ["x" * 100] * 10_000}).slice(5, 10)
    assert len(pickle.dumps(parquet_read.BatchChunk(batch, 0))) < 5_000


def test_batches_are_small_and_row_groups_stay_whole(monkeypatch):
    monkeypatch.setattr(parquet_read, "BATCH_ROWS", 7)
    data = parquet(pa.table({"a": list(range(100))}), row_group_size=33)
    sizes = [next(chunk.read()).num_rows for chunk in open_parquet(io.BytesIO(data), "x").chunks()]
    assert max(sizes) == 7
    groups = pq.ParquetFile(io.BytesIO(copy(data))).metadata
    assert [groups.row_group(number).num_rows for number in range(groups.num_row_groups)] == [33, 33, 33, 1]


def test_dropped_rows_leave_row_groups_where_they_were():
    data = parquet(pa.table({"a": list(range(100))}), row_group_size=50)
    groups = pq.ParquetFile(io.BytesIO(copy(data, change=lambda batch: batch.slice(10)))).metadata
    assert [groups.row_group(number).num_rows for number in range(groups.num_row_groups)] == [40, 40]


def test_a_large_cell_makes_batches_of_few_rows():
    data = parquet(pa.table({"a": ["x" * 1_000_000] * 60}))  # one dictionary entry: small in the file
    assert len(data) < 500_000
    sizes = [next(chunk.read()).num_rows for chunk in open_parquet(io.BytesIO(data), "x").chunks()]
    assert max(sizes) <= 16
    assert sum(sizes) == 60


def test_a_row_group_too_large_for_memory_is_split():
    data = parquet(pa.table({"a": [str(n) * 20 for n in range(200_000)]}))
    groups = pq.ParquetFile(io.BytesIO(copy(data, group_bytes=1 << 20))).metadata
    assert groups.num_row_groups > 2
    assert groups.num_rows == 200_000


def test_nested_columns_keep_their_codec_by_leaf():
    table = pa.table({"a": [1], "l": [[{"q": 1, "r": "z"}]], "x.y": ["dot"]})
    codecs = {"a": "zstd", "l.list.element.q": "gzip", "l.list.element.r": "none", "x.y": "brotli"}
    data = parquet(table, compression=codecs)
    group = pq.ParquetFile(io.BytesIO(copy(data))).metadata.row_group(0)
    found = {group.column(n).path_in_schema: group.column(n).compression for n in range(group.num_columns)}
    assert found == {
        "a": "ZSTD", "l.list.element.q": "GZIP", "l.list.element.r": "UNCOMPRESSED", "x.y": "BROTLI",
    }  # fmt: skip


def test_encodings_bloom_filters_and_page_index_are_kept_and_made_from_the_new_values():
    table = pa.table({"n": list(range(1000)), "s": [f"v{n}" for n in range(1000)]})
    data = parquet(
        table,
        use_dictionary=["s"],
        column_encoding={"n": "DELTA_BINARY_PACKED"},
        write_page_index=True,
        bloom_filter_options={"s": {"ndv": 1000}},
    )
    schema = pa.schema([("n", pa.int64()), ("s", pa.string())])
    again = copy(data, schema=schema, change=lambda b: pa.record_batch([b["n"], pa.array(["z"] * len(b))], schema))
    group = pq.ParquetFile(io.BytesIO(again)).metadata.row_group(0)
    assert "DELTA_BINARY_PACKED" in group.column(0).encodings
    assert group.column(0).has_offset_index
    assert group.column(1).bloom_filter_offset is not None
    assert (group.column(1).statistics.min, group.column(1).statistics.max) == ("z", "z")
    assert b"v17" not in again


def test_sorting_is_kept_up_to_the_first_treated_column():
    order = [pq.SortingColumn(0), pq.SortingColumn(1, descending=True)]
    data = parquet(pa.table({"a": [1, 2], "b": [4, 3]}), sorting_columns=order)

    def sorting(treated):
        return list(pq.ParquetFile(io.BytesIO(copy(data, treated=treated))).metadata.row_group(0).sorting_columns)

    assert sorting(frozenset()) == order
    assert sorting(frozenset({"b"})) == order[:1]
    assert sorting(frozenset({"a"})) == []
    assert sorting(None) == []


def test_pandas_reads_the_result_back_after_columns_changed():
    frame = pd.DataFrame({"id": [1, 2], "gone": ["a", "b"], "when": pd.to_datetime(["2020-01-01", "2021-01-01"])})
    frame.index = pd.Index(["r1", "r2"], name="key")
    data = parquet(pa.Table.from_pandas(frame))
    old = open_parquet(io.BytesIO(data), "x").schema
    schema = pa.schema([pa.field("id", pa.string()), old.field("when")], metadata=old.metadata)
    again = copy(data, schema=schema, change=lambda b: pa.record_batch([b["id"].cast(pa.string()), b["when"]], schema))
    back = pd.read_parquet(io.BytesIO(again))
    assert list(back.columns) == ["id", "when"]
    assert back["id"].tolist() == ["1", "2"]
    notes = json.loads(pq.ParquetFile(io.BytesIO(again)).metadata.metadata[b"pandas"])
    assert [(one["name"], one["pandas_type"]) for one in notes["columns"]] == [("id", "unicode"), ("when", "datetime")]
    assert notes["index_columns"] == []


def test_pandas_keeps_its_index_when_nothing_changed():
    frame = pd.DataFrame({"c": pd.Categorical(["a", "b"])}, index=pd.Index([5, 6], name="key"))
    pd.testing.assert_frame_equal(pd.read_parquet(io.BytesIO(copy(parquet(pa.Table.from_pandas(frame))))), frame)


def test_field_metadata_is_stored_even_where_the_source_had_no_arrow_schema():
    data = parquet(pa.table({"a": ["x"]}), store_schema=False)
    field = pa.field("a", pa.string(), metadata={"pydp": "version 1"})
    again = copy(data, schema=pa.schema([field]))
    assert pq.ParquetFile(io.BytesIO(again)).schema_arrow.field("a").metadata[b"pydp"] == b"version 1"


def test_nulls_made_in_a_required_column_are_an_error_that_names_it():
    schema = pa.schema([pa.field("a", pa.int64(), nullable=False)])
    data = parquet(pa.table({"a": [1, 2]}, schema))
    with pytest.raises(OutputError, match='column "a"'):
        copy(data, change=lambda b: pa.record_batch([pa.nulls(len(b), pa.int64())], schema))


def moments(*texts):
    return pa.table({"t": pa.array([dt.datetime.fromisoformat(text) for text in texts], pa.timestamp("us"))})


def test_int96_timestamps_beyond_2262_are_not_wrapped_and_stay_int96():
    data = parquet(
        moments("0001-01-01", "1969-12-31T23:59:59.999999", "9999-12-31"), use_deprecated_int96_timestamps=True
    )
    again = copy(data)
    back = pq.ParquetFile(io.BytesIO(again), coerce_int96_timestamp_unit="us")
    assert back.schema.column(0).physical_type == "INT96"
    texts = ["0001-01-01", "1969-12-31T23:59:59.999999", "9999-12-31"]
    assert back.read().equals(moments(*texts))


def test_int96_timestamps_keep_their_nanoseconds_where_the_years_allow():
    data = parquet(pa.table({"l": pa.array([[1], None, [-1, 7]], pa.list_(pa.timestamp("ns")))}),
                   use_deprecated_int96_timestamps=True)  # fmt: skip
    assert read(copy(data)).equals(read(data))
    assert read(data)["l"].combine_chunks().flatten().cast(pa.int64()).to_pylist() == [1, -1, 7]


def test_int96_timestamps_that_fit_no_unit_are_refused():
    out = io.BytesIO()
    schema = pa.schema([("far", pa.timestamp("us")), ("fine", pa.timestamp("ns"))])
    with pq.ParquetWriter(out, schema, use_deprecated_int96_timestamps=True) as writer:
        far = pa.array([dt.datetime(9999, 1, 1)], pa.timestamp("us"))
        writer.write_table(pa.table([far, pa.array([1], pa.timestamp("ns"))], schema))
    with pytest.raises(InputError, match="INT96"):
        open_parquet(io.BytesIO(out.getvalue()), "x.parquet")


def test_timestamps_that_were_not_all_int96_are_written_as_int64():
    data = parquet(moments("2020-01-01"), use_deprecated_int96_timestamps=True)
    schema = pa.schema([("t", pa.timestamp("ns")), ("new", pa.timestamp("us"))])
    again = copy(data, schema=schema, change=lambda b: pa.record_batch([b["t"], b["t"].cast("timestamp[us]")], schema))
    leaves = pq.ParquetFile(io.BytesIO(again)).schema
    assert [leaves.column(n).physical_type for n in range(2)] == ["INT64", "INT64"]


COPY = """
import sys
from pydp_cli.datasets.memory import use_little_memory
from pydp_cli.datasets.parquet_read import open_parquet
from pydp_cli.datasets.parquet_write import ParquetSink
use_little_memory()
def peak():  # of this program alone: ru_maxrss would count the parent's, from before the exec
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
before = peak()
source = open_parquet(sys.argv[1], "x")
with open(sys.argv[2], "wb") as out:
    sink = ParquetSink(out, source.schema, source)
    for chunk in source.chunks():
        for batch in chunk.read():
            piece = sink.encoder.encode(batch)
            del batch
            sink.write(piece, chunk.group)
    sink.close()
print((peak() - before) // 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
def test_memory_is_bounded_by_a_row_group_and_not_by_the_file(tmp_path):
    rows = 1 << 17
    table = pa.table({f"c{column}": [f"{column}-{row:012}" for row in range(rows)] for column in range(5)})
    peaks = []
    for groups in (2, 8):
        path = tmp_path / f"{groups}.parquet"
        with pq.ParquetWriter(path, table.schema) as writer:
            for _ in range(groups):
                writer.write_table(table, row_group_size=rows)
        command = [sys.executable, "-c", COPY, str(path), str(tmp_path / "out.parquet")]
        peaks.append(int(subprocess.run(command, capture_output=True, check=True).stdout))
    assert peaks[1] < peaks[0] * 1.2


def test_a_file_without_rows_keeps_its_schema():
    data = parquet(pa.table({"a": pa.array([], pa.int8()), "b": pa.array([], pa.list_(pa.string()))}))
    assert read(copy(data)).equals(read(data))


def test_two_thousand_columns_pass():
    table = pa.table({f"c{number}": [number] for number in range(2000)})
    assert read(copy(parquet(table))).equals(table)


def test_a_new_file_has_row_groups_of_a_million_rows_and_checksums(monkeypatch):
    monkeypatch.setattr("pydp_cli.datasets.parquet_write.GROUP_ROWS", 1000)
    out = io.BytesIO()
    batch = pa.record_batch({"a": ["x"] * 400})
    sink = open_sink(out, None, batch.schema, like=open_parquet(io.BytesIO(parquet(pa.table({"a": ["x"]}))), "x"))
    sink._like = None  # as from CSV
    for _ in range(6):
        sink.write(sink.encoder.encode(batch), None)
    sink.close()
    groups = pq.ParquetFile(io.BytesIO(out.getvalue())).metadata
    assert [groups.row_group(number).num_rows for number in range(groups.num_row_groups)] == [1200, 1200]
