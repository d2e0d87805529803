"""Rows of a Parquet file change, and all else stays as it is: row groups to the byte, types, metadata and layout."""

import contextlib
import io

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pydp_cli.datasets.edits import Edits, Replacement
from pydp_cli.datasets.parquet_edit import edit_parquet
from pydp_cli.datasets.parquet_splice import first_byte, read_footer
from pydp_cli.errors import InputError, PydpError, UsageError

ROWS = 900
STEP = 300
TABLE = pa.table(
    {
        "id": pa.array(range(ROWS), pa.int32()),
        "text": [None if number % 13 == 0 else f"value {number % 70}" for number in range(ROWS)],
        "secret": [f"person{number:04}@example.com" for number in range(ROWS)],
        "nested": [{"a": [number] * (number % 4), "b": {"c": number / 3}} for number in range(ROWS)],
        "map": pa.array([[("k", number)] for number in range(ROWS)], pa.map_(pa.string(), pa.int64())),
        "day": pa.array(range(ROWS), pa.int32()).cast(pa.date32()),
        "money": pa.array([f"{number}.25" for number in range(ROWS)]).cast(pa.decimal128(12, 2)),
        "when": pa.array(range(ROWS), pa.int64()).cast(pa.timestamp("us", "UTC")),
        "zoned": pa.array(range(ROWS), pa.int64()).cast(pa.timestamp("ns", "Europe/Berlin")),
        "half": pa.array(np.arange(ROWS, dtype="float16")),
        "kind": pa.array([f"k{number % 5}" for number in range(ROWS)]).dictionary_encode(),
        "view": pa.array([f"view {number}" for number in range(ROWS)], pa.string_view()),
        "blob": pa.array([bytes([number % 256]) * 3 for number in range(ROWS)], pa.large_binary()),
        "flag": pa.array([None if number % 7 == 0 else number % 2 == 0 for number in range(ROWS)]),
        "nothing": pa.nulls(ROWS),
    }
).replace_schema_metadata({b"made": b"here"})
OPTIONS = {
    "plain": {},
    "page index": {"write_page_index": True, "data_page_size": 512},
    "checksums": {"write_page_checksum": True, "compression": "zstd"},
    "version 2": {"data_page_version": "2.0", "compression": "gzip", "use_dictionary": False},
    "bloom": {"bloom_filter_options": {"secret": {"ndv": 300, "fpp": 0.01}}, "write_page_index": True},
    "sorted": {"sorting_columns": [pq.SortingColumn(0), pq.SortingColumn(2)]},
    "without statistics": {"write_statistics": False, "compression": "none"},
    "some statistics": {"write_statistics": ["id"], "use_dictionary": ["text"], "compression": {"id": "snappy"}},
    "encodings": {
        "use_dictionary": False,
        "column_encoding": {"id": "DELTA_BINARY_PACKED", "text": "DELTA_BYTE_ARRAY"},
    },
    "decimals as integers": {"store_decimal_as_integer": True},
    "without Arrow's schema": {"store_schema": False, "version": "1.0"},
}


def source(tmp_path, table=TABLE, groups_of=STEP, **options):
    path = tmp_path / "f.parquet"
    if options.get("store_schema") is False:
        table = table.drop_columns(["kind", "view", "nothing", "zoned"])
    pq.write_table(table, path, row_group_size=groups_of, **options)
    return path


def edited(path, edits):
    out = io.BytesIO()
    counts = edit_parquet(str(path), out, edits)
    return out.getvalue(), counts


def rows(*numbers):
    return np.array(numbers, np.int64)


def nulls(values):
    return pa.nulls(len(values), values.type)


def groups_of(data):
    """Give the pages of each row group, as bytes, column by column."""
    view = memoryview(data)
    return [
        [bytes(view[first_byte(chunk[3]) : first_byte(chunk[3]) + chunk[3][7]]) for chunk in group[1]]
        for group in read_footer(view)[4]
    ]


