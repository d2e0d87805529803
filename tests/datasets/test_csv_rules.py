"""Whatever the bytes, the reader sees what a character-by-character reading of the rules sees, or the same error."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pydp_cli.datasets.csv_dialect import CsvOptions
from pydp_cli.errors import InputError
from tests.datasets.csv_copy import Row, read_csv

OPTIONS = CsvOptions(delimiter=",", quote='"')


class Bad(Exception):
    pass


def by_the_rules(text: str) -> list[list[str | None]]:  # noqa: C901 - one state machine
    """Read one character after the other."""
    records: list[list[str | None]] = []
    fields: list[str | None] = []
    cell, state, place = "", "start", 0
    while place < len(text):
        character, following = text[place], text[place + 1 : place + 2]
        place += 1
        if state == "quoted":
            if character != '"':
                cell += character
            elif following == '"':
                cell += '"'
                place += 1
            else:
                state = "closed"
        elif character == '"' and state == "start":
            state = "quoted"
        elif character in {",", "\n"} or (character == "\r" and following == "\n"):
            fields.append(None if state == "start" else cell)
            cell, state = "", "start"
            if character != ",":
                place += character == "\r"
                records.append(fields)
                fields = []
        elif character in '"\r' or state == "closed":
            raise Bad
        else:
            cell, state = cell + character, "plain"
    if state == "quoted":
        raise Bad
    if fields or state != "start":
        records.append([*fields, None if state == "start" else cell])
    return records


def expected_rows(text: str) -> tuple[list[str], list[Row]]:
    header, *records = by_the_rules(text)
    if header == [None]:
        raise Bad
    names = [name or "" for name in header]
    if len(set(names)) < len(names):
        raise Bad
    while len(names) > 1 and records and records[-1] == [None]:
        records.pop()
    if any(len(record) != len(names) for record in records):
        raise Bad
    return names, [tuple(record) for record in records]


def texts() -> st.SearchStrategy[str]:
    quoted = ['""', '"a"', '"a,b"', '"a\nb"', '"a\r\nb"', '"a""b"', '"\r"', '""""', '",\n"']
    cell = st.sampled_from(["", "a", "ü€", *quoted])
    damage = st.sampled_from(["", "", "", "", "", '"', "\r", "\n", "\r\n", ",", 'a"b', '"a"b', '"""', "\ufeff", "\0"])
    line = st.tuples(st.lists(cell, min_size=2, max_size=2).map(",".join), damage).map("".join)
    lines = st.tuples(st.lists(line, max_size=8), st.sampled_from(["\n", "\r\n"]), st.booleans())
    good = lines.map(lambda made: made[1].join(["x,y", *made[0]]) + made[1] * made[2])
    single = st.text('a"\n\r,', max_size=8).map("x\n".__add__)
    return good | single | st.text('a"\n\r,', min_size=1, max_size=12)


@given(texts(), st.integers(1, 24))
@example('x,y\n"a,",b\n"c\n",d\n', 5)
@example('x,y\n,"a",b"\n', 40)
@example("x,y\na,b\r\n\nc,d\n", 40)
@example("x,y\na,b\rc,d\n\n1,2\n", 40)
@example('x,y\n"a,"b,"c"\n', 40)
@example('x,y\n"a,b"c,d\n', 40)
@example("x\na\rb\n", 40)
@example("x,y\na,b\rc,d\n", 40)
@example("x,y\na,b\r", 40)
@example("x\n\ufeffa\n\ufeffb\n", 4)
def test_reads_what_the_rules_say_whatever_the_block_size(text: str, block_bytes: int):
    data = text.encode()
    if data.startswith("\ufeff".encode()):
        return  # a mark of the file's own
    try:
        expected = expected_rows(text)
    except Bad:
        with pytest.raises(InputError):
            read_csv(data, OPTIONS, block_bytes=block_bytes)
        return
    content = read_csv(data, OPTIONS, block_bytes=block_bytes)
    assert (content.names, content.rows) == expected


@given(texts(), st.integers(1, 24))
def test_an_error_is_the_same_whatever_the_block_size(text: str, block_bytes: int):
    def outcome(size: int) -> tuple[str, str | None] | int:
        try:
            return len(read_csv(text.encode(), OPTIONS, block_bytes=size).rows)
        except InputError as error:
            return str(error), error.hint

    assert outcome(block_bytes) == outcome(1 << 20)


@given(texts(), st.binary(max_size=3), st.integers(0, 60), st.integers(1, 24))
def test_rows_set_aside_and_rows_kept_are_all_there_is_whatever_the_block_size(text, noise, place, block_bytes):
    body = text.encode()
    data = b"x,y\n" + body[:place] + noise + body[place:]
    whole = read_csv(data, OPTIONS, set_aside=True)
    content = read_csv(data, OPTIONS, block_bytes=block_bytes, set_aside=True)
    assert (content.rows, content.rejected) == (whole.rows, whole.rejected)
    for line, record in content.rejected:
        lines = data.splitlines(keepends=True) if b"\r" not in data else [x + b"\n" for x in data.split(b"\n")]
        assert lines[line - 1].startswith(record.split(b"\n")[0].rstrip(b"\r\n"))
    if not whole.rejected:
        assert read_csv(data, OPTIONS).rows == whole.rows


@given(st.lists(st.lists(st.text("ab,\"\n'", max_size=4), min_size=3, max_size=3), min_size=1, max_size=6))
def test_agrees_with_the_csv_module_on_what_that_writes(rows):
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n", quoting=csv.QUOTE_ALL).writerows([["x", "y", "z"], *rows])
    content = read_csv(out.getvalue().encode(), block_bytes=8)
    assert [list(row) for row in content.rows] == rows
