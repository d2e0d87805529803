"""What becomes of values that are not what a transform expects, such as a phone number without digits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from pydp_cli.errors import BadValue
from pydp_cli.transforms.parse import MOST_ROWS_NAMED

MARK = "[redacted]"

OnInvalid = Annotated[
    Literal["redact", "null", "error"],
    Field(description="What becomes of a value that is not of that kind: a mark, null, or the end of the run."),
]


def settle(column: pa.StringArray, treated: pa.StringArray, on_invalid: str, name: str) -> pa.StringArray:
    """Finish a column that was treated, and is null where a value could not be.

    Raises `BadValue` with the first of those rows where `on_invalid` is `error`; `name` says what was expected.
    """
    invalid = pc.and_(pc.is_null(treated), pc.is_valid(column))
    if on_invalid == "null" or not pc.any(invalid).as_py():
        return treated
    if on_invalid == "error":
        rows = tuple(pc.indices_nonzero(invalid)[:MOST_ROWS_NAMED].to_pylist())
        raise BadValue(f"not {name}", hint="correct the values, or set `on_invalid: redact`", rows=rows)
    return pc.if_else(invalid, MARK, treated)


def over_distinct(column: pa.StringArray, function: Callable[[str], str | None]) -> pa.StringArray:
    """Treat each distinct value once, in Python."""
    encoded = column.dictionary_encode()
    treated = pa.array([function(value) for value in encoded.dictionary.to_pylist()], pa.string())
    return treated.take(encoded.indices)