def stored(data):
    """Describe how each row group is stored, without sizes and positions."""
    metadata = pq.ParquetFile(io.BytesIO(data)).metadata
    found = []
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        columns = [group.column(at) for at in range(group.num_columns)]
        found.append(
            [
                (
                    column.path_in_schema,
                    column.physical_type,
                    column.compression,
                    sorted(set(column.encodings)),
                    column.is_stats_set,
                    column.has_dictionary_page,
                    column.has_column_index,
                    column.has_offset_index,
                )
                for column in columns
            ]
        )
    return found


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_rows_go_and_other_row_groups_stay_to_the_byte(options, tmp_path):
    path = source(tmp_path, **options)
    data, counts = edited(path, Edits(rows(310, 311, 599)))
    before, after = path.read_bytes(), data
    assert groups_of(after)[0] == groups_of(before)[0]
    assert groups_of(after)[2] == groups_of(before)[2]
    table = pq.read_table(path)
    keep = np.ones(ROWS, bool)
    keep[[310, 311, 599]] = False
    read = pq.read_table(io.BytesIO(after), page_checksum_verification=True)
    assert read.schema.equals(table.schema, check_metadata=True)
    assert read.equals(pa.concat_tables([table.slice(0, 310), table.slice(312, 287), table.slice(600)]))
    assert stored(after) == stored(before)
    assert (counts.rows_before, counts.rows_deleted, counts.rows_after) == (ROWS, 3, ROWS - 3)
    assert (counts.units_copied, counts.units_encoded, counts.units_dropped) == (2, 1, 0)
    assert counts.bytes_copied == sum(len(chunk) for at in (0, 2) for chunk in groups_of(before)[at])
    was, now = read_footer(memoryview(before)), read_footer(memoryview(after))
    assert {key: value for key, value in now.items() if key not in {3, 4}} == {
        key: value for key, value in was.items() if key not in {3, 4}
    }


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_cells_change_and_other_columns_stay_to_the_byte(options, tmp_path):
    path = source(tmp_path, **options)
    data, counts = edited(path, Edits(replace={"secret": Replacement(rows(5, 299, 300), nulls)}))
    before, after = groups_of(path.read_bytes()), groups_of(data)
    at = [field.name for field in pq.read_schema(path)].index("secret")
    for group in (0, 1):
        same = [one == other for one, other in zip(before[group], after[group], strict=True)]
        assert same.count(False) == 1
        assert same.index(False) == at
    assert after[2] == before[2]
    expected = TABLE["secret"].to_pylist()
    for row in (5, 299, 300):
        expected[row] = None
    table = pq.read_table(io.BytesIO(data), page_checksum_verification=True)
    assert table["secret"].to_pylist() == expected
    assert table.drop_columns(["secret"]).equals(pq.read_table(path).drop_columns(["secret"]))
    assert stored(data) == stored(path.read_bytes())
    assert (counts.cells_changed, counts.rows_deleted, counts.units_encoded) == (3, 0, 2)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_other_readers_read_it_and_prune_by_it(options, tmp_path):
    path = source(tmp_path, **options)
    made = tmp_path / "made.parquet"
    made.write_bytes(edited(path, Edits(rows(*range(300, 600, 2)), {"text": Replacement(rows(1, 301), nulls)}))[0])
    assert duckdb.sql(f"select count(*), sum(id) from '{made}' where id >= 300").fetchall() == [
        (450, sum(range(301, 600, 2)) + sum(range(600, 900)))
    ]
    for gone, there in ((310, 311), (598, 599)):
        query = f"select count(*) from '{made}' where secret = 'person%04d@example.com'"
        assert duckdb.sql(query % gone).fetchall() == [(0,)]
        assert duckdb.sql(query % there).fetchall() == [(1,)]
    frame = pl.read_parquet(made, columns=["id", "secret", "money"]).filter(pl.col("id") == 301)
    assert frame.rows() == [(301, "person0301@example.com", TABLE["money"][301].as_py())]


