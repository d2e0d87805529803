"""Base64 of a column is the standard library's base64 of every value, and nothing else decodes."""

import base64

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydp_cli.crypto import base64_column
from tests.crypto.columns import binary_columns

BAD = ["A", "AA", "AAA", "AAAAA", "AB==", "AAB=", "A===", "====", "AA=A", "AAA=AAAA", "A AA", "AA\nA", "-_AA", "é==="]


@given(binary_columns())
def test_encodes_as_the_standard_library_does(column):
    expected = [None if value is None else base64.b64encode(value).decode() for value in column.to_pylist()]
    assert base64_column.encode(column).to_pylist() == expected


@given(binary_columns())
def test_decodes_what_it_encodes(column):
    decoded, bad = base64_column.decode(base64_column.encode(column))
    assert decoded.to_pylist() == column.to_pylist()
    assert len(bad) == 0


@pytest.mark.parametrize("bad", BAD)
def test_names_the_rows_that_are_not_base64_as_an_encoder_writes_it(bad):
    decoded, rows = base64_column.decode(pa.array(["QUJD", bad, None, "", "QQ=="]))
    assert decoded.to_pylist() == [b"ABC", None, None, b"", b"A"]
    assert rows.tolist() == [1]


@given(st.lists(st.none() | st.text(alphabet="AQB=w \n+/-", max_size=9), max_size=8))
def test_one_value_has_one_spelling(texts):
    decoded, bad = base64_column.decode(pa.array(texts, pa.string()))
    for row, (text, value) in enumerate(zip(texts, decoded.to_pylist(), strict=True)):
        if row in bad:
            assert value is None
        elif text is not None:
            assert base64.b64encode(value).decode() == text


def test_takes_slices_dictionaries_and_large_types():
    column = pa.array(["xx", "QQ==", "QUI=", None]).slice(1)
    for kind in (pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string()), pa.string_view()):
        assert base64_column.decode(column.cast(kind))[0].to_pylist() == [b"A", b"AB", None]
