"""Records of a CSV file go or get new values, and every other line stays as it is, to the byte."""

import csv
import gzip
import io

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pydp_cli.datasets import csv_read
from pydp_cli.datasets.compression import open_compressed, open_decompressed
from pydp_cli.datasets.csv_dialect import CsvOptions
from pydp_cli.datasets.edits import Edits, Replacement, rewrite_file
from pydp_cli.datasets.locations import find_inputs
from pydp_cli.errors import InputError, OutputError, UsageError


def edited(path, edits, options=None):
    out = io.BytesIO()
    [file] = find_inputs([str(path)])
    counts = rewrite_file(file, out, edits, csv=options)
    return out.getvalue(), counts


def written(tmp_path, data, name="f.csv"):
    path = tmp_path / name
    path.write_bytes(data)
    return path


def rows(*numbers):
    return np.array(numbers, np.int64)


def nulls(values):
    return pa.nulls(len(values), values.type)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    defaults = csv_read.open_csv.__kwdefaults__
    monkeypatch.setitem(defaults, "block_bytes", 64)


ODD = (
    b'\xef\xbb\xbfid,name,note\r\n1,"Anna ""A"" B",  spaced \r\n2,,""\r\n3,"two\nlines\r\nin one",x\n4,"",\r\n'
    b"007,b,plain\r\n6,c,last without ending"
)


def test_records_go_and_all_other_bytes_stay(tmp_path):
    path = written(tmp_path, ODD)
    records = [b'1,"Anna ""A"" B",  spaced \r\n', b'3,"two\nlines\r\nin one",x\n', b"6,c,last without ending"]
    for row, record in zip((0, 2, 5), records, strict=True):
        data, counts = edited(path, Edits(rows(row)))
        assert data == ODD.replace(record, b"")
        assert (counts.rows_before, counts.rows_deleted, counts.rows_after) == (6, 1, 5)
    data, _ = edited(path, Edits(rows(0, 2, 5)))
    assert data == ODD.replace(records[0], b"").replace(records[1], b"").replace(records[2], b"")
    everything, counts = edited(path, Edits(rows(0, 1, 2, 3, 4, 5)))
    assert everything == b"\xef\xbb\xbfid,name,note\r\n"
    assert counts.rows_after == 0


def test_only_the_fields_with_new_values_are_written_anew(tmp_path):
    path = written(tmp_path, ODD)
    seen = []

    def upper(values):
        seen.extend(values.to_pylist())
        return pc.utf8_upper(values)

    data, counts = edited(path, Edits(replace={"name": Replacement(rows(0, 1, 2, 3, 4), upper)}))
    assert seen == ['Anna "A" B', None, "two\nlines\r\nin one", "", "b"]
    assert data == ODD.replace(b"Anna", b"ANNA").replace(b"two\nlines\r\nin one", b"TWO\nLINES\r\nIN ONE").replace(
        b",b,", b",B,"
    )
    assert counts.cells_changed == 5
    data, counts = edited(path, Edits(rows(0), {"name": Replacement(rows(0, 2), nulls)}))
    assert data == ODD.replace(b'1,"Anna ""A"" B",  spaced \r\n', b"").replace(b'"two\nlines\r\nin one"', b"")
    assert counts.cells_changed == 1


@pytest.mark.parametrize(
    ("value", "field"),
    [(None, b""), ("", b'""'), ("a,b", b'"a,b"'), ('a"b', b'"a""b"'), ("a\rb", b'"a\rb"'), ("plain", b"plain")],
)
def test_new_values_are_quoted_where_they_have_to_be(tmp_path, value, field):
    path = written(tmp_path, b"id,name\n1,x\n2,y\n")
    replace = {"name": Replacement(rows(1), lambda old: pa.array([value], old.type))}
    assert edited(path, Edits(replace=replace))[0] == b"id,name\n1,x\n2," + field + b"\n"
    path = written(tmp_path, b"name\nx\ny\n")
    assert edited(path, Edits(replace=replace))[0] == b"name\nx\n" + field + b"\n"


def test_the_null_text_of_the_file_is_used(tmp_path):
    path = written(tmp_path, b"id;name\n1;NA\n2;y\n")
    options = CsvOptions(null="NA", delimiter=";")
    both = Replacement(rows(0, 1), lambda old: old.take(pa.array([1, 0])))
    assert edited(path, Edits(replace={"name": both}), options)[0] == b"id;name\n1;y\n2;NA\n"
    text = Replacement(rows(1), lambda old: pa.array(["NA"], old.type))
    assert edited(path, Edits(replace={"name": text}), options)[0] == b'id;name\n1;NA\n2;"NA"\n'


def test_blank_lines_at_the_end_stay(tmp_path):
    path = written(tmp_path, b"id,name\n1,x\n2,y\n\r\n\n")
    assert edited(path, Edits(rows(1)))[0] == b"id,name\n1,x\n\r\n\n"
    path = written(tmp_path, b"name\nx\n\ny\n\n")
    data, counts = edited(path, Edits(rows(1)))
    assert data == b"name\nx\ny\n\n"
    assert counts.rows_before == 4


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-16-le", "latin-1", "utf-8-sig"])
def test_other_encodings_stay(tmp_path, encoding):
    text = "id,name\r\n" + "".join(f"{number},Zoë {number}\r\n" for number in range(40))
    path = written(tmp_path, text.encode(encoding))
    data, _ = edited(path, Edits(rows(3), {"name": Replacement(rows(7), nulls)}), CsvOptions(encoding=encoding))
    assert data == text.replace("3,Zoë 3\r\n", "", 1).replace("Zoë 7", "").encode(encoding)


