"""Cells are AES-SIV of their place and value, name their key, and open nowhere else."""

import os

import pyarrow as pa
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from hypothesis import given
from hypothesis import strategies as st

from pydp_cli.crypto.base64_column import encode
from pydp_cli.crypto.cells import Place, Plaintext, count_by_key, open_cells, seal_cells, under_key
from tests.crypto.columns import binary_columns

KEY, OTHER = bytes(range(64)), bytes(range(1, 65))
ID, OTHER_ID = b"\x01\xfe\x03\x04", b"\x91\x02\x03\x05"
HERE = Place("people", "email")


def seal(values, *, key=KEY, key_id=ID, place=HERE, bound=(), deterministic=False, **plaintext):
    if isinstance(values, list):
        values = pa.array(values, pa.string())
    how = Plaintext(**plaintext)
    return seal_cells(values, key, key_id, place, bound, deterministic=deterministic, plaintext=how)


def opened(cells, *, keys=None, place=HERE, bound=()):
    return open_cells(cells, keys or {ID: KEY}, place, bound)


@given(binary_columns(), st.booleans(), st.booleans(), st.sampled_from([None, 1, 7, 16, 64]))
def test_opens_to_what_was_sealed(column, deterministic, nulls, pad):
    back = opened(seal(column, deterministic=deterministic, nulls=nulls, pad=pad))
    assert back.values.to_pylist() == column.to_pylist()
    assert len(back.failed) == 0
    assert not back.unknown


@given(binary_columns(max_size=10))
def test_deterministic_cells_are_siv_with_the_place_for_associated_data(column):
    header = b"\x01" + ID
    for value, cell in zip(column.to_pylist(), seal(column, deterministic=True).to_pylist(), strict=True):
        if value is None:
            assert cell is None
            continue
        plain = value if value[:1] < b"\xf8" else b"\xf9" + value
        assert cell == header + AESSIV(KEY).encrypt(plain, [HERE.encode(header)])


def test_random_cells_add_a_nonce_and_what_they_are_bound_to():
    place = Place("people", "email", None, ("id", "zip"))
    bound = [pa.array(["7"]), pa.array([None], pa.string())]
    cell = seal(["a@b"], place=place, bound=bound)[0].as_py()
    header, nonce, sealed = cell[:5], cell[5:21], cell[21:]
    assert header == b"\x02" + ID
    plain = AESSIV(KEY).decrypt(sealed, [place.encode(header), b"\x017", b"\x00", nonce])
    assert plain == b"a@b"


def test_places_are_written_out_so_that_none_looks_like_another():
    header = b"\x01" + ID
    places = [
        Place("ab", "c"), Place("a", "bc"), Place("", "abc"), Place("x", "y", "ab"), Place("x", "y", "a", ("b",)),
        Place("a", "b", None, ("c",)), Place("a", "b", None, ("c", "")), Place("a", "b"),
    ]  # fmt: skip
    assert len({place.encode(header) for place in places}) == len(places)
    assert Place("a", "b").encode(header) == b"pydp cell 1" + header + b"c\x00\x00\x00\x01a\x00\x00\x00\x01b"
    assert Place("a", "b", "d").encode(header) == b"pydp cell 1" + header + b"d\x00\x00\x00\x01d"


def test_null_empty_text_and_values_never_look_alike():
    values = [None, "", "\x00", "\x80", "a", "a\x00", "a\x80"]
    for pad in (None, 1, 8):
        cells = seal(values, deterministic=True, nulls=True, pad=pad)
        assert len(set(cells.to_pylist())) == len(values)
        assert opened(cells).values.cast(pa.string()).to_pylist() == values


def test_padding_hides_lengths_up_to_its_multiple():
    cells = seal(["", "a", "abcdef", None, "abcdefg", "x" * 14, "x" * 15], pad=8, nulls=True)
    assert [len(cell.as_py()) - 37 for cell in cells] == [8, 8, 8, 8, 16, 16, 24]


def test_encrypted_nulls_look_like_short_values_without_padding():
    assert [len(cell.as_py()) for cell in seal([None, "a"], nulls=True)] == [38, 38]


def test_equal_values_look_alike_only_where_asked_for():
    assert len(set(seal(["a"] * 50).to_pylist())) == 50
    assert len(set(seal(["a"] * 50, deterministic=True).to_pylist())) == 1


@pytest.mark.parametrize("deterministic", [True, False])
@pytest.mark.parametrize("at", range(45))
def test_a_flipped_bit_anywhere_fails_the_cell_and_only_it(at, deterministic):
    cells = seal(["first@example.com", "second@example.com", "third@example.com"], deterministic=deterministic)
    altered = bytearray(cells[1].as_py())
    if at >= len(altered):
        at = len(altered) - 1
    altered[at] ^= 0x10
    back = opened(pa.array([cells[0].as_py(), bytes(altered), cells[2].as_py()]))
    lost = sorted([*back.failed.tolist(), *(row for rows in back.unknown.values() for row in rows.tolist())])
    assert lost == [1]
    assert back.values.to_pylist() == [b"first@example.com", None, b"third@example.com"]


