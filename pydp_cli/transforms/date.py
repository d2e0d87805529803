"""Truncate dates and timestamps to the start of their year, quarter, month, week, day or hour."""

from __future__ import annotations

from typing import Annotated, Literal

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from pydp_cli.errors import UnsupportedType
from pydp_cli.transforms.registry import TransformOptions, transform
from pydp_cli.transforms.types import TEMPORAL

Unit = Literal["year", "quarter", "month", "week", "day", "hour"]


@transform("date", takes=TEMPORAL, reversible=False, leaks="the unit that it is cut to", main_option="truncate")
class Date(TransformOptions):
    """Cut a date to the first day of its unit: `birth_date: {date: year}` makes `1984-01-01` of `1984-06-30`.

    Null stays null. The type stays, and so does the time zone: a timestamp with a zone is cut at local midnight (or the
    first moment of a day that has none). Weeks begin on Monday. Text is read as a date, or for `hour` as a timestamp;
    of a timestamp with an offset, the date is taken as it is written.
    """

    truncate: Annotated[Unit, Field(description="The unit that is kept; everything finer is cut off.")]

    def asks(self) -> pa.DataType:
        """Read text as dates, unless hours are wanted."""
        return pa.timestamp("us") if self.truncate == "hour" else pa.date32()

    def leak(self) -> str:
        """Name the unit."""
        return f"the {self.truncate}"

    def check_takes(self, kind: pa.DataType, column: str) -> None:
        """Refuse to cut a date to hours: it has none."""
        super().check_takes(kind, column)
        if self.truncate == "hour" and pa.types.is_date(kind):
            raise UnsupportedType('a date cannot be truncated to "hour"', place=f'column "{column}"')

    def apply(self, column: pa.Array) -> pa.Array:
        """Round down in the zone of the type."""
        zone = getattr(column.type, "tz", None)
        if zone is None:
            return self._floor(column)
        local = pc.local_timestamp(column)
        floored = self._floor(local)
        if self.truncate == "hour":  # an hour that the clock repeats is told apart by its distance only
            return pc.subtract(column, pc.subtract(local, floored))
        return pc.assume_timezone(floored, timezone=zone, ambiguous="earliest", nonexistent="latest")

    def _floor(self, column: pa.Array) -> pa.Array:
        return pc.floor_temporal(column, 1, self.truncate, week_starts_monday=True)
