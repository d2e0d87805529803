# Stand-ins take what the real ones take.
# ruff: noqa: ARG004

import os
import subprocess
import sys

import pyarrow as pa
import pytest
from pyarrow import fs

from pydp_cli.datasets import object_stores
from pydp_cli.datasets.formats import Format, open_source
from pydp_cli.datasets.locations import InputFile, find_inputs, map_outputs
from pydp_cli.errors import InputError, MissingExtra, OutputError, UsageError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("a\n1\n")


def found(*locations, **options):
    return [(file.path, file.relative_name) for file in find_inputs(locations, **options)]


def test_a_file_keeps_its_name(folder):
    make(folder, "d/a.csv.gz")
    assert find_inputs(["d/a.csv.gz"]) == [InputFile("d/a.csv.gz", "a.csv.gz", Format("csv", "gzip"))]


def test_a_folder_keeps_partitions_and_leaves_out_what_is_no_data(folder):
    make(
        folder,
        "t/country=DE/day=1%2F2/part-0.parquet",
        "t/_SUCCESS",
        "t/_metadata",
        "t/.hidden.csv",
        "t/.git/x.csv",
        "t/country=DE/.part-0.parquet.crc",
        "t/part-0.csv.crc",
        "t/_day=1/b.csv",
    )
    files = find_inputs(["t"])
    assert [file.relative_name for file in files] == ["_day=1/b.csv", "country=DE/day=1%2F2/part-0.parquet"]
    assert files[1].partition_columns == {"country": "DE", "day": "1/2"}


def test_a_glob_is_sorted_and_named_from_its_first_wildcard(folder):
    make(folder, "in/b/2.csv", "in/a/1.csv", "in/a/.x.csv", "in/top.csv", "in/a/deep/3.csv")
    assert found("in/*/*.csv") == [("in/a/1.csv", "a/1.csv"), ("in/b/2.csv", "b/2.csv")]
    names = ["a/1.csv", "a/deep/3.csv", "b/2.csv", "top.csv"]
    assert [name for _, name in found("in/**/*.csv")] == names
    assert [name for _, name in found("in/**")] == names
    assert [path for path, _ in found(f"{folder}/in/t?p.csv")] == [f"{folder}/in/top.csv"]


def test_a_name_with_wildcard_characters_is_a_file_if_there_is_one(folder):
    make(folder, "a[1].csv", "a1.csv")
    assert found("a[1].csv") == [("a[1].csv", "a[1].csv")]


def test_links_that_go_in_circles_end(folder):
    make(folder, "in/a/1.csv")
    (folder / "in/a/up").symlink_to("..")
    (folder / "in/0link").symlink_to("a")
    (folder / "in/self").symlink_to("self")
    assert found("in") == [("in/a/1.csv", "a/1.csv")]
    assert found("in/**/*.csv") == [("in/a/1.csv", "a/1.csv")]


def test_a_file_named_twice_counts_once_and_order_is_kept(folder):
    make(folder, "a.csv", "b.csv")
    assert [path for path, _ in found("b.csv", "*.csv", "./a.csv")] == ["b.csv", "a.csv"]


@pytest.mark.parametrize("location", ["none.csv", "*.csv", "empty", "file.csv/x.csv", "what.xyz", "dir.of.xyz", "s3x/"])
def test_what_cannot_be_found_or_told_is_an_input_error(folder, location):
    (folder / "empty").mkdir()
    make(folder, "file.csv".replace("csv", "tsv"), "what.xyz", "dir.of.xyz/x.xyz")
    with pytest.raises(InputError):
        find_inputs([location])


def test_no_input_is_an_input_error():
    with pytest.raises(InputError):
        find_inputs([])


def test_an_input_format_is_taken_at_its_word(folder):
    make(folder, "what.xyz")
    assert find_inputs(["what.xyz"], input_format="csv.gz")[0].format == Format("csv", "gzip")
    with pytest.raises(UsageError, match="xlsx") as caught:
        find_inputs(["what.xyz"], input_format="xlsx")
    assert caught.value.hint == "one of: csv, tsv, parquet"


def test_file_urls_are_read(folder):
    make(folder, "t/k=1/a.csv", "t/_SUCCESS")
    (file,) = find_inputs([f"file://{folder}/t"])
    assert (file.relative_name, file.partition_columns) == ("k=1/a.csv", {"k": "1"})
    assert open_source(file).schema.names == ["a"]
    assert find_inputs([f"file://{folder}/t/k=1/a.csv"])[0].relative_name == "a.csv"
    with pytest.raises(InputError):
        find_inputs([f"file://{folder}/none"])


def test_object_stores_are_read_through_their_file_system(folder, monkeypatch):
    make(folder, "bucket/t/a.csv", "bucket/t/b/c.csv")
    store = fs.SubTreeFileSystem(str(folder), fs.LocalFileSystem())
    monkeypatch.setattr(object_stores, "open_filesystem", lambda url: (store, url.removeprefix("s3://")))
    files = find_inputs(["s3://bucket/t"])
    assert [file.relative_name for file in files] == ["a.csv", "b/c.csv"]
    chunks = list(open_source(files[1]).chunks())
    assert pa.Table.from_batches(next(chunk.read()) for chunk in chunks)["a"].to_pylist() == ["1"]


