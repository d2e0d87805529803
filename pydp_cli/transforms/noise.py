"""Add random noise to numbers. This is not differential privacy."""

from __future__ import annotations

import secrets
from decimal import Context, Decimal
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from pydp_cli.errors import UnsupportedType
from pydp_cli.transforms.clamp import clamp
from pydp_cli.transforms.registry import TransformOptions, transform
from pydp_cli.transforms.types import NUMBER

_DIGITS = 18  # before the point, of the strongest noise that is ever drawn


@transform(
    "noise", takes=NUMBER, reversible=False, leaks="roughly the number, and exactly how many", main_option="scale"
)
class Noise(TransformOptions):
    """Add noise to every number: `weight: {noise: 2.5}`.

    This is *not* differential privacy: nothing bounds what a person contributes, nobody keeps count of how often a
    value is released, and averages over repeated releases come back to the value. Use `pydp dp-stats` for a
    guarantee. The noise is drawn from the operating system's randomness, afresh in every run and for every row: two
    runs differ, and equal values become different. Null, NaN and infinities stay. Integers stay whole, and a sum past
    the range of the type becomes its greatest or least number; decimals keep their places. Text is read as numbers.
    """

    scale: Annotated[
        float,
        Field(
            gt=0,
            le=1e15,
            allow_inf_nan=False,
            description="How strong: the standard deviation (normal), the greatest change (uniform), "
            "or the scale b (laplace, standard deviation b√2).",
        ),
    ]
    distribution: Annotated[
        Literal["normal", "uniform", "laplace"], Field(description="How the noise is distributed.")
    ] = "normal"

    def asks(self) -> pa.DataType:
        """Read text as numbers."""
        return pa.float64()

    def check_takes(self, kind: pa.DataType, column: str) -> None:
        """Refuse decimals that leave no room for a sum in 256 bits."""
        super().check_takes(kind, column)
        if pa.types.is_decimal(kind) and max(kind.precision, kind.scale + _DIGITS) > 75:
            raise UnsupportedType(f"{kind} has no room for noise", place=f'column "{column}"')

    def apply(self, column: pa.Array) -> pa.Array:
        """Draw as many numbers as there are rows, and add them."""
        noise = self._draw(len(column))
        kind = column.type
        if pa.types.is_floating(kind):
            return pc.add(column.cast(pa.float64()), pa.array(noise)).cast(kind, safe=False)
        if pa.types.is_decimal(kind):
            return _added_to_decimals(column, noise)
        return _added_to_integers(column, noise)

    def _draw(self, count: int) -> npt.NDArray[np.float64]:
        generator = np.random.default_rng(secrets.randbits(256))
        if self.distribution == "uniform":
            return generator.uniform(-self.scale, self.scale, count)
        draw = generator.normal if self.distribution == "normal" else generator.laplace
        return draw(0.0, self.scale, count)


def _added_to_integers(column: pa.Array, noise: npt.NDArray[np.float64]) -> pa.Array:
    """Add whole numbers in 64 bits, held at the ends of the type."""
    dense = pc.fill_null(column, pa.scalar(0, column.type)).to_numpy(zero_copy_only=False)
    limits = np.iinfo(dense.dtype)
    change = np.rint(noise).astype(np.int64)
    size = np.abs(change)
    if dense.dtype == np.uint64:
        up, down = np.minimum(size.astype(np.uint64), limits.max - dense), np.minimum(size.astype(np.uint64), dense)
        treated = np.where(change >= 0, dense + up, dense - down)
    else:
        wide, ends = dense.astype(np.int64), np.iinfo(np.int64)
        treated = np.where(
            change >= 0, np.minimum(wide, ends.max - size) + size, np.maximum(wide, ends.min + size) - size
        )
    held = pa.array(np.clip(treated, limits.min, limits.max).astype(dense.dtype), column.type)
    return pc.if_else(pc.is_valid(column), held, pa.scalar(None, column.type)) if column.null_count else held


def _added_to_decimals(column: pa.Array, noise: npt.NDArray[np.float64]) -> pa.Array:
    """Add in 256 bits, and hold the sums within the precision."""
    kind = column.type
    wide = pa.decimal256(max(kind.precision, kind.scale + _DIGITS), kind.scale)
    total = pc.add(column.cast(wide), pa.array(noise).cast(wide, safe=False))
    most = Decimal(10**kind.precision - 1).scaleb(-kind.scale, Context(prec=80))
    held = clamp(total, pa.scalar(most, total.type), "most")
    return clamp(held, pa.scalar(most.copy_negate(), total.type), "least").cast(kind)
