"""What is written reads back cell by cell, and what is read is written back byte by byte."""

from __future__ import annotations

import io

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pydp_cli.datasets.csv_dialect import CsvDialect, CsvOptions
from pydp_cli.datasets.csv_write import CsvEncoder, CsvSink
from pydp_cli.errors import OutputError
from tests.datasets.csv_copy import copy_csv, open_bytes, read_csv, write_csv, write_rows

TEXT = st.text(st.sampled_from("ab ü€😀,;\t|'\"\r\n\0\ufeffNUL") | st.characters(exclude_categories=["Cs"]), max_size=6)
CELL = st.none() | st.sampled_from(["", "NULL", '"', '""', "\n", "\r\n", "\r", " x "]) | TEXT


@st.composite
def tables(draw):
    width = draw(st.integers(1, 4))
    names = draw(st.lists(TEXT, min_size=width, max_size=width, unique=True))
    rows = draw(st.lists(st.tuples(*[CELL] * width), max_size=8))
    return names, rows


DIALECTS = st.builds(
    CsvDialect,
    delimiter=st.sampled_from(",;\t|"),
    quote=st.sampled_from("\"'"),
    encoding=st.sampled_from(["utf-8", "utf-16-le", "utf-16-be"]),
    bom=st.booleans(),
    newline=st.sampled_from(["\n", "\r\n"]),
    header=st.booleans(),
    null=st.sampled_from(["", "NULL"]),
    final_newline=st.booleans(),
)


def options_of(dialect: CsvDialect, names: list[str]) -> CsvOptions:
    return CsvOptions(
        delimiter=dialect.delimiter,
        quote=dialect.quote,
        encoding=dialect.encoding,
        null=dialect.null,
        line_ending="crlf" if dialect.newline == "\r\n" else "lf",
        columns=None if dialect.header else tuple(names),
    )


@given(tables(), DIALECTS, st.integers(1, 40))
@example((["a"], [(None,), ("",), (None,)]), CsvDialect(final_newline=False), 1)
@example((["a"], [("x",)]), CsvDialect(delimiter="N", null="x"), 9)
def test_what_is_written_reads_back_cell_by_cell(table, dialect, block_bytes):
    names, rows = table
    if not dialect.bom and names[0].startswith("\ufeff"):
        return  # looks like the file's own mark
    data = write_rows(names, rows, dialect)
    if not dialect.header and not dialect.bom and data.decode(dialect.encoding).startswith("\ufeff"):
        return
    content = read_csv(data, options_of(dialect, names), block_bytes=block_bytes)
    assert content.names == names
    assert content.rows == rows


@given(tables(), DIALECTS, st.integers(1, 40))
def test_what_pydp_wrote_is_copied_byte_by_byte(table, dialect, block_bytes):
    names, rows = table
    data = write_rows(names, rows, dialect)
    if not dialect.bom and data.decode(dialect.encoding).startswith("\ufeff"):
        return
    assert copy_csv(data, options_of(dialect, names), block_bytes=block_bytes) == data


@pytest.mark.parametrize(
    "data",
    [
        b"id,phone,n\n007,+49 30 1,1e5\n1,3.10,-0\n",
        b'a,b\r\n,""\r\n"x\r\ny","q""z"\r\n',
        b'a;b\n"1;2";3,4\n',
        b"a\tb\n1,2\t'\n",
        b"a|b\n1|2",
        b" a , b \n 1 , \n",
        b"a,,c\n1,,3\n",
        b'a\n\n""\nx\n\n',
        b"\xef\xbb\xbfa,b\n1,2\n",
        "\ufeffa,b\r\nü,€\r\n".encode("utf-16-le"),
        "\ufeffa,b\r\nü,€\r\n".encode("utf-16-be"),
        b'"a,b",c\n1,2\n',
        b"a,b\n",
        b"a,b",
    ],
)
def test_a_file_that_quotes_no_more_than_it_must_is_copied_byte_by_byte(data):
    assert copy_csv(data) == data


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "iso8859-15", "koi8-r", "shift_jis"])
def test_a_declared_encoding_is_kept(encoding):
    text = {"koi8-r": "имя,b\nЖ,2\n", "shift_jis": "名前,b\nテスト,表\n"}.get(encoding, "näme,b\nü,ß\n")
    data = text.encode(encoding)
    assert copy_csv(data, CsvOptions(encoding=encoding)) == data
    assert read_csv(data, CsvOptions(encoding=encoding)).names[0] == text.split(",")[0]


def test_null_and_empty_stay_two_things():
    assert read_csv(b'a,b\n,""\n').rows == [(None, "")]
    assert read_csv(b'a,b\nNULL,"NULL"\n,""\n', CsvOptions(null="NULL")).rows == [(None, "NULL"), ("", "")]


