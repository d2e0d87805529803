import math
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pydp_cli.errors import UnsupportedType
from pydp_cli.transforms.noise import Noise
from tests.transforms.columns import columns, floats

KINDS = [pa.int8(), pa.int64(), pa.uint64(), pa.float16(), pa.float32(), pa.float64()]
DECIMALS = [pa.decimal128(5, 2), pa.decimal64(5, 2), pa.decimal128(38, 10), pa.decimal256(60, 2)]


@pytest.mark.parametrize("distribution", ["normal", "uniform", "laplace"])
def test_has_the_strength_that_it_says(distribution):
    zeros = pa.array(np.zeros(200_000))

    noise = Noise(scale=2.0, distribution=distribution).apply(zeros).to_numpy()

    deviation = {"normal": 2.0, "uniform": 2 / math.sqrt(3), "laplace": 2 * math.sqrt(2)}[distribution]
    assert abs(noise.mean()) < 0.05
    assert abs(noise.std() / deviation - 1) < 0.02
    if distribution == "uniform":
        assert np.abs(noise).max() <= 2


def test_is_drawn_afresh_for_every_row_and_every_run():
    column = pa.array([1.0] * 100)

    first, second = Noise(scale=1).apply(column), Noise(scale=1).apply(column)

    assert len(set(first.to_pylist())) == 100
    assert not set(first.to_pylist()) & set(second.to_pylist())


@pytest.mark.parametrize("kind", KINDS, ids=str)
@given(scale=st.sampled_from([1e-9, 1.0, 1e15]), data=st.data())
def test_keeps_type_length_and_nulls(kind, scale, data):
    if pa.types.is_floating(kind):
        column = data.draw(columns(floats, pa.float64())).cast(kind, safe=False)
    else:
        bits, signed = kind.bit_width, pa.types.is_signed_integer(kind)
        low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
        column = data.draw(columns(st.integers(low, high), kind))

    result = Noise(scale=scale, distribution="uniform").apply(column)

    result.validate(full=True)
    assert result.type == kind
    assert result.is_null().equals(column.is_null())
    if pa.types.is_integer(kind):
        for before, after in zip(column.to_pylist(), result.to_pylist(), strict=True):
            assert before is None or abs(after - before) <= scale + 1


@pytest.mark.parametrize("kind", [pa.int64(), pa.uint64()], ids=str)
@pytest.mark.parametrize("end", ["least", "greatest"])
def test_sums_past_the_type_stay_at_its_end(kind, end):
    signed = kind == pa.int64()
    greatest, least = (2**63 - 1, -(2**63)) if signed else (2**64 - 1, 0)
    value = greatest if end == "greatest" else least

    result = Noise(scale=1e15).apply(pa.array([value] * 100, kind)).to_pylist()

    assert value in result
    assert all(abs(after - value) < 10**17 for after in result)


@pytest.mark.parametrize("kind", DECIMALS, ids=str)
@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e15])
def test_decimals_keep_their_places_and_precision(kind, scale):
    column = pa.array([Decimal("999.99"), None, Decimal("-999.99")], pa.decimal128(5, 2)).cast(kind)
    noise = Noise(scale=scale)

    noise.check_takes(kind, "c")
    result = noise.apply(column)

    result.validate(full=True)
    assert result.type == kind
    assert result.is_null().equals(column.is_null())
    if scale < 1 and kind.scale == 2:
        assert result.equals(column)


def test_nan_and_infinities_stay():
    result = Noise(scale=1).apply(pa.array([float("nan"), float("inf"), float("-inf")])).to_pylist()

    assert [str(value) for value in result] == ["nan", "inf", "-inf"]


def test_says_that_it_is_not_differential_privacy():
    assert "*not* differential privacy" in Noise.__doc__
    assert Noise(scale=1).asks() == pa.float64()


def test_refuses_what_it_cannot_do():
    with pytest.raises(UnsupportedType, match="no room"):
        Noise(scale=1).check_takes(pa.decimal256(76, 2), "c")
    for scale in (0, -1, float("nan"), float("inf"), 1e16):
        with pytest.raises(ValidationError):
            Noise(scale=scale)
