# Stand-ins take what the real ones take.
# ruff: noqa: ARG005

import gzip
import io
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pydp_cli.datasets import formats
from pydp_cli.datasets.formats import Format, Handler, format_of_name, open_sink, open_source, plain_name
from pydp_cli.datasets.locations import InputFile, find_inputs
from pydp_cli.datasets.spool import seekable
from pydp_cli.errors import InputError


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("a.csv", Format("csv")),
        ("A.CSV.GZ", Format("csv", "gzip")),
        ("a.csv.zst", Format("csv", "zstd")),
        ("a.tsv.xz", Format("tsv", "xz")),
        ("a.tab.bz2", Format("tsv", "bzip2")),
        ("a.parquet", Format("parquet")),
        ("a.snappy.parquet", Format("parquet")),
        ("a.parquet.gz", None),
        ("a.gz", None),
        ("csv", None),
    ],
)
def test_a_name_tells_the_format(name, form):
    assert format_of_name(name) == form


def test_a_format_gives_its_extension():
    assert Format("csv", "zstd").extension == ".csv.zst"
    assert plain_name("d.x/orders.csv.gz") == "d.x/orders"


def rewrite(source, form, **options):
    out = io.BytesIO()
    sink = open_sink(out, form, source.schema, like=source, **options)
    for chunk in source.chunks():
        for batch in chunk.read():
            sink.write(sink.encoder.encode(batch), chunk.group)
    sink.close()
    return out.getvalue()


def source_of(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    return open_source(find_inputs([str(tmp_path / name)])[0])


TEXT = b'id;name\n007;"a;b"\n1e5;\n'


def test_text_compressed_and_parquet_turn_into_each_other(tmp_path):
    source = source_of(tmp_path, "a.csv.gz", gzip.compress(TEXT))
    packed = rewrite(source, Format("parquet"))
    assert pq.read_table(io.BytesIO(packed)).to_pydict() == {"id": ["007", "1e5"], "name": ["a;b", None]}
    again = source_of(tmp_path, "b.parquet", packed)
    assert rewrite(again, Format("csv", "gzip")) != b""
    assert gzip.decompress(rewrite(again, Format("csv", "gzip"))) == b"id,name\n007,a;b\n1e5,\n"
    assert rewrite(again, Format("tsv")) == b"id\tname\n007\ta;b\n1e5\t\n"


def test_the_dialect_is_kept_but_for_the_delimiter_of_another_format(tmp_path):
    source = source_of(tmp_path, "a.csv", TEXT)
    assert rewrite(source, Format("csv"), like_format=Format("csv")) == TEXT
    source = source_of(tmp_path, "b.csv", TEXT)
    assert rewrite(source, Format("tsv"), like_format=Format("csv")) == b"id\tname\n007\ta;b\n1e5\t\n"


def test_no_format_means_that_of_the_source(tmp_path):
    out = io.BytesIO()
    pq.write_table(pa.table({"a": [1]}), out)
    assert rewrite(source_of(tmp_path, "a.parquet", out.getvalue()), None)[:4] == b"PAR1"
    assert rewrite(source_of(tmp_path, "a.csv", TEXT), None) == TEXT


SCRIPT = """
import sys
from pydp_cli.datasets.formats import open_source
from pydp_cli.datasets.locations import find_inputs
source = open_source(find_inputs(["-"])[0])
print(type(source).__name__, sum(b.num_rows for c in source.chunks() for b in c.read()))
"""


@pytest.mark.parametrize("kind", ["parquet", "csv"])
@pytest.mark.parametrize("through", ["pipe", "file"])
def test_standard_input_is_recognised_and_read_from_pipes_and_files(tmp_path, kind, through):
    path = tmp_path / "in"
    if kind == "parquet":
        pq.write_table(pa.table({"a": list(range(1000))}), path)
    else:
        path.write_text("a\n" + "1\n" * 1000)
    if through == "pipe":
        done = subprocess.run([sys.executable, "-c", SCRIPT], input=path.read_bytes(), capture_output=True, check=True)
    else:
        with path.open("rb") as file:
            done = subprocess.run([sys.executable, "-c", SCRIPT], stdin=file, capture_output=True, check=True)
    assert done.stdout.decode().split() == ["ParquetSource" if kind == "parquet" else "CsvSource", "1000"]


class Pipe(io.BytesIO):
    def seekable(self):
        return False


def test_a_pipe_is_held_in_memory_up_to_a_limit():
    assert seekable(Pipe(b"x" * 100), "stdin", limit=100).read() == b"x" * 100
    with pytest.raises(InputError, match="pipe"):
        seekable(Pipe(b"x" * 101), "stdin", limit=100)


def test_a_package_can_add_a_format_but_not_replace_one(monkeypatch, tmp_path):
    class Lines:
        schema = pa.schema([("line", pa.string())])

    handler = Handler("lines", (".lines",), lambda opening: Lines(), lambda making: None)

    class Entry:
        name = "lines"

        def load(self):
            return handler

    class Thief(Entry):
        name = "csv"

    monkeypatch.setattr(formats, "entry_points", lambda group: [Entry(), Thief()] if group == "pydp.formats" else [])
    formats.handlers.cache_clear()
    try:
        assert format_of_name("x.lines.gz") == Format("lines", "gzip")
        assert isinstance(source_of(tmp_path, "x.lines", b"x"), Lines)
        assert format_of_name("x.csv") == Format("csv")
        assert formats.handlers()["csv"] is not handler
    finally:
        formats.handlers.cache_clear()


def test_a_file_that_cannot_be_read_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        open_source(InputFile(str(tmp_path / "gone.csv"), "gone.csv", Format("csv")))


def test_a_wrong_extension_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="not a Parquet file"):
        source_of(tmp_path, "a.parquet", TEXT)
