"""Round numbers to decimal places or to the multiples of a number."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

import pyarrow as pa
from pydantic import Field, model_validator

from pydp_cli.transforms.grid import WIDEST, Grid, places_of, type_with_places
from pydp_cli.transforms.registry import TransformOptions, transform
from pydp_cli.transforms.types import NUMBER


@transform("round", takes=NUMBER, reversible=False, leaks="the number, to the nearest step", main_option="digits")
class Round(TransformOptions):
    """Round to decimal places, `height: {round: 1}`, or to multiples, `age: {round: {to: 5}}`.

    Null stays null. Halves go to the even neighbour, so that sums do not drift. `digits: -1` rounds to tens. The type
    stays (an integer column rounded to multiples that are not whole becomes `double`); a result past its range becomes
    its greatest or least number. NaN and infinities stay what they are. Text is read as numbers.
    """

    digits: Annotated[
        int | None,
        Field(ge=-15, le=15, description="The decimal places that are kept; below zero, the zeros before the point."),
    ] = None
    to: Annotated[Decimal | None, Field(gt=0, le=WIDEST, description="The number to whose multiples is rounded.")] = (
        None
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> Round:
        if (self.digits is None) == (self.to is None):
            raise ValueError("give either `digits` or `to`")
        return self

    def asks(self) -> pa.DataType:
        """Read text as numbers."""
        return pa.float64()

    def gives(self, taken: pa.DataType) -> pa.DataType:
        """Keep the type where it can hold the multiples."""
        return taken if self._is_fine_enough(taken) else type_with_places(taken, places_of(self._step()))

    def apply(self, column: pa.Array) -> pa.Array:
        """Round to the nearest step."""
        if self._is_fine_enough(column.type):
            return column
        kind = self.gives(column.type)
        return Grid(self._step()).nearest(column if column.type == kind else column.cast(kind, safe=False))

    def _step(self) -> Decimal:
        if self.to is not None:
            return self.to
        assert self.digits is not None
        return Decimal(1).scaleb(-self.digits)

    def _is_fine_enough(self, kind: pa.DataType) -> bool:
        """Tell whether numbers of a type have no more decimal places than are kept."""
        if self.digits is None or pa.types.is_floating(kind):
            return False
        return bool(self.digits >= (kind.scale if pa.types.is_decimal(kind) else 0))
