"""CMAC over a column: the published vectors, and the library on anything."""

from itertools import groupby

import pyarrow as pa
import pytest
from cryptography.hazmat.primitives import cmac as library
from cryptography.hazmat.primitives.ciphers import algorithms
from hypothesis import given
from hypothesis import strategies as st

from pydp_cli.crypto import cmac
from pydp_cli.errors import UnsupportedType
from tests.crypto.columns import binary_columns
from tests.crypto.wycheproof import cases

KEYS = st.sampled_from([16, 24, 32]).flatmap(lambda size: st.binary(min_size=size, max_size=size))

# RFC 4493, section 4
RFC_KEY = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")
RFC_MESSAGE = bytes.fromhex(
    "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
    "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"
)
RFC_TAGS = {
    0: "bb1d6929e95937287fa37d129b756746",
    16: "070a16b46b4d4144f79bdd9dd04a287c",
    40: "dfa66747de9ae63030ca32611497c827",
    64: "51f0bebf7e3b9d92fc49741779363cfe",
}


def expected(key, value):
    mac = library.CMAC(algorithms.AES(key))
    mac.update(value)
    return mac.finalize()


def test_the_examples_of_rfc_4493():
    column = pa.array([RFC_MESSAGE[:length] for length in RFC_TAGS])
    assert [bytes(row).hex() for row in cmac.prf(RFC_KEY, column)] == list(RFC_TAGS.values())


def test_the_vectors_of_wycheproof():
    checked = 0
    for key, group in groupby(cases("Hash", "aes_cmac_test.json"), lambda pair: pair[1]["key"]):
        valid = [case for _, case in group if case["result"] == "valid"]
        if not valid or len(key) not in (32, 48, 64):
            continue
        tags = cmac.prf(bytes.fromhex(key), pa.array([bytes.fromhex(case["msg"]) for case in valid], pa.binary()))
        for case, tag in zip(valid, tags, strict=True):
            assert bytes(tag).hex().startswith(case["tag"])
            checked += 1
    assert checked >= 50


@given(KEYS, binary_columns())
def test_every_value_has_the_cmac_that_the_library_gives(key, column):
    tags = cmac.prf(key, column)
    for value, tag in zip(column.to_pylist(), tags, strict=True):
        assert bytes(tag) == (bytes(16) if value is None else expected(key, value))


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())]
)
def test_text_in_every_physical_form_has_the_same_cmac(kind):
    texts = ["", "a", None, "naïve", "x" * 40, "a"]
    tags = cmac.prf(RFC_KEY, pa.array(texts).cast(kind))
    plain = [bytes(16) if text is None else expected(RFC_KEY, text.encode()) for text in texts]
    assert [bytes(tag) for tag in tags] == plain


def test_a_column_longer_than_a_batch_is_treated_whole():
    values = [str(number).encode() * (1 + number % 5) for number in range(10_000)]
    tags = cmac.prf(RFC_KEY, pa.array(values))
    assert all(bytes(tags[row]) == expected(RFC_KEY, values[row]) for row in range(0, 10_000, 97))


def test_an_empty_column_gives_nothing():
    assert cmac.prf(RFC_KEY, pa.array([], pa.string())).shape == (0, 16)


def test_numbers_are_refused():
    with pytest.raises(UnsupportedType):
        cmac.prf(RFC_KEY, pa.array([1, 2]))
