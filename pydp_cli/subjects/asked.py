"""What is looked for in one column, and whose the values of such a column are."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from pydp_cli.policy.identity_text import identity_text
from pydp_cli.policy.model import Identity
from pydp_cli.subjects.known import LookUp


@dataclass(frozen=True)
class AskedColumn:
    """A column to search, how its values compare, and what is known; None where nothing is, and it is only read."""

    column: str
    identity: Identity | None
    known: LookUp | None


def look_up(asked: AskedColumn, column: pa.Array) -> pa.Int32Array | None:
    """Give whose value each row has; whole numbers of identities without rules are compared as numbers."""
    if asked.known is None:
        return None
    kind = column.type
    has_rules = asked.identity is not None and asked.identity.normalize
    if pa.types.is_integer(kind) and kind != pa.uint64() and not has_rules:
        return asked.known.whole_numbers(column)
    return asked.known.texts(identity_text(column, asked.identity))
