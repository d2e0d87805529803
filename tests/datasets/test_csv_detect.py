"""Delimiter, quote, line ending and header are found out, unless the policy says them."""

from __future__ import annotations

import io

import pytest

from pydp_cli.datasets.csv_dialect import CsvDialect, CsvOptions, dialect_of_new_file
from pydp_cli.datasets.csv_read import open_csv
from tests.datasets.csv_copy import open_bytes, read_csv


@pytest.mark.parametrize(
    ("data", "delimiter", "names"),
    [
        (b"a,b\n1,2\n", ",", ["a", "b"]),
        (b"a;b\n1,5;2,5\n3,5;4,5\n", ";", ["a", "b"]),
        (b"a\tb\nx, y\tz\n", "\t", ["a", "b"]),
        (b"a|b|c\n1|2|3\n", "|", ["a", "b", "c"]),
        (b'"x, y";b\n"1, 2";3\n', ";", ["x, y", "b"]),
        (b"name, first;city, zip\na;b\nc;d\n", ";", ["name, first", "city, zip"]),
        (b"a,b;c\n1,2\n3,4\n5\n", ",", ["a", "b;c"]),
        (b"word\nx\n", ",", ["word"]),
    ],
)
def test_the_delimiter_is_the_one_that_makes_rows_alike(data, delimiter, names):
    source = open_bytes(data)
    assert source.dialect.delimiter == delimiter
    assert source.schema.names == names


@pytest.mark.parametrize("name", ["a.tsv", "a.TSV.gz", "-.tab"])
def test_a_name_can_promise_tabs(name):
    assert open_bytes(b"a,b\n1,2\n", name=name).schema.names == ["a,b"]


def test_single_quotes_are_quotes_only_around_the_whole_header():
    assert read_csv(b"'a','b'\n'1,2','it''s'\n").rows == [("1,2", "it's")]
    assert read_csv(b"a,b\n'1','2'\n").rows == [("'1'", "'2'")]


def test_what_is_declared_is_not_detected():
    options = CsvOptions(delimiter=",", quote="'", header=False, null="-", line_ending="crlf")
    content = read_csv(b"a;b,-\n'-',x\n", options)
    assert content.rows == [("a;b", None), ("-", "x")]
    assert content.names == ["column_1", "column_2"]
    assert content.dialect == CsvDialect(quote="'", header=False, null="-", newline="\r\n")


def test_a_file_without_a_header_takes_the_declared_names():
    content = read_csv(b"1,2\n", CsvOptions(columns=("x", "y")))
    assert (content.names, content.rows) == (["x", "y"], [("1", "2")])
    assert read_csv(b"", CsvOptions(columns=("x", "y"))).rows == []


@pytest.mark.parametrize(
    ("data", "newline", "final"),
    [(b"a,b\n1,2\n", "\n", True), (b"a,b\r\n1,2", "\r\n", False), (b'"a\nb",c\r\n1,2\r\n', "\r\n", True)],
)
def test_line_endings_are_those_of_the_first_line(data, newline, final):
    dialect = open_bytes(data).dialect
    assert (dialect.newline, dialect.final_newline) == (newline, final)


def test_the_end_of_a_long_file_is_known_at_once(tmp_path):
    path = tmp_path / "f.csv"
    path.write_bytes(b"a,b\n" + b"1,2\n" * 100_000 + b"1,2")
    with path.open("rb") as stream:
        assert not open_csv(stream, "f.csv", path=path).dialect.final_newline


def test_a_stream_that_gives_little_at_a_time_reads_the_same():
    class Trickle(io.RawIOBase):
        def __init__(self, data: bytes) -> None:
            self._data = io.BytesIO(data)

        def readable(self) -> bool:
            return True

        def readinto(self, target) -> int:
            return self._data.readinto(memoryview(target)[:3])

    data = "a;b\nü;1\n".encode() * 50
    for encoding in ("utf-8", "utf-16-le", "cp1252"):
        stream = Trickle(data.decode().encode(encoding))
        chunks = open_csv(stream, "f.csv", CsvOptions(encoding=encoding), block_bytes=64).chunks()
        assert sum(batch.num_rows for chunk in chunks for batch in chunk.read()) == 99


def test_a_new_file_follows_the_options():
    assert dialect_of_new_file(CsvOptions(), "x.tsv").delimiter == "\t"
    dialect = dialect_of_new_file(CsvOptions(delimiter=";", encoding="utf-8-sig", line_ending="crlf", null="NA"), "x")
    assert dialect == CsvDialect(delimiter=";", bom=True, newline="\r\n", null="NA")
