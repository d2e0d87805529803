"""A grid of equal steps on which numbers are rounded down or to the nearest, exact for integers and decimals."""

from __future__ import annotations

import decimal
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Numbers = npt.NDArray[Any]

WIDEST = Decimal(10) ** 15
"""Steps are kept below this, so that sums of a few of them stay within 64 bits."""

_EXACT = decimal.Context(prec=800)


@dataclass(frozen=True)
class Grid:
    """The numbers `start + k * width` for whole k."""

    width: Decimal
    start: Decimal = Decimal(0)

    @property
    def places(self) -> int:
        """The decimal places that the points of the grid need."""
        return max(places_of(self.width), places_of(self.start))

    def floor(self, column: pa.Array) -> pa.Array:
        """Give the greatest point that is not above each number, in the column's type.

        The points must fit the column's type (`type_with_places`); a point below the range of the type becomes its
        least number. NaN and infinities stay. A float is compared with the float nearest to each point, so that 0.3 is
        a point where the width is 0.1.
        """
        return self._apply(column, nearest=False)

    def nearest(self, column: pa.Array) -> pa.Array:
        """Give the point nearest to each number, the even one of two; otherwise like `floor`."""
        return self._apply(column, nearest=True)

    def _apply(self, column: pa.Array, *, nearest: bool) -> pa.Array:
        if pa.types.is_decimal(column.type):
            return self._on_decimals(column, nearest=nearest)
        if pa.types.is_floating(column.type):
            return _through_numpy(column, lambda numbers: self._on_floats(numbers, nearest=nearest))
        return _through_numpy(column, lambda numbers: self._on_narrow_integers(numbers, nearest=nearest))

    def _on_floats(self, numbers: Numbers, *, nearest: bool) -> Numbers:
        scale = 10.0**self.places
        width, start = float(self.width.scaleb(self.places)), float(self.start.scaleb(self.places))

        def point(index: Numbers) -> Numbers:  # whole numbers, one division: the float nearest to the decimal
            return ((index * width + start) / scale).astype(numbers.dtype)

        with np.errstate(invalid="ignore", over="ignore"):
            index = np.floor((numbers.astype(np.float64) * scale - start) / width)
            index += (point(index + 1) <= numbers).astype(np.float64)
            index -= (point(index) > numbers).astype(np.float64)
            low, high = point(index), point(index + 1)
            if nearest:
                below, above = numbers - low, high - numbers
                up = (above < below) | ((above == below) & (index % 2 != 0))
                return np.where(np.isfinite(low) & np.isfinite(high), np.where(up, high, low), numbers) + 0
            return np.where(np.isfinite(low), np.minimum(low, numbers), numbers) + 0  # + 0: no negative zero

    def _on_narrow_integers(self, numbers: Numbers, *, nearest: bool) -> Numbers:
        limits = np.iinfo(numbers.dtype)
        wide = numbers if numbers.dtype == np.uint64 else numbers.astype(np.int64)
        rounded = _on_integers(wide, int(self.width), int(self.start), nearest=nearest)
        return np.clip(rounded, limits.min, limits.max).astype(numbers.dtype)

    def _on_decimals(self, column: pa.Array, *, nearest: bool) -> pa.Array:
        kind = column.type
        width, start = (int(_EXACT.scaleb(number, kind.scale)) for number in (self.width, self.start))
        limit = 10**kind.precision - 1

        def rounded(units: Numbers) -> Numbers:
            return np.clip(_on_integers(units, width, start, nearest=nearest), -limit, limit)

        if kind.precision <= 18 and width < 2**61:
            return _through_units(column, rounded)
        return _through_python(
            column, lambda unit: max(-limit, min(limit, _on_integer(unit, width, start, nearest=nearest)))
        )


def places_of(number: Decimal) -> int:
    """Count the decimal places that a number needs."""
    return max(0, -int(number.normalize(_EXACT).as_tuple().exponent))


def type_with_places(taken: pa.DataType, places: int) -> pa.DataType:
    """Give the type nearest to a number type that holds so many decimal places: itself, where it does."""
    if pa.types.is_integer(taken):
        return taken if places == 0 else pa.float64()
    if pa.types.is_decimal(taken) and places > taken.scale:
        precision = taken.precision + places - taken.scale
        return pa.decimal128(precision, places) if precision <= 38 else pa.decimal256(min(76, precision), places)
    return taken


