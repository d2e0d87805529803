"""Columns for property tests: text and binary, with nulls, in every physical form, whole and sliced."""

import pyarrow as pa
from hypothesis import strategies as st

LENGTHS = st.one_of(st.integers(0, 70), st.sampled_from([0, 1, 15, 16, 17, 31, 32, 33, 1023, 1024, 1025, 1100]))


@st.composite
def binary_columns(draw, min_size=0, max_size=60, nulls=True):
    """A binary column whose values sit on both sides of every block border."""
    seed = draw(st.binary(min_size=1, max_size=8))
    lengths = draw(st.lists(st.one_of(st.none(), LENGTHS) if nulls else LENGTHS, min_size=min_size, max_size=max_size))
    values = [None if length is None else (seed * (length // len(seed) + 1))[:length][::-1] for length in lengths]
    kind = draw(st.sampled_from([pa.binary(), pa.large_binary()]))
    front, back = draw(st.integers(0, 3)), draw(st.integers(0, 3))
    padded = pa.array([b"front"] * front + values + [b"back"] * back, kind)
    return padded.slice(front, len(values))
