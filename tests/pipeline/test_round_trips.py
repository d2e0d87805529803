"""What a policy keeps comes out as it went in, cell by cell, whatever the format, the batches and the workers."""

import csv

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pydp_cli.datasets.formats import Format, open_sink, open_source
from pydp_cli.datasets.locations import find_inputs
from pydp_cli.errors import BadValue
from pydp_cli.pipeline.compile import compile_pipeline
from pydp_cli.pipeline.local import run_file
from tests.pipeline.rings import policy, run

names = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=8).filter(str.strip)
cells = st.none() | st.sampled_from(["", "0", "007", "1e5", "+49 1", "NULL", "NaN", '"', "a,b", "x\ny", "\r\n", " "])
texts = cells | st.text(st.characters(exclude_categories=("Cs",)).filter(lambda c: c != "\0"), max_size=12)


@st.composite
def tables(draw):
    width = draw(st.integers(1, 4))
    header = draw(st.lists(names, min_size=width, max_size=width, unique=True))
    rows = draw(st.lists(st.tuples(*[texts] * width), max_size=12))
    columns = [pa.array([row[number] for row in rows], pa.string()) for number in range(width)]
    return pa.table(columns, names=header)


@given(table=tables(), via=st.sampled_from(["csv", "parquet", "csv.gz", "tsv"]))
@settings(max_examples=150)
def test_any_table_survives_every_format(tmp_path_factory, table, via):
    folder = tmp_path_factory.mktemp("trip")
    pq.write_table(table, folder / "in.parquet")
    kept = policy(dict.fromkeys(table.column_names, "keep"))
    there = run(kept, folder / "in.parquet", folder / f"there.{via}")
    back = run(kept, folder / f"there.{via}", folder / "back.parquet")
    assert there.rows_in == there.rows_out == back.rows_out == table.num_rows
    assert pq.read_table(folder / "back.parquet").to_pydict() == table.to_pydict()


@given(table=tables())
@settings(max_examples=50)
def test_csv_that_is_written_is_what_the_standard_library_reads(tmp_path_factory, table):
    folder = tmp_path_factory.mktemp("std")
    pq.write_table(table, folder / "in.parquet")
    run(policy(dict.fromkeys(table.column_names, "keep")), folder / "in.parquet", folder / "out.csv")
    with (folder / "out.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    expected = [[value or "" for value in row.values()] for row in table.to_pylist()]
    assert rows[0] == table.column_names
    assert [row or [""] for row in rows[1:]] == expected


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """Some 7 MB: several blocks of CSV, several row groups of Parquet, quotes and nulls at every boundary."""
    folder = tmp_path_factory.mktemp("people")
    rows = 60_000
    table = pa.table(
        {
            "id": [f"{number:06d}" for number in range(rows)],
            "email": [None if number % 11 == 0 else f"Person.{number % 5000}@Example.org" for number in range(rows)],
            "note": ["x" * (number % 90) if number % 7 else f'said "{number}", twice\n' for number in range(rows)],
            "born": [f"{1930 + number % 80}-0{1 + number % 9}-11" for number in range(rows)],
        }
    )
    pq.write_table(table, folder / "people.parquet", row_group_size=25_000)
    run(policy(dict.fromkeys(table.column_names, "keep")), folder / "people.parquet", folder / "people.csv")
    return folder


TREATED = {
    "id": "{pseudonym: {domain: person}}",
    "email": "{pseudonym: {domain: email, format: email}}",
    "note": "{free_text: {also: [email]}}",
    "born": "[{date: {truncate: year}}, {top_code: {max_age: 80, at: 2026-01-01}}]",
}
MORE = '    drop_rows: id == "000007"\n'


@pytest.fixture(scope="module")
def expected(people, keyring):
    """What one worker makes of the Parquet file."""
    run(policy(TREATED, more=MORE), people / "people.parquet", people / "expected.parquet", keyring=keyring)
    return pq.read_table(people / "expected.parquet").to_pydict()


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("formats", ["csv csv", "csv parquet", "parquet csv", "parquet parquet"])
def test_workers_and_formats_never_change_the_result(people, expected, keyring, tmp_path, formats, workers):
    source, target = formats.split()
    out = tmp_path / f"out.{target}"
    report = run(policy(TREATED, more=MORE), people / f"people.{source}", out, keyring=keyring, workers=workers)
    assert (report.rows_in, report.rows_out) == (60_000, 59_999)
    if target == "csv":
        run(policy(dict.fromkeys(TREATED, "keep")), out, tmp_path / "back.parquet")
        out = tmp_path / "back.parquet"
    found = pq.read_table(out).to_pydict()
    assert {name: list(map(str, values)) for name, values in found.items()} == {
        name: list(map(str, values)) for name, values in expected.items()
    }


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("block_bytes", [1 << 14, 300_001, 1 << 26])
def test_the_size_of_blocks_never_changes_the_result(people, keyring, tmp_path, block_bytes, workers):
    chosen = policy(TREATED, more=MORE)

    def treat(target, **options):
        (file,) = find_inputs([str(people / "people.csv")])
        source = open_source(file, **options)
        pipeline = compile_pipeline(chosen, dataset="people", schema=source.schema, keyring=keyring)
        with target.open("wb") as stream:
            sink = open_sink(stream, Format("csv"), pipeline.output_schema, like=source)
            run_file(source, sink, pipeline, name="people.csv", workers=workers)
        return target.read_bytes()

    assert treat(tmp_path / "a", block_bytes=block_bytes) == treat(tmp_path / "b")


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_the_number_of_workers_never_changes_a_byte(people, keyring, tmp_path, form):
    source = people / f"people.{form}"
    for workers in (1, 2, 3):
        run(policy(TREATED, more=MORE), source, tmp_path / f"{workers}.{form}", keyring=keyring, workers=workers)
    one = (tmp_path / f"1.{form}").read_bytes()
    assert (tmp_path / f"2.{form}").read_bytes() == one
    assert (tmp_path / f"3.{form}").read_bytes() == one


@pytest.mark.parametrize("workers", [1, 2])
def test_a_parquet_file_of_which_no_row_is_left_keeps_its_schema(people, tmp_path, workers):
    chosen = policy(dict.fromkeys(TREATED, "keep"), more='    keep_rows: id == "nobody"\n')
    report = run(chosen, people / "people.parquet", tmp_path / "none.parquet", workers=workers)
    assert (report.rows_in, report.rows_out) == (60_000, 0)
    whole = pq.read_table(tmp_path / "none.parquet")
    assert (whole.num_rows, whole.schema) == (0, pq.read_schema(people / "people.parquet"))


def test_a_bad_value_in_a_later_row_group_is_named_by_its_row_in_the_file(people, tmp_path):
    table = pq.read_table(people / "people.parquet")
    born = table.column("born").to_pylist()
    born[51_234] = "soon"
    changed = table.set_column(3, "born", pa.array(born))
    pq.write_table(changed, tmp_path / "bad.parquet", row_group_size=25_000)
    chosen = policy(dict.fromkeys(TREATED, "keep") | {"born": TREATED["born"]})
    for workers in (1, 2):
        with pytest.raises(BadValue) as caught:
            run(chosen, tmp_path / "bad.parquet", tmp_path / "out.parquet", workers=workers)
        assert "row 51235" in caught.value.place
        assert not (tmp_path / "out.parquet").exists()
