"""Row groups that were encoded apart and joined are the file that is written in one go, to the byte."""

import io

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pydp_cli.datasets.parquet_splice import Splicer, read_footer
from pydp_cli.datasets.thrift_compact import Items, Pairs, Reader, Struct, write_struct

ROWS = 900
TABLE = pa.table(
    {
        "id": pa.array(range(ROWS), pa.int32()),
        "text": [None if number % 13 == 0 else f"value {number % 70}" for number in range(ROWS)],
        "nested": [{"a": [number] * (number % 4), "b": {"c": number / 3}} for number in range(ROWS)],
        "day": pa.array(range(ROWS), pa.int32()).cast(pa.date32()),
        "money": pa.array([f"{number}.25" for number in range(ROWS)]).cast(pa.decimal128(12, 2)),
        "wide": pa.array(np.arange(ROWS, dtype="float16")),
    }
).replace_schema_metadata({b"made": b"here"})
OPTIONS = {
    "plain": {},
    "page index": {"write_page_index": True, "data_page_size": 512},
    "checksums": {"write_page_checksum": True, "compression": "zstd"},
    "version 2": {"data_page_version": "2.0", "compression": "gzip", "use_dictionary": False},
    "bloom": {"bloom_filter_options": {"text": {"ndv": 100, "fpp": 0.01}}, "write_page_index": True},
    "sorted": {"sorting_columns": [pq.SortingColumn(0)]},
}


def written(table, groups_of, **options):
    out = io.BytesIO()
    pq.write_table(table, out, row_group_size=groups_of, **options)
    return out.getvalue()


def spliced(parts):
    out = io.BytesIO()
    splicer = Splicer(out)
    for part in parts:
        splicer.append(part)
    splicer.close()
    return out.getvalue()


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("at_once", [1, 2])
def test_joined_parts_are_the_whole_to_the_byte(options, at_once):
    step = 300 * at_once
    parts = [written(TABLE.slice(start, step), 300, **options) for start in range(0, ROWS, step)]
    assert spliced(parts) == written(TABLE, 300, **options)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_other_readers_read_it(options, tmp_path):
    parts = [written(TABLE.slice(start, 100), 100, **options) for start in range(0, ROWS, 100)]
    path = tmp_path / "joined.parquet"
    path.write_bytes(spliced(parts))
    assert pq.read_table(path, page_checksum_verification=True).equals(TABLE)
    assert duckdb.sql(f"select count(*), sum(id), max(text) from '{path}' where id >= 450").fetchall()[0] == (
        450,
        sum(range(450, ROWS)),
        max(f"value {number % 70}" for number in range(450, ROWS) if number % 13),
    )
    assert duckdb.sql(f"select count(*) from '{path}' where text = 'value 3'").fetchall()[0][0] > 10
    assert pl.read_parquet(path, columns=["id", "text"]).equals(pl.from_arrow(TABLE.select(["id", "text"])))


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_a_footer_is_written_as_it_was_read(options):
    data = written(TABLE, 100, **options)
    length = int.from_bytes(data[-8:-4], "little")
    assert write_struct(read_footer(memoryview(data))) == data[-8 - length : -8]


def test_a_part_without_rows_gives_a_file_without_rows():
    whole = pq.read_table(io.BytesIO(spliced([written(TABLE.slice(0, 0), 100)])))
    assert (whole.num_rows, whole.schema) == (0, TABLE.schema)


scalars = {
    1: st.booleans(),
    3: st.integers(0, 255),
    4: st.integers(-(2**15), 2**15 - 1),
    5: st.integers(-(2**31), 2**31 - 1),
    6: st.integers(-(2**63), 2**63 - 1),
    7: st.binary(min_size=8, max_size=8),
    8: st.binary(max_size=20),
}


@st.composite
def structs(draw, depth=2):
    struct = Struct()
    for number in draw(st.sets(st.integers(1, 40), max_size=6)):
        kind = draw(st.sampled_from([*scalars, 9, 11, *([12] if depth else [])]))
        if kind == 12:
            struct[number] = draw(structs(depth - 1))
        elif kind == 9:
            inner = draw(st.sampled_from(list(scalars)))
            struct[number] = Items(inner, draw(st.lists(scalars[inner], max_size=20)))
        elif kind == 11:
            struct[number] = Pairs(0x85, draw(st.lists(st.tuples(scalars[8], scalars[5]), min_size=1, max_size=3)))
        else:
            struct[number] = draw(scalars[kind])
        struct.kinds[number] = kind
    return struct


@given(structs())
@settings(max_examples=200)
def test_any_struct_is_read_as_it_was_written(struct):
    written_out = write_struct(struct)
    assert Reader(written_out).struct() == struct
    assert write_struct(Reader(written_out).struct()) == written_out
