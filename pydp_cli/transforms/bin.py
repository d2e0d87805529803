"""Put numbers into bins of equal width."""

from __future__ import annotations

from decimal import Context, Decimal
from typing import Annotated, Literal

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from pydp_cli.transforms.grid import WIDEST, Grid, places_of, shift, type_with_places
from pydp_cli.transforms.registry import TransformOptions, transform
from pydp_cli.transforms.types import NUMBER

_LABELS = Context(prec=800)


@transform(
    "bin",
    takes=NUMBER,
    reversible=False,
    leaks="the bin, which may hold few people at the far ends",
    main_option="width",
)
class Bin(TransformOptions):
    """Replace a number by its bin: `salary: {bin: {width: 5000}}` makes `50000` of `52345`.

    Null stays null. Bins begin at `start`; the lower end belongs to a bin, the upper one to the next, below zero too.
    `output: lower` and `midpoint` keep the type, unless an integer column needs decimal places (then `double`) or a
    decimal one needs more of them. `output: range` makes text: `50000-54999` where width and start are whole numbers,
    else `0.5-1.0`. NaN and infinities stay what they are. Text is read as numbers. Use `top_code` and `bottom_code`
    for sparse tails.
    """

    width: Annotated[Decimal, Field(gt=0, le=WIDEST, description="The width of every bin.")]
    start: Annotated[Decimal, Field(ge=-WIDEST, le=WIDEST, description="A number at which a bin begins.")] = Decimal(0)
    output: Annotated[
        Literal["lower", "midpoint", "range"],
        Field(description="What stands for the bin: its lower end, its middle, or a text of both ends."),
    ] = "lower"

    def asks(self) -> pa.DataType:
        """Read text as numbers."""
        return pa.float64()

    def gives(self, taken: pa.DataType) -> pa.DataType:
        """Keep the type where it can hold the ends of the bins."""
        return pa.string() if self.output == "range" else self._type_of_ends(taken)

    def apply(self, column: pa.Array) -> pa.Array:
        """Round down to the lower end, then name the bin."""
        kind = self._type_of_ends(column.type)
        lower = Grid(self.width, self.start).floor(column if column.type == kind else column.cast(kind, safe=False))
        if self.output == "midpoint":
            return shift(lower, self.width / 2)
        return self._labelled(lower) if self.output == "range" else lower

    def _type_of_ends(self, taken: pa.DataType) -> pa.DataType:
        if self.output == "range" and pa.types.is_integer(taken) and taken != pa.uint64():
            taken = pa.int64()  # room for the lower end of the first bin
        elif self.output == "range" and pa.types.is_decimal(taken) and taken.bit_width < 128:
            taken = pa.decimal128(taken.precision, taken.scale)  # the narrow ones cannot be encoded
        ends = [self.width, self.start, *([self.width / 2] if self.output == "midpoint" else [])]
        return type_with_places(taken, max(map(places_of, ends)))

    def _labelled(self, lower: pa.Array) -> pa.StringArray:
        encoded = lower.dictionary_encode()
        ends = encoded.dictionary
        if pa.types.is_integer(ends.type) and self._leaves_room(ends):
            labels = pc.binary_join_element_wise(
                ends.cast(pa.string()), shift(ends, self.width - 1).cast(pa.string()), "-"
            )
        else:
            labels = pa.array([self._label(number) for number in ends.to_pylist()], pa.string())
        return labels.take(encoded.indices)

    def _leaves_room(self, ends: pa.Array) -> bool:
        greatest = pc.max(ends).as_py()
        return greatest is None or bool(greatest < 2**62)

    def _label(self, lower: float | Decimal) -> str:
        first = Decimal(str(lower))
        if not first.is_finite():
            return str(lower)
        places = Grid(self.width, self.start).places
        last = _LABELS.add(first, self.width - 1 if places == 0 else self.width)
        return f"{first:.{places}f}-{last:.{places}f}"
