"""Erase people: plan from one search over everything, change all files in one transaction, search again.

    plan = plan_erasure(catalogue, subjects, keyring=keyring, today=date.today())
    done = carry_out(plan, run)

All matches of all datasets are known before anything is written, so that what is deleted in one place is still found
in the others. A file that somebody else changes meanwhile is left alone, and planned again from a new search.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from functools import partial
from itertools import islice
from pathlib import Path
from secrets import token_hex
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from pydp_cli.audit.lines import canonical
from pydp_cli.datasets.edits import Edited, rewrite_file
from pydp_cli.errors import Refused, TemporaryFailure, UsageError
from pydp_cli.keys.keyring import Keyring
from pydp_cli.pipeline.references import reference_key
from pydp_cli.rewrite.fingerprint import Fingerprint
from pydp_cli.rewrite.transaction import Outcome, Transaction
from pydp_cli.subjects.catalogue import Catalogue
from pydp_cli.subjects.erase_actions import FileErasure, Known, erase_in_file, erased_forms
from pydp_cli.subjects.erasures import COMMAND, Erasure, save, sealed
from pydp_cli.subjects.holds import HeldRows, held_rows, holds_changed
from pydp_cli.subjects.needles import Needles
from pydp_cli.subjects.resolution import Resolution
from pydp_cli.subjects.resolve import Progress, resolve
from pydp_cli.subjects.scan import fingerprint
from pydp_cli.subjects.subject import Subject

MOST_ROUNDS = 5
STAGED_AT_ONCE = 2
"""Each holds a column of a row group, decoded and encoded."""

MANY_BYTES = 32 << 20
"""Less is staged file by file, in the order of the plan."""


@dataclass(frozen=True)
class ErasurePlan:
    """What is to happen: the people as found, and each file in which they were found."""

    catalogue: Catalogue
    subjects: tuple[Subject, ...]
    found: Resolution
    held: HeldRows
    files: tuple[FileErasure, ...]
    known: Known
    merge: bool = False

    @property
    def changing(self) -> list[FileErasure]:
        """The files that change."""
        return [one for one in self.files if one.edits]

    @property
    def held_rows(self) -> int:
        """How many rows stay because of holds."""
        return sum(sum(one.held.values()) for one in self.files)

    def people(self) -> list[Subject]:
        """Give the people with everything that they are known by, so that they are found without each other's help."""
        return _people(self.found)

    def facts(self, keyring: Keyring) -> dict[str, Any]:
        """Say what happens, without personal data: what a plan file shows, and what must be the same when it is done.

        Reads the files that change, for their digests.
        """
        digests = {one.path: Fingerprint.take(one.path).sha256 for one in self.changing}
        return {
            "policy": self.catalogue.policy.digest,
            "people": references_of(keyring, [person.identities for person in self.found.people]),
            "holds": sorted(hold.id for hold in self.held.holds),
            "searched": {
                name: {"files": len(matched), "rows": sum(max(0, one.num_rows) for one in matched)}
                for name in self.catalogue.order
                for matched in [self.found.of_dataset(name)]
            },
            "files": [{**one.as_json(), "sha256": digests.get(one.path)} for one in self.files],
        }


def references_of(keyring: Keyring, people: Sequence[Mapping[str, Sequence[str]]]) -> list[list[str]]:
    """Refer to people, each given by kind of identifier, by each of their identifiers; hashed together for all."""
    values: dict[str, list[str]] = {}
    for identities in people:
        for space, of_space in identities.items():
            values.setdefault(space, []).extend(of_space)
    references = {
        space: iter([f"{space} {one}" for one in reference_key(keyring, space).references(of_space)])
        for space, of_space in values.items()
    }
    return [
        [
            reference
            for space, of_space in sorted(identities.items())
            for reference in islice(references[space], len(of_space))
        ]
        for identities in people
    ]


def digest_of_facts(facts: dict[str, Any]) -> str:
    """Give the digest that names a plan."""
    return hashlib.sha256(canonical(facts)).hexdigest()


