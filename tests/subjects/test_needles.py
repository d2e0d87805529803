"""Looking for identifiers in bytes first never hides what looking at every text would find."""

import pyarrow as pa
import pyarrow.compute as pc
from hypothesis import example, given
from hypothesis import strategies as st

from pydp_cli.subjects.needles import Needles

IDENTIFIERS = ["anna@example.com", "kelvin-id", "AB 1234", "müller@example.com"]
pieces = st.sampled_from(
    ["anna@example.com", "ANNA@EXAMPLE.COM", "Kelvin-id", "\u212aelvin-id", "ab 1234", " ", "x", "MÜLLER@example.com"]
)
texts = st.lists(pieces | st.text(max_size=8), max_size=5).map("".join)


@given(st.lists(texts, max_size=5), st.lists(st.sampled_from(IDENTIFIERS), min_size=1))
@example(["\u212aelvin-id"], ["kelvin-id"])
def test_what_a_column_holds_may_be_in_its_bytes(values, identifiers):
    needles = Needles.of(identifiers)
    raw = b"".join(len(value.encode()).to_bytes(4, "little") + value.encode() for value in values)
    if bool(pc.any(needles.in_column(pa.array(values, pa.string()))).as_py()):
        assert needles.may_be_in_bytes(raw)


def test_bytes_without_them_are_told_apart():
    needles = Needles.of(["anna@example.com", "kelvin-id"])
    assert not needles.may_be_in_bytes(b"bo@example.com and others" * 100)
    assert needles.may_be_in_bytes(b"to ANNA@example.com")
    assert not Needles.of([]).may_be_in_bytes(b"anna@example.com")


def test_only_two_letters_beyond_ascii_have_one_of_it_in_lower_case():
    characters = [chr(point) for point in range(0x80, 0x110000) if not 0xD800 <= point < 0xE000]
    lowered = pc.utf8_lower(pa.array(characters)).to_pylist()
    odd = [one for one, low in zip(characters, lowered, strict=True) if any(part.isascii() for part in low)]
    assert odd == ["\u0130", "\u212a"]
