"""The footer as we read it is the footer as pyarrow reads it."""

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydp_cli.datasets.parquet_footer import first_row_group
from pydp_cli.datasets.thrift_compact import NotThrift, Reader

TABLE = pa.table(
    {
        "id": pa.array(range(300), pa.int32()),
        "text": [f"value {number % 7}" for number in range(300)],
        "nested": [{"a": [number], "b": {"c": 1.5}} for number in range(300)],
    }
)


def written(table=TABLE, **options):
    out = io.BytesIO()
    pq.write_table(table, out, row_group_size=100, **options)
    return out


@pytest.mark.parametrize("codec", ["none", "snappy", "gzip", "brotli", "zstd"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"write_page_index": True, "use_dictionary": False},
        {"sorting_columns": [pq.SortingColumn(0, descending=True, nulls_first=True)]},
        {"use_dictionary": False, "column_encoding": {"id": "DELTA_BINARY_PACKED", "text": "DELTA_BYTE_ARRAY"}},
        {"bloom_filter_options": {"text": {"ndv": 10, "fpp": 0.1}}},
    ],
)
def test_the_layout_is_what_pyarrow_tells(codec, options):
    file = written(compression=codec, **options)
    theirs = pq.ParquetFile(file).metadata.row_group(0)
    ours = first_row_group(file)
    assert [column.path for column in ours.columns] == ["id", "text", "nested.a.list.element", "nested.b.c"]
    for number, column in enumerate(ours.columns):
        chunk = theirs.column(number)
        assert column.path == chunk.path_in_schema
        assert column.physical_type == chunk.physical_type
        assert column.compression == chunk.compression
        assert column.has_dictionary == chunk.has_dictionary_page
        assert set(column.encodings) == set(chunk.encodings)
        assert column.has_page_index == (chunk.has_column_index or chunk.has_offset_index)
        assert column.has_bloom_filter == (chunk.bloom_filter_offset is not None)
        assert column.first_data_page == chunk.data_page_offset
    sorting = options.get("sorting_columns")
    assert ours.sorting == ((("id", True, True),) if sorting else ())


def test_the_first_row_group_with_rows_counts():
    out = io.BytesIO()
    with pq.ParquetWriter(out, TABLE.schema, compression="zstd") as writer:
        writer.write_table(TABLE.slice(0, 0))
        writer.write_table(TABLE)
    layout = first_row_group(out)
    assert layout is not None
    assert layout.columns[0].compression == "ZSTD"
    assert first_row_group(written(TABLE.slice(0, 0))) is None


def test_a_footer_that_says_it_is_longer_than_the_file_is_refused():
    data = bytearray(written().getvalue())
    data[-8:-4] = (1 << 31).to_bytes(4, "little")
    with pytest.raises(NotThrift, match="longer than the file"):
        first_row_group(io.BytesIO(bytes(data)))


@given(st.binary(max_size=200))
def test_any_bytes_are_a_struct_or_refused(data):
    try:
        fields = Reader(data).struct()
    except NotThrift:
        return
    assert all(isinstance(number, int) for number in fields)


def test_nesting_without_end_is_refused():
    with pytest.raises(NotThrift, match="nested"):
        Reader(b"\x1c" * 500).struct()  # a struct in a struct in a struct
    with pytest.raises(NotThrift, match="nested"):
        Reader(b"\x19" + b"\x19" * 500).struct()  # a list in a list in a list


def test_a_list_that_says_it_is_longer_than_the_data_is_refused_before_any_of_it_is_made():
    with pytest.raises(NotThrift, match="longer"):
        Reader(b"\x19\xf5\xff\xff\xff\x7f").struct()