@pytest.mark.parametrize("length", [0, 1, 4, 5, 20, 21, 36, 37, 40])
@pytest.mark.parametrize("deterministic", [True, False])
def test_a_truncated_cell_fails(length, deterministic):
    cells = seal(["first@example.com", "second@example.com"], deterministic=deterministic).to_pylist()
    if length >= len(cells[0]):
        length = len(cells[0]) - 1
    back = opened(pa.array([cells[0][:length], cells[1]]))
    assert back.failed.tolist() == [0]
    assert back.values.to_pylist() == [None, b"second@example.com"]


def test_an_extended_cell_fails():
    cell = seal(["first@example.com"])[0].as_py()
    assert opened(pa.array([cell + b"\0"])).failed.tolist() == [0]


@pytest.mark.parametrize(
    "place",
    [
        Place("others", "email"),
        Place("people", "mail"),
        Place("x", "y", "email"),
        Place("people", "email", None, ("id",)),
    ],
)
def test_cells_open_in_their_own_place_only(place):
    cells = seal(["a@b", "c@d"])
    bound = [pa.array(["1", "2"])] if place.bind else []
    assert opened(cells, place=place, bound=bound).failed.tolist() == [0, 1]


def test_bound_cells_cannot_move_to_another_row():
    place = Place("people", "salary", None, ("id",))
    ids = pa.array(["1", "2", None, ""])
    cells = seal(["10", "20", "30", "40"], place=place, bound=[ids])
    swapped = cells.take(pa.array([1, 0, 3, 2]))
    assert opened(cells, place=place, bound=[ids]).values.to_pylist() == [b"10", b"20", b"30", b"40"]
    assert opened(swapped, place=place, bound=[ids]).failed.tolist() == [0, 1, 2, 3]


@given(st.lists(st.sampled_from([(ID, True), (ID, False), (OTHER_ID, True), (OTHER_ID, False), None]), max_size=30))
def test_cells_of_several_keys_and_modes_open_in_one_column(kinds):
    keys = {ID: KEY, OTHER_ID: OTHER}
    cells = [
        None if kind is None
        else seal([f"value {row}"], key=keys[kind[0]], key_id=kind[0], deterministic=kind[1])[0].as_py()
        for row, kind in enumerate(kinds)
    ]  # fmt: skip
    column = pa.array(cells, pa.binary())
    expected = [None if kind is None else f"value {row}".encode() for row, kind in enumerate(kinds)]
    assert opened(column, keys=keys).values.to_pylist() == expected
    some = opened(column)
    of_other = [row for row, kind in enumerate(kinds) if kind is not None and kind[0] == OTHER_ID]
    assert sorted(row for rows in some.unknown.values() for row in rows.tolist()) == of_other
    assert set(some.unknown) == ({OTHER_ID} if of_other else set())


def test_a_cell_of_a_person_is_not_taken_for_another():
    cell = bytearray(seal(["a@b"])[0].as_py())
    cell[0] = 3
    assert opened(pa.array([bytes(cell)])).failed.tolist() == [0]


def test_cells_open_from_slices_and_large_columns():
    cells = pa.concat_arrays([pa.array([b"x"]), seal(["a", None, "c"])]).slice(1)
    for kind in (pa.binary(), pa.large_binary(), pa.binary_view()):
        assert opened(cells.cast(kind)).values.to_pylist() == [b"a", None, b"c"]


def test_counts_cells_by_key_without_opening_them():
    column = pa.concat_arrays(
        [
            seal([str(row) for row in range(300)]),
            seal(["x" * row for row in range(200)], key_id=OTHER_ID, deterministic=True),
            pa.array([None, b"", b"plain", b"\x02" + ID, b"\x03" + ID + bytes(34), b"\x04" + ID + bytes(40)]),
        ]
    )
    shuffled = column.take(pa.array([(7 * row) % len(column) for row in range(len(column))]))
    for form in (column, shuffled, shuffled.cast(pa.large_binary()), encode(shuffled)):
        assert count_by_key(form) == {ID: 300, OTHER_ID: 200}
        assert under_key(form, ID).true_count == 300


@given(st.lists(st.none() | st.binary(max_size=50), max_size=20))
def test_counts_nothing_in_columns_that_are_no_cells(values):
    column = pa.array(values, pa.binary())
    expected = {}
    for value in values:
        if value and len(value) >= {1: 21, 2: 37, 3: 41}.get(value[0], 1 << 30):
            expected[value[1:5]] = expected.get(value[1:5], 0) + 1
    assert count_by_key(column) == expected
    assert count_by_key(encode(column)) == expected


@given(st.integers(1, 100))
def test_counts_many_keys(count):
    ids = [os.urandom(4) for _ in range(count)]
    column = pa.array([b"\x01" + key_id + bytes(20) for key_id in ids])
    assert count_by_key(column) == count_by_key(encode(column))
    assert sum(count_by_key(column).values()) == count