def test_a_missing_extra_is_named(monkeypatch):
    class NotBuilt:
        @staticmethod
        def from_uri(url):
            raise pa.ArrowNotImplementedError("built without it")

    monkeypatch.setattr(fs, "FileSystem", NotBuilt)
    with pytest.raises(MissingExtra) as caught:
        find_inputs(["gs://bucket/x.csv"])
    assert "pydp-cli[gcs]" in caught.value.hint
    assert caught.value.exit_code == 2


def test_an_unknown_scheme_is_a_usage_error():
    with pytest.raises(UsageError, match="ftp"):
        find_inputs(["ftp://host/x.csv"])


def targets(inputs, output=None, **options):
    return [(t.path, t.format) for t in map_outputs(find_inputs(inputs), output=output, **options)]


def test_one_input_goes_to_a_file_of_any_format(folder):
    make(folder, "a.csv.gz")
    assert targets(["a.csv.gz"], "out.parquet") == [("out.parquet", Format("parquet"))]
    assert targets(["a.csv.gz"], "out.csv") == [("out.csv", Format("csv"))]
    assert targets(["a.csv.gz"], "out.tsv.zst") == [("out.tsv.zst", Format("tsv", "zstd"))]
    assert targets(["a.csv.gz"], "out") == [("out", Format("csv"))]
    assert targets(["a.csv.gz"], "out", output_format="parquet") == [("out", Format("parquet"))]
    assert targets(["a.csv.gz"]) == [("-", Format("csv"))]
    assert targets(["a.csv.gz"], "-", output_format="csv.gz") == [("-", Format("csv", "gzip"))]


def test_a_folder_as_output_keeps_relative_names(folder):
    make(folder, "in/k=1/a.csv.gz", "in/b.csv")
    assert targets(["in"], "out") == [("out/b.csv", Format("csv")), ("out/k=1/a.csv.gz", Format("csv", "gzip"))]
    assert [path for path, _ in targets(["in"], "out/", output_format="parquet")] == [
        "out/b.parquet",
        "out/k=1/a.parquet",
    ]
    assert [path for path, _ in targets(["in/b.csv"], "out/")] == ["out/b.csv"]
    assert all(target.make_folders for target in map_outputs(find_inputs(["in"]), output="out"))


@pytest.mark.parametrize("output", [None, "-", "one.csv", "exists"])
def test_several_inputs_need_a_folder(folder, output):
    make(folder, "a.csv", "b.csv", "exists")
    with pytest.raises(UsageError):
        targets(["a.csv", "b.csv"], output)


def test_two_inputs_with_one_output_are_refused(folder):
    make(folder, "x/a.csv", "y/a.csv", "z/a.tsv")
    with pytest.raises(UsageError, match="same output"):
        targets(["x/a.csv", "y/a.csv"], "out")
    with pytest.raises(UsageError, match="same output"):
        targets(["x/a.csv", "z/a.tsv"], "out", output_format="parquet")


def test_the_input_as_output_is_refused_by_whatever_name(folder):
    make(folder, "a.csv", "d/a.csv")
    (folder / "soft.csv").symlink_to("a.csv")
    os.link("a.csv", "hard.csv")
    for output in ("a.csv", "./d/../a.csv", "soft.csv", "hard.csv"):
        with pytest.raises(UsageError, match="is the input"):
            targets(["a.csv"], output, force=True)
    with pytest.raises(UsageError, match="is the input"):
        targets(["soft.csv"], "a.csv", force=True)
    with pytest.raises(UsageError, match="is the input"):
        targets(["d"], "d", force=True)
    with pytest.raises(UsageError, match="is the input"):
        targets(["a.csv", "d/a.csv"], "d", force=True)


def test_standard_streams_of_one_file_are_refused(folder):
    make(folder, "a.csv")
    script = "from pydp_cli.datasets.locations import *\nmap_outputs(find_inputs(['-']), output='-')"
    with (folder / "a.csv").open("r+") as file:
        done = subprocess.run(
            [sys.executable, "-c", script], stdin=file, stdout=file, stderr=subprocess.PIPE, text=True, check=False
        )
    assert "the output is the input" in done.stderr


def test_an_existing_output_is_refused_before_any_work_unless_forced(folder):
    make(folder, "a.csv", "out.csv", "out/a.csv")
    with pytest.raises(OutputError, match="exists"):
        targets(["a.csv"], "out.csv")
    with pytest.raises(OutputError, match="exists"):
        targets(["a.csv"], "out")
    assert targets(["a.csv"], "out.csv", force=True) == [("out.csv", Format("csv"))]
    assert targets(["a.csv"], "/dev/null") == [("/dev/null", Format("csv"))]


def test_in_place_targets_are_the_inputs(folder):
    make(folder, "a.csv", "d/b.csv")
    assert [path for path, _ in targets(["a.csv", "d"], in_place=True)] == ["a.csv", "d/b.csv"]
    for options in ({"output": "x"}, {"output_format": "parquet"}):
        with pytest.raises(UsageError):
            targets(["a.csv"], in_place=True, **options)
    with pytest.raises(UsageError):
        targets(["-"], in_place=True)


def test_an_object_store_is_no_output(folder):
    make(folder, "a.csv")
    with pytest.raises(UsageError):
        targets(["a.csv"], "s3://bucket/a.csv")