def test_a_row_group_without_rows_left_is_dropped_undecoded(tmp_path):
    path = source(tmp_path)
    data, counts = edited(path, Edits(np.arange(300, 600)))
    assert groups_of(data) == [groups_of(path.read_bytes())[at] for at in (0, 2)]
    assert (counts.units_dropped, counts.units_encoded, counts.rows_deleted) == (1, 0, 300)
    everything, counts = edited(path, Edits(np.arange(ROWS)))
    read = pq.read_table(io.BytesIO(everything))
    assert (read.num_rows, read.schema) == (0, TABLE.schema)
    assert counts.rows_after == 0


def test_nothing_to_do_gives_the_row_groups_back(tmp_path):
    path = source(tmp_path)
    data, counts = edited(path, Edits())
    assert groups_of(data) == groups_of(path.read_bytes())
    assert (counts.units_copied, counts.rows_deleted, counts.cells_changed) == (3, 0, 0)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_nothing_of_what_goes_is_left_in_the_bytes(options, tmp_path):
    plain = {**options, "compression": "none"}
    plain["bloom_filter_options"] = None
    path = source(tmp_path, **plain)
    data, _ = edited(path, Edits(rows(310), {"secret": Replacement(rows(620), nulls)}))
    for row in (310, 620):
        assert f"person{row:04}@example.com".encode() in path.read_bytes()
        assert f"person{row:04}@example.com".encode() not in data


def test_dictionaries_lose_what_no_row_refers_to_and_keep_their_order(tmp_path):
    sizes = pa.DictionaryArray.from_arrays(
        pa.array([2, 0, 1, 2], pa.int8()), pa.array(["small", "anna", "large"]), ordered=True
    )
    path = source(tmp_path, pa.table({"size": sizes, "n": [1, 2, 3, 4]}), 4, compression="none")
    assert b"anna" in path.read_bytes()
    for edits in (Edits(rows(2)), Edits(replace={"size": Replacement(rows(2), nulls)})):
        data, _ = edited(path, edits)
        assert b"anna" not in data
        column = pq.read_table(io.BytesIO(data))["size"].chunk(0)
        assert column.type.ordered
        assert column.dictionary.to_pylist() == ["small", "large"]


def test_categories_go_from_every_row_group_when_the_last_row_that_had_them_goes(tmp_path):
    """The writer repeats all categories in each row group, in their order, also those that no row has."""
    kinds = pa.array(["low", "anna", "never", "mid", "high"])
    codes = [4, 0, 1, 3, None, 4, 0, 0, 1, 3, 4, 0]
    sizes = pa.DictionaryArray.from_arrays(pa.array(codes, pa.int8()), kinds, ordered=True)
    table = pa.table({"size": sizes, "n": range(12)})
    path = source(tmp_path, table, 3, compression="none", use_dictionary=["size"])
    assert path.read_bytes().count(b"anna") >= 4
    for edits in (Edits(rows(2, 8)), Edits(replace={"size": Replacement(rows(2, 8), nulls)})):
        data, counts = edited(path, edits)
        assert b"anna" not in data
        column = pq.read_table(io.BytesIO(data))["size"]
        assert [chunk.dictionary.to_pylist() for chunk in column.chunks] == [["low", "never", "mid", "high"]] * 4
        assert [value for value in column.to_pylist() if value] == [
            kinds[code].as_py() for code in codes if code not in {None, 1}
        ]
        assert [one[1] for one in groups_of(data)][1] == [one[1] for one in groups_of(path.read_bytes())][1]
        assert counts.units_encoded == 4
    data, counts = edited(path, Edits(rows(2)))  # another row has the category
    assert pq.read_table(io.BytesIO(data))["size"].chunk(0).dictionary.to_pylist() == kinds.to_pylist()
    assert (counts.units_copied, groups_of(data)[1:]) == (3, groups_of(path.read_bytes())[1:])


