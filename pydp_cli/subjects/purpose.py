"""Use data for a purpose: refuse what the policy does not allow, leave out other columns, and rows without consent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pydp_cli.errors import KeyringError, PolicyError, Problem, UsageError
from pydp_cli.keys.keyring import Keyring
from pydp_cli.pipeline.cell_metadata import mark_of
from pydp_cli.pipeline.model import Pipeline, RowFilter
from pydp_cli.pipeline.readable import holds_cells
from pydp_cli.pipeline.references import ReferenceKey, reference_keys
from pydp_cli.policy.model import DatasetPolicy, Identity, Policy
from pydp_cli.subjects.catalogue import space_of
from pydp_cli.subjects.consent import Standing, read_events, standing
from pydp_cli.subjects.hash_set import HashSet

OpenKeyring = Callable[[], Keyring]
NO = ("", "0", "0.0", "false", "no", "n", "f", "off", "opt-in", "opted-in")
"""The words of a signal that bar nothing. Any other does: nobody is sold because of how their answer was written."""


@dataclass(frozen=True)
class Agreed:
    """Selects the rows of people who agree: some identifier of theirs said yes, and none said no."""

    checks: tuple[Check, ...]

    @property
    def columns(self) -> frozenset[str]:
        """The identifier columns."""
        return frozenset(check.column for check in self.checks)

    def __call__(self, columns: Mapping[str, pa.Array]) -> pa.BooleanArray:
        """Tell whose rows may be used."""
        size = len(next(iter(columns.values())))
        yes, no = np.zeros(size, bool), np.zeros(size, bool)
        for check in self.checks:
            hashes = check.hashes(columns[check.column])
            yes |= check.live.contains(hashes)
            no |= check.barred.contains(hashes)
        return pa.array(yes & ~no)


@dataclass(frozen=True)
class NotOptedOut:
    """Selects the rows of people who did not say no, by an identifier or by a column that is a signal."""

    checks: tuple[Check, ...]
    signals: tuple[str, ...]

    @property
    def columns(self) -> frozenset[str]:
        """The identifier columns and the signals."""
        return frozenset([*(check.column for check in self.checks), *self.signals])

    def __call__(self, columns: Mapping[str, pa.Array]) -> pa.BooleanArray:
        """Tell whose rows may be used."""
        no = np.zeros(len(next(iter(columns.values()))), bool)
        for check in self.checks:
            no |= check.barred.contains(check.hashes(columns[check.column]))
        for name in self.signals:
            no |= _says_yes(columns[name])
        return pa.array(~no)


@dataclass(frozen=True)
class Check:
    """How one identifier column is looked up: under which key, and whose hashes said yes and no."""

    column: str
    identity: Identity | None
    key: ReferenceKey
    live: HashSet
    barred: HashSet
    key_ids: frozenset[bytes] = frozenset()

    def hashes(self, column: pa.Array) -> pa.FixedSizeBinaryArray:
        """Hash a batch of the column; refuses text that holds cells, of which nothing else tells before."""
        if holds_cells(column.slice(0, 100), self.key_ids):
            raise _is_encrypted(self.column)
        return self.key.of_column(column, self.identity)


@dataclass(frozen=True)
class ForPurpose:
    """Makes compiled pipelines fit a purpose: give it as `refine` of a request."""

    policy: Policy
    purpose: str
    as_of: datetime

    def __call__(self, pipeline: Pipeline, open_keyring: OpenKeyring) -> Pipeline:
        """Leave out what the purpose does not allow; raises `PolicyError` where the dataset is not for it."""
        dataset = self.policy.datasets[pipeline.dataset]
        check_purpose(self.policy, pipeline.dataset, self.purpose)
        plans = tuple(
            plan if self._allows(dataset, plan.name) else replace(plan, output=None, steps=(), keys=())
            for plan in pipeline.plans
        )
        if all(plan.output is None for plan in plans):
            raise PolicyError([self._problem(pipeline.dataset, f'no column may be used for "{self.purpose}"')])
        schema = pa.schema(
            [plan.output for plan in plans if plan.output is not None], metadata=pipeline.output_schema.metadata
        )
        filters = (*self._filters(pipeline, dataset, open_keyring), *pipeline.filters)
        return replace(pipeline, plans=plans, output_schema=schema, filters=filters)

    def _allows(self, dataset: DatasetPolicy, column: str) -> bool:
        treated = dataset.columns.get(column)
        return treated is None or not treated.purposes or self.purpose in treated.purposes

    def _problem(self, dataset: str, message: str) -> Problem:
        return Problem(message, place=self.policy.place_of("datasets", dataset, "purposes"))

    def _filters(self, pipeline: Pipeline, dataset: DatasetPolicy, open_keyring: OpenKeyring) -> list[RowFilter]:
        signals = tuple(column for column, barred in dataset.opt_out.items() if self.purpose in barred)
        missing = [column for column in signals if column not in pipeline.input_schema.names]
        if missing:
            raise PolicyError(
                [self._problem(pipeline.dataset, f'`opt_out` names "{missing[0]}", which the data lacks')]
            )
        needs_consent = self.policy.purposes[self.purpose].basis == "consent"
        now = standing(read_events(self.policy.state_dir), self.purpose, self.as_of)
        checks = self._checks(pipeline, now, open_keyring) if needs_consent or now.barred else ()
        if needs_consent:
            if not checks:
                message = f'"{self.purpose}" needs consent, and the rows of "{pipeline.dataset}" have no identifier'
                raise PolicyError([self._problem(pipeline.dataset, message)])
            found = [RowFilter(Agreed(checks), keep=True, reason="no live consent")]
            return [*found, *([RowFilter(NotOptedOut((), signals), keep=True, reason="opted out")] if signals else [])]
        if not signals and not checks:
            return []
        return [RowFilter(NotOptedOut(checks, signals), keep=True, reason="opted out")]

    def _checks(self, pipeline: Pipeline, now: Standing, open_keyring: OpenKeyring) -> tuple[Check, ...]:
        """Compile the look-up of each identifier column that the data has."""
        dataset = self.policy.datasets[pipeline.dataset]
        columns = [
            column
            for column in dict.fromkeys([*dataset.identifiers, *dataset.links])
            if column in pipeline.input_schema.names and column not in dataset.other_people
        ]
        made = []
        for column in columns:
            space = space_of(self.policy, pipeline.dataset, column)
            if space not in self.policy.identities:
                continue
            if mark_of(pipeline.input_schema.field(column)) is not None:  # nobody would be found, and all would pass
                raise _is_encrypted(column)
            ids = {key_id for identity, key_id in {*now.live, *now.barred} if identity == space}
            try:
                keys = reference_keys(open_keyring(), space, sorted(ids))
            except KeyringError as error:
                raise UsageError(
                    "consent is looked up under the keyring", hint=error.hint or "unlock it with --key-file"
                ) from error
            for key in keys:
                at = (space, key.key_id.hex())
                live, barred = HashSet.of(now.live.get(at)), HashSet.of(now.barred.get(at))
                ours = frozenset(version.key_id for version in open_keyring().versions())
                made.append(Check(column, self.policy.identities[space], key, live, barred, ours))
        return tuple(made)


def check_purpose(policy: Policy, dataset: str, purpose: str) -> None:
    """Refuse a purpose that the policy does not know, or for which the dataset is not."""
    if purpose not in policy.purposes:
        hint = f"one of: {', '.join(policy.purposes)}" if policy.purposes else "declare `purposes:` in the policy"
        raise UsageError(f'the policy has no purpose "{purpose}"', place="--purpose", hint=hint)
    if purpose not in policy.datasets[dataset].purposes:
        raise PolicyError(
            [
                Problem(
                    f'dataset "{dataset}" may not be used for "{purpose}"',
                    place=policy.place_of("datasets", dataset, "purposes") or policy.place_of("datasets", dataset),
                    hint="add it to the dataset's `purposes`, if there is a legal basis for it",
                )
            ]
        )


def _is_encrypted(column: str) -> UsageError:
    return UsageError(
        "the column is encrypted: who agreed and who opted out cannot be told by it",
        place=f'column "{column}"',
        hint="`pydp decrypt` it first",
    )


def _says_yes(column: pa.Array) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Tell where a signal is set: true, a number that is not zero, or any text that is no word for no."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_boolean(column.type):
        said = column
    elif any(is_number(column.type) for is_number in (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)):
        said = pc.not_equal(column, pa.scalar(0, column.type))
    else:
        text = pc.ascii_lower(pc.utf8_trim_whitespace(column.cast(pa.string())))
        said = pc.and_(text.is_valid(), pc.invert(pc.is_in(text, value_set=pa.array(NO))))
    yes: np.ndarray[tuple[int], np.dtype[np.bool_]] = said.fill_null(False).to_numpy(zero_copy_only=False)
    return yes
