"""What erasing does to a file: from the rows that are a person's, and the policy's rule, to edits of rows and cells.

Rows that are the person's get the action of their dataset's rule. Rows of others in which the person is only mentioned
stay, and the cell that mentions them becomes null. Rows that a legal hold keeps stay as they are.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pydp_cli.datasets.edits import NO_ROWS, Edits, Replacement, Rows
from pydp_cli.datasets.locations import InputFile
from pydp_cli.errors import UsageError
from pydp_cli.keys.keyring import Keyring
from pydp_cli.pipeline.encrypt import index_name
from pydp_cli.pipeline.physical import densify
from pydp_cli.pipeline.references import ReferenceKey
from pydp_cli.policy.column_types import dense_type
from pydp_cli.policy.condition_syntax import parse_condition
from pydp_cli.policy.conditions import columns_of
from pydp_cli.policy.identity_text import identity_text, plain_text
from pydp_cli.policy.model import Identity
from pydp_cli.policy.rights import EraseRule
from pydp_cli.subjects.catalogue import Catalogue, space_of
from pydp_cli.subjects.done_cells import refuse_cells, without_what_is_done
from pydp_cli.subjects.file_matches import FileMatches
from pydp_cli.subjects.holds import HeldRows
from pydp_cli.subjects.needles import Needles
from pydp_cli.subjects.row_values import rows_where, stored_schema

Known = Mapping[str, Collection[str]]
Make = Callable[[pa.Array], pa.Array]
NO_RULE = EraseRule(set={})


@dataclass(frozen=True)
class FileErasure:
    """What happens to one file, which is `shown` relative to the policy.

    The file goes as a `whole` where nothing would be left in it, and its folders are named after who was. `kept` and
    `review` count rows that stay for a reason; `held` those of each hold.
    """

    matches: FileMatches
    shown: str
    action: str
    edits: Edits
    found: int
    mentions: int
    kept: int = 0
    review: int = 0
    because: str | None = None
    whole: bool = False
    held: Mapping[str, int] = field(default_factory=dict)

    @property
    def dataset(self) -> str:
        """The dataset that the file is of."""
        return self.matches.dataset

    @property
    def path(self) -> str:
        """The file's path."""
        return self.matches.file.path

    def as_json(self) -> dict[str, Any]:
        """Count what happens, for a plan and a certificate."""
        return {
            "dataset": self.dataset,
            "path": self.shown,
            "action": self.action,
            "rows": self.matches.num_rows,
            "found": self.found,
            "mentions": self.mentions,
            "deleted": len(self.edits.delete),
            "changed": {name: len(one.rows) for name, one in sorted(self.edits.replace.items())},
            "kept": self.kept,
            "because": self.because,
            "review": self.review,
            "held": dict(self.held),
        }


def rule_of(catalogue: Catalogue, dataset: str) -> EraseRule:
    """Give the rule of a dataset; where the policy has none, rows are deleted."""
    return catalogue.policy.datasets[dataset].erase or NO_RULE


def erase_in_file(
    catalogue: Catalogue,
    matches: FileMatches,
    held: HeldRows,
    known: Known,
    keyring: Keyring | None,
    *,
    needles: Needles,
) -> FileErasure | None:
    """Say what happens to a file; None where nobody was found in it.

    `known` has for each kind of identifier the values of the people, and `needles` what names may not tell of them.
    Cells that are already as they are to be are left out, so that the same once more changes nothing. Raises
    `UsageError` for an action that the policy does not say enough about.
    """
    name, path = matches.dataset, matches.file.path
    rule = rule_of(catalogue, name)
    owned: Rows = matches.owned().to_numpy()
    mentioned = _mentions(matches)
    if not len(owned) and not mentioned:
        return None
    chosen, kept = owned, 0
    if rule.when is not None and len(owned):
        refuse_cells(catalogue.policy, name, matches.file, columns_of(parse_condition(rule.when)), keyring)
        chosen = np.intersect1d(owned, rows_where(catalogue.policy.datasets[name], matches.file, rule.when))
        kept = len(owned) - len(chosen)
    chosen, held_counts = held.subtract(name, path, matches.num_rows, chosen)
    mentions_found = sum(map(len, mentioned.values()))
    shown = shown_path(catalogue, matches, needles)
    told = FileErasure(matches, shown, rule.action, Edits(), len(owned), mentions_found, because=rule.because)
    if rule.action == "keep":
        return replace(told, held=held_counts, kept=len(chosen) + kept)
    if rule.action == "review":
        return replace(told, held=held_counts, kept=kept, review=len(chosen))
    mentions: dict[str, Rows] = {}
    for column, rows in mentioned.items():
        left, more = held.subtract(name, path, matches.num_rows, rows)
        mentions[column] = left
        for hold, count in more.items():
            held_counts[hold] = held_counts.get(hold, 0) + count
    makes = {} if rule.action == "delete_row" else _Maker(catalogue, name, matches.file, known, keyring).of_rule(rule)
    _refuse_folders(matches, {*(makes if len(chosen) else ()), *(one for one, rows in mentions.items() if len(rows))})
    edits = _edits(chosen, mentions, makes, delete=rule.action == "delete_row")
    putting = [column for column, make in makes.items() if make is not _nulls] if len(chosen) else []
    refuse_cells(catalogue.policy, name, matches.file, putting, keyring)
    edits = without_what_is_done(edits, matches.file, catalogue.policy.datasets[name].csv)
    whole = len(edits.delete) == matches.num_rows and _is_named_after_people(catalogue, matches)
    return replace(told, edits=edits, held=held_counts, kept=kept, whole=whole)


