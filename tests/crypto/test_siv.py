"""AES-SIV over a column: the published vectors, the library on anything, and every kind of tampering."""

import pyarrow as pa
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from hypothesis import given
from hypothesis import strategies as st

from pydp_cli.crypto import siv
from pydp_cli.crypto.cmac import Cmac, double
from pydp_cli.errors import Tampered
from tests.crypto.columns import binary_columns
from tests.crypto.wycheproof import cases

KEYS = st.sampled_from([32, 48, 64]).flatmap(lambda size: st.binary(min_size=size, max_size=size))


def s2v_by_the_letter(key, associated_data, plain):
    """RFC 5297 section 2.4, straight from its pseudo-code, for what the library does not take (empty plaintexts)."""
    mac = Cmac(key[: len(key) // 2])
    running = mac.one(bytes(16))
    for component in associated_data:
        running = bytes(a ^ b for a, b in zip(double(running), mac.one(component), strict=True))
    if len(plain) >= 16:
        tail = bytes(a ^ b for a, b in zip(plain[-16:], running, strict=True))
        return mac.one(plain[:-16] + tail)
    padded = (plain + b"\x80").ljust(16, b"\0")
    return mac.one(bytes(a ^ b for a, b in zip(double(running), padded, strict=True)))


def expected(key, plain, associated_data):
    if plain == b"":
        return s2v_by_the_letter(key, associated_data, plain)
    return AESSIV(key).encrypt(plain, list(associated_data))


def test_the_examples_of_rfc_5297():
    # appendix A.1
    key = bytes.fromhex("fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff")
    data = [bytes.fromhex("101112131415161718191a1b1c1d1e1f2021222324252627")]
    plain = pa.array([bytes.fromhex("112233445566778899aabbccddee")])
    sealed = siv.encrypt(key, plain, data)
    assert sealed[0].as_py().hex() == "85632d07c6e8f37f950acd320a2ecc9340c02b9690c4dc04daef7f6afe5c"
    # appendix A.2, with the nonce as the last component
    key = bytes.fromhex("7f7e7d7c7b7a79787776757473727170404142434445464748494a4b4c4d4e4f")
    data = [
        bytes.fromhex("00112233445566778899aabbccddeeffdeaddadadeaddadaffeeddccbbaa99887766554433221100"),
        bytes.fromhex("102030405060708090a0"),
        pa.array([bytes.fromhex("09f911029d74e35bd84156c5635688c0")]),
    ]
    plain = pa.array(["this is some plaintext to encrypt using SIV-AES"])
    sealed = siv.encrypt(key, plain, data)
    assert sealed[0].as_py().hex() == (
        "7bdb6e3b432667eb06f4d14bff2fbd0fcb900f2fddbe404326601965c889bf17"
        "dba77ceb094fa663b7a3f748ba8af829ea64ad544a272e9c485b62a3fd5c0d"
    )
    assert siv.decrypt(key, sealed, data).to_pylist() == [b"this is some plaintext to encrypt using SIV-AES"]


def test_the_vectors_of_wycheproof():
    seen = {"valid": 0, "invalid": 0}
    for _, case in cases("Cipher", "aes_siv_cmac_test.json"):
        key, data, plain, sealed = (bytes.fromhex(case[name]) for name in ("key", "aad", "msg", "ct"))
        column = pa.array([sealed])
        if case["result"] == "valid":
            assert siv.encrypt(key, pa.array([plain]), [data])[0].as_py() == sealed
            assert siv.decrypt(key, column, [data])[0].as_py() == plain
        else:
            with pytest.raises(Tampered):
                siv.decrypt(key, column, [data])
        seen[case["result"]] += 1
    assert seen["valid"] >= 100
    assert seen["invalid"] >= 300


@st.composite
def sealing(draw):
    """A key, a column, and associated data of constants and columns mixed."""
    column = draw(binary_columns())
    size = len(column)
    parts = []
    for _ in range(draw(st.integers(0, 3))):
        if draw(st.booleans()):
            parts.append(draw(st.binary(max_size=40)))
        else:
            parts.append(draw(binary_columns(min_size=size, max_size=size, nulls=False)))
    return draw(KEYS), column, parts


@given(sealing())
def test_every_cell_is_byte_for_byte_what_the_library_gives(case):
    key, column, parts = case
    sealed = siv.encrypt(key, column, parts)
    sealed.validate(full=True)
    for row, plain in enumerate(column.to_pylist()):
        own = [part if isinstance(part, bytes) else part[row].as_py() for part in parts]
        assert sealed[row].as_py() == (None if plain is None else expected(key, plain, own))
    opened = siv.decrypt(key, sealed, parts)
    opened.validate(full=True)
    assert opened.to_pylist() == column.to_pylist()


@given(KEYS, binary_columns(min_size=1), st.data())
def test_any_altered_byte_is_noticed_in_its_row(key, column, data):
    sealed = siv.encrypt(key, column, [b"orders"]).to_pylist()
    rows = [row for row, cell in enumerate(sealed) if cell is not None]
    if not rows:
        return
    row = data.draw(st.sampled_from(rows))
    place = data.draw(st.integers(0, len(sealed[row]) - 1))
    altered = bytearray(sealed[row])
    altered[place] ^= data.draw(st.integers(1, 255))
    sealed[row] = bytes(altered)
    with pytest.raises(Tampered) as caught:
        siv.decrypt(key, pa.array(sealed, pa.binary()), [b"orders"])
    assert caught.value.rows == (row,)


@pytest.mark.parametrize("keep", [0, 1, 15, 16, 20])
def test_a_truncated_cell_is_refused(keep):
    key = bytes(range(64))
    sealed = siv.encrypt(key, pa.array(["0123456789"]))[0].as_py()
    with pytest.raises(Tampered):
        siv.decrypt(key, pa.array([sealed[:keep]]))


@pytest.mark.parametrize("other", [[b"customers"], [], [b"orders", b""], [b"order", b"s"]])
def test_a_cell_under_other_associated_data_is_refused(other):
    key = bytes(range(64))
    sealed = siv.encrypt(key, pa.array(["value"]), [b"orders"])
    with pytest.raises(Tampered):
        siv.decrypt(key, sealed, other)


def test_cells_that_changed_places_are_refused_where_they_are_bound_to_their_row():
    key, ids = bytes(range(64)), pa.array(["1", "2", "3"])
    sealed = siv.encrypt(key, pa.array(["same", "same", "other"]), [ids])
    swapped = sealed.take(pa.array([1, 0, 2]))
    with pytest.raises(Tampered) as caught:
        siv.decrypt(key, swapped, [ids])
    assert caught.value.rows == (0, 1)


def test_another_key_opens_nothing():
    sealed = siv.encrypt(bytes(range(64)), pa.array(["a", None, "b"]))
    with pytest.raises(Tampered) as caught:
        siv.decrypt(bytes(64), sealed)
    assert caught.value.rows == (0, 2)


@pytest.mark.parametrize("size", [0, 16, 31, 65])
def test_a_key_of_another_size_is_refused(size):
    with pytest.raises(ValueError, match="key"):
        siv.encrypt(bytes(size), pa.array(["a"]))


def test_bytes_past_a_column_are_not_in_its_buffers():
    column = pa.array(["public", "the next value"]).slice(0, 1)
    sealed = siv.encrypt(bytes(range(64)), column)
    assert sealed.buffers()[2].size == 16 + len("public")
