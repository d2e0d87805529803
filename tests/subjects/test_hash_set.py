import pickle

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from pydp_cli.subjects.hash_set import HashSet

HASHES = st.integers(0, 5).map(lambda n: bytes([n]) * 16) | st.binary(min_size=16, max_size=16)
ALIKE = st.integers(0, 3).map(lambda n: bytes(8) + bytes([n]) * 8)


@given(st.lists(HASHES | ALIKE, max_size=20), st.lists(st.none() | HASHES | ALIKE, max_size=20), st.integers(0, 3))
def test_it_holds_what_was_put_in_and_nothing_else(members, asked, offset):
    found = HashSet.of(pa.array(members, pa.binary(16)))
    column = pa.array([None] * offset + asked, pa.binary(16)).slice(offset)
    assert found.contains(column).tolist() == [one in set(members) for one in asked]
    assert len(found) == len(set(members))


def test_two_hashes_that_begin_alike_are_told_apart():
    members = [bytes(8) + bytes([n]) * 8 for n in (1, 2, 3)]
    found = HashSet.of(pa.array(members, pa.binary(16)))
    assert not found.unique
    assert found.contains(pa.array([*members, bytes(16)], pa.binary(16))).tolist() == [True, True, True, False]


def test_nobody_is_in_no_set():
    assert not HashSet.of(None).contains(pa.array([bytes(16)], pa.binary(16))).any()


def test_it_travels_to_workers():
    members = pa.array(list(map(bytes, np.random.default_rng(1).integers(0, 255, (9, 16), np.uint8))), pa.binary(16))
    assert pickle.loads(pickle.dumps(HashSet.of(members))).contains(members).all()
