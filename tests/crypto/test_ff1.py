"""FF1 over a column: NIST's samples, an independent implementation, and what must be refused."""

import random
import string

import pyarrow as pa
import pytest
from ffx import FF1 as Independent
from hypothesis import given, settings
from hypothesis import strategies as st

from pydp_cli.crypto import ff1
from pydp_cli.errors import BadValue, InputError

BASE36 = string.digits + string.ascii_lowercase
KEY128 = "2B7E151628AED2A6ABF7158809CF4F3C"
KEY192 = KEY128 + "EF4359D8D580AA4F"
KEY256 = KEY192 + "7F036D6F04FC6A94"
# NIST, "Cryptographic Standards and Guidelines: Example Values", FF1 samples 1 to 9 (public domain)
SAMPLES = [
    (KEY128, "0123456789", string.digits, "", "2433477484"),
    (KEY128, "0123456789", string.digits, "39383736353433323130", "6124200773"),
    (KEY128, "0123456789abcdefghi", BASE36, "3737373770717273373737", "a9tv40mll9kdu509eum"),
    (KEY192, "0123456789", string.digits, "", "2830668132"),
    (KEY192, "0123456789", string.digits, "39383736353433323130", "2496655549"),
    (KEY192, "0123456789abcdefghi", BASE36, "3737373770717273373737", "xbj3kv35jrawxv32ysr"),
    (KEY256, "0123456789", string.digits, "", "6657667009"),
    (KEY256, "0123456789", string.digits, "39383736353433323130", "1001623463"),
    (KEY256, "0123456789abcdefghi", BASE36, "3737373770717273373737", "xs8a0azh2avyalyzuwd"),
]
KEY = bytes.fromhex(KEY256)


@pytest.mark.parametrize(("key", "plain", "alphabet", "tweak", "sealed"), SAMPLES)
def test_the_samples_of_nist(key, plain, alphabet, tweak, sealed):
    key, tweak = bytes.fromhex(key), bytes.fromhex(tweak)
    column = pa.array([plain, None, plain])
    assert ff1.encrypt(key, column, alphabet, tweak).to_pylist() == [sealed, None, sealed]
    assert ff1.decrypt(key, pa.array([sealed]), alphabet, tweak).to_pylist() == [plain]


@settings(max_examples=60)
@given(
    st.binary(min_size=32, max_size=32),
    st.binary(max_size=40),
    st.sampled_from([10, 26, 36]),
    st.lists(st.integers(6, 60), min_size=1, max_size=8),
    st.randoms(use_true_random=False),
)
def test_every_value_is_what_an_independent_implementation_gives(key, tweak, radix, lengths, chance):
    alphabet = BASE36[:radix]
    values = ["".join(chance.choice(alphabet) for _ in range(length)) for length in lengths]
    sealed = ff1.encrypt(key, pa.array(values), alphabet, tweak)
    other = Independent(key, radix=radix)
    assert sealed.to_pylist() == [other.encrypt(value, tweak=tweak) for value in values]
    assert ff1.decrypt(key, sealed, alphabet, tweak).to_pylist() == values


@pytest.mark.parametrize("length", [6, 7, 16, 18, 19, 33, 34, 40, 120])
def test_lengths_on_both_sides_of_the_vectorised_rounds_come_back(length):
    values = ["".join(random.choice(string.digits) for _ in range(length)) for _ in range(50)]
    sealed = ff1.encrypt(KEY, pa.array(values))
    assert ff1.decrypt(KEY, sealed).to_pylist() == values
    assert all(len(cell) == length for cell in sealed.to_pylist())


def test_slices_and_nulls_and_mixed_lengths():
    column = pa.array(["skipped1", "00000000", None, "007007", "123456789012", ""]).slice(1, 4)
    sealed = ff1.encrypt(KEY, column)
    assert sealed[1].as_py() is None
    assert ff1.decrypt(KEY, sealed).to_pylist() == ["00000000", None, "007007", "123456789012"]
    assert sealed[0] == ff1.encrypt(KEY, pa.array(["00000000"]))[0]


def test_an_alphabet_beyond_ascii():
    alphabet = "äöüßéèêñç€"
    column = pa.array(["äöüßéè", None, "€€€€€€€"])
    sealed = ff1.encrypt(KEY, column, alphabet)
    assert set("".join(cell for cell in sealed.to_pylist() if cell)) <= set(alphabet)
    assert ff1.decrypt(KEY, sealed, alphabet).to_pylist() == column.to_pylist()


@pytest.mark.parametrize("alphabet", [string.digits, "äöüßéèêñç€"])
def test_a_foreign_character_is_refused_without_being_told(alphabet):
    fine = alphabet[:6]
    with pytest.raises(BadValue, match="1 values have characters") as caught:
        ff1.encrypt(KEY, pa.array([fine, None, "secret", fine]), alphabet)
    assert caught.value.rows == (2,)
    assert "secret" not in str(caught.value)


def test_a_domain_below_a_million_is_refused():
    column = pa.array(["123456", "12345", None])
    assert ff1.domain_too_small(column).to_pylist() == [False, True, None]
    with pytest.raises(BadValue, match="fewer than a million") as caught:
        ff1.encrypt(KEY, column)
    assert caught.value.rows == (1,)


@pytest.mark.parametrize("alphabet", ["", "a", "aab"])
def test_an_alphabet_that_is_none_is_refused(alphabet):
    with pytest.raises(InputError, match="alphabet"):
        ff1.encrypt(KEY, pa.array(["aaaaaa"]), alphabet)
