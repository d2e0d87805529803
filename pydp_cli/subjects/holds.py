"""Legal holds: the rows that nothing may delete, as long as a matter is open.

    held = held_rows(catalogue, "erase", keyring=keyring, today=date.today())
    held.of("orders", path)        # the positions of the rows that stay

Every command that deletes asks here. Holds are in the policy, or recorded by `pydp hold add` in a chained log of their
own (`holds/audit` in the state folder). The log names people by references only; whom a live hold is about is in a file
beside it, encrypted under the keyring, and gone when the hold is lifted.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import get_args

import numpy as np

from pydp_cli.audit.lines import Entry
from pydp_cli.audit.log import Clock, append
from pydp_cli.audit.signing import Signer
from pydp_cli.audit.verify import entries, verify
from pydp_cli.datasets.edits import NO_ROWS, Rows
from pydp_cli.errors import HoldBlocks, LimitReached, Tampered, UsageError
from pydp_cli.keys.keyring import Keyring
from pydp_cli.pipeline.references import reference_key
from pydp_cli.policy.model import Policy
from pydp_cli.policy.rights import Blocked
from pydp_cli.subjects.catalogue import Catalogue
from pydp_cli.subjects.file_matches import FileMatches
from pydp_cli.subjects.resolve import resolve
from pydp_cli.subjects.sealed_people import open_people, seal_people
from pydp_cli.subjects.subject import Subject, parse_subjects

MAX_IDENTITIES = 100_000
"""A hold rather keeps too much than too little: what hangs together through a shared value is held too."""


@dataclass(frozen=True)
class LegalHold:
    """One hold as it stands. `subject` is how it names its person: given in the policy, or encrypted in its file."""

    id: str
    matter: str
    datasets: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    values: tuple[str, ...] = field(default=(), repr=False)
    blocks: tuple[Blocked, ...] = get_args(Blocked)
    since: date | None = None
    until: date | None = None
    by: str | None = None
    lifted: date | None = None
    in_policy: bool = False

    @property
    def of_people(self) -> bool:
        """Whether it is about people, and not about whole datasets."""
        return bool(self.references or self.values)

    def is_live(self, today: date) -> bool:
        """Tell whether it holds on a day; the day that `until` names is the last."""
        began = self.since is None or self.since <= today
        return began and self.lifted is None and (self.until is None or today <= self.until)

    def as_json(self) -> dict[str, object]:
        """Give it as JSON types, without the values that the policy names."""
        told = {**vars(self), "values": len(self.values)}
        return {name: value.isoformat() if isinstance(value, date) else value for name, value in told.items()}


@dataclass(frozen=True)
class HeldRows:
    """The rows that live holds keep, by hold, dataset and file; a whole dataset where `whole` names it."""

    holds: tuple[LegalHold, ...] = ()
    whole: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    rows: Mapping[tuple[str, str], Mapping[str, Rows]] = field(default_factory=dict)

    def of(self, dataset: str, path: str, num_rows: int) -> Rows:
        """Give the positions of the rows of a file that stay, sorted and each once."""
        if dataset in self.whole:
            return np.arange(num_rows)
        return _union([*self.rows.get((dataset, path), {}).values()])

    def subtract(self, dataset: str, path: str, num_rows: int, rows: Rows) -> tuple[Rows, dict[str, int]]:
        """Take held rows of a dataset's file out of `rows`; gives what is left, and how many each hold kept."""
        kept = {
            hold: int(np.isin(rows, held).sum()) for hold, held in self.rows.get((dataset, path), {}).items()
        } | dict.fromkeys(self.whole.get(dataset, ()), len(rows))
        left = np.setdiff1d(rows, self.of(dataset, path, num_rows), assume_unique=True)
        return left, {hold: count for hold, count in kept.items() if count}


def add_hold(
    policy: Policy,
    hold: LegalHold,
    subject: Subject | None,
    *,
    keyring: Keyring | None,
    clock: Clock,
    signer: Signer | None = None,
) -> LegalHold:
    """Record a hold and give it its number. Raises `UsageError` where it says neither whose rows nor which datasets."""
    if subject is None and not hold.datasets:
        raise UsageError("a hold is about a person or about a dataset", hint="--subject ID=VALUE, or --dataset NAME")
    for name in hold.datasets:
        if name not in policy.datasets:
            raise UsageError(f'the policy has no dataset "{name}"', place="--dataset")
    folder = holds_folder(policy.state_dir)
    references: list[str] = []
    people = ""
    if subject is not None:
        assert keyring is not None
        references = [f"{space} {reference_key(keyring, space).reference(value)}" for space, value in subject.given]
        people = _keep(folder, subject, keyring)
    details = {
        "matter": hold.matter,
        "datasets": list(hold.datasets),
        "references": references,
        "people": people,
        "until": hold.until.isoformat() if hold.until else None,
        "by": hold.by,
    }
    done = append(folder, "hold.added", details, clock=clock, signer=signer)
    return replace(hold, id=_number(done.seq), references=tuple(references))


