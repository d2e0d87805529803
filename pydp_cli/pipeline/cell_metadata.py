"""What an encrypted column's field metadata says in Parquet: how it was encrypted, and what it was before.

It is JSON under the key `pydp`. Nothing in it is trusted: cells authenticate the place that they belong to, and
`decrypt` compares what the metadata says with the policy.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import pyarrow as pa
import pyarrow.ipc

from pydp_cli.errors import InputError
from pydp_cli.pipeline.model import KeyUse
from pydp_cli.policy.column_types import type_name

KEY = b"pydp"
VERSION = 1
Way = Literal["random", "deterministic", "per_subject", "fpe", "blind_index", "token"]


@dataclass(frozen=True)
class Mark:
    """How a column was encrypted.

    `before` is the field as it was, with the metadata that pydp had written then. `of` names the column that a blind
    index was made of; `options` are those of fpe and tokens.
    """

    way: Way
    dataset: str
    before: pa.Field
    domain: str | None = None
    bind: tuple[str, ...] = ()
    of: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    keys: tuple[KeyUse, ...] = ()


def marked(column: pa.Field, mark: Mark, **more: Any) -> pa.Field:
    """Note in a field's metadata how it was encrypted."""
    note = {
        "format": VERSION,
        "way": mark.way,
        "dataset": mark.dataset,
        "type": type_name(mark.before.type),
        "field": _packed(mark.before),
    }
    note |= {name: value for name in ("domain", "bind", "of", "options") if (value := getattr(mark, name))}
    whole = {"treatment": [mark.way], "keys": [_key(use) for use in mark.keys], "encrypted": note, **more}
    return column.with_metadata({**(column.metadata or {}), KEY: json.dumps(whole, sort_keys=True).encode()})


def mark_of(column: pa.Field) -> Mark | None:
    """Read how a column was encrypted; None where its metadata does not say so."""
    raw = (column.metadata or {}).get(KEY)
    if raw is None:
        return None
    place = f'column "{column.name}"'
    try:
        whole = json.loads(raw)
        note = whole.get("encrypted")
        if note is None:
            return None
        if note["format"] != VERSION:
            raise InputError(
                "the column was encrypted by a newer pydp, in a format that this one does not know", place=place
            )
        return Mark(
            way=note["way"],
            dataset=str(note["dataset"]),
            before=_unpacked(note["field"]),
            domain=note.get("domain"),
            bind=tuple(map(str, note.get("bind", ()))),
            of=note.get("of"),
            options=dict(note.get("options", {})),
            keys=tuple(KeyUse(str(key["name"]), str(key["id"])) for key in whole.get("keys", ())),
        )
    except (ValueError, KeyError, TypeError, AttributeError, pa.ArrowException, binascii.Error):
        raise InputError(
            "the column's metadata about its encryption is damaged",
            place=place,
            hint="name its treatment in the policy or with --set, and drop the metadata",
        ) from None


def restored(column: pa.Field, mark: Mark) -> pa.Field:
    """Give the field as it was before it was encrypted; metadata that others wrote stays."""
    others = {key: value for key, value in (column.metadata or {}).items() if key != KEY}
    mine = mark.before.metadata or {}
    return pa.field(column.name, mark.before.type, mark.before.nullable, {**others, **mine} or None)


def field_before(column: pa.Field, kind: pa.DataType | None = None) -> pa.Field:
    """Give what is noted of a field before it is encrypted: name, type, and pydp's own metadata."""
    own = {key: value for key, value in (column.metadata or {}).items() if key == KEY}
    return pa.field(column.name, kind or column.type, column.nullable, own or None)


def _packed(column: pa.Field) -> str:
    return base64.b64encode(pa.schema([column]).serialize().to_pybytes()).decode()


def _unpacked(text: str) -> pa.Field:
    return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(text, validate=True))).field(0)


def _key(use: KeyUse) -> dict[str, str]:
    told = asdict(use)
    return {"name": told["name"], "id": told["key_id"]}
