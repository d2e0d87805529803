"""Purge: rows and values past their time go, as the policy's `retention:` says, in one transaction.

    plan = plan_purge(policy, today, keyring=keyring)
    carry_out(plan, done, most=0.2, keyring=keyring)

What makes it safe to run every night is here too: rules that nobody confirmed yet, a clock that jumped, more than a
share of a dataset at once are refused, and legal holds are subtracted.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Collection, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from secrets import choice
from string import ascii_lowercase
from typing import Any

import numpy as np
import pyarrow as pa

from pydp_cli.audit.lines import canonical
from pydp_cli.audit.log import Clock, append
from pydp_cli.audit.signing import Signer
from pydp_cli.audit.verify import entries, verify
from pydp_cli.datasets.edits import NO_ROWS, Edits, Replacement, Rows, rewrite_file
from pydp_cli.datasets.globs import has_magic
from pydp_cli.datasets.locations import InputFile
from pydp_cli.errors import LimitReached, PolicyError, Refused, Tampered, TemporaryFailure, UsageError
from pydp_cli.keys.keyring import Keyring, utc_now
from pydp_cli.policy.model import Policy
from pydp_cli.policy.rights_checks import obligations
from pydp_cli.rewrite.journal import Journal, sync_folder
from pydp_cli.rewrite.recovery import CarriedOut, carried_out
from pydp_cli.rewrite.transaction import Outcome, Transaction
from pydp_cli.subjects.catalogue import Catalogue, catalogue_of
from pydp_cli.subjects.done_cells import without_what_is_done
from pydp_cli.subjects.holds import HeldRows, LegalHold, held_rows, holds_changed
from pydp_cli.subjects.retention import Due, Rule, due_rows, rules_of
from pydp_cli.subjects.scan import Fingerprint, fingerprint

COMMAND = "purge"
MOST_ROUNDS = 5
MOST_DAYS_APART = 92
_TOLERANCE = timedelta(minutes=5)


@dataclass(frozen=True)
class FilePurge:
    """What happens to one file.

    `undated` rows have no clock, `unreadable` ones text that is no date; `review` rows are past their time and stay.
    """

    dataset: str
    file: InputFile
    shown: str
    num_rows: int
    edits: Edits
    seen: Fingerprint | None
    whole: bool = False
    undated: int = 0
    unreadable: int = 0
    review: int = 0
    quarantine: Rows = field(default_factory=lambda: NO_ROWS)
    held: dict[str, int] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Count what happens."""
        return {
            "dataset": self.dataset,
            "path": self.shown,
            "rows": self.num_rows,
            "deleted": len(self.edits.delete),
            "file_deleted": self.whole,
            "nulled": {name: len(one.rows) for name, one in sorted(self.edits.replace.items())},
            "undated": self.undated,
            "unreadable": self.unreadable,
            "quarantined": len(self.quarantine),
            "review": self.review,
            "held": self.held,
        }


@dataclass(frozen=True)
class PurgePlan:
    """What is due on a day."""

    policy: Policy
    today: date
    rules: tuple[Rule, ...]
    files: tuple[FilePurge, ...]
    holds: tuple[LegalHold, ...] = ()

    @property
    def changing(self) -> list[FilePurge]:
        """The files that change."""
        return [one for one in self.files if one.edits]

    @property
    def held(self) -> dict[str, int]:
        """How many rows that are due each hold keeps."""
        return _sum(one.held for one in self.files)

    def totals(self) -> dict[str, Any]:
        """Count over all files."""
        return {
            "files": len(self.changing),
            "deleted": sum(len(one.edits.delete) for one in self.files),
            "nulled": _sum(one.as_json()["nulled"] for one in self.files),
            "undated": sum(one.undated for one in self.files),
            "unreadable": sum(one.unreadable for one in self.files),
            "quarantined": sum(len(one.quarantine) for one in self.files),
            "review": sum(one.review for one in self.files),
            "held": self.held,
        }

    def fractions(self) -> dict[str, float]:
        """Give for each dataset the share of its rows that would be deleted."""
        rows: dict[str, int] = {}
        gone: dict[str, int] = {}
        for one in self.files:
            rows[one.dataset] = rows.get(one.dataset, 0) + one.num_rows
            gone[one.dataset] = gone.get(one.dataset, 0) + len(one.edits.delete)
        return {name: gone[name] / rows[name] for name in rows if gone[name]}


