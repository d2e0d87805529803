"""Plan the decryption of a file's columns, by what the file says of itself and what the policy says of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import pyarrow as pa
from pydantic import ValidationError

from pydp_cli.errors import InputError, KeyringError, PydpError, Refused, UsageError, WrongKey
from pydp_cli.keys.keyring import Keyring
from pydp_cli.pipeline.cell_metadata import KEY, Mark, mark_of, restored
from pydp_cli.pipeline.compilation import Compilation, KeySource
from pydp_cli.pipeline.encrypt import cell_place, index_name, preserve_format, shape_of
from pydp_cli.pipeline.model import BoundStep, ColumnPlan
from pydp_cli.pipeline.physical import densify
from pydp_cli.policy.column_types import dense_type
from pydp_cli.policy.encryption import EncryptSpec, FpeSpec
from pydp_cli.transforms.cells import Bound, DecryptCells, ExpectNoCells, OnError, Place, Refusal, looks_encrypted
from pydp_cli.transforms.findings import did_you_mean
from pydp_cli.transforms.fpe import Shape
from pydp_cli.transforms.registry import Binding, TransformOptions, find_transform
from pydp_cli.transforms.treatment import StepSpec
from pydp_cli.transforms.types import is_text

if TYPE_CHECKING:
    from pydp_cli.keys.subject_keys import SubjectKeys

IN_CLEAR = "everything: it is in clear again"
NOT_FOR_CELLS = frozenset({"pseudonym", "token", "file", "sign"})


def plan_decrypt(compilation: Compilation) -> tuple[ColumnPlan, ...]:
    """Compile the decryption of every column that is encrypted and asked for; the others are kept.

    Raises `UsageError` where nothing of what is asked for is encrypted.
    """
    wanted = compilation.decryption.columns
    for name in sorted(wanted or ()):
        if name not in compilation.schema.names:
            hint = did_you_mean(name, compilation.schema.names)
            raise UsageError(f'the data has no column "{name}"', place="--columns", hint=hint)
    planner = _Planner(compilation)
    plans = tuple(planner.plan(column) for column in compilation.schema)
    if not planner.found:
        raise UsageError(
            "nothing in this file is encrypted, as far as its metadata, its cells and the policy tell",
            hint="name the policy with -p, or how it was encrypted with --set COLUMN=random|deterministic|fpe",
        )
    return plans


@dataclass
class _Planner:
    """Plans the columns of one file."""

    compilation: Compilation
    found: list[str] = field(default_factory=list)

    def plan(self, column: pa.Field) -> ColumnPlan:
        """Plan one column."""
        name, wanted = column.name, self.compilation.decryption.columns
        kept = ColumnPlan(name, column.type, None, (), column)
        mark = mark_of(column)
        if self._is_spent_index(name, mark):
            return ColumnPlan(name, column.type, None, (), None)
        if (wanted is not None and name not in wanted) or (mark is not None and mark.way == "blind_index"):
            return kept
        if mark is not None:
            return self._marked(column, mark)
        undone = self._unmarked(column)
        if undone is None and wanted is not None:
            raise UsageError("the column is not encrypted", place=f'column "{name}"')
        return undone or kept

    def _unmarked(self, column: pa.Field) -> ColumnPlan | None:
        """Plan a column by the policy, or else by what its first cells look like; None where it is in clear."""
        name, named = column.name, self.compilation.decryption.columns is not None
        spec = self._spec(name)
        if self.has_tokens and (spec is None or not named):
            return self._policy_token(column)
        if spec is not None and spec.fpe is not None:
            place = cell_place(self.compilation.name, name, spec)
            return self._format(column, place, shape_of(name, spec), None, _cleared(column))
        if spec is not None:
            return self._expected_cells(column, cell_place(self.compilation.name, name, spec))
        seen = self._seen(name) if _may_hold_cells(column.type) else False
        if seen is None and not named:
            return ColumnPlan(name, column.type, None, (self._watch(column),), column)
        if seen or (named and self._token_of(name) is None):
            return self._expected_cells(column, Place(self.compilation.name, name))
        return self._policy_token(column) if named else None

    def _expected_cells(self, column: pa.Field, place: Place) -> ColumnPlan | None:
        """Plan a column that must hold cells; None where it cannot."""
        if not _may_hold_cells(column.type):
            return None
        return self._cells(column, place, _plain_output(column, self._declared(column.name)))

    def _is_spent_index(self, name: str, mark: Mark | None) -> bool:
        """Tell whether a column is the blind index of one that is decrypted, and goes with it."""
        if mark is None:
            return name in self.indexed
        wanted = self.compilation.decryption.columns
        return mark.way == "blind_index" and (wanted is None or mark.of in wanted)

    @cached_property
    def indexed(self) -> frozenset[str]:
        """Name the blind indexes of columns that are decrypted, which no metadata marks."""
        wanted = self.compilation.decryption.columns
        columns = self.compilation.dataset.columns
        return frozenset(
            index_name(name)
            for name in self.compilation.schema.names
            if name in columns and (spec := columns[name].encrypt) is not None and spec.blind_index is not None
            if wanted is None or name in wanted
        )

    @cached_property
    def has_tokens(self) -> bool:
        """Whether the file was made by `anonymize`, as far as one can tell: cells are expected, and there are none."""
        schema = self.compilation.schema
        marks = [mark for column in schema if (mark := mark_of(column)) is not None]
        specs = [spec for name in schema.names if (spec := self._spec(name)) is not None]
        if any(mark.way != "token" for mark in marks) or any(spec.fpe is not None for spec in specs):
            return False
        if not any(self._token_of(name) for name in schema.names):
            return False
        return not any(_may_hold_cells(column.type) and self._seen(column.name) for column in schema)

    def _token_of(self, name: str) -> StepSpec | None:
        """Give the one step that makes tokens of a column, if the policy says so."""
        treated = self.compilation.dataset.columns.get(name)
        steps = () if treated is None or treated.anonymize is None else treated.anonymize
        if len(steps) != 1 or not can_be_undone(steps[0]):
            return None
        return steps[0]

    def _policy_token(self, column: pa.Field) -> ColumnPlan | None:
        """Plan to undo the tokens that the policy says the column has."""
        step = self._token_of(column.name)
        if step is None:
            return None
        release = self.compilation.dataset.release or self.compilation.policy.release
        was = self._declared(column.name) or dense_type(column.type)
        output = pa.field(column.name, was if is_text(column.type) else column.type, True)
        return self._tokens(column, step.options, release, None, output)

    def _tokens(
        self,
        column: pa.Field,
        options: TransformOptions,
        release: str | None,
        version: bytes | None,
        output: pa.Field,
    ) -> ColumnPlan:
        """Plan to undo tokens."""
        self.found.append(column.name)
        version = version or self.compilation.decryption.version
        keys = KeySource(self.compilation.keyring, version=version)
        was = dense_type(output.type)
        token = options.gives(was)
        assert token is not None
        binding = Binding(self.compilation.name, column.name, was, keys, release=release)
        stored = dense_type(column.type)
        declared = token if is_text(stored) and not is_text(token) else None
        undo = getattr(options, "bind_inverse")(binding)  # noqa: B009 - not every transform has one
        self._require_version(column.name, keys, version)
        step = BoundStep("undo token", undo, declared or stored, was, leaks=IN_CLEAR)
        return ColumnPlan(column.name, column.type, declared, (step,), output, tuple(keys.uses))

    def _format(
        self, column: pa.Field, place: Place, shape: Shape, version: bytes | None, output: pa.Field
    ) -> ColumnPlan:
        """Plan to undo format-preserving encryption."""
        self.found.append(column.name)
        version = version or self.compilation.decryption.version
        keys = KeySource(self.compilation.keyring, version=version)
        kind = dense_type(column.type)
        if not is_text(kind):
            raise UsageError(f"format-preserving encryption makes text, not {kind}", place=f'column "{column.name}"')
        undo = preserve_format(keys, place, shape, undo=True)
        self._require_version(column.name, keys, version)
        step = BoundStep("decrypt (fpe)", undo, kind, kind, leaks=IN_CLEAR)
        return ColumnPlan(column.name, column.type, None, (step,), output, tuple(keys.uses))

    def _require_version(self, name: str, keys: KeySource, version: bytes | None) -> None:
        """Refuse to guess a key version: values that do not name theirs come back wrong under another, unnoticed."""
        if version is not None:
            return
        used = {use.name for use in keys.uses}
        known = [one for one in getattr(keys.keyring, "versions", tuple)() if one.name in used]
        made = [one.key_id.hex() for one in known if one.state != "pending"]
        if len(made) > len(used):
            raise Refused(
                f"the values do not tell which version of their key made them, and there are {len(made)}",
                place=f'column "{name}"',
                hint=f"say it with --key-version, one of: {', '.join(made)}",
            )

    def _spec(self, name: str) -> EncryptSpec | None:
        treated = self.compilation.dataset.columns.get(name)
        return None if treated is None else treated.encrypt

    def _declared(self, name: str) -> pa.DataType | None:
        treated = self.compilation.dataset.columns.get(name)
        return None if treated is None else treated.type

    def _seen(self, name: str) -> bool | None:
        """Tell whether the first rows hold cells; None where they hold nothing.

        A file whose metadata tells of some columns is taken to tell of all.
        """
        sample = self.compilation.decryption.sample
        if sample is None:
            return False if any(encrypted_columns(self.compilation.schema)) else None
        values = densify(sample.column(name))
        if values.null_count == len(values):
            return None
        return looks_encrypted(values, self._key_ids())

    def _key_ids(self) -> frozenset[bytes]:
        versions = getattr(self.compilation.keyring, "versions", tuple)
        return frozenset(version.key_id for version in versions())

    def _watch(self, column: pa.Field) -> BoundStep:
        kind = dense_type(column.type)
        return BoundStep("keep", ExpectNoCells(self._key_ids()), kind, kind)

    def _marked(self, column: pa.Field, mark: Mark) -> ColumnPlan:
        """Plan a column whose metadata says how it was encrypted."""
        name, spec = column.name, self._spec(column.name)
        version = bytes.fromhex(mark.keys[0].key_id) if mark.keys else None
        output = restored(column, mark)
        if mark.way == "token":
            return self._tokens(column, noted_transform(column, mark), mark.options.get("release"), version, output)
        place = self._marked_place(name, mark, spec)
        if mark.way == "fpe":
            noted = EncryptSpec(fpe=FpeSpec.model_validate(mark.options))
            return self._format(column, place, shape_of(name, noted), version, output)
        return self._cells(column, place, output)

    def _marked_place(self, name: str, mark: Mark, spec: EncryptSpec | None) -> Place:
        """Give the place of a column's cells, where the metadata and the policy agree on it."""
        told = Place(mark.dataset, name, mark.domain, mark.bind)
        if self.compilation.decryption.adhoc and spec is None:
            return told
        if spec is not None:
            expected = cell_place(self.compilation.name, name, spec)
        else:
            expected = Place(self.compilation.name, name, mark.domain, mark.bind)
        if told != expected and not (told.domain is not None and told.domain == expected.domain):
            raise Refused(
                f'the file says that the column belongs to dataset "{mark.dataset}"'
                + (f', domain "{mark.domain}"' if mark.domain else "")
                + ", and the policy says otherwise",
                place=f'column "{name}"',
                hint="choose the dataset with --dataset, or correct `domain` and `bind` in the policy",
            )
        return expected

    def _cells(self, column: pa.Field, place: Place, output: pa.Field) -> ColumnPlan:
        """Plan the decryption of a column of cells."""
        self.found.append(column.name)
        on_error = self.compilation.decryption.on_error
        gives = dense_type(output.type)
        if on_error == "keep" and gives != dense_type(column.type):
            raise UsageError(
                f"a cell that fails cannot be kept among values of type {gives}",
                place=f'column "{column.name}"',
                hint="use --on-error null, or leave the column out with --columns",
            )
        if on_error != "stop":
            output = output.with_nullable(True)
        function = self._function(column.name, place, gives, on_error)
        step = BoundStep("decrypt", function, dense_type(column.type), gives, leaks=IN_CLEAR)
        return ColumnPlan(column.name, column.type, None, (step,), output)

    def _function(self, name: str, place: Place, gives: pa.DataType, on_error: OnError = "stop") -> DecryptCells:
        keys, refusals = self._keys(place)
        bind = tuple(self._bound(name, other) for other in place.bind)
        return DecryptCells(name, keys, refusals, place, bind, gives, on_error, self.people)

    @cached_property
    def people(self) -> SubjectKeys | Refusal | None:
        """The keys of people; or why they cannot be had; None where there is no store of them."""
        path, ring = self.compilation.decryption.subject_keys, self.compilation.keyring
        if path is None and not self.compilation.decryption.adhoc:
            path = self.compilation.policy.subject_keys_path
        if path is None or not isinstance(ring, Keyring) or not path.exists():
            return None
        from pydp_cli.keys.subject_keys import open_subject_keys

        try:
            return open_subject_keys(path, ring)
        except PydpError as error:
            return Refusal(str(error), error.hint)

    def _bound(self, name: str, other: str) -> Bound:
        """Say how the values of a bound column come back, where it is encrypted itself."""
        if other not in self.compilation.schema.names:
            raise UsageError(
                f'the cells are bound to column "{other}", which the data does not have', place=f'column "{name}"'
            )
        column = self.compilation.schema.field(other)
        mark, spec = mark_of(column), self._spec(other)
        if mark is not None:
            place, output = self._marked_place(other, mark, spec), restored(column, mark)
        elif spec is not None:
            place = cell_place(self.compilation.name, other, spec)
            output = _plain_output(column, self._declared(other))
        elif _may_hold_cells(column.type) and self._seen(other):
            place, output = Place(self.compilation.name, other), _plain_output(column, None)
        else:
            return Bound(other)
        return Bound(other, self._function(other, place, dense_type(output.type)))

    def _keys(self, place: Place) -> tuple[dict[bytes, bytes], dict[bytes, Refusal]]:
        """Derive the column's key from every version that may have encrypted it; say why the others cannot be used."""
        keyring = self.compilation.keyring
        if keyring is None:
            raise KeyringError("decryption needs a keyring", hint="name it with --keyring or `keyring:` in the policy")
        keys: dict[bytes, bytes] = {}
        refusals: dict[bytes, Refusal] = {}
        for version in getattr(keyring, "versions", tuple)():
            if version.name.partition("/")[0] in NOT_FOR_CELLS:
                continue
            try:
                keys[version.key_id] = keyring.column_key("cell", *place.scope, version=version.key_id).key
            except WrongKey as error:
                refusals[version.key_id] = Refusal(error.message, error.hint)
        return keys, refusals


