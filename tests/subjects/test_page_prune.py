"""Pages are left out where the page index rules everything in them out, and never where something is."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydp_cli.datasets.parquet_page_index import PagedColumn
from pydp_cli.datasets.parquet_read import ParquetSource, open_parquet
from pydp_cli.datasets.thrift_compact import Reader, write_struct
from pydp_cli.subjects import page_prune
from pydp_cli.subjects.page_prune import some_rows
from pydp_cli.subjects.parquet_prune import Wanted

KINDS = [pa.int32(), pa.int64(), pa.int8(), pa.string()]
WAYS = [
    {},
    {"use_dictionary": False},
    {"data_page_version": "2.0", "compression": "zstd"},
    {"write_page_checksum": True, "compression": "none"},
    {"dictionary_pagesize_limit": 64},  # the first pages have a dictionary, the others not
]


@pytest.fixture(autouse=True)
def small_groups(monkeypatch):
    monkeypatch.setattr(page_prune, "LEAST_ROWS", 1)


def written(folder, table, **options) -> ParquetSource:
    """Write a table in pages of ten rows, with indexes unless `options` say otherwise."""
    path = folder / "a.parquet"
    told = {"write_page_index": True, "write_batch_size": 10, "max_rows_per_page": 10, "compression": "snappy"}
    pq.write_table(table, path, **{**told, **options})
    return open_parquet(str(path), "people.parquet")


def found(source, wanted):
    """Give the positions and values that are decoded; None where all has to be."""
    runs = some_rows(source, 0, {name: Wanted.of(values, exact=True) for name, values in wanted.items()})
    if runs is None:
        return None
    return {first + at: row for first, batch in runs for at, row in enumerate(batch.to_pylist())}


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_only_pages_that_may_hold_it_are_decoded(tmp_path, kind, way):
    numbers = pa.array([None if n % 7 == 3 else n for n in range(-50, 50)])
    column = pa.array([f"p{n:03d}" for n in range(100)]) if kind == pa.string() else numbers.cast(kind)
    source = written(tmp_path, pa.table({"id": column, "other": range(100)}), **way)
    assert len(PagedColumn.find(source.footer, 0, "id", source.read_at).pages) == 10
    value = str(column[68].as_py())
    assert found(source, {"id": [value]}) == {at: {"id": column[at].as_py()} for at in range(60, 70)}
    assert found(source, {"id": [value, str(column[5].as_py())]}).keys() == {*range(10), *range(60, 70)}
    assert found(source, {"id": ["99", "p999"]}) == {}


NUMBERS = st.one_of(st.none(), st.integers(-(2**31), 2**31 - 1), st.integers(0, 40))


@given(
    kind=st.sampled_from([pa.int32(), pa.int64(), pa.string()]),
    numbers=st.lists(NUMBERS, min_size=1, max_size=90),
    ordered=st.booleans(),
    way=st.sampled_from(WAYS),
    data=st.data(),
)
def test_what_is_there_is_never_left_out(tmp_path_factory, kind, numbers, ordered, way, data):
    numbers = sorted(numbers, key=lambda n: (n is None, n)) if ordered else numbers
    texts = [None if n is None else str(n) for n in numbers]
    column = pa.array(texts) if kind == pa.string() else pa.array(numbers, kind)
    last = len(texts) - 1
    table = pa.table({"id": column, "b": column.take(pa.array(range(last, -1, -1)))})
    source = written(tmp_path_factory.mktemp("pages"), table, **way)
    known = [text for text in texts if text is not None] or ["0"]
    wanted = data.draw(st.lists(st.sampled_from(known), min_size=1, max_size=3))
    there = {at for at, text in enumerate(texts) if text in wanted}
    one, both = found(source, {"id": wanted}), found(source, {"id": wanted, "b": wanted})
    assert one is None or there <= one.keys()
    assert all(row["id"] == column[at].as_py() for at, row in (one or {}).items())
    assert both is None or there | {last - at for at in there} <= both.keys()
    for at, row in (both or {}).items():
        assert (row["id"], row["b"]) == (column[at].as_py(), column[last - at].as_py())


def test_long_texts_whose_bounds_were_cut_are_found(tmp_path):
    values = sorted(f"{'x' * 100}{n:03d}" for n in range(100))
    source = written(tmp_path, pa.table({"id": values}))
    assert found(source, {"id": [values[42]]}) in (None, {at: {"id": values[at]} for at in range(40, 50)})


@pytest.mark.parametrize(
    "table",
    [
        pa.table({"id": pa.array(range(100), pa.uint32())}),
        pa.table({"id": pa.array([str(n) for n in range(100)]).dictionary_encode()}),
        pa.table({"id": pa.array([{"n": n} for n in range(100)])}),
        pa.table({"id": pa.array([float(n) for n in range(100)])}),
    ],
    ids=lambda table: str(table.schema.field(0).type),
)
def test_other_kinds_are_decoded_whole(tmp_path, table):
    assert found(written(tmp_path, table), {"id": ["5"]}) is None


def test_without_an_index_all_is_decoded(tmp_path):
    table = pa.table({"id": range(100)})
    assert found(written(tmp_path, table, write_page_index=False), {"id": ["5"]}) is None
    assert some_rows(written(tmp_path, table), 0, {"id": Wanted.of(["5"], exact=False)}) is None


@pytest.mark.parametrize("part", ["offset", "column"])
@pytest.mark.parametrize("at", range(0, 24, 3))
def test_a_damaged_index_leaves_nothing_out_unseen(tmp_path, part, at):
    """Whatever the damage: what is given are the rows that are there, or all has to be decoded."""
    source = written(tmp_path, pa.table({"id": range(100)}))
    chunk = source.footer[4][0][1][0]
    data = bytearray((tmp_path / "a.parquet").read_bytes())
    data[chunk[4 if part == "offset" else 6] + at] ^= 0x15
    (tmp_path / "a.parquet").write_bytes(data)
    rows = found(open_parquet(str(tmp_path / "a.parquet"), "a"), {"id": [str(n) for n in (5, 77)]})
    assert all(row["id"] == place for place, row in (rows or {}).items())


def test_an_index_that_counts_rows_otherwise_than_the_pages_is_not_believed(tmp_path):
    source = written(tmp_path, pa.table({"id": range(100)}))
    chunk = source.footer[4][0][1][0]
    index = Reader(source.read_at(chunk[4], chunk[5])).struct()
    index[1][3][3] += 1
    data = bytearray((tmp_path / "a.parquet").read_bytes())
    data[chunk[4] : chunk[4] + chunk[5]] = write_struct(index)
    (tmp_path / "a.parquet").write_bytes(data)
    source = open_parquet(str(tmp_path / "a.parquet"), "a")
    assert found(source, {"id": ["35"]}) is None
    assert found(source, {"id": ["75"]}).keys() == set(range(70, 80))
