"""Keep the `pandas` entry of a schema's metadata true after columns were dropped or changed their type."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa

_KEY = b"pandas"


def with_consistent_pandas_metadata(schema: pa.Schema, before: pa.Schema | None) -> pa.Schema:
    """Rewrite what pandas would read back: columns that are gone, and types that are new.

    Without `before` every type is written anew. An entry that cannot be understood is dropped.
    """
    metadata = dict(schema.metadata or {})
    if _KEY not in metadata:
        return schema
    try:
        notes = json.loads(metadata[_KEY])
        notes["columns"] = [_describe(one, schema, before) for one in notes["columns"] if _is_there(one, schema)]
        notes["index_columns"] = [
            one for one in notes.get("index_columns", []) if not isinstance(one, str) or one in schema.names
        ]
    except (ValueError, TypeError, KeyError, AttributeError):
        del metadata[_KEY]
    else:
        metadata[_KEY] = json.dumps(notes).encode()
    return schema.with_metadata(metadata)


def _field_name(note: dict[str, Any]) -> str | None:
    return note.get("field_name", note.get("name"))


def _is_there(note: dict[str, Any], schema: pa.Schema) -> bool:
    name = _field_name(note)
    return name is None or name in schema.names


def _describe(note: dict[str, Any], schema: pa.Schema, before: pa.Schema | None) -> dict[str, Any]:
    name = _field_name(note)
    if name is None:
        return note
    kind = schema.field(name).type
    if before is not None and name in before.names and before.field(name).type.equals(kind):
        return note
    from pyarrow.pandas_compat import get_logical_type

    return note | {"pandas_type": get_logical_type(kind), "numpy_type": _numpy_type(kind), "metadata": _extra(kind)}


def _numpy_type(kind: pa.DataType) -> str:
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
        return {"halffloat": "float16", "float": "float32", "double": "float64"}.get(str(kind), str(kind))
    if pa.types.is_timestamp(kind):
        return f"datetime64[{kind.unit}]"
    return "object"


def _extra(kind: pa.DataType) -> dict[str, Any] | None:
    if pa.types.is_decimal(kind):
        return {"precision": kind.precision, "scale": kind.scale}
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        return {"timezone": kind.tz}
    return None