def encrypted_columns(schema: pa.Schema) -> Iterator[tuple[str, Mark]]:
    """Give the columns whose metadata says that they are encrypted."""
    for column in schema:
        mark = mark_of(column)
        if mark is not None:
            yield column.name, mark


def noted_transform(column: pa.Field, mark: Mark) -> TransformOptions:
    """Read which transform made a column's tokens."""
    found = find_transform(str(mark.options.get("transform")))
    try:
        options = None if found is None else found.model_validate(mark.options.get("options", {}))
    except ValidationError:
        options = None
    if options is None or not hasattr(options, "bind_inverse"):
        raise InputError("the column's metadata about its tokens is damaged", place=f'column "{column.name}"')
    return options


def can_be_undone(step: StepSpec) -> bool:
    """Tell whether a step makes tokens that a key brings back."""
    return step.when is None and hasattr(step.options, "bind_inverse")


def _cleared(column: pa.Field) -> pa.Field:
    """Give a field without pydp's own metadata."""
    return column.with_metadata({key: value for key, value in (column.metadata or {}).items() if key != KEY} or None)


def _may_hold_cells(kind: pa.DataType) -> bool:
    dense = dense_type(kind)
    kinds = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view)
    return is_text(dense) or any(accepts(dense) for accepts in kinds)


def _plain_output(column: pa.Field, declared: pa.DataType | None) -> pa.Field:
    """Give the field that a column becomes of which no metadata tells what it was."""
    others = {key: value for key, value in (column.metadata or {}).items() if key != KEY}
    kind = declared or (column.type if is_text(column.type) else pa.string())
    return pa.field(column.name, kind, column.nullable, others or None)
