"""Typed values in a CSV file have one spelling: that of the canonical text that keyed treatments work on."""

from __future__ import annotations

import datetime as dt
import decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydp_cli.datasets.csv_dialect import CsvDialect
from pydp_cli.datasets.csv_text import has_text, text_of
from pydp_cli.datasets.csv_write import CsvEncoder, CsvSink
from pydp_cli.errors import UnsupportedType
from pydp_cli.transforms.canonical import canonical_text, has_canonical_text

INSTANTS = st.datetimes(dt.datetime(1700, 1, 1), dt.datetime(2200, 1, 1))  # noqa: DTZ001 - zoneless is meant
SPANS = st.timedeltas(dt.timedelta(days=-99), dt.timedelta(days=99))
VALUES = {
    pa.int8(): st.integers(-128, 127),
    pa.uint64(): st.integers(0, 2**64 - 1),
    pa.float16(): st.floats(width=16),
    pa.float32(): st.floats(width=32),
    pa.float64(): st.floats() | st.integers(-(2**60), 2**60).map(float),
    pa.bool_(): st.booleans(),
    pa.date32(): st.dates(),
    pa.date64(): st.dates(),
    pa.time32("ms"): st.times().map(lambda value: value.replace(microsecond=value.microsecond // 1000 * 1000)),
    pa.time64("us"): st.times(),
    pa.timestamp("us"): INSTANTS,
    pa.timestamp("ns", "Europe/Berlin"): INSTANTS,
    pa.timestamp("s"): INSTANTS.map(lambda value: value.replace(microsecond=0)),
    pa.duration("us"): SPANS,
    pa.decimal128(38, 9): st.decimals(-(10**20), 10**20, places=9),
    pa.binary(): st.binary(max_size=9),
    pa.large_binary(): st.binary(max_size=9),
    pa.binary(5): st.binary(min_size=5, max_size=5),
    pa.uuid(): st.uuids().map(lambda value: value.bytes),
    pa.null(): st.none(),
    pa.large_string(): st.text(max_size=5),
    pa.string_view(): st.text(max_size=5),
    pa.dictionary(pa.int8(), pa.string()): st.text(max_size=5),
    pa.dictionary(pa.int32(), pa.float64()): st.floats(),
}


@pytest.mark.parametrize("kind", VALUES, ids=str)
@given(data=st.data(), start=st.integers(0, 3))
def test_the_text_is_the_canonical_text(kind, data, start):
    values = data.draw(st.lists(st.none() | VALUES[kind], max_size=10))
    if pa.types.is_dictionary(kind):
        column = pa.array(values, kind.value_type).dictionary_encode().cast(kind).slice(start)
    else:
        column = pa.array(values, kind).slice(start)
    assert text_of(column).equals(canonical_text(column))
    assert has_text(kind)
    assert has_canonical_text(kind)


def test_each_type_reads_like_this():
    batch = pa.RecordBatch.from_pydict(
        {
            "i": pa.array([7]),
            "f": pa.array([1.0]),
            "d": pa.array([decimal.Decimal("0.0000001")]),
            "b": pa.array([True]),
            "day": pa.array([dt.date(2024, 2, 29)]),
            "at": pa.array(["2024-02-29 13:05:00.25"]).cast(pa.timestamp("us")),
            "zoned": pa.array([0], pa.timestamp("s", "Europe/Berlin")),
            "raw": pa.array([b"\xff\x00"]),
            "none": pa.nulls(1),
        }
    )
    written = CsvEncoder(CsvDialect()).encode(batch)
    assert written == b"7,1,0.0000001,true,2024-02-29,2024-02-29T13:05:00.25,1970-01-01T00:00:00Z,/wA=,\n"


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.int8()), pa.struct([("a", pa.int8())]), pa.map_(pa.string(), pa.int8())], ids=str
)
def test_nested_values_are_refused_before_anything_is_written(tmp_path, kind):
    with (tmp_path / "out.csv").open("wb") as out, pytest.raises(UnsupportedType) as caught:
        CsvSink(out, pa.schema([("plain", pa.int8()), ("nested", kind)]), CsvDialect())
    assert caught.value.place == 'column "nested"'
    assert (tmp_path / "out.csv").read_bytes() == b""
