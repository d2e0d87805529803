"""Strings of mixed radices are permuted by FF1 over the bits of their number, and so one to one."""

import math

import numpy as np
import pytest
from ffx import FF1 as Independent
from hypothesis import given, settings
from hypothesis import strategies as st

from pydp_cli.crypto.mixed_radix import permute_mixed
from pydp_cli.errors import InputError

KEY = bytes(range(32))


def by_the_library(codes, radices, tweak):
    """The same by libffx: number, encrypt as bits, again until it is the number of a string."""
    modulus = math.prod(radices)
    number = 0
    for code, radix in zip(codes, radices, strict=True):
        number = number * radix + code
    bits, cipher = (modulus - 1).bit_length(), Independent(KEY, radix=2)
    while True:
        number = int(cipher.encrypt(f"{number:0{bits}b}", tweak=tweak), 2)
        if number < modulus:
            break
    spelled = []
    for radix in reversed(radices):
        number, code = divmod(number, radix)
        spelled.append(code)
    return spelled[::-1]


@st.composite
def strings(draw, most=60):
    radices = draw(st.lists(st.sampled_from([10, 26, 36, 64, 2]), min_size=4, max_size=most))
    radices = radices if math.prod(radices) >= 10**6 else [*radices, 10, 26, 26, 26, 26]
    rows = draw(st.lists(st.tuples(*[st.integers(0, radix - 1) for radix in radices]), min_size=1, max_size=5))
    return radices, np.array(rows, np.int64)


@given(strings(), st.binary(max_size=20))
@settings(max_examples=60)
def test_it_is_ff1_over_the_bits_of_the_number_as_an_independent_library_has_it(given_strings, tweak):
    radices, codes = given_strings
    expected = [by_the_library(row, radices, tweak) for row in codes.tolist()]
    assert permute_mixed(KEY, codes, radices, tweak).tolist() == expected


@given(strings(), st.binary(max_size=20))
def test_it_is_undone(given_strings, tweak):
    radices, codes = given_strings
    permuted = permute_mixed(KEY, codes, radices, tweak)
    assert (permuted < np.array(radices)).all()
    assert (permuted >= 0).all()
    assert permute_mixed(KEY, permuted, radices, tweak, undo=True).tolist() == codes.tolist()


def test_a_permutation_has_no_collisions():
    radices = [26, 26, 10, 10, 10, 10]
    numbers = np.arange(300_000)
    codes = np.stack(np.unravel_index(numbers, radices), axis=1)
    permuted = permute_mixed(KEY, codes, radices)
    assert len(np.unique(np.ravel_multi_index(permuted.T, radices))) == len(numbers)


def test_no_strings_are_no_strings():
    for places in (6, 60):
        assert permute_mixed(KEY, np.zeros((0, places), np.int64), [10] * (places - 1) + [26]).shape == (0, places)


def test_a_domain_of_less_than_a_million_is_refused():
    with pytest.raises(InputError, match="less than a million"):
        permute_mixed(KEY, np.zeros((1, 4), np.int64), [26, 26, 10, 10])