def shown_path(catalogue: Catalogue, matches: FileMatches, needles: Needles) -> str:
    """Name a file relative to the policy, without what its name and those of its folders tell of people."""
    path = os.path.relpath(matches.file.path, catalogue.policy.base_dir)
    keys = {key.column for key in catalogue.keys_of(matches.dataset)} & set(matches.file.partition_columns)
    return "/".join(
        f"{part.partition('=')[0]}=…"
        if "=" in part and unquote(part.partition("=")[0]) in keys
        else needles.masked(unquote(part), part)
        for part in path.split("/")
    )


def _refuse_folders(matches: FileMatches, columns: Collection[str]) -> None:
    """Refuse to put something else where the name of a folder is the value."""
    for column in sorted(set(columns) & set(matches.file.partition_columns)):
        raise UsageError(
            f'"{column}" is in the names of folders, where nothing else can be put',
            place=f'dataset "{matches.dataset}"',
            hint="let `erase:` delete the rows, or partition by something else",
        )


def _is_named_after_people(catalogue: Catalogue, matches: FileMatches) -> bool:
    keys = catalogue.keys_of(matches.dataset)
    return any(key.column in matches.file.partition_columns for key in keys)


def _edits(chosen: Rows, mentions: Mapping[str, Rows], makes: Mapping[str, Make], *, delete: bool) -> Edits:
    gone = chosen if delete else NO_ROWS
    replacements = {column: Replacement(chosen, make) for column, make in makes.items() if len(chosen)}
    for column, rows in mentions.items():
        left = np.setdiff1d(rows, gone, assume_unique=True)
        if column in replacements:
            left = np.setdiff1d(left, chosen, assume_unique=True)
        if len(left):
            replacements[column] = _both(replacements.get(column), left)
    return Edits(gone, replacements)


def _both(first: Replacement | None, nulled: Rows) -> Replacement:
    """Put nulls in some rows, and what the rule says in others."""
    if first is None:
        return Replacement(nulled, _nulls)
    raise UsageError("a column about other people cannot be changed by `set:` too")


def _mentions(matches: FileMatches) -> dict[str, Rows]:
    """Give for each column about other people the rows in which somebody is mentioned."""
    found = {}
    mention = matches.mention
    for number, column in enumerate(matches.keys):
        rows = matches.rows.filter(pc.and_(mention, pc.equal(matches.by, number)))
        if len(rows):
            found[column] = np.unique(rows.to_numpy())
    return found


