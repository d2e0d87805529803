"""Row groups are skipped where statistics or bloom filters rule everything out, and never where something is."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydp_cli.datasets.parquet_read import open_parquet
from pydp_cli.subjects.parquet_prune import Wanted, groups_of_interest
from pydp_cli.subjects.xxh64 import xxh64

KINDS = [pa.int32(), pa.int64(), pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())]


def interesting(
    path: Path, column: pa.Array, wanted: list[str], *, exact: bool = True, **options: object
) -> list[bool]:
    pq.write_table(pa.table({"id": column}), path, row_group_size=100, **options)
    source = open_parquet(str(path), "people.parquet")
    return groups_of_interest(source.metadata, source.schema, {"id": Wanted.of(wanted, exact=exact)}, source.read_at)


def column_of(numbers: range, kind: pa.DataType) -> pa.Array:
    return pa.array([str(n) for n in numbers]).cast(kind) if kind != pa.int32() else pa.array(list(numbers), kind)


@pytest.mark.parametrize(
    ("data", "digest"),
    [
        # the reference implementation's own answers (xxHash 0.8, python-xxhash, BSD-2-Clause)
        (b"", 0xEF46DB3751D8E999),
        (b"a", 0xD24EC4F1A98C6E5B),
        (b"abc", 0x44BC2CF5AD770999),
        (bytes(range(101)), 0xE99038495F85381E),
    ],
)
def test_the_hash_is_that_of_the_reference(data, digest):
    assert xxh64(data) == digest


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_statistics_rule_row_groups_out(tmp_path, kind):
    column = column_of(range(1000, 1300), kind)
    assert interesting(tmp_path / "a.parquet", column, ["1150"]) == [False, True, False]
    assert interesting(tmp_path / "b.parquet", column, ["1050", "1299"]) == [True, False, True]
    assert interesting(tmp_path / "c.parquet", column, ["2000"]) == [False, False, False]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_bloom_filters_rule_out_what_lies_between(tmp_path, kind):
    column = column_of(range(1000, 1600, 2), kind)
    inside = [str(number) for number in range(1001, 1599, 2)]
    blooms = {"id": {"ndv": 100, "fpp": 0.001}}
    without = [interesting(tmp_path / "without", column, [value]) for value in inside[:90]]
    filtered = [interesting(tmp_path / "with", column, [value], bloom_filter_options=blooms) for value in inside[:90]]
    assert without == [[True, False, False]] * 90
    assert sum(map(any, filtered)) <= 3


@pytest.mark.parametrize("exact", [True, False])
def test_values_that_are_spelled_otherwise_rule_nothing_out(tmp_path, exact):
    column = pa.array([f"P{number}" for number in range(100)])
    assert interesting(tmp_path / "a.parquet", column, ["p5"], exact=exact) == [not exact]


@pytest.mark.parametrize("kind", [pa.int32(), pa.int64()], ids=str)
def test_the_least_and_the_greatest_number_of_a_type_are_found(tmp_path, kind):
    blooms = {"bloom_filter_options": {"id": {"ndv": 10, "fpp": 0.001}}}
    for number in (-(2 ** (kind.bit_width - 1)), 2 ** (kind.bit_width - 1) - 1):
        assert interesting(tmp_path / "a.parquet", pa.array([number], kind), [str(number)], **blooms) == [True]


@pytest.mark.parametrize("value", ["--5", "-", "9" * 5000, "²", "٧", ""])
def test_what_looks_like_a_number_and_is_none_stops_nothing(tmp_path, value):
    assert interesting(tmp_path / "a.parquet", pa.array([5, 6, 7]), [value]) == [False]
    assert interesting(tmp_path / "b.parquet", pa.array([value, value]), [value]) == [True]


@given(
    kind=st.sampled_from(KINDS),
    numbers=st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=300),
    at=st.data(),
    bloom=st.booleans(),
)
def test_what_is_there_is_never_ruled_out(tmp_path_factory, kind, numbers, at, bloom):
    column = pa.array(numbers, kind) if pa.types.is_integer(kind) else pa.array([str(n) for n in numbers]).cast(kind)
    place = at.draw(st.integers(0, len(numbers) - 1))
    options = {"bloom_filter_options": {"id": {"ndv": 300, "fpp": 0.05}}} if bloom else {}
    path = tmp_path_factory.mktemp("prune") / "a.parquet"
    assert interesting(path, column, [str(numbers[place])], **options)[place // 100]


@pytest.mark.parametrize("kind", [pa.uint32(), pa.float64(), pa.decimal128(12, 2), pa.bool_()], ids=str)
def test_other_kinds_are_looked_at(tmp_path, kind):
    column = pa.array([1, 1, 1], pa.int8()).cast(kind)
    blooms = {} if kind == pa.bool_() else {"bloom_filter_options": {"id": True}}
    assert interesting(tmp_path / "a.parquet", column, ["1"], **blooms) == [True]


def test_a_damaged_filter_rules_nothing_out(tmp_path):
    path = tmp_path / "a.parquet"
    column = pa.array(range(0, 200, 2))
    assert interesting(path, column, ["101"], bloom_filter_options={"id": {"ndv": 100, "fpp": 0.0001}}) == [False]
    offset = pq.read_metadata(path).row_group(0).column(0).bloom_filter_offset
    damaged = bytearray(path.read_bytes())
    damaged[offset : offset + 8] = b"\xff" * 8
    path.write_bytes(damaged)
    source = open_parquet(str(path), "people.parquet")
    wanted = {"id": Wanted.of(["101"], exact=True)}
    assert groups_of_interest(source.metadata, source.schema, wanted, source.read_at) == [True]
