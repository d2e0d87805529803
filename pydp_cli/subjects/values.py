"""Values for people and programs to read: JSON that loses nothing, CSV that a spreadsheet does not run."""

from __future__ import annotations

import base64
import csv
import io
import json
import math
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pydp_cli.policy.identity_text import can_identify, plain_text

_PLAIN = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean)
_NUMBER = r"^[+-]?[0-9]+([.,][0-9]+)*$"
_FORMULA = r"^[=+\-@\t\r]"


def json_lines(batch: pa.RecordBatch) -> Iterator[bytes]:
    """Write each row as a JSON object: numbers as numbers; dates, decimals and the like as their canonical text."""
    columns = [_json_values(batch.column(at)) for at in range(batch.num_columns)]
    for row in zip(*columns, strict=True):
        said = dict(zip(batch.schema.names, row, strict=True))
        yield (json.dumps(said, ensure_ascii=False, default=_other) + "\n").encode("utf-8", "backslashreplace")


def csv_rows(batch: pa.RecordBatch, *, heading: bool) -> bytes:
    """Write rows as CSV; a text that a spreadsheet would take for a formula gets an apostrophe in front."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    if heading:
        writer.writerow([_safe(name) for name in batch.schema.names])
    columns = [_csv_values(batch.column(at)) for at in range(batch.num_columns)]
    writer.writerows(zip(*columns, strict=True))
    return out.getvalue().encode("utf-8", "backslashreplace")


def shown_rows(batch: pa.RecordBatch) -> Iterator[tuple[str, ...]]:
    """Give each row as texts, for a page."""
    columns = [_texts(batch.column(at)) for at in range(batch.num_columns)]
    yield from zip(*columns, strict=True)


def _safe(text: str) -> str:
    return f"'{text}" if text[:1] in {"=", "+", "-", "@", "\t", "\r"} else text


def _csv_values(column: pa.Array) -> list[str | None]:
    if any(accepts(column.type) for accepts in _PLAIN) or not can_identify(column.type):
        values: list[str | None] = _texts(column)
        return values
    text = plain_text(column)
    risky = pc.and_(
        pc.match_substring_regex(text, _FORMULA), pc.invert(pc.match_substring_regex(text, _NUMBER))
    ).fill_null(False)
    if risky.true_count:
        text = pc.if_else(risky, pc.binary_join_element_wise("'", text, ""), text)
    return text.to_pylist()  # type: ignore[no-any-return]


def _texts(column: pa.Array) -> list[Any]:
    if can_identify(column.type):
        return ["" if value is None else value for value in plain_text(column).to_pylist()]
    return [
        "" if value is None else json.dumps(value, ensure_ascii=False, default=_other) for value in column.to_pylist()
    ]


def _json_values(column: pa.Array) -> list[Any]:
    if pa.types.is_floating(column.type):
        return [value if value is None or math.isfinite(value) else str(value) for value in column.to_pylist()]
    if pa.types.is_integer(column.type) or pa.types.is_boolean(column.type) or not can_identify(column.type):
        return column.to_pylist()  # type: ignore[no-any-return]
    return plain_text(column).to_pylist()  # type: ignore[no-any-return]


def _other(value: object) -> Any:
    """Write what is within nested values."""
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode()
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, (Decimal, timedelta)):
        return str(value)
    return str(value)
