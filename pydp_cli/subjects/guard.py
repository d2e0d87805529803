"""The guard of a pipeline: rows of people who were erased, and come back by a restore or a new import, do not pass.

    Guard(policy)                     # as `refine` of a request: what `guard:` says of each dataset
    Guard(policy, asked="drop")       # whatever it says

A row is an erased person's where one of its own identifier columns holds an identifier that is on the list (see
`suppression`). Columns about other people do not count. Where nobody was erased, nothing is read and no key is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Literal

import numpy as np
import pyarrow as pa

from pydp_cli.errors import KeyringError, PolicyError, Problem, Refused, UsageError
from pydp_cli.keys.keyring import Keyring
from pydp_cli.pipeline.cell_metadata import mark_of
from pydp_cli.pipeline.model import Pipeline, RowFilter
from pydp_cli.pipeline.readable import Readable, holds_cells, readable
from pydp_cli.policy.identity_text import can_identify
from pydp_cli.policy.model import Guard as Said
from pydp_cli.policy.model import Identity, Policy
from pydp_cli.subjects.catalogue import Key, catalogue_of
from pydp_cli.subjects.holds import refuse_replacing
from pydp_cli.subjects.suppression import Suppressed, identities_on_list, suppressed

REASON = "erased before"
OpenKeyring = Callable[[], Keyring]


@dataclass(frozen=True)
class Check:
    """One identifier column, and who of its identity was erased."""

    column: str
    identity: Identity | None
    people: Suppressed


@dataclass(frozen=True)
class NotErased:
    """Selects the rows of people who were not erased; with `refuse`, one who was ends the run.

    `key_ids` are those of the keyring, by which text columns are seen to hold cells.
    """

    dataset: str
    checks: tuple[Check, ...]
    decrypts: Readable | None
    key_ids: frozenset[bytes]
    refuse: bool = False

    @property
    def columns(self) -> frozenset[str]:
        """The identifier columns, and those that decrypting them needs."""
        return frozenset([*(check.column for check in self.checks), *(self.decrypts.needs if self.decrypts else ())])

    def __call__(self, columns: Mapping[str, pa.Array]) -> pa.BooleanArray:
        """Tell whose rows pass."""
        gone = np.zeros(len(next(iter(columns.values()))), bool)
        clear = self._decrypted(columns)
        for check in self.checks:
            column = clear.get(check.column)
            if column is None:
                column = columns[check.column]
                self._refuse_cells(check.column, column)
            gone |= check.people.among(column, check.identity)
        if self.refuse and gone.any():
            raise Refused(
                "the data holds rows of people who were erased",
                place=f'dataset "{self.dataset}"',
                hint="erase them again with `pydp erase-user --reapply`, or leave them out with `guard: drop`",
            )
        return pa.array(~gone)

    def _decrypted(self, columns: Mapping[str, pa.Array]) -> dict[str, pa.Array]:
        if self.decrypts is None:
            return {}
        needed = [columns[name] for name in self.decrypts.needs]
        clear = self.decrypts.apply(pa.RecordBatch.from_arrays(needed, schema=self.decrypts.pipeline.input_schema))
        return {name: clear.column(name) for name in self.decrypts.decrypts}

    def _refuse_cells(self, name: str, column: pa.Array) -> None:
        """Refuse text that hides whom it is about; Parquet columns say by themselves that they are encrypted."""
        if holds_cells(column.slice(0, 100), self.key_ids):
            raise UsageError(
                "the column is encrypted, and so nobody can be found in it",
                place=f'dataset "{self.dataset}", column "{name}"',
                hint="decrypt it first, as in `pydp decrypt FILE | pydp guard -`",
            )


Refine = Callable[[Pipeline, OpenKeyring], Pipeline]


@dataclass(frozen=True)
class Refined:
    """Several changes to a compiled pipeline, one after the other; the filters of the last come first."""

    steps: tuple[Refine, ...]

    def __call__(self, pipeline: Pipeline, open_keyring: OpenKeyring) -> Pipeline:
        """Apply each."""
        for step in self.steps:
            pipeline = step(pipeline, open_keyring)
        return pipeline


@dataclass(frozen=True)
class Guard:
    """Makes compiled pipelines leave erased people out: give it as `refine` of a request.

    `asked` goes before what the policy says, and `by_default` tells whether anything happens where it says nothing.
    With `in_place` the output replaces the input: to delete rows of a dataset is for `erase-user`, which asks the legal
    holds, and so the guard refuses there instead of dropping.
    """

    policy: Policy
    asked: Literal["drop", "refuse"] | None = None
    by_default: bool = True
    in_place: bool = False

    def __call__(self, pipeline: Pipeline, open_keyring: OpenKeyring) -> Pipeline:
        """Add the filter where it is needed."""
        name = pipeline.dataset
        said = self.asked or guard_of(self.policy, name, by_default=self.by_default)
        if said == "pass":
            return pipeline
        keys = self._keys(name, pipeline.input_schema)
        if not keys and (self.asked or self.policy.datasets[name].guard):
            raise PolicyError([_nobody_in(self.policy, name)])
        on_list = identities_on_list(self.policy.state_dir)
        keys = [key for key in keys if key.space in on_list]
        if not keys:
            return pipeline
        keyring = _opened(open_keyring)
        lists = suppressed(self.policy.state_dir, keyring)
        checks = tuple(Check(key.column, self.policy.identities.get(key.space), lists[key.space]) for key in keys)
        schema = pipeline.input_schema
        marked = [key.column for key in keys if mark_of(schema.field(key.column)) is not None]
        decrypts = readable(self.policy, name, schema, keyring=keyring, columns=marked) if marked else None
        ids = frozenset(version.key_id for version in keyring.versions())
        test = NotErased(name, checks, decrypts, ids, refuse=said == "refuse" or self.in_place)
        row_filter = RowFilter(test, keep=True, reason=REASON, as_stored=True)
        return replace(pipeline, filters=(row_filter, *pipeline.filters))

    def _keys(self, name: str, schema: pa.Schema) -> list[Key]:
        """Give the columns that say whose a row is, as far as the data has them."""
        return [
            key
            for key in catalogue_of(self.policy).keys_of(name)
            if not key.other and key.column in schema.names and can_identify(schema.field(key.column).type)
        ]


@dataclass(frozen=True)
class UnlessHeld:
    """Refuses to compile what is to take the place of a dataset, while a legal hold is on rows that it may have."""

    policy: Policy
    today: date

    def __call__(self, pipeline: Pipeline, open_keyring: OpenKeyring) -> Pipeline:
        """Ask the holds."""
        del open_keyring
        refuse_replacing(self.policy, pipeline.dataset, self.today)
        return pipeline


def guard_of(policy: Policy, name: str, *, by_default: bool = True) -> Said:
    """Say what becomes of rows of erased people: what the policy says, or else what erasing does to them.

    Where erasing deletes rows they are dropped; where it keeps them, or only changes some of their cells, they pass.
    """
    dataset = policy.datasets[name]
    if dataset.guard is not None:
        return dataset.guard
    deletes = dataset.erase is None or (dataset.erase.action == "delete_row" and dataset.erase.when is None)
    return "drop" if by_default and deletes else "pass"


def _opened(open_keyring: OpenKeyring) -> Keyring:
    try:
        return open_keyring()
    except KeyringError as error:
        raise UsageError(
            "people were erased, and only with the keyring are they recognised",
            hint=error.hint or "unlock it with --key-file, or say `guard: pass` of the dataset",
        ) from error


def _nobody_in(policy: Policy, name: str) -> Problem:
    return Problem(
        f'nobody can be recognised in the data of "{name}"',
        place=policy.place_of("datasets", name, "guard") or policy.place_of("datasets", name),
        hint="name its columns of identifiers under `identifiers:` or `links:`",
    )