def plan_purge(policy: Policy, today: date, *, keyring: Keyring | None, only: Iterable[str] = ()) -> PurgePlan:
    """Find what is past its time. Nothing is changed.

    Raises `UsageError` where the policy has no retention rules, or a rule says what purge cannot do.
    """
    chosen = set(only)
    for name in sorted(chosen - set(policy.datasets)):
        raise UsageError(f'the policy has no dataset "{name}"', place="--dataset")
    rules = tuple(rule for rule in rules_of(policy) if not chosen or rule.dataset in chosen)
    if not rules:
        raise UsageError("the policy has no retention rules", hint="add `retention:` to a dataset or a column")
    for rule in rules:
        _check(rule)
    _refuse_obligations(policy, {rule.dataset for rule in rules})
    catalogue = catalogue_of(policy)
    seen = _fingerprints(catalogue, [rule.dataset for rule in rules])  # before rows are held by their position
    held = held_rows(catalogue, "retention", keyring=keyring, today=_day_of_holds(today))
    files: list[FilePurge] = []
    for name in dict.fromkeys(rule.dataset for rule in rules):
        own = [rule for rule in rules if rule.dataset == name]
        found = [_of_file(_Asked(catalogue, held, today, seen), name, file, own) for file in catalogue.files(name)]
        files += _with_whole_files(policy, name, found)
    return PurgePlan(policy, today, rules, tuple(files), held.holds)


def _day_of_holds(today: date) -> date:
    """Give the day whose holds count: what is held now is held, whatever day the rows are looked at."""
    return max(today, utc_now().date())


def _refuse_obligations(policy: Policy, names: Collection[str]) -> None:
    """Refuse rules under which rows go that a law obliges to keep."""
    found = [problem for name in names for problem in obligations(policy, name) if problem.severity == "error"]
    if found:
        raise PolicyError(found)


def _fingerprints(catalogue: Catalogue, names: Iterable[str]) -> dict[str, Fingerprint | None]:
    """Note what every file is now. Raises `UsageError` for files that cannot be changed, or are of two datasets."""
    seen: dict[str, Fingerprint | None] = {}
    owner: dict[str, str] = {}
    for name in dict.fromkeys(names):
        for file in catalogue.files(name):
            if file.filesystem is not None:
                raise UsageError("only local files can be changed in place", place=file.path)
            real = os.path.realpath(file.path)
            if real in owner:
                hint = "let each file be of one dataset only" if owner[real] != name else "remove the link"
                raise UsageError("the rules reach this file twice", place=file.path, hint=hint)
            owner[real] = name
            seen[file.path] = fingerprint(file)
    return seen


def _check(rule: Rule) -> None:
    place = f'dataset "{rule.dataset}"'
    if rule.column is None and rule.said.then not in {"delete_row", "review", "keep"}:
        hint = "put the rule under the columns, with `then: null`"
        raise UsageError(f'"{rule.said.then}" does not say which columns it is for', place=place, hint=hint)
    if rule.column is not None and rule.said.then != "null":
        raise UsageError(f'values of column "{rule.column}" can only become null', place=place, hint="`then: null`")
    if rule.column is not None and rule.said.on_null_clock != "keep":
        raise UsageError("`on_null_clock` is for rules about rows", place=f'{place}, column "{rule.column}"')


@dataclass(frozen=True)
class _Asked:
    """What every file is asked about."""

    catalogue: Catalogue
    held: HeldRows
    today: date
    seen: Mapping[str, Fingerprint | None]


def _of_file(asked: _Asked, name: str, file: InputFile, rules: list[Rule]) -> FilePurge:
    policy = asked.catalogue.policy
    dataset, seen = policy.datasets[name], asked.seen.get(file.path)  # None: it has just appeared
    delete, quarantine, review, undated, unreadable, rows = NO_ROWS, NO_ROWS, 0, 0, 0, 0
    kept: dict[str, int] = {}
    replace: dict[str, Replacement] = {}
    for rule in rules:
        due = due_rows(rule, dataset, file, asked.today)
        rows = due.num_rows
        going, away = _going(rule, due)
        undated += len(due.undated) if rule.column is None else 0
        unreadable = max(unreadable, due.unreadable)
        left, counts = asked.held.subtract(name, file.path, rows, going)
        kept = _sum([kept, counts])
        if rule.column is not None:
            replace[rule.column] = Replacement(left, _nulls)
        elif rule.said.then == "delete_row":
            delete, quarantine = left, np.intersect1d(left, away, assume_unique=True)
        else:
            review += len(left)
    changes = {column: Replacement(np.setdiff1d(one.rows, delete), one.make) for column, one in replace.items()}
    edits = without_what_is_done(Edits(delete, changes), file, dataset.csv)
    shown = os.path.relpath(file.path, policy.base_dir)
    return FilePurge(name, file, shown, rows, edits, seen, False, undated, unreadable, review, quarantine, kept)