def plan_erasure(
    catalogue: Catalogue,
    subjects: Sequence[Subject],
    *,
    keyring: Keyring | None,
    today: date,
    merge: bool = False,
    known: Known | None = None,
    progress: Progress | None = None,
) -> ErasurePlan:
    """Search everything, and say what happens to each file. Nothing is changed.

    `known` has the identifiers that the people had before anything was done, where something was: what they are found
    with now may be a pseudonym. Raises `Refused` where it is not clear who a person
    is, and `UsageError` for a rule that cannot be carried out.
    """
    found = resolve(catalogue, subjects, keyring=keyring, merge=merge, progress=progress)
    found.require_unambiguous()
    held = held_rows(catalogue, "erase", keyring=keyring, today=today)
    if known is None:
        known = known_of(_people(found))
    else:
        _refuse_strangers(catalogue, found, known, keyring)
    needles = needles_of(known)
    files = (erase_in_file(catalogue, matches, held, known, keyring, needles=needles) for matches in found.files)
    plan = ErasurePlan(catalogue, tuple(subjects), found, held, tuple(one for one in files if one), known, merge)
    claimed: dict[str, str] = {}
    for one in plan.changing:
        other = claimed.setdefault(os.path.realpath(one.path), one.dataset)
        if other != one.dataset:
            raise UsageError(
                f'datasets "{other}" and "{one.dataset}" both have this file, and would change it',
                place=one.path,
                hint="let one of them claim it",
            )
        if one.matches.file.filesystem is not None:
            raise UsageError("only local files can be changed in place", place=one.path)
    return plan


def _refuse_strangers(catalogue: Catalogue, found: Resolution, known: Known, keyring: Keyring | None) -> None:
    """Refuse to go on with people who were not there before: a row that came meanwhile may join somebody to them."""
    for space in sorted(catalogue.subject_spaces):
        values = {value for person in found.people for value in person.identities.get(space, ())}
        new = values - set(known.get(space, ()))
        if new - (erased_forms(keyring, space, known.get(space, ())) if new and keyring is not None else set()):
            raise Refused(
                f"it is not clear who this is any more: a row that came meanwhile has another {space}",
                hint="set that row right, and run with --resume",
            )


def known_of(subjects: Iterable[Subject]) -> Known:
    """Give the identifiers of people by kind."""
    known: dict[str, set[str]] = {}
    for subject in subjects:
        for space, value in subject.given:
            known.setdefault(space, set()).add(value)
    return known


def needles_of(known: Known) -> Needles:
    """Give what no name of a file may tell."""
    return Needles.of(value for values in known.values() for value in values)


def _people(found: Resolution) -> list[Subject]:
    return [
        Subject(tuple((space, value) for space, values in person.identities.items() for value in values))
        for person in found.people
        if person.identities
    ]


@dataclass(frozen=True)
class Run:
    """What carrying out needs besides the plan."""

    keyring: Keyring
    today: date
    state_dir: Path
    progress: Progress | None = None


def begin(plan: ErasurePlan, run: Run, *, plan_digest: str | None = None, request: str | None = None) -> Erasure:
    """Note that an erasure begins, so that it can be finished after a crash; the caller holds the lock."""
    number = token_hex(8)
    people = sealed(run.keyring, number, plan.people() or plan.subjects)
    erasure = Erasure(number, plan.catalogue.policy.digest, people, plan_digest, plan.merge, request)
    save(run.state_dir, erasure)
    return erasure


def erase_all(plan: ErasurePlan, erasure: Erasure, run: Run) -> tuple[ErasurePlan, ErasurePlan]:
    """Carry a plan out, and search everything anew until nothing is left to do; the caller holds the lock.

    Gives the last plan that was carried out, and the plan of what was found afterwards (see `remains_of`), for files
    may come in as fast as they are erased.
    """
    last = plan
    for _ in range(MOST_ROUNDS):
        last = carry_out(plan, erasure, run)
        plan = again(last, run)
        if not plan.changing:
            break
    return last, plan


def carry_out(plan: ErasurePlan, erasure: Erasure, run: Run) -> ErasurePlan:
    """Change the files, all or none; give the last plan that was carried out. The caller holds the lock.

    Where a file changed since it was searched, or a hold came, everything is searched again, a few times over; then
    `TemporaryFailure` is raised, with what was done so far kept for `--resume`.
    """
    for _ in range(MOST_ROUNDS):
        outcome = _one_round(plan, erasure, run)
        if outcome is not None and not outcome.left:
            return plan
        plan = again(plan, run)
    raise TemporaryFailure(
        "files keep changing while they are rewritten", hint="stop what writes to them, and run with --resume"
    )


