"""Plan the encryption of a dataset's columns, as their `encrypt:` says."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from pydp_cli.errors import KeyringError, UnsupportedType, UsageError
from pydp_cli.pipeline.cell_metadata import Mark, field_before, mark_of, marked
from pydp_cli.pipeline.compilation import Compilation, Keys, KeySource, declared_type
from pydp_cli.pipeline.model import BoundStep, ColumnPlan
from pydp_cli.pipeline.physical import stored_type
from pydp_cli.policy.column_types import dense_type
from pydp_cli.policy.encryption import EncryptSpec, FpeSpec
from pydp_cli.policy.model import Policy
from pydp_cli.transforms.blind_index import BlindIndex, bits_for
from pydp_cli.transforms.canonical import has_canonical_text
from pydp_cli.transforms.cell_text import has_cell_text
from pydp_cli.transforms.cells import Bound, EncryptCells, Place, Plaintext
from pydp_cli.transforms.encrypt_for_people import EncryptForPeople
from pydp_cli.transforms.fpe import PreserveFormat, Shape
from pydp_cli.transforms.types import is_text

LEAKS = {
    "random": "its length in bytes, and which values are null",
    "deterministic": "which values are equal and how often each occurs, its length in bytes, and which values are null",
    "per_subject": "its length in bytes, which values are null, and which are of one person",
    "fpe": "which values are equal and how often each occurs, their format and length, and what is kept of them; "
    "nothing shows that one was altered",
}
FPE_KEY_BYTES = INDEX_KEY_BYTES = 32


def plan_encrypt(compilation: Compilation) -> tuple[ColumnPlan, ...]:
    """Compile the `encrypt` treatment of every column; those that have none are kept."""
    plans: list[ColumnPlan] = []
    for column in compilation.schema:
        treated = compilation.dataset.columns.get(column.name)
        if treated is not None and treated.encrypt is not None:
            plans.extend(_plan_column(compilation, column, treated.encrypt))
            continue
        keep = treated is not None or compilation.dataset.other_columns == "keep"
        plans.append(ColumnPlan(column.name, column.type, None, (), column if keep else None))
    return tuple(plans)


def _plan_column(compilation: Compilation, column: pa.Field, spec: EncryptSpec) -> Iterator[ColumnPlan]:
    """Compile the encryption of one column, and its blind index."""
    check_encryption(compilation, column.name, spec)
    mark = mark_of(column)
    if mark is not None and mark.way != "token":
        raise UsageError(
            "the column is encrypted already", place=f'column "{column.name}"', hint="`pydp decrypt` it first"
        )
    plan = _plan_format if spec.fpe is not None else _plan_cells
    if spec.per_subject is not False:
        plan = _plan_for_people
    yield plan(compilation, column, spec)
    if spec.blind_index is not None:
        yield _plan_index(compilation, column, spec)


def check_encryption(compilation: Compilation, column: str, spec: EncryptSpec) -> None:
    """Refuse what cannot be done, or not be undone."""
    place = compilation.policy.place_of("datasets", compilation.name, "columns", column, "encrypt")
    place = place or f'column "{column}"'
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


def cell_place(dataset: str, column: str, spec: EncryptSpec) -> Place:
    """Give the place that a column's cells belong to."""
    return Place(dataset, column, spec.domain, tuple(spec.bind))


def key_version(keyring: Keys | None, name: str | None) -> bytes | None:
    """Give the id of the primary version of the key that a policy names; None where it names none."""
    if name is None or keyring is None:
        return None
    primary = getattr(keyring, "primary", None)
    if primary is None:
        raise KeyringError(f'key "{name}" needs an unlocked keyring')
    return bytes(primary(name).key_id)


def _cell_types(compilation: Compilation, column: pa.Field) -> tuple[pa.DataType | None, pa.DataType]:
    """Give the type that is declared for a column, and that of the values that become cells."""
    declared = declared_type(compilation.dataset, column)
    taken = declared or dense_type(column.type)
    if not has_cell_text(taken):
        raise UnsupportedType(
            f"values of type {taken} cannot be encrypted: they have no canonical text",
            place=f'column "{column.name}"',
            hint="encrypt the whole file with --whole-file",
        )
    return declared, taken


def _plan_for_people(compilation: Compilation, column: pa.Field, spec: EncryptSpec) -> ColumnPlan:
    """Compile the encryption of one column under people's own keys."""
    from pydp_cli.pipeline.people_keys import keys_for

    name = column.name
    declared, taken = _cell_types(compilation, column)
    person = compilation.policy.person_column(compilation.name, name)
    if person not in compilation.schema.names:
        raise UsageError(
            f'the data has no column "{person}", which says whose keys the values are to be under',
            place=f'column "{name}"',
        )
    as_text = is_text(column.type)
    function = EncryptForPeople(
        keys=keys_for(compilation, person),
        person=person,
        place=cell_place(compilation.name, name, spec),
        plaintext=Plaintext(nulls=spec.nulls == "encrypt", pad=spec.pad),
        bind=tuple(_bound(compilation, name, other) for other in spec.bind),
        as_text=as_text,
    )
    given = pa.string() if as_text else pa.binary()
    step = BoundStep("encrypt (per subject)", function, taken, given, leaks=_leaks(spec))
    mark = Mark("per_subject", compilation.name, field_before(column, declared), bind=tuple(spec.bind))
    return ColumnPlan(name, column.type, declared, (step,), marked(column.with_type(_stored(column, given)), mark))


def _stored(column: pa.Field, given: pa.DataType) -> pa.DataType:
    """Give the type that cells are stored in."""
    return column.type if is_text(column.type) and not pa.types.is_dictionary(column.type) else given