def _going(rule: Rule, due: Due) -> tuple[Rows, Rows]:
    """Give the rows that a rule acts on, and those of them that are set aside."""
    if rule.said.on_null_clock == "keep":
        return due.rows, NO_ROWS
    every = np.union1d(due.rows, due.undated)
    return every, due.undated if rule.said.on_null_clock == "quarantine" else NO_ROWS


def _with_whole_files(policy: Policy, name: str, found: list[FilePurge]) -> list[FilePurge]:
    """Let files go of which no row stays, where the dataset is of many files and one is left."""
    path = policy.datasets[name].path or ""
    many = has_magic(path) or os.path.isdir(os.path.join(policy.base_dir, path))  # noqa: PTH112, PTH118
    empty = [one for one in found if one.num_rows and len(one.edits.delete) == one.num_rows]
    if not many or not empty:
        return found
    spared = empty[0].file.path if len(empty) == len(found) else None
    gone = {one.file.path for one in empty} - {spared}
    return [FilePurge(**{**vars(one), "whole": True}) if one.file.path in gone else one for one in found]


def _nulls(values: pa.Array) -> pa.Array:
    return pa.nulls(len(values), values.type)


def rules_digest(plan: PurgePlan) -> str:
    """Give the digest that somebody confirms who has looked at the rules, and at the files that they are for."""
    said = [
        [rule.dataset, plan.policy.datasets[rule.dataset].path, rule.column, rule.said.model_dump(mode="json")]
        for rule in plan.rules
    ]
    return hashlib.sha256(canonical(said)).hexdigest()[:12]


def purge_folder(state_dir: Path) -> Path:
    """Give the folder of the log of purges, which tells what was confirmed and when the last one ran."""
    return Path(state_dir) / "purge"


def is_confirmed(state_dir: Path, digest: str) -> bool:
    """Tell whether rules were confirmed before."""
    said = (entry for entry in _entries(state_dir) if entry.event == "purge.confirmed")
    return any(entry.details["rules"] == digest for entry in said)


def confirm(state_dir: Path, digest: str, *, clock: Clock, signer: Signer | None) -> None:
    """Note that somebody has looked at what rules do."""
    append(purge_folder(state_dir), "purge.confirmed", {"rules": digest}, clock=clock, signer=signer)


def refuse_jumped_clock(state_dir: Path, now: datetime) -> None:
    """Refuse a clock that is before the last run, or so long after it that it may have jumped."""
    runs = [entry.time for entry in _entries(state_dir) if entry.event in {"purge.done", "purge.confirmed"}]
    if not runs:
        return
    last = datetime.fromisoformat(max(runs).replace("Z", "+00:00"))
    hint = "set the clock, or say which day it is with --as-of"
    if now < last - _TOLERANCE:
        raise Refused("the clock is before the last run", place=str(last.date()), hint=hint)
    if now > last + timedelta(days=MOST_DAYS_APART):
        raise Refused(f"the last run is more than {MOST_DAYS_APART} days ago", place=str(last.date()), hint=hint)


def refuse_too_much(plan: PurgePlan, most: float) -> None:
    """Refuse to delete more than a share of a dataset at once."""
    for name, fraction in plan.fractions().items():
        if fraction > most:
            raise LimitReached(
                f"{fraction:.1%} of its rows would be deleted, and at most {most:.0%} may be",
                place=f'dataset "{name}"',
                hint="look at the preview, and raise --max-delete-fraction if it is right",
            )