def lift_hold(policy: Policy, number: str, because: str, *, clock: Clock, signer: Signer | None = None) -> None:
    """End a hold, for a reason; whom it was about is forgotten."""
    folder = holds_folder(policy.state_dir)
    if any(hold.id == number for hold in policy.holds):
        raise UsageError("this hold is in the policy", place=number, hint="end it there, with `until:`")
    found = next((hold for hold in recorded_holds(policy.state_dir) if hold.id == number), None)
    if found is None:
        raise UsageError("there is no such hold", place=number, hint="`pydp hold list` shows them")
    if found.lifted is not None:
        raise UsageError("the hold was lifted already", place=number)
    append(folder, "hold.lifted", {"hold": number, "because": because}, clock=clock, signer=signer)
    name = _people_files(policy.state_dir).get(number)
    if name:
        (folder / name).unlink(missing_ok=True)


def recorded_holds(state_dir: Path) -> list[LegalHold]:
    """Give the holds that were recorded, in order, the lifted ones too.

    Raises `Tampered` where the log of holds was altered: what is no longer in it may hold something.
    """
    found: dict[str, LegalHold] = {}
    for entry in _entries(state_dir):
        said = entry.details
        if entry.event == "hold.added":
            number = _number(entry.seq)
            found[number] = LegalHold(
                number,
                said["matter"],
                tuple(said["datasets"]),
                tuple(said["references"]),
                since=date.fromisoformat(entry.time[:10]),
                until=date.fromisoformat(said["until"]) if said["until"] else None,
                by=said["by"],
            )
        elif entry.event == "hold.lifted":
            lifted = date.fromisoformat(entry.time[:10])
            found[said["hold"]] = replace(found[said["hold"]], lifted=lifted)
    return list(found.values())


def all_holds(policy: Policy) -> list[LegalHold]:
    """Give the holds of the policy and those that were recorded."""
    declared = [
        LegalHold(
            hold.id,
            hold.matter,
            hold.match.datasets,
            values=tuple(f"{space}={value}" for space, values in hold.match.identity.items() for value in values),
            blocks=hold.blocks,
            since=hold.from_,
            until=hold.until,
            by=hold.by,
            in_policy=True,
        )
        for hold in policy.holds
    ]
    return [*declared, *recorded_holds(policy.state_dir)]


def live_holds(policy: Policy, blocks: Blocked, today: date) -> list[LegalHold]:
    """Give the holds that stop an action on a day."""
    return [hold for hold in all_holds(policy) if hold.is_live(today) and blocks in hold.blocks]


def held_rows(catalogue: Catalogue, blocks: Blocked, *, keyring: Keyring | None, today: date) -> HeldRows:
    """Find every row that a live hold keeps from an action.

    People are followed over the links of the catalogue, as they are when they are erased; a row that only mentions
    them is held too. Raises `UsageError` where a hold names people and the keyring is not unlocked, and `Tampered`
    where it cannot be told whom a hold is about.
    """
    holds = live_holds(catalogue.policy, blocks, today)
    whole: dict[str, list[str]] = {}
    people: list[tuple[LegalHold, Subject]] = []
    for hold in holds:
        if hold.of_people:
            people += [(hold, subject) for subject in _subjects(catalogue, hold, keyring)]
        else:
            for dataset in hold.datasets:
                whole.setdefault(dataset, []).append(hold.id)
    rows: dict[tuple[str, str], dict[str, Rows]] = {}
    if people:
        found = resolve(
            catalogue, [subject for _, subject in people], keyring=keyring, max_identities=MAX_IDENTITIES, merge=True
        )
        if any(person.verdict == "limit" for person in found.people):
            raise LimitReached("too many identifiers hang together with a held person", hint="look at `shared:`")
        for place, (hold, _) in enumerate(people):
            for matches in found.files:
                mine = matches.of(found.person_of[place])
                if len(mine) and (not hold.datasets or matches.dataset in hold.datasets):
                    of_file = rows.setdefault((matches.dataset, matches.file.path), {})
                    of_file[hold.id] = _union([of_file.get(hold.id, NO_ROWS), mine.to_numpy()])
    return HeldRows(tuple(holds), {name: tuple(ids) for name, ids in whole.items()}, rows)


