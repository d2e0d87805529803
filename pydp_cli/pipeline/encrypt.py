"""Plan the encryption of a dataset's columns, as their `encrypt:` says."""

from __future__ import annotations

import pyarrow as pa

from pydp_cli.errors import KeyringError, UnsupportedType, UsageError
from pydp_cli.pipeline.cell_metadata import Mark, field_before, mark_of, marked
from pydp_cli.pipeline.compilation import Compilation, Keys, KeySource, declared_type
from pydp_cli.pipeline.model import BoundStep, ColumnPlan
from pydp_cli.policy.column_types import dense_type
from pydp_cli.policy.encryption import EncryptSpec
from pydp_cli.transforms.canonical import has_canonical_text
from pydp_cli.transforms.cell_text import has_cell_text
from pydp_cli.transforms.cells import Bound, EncryptCells, Place, Plaintext
from pydp_cli.transforms.types import is_text

LEAKS = {
    "random": "its length in bytes, and which values are null",
    "deterministic": "which values are equal and how often each occurs, its length in bytes, and which values are null",
}


def plan_encrypt(compilation: Compilation) -> tuple[ColumnPlan, ...]:
    """Compile the `encrypt` treatment of every column; those that have none are kept."""
    plans: list[ColumnPlan] = []
    for column in compilation.schema:
        treated = compilation.dataset.columns.get(column.name)
        if treated is not None and treated.encrypt is not None:
            plans.append(_plan_cells(compilation, column, treated.encrypt))
            continue
        keep = treated is not None or compilation.dataset.other_columns == "keep"
        plans.append(ColumnPlan(column.name, column.type, None, (), column if keep else None))
    return tuple(plans)


def check_encryption(compilation: Compilation, column: str, spec: EncryptSpec) -> None:
    """Refuse what cannot be done, or not be undone."""
    place = compilation.policy.place_of("datasets", compilation.name, "columns", column, "encrypt")
    place = place or f'column "{column}"'
    if spec.per_subject:
        raise UsageError("keys for each person (`per_subject`) are not offered yet", place=place)
    for name in spec.bind:
        other = compilation.dataset.columns.get(name)
        if name == column:
            raise UsageError("a column cannot be bound to itself", place=place, hint="bind it to a key column")
        if other is not None and other.encrypt is not None and other.encrypt.bind:
            raise UsageError(
                f'`bind` names "{name}", which is bound to other columns itself',
                place=place,
                hint="bind to columns that stay as they are, or that are encrypted without `bind`",
            )


def cell_place(compilation: Compilation, column: str, spec: EncryptSpec) -> Place:
    """Give the place that a column's cells belong to."""
    return Place(compilation.name, column, spec.domain, tuple(spec.bind))


def key_version(keyring: Keys | None, name: str | None) -> bytes | None:
    """Give the id of the primary version of the key that a policy names; None where it names none."""
    if name is None or keyring is None:
        return None
    primary = getattr(keyring, "primary", None)
    if primary is None:
        raise KeyringError(f'key "{name}" needs an unlocked keyring')
    return bytes(primary(name).key_id)


def _plan_cells(compilation: Compilation, column: pa.Field, spec: EncryptSpec) -> ColumnPlan:
    """Compile the encryption of one column into cells."""
    name = column.name
    check_encryption(compilation, name, spec)
    if mark_of(column) is not None:
        raise UsageError("the column is encrypted already", place=f'column "{name}"', hint="`pydp decrypt` it first")
    declared = declared_type(compilation.dataset, column)
    taken = declared or dense_type(column.type)
    if not has_cell_text(taken):
        raise UnsupportedType(
            f"values of type {taken} cannot be encrypted: they have no canonical text",
            place=f'column "{name}"',
            hint="encrypt the whole file with --whole-file",
        )
    keys = KeySource(compilation.keyring, version=key_version(compilation.keyring, spec.key))
    place = cell_place(compilation, name, spec)
    key = keys.derive("cell", *place.scope)
    as_text = is_text(column.type)
    given = pa.string() if as_text else pa.binary()
    function = EncryptCells(
        key=key.key,
        key_id=key.key_id,
        place=place,
        deterministic=spec.mode == "deterministic",
        plaintext=Plaintext(nulls=spec.nulls == "encrypt", pad=spec.pad),
        bind=tuple(_bound(compilation, name, other) for other in spec.bind),
        as_text=as_text,
    )
    step = BoundStep(
        f"encrypt ({spec.mode})",
        function,
        taken,
        given,
        leaks=_leaks(spec),
        shows_equality=spec.mode == "deterministic",
    )
    stored = column.type if as_text and not pa.types.is_dictionary(column.type) else given
    mark = Mark(
        spec.mode,
        compilation.name,
        field_before(column, declared),
        domain=spec.domain,
        bind=tuple(spec.bind),
        keys=tuple(keys.uses),
    )
    return ColumnPlan(name, column.type, declared, (step,), marked(column.with_type(stored), mark), tuple(keys.uses))


def _bound(compilation: Compilation, column: str, other: str) -> Bound:
    kind = compilation.logical.field(other).type
    if not has_canonical_text(kind):
        raise UnsupportedType(
            f'`bind` names "{other}", whose values of type {kind} have no canonical text', place=f'column "{column}"'
        )
    return Bound(other)


def _leaks(spec: EncryptSpec) -> str:
    leaks = LEAKS[spec.mode]
    if spec.nulls == "encrypt":
        leaks = leaks.replace(", and which values are null", "")
    if spec.pad is not None:
        leaks = leaks.replace("its length in bytes", f"its length in bytes, rounded up to a multiple of {spec.pad}")
    return leaks
