"""Cells under people's own keys: the layout that is documented, opened by hand, and everything that must not open."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from pydp_cli.crypto.cells import Place, Plaintext
from pydp_cli.crypto.subject_cells import RowKeys, open_subject_cells, seal_subject_cells, subject_cells
from tests.keys.rings import fixed_random

STORE = bytes.fromhex("a1b2c3d4")
PLACE = Place("people", "name")
HANDLES = [bytes([n]) * 8 for n in range(1, 6)]
KEYS = [bytes([n]) * 32 for n in range(1, 6)]
GOLDEN = Path(__file__).parent / "golden" / "subject_cells_1.json"


def keys_of(rows):
    return RowKeys(STORE, HANDLES, KEYS, np.array(rows, np.int64))


def seal(values, rows, place=PLACE, bound=(), **more):
    return seal_subject_cells(pa.array(values, pa.string()), keys_of(rows), place, bound, **more)


def unseal(cells, place=PLACE, bound=(), keys=None):
    by_handle = dict(zip(HANDLES, KEYS, strict=True)) if keys is None else keys
    found = subject_cells(cells)
    values, failed = open_subject_cells(found, by_handle, place, bound)
    return values.cast(pa.string()).to_pylist(), failed.tolist()


texts = st.one_of(st.none(), st.text(max_size=40), st.sampled_from(["", "\x00", "0", "007", "ÿ"]))


@given(st.lists(st.tuples(texts, st.integers(0, 4)), max_size=30), st.booleans(), st.sampled_from([None, 1, 16]))
def test_what_was_sealed_opens(rows, nulls, pad):
    values, people = [value for value, _ in rows], [person for _, person in rows]
    cells = seal(values, people, plaintext=Plaintext(nulls=nulls, pad=pad))
    assert cells.null_count == (0 if nulls else values.count(None))
    there = [value for value in values if nulls or value is not None]
    assert unseal(cells) == (there, [])


@given(st.text(max_size=40), st.integers(0, 4), st.one_of(st.none(), st.text(max_size=10)))
def test_the_library_opens_a_cell_by_its_documented_layout(text, person, tied):
    place = Place("people", "name", bind=("id",))
    (cell,) = seal([text], [person], place, [pa.array([tied], pa.string())]).to_pylist()
    assert cell[:1] == b"\x03"
    assert cell[1:5] == STORE
    assert cell[5:13] == HANDLES[person]
    names = [b"people", b"name", b"id"]
    associated = b"pydp cell 1" + cell[:5] + b"c" + b"".join(len(name).to_bytes(4, "big") + name for name in names)
    raw = None if tied is None else tied.encode()
    bound = b"\x00" if raw is None else b"\x01" + len(raw).to_bytes(4, "big") + raw
    assert AESGCM(KEYS[person]).decrypt(cell[13:25], cell[25:], associated + cell[5:13] + bound) == text.encode()


@given(st.data())
def test_no_altered_byte_opens(data):
    (cell,) = seal(["Anna"], [0]).to_pylist()
    at = data.draw(st.integers(0, len(cell) - 1))
    flip = data.draw(st.integers(1, 255))
    altered = cell[:at] + bytes([cell[at] ^ flip]) + cell[at + 1 :]
    values, failed = unseal(pa.array([altered]))
    assert values in ([], [None])
    assert failed == [0] or at < 13  # other modes and unknown handles are not opened at all


@pytest.mark.parametrize(
    "place", [Place("other", "name"), Place("people", "mail"), Place("people", "name", bind=("id",))]
)
def test_a_cell_of_another_place_fails(place):
    bound = [pa.array(["1"], pa.string())] if place.bind else []
    assert unseal(seal(["Anna"], [0]), place, bound) == ([None], [0])


def test_a_cell_that_is_bound_does_not_open_in_another_row():
    place = Place("people", "name", bind=("id",))
    cells = seal(["Anna", "Anna", "Anna"], [0, 0, 0], place, [pa.array(["1", None, ""], pa.string())])
    assert unseal(cells, place, [pa.array(["1", None, ""], pa.string())]) == (["Anna"] * 3, [])
    assert unseal(cells, place, [pa.array(["", "", None], pa.string())]) == ([None] * 3, [0, 1, 2])


def test_bound_cells_among_others_are_compared_with_their_own_rows():
    place = Place("people", "name", bind=("id",))
    ids = pa.array(["1", "2", "3", "4"], pa.string())
    cells = seal([None, "Anna", None, "Bo"], [-1, 0, -1, 1], place, [ids])
    others = pa.array([b"short", cells[1].as_py(), b"\x02" * 60, cells[3].as_py()], pa.binary())
    assert subject_cells(others).rows.tolist() == [1, 3]
    assert unseal(others, place, [ids]) == (["Anna", "Bo"], [])


def test_another_persons_key_opens_nothing():
    (cell,) = seal(["Anna"], [0]).to_pylist()
    stolen = cell[:5] + HANDLES[1] + cell[13:]
    assert unseal(pa.array([stolen])) == ([None], [0])
    with pytest.raises(InvalidTag):
        AESGCM(KEYS[1]).decrypt(cell[13:25], cell[25:], None)


def test_cells_without_a_key_are_null_and_have_not_failed():
    assert unseal(seal(["Anna", "Bo"], [0, 1]), keys={HANDLES[1]: KEYS[1]}) == ([None, "Bo"], [])


def test_a_value_that_is_nobodys_is_refused():
    with pytest.raises(ValueError, match="nobody"):
        seal(["Anna"], [-1])
    assert seal([None], [-1]).to_pylist() == [None]


def test_nonces_are_random():
    cells = seal(["Anna"] * 1000, [0] * 1000).to_pylist()
    assert len({cell[13:25] for cell in cells}) == 1000


def test_cells_are_as_they_were_written_before():
    made = seal(["Anna", "", None, "Bo"], [0, 1, 2, 0], random=lambda size: fixed_random()(32) * size)
    golden = json.loads(GOLDEN.read_text())
    assert [None if cell is None else cell.hex() for cell in made.to_pylist()] == golden["cells"]
    known = pa.array([None if cell is None else bytes.fromhex(cell) for cell in golden["cells"]], pa.binary())
    assert unseal(known) == (["Anna", "", "Bo"], [])