def holds_changed(policy: Policy, blocks: Blocked, today: date, holds: Sequence[LegalHold]) -> bool:
    """Tell whether other holds are live than those that were asked: whoever deletes looks once more at the end."""
    return [hold.id for hold in live_holds(policy, blocks, today)] != [hold.id for hold in holds]


def refuse_destruction(policy: Policy, today: date, what: str) -> None:
    """Refuse to destroy a key that data may need, while anything is held."""
    holds = live_holds(policy, "shred", today)
    if holds:
        raise HoldBlocks(
            f"{what} is refused while rows are held ({', '.join(hold.id for hold in holds)})",
            hint="rotate the data to a new key instead, or have the hold lifted",
        )


def refuse_replacing(policy: Policy, dataset: str, today: date) -> None:
    """Refuse to put something else in the place of a dataset's files, while a row of theirs may be held."""
    holds = [hold for hold in live_holds(policy, "erase", today) if not hold.datasets or dataset in hold.datasets]
    if holds:
        raise HoldBlocks(
            f"replacing the data is refused while rows are held ({', '.join(hold.id for hold in holds)})",
            place=f'dataset "{dataset}"',
            hint="write to another place with -o, or have the hold lifted",
        )


def holds_on(held: HeldRows, files: Sequence[FileMatches], person: int) -> dict[str, dict[str, int]]:
    """Count for each hold and dataset how many rows of a person it keeps."""
    kept: dict[str, dict[str, int]] = {}
    for matches in files:
        _, counts = held.subtract(
            matches.dataset, matches.file.path, matches.num_rows, matches.of(person, mentions=False).to_numpy()
        )
        for hold, count in counts.items():
            of_hold = kept.setdefault(hold, {})
            of_hold[matches.dataset] = of_hold.get(matches.dataset, 0) + count
    return kept


def holds_folder(state_dir: Path) -> Path:
    """Give the folder in which the chained log of holds is."""
    return Path(state_dir) / "holds"


def _subjects(catalogue: Catalogue, hold: LegalHold, keyring: Keyring | None) -> list[Subject]:
    """Give whom a hold is about; each value of the policy is a person of its own."""
    if hold.in_policy:
        return [parse_subjects([value], catalogue) for value in hold.values]
    if keyring is None:
        raise UsageError(
            f"hold {hold.id} names people, whom only the keyring can tell",
            hint="unlock it with --key-file or --passphrase-file",
        )
    name = _people_files(catalogue.policy.state_dir)[hold.id]
    path = holds_folder(catalogue.policy.state_dir) / name
    try:
        return open_people(keyring, "hold", name, path.read_bytes())
    except FileNotFoundError:
        raise Tampered(f"whom hold {hold.id} is about is missing", place=str(path), hint=_RESTORE) from None
    except Tampered:
        raise Tampered(f"whom hold {hold.id} is about was altered", place=str(path), hint=_RESTORE) from None


_RESTORE = "restore the state folder, or lift the hold and add it anew"


def _keep(folder: Path, subject: Subject, keyring: Keyring) -> str:
    """Write whom a hold is about, encrypted; gives the file's name, which the ciphertext is bound to."""
    name = f"people-{os.urandom(8).hex()}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    sealed = seal_people(keyring, "hold", name, [subject])
    descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(sealed)
        file.flush()
        os.fsync(descriptor)
    return name


def _people_files(state_dir: Path) -> dict[str, str]:
    added = (entry for entry in _entries(state_dir) if entry.event == "hold.added")
    return {_number(entry.seq): entry.details["people"] for entry in added}


def _entries(state_dir: Path) -> list[Entry]:
    folder = holds_folder(state_dir)
    findings = verify(folder).findings
    if findings:
        raise Tampered(f"the log of holds: {findings[0].message}", place=findings[0].place, hint=_RESTORE)
    return list(entries(folder))


def _union(parts: Sequence[Rows]) -> Rows:
    return np.unique(np.concatenate([NO_ROWS, *parts]))


def _number(seq: int) -> str:
    return f"H{seq:04d}"
