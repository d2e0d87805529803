"""The hash of people: equal for equal values, different for others, and different in each run."""

from pathlib import Path

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from pydp_cli.dp.hashing import PersonHash
from pydp_cli.dp.shards import Shards

HASHER = PersonHash()


@given(st.lists(st.text(max_size=20), min_size=1, max_size=40))
def test_equal_people_have_equal_hashes_and_others_do_not(names):
    hashed = HASHER.of(pa.array(names, pa.string())).tolist()
    assert len(set(hashed)) == len(set(names))
    assert {name: HASHER.of(pa.array([name])).tolist()[0] for name in names} == dict(zip(names, hashed, strict=True))


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1))
def test_numbers_are_people_too(numbers):
    assert len(set(HASHER.of(pa.array(numbers, pa.int64())).tolist())) == len(set(numbers))


def test_a_slice_hashes_as_the_whole_does():
    column = pa.array(["", "a", "abcd", "abcde", "abcd\0", "é" * 40])
    assert HASHER.of(column.slice(2, 3)).tolist() == HASHER.of(column).tolist()[2:5]
    assert len(set(HASHER.of(column).tolist())) == 6


def test_each_run_hashes_otherwise():
    assert PersonHash().of(pa.array(["a"])).tolist() != PersonHash().of(pa.array(["a"])).tolist()


def test_hashes_fill_all_64_bits_evenly():
    """Each bit of 100,000 hashes is set about half of the time; the bound is 7 standard deviations."""
    hashed = HASHER.of(pa.array(range(100_000)))
    for bit in range(64):
        assert abs(int(((hashed >> np.uint64(bit)) & np.uint64(1)).sum()) - 50_000) < 7 * 25_000**0.5


def test_shards_give_back_what_they_were_given_also_from_disk(tmp_path):
    rows = np.random.default_rng(3).integers(-(2**63), 2**63 - 1, (5000, 4), dtype=np.int64)
    shards = Shards(4, tmp_path, memory_bytes=10_000)
    for part in np.array_split(rows, 10):
        shards.add(part)
    assert list(tmp_path.iterdir()) == []
    assert np.concatenate(list(shards)).tolist() != rows.tolist()
    shards = Shards(4, tmp_path, memory_bytes=10_000)
    for part in np.array_split(rows, 10):
        shards.add(part)
    found = np.concatenate(list(shards))
    shards.close()
    assert sorted(found.tolist()) == sorted(rows.tolist())


def test_what_is_spilled_cannot_be_read(tmp_path):
    shards = Shards(2, tmp_path, memory_bytes=100)
    shards.add(np.full((1000, 2), 0x4141414141414141, np.int64))
    with Path(f"/proc/self/fd/{shards._stores[0]._file}").open("rb") as spilled:
        content = spilled.read()
    shards.close()
    assert len(content) >= 16_000
    assert b"AAAA" not in content