def test_decimals_stored_as_numbers_keep_their_encoding(tmp_path):
    path = tmp_path / "duck.parquet"
    cells = "i::int id, (i * 7919 / 3.0)::decimal(18, 3) price, [(i / 7.0)::decimal(9, 2)] prices"
    duckdb.sql(f"copy (select {cells} from range(3000) t(i)) to '{path}' (format parquet, parquet_version v2)")
    data, _ = edited(path, Edits(rows(5)))
    encodings = [
        [set(group.column(at).encodings) & {"DELTA_BINARY_PACKED", "RLE_DICTIONARY"} for at in range(3)]
        for group in (pq.ParquetFile(one).metadata.row_group(0) for one in (path, io.BytesIO(data)))
    ]
    assert encodings[0] == encodings[1]
    assert encodings[0][1] == {"DELTA_BINARY_PACKED"}
    table = pq.read_table(path)
    assert pq.read_table(io.BytesIO(data)).equals(pa.concat_tables([table.slice(0, 5), table.slice(6)]))


def test_a_bloom_filter_keeps_its_size_and_loses_the_person(tmp_path):
    options = {"secret": {"ndv": 5000, "fpp": 0.001}}
    path = source(tmp_path, bloom_filter_options=options)
    data, _ = edited(path, Edits(rows(310)))
    sizes = [[chunk[3].get(15) for chunk in group[1]] for group in read_footer(memoryview(data))[4]]
    assert sizes[1] == sizes[0]
    path.write_bytes(data)
    query = "from parquet_bloom_probe('%s', 'secret', 'person%04d@example.com')"
    assert [row[-1] for row in duckdb.sql(query % (path, 310)).fetchall()] == [True] * 3  # in no row group
    assert [row[-1] for row in duckdb.sql(query % (path, 311)).fetchall()] == [True, False, True]


def test_a_sorted_file_stays_sorted_as_far_as_its_columns_keep_their_values(tmp_path):
    path = source(tmp_path, sorting_columns=[pq.SortingColumn(0), pq.SortingColumn(2)])
    data, _ = edited(path, Edits(rows(0), {"secret": Replacement(rows(350), nulls)}))
    metadata = pq.ParquetFile(io.BytesIO(data)).metadata
    sorting = [[one.column_index for one in metadata.row_group(at).sorting_columns] for at in range(3)]
    assert sorting == [[0, 2], [0], [0, 2]]


def test_int96_stays_int96(tmp_path):
    table = pa.table({"when": pa.array([0, 10**18, None, 7], pa.timestamp("ns")), "n": [1, 2, 3, 4]})
    path = source(tmp_path, table, 4, use_deprecated_int96_timestamps=True)
    data, _ = edited(path, Edits(rows(0)))
    assert pq.ParquetFile(io.BytesIO(data)).schema.column(0).physical_type == "INT96"
    assert pq.read_table(io.BytesIO(data)).equals(table.slice(1))


def test_what_other_writers_made_stays_readable_under_their_schema(tmp_path):
    path, made = tmp_path / "duck.parquet", tmp_path / "made.parquet"
    duckdb.sql(
        "copy (select i as id, 'p' || i as name, [i, i + 1] as many, {'a': i} as one, i::decimal(9, 2) as money, "
        "make_timestamp(i) as at, uuid() as u, i::utinyint as tiny, current_date as d, '1:02'::time as t "
        f"from range(1000) r(i)) to '{path}' (row_group_size 300, dictionary_size_limit 100)".replace(
            "i::utinyint", "(i % 200)::utinyint"
        )
    )
    data, counts = edited(path, Edits(rows(3, 999), {"name": Replacement(rows(500), nulls)}))
    made.write_bytes(data)
    assert counts.rows_deleted == 2
    before = duckdb.sql(f"describe from '{path}'").fetchall()
    assert duckdb.sql(f"describe from '{made}'").fetchall() == before
    query = "select * replace (case when id = 500 then null else name end as name) from '{}' where id not in (3, 999)"
    wanted, got = (duckdb.sql(query.format(one) + " order by id").fetchall() for one in (path, made))
    assert got == wanted
    assert len(got) == 998
    frame = tmp_path / "polars.parquet"
    pl.DataFrame({"a": [1, 2, 3], "b": [["x"], [], None], "c": ["l", "m", "l"]}).write_parquet(frame, statistics="full")
    assert pl.read_parquet(io.BytesIO(edited(frame, Edits(rows(1)))[0])).rows() == [(1, ["x"], "l"), (3, None, "l")]