def again(plan: ErasurePlan, run: Run) -> ErasurePlan:
    """Plan once more for the same people, by everything that they are known by."""
    return plan_erasure(
        plan.catalogue,
        plan.people() or plan.subjects,
        keyring=run.keyring,
        today=run.today,
        merge=True,
        known=plan.known,
        progress=run.progress,
    )


def _one_round(plan: ErasurePlan, erasure: Erasure, run: Run) -> Outcome | None:
    """Stage and commit what a plan changes; None where a file or a hold changed since it was searched."""
    if not plan.changing:
        return Outcome()
    with Transaction.begin(run.state_dir, COMMAND, {"erasure": erasure.id}) as transaction:
        transaction.plan(one.path for one in plan.changing)
        if any(fingerprint(one.matches.file) != one.matches.fingerprint for one in plan.changing):
            return None
        made = _staged_all(plan, transaction)
        digests = transaction.digests()
        files = [
            _told(one, made[real], digests[real]) for one in plan.changing for real in [os.path.realpath(one.path)]
        ]
        transaction.note(files=files)
        if holds_changed(plan.catalogue.policy, "erase", run.today, plan.held.holds):
            return None
        outcome = transaction.commit()
    remove_named_folders(outcome.deleted)
    return outcome


def _staged_all(plan: ErasurePlan, transaction: Transaction) -> dict[str, Edited]:
    """Stage every file that changes; where they are large, two at a time, for they encode and hash without the lock."""
    stage = partial(_staged, plan, transaction)
    if sum(os.path.getsize(one.path) for one in plan.changing) < MANY_BYTES:  # noqa: PTH202
        return dict(map(stage, plan.changing))
    with ThreadPoolExecutor(STAGED_AT_ONCE, "pydp-erase") as pool:
        waiting = [pool.submit(stage, one) for one in plan.changing]
        try:
            return dict(one.result() for one in waiting)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _staged(plan: ErasurePlan, transaction: Transaction, one: FileErasure) -> tuple[str, Edited]:
    """Write what a file becomes beside it; gives where it is, and what was done."""
    real = os.path.realpath(one.path)
    if one.whole:
        transaction.deletion(one.path)
        return real, Edited(one.matches.num_rows, one.matches.num_rows, 0, 0, 0, 0, 0)
    csv = plan.catalogue.policy.datasets[one.dataset].csv
    check = partial(_check_rows, expected=one.matches.num_rows - len(one.edits.delete))
    with transaction.replacement(one.path, verify=check) as stream:
        return real, rewrite_file(one.matches.file, stream, one.edits, csv=csv)


def remove_named_folders(deleted: Iterable[str]) -> None:
    """Remove the folders of deleted files that were named after what was in them, where nothing else is there."""
    for path in deleted:
        for folder in Path(path).parents:
            if "=" not in folder.name:
                break
            with contextlib.suppress(OSError):  # it is gone already, or not empty
                folder.rmdir()


def _check_rows(path: str, expected: int) -> None:
    """Read a staged Parquet file's footer back before it may take the place of another."""
    with open(path, "rb") as file:  # noqa: PTH123 - paths are strings here
        is_parquet = file.read(4) == b"PAR1"
    if is_parquet and pq.read_metadata(path).num_rows != expected:
        raise Refused("what was written does not have the rows that it should", place=path)


def _told(one: FileErasure, edited: Edited, digests: tuple[str, str | None]) -> dict[str, Any]:
    return {
        **one.as_json(),
        "real": os.path.realpath(one.path),
        "rows_after": edited.rows_after,
        "units": {"copied": edited.units_copied, "encoded": edited.units_encoded, "dropped": edited.units_dropped},
        "before": digests[0],
        "after": digests[1],
    }


@dataclass(frozen=True)
class Remains:
    """Rows of a file that are not as the erasure was to leave them."""

    dataset: str
    path: str
    rows: int

    def as_json(self) -> dict[str, Any]:
        """Give it as JSON types."""
        return {**vars(self), "what": "rows that were to be erased"}


def remains_of(fresh: ErasurePlan) -> list[Remains]:
    """Give what a new plan for erased people would still change: what should not be there any more."""
    remains = (Remains(one.dataset, one.shown, _changing_rows(one)) for one in fresh.files)
    return [one for one in remains if one.rows]


def _changing_rows(one: FileErasure) -> int:
    """Count the rows of a file that would change, were it all done once more: none, where it was done."""
    rows = [one.edits.delete, *(replacement.rows for replacement in one.edits.replace.values())]
    return len(np.unique(np.concatenate(rows)))