def test_only_what_needs_quotes_is_quoted():
    rows = [("a b", "'"), (" x", "ü;"), ("a,b", 'q"'), ("l\nm", "c\rd"), ("", None)]
    data = write_rows(["a", "b"], rows, CsvDialect())
    assert data == 'a,b\na b,\'\n x,ü;\n"a,b","q"""\n"l\nm","c\rd"\n"",\n'.encode()


def test_an_empty_text_alone_in_its_row_is_no_blank_line():
    assert write_rows(["a"], [("",), (None,)], CsvDialect(null="NA")) == b'a\n""\nNA\n'
    assert write_rows(["a"], [("",), (None,)], CsvDialect()) == b'a\n""\n\n'


def test_text_equal_to_the_null_text_is_quoted():
    assert write_rows(["a", "b"], [("NA", None), ("", "NAN")], CsvDialect(null="NA")) == b'a,b\n"NA",NA\n,NAN\n'


@pytest.mark.parametrize("cell", ["a,b", "a\nb", "a\rb", ""])
def test_without_quotes_what_needs_them_is_refused(cell):
    with pytest.raises(OutputError, match="cannot be written without quotes") as caught:
        write_rows(["x", "y"], [(cell, "1")], CsvDialect(quote=""))
    assert caught.value.place == 'column "x"'


def test_without_quotes_a_quote_is_text():
    data = b'a\tb\n5" pipe\t"x"\n'
    options = CsvOptions(delimiter="\t", quote="")
    assert read_csv(data, options).rows == [('5" pipe', '"x"')]
    assert copy_csv(data, options) == data


def test_characters_that_the_encoding_lacks_are_refused():
    with pytest.raises(OutputError, match="characters that cp1252 cannot represent"):
        write_rows(["x"], [("Ж",)], CsvDialect(encoding="cp1252"))


@given(st.lists(CELL, min_size=1, max_size=12), st.integers(0, 5), st.integers(0, 5))
def test_a_slice_and_other_text_types_are_written_like_a_fresh_column(cells, start, length):
    encoder = CsvEncoder(CsvDialect())
    whole = pa.array(cells, pa.string())
    sliced = whole.slice(start, length)
    fresh = pa.array(cells[start : start + length], pa.string())
    written = encoder.encode(pa.RecordBatch.from_arrays([fresh, fresh], names=["x", "y"]))
    for column in (sliced, sliced.cast(pa.large_string()), sliced.cast(pa.string_view()), sliced.dictionary_encode()):
        assert encoder.encode(pa.RecordBatch.from_arrays([column, sliced], names=["x", "y"])) == written


def test_bytes_beneath_a_null_are_not_written():
    column = pa.StringArray.from_buffers(
        2, pa.array([0, 3, 4], pa.int32()).buffers()[1], pa.py_buffer(b'a,"b'), pa.py_buffer(b"\x02")
    )
    batch = pa.RecordBatch.from_arrays([column, pa.array(["x", "y"])], names=["a", "b"])
    assert CsvEncoder(CsvDialect()).encode(batch) == b",x\nb,y\n"


def test_batches_make_no_difference():
    schema = pa.schema([("a", pa.string()), ("b", pa.string())])
    batch = pa.RecordBatch.from_pylist([{"a": f"{n}", "b": '"' * (n % 3)} for n in range(50)], schema)
    pieces = [batch.slice(start, 7) for start in range(0, 50, 7)]
    assert write_csv(pieces, schema, CsvDialect()) == write_csv([batch], schema, CsvDialect())


def test_two_thousand_columns_and_a_header_longer_than_the_sample():
    names = [f"a rather long name of column {n:06}" for n in range(2_000)]
    rows = [tuple(str(row * n) for n in range(2_000)) for row in range(3)]
    data = write_rows(names, rows, CsvDialect())
    assert len(data.split(b"\n")[0]) > 1 << 16
    content = read_csv(data)
    assert (content.names, content.rows) == (names, rows)


def test_a_cell_larger_than_many_blocks():
    cell = ("x" * 1000 + '"\n,') * 3000
    data = write_rows(["a", "b"], [("1", "2"), (cell, "3"), ("4", "5")], CsvDialect())
    assert read_csv(data, block_bytes=1 << 16).rows == [("1", "2"), (cell, "3"), ("4", "5")]


def test_a_row_treated_to_null_at_the_end_of_a_file_of_one_column_stays():
    data = write_rows(["a"], [("x",), (None,)], CsvDialect(final_newline=False))
    assert read_csv(data).rows == [("x",), (None,)]


def test_the_last_line_ending_of_a_stream_is_known_after_its_last_chunk():
    long = b"a,b\n" + b"1,2\n" * 50_000
    for data in (long, long[:-1]):
        source = open_bytes(data)
        sink = CsvSink(out := io.BytesIO(), source.schema, source.dialect)
        for chunk in source.chunks():
            for batch in chunk.read():
                sink.write(sink.encoder.encode(batch), None)
        sink.final_newline = source.dialect.final_newline
        sink.close()
        assert out.getvalue() == data
