"""What is wrong with a CSV file is said with its place and what to do, and without a value."""

from __future__ import annotations

import io
import pickle
from pathlib import Path

import pydantic
import pytest

from pydp_cli.datasets import csv_blocks
from pydp_cli.datasets.csv_dialect import CsvOptions
from pydp_cli.datasets.csv_read import open_csv
from pydp_cli.errors import InputError
from tests.datasets.csv_copy import read_csv

ASIDE = "correct the line, or set such lines aside with --bad-rows FILE"
ENCODING = "declare the file's encoding under csv:, for example encoding: cp1252"
GOLDEN = [
    (b"", "f.csv: the file is empty", "a CSV file begins with the names of its columns"),
    (b"\xef\xbb\xbf", "f.csv: the file is empty", "a CSV file begins with the names of its columns"),
    (b"\na,b\n", "f.csv:1: the header line is blank", "a CSV file begins with column names"),
    (
        b"Meier,b,Meier\n1,2,3\n",
        "f.csv:1: columns 1 and 3 have the same name in the header",
        "rename one; or, if the file has no header, declare header: false under csv:",
    ),
    (b"a,b,c\n1,2,3\n4,5\n", "f.csv:3: 2 fields where 3 are expected", ASIDE),
    (b"a,b,c\n1,2,3\n4\n", "f.csv:3: 1 field where 3 are expected", ASIDE),
    (b"a,b\n1,2,3\n", "f.csv:2: 3 fields where 2 are expected", ASIDE),
    (b'a,b\n"1\n2",2\n3\n', "f.csv:4: 1 field where 2 are expected", ASIDE),
    (b"a,b\n1,2\n\n3,4\n", "f.csv:3: a blank line where 2 fields are expected", ASIDE),
    (b'a\n1\n"2,3\n4\n', "f.csv:3: a quoted field opens here and is never closed", None),
    (b'a,b\n1,2\nx"y,2\n', "f.csv:3: a quote inside a field that is not quoted", ASIDE),
    (b'a,b\n1,2\n"x"y,2\n', "f.csv:3: text after the closing quote of a field", ASIDE),
    (
        b'a,b\n"1,2\n3,"4"\n',
        "f.csv:3: text after the closing quote of a field",
        "the record begins on line 2: a closing quote may be missing there",
    ),
    (b"a,b\n1,2\nx\ry,2\n", "f.csv:3: a carriage return outside quotes that does not end a line", ASIDE),
    (
        b"a,b\r1,2\r",
        "f.csv:1: a carriage return outside quotes that does not end a line",
        "convert the file's line endings to line feeds",
    ),
    (b"a,b\n1,2\nM\xfcller,2\n", "f.csv:3: byte 9 of the file is not valid utf-8", ENCODING),
    (b"a,b\n1,\xed\xa0\x80\n", "f.csv:2: byte 6 of the file is not valid utf-8", ENCODING),
    (b"\xef\xbb\xbfa,b\n1,\xff\n", "f.csv:2: byte 9 of the file is not valid utf-8", ENCODING),
    (b"\xef\xbb\xbfa,\xff\n1,2\n", "f.csv:1: byte 5 of the file is not valid utf-8", ENCODING),
    (b'a,"b\n1,2\n', "f.csv:1: a quoted field opens here and is never closed", None),
    (
        b"a\0,\0b\0\n\0",
        "f.csv: looks like UTF-16 without a byte-order mark",
        "declare it under csv:, for example encoding: utf-16-le",
    ),
]


@pytest.mark.parametrize("block_bytes", [1, 1 << 20])
@pytest.mark.parametrize(("data", "message", "hint"), GOLDEN, ids=[message for _, message, _ in GOLDEN])
def test_the_message_names_place_and_remedy(data, message, hint, block_bytes):
    with pytest.raises(InputError) as caught:
        read_csv(data, block_bytes=block_bytes)
    assert str(caught.value) == message
    assert caught.value.hint == (hint or "close the quote, or declare another quote character under csv:")
    assert caught.value.exit_code == 2


def test_lines_are_counted_across_many_blocks():
    data = b"a,b\n" + b"1,2\n" * 5000 + b"1\n" + b"1,2\n" * 5000
    with pytest.raises(InputError, match=r"^f.csv:5002: 1 field"):
        read_csv(data, block_bytes=1000)


@pytest.mark.parametrize(
    ("encoding", "data", "message"),
    [
        ("cp1252", b"a,b\n1,\x81\n", "f.csv: byte 6 of the file is not valid cp1252"),
        ("utf-16", b"\xff\xfea\0\n\0\x00\xd8x\0\n\0", "f.csv: byte 6 of the file is not valid utf-16-le"),
        ("utf-16-le", b"a\0\n\0b", "f.csv: byte 4 of the file is not valid utf-16-le"),
        ("ascii", b"a,b\n\xc3\xbc,2\n", "f.csv: byte 4 of the file is not valid ascii"),
        ("latin-1", b"\xef\xbb\xbfa\n", "f.csv: begins with the byte-order mark of utf-8, but latin-1 is declared"),
    ],
)
def test_bytes_that_the_declared_encoding_lacks_are_named(encoding, data, message):
    with pytest.raises(InputError) as caught:
        read_csv(data, CsvOptions(encoding=encoding))
    assert str(caught.value) == message