def carry_out(
    plan: PurgePlan,
    done: list[dict[str, Any]],
    *,
    most: float,
    keyring: Keyring | None,
    only: Iterable[str] = (),
) -> PurgePlan:
    """Change the files, all or none; notes in `done` what was done to each. The caller holds the lock.

    Gives the plan that was carried out at last, which tells what stays and why. At most the share `most` of a dataset
    is deleted. A file that changed since it was looked at is looked at again, with everything else, a few times over,
    and so is everything where a hold came; `done` is right also where that ends with an error.
    """
    for _ in range(MOST_ROUNDS):
        refuse_too_much(plan, most)
        outcome = _one_round(plan, done)
        if outcome is not None and not outcome.left:
            return plan
        plan = plan_purge(plan.policy, plan.today, keyring=keyring, only=only)
    raise TemporaryFailure("files keep changing while they are rewritten", hint="run again when nothing writes to them")


def _one_round(plan: PurgePlan, done: list[dict[str, Any]]) -> Outcome | None:
    if not plan.changing:
        return Outcome()
    state_dir = plan.policy.state_dir
    aside: dict[str, Path] = {}
    details = {"day": plan.today.isoformat(), "run": "".join(choice(ascii_lowercase) for _ in range(16))}
    with ExitStack() as undoing:
        transaction = undoing.enter_context(Transaction.begin(state_dir, COMMAND, details))
        undoing.callback(drop_quarantine_unless_committed, state_dir, transaction.journal)
        transaction.plan(one.file.path for one in plan.changing)
        if any(fingerprint(one.file) != one.seen for one in plan.changing):
            return None
        for one in plan.changing:
            if one.whole and not len(one.quarantine):
                transaction.deletion(one.file.path)
                continue
            csv = plan.policy.datasets[one.dataset].csv
            if len(one.quarantine):
                folder = state_dir / "quarantine" / f"{one.dataset}-{transaction.id}"
                aside[os.path.realpath(one.file.path)] = _set_aside(one, folder, csv)
            with transaction.replacement(one.file.path) as stream:
                rewrite_file(one.file, stream, one.edits, csv=csv)
        digests = transaction.digests()
        told = []
        for one in plan.changing:
            before, after = digests[os.path.realpath(one.file.path)]
            told.append({**one.as_json(), "run": details["run"], "before": before, "after": after})
        transaction.note(files=told)
        if holds_changed(plan.policy, "retention", _day_of_holds(plan.today), plan.holds):
            return None
        outcome = transaction.commit()
    left = set(outcome.left)
    for path in left & set(aside):
        aside[path].unlink()
    pairs = zip(plan.changing, told, strict=True)
    done += [file for one, file in pairs if os.path.realpath(one.file.path) not in left]
    return outcome


def runs_not_told(state_dir: Path) -> list[CarriedOut]:
    """Give the runs whose changes were made, and that the audit log does not tell of: they died before they could."""
    events = {"purge.done", "purge.resumed"}
    told = {run for entry in entries(state_dir) if entry.event in events for run in entry.details.get("runs", ())}
    return [one for one in carried_out(state_dir, COMMAND) if one.details.get("run") not in told]


def drop_quarantine_unless_committed(state_dir: Path, journal: Journal) -> None:
    """Remove the rows that a transaction has set aside, where it never deleted them."""
    began = journal.find("begin")
    if began is None or journal.find("commit") is not None:
        return
    for folder in (state_dir / "quarantine").glob(f"*-{began['id']}"):
        shutil.rmtree(folder)


def _set_aside(one: FilePurge, folder: Path, csv: Any) -> Path:
    """Write the rows without a date into a file of their own, in the format of the file, before they are deleted."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    others = np.setdiff1d(np.arange(one.num_rows), one.quarantine, assume_unique=True)
    number = len(list(folder.iterdir()))
    target = folder / f"{number:04d}-{Path(one.file.path).name}"
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        rewrite_file(one.file, stream, Edits(others), csv=csv)
        stream.flush()
        os.fsync(descriptor)
    for made in (folder, folder.parent, folder.parent.parent):
        sync_folder(made)
    return target


def _entries(state_dir: Path) -> list[Any]:
    folder = purge_folder(state_dir)
    findings = verify(folder).findings
    if findings:
        raise Tampered(f"the log of purges: {findings[0].message}", place=findings[0].place, hint="restore it")
    return list(entries(folder))


def _sum(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for one in counts:
        for name, count in one.items():
            total[name] = total.get(name, 0) + count
    return total