def shift(column: pa.Array, distance: Decimal) -> pa.Array:
    """Add a number that the column's type can hold; a sum past the range of the type becomes its greatest number."""
    kind = column.type
    if pa.types.is_decimal(kind):
        limit = 10**kind.precision - 1
        added = int(_EXACT.scaleb(distance, kind.scale))
        if kind.precision <= 18 and abs(added) < 2**61:
            return _through_units(column, lambda units: np.clip(units + added, -limit, limit))
        return _through_python(column, lambda unit: max(-limit, min(limit, unit + added)))
    if pa.types.is_floating(kind):
        return _through_numpy(column, lambda numbers: (numbers + float(distance)).astype(numbers.dtype))
    return _through_numpy(column, lambda numbers: _add(numbers, int(distance)))


def _add(numbers: Numbers, distance: int) -> Numbers:
    limits = np.iinfo(numbers.dtype)
    if distance > int(limits.max) - int(limits.min):
        return np.full_like(numbers, limits.max)
    most = numbers.dtype.type(int(limits.max) - distance) if distance <= limits.max else numbers.dtype.type(limits.min)
    return np.where(
        numbers > most, limits.max, np.minimum(numbers, most) + numbers.dtype.type(min(distance, limits.max))
    )


def _on_integers(numbers: Numbers, width: int, start: int, *, nearest: bool) -> Numbers:
    """Round 64-bit integers without overflow: only remainders, which are small, are added up."""
    limits, kind = np.iinfo(numbers.dtype), numbers.dtype.type
    rest = (numbers % kind(width) + kind((width - start) % width)) % kind(width)
    low = np.where(numbers < kind(limits.min) + rest, limits.min, numbers - rest)
    if not nearest:
        return low
    odd = ((numbers % kind(2 * width)) + kind((2 * width - start) % (2 * width))) % kind(2 * width) >= kind(width)
    up = (2 * rest > kind(width)) | ((2 * rest == kind(width)) & odd)
    ahead = kind(width) - rest  # from the number, because its lower point may be past the range
    high = np.where(numbers > kind(limits.max) - ahead, limits.max, numbers + ahead)
    return np.where(up, high, low)


def _on_integer(number: int, width: int, start: int, *, nearest: bool) -> int:
    index, rest = divmod(number - start, width)
    up = nearest and (2 * rest > width or (2 * rest == width and index % 2 == 1))
    return (index + up) * width + start


def _through_numpy(column: pa.Array, function: Callable[[Numbers], Numbers]) -> pa.Array:
    dense = pc.fill_null(column, pa.scalar(0, column.type)) if column.null_count else column
    return _with_nulls_of(column, pa.array(function(dense.to_numpy(zero_copy_only=False)), column.type))


def _through_units(column: pa.Array, function: Callable[[Numbers], Numbers]) -> pa.Array:
    """Work on the unscaled integers of decimals of at most 18 digits: the low halves of their 128 bits."""
    kind = pa.decimal128(column.type.precision, column.type.scale)
    dense = column.cast(kind)
    if dense.null_count:
        dense = pc.fill_null(dense, pa.scalar(Decimal(0), kind))
    halves = np.frombuffer(dense.buffers()[1], np.int64).reshape(-1, 2)[dense.offset : dense.offset + len(dense)]
    units = function(np.ascontiguousarray(halves[:, 0]))
    buffer = pa.py_buffer(np.stack([units, units >> 63], axis=1))
    return _with_nulls_of(column, pa.Array.from_buffers(kind, len(units), [None, buffer])).cast(column.type)


def _through_python(column: pa.Array, function: Callable[[int], int]) -> pa.Array:
    """Work on each distinct decimal: for those past 64 bits."""
    kind = column.type
    encoded = column.dictionary_encode()
    rounded = [
        _EXACT.scaleb(Decimal(function(int(_EXACT.scaleb(number, kind.scale)))), -kind.scale)
        for number in encoded.dictionary.to_pylist()
    ]
    return pa.array(rounded, kind).take(encoded.indices)


def _with_nulls_of(column: pa.Array, values: pa.Array) -> pa.Array:
    return pc.if_else(pc.is_valid(column), values, pa.scalar(None, values.type)) if column.null_count else values
