"""Put one value in every row."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from pydp_cli.errors import BadValue, UnsupportedType
from pydp_cli.transforms.parse import parse_text
from pydp_cli.transforms.registry import TransformOptions, transform
from pydp_cli.transforms.types import SCALAR, is_text

Value = str | bool | int | float | date | datetime
"""A value as a policy writes it."""


def value_in(kind: pa.DataType, value: Value, column: str) -> pa.Scalar:
    """Give a value of the policy in a column's type; raises `UnsupportedType` where it does not fit."""
    text = (
        value.isoformat() if isinstance(value, date) else str(value).lower() if isinstance(value, bool) else str(value)
    )
    if is_text(kind):
        return pa.scalar(text, kind)
    try:
        return parse_text(pa.array([text]), kind)[0]
    except BadValue as error:
        raise UnsupportedType(
            f"a value in the policy is {error.message}", place=f'column "{column}"', hint=f"the column is {kind}"
        ) from None


@transform("constant", takes=SCALAR, reversible=False, leaks="which values are missing", main_option="value")
class Constant(TransformOptions):
    """Replace every value by one from the policy: `country: {constant: XX}`.

    Null stays null, unless `fill_nulls` is set. The type stays, and the value must fit it.
    """

    value: Annotated[Value, Field(description="The value, of the column's type.")]
    fill_nulls: Annotated[bool, Field(description="Whether nulls are replaced too.")] = False

    def leak(self) -> str:
        """Say that nothing is left where nulls are filled."""
        return "nothing" if self.fill_nulls else self.info.leaks

    def check_takes(self, kind: pa.DataType, column: str) -> None:
        """Refuse a value that the column cannot hold."""
        super().check_takes(kind, column)
        value_in(kind, self.value, column)

    def apply(self, column: pa.Array) -> pa.Array:
        """Repeat the value."""
        value = value_in(column.type, self.value, "")
        repeated = pa.repeat(value, len(column))
        if self.fill_nulls or not column.null_count:
            return repeated
        return pc.if_else(pc.is_valid(column), repeated, pa.scalar(None, repeated.type)).cast(column.type)