def _plan_cells(compilation: Compilation, column: pa.Field, spec: EncryptSpec) -> ColumnPlan:
    """Compile the encryption of one column into cells."""
    name = column.name
    declared, taken = _cell_types(compilation, column)
    keys = KeySource(compilation.keyring, version=key_version(compilation.keyring, spec.key))
    place = cell_place(compilation.name, name, spec)
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
    mark = Mark(
        spec.mode,
        compilation.name,
        field_before(column, declared),
        domain=spec.domain,
        bind=tuple(spec.bind),
        keys=tuple(keys.uses),
    )
    return ColumnPlan(
        name, column.type, declared, (step,), marked(column.with_type(_stored(column, given)), mark), tuple(keys.uses)
    )


def _plan_format(compilation: Compilation, column: pa.Field, spec: EncryptSpec) -> ColumnPlan:
    """Compile format-preserving encryption of one column."""
    name, kind = column.name, dense_type(column.type)
    if not is_text(kind) or declared_type(compilation.dataset, column) is not None:
        raise UnsupportedType(
            f"format-preserving encryption takes text, not {declared_type(compilation.dataset, column) or kind}",
            place=f'column "{name}"',
            hint="declare no type for the column, or use `random`",
        )
    keys = KeySource(compilation.keyring, version=key_version(compilation.keyring, spec.key))
    function = preserve_format(keys, cell_place(compilation.name, name, spec), shape_of(name, spec))
    step = BoundStep("encrypt (fpe)", function, kind, kind, leaks=LEAKS["fpe"], shows_equality=True)
    assert spec.fpe is not None
    mark = Mark(
        "fpe",
        compilation.name,
        field_before(column),
        domain=spec.domain,
        options=spec.fpe.model_dump(exclude_none=True),
        keys=tuple(keys.uses),
    )
    output = marked(column.with_type(stored_type(column.type, kind)), mark)
    return ColumnPlan(name, column.type, None, (step,), output, tuple(keys.uses))


def shape_of(column: str, spec: EncryptSpec) -> Shape:
    """Read the options of `fpe`."""
    fpe = spec.fpe or FpeSpec()
    try:
        return Shape.of(fpe.alphabet, fpe.keep_first, fpe.keep_last, fpe.check_digit)
    except UsageError as error:
        error.place = f'column "{column}"'
        raise


def preserve_format(keys: KeySource, place: Place, shape: Shape, *, undo: bool = False) -> PreserveFormat:
    """Bind format-preserving encryption, or its inverse, to the key of a column or domain."""
    return PreserveFormat(shape, keys("fpe", *place.scope, length=FPE_KEY_BYTES), undo=undo)


def index_name(column: str) -> str:
    """Name the blind index of a column."""
    return f"{column}_bidx"


def blind_index(policy: Policy, dataset: str, column: str, spec: EncryptSpec, keys: KeySource) -> BlindIndex:
    """Bind a column's blind index to its key."""
    asked = spec.blind_index
    assert asked is not None
    place = cell_place(dataset, column, spec)
    try:
        bits = asked.bits if asked.bits is not None else bits_for(asked.population or 0)
    except UsageError as error:
        error.place = policy.place_of("datasets", dataset, "columns", column, "encrypt")
        error.place = error.place or f'column "{column}"'
        raise
    rules = policy.normalization(dataset, column, spec.domain or column)
    return BlindIndex(keys("blind_index", *place.scope, length=INDEX_KEY_BYTES), bits, rules)


def _plan_index(compilation: Compilation, column: pa.Field, spec: EncryptSpec) -> ColumnPlan:
    """Compile the companion column by which an encrypted one can be searched."""
    name = index_name(column.name)
    if name in compilation.schema.names:
        raise UsageError(
            f'the blind index of column "{column.name}" needs the name "{name}", which the data has already',
            hint="rename that column, or leave out `blind_index`",
        )
    declared = declared_type(compilation.dataset, column)
    taken = declared or dense_type(column.type)
    if not has_canonical_text(taken):
        raise UnsupportedType(f"values of type {taken} cannot be indexed", place=f'column "{column.name}"')
    keys = KeySource(compilation.keyring, version=key_version(compilation.keyring, spec.key))
    function = blind_index(compilation.policy, compilation.name, column.name, spec, keys)
    leaks = f"a hash of {function.bits} bits: which values differ, roughly which are equal, and which are null"
    step = BoundStep("blind index", function, taken, pa.string(), leaks=leaks)
    output = pa.field(name, pa.string(), column.nullable)
    mark = Mark("blind_index", compilation.name, output, domain=spec.domain, of=column.name, keys=tuple(keys.uses))
    return ColumnPlan(
        name, column.type, declared, (step,), marked(output, mark), tuple(keys.uses), made_from=column.name
    )


def _bound(compilation: Compilation, column: str, other: str) -> Bound:
    kind = compilation.logical.field(other).type
    if not has_canonical_text(kind):
        raise UnsupportedType(
            f'`bind` names "{other}", whose values of type {kind} have no canonical text', place=f'column "{column}"'
        )
    return Bound(other)


def _leaks(spec: EncryptSpec) -> str:
    leaks = LEAKS[spec.mode if spec.per_subject is False else "per_subject"]
    if spec.nulls == "encrypt":
        leaks = leaks.replace(", and which values are null", "")
    if spec.pad is not None:
        leaks = leaks.replace("its length in bytes", f"its length in bytes, rounded up to a multiple of {spec.pad}")
    return leaks