scalars = {
    pa.bool_(): st.booleans(),
    pa.int8(): st.integers(-128, 127),
    pa.uint16(): st.integers(0, 2**16 - 1),
    pa.uint32(): st.integers(0, 2**32 - 1),
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.uint64(): st.integers(0, 2**64 - 1),
    pa.float32(): st.floats(width=32, allow_nan=False),
    pa.float64(): st.floats(allow_nan=False),
    pa.string(): st.text(max_size=8),
    pa.large_string(): st.text(max_size=8),
    pa.binary(): st.binary(max_size=8),
    pa.binary(3): st.binary(min_size=3, max_size=3),
    pa.date32(): st.dates(),
    pa.date64(): st.dates(),
    pa.time32("ms"): st.times().map(lambda time: time.replace(microsecond=time.microsecond // 1000 * 1000)),
    pa.time64("us"): st.times(),
    pa.timestamp("s"): st.integers(-(10**9), 10**10),
    pa.timestamp("ms"): st.integers(-(10**12), 10**13),
    pa.timestamp("ns", "UTC"): st.integers(-(2**62), 2**62),
    pa.duration("us"): st.integers(-(2**62), 2**62),
    pa.decimal128(7, 3): st.decimals(-9999, 9999, places=3),
    pa.decimal256(50, 2): st.decimals(-(10**20), 10**20, places=2),
    pa.dictionary(pa.int8(), pa.string()): st.sampled_from(["x", "y", "", "long text"]),
    pa.null(): st.none(),
}
simple = st.sampled_from(list(scalars))


@st.composite
def types(draw, depth=2):
    shape = draw(st.sampled_from(["scalar"] * 3 + ["list", "large", "fixed", "struct", "map"])) if depth else "scalar"
    if shape == "scalar":
        return draw(simple)
    inner = draw(types(depth - 1))
    while pa.types.is_dictionary(inner) or pa.types.is_null(inner):
        inner = draw(simple)
    return {
        "list": pa.list_(inner),
        "large": pa.large_list(inner),
        "fixed": pa.list_(inner, 2),
        "struct": pa.struct([("a", inner), ("b", pa.int32())]),
        "map": pa.map_(pa.string(), inner),
    }[shape]


def values(kind):
    if kind in scalars:
        plain = scalars[kind]
    elif pa.types.is_struct(kind):
        plain = st.fixed_dictionaries({field.name: values(field.type) for field in kind})
    elif pa.types.is_map(kind):
        plain = st.lists(st.tuples(st.text(max_size=3), values(kind.item_type)), max_size=3)
    elif pa.types.is_fixed_size_list(kind):
        plain = st.lists(values(kind.value_type), min_size=2, max_size=2)
    elif pa.types.is_nested(kind):
        plain = st.lists(values(kind.value_type), max_size=3)
    else:
        plain = st.integers(-5, 5)
    return st.none() | plain


@st.composite
def files(draw):
    count = draw(st.integers(1, 12))
    kinds = draw(st.lists(types(), min_size=1, max_size=3))
    columns = {
        f"c{number}": pa.array(draw(st.lists(values(kind), min_size=count, max_size=count)), kind)
        for number, kind in enumerate(kinds)
    }
    return pa.table(columns), draw(st.integers(1, 12)), draw(st.sets(st.integers(0, count - 1)))


@given(files(), st.sampled_from(["1.0", "2.0"]), st.booleans())
@settings(max_examples=150, deadline=None)
def test_every_type_that_pyarrow_writes_comes_back(tmp_path_factory, file, version, index):
    table, step, gone = file
    path = tmp_path_factory.mktemp("f") / "f.parquet"
    pq.write_table(table, path, row_group_size=step, data_page_version=version, write_page_index=index)
    before = pq.read_table(path)
    data, _ = edited(path, Edits(np.array(sorted(gone), np.int64)))
    keep = np.ones(table.num_rows, bool)
    keep[sorted(gone)] = False
    after = pq.read_table(io.BytesIO(data))
    assert after.schema.equals(before.schema, check_metadata=True)
    assert after.to_pylist() == before.filter(pa.array(keep)).to_pylist()


@given(files(), st.data())
@settings(max_examples=80, deadline=None)
def test_cells_of_every_type_become_null(tmp_path_factory, file, data):
    table, step, places = file
    name = data.draw(st.sampled_from(table.column_names))
    path = tmp_path_factory.mktemp("f") / "f.parquet"
    pq.write_table(table, path, row_group_size=step)
    made, _ = edited(path, Edits(replace={name: Replacement(np.array(sorted(places), np.int64), nulls)}))
    wanted = pq.read_table(path).to_pylist()
    for place in places:
        wanted[place][name] = None
    assert pq.read_table(io.BytesIO(made)).to_pylist() == wanted


def test_what_cannot_be_kept_is_refused(tmp_path):
    path = source(tmp_path)
    with pytest.raises(UsageError, match='there is no column "nobody"'):
        edited(path, Edits(replace={"nobody": Replacement(rows(1), nulls)}))
    with pytest.raises(UsageError, match="not of the column's type"):
        edited(path, Edits(replace={"id": Replacement(rows(1), lambda old: old.cast(pa.int64()))}))
    with pytest.raises(InputError, match="fewer rows"):
        edited(path, Edits(rows(ROWS)))
    strict = pa.schema([pa.field("id", pa.int32(), nullable=False)])
    path = source(tmp_path, TABLE.select(["id"]).cast(strict))
    with pytest.raises(UsageError, match="may not hold nulls"):
        edited(path, Edits(replace={"id": Replacement(rows(1), nulls)}))


def test_lists_in_the_old_shape_are_refused_and_not_coerced(tmp_path):
    """A list of two levels, as old writers made it: pyarrow reads it, and writes it with three."""
    path = source(tmp_path, pa.table({"many": [[1], [2, 3]], "n": [1, 2]}), 2)
    footer = read_footer(memoryview(path.read_bytes()))
    elements = [(element[4], element.get(5, 0)) for element in footer[2]]
    assert elements == [(b"schema", 2), (b"many", 1), (b"list", 1), (b"element", 0), (b"n", 0)]
    from pydp_cli.datasets.parquet_edit import _are_alike

    two_levels = [footer[2][1], footer[2][3]]
    assert _are_alike(footer[2][1:4], footer[2][1:4])
    assert not _are_alike(two_levels, footer[2][1:4])


def test_encrypted_and_damaged_files_are_refused(tmp_path):
    whole = source(tmp_path).read_bytes()
    path = tmp_path / "damaged.parquet"
    length = int.from_bytes(whole[-8:-4], "little")
    footer_at = len(whole) - 8 - length
    rng = np.random.default_rng(7)
    survived = 0
    for _ in range(300):
        data = bytearray(whole)
        for at in rng.integers(footer_at, len(whole), 3):
            data[at] = rng.integers(0, 256)
        path.write_bytes(data)
        with contextlib.suppress(PydpError):
            survived += bool(edited(path, Edits(rows(310)))[0])
    assert survived < 200
    path.write_bytes(b"PARE" + whole[4:-4] + b"PARE")
    with pytest.raises(InputError, match="encrypted"):
        edited(path, Edits(rows(310)))


def test_a_new_value_can_be_anything_of_the_type(tmp_path):
    path = source(tmp_path)
    edits = Edits(
        rows(2),
        {
            "kind": Replacement(rows(1, 300, 899), pc.utf8_upper),
            "money": Replacement(rows(2, 4), lambda old: pc.multiply(old, -1).cast(old.type)),
            "view": Replacement(rows(0), lambda old: pa.array(["new"], old.type)),
        },
    )
    data, counts = edited(path, edits)
    read = pq.read_table(io.BytesIO(data))
    assert read.schema == TABLE.schema
    assert read["kind"].to_pylist()[:2] == ["k0", "K1"]
    assert [read["kind"].to_pylist()[at] for at in (299, 898)] == ["K0", "K4"]
    assert [str(value) for value in read["money"].to_pylist()[:4]] == ["0.25", "1.25", "3.25", "-4.25"]
    assert read["view"].to_pylist()[:2] == ["new", "view 1"]
    assert counts.cells_changed == 5