def test_a_value_that_the_encoding_lacks_is_refused_without_showing_it(tmp_path):
    path = written(tmp_path, "id,name\n1,Zoë\n".encode("cp1252"))
    replace = {"name": Replacement(rows(0), lambda old: pa.array(["Łukasz"], old.type))}
    with pytest.raises(OutputError, match="cannot be written in cp1252") as caught:
        edited(path, Edits(replace=replace), CsvOptions(encoding="cp1252"))
    assert "ukasz" not in str(caught.value)


@pytest.mark.parametrize("suffix", ["gz", "zst", "bz2", "xz"])
def test_compressed_files_stay_compressed(tmp_path, suffix):
    kind = {"gz": "gzip", "zst": "zstd", "bz2": "bzip2", "xz": "xz"}[suffix]
    packed = io.BytesIO()
    with open_compressed(packed, kind) as stream:
        stream.write(ODD)
    path = written(tmp_path, packed.getvalue(), f"f.csv.{suffix}")
    data, counts = edited(path, Edits(rows(4)))
    assert open_decompressed(io.BytesIO(data), kind, "f").read() == ODD.replace(b"007,b,plain\r\n", b"")
    assert counts.rows_deleted == 1


def test_a_compressed_file_that_is_cut_off_is_refused(tmp_path):
    path = written(tmp_path, gzip.compress(ODD * 1000)[:-9], "f.csv.gz")
    with pytest.raises(InputError, match="ends too early"):
        edited(path, Edits(rows(1)))


def test_blocks_without_a_hit_are_not_parsed(tmp_path, monkeypatch):
    data = b"id,name\n" + b"".join(b"%d,%s\n" % (number, b'"q"' if number % 2 else b"p") for number in range(500))
    path = written(tmp_path, data)
    from pydp_cli.datasets import csv_edit

    parsed = []
    monkeypatch.setattr(csv_edit, "field_spans", lambda *given: parsed.append(given) or ((0, 1), (2, 3)))
    _, counts = edited(path, Edits(rows(250)))
    assert not parsed
    assert (counts.units_copied > 50, counts.units_encoded, counts.units_dropped) == (True, 1, 0)
    assert len(data) - 200 < counts.bytes_copied < len(data)


def test_what_cannot_be_done_is_refused(tmp_path):
    path = written(tmp_path, b"id,name\n1,x\n")
    with pytest.raises(UsageError, match='there is no column "nobody"'):
        edited(path, Edits(replace={"nobody": Replacement(rows(0), nulls)}))
    with pytest.raises(InputError, match="fewer rows"):
        edited(path, Edits(rows(1)))
    with pytest.raises(UsageError, match="not of the column's type"):
        edited(path, Edits(replace={"name": Replacement(rows(0), lambda _: pa.array([1]))}))
    path = written(tmp_path, b"id,name\n1,x\n")
    replace = {"name": Replacement(rows(0), lambda old: pa.array(["a,b"], old.type))}
    with pytest.raises(OutputError, match="without quotes"):
        edited(path, Edits(replace=replace), CsvOptions(quote=""))


cells = st.text(st.sampled_from('ab," \n;é'), max_size=6)


@given(
    st.lists(st.lists(cells, min_size=2, max_size=2), min_size=1, max_size=30),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
    st.booleans(),
    st.data(),
)
@settings(max_examples=200, deadline=None)
def test_it_is_what_pythons_csv_makes_of_the_rows_that_stay(tmp_path_factory, table, newline, every, ending, data):
    """The standard library's module as an independent reader and writer."""
    style = csv.QUOTE_ALL if every else csv.QUOTE_MINIMAL
    chosen = st.sets(st.integers(0, len(table) - 1))
    gone, new = data.draw(chosen), data.draw(chosen)

    def dump(lines):
        out = io.StringIO(newline="")
        csv.writer(out, lineterminator=newline, quoting=style).writerows([["c1", "c2"], *lines])
        return out.getvalue().encode()

    whole = dump(table)
    path = tmp_path_factory.mktemp("f") / "f.csv"
    path.write_bytes(whole if ending else whole.removesuffix(newline.encode()))
    replace = {"c2": Replacement(np.array(sorted(new), np.int64), lambda old: pa.array(["new"] * len(old)))}
    made, counts = edited(path, Edits(np.array(sorted(gone), np.int64), replace), CsvOptions(delimiter=","))
    kept = [[one, "new" if at in new else two] for at, (one, two) in enumerate(table) if at not in gone]
    read = list(csv.reader(io.StringIO(made.decode(), newline="")))
    assert read == [["c1", "c2"], *kept]
    assert counts.rows_after == len(kept)
    if not new and ending:
        assert made == dump(kept)