@dataclass(frozen=True)
class _Maker:
    """Makes what gives the new values of the columns of a dataset."""

    catalogue: Catalogue
    name: str
    file: InputFile
    known: Known
    keyring: Keyring | None

    def of_rule(self, rule: EraseRule) -> dict[str, Make]:
        """Give what makes the new values of each column that a rule changes."""
        dataset, place = self.catalogue.policy.datasets[self.name], f'dataset "{self.name}"'
        if rule.action == "crypto_shred":
            if not dataset.has_people_keys:
                raise UsageError('"crypto_shred" is for datasets with columns that are `per_subject`', place=place)
            told = {column: self._make(column, value) for column, value in rule.set.items()}
            return {**dict.fromkeys(self._linkable(), _nulls), **told}
        if rule.action == "unlink":
            if not dataset.links:
                raise UsageError('"unlink" is for datasets with links', place=place)
            return dict.fromkeys(dataset.links, _nulls)
        if rule.action == "pseudonymise" and not rule.set:
            return {column: self._pseudonyms(column) for column in [*dataset.identifiers, *dataset.links]}
        if not rule.set:
            raise UsageError(f'"{rule.action}" does not say which columns it is for', place=place, hint="add `set:`")
        return {column: self._make(column, value) for column, value in rule.set.items()}

    def _linkable(self) -> list[str]:
        """Name the columns that still tell who it was when the person's key is gone: equal values in other rows do."""
        dataset = self.catalogue.policy.datasets[self.name]
        found = [*dataset.identifiers, *dataset.links]
        for name, column in dataset.columns.items():
            spec = column.encrypt
            if spec is not None and (spec.mode == "deterministic" or spec.fpe is not None):
                found.append(name)
            if spec is not None and spec.blind_index is not None:
                found.append(index_name(name))
        there = set(stored_schema(dataset, self.file).names)
        return [name for name in dict.fromkeys(found) if name in there]

    def _make(self, column: str, value: Any) -> Make:
        if value is None:
            return _nulls
        if not isinstance(value, dict):
            return _Constant(value, self._place(column))
        if set(value) != {"pseudonymise"}:
            raise UsageError("`set:` takes null, a value, or {pseudonymise: hmac}", place=self._place(column))
        return self._pseudonyms(column)

    def _pseudonyms(self, column: str) -> Make:
        """Replace identifiers by keyed hashes: the same person is the same in every dataset.

        In a column that people are known by, only what is known of these people changes: what is there already may be
        a pseudonym.
        """
        if self.keyring is None:
            raise UsageError('"pseudonymise" needs a keyring', hint="make one with `pydp keys init`")
        space = space_of(self.catalogue.policy, self.name, column)
        key = _erased_key(self.keyring, space)
        is_key = any(key.column == column for key in self.catalogue.keys_of(self.name))
        known = pa.array(sorted(self.known.get(space, ())), pa.string()) if is_key else None
        return _Pseudonyms(key, self.catalogue.identity(space), known, self._place(column))

    def _place(self, column: str) -> str:
        return f'dataset "{self.name}", column "{column}"'


@dataclass(frozen=True)
class _Pseudonyms:
    """Puts a keyed hash in the place of each identifier: 32 hexadecimal digits, or a number where it was one."""

    key: ReferenceKey
    identity: Identity | None
    known: pa.StringArray | None = field(repr=False)
    place: str

    def __call__(self, values: pa.Array) -> pa.Array:
        compared = identity_text(values, self.identity)
        hashed = self.key.hashes(pc.coalesce(compared, plain_text(densify(values))))
        if _is_text(values.type):
            new = _hex(hashed).cast(values.type)
        elif pa.types.is_integer(values.type):
            new = _numbers(hashed, values.type)
        else:
            raise UsageError(f"a column of type {values.type} cannot hold a pseudonym", place=self.place)
        return new if self.known is None else pc.if_else(pc.is_in(compared, value_set=self.known), new, values)


def _erased_key(keyring: Keyring, space: str) -> ReferenceKey:
    derived = keyring.column_key("subject", space, "erased", length=32)
    return ReferenceKey(space, derived.key_id, derived.key)


def erased_forms(keyring: Keyring, space: str, values: Iterable[str]) -> set[str]:
    """Give every pseudonym, text or number, that erasing puts in the place of values."""
    hashed = _erased_key(keyring, space).hashes(pa.array(sorted(values), pa.string()))
    kinds = [pa.int8(), pa.uint8(), pa.int16(), pa.uint16(), pa.int32(), pa.uint32(), pa.int64(), pa.uint64()]
    numbers = {str(number) for kind in kinds for number in _numbers(hashed, kind).to_pylist()}
    return numbers | set(_hex(hashed).to_pylist())


def _is_text(kind: pa.DataType) -> bool:
    return bool(dense_type(kind) == pa.string())


def _nulls(values: pa.Array) -> pa.Array:
    return pa.nulls(len(values), values.type)


@dataclass(frozen=True)
class _Constant:
    """The same value everywhere, in the type of the column."""

    value: Any = field(repr=False)
    place: str = ""

    def __call__(self, values: pa.Array) -> pa.Array:
        text = str(self.value) if _is_text(values.type) and not isinstance(self.value, str) else self.value
        try:
            one = pa.array([text]).cast(values.type)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError):
            raise UsageError(f"the constant is not of the column's type ({values.type})", place=self.place) from None
        return one.take(pa.array(np.zeros(len(values), np.int32)))


def _hex(hashed: pa.FixedSizeBinaryArray) -> pa.StringArray:
    return pa.array([None if one is None else one.hex() for one in hashed.to_pylist()], pa.string())


def _numbers(hashed: pa.FixedSizeBinaryArray, kind: pa.DataType) -> pa.Array:
    """Give the first bits of each hash, as many as the type holds as a number that is not negative."""
    bits = kind.bit_width - pa.types.is_signed_integer(kind)
    shift = 64 - bits
    numbers = [None if one is None else int.from_bytes(one[:8], "big") >> shift for one in hashed.to_pylist()]
    return pa.array(numbers, kind)