def test_a_header_alone_is_a_table_without_rows():
    content = read_csv(b"a,b\r\n")
    assert (content.names, content.rows) == (["a", "b"], [])


def test_blank_lines_at_the_end_are_no_rows():
    for end in (b"\n", b"\n\n\n", b"\r\n\r\n", b"\n\r\n"):
        for block_bytes in (1, 5, 100):
            assert read_csv(b"a,b\n1,2\n" + end, block_bytes=block_bytes).rows == [("1", "2")]


def test_a_blank_line_in_a_file_of_one_column_is_a_null():
    assert read_csv(b"a\n1\n\n2\n\n").rows == [("1",), (None,), ("2",), (None,)]


def test_nul_is_text():
    assert read_csv(b"a,b\nx\0y,\0\n").rows == [("x\0y", "\0")]


def test_bad_rows_are_set_aside_as_they_are():
    data = b'a,b\n1,2\n3\n\n"x"y,1\n5" pipe,1\nM\xfc,1\nq\rr,1\n4,5,6\n"7\n8",9\n"open,1\n2,3\n'
    for block_bytes in (1, 7, 1 << 20):
        content = read_csv(data, block_bytes=block_bytes, set_aside=True)
        assert content.rows == [("1", "2"), ("7\n8", "9"), ("2", "3")]
        assert content.rejected == [
            (3, b"3\n"),
            (4, b"\n"),
            (5, b'"x"y,1\n'),
            (6, b'5" pipe,1\n'),
            (7, b"M\xfc,1\n"),
            (8, b"q\rr,1\n"),
            (9, b"4,5,6\n"),
            (12, b'"open,1\n'),
        ]


def test_bad_bytes_of_another_encoding_are_set_aside_as_they_are():
    content = read_csv(b"a;b\n\xfc;1\n\x81;2\n", CsvOptions(encoding="cp1252"), set_aside=True)
    assert content.rows == [("ü", "1")]
    assert content.rejected == [(3, b"\x81;2\n")]


def test_ragged_rows_of_utf_16_are_set_aside_in_utf_16():
    content = read_csv("\ufeffa,b\nü\n".encode("utf-16-le"), set_aside=True)
    assert content.rejected == [(2, "ü\n".encode("utf-16-le"))]


def test_a_record_without_end_is_refused_at_the_limit(monkeypatch):
    monkeypatch.setattr(csv_blocks, "MAX_RECORD_BYTES", 1 << 20)
    with pytest.raises(InputError) as caught:
        read_csv(b'a,b\n1,2\n"' + b"x,\n" * 1_000_000, block_bytes=1 << 16)
    assert str(caught.value) == "f.csv:3: a record that begins here is larger than 1 MiB"


def test_a_misplaced_quote_stops_the_reading_long_before_the_limit():
    class Counting(io.BytesIO):
        taken = 0

        def readinto(self, target):
            got = super().readinto(target)
            self.taken += got
            return got

    stream = Counting(b'a,b\n1,5" pipe\n' + b"1,2\n" * 1_000_000)
    with pytest.raises(InputError, match=r"^f.csv:2: a quote inside"):
        list(next(open_csv(stream, "f.csv", block_bytes=1 << 16).chunks()).read())
    assert stream.taken < 1 << 18


def test_a_worker_reads_the_file_itself_and_refuses_one_that_changed(tmp_path: Path):
    path = tmp_path / "f.csv"
    path.write_bytes(b"a,b\n" + b"1,2\n" * 100_000)
    with path.open("rb") as stream:
        chunks = list(open_csv(stream, "f.csv", path=path, block_bytes=1 << 17).chunks())
    sent = [pickle.dumps(chunk) for chunk in chunks]
    assert max(map(len, sent)) < 2000
    received = [pickle.loads(one) for one in sent]
    assert sum(batch.num_rows for chunk in received for batch in chunk.read()) == 100_000
    path.write_bytes(b"a,b\n" + b"3,4\n" * 100_000 + b"5,6\n")
    with pytest.raises(InputError) as caught:
        list(received[1].read())
    assert str(caught.value) == "f.csv: changed while it was read"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"delimiter": ""}, "one ASCII character"),
        ({"delimiter": "::"}, "one ASCII character"),
        ({"delimiter": "§"}, "one ASCII character"),
        ({"quote": "\n"}, "one ASCII character"),
        ({"delimiter": '"'}, "must differ"),
        ({"encoding": "klingon"}, "not a known text encoding"),
        ({"encoding": "base64"}, "not a known text encoding"),
        ({"null": "a\nb"}, "`null` must not hold"),
        ({"delimiter": ";", "null": ";"}, "`null` must not hold"),
        ({"header": True, "columns": ["a"]}, "without a header"),
        ({"columns": ["a", "a"]}, "names a column twice"),
        ({"separator": ";"}, "Extra inputs"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, said):
    with pytest.raises(pydantic.ValidationError, match=said):
        CsvOptions(**options)
