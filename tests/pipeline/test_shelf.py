"""What is laid on a shelf is picked up as it was, and what does not fit is handed over as it is."""

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from pydp_cli.pipeline import shelf


@given(st.lists(st.binary(max_size=300) | st.integers(), max_size=8), st.integers(1, 1000))
def test_pieces_are_picked_up_as_they_were(pieces, size):
    import mmap

    ledge = mmap.mmap(-1, size)
    left = shelf.lay_down([pa.py_buffer(p) if isinstance(p, bytes) and len(p) % 2 else p for p in pieces], ledge)
    found = shelf.pick_up(left, ledge)
    assert [bytes(memoryview(p)) if not isinstance(p, int) else p for p in found] == pieces
    del found  # a view keeps the memory open


def test_what_fits_is_laid_down_and_what_does_not_is_not(monkeypatch):
    monkeypatch.setattr(shelf, "SHELF_BYTES", 4096)
    (ledge,) = shelf.make_shelves(1)
    small, large, rest = b"a" * 4000, b"b" * 4096, b"c" * 96
    left = shelf.lay_down([small, large, rest], ledge)
    assert left == [shelf.Place(0, 4000), large, shelf.Place(4000, 4096)]
