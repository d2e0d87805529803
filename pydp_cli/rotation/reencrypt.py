"""Move every cell under the old versions of a key to the new one, file by file, so that nothing is lost at any moment.

The old version stays usable: only a scan that finds nothing under it (`usage`) lets it be destroyed. Files whose equal
values have equal cells are published together. A file that does not decrypt is left exactly as it is, and named; one
that changes meanwhile is done again.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from pydp_cli.crypto.cells import Place, open_cells, seal_cells
from pydp_cli.errors import InputError, OutputError, PydpError, Refused, UsageError
from pydp_cli.keys.keyring import Keyring
from pydp_cli.pipeline.key_scan import FileKeys, Policy, scan_paths, scan_policy, untold
from pydp_cli.pipeline.reencrypt import CellFile, Moves, Scope, check_reencrypted, reencrypt_file, scopes_of_unread
from pydp_cli.rewrite.recovery import carried_out
from pydp_cli.rewrite.transaction import Transaction
from pydp_cli.rotation.intent import forget, new_primary

COMMAND = "rotate-keys"
BATCH_FILES = 64
BATCH_BYTES = 256 << 20
SMALL_BYTES = 4 << 20
ATTEMPTS = 3
_READINGS = 4
"""How often a file is read and written: re-encrypted, and checked, as it was and as it is."""
_TRIED = 20_000
MOVABLE = frozenset({"cell", "token"})
NOT_REVERSIBLE = ("new values are encrypted under a new version of the key from the moment it is made",)


@dataclass(frozen=True)
class Item:
    """A file with cells to move."""

    found: FileKeys
    cells: int
    scopes: frozenset[Scope] = frozenset()
    untold: bool = False


@dataclass
class Rotated:
    """What a rotation did. `quarantined` are files that were left as they are, with the reason; `skipped` no tables."""

    key: str = ""
    old: tuple[str, ...] = ()
    new: str = ""
    files: list[str] = field(default_factory=list)
    cells: int = 0
    passed: int = 0
    quarantined: list[tuple[str, str]] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    dry_run: bool = False
    size: int = 0
    seconds: float | None = None
    """About how long it will take; None where it was done."""

    def as_json(self) -> dict[str, Any]:
        """Give the report."""
        left = [{"file": path, "reason": reason} for path, reason in self.quarantined]
        return {**vars(self), "old": list(self.old), "quarantined": left, "irreversible": list(NOT_REVERSIBLE)}


@dataclass(frozen=True)
class Rotation:
    """What is to be rotated: one key, in these paths, or wherever the policy reaches."""

    state_dir: Path
    key: str = "cell"
    paths: tuple[str, ...] = ()
    policy: Policy | None = None
    workers: int = 1
    new_version: bool = True
    from_version: bytes | None = None
    """The version of values that do not name theirs, in files that do not tell it."""
    progress: Callable[[str, int], None] | None = None


def reencrypt(keyring: Keyring, rotation: Rotation, *, dry_run: bool = False) -> tuple[Keyring, Rotated]:
    """Make a new primary version, and bring the cells of all files under it; the caller holds the lock.

    Doing it again after any interruption goes on where it was: cells under the new version pass through.
    """
    if rotation.key.partition("/")[0] not in MOVABLE:
        raise UsageError(
            f'"{rotation.key}" cannot be re-encrypted: what was made with it does not come back',
            hint="cells are under `cell`, tokens under `token`, or under keys of these families",
        )
    began = time.monotonic()
    files = list(_files(rotation))  # before the key is made: what cannot be found is found now
    _refuse_untold(files, rotation)
    if rotation.new_version and not dry_run:
        keyring = new_primary(keyring, rotation.key, rotation.state_dir)
    moves = _moves(keyring, rotation, dry_run=dry_run)
    new = keyring.primary(rotation.key).key_id
    done = Rotated(
        rotation.key, tuple(sorted(key.hex() for key in moves)), "" if dry_run else new.hex(), dry_run=dry_run
    )
    tables = [found for found in files if found.is_table or found.path in rotation.paths]
    items = _items(tables, moves, rotation, done)
    done.skipped = [found.path for found in files if not found.is_table and found.path not in rotation.paths]
    if dry_run:
        done.files, done.cells = [item.found.path for item in items], sum(item.cells for item in items)
        done.size = sum(item.found.size for item in items)
        done.seconds = round(_READINGS * (time.monotonic() - began) + done.cells * _seconds_of_a_cell(), 1)
        return keyring, done
    unread = [found for found in tables if found.failure is not None]
    scoped = _with_scopes(items, keyring, rotation, done)
    unread += [item.found for item in items if item.found.path in {path for path, _ in done.quarantined}]
    _move_all(keyring, rotation, _without_unread(scoped, unread, rotation, done), moves, done)
    if rotation.new_version and not done.quarantined:
        forget(rotation.state_dir, rotation.key)
    return keyring, done


def _seconds_of_a_cell() -> float:
    """Measure what it costs to bring a cell under another key, and to decrypt what was written and what was there."""
    key, values = bytes(range(64)), pa.array([f"value {number}" for number in range(_TRIED)])
    place = Place("measured", "here")
    began = time.process_time()
    cells = seal_cells(values, key, b"\0" * 4, place, [], deterministic=False)
    open_cells(cells, {b"\0" * 4: key}, place, [])
    return 2 * (time.process_time() - began) / _TRIED


def _refuse_full_disk(unit: Sequence[Item]) -> None:
    """Refuse to begin where what is written beside the files has no room."""
    needed: dict[int, int] = {}
    folders: dict[int, str] = {}
    for item in unit:
        folder = str(Path(item.found.path).resolve().parent)
        device = os.stat(folder).st_dev  # noqa: PTH116
        needed[device] = needed.get(device, 0) + item.found.size + item.found.size // 10
        folders[device] = folder
    for device, size in needed.items():
        free = shutil.disk_usage(folders[device]).free
        if free < size:
            raise OutputError(
                f"needs {size:,} bytes beside the files until they are swapped, and {free:,} are free",
                place=folders[device],
                hint="make room, or rotate fewer files at once by naming them",
            )


def _files(rotation: Rotation) -> Iterator[FileKeys]:
    """Look at every file once; with a policy, paths are those of its files that are asked for."""
    if not rotation.paths and rotation.policy is None:
        raise UsageError("nothing to rotate", hint="name files or folders, or the policy with -p")
    named = {str(Path(found.path).resolve()): found for found in scan_paths(rotation.paths)}
    if rotation.policy is not None:
        for found in scan_policy(rotation.policy):
            real = str(Path(found.path).resolve())
            if not rotation.paths or real in named:
                named[real] = found
    yield from named.values()


def _untold(found: FileKeys, rotation: Rotation) -> list[str]:
    """Name the columns of a file that are under the key, and neither they nor the file tell under which version."""
    if rotation.policy is None:
        return []
    columns = untold(rotation.policy, found, rotation.key.partition("/")[0])
    return [name for name, key in columns.items() if key in {None, rotation.key}]


def _refuse_untold(files: list[FileKeys], rotation: Rotation) -> None:
    """Refuse where values do not tell their key, nor does the file: they would be read under the new one, wrongly."""
    moved = _moved_before(rotation)
    for found in files:
        columns = _untold(found, rotation)
        if columns and rotation.from_version is None:
            raise Refused(
                f'nothing in the file tells which key version column "{columns[0]}" is under',
                place=found.path,
                hint="say it with --from-version ID, as `pydp keys list` shows it; or give the column a key of its own",
            )
        real = str(Path(found.path).resolve())
        if columns and rotation.from_version is not None and (real, rotation.from_version.hex()) in moved:
            raise Refused(
                f'column "{columns[0]}" was brought from this key version to another before',
                place=found.path,
                hint="name the version that it is under now",
            )


def _moved_before(rotation: Rotation) -> set[tuple[str, str]]:
    """Give the files whose untold columns were moved from a version: doing that twice would garble them."""
    notes = (note for done in carried_out(rotation.state_dir, COMMAND) for note in done.notes if not done.left)
    return {(path, note["from"]) for note in notes for path in note.get("untold", ())}


def _moves(keyring: Keyring, rotation: Rotation, *, dry_run: bool) -> Moves:
    new = keyring.primary(rotation.key).key_id
    old = [version for version in keyring.keys[rotation.key] if version.state not in {"pending", "primary"}]
    if dry_run and rotation.new_version:
        old = [version for version in keyring.keys[rotation.key] if version.state != "pending"]
    return {version.key_id: new for version in old}


def _items(files: list[FileKeys], moves: Moves, rotation: Rotation, done: Rotated) -> list[Item]:
    items = []
    for found in files:
        if found.failure is not None:
            done.quarantined.append((found.path, found.failure))
            continue
        counts = found.total()
        cells = sum(counts[key_id] for key_id in moves)
        done.passed += sum(counts.values()) - cells
        if cells or _untold(found, rotation):
            items.append(Item(found, cells, untold=bool(_untold(found, rotation))))
    return items


def _with_scopes(items: list[Item], keyring: Keyring, rotation: Rotation, done: Rotated) -> list[Item]:
    found = []
    for item in items:
        try:
            scopes = _cell_file(item, rotation).scopes(keyring)
        except PydpError as error:  # noqa: PERF203 - a file's reading outweighs it
            done.quarantined.append((item.found.path, str(error)))
        else:
            found.append(replace(item, scopes=scopes))
    return found


def _without_unread(items: list[Item], unread: list[FileKeys], rotation: Rotation, done: Rotated) -> list[Item]:
    """Leave out the files of join groups to which a file may belong that could not be read: it cannot go with them."""
    known = {scope for item in items for scope in item.scopes}
    held: dict[Scope, str] = {}
    for file in unread:
        if not _is_missing(file.path):
            held |= dict.fromkeys(scopes_of_unread(file, rotation.policy, known), file.path)
    moving = []
    for unit in units(items):
        others = sorted({held[scope] for item in unit for scope in item.scopes if scope in held})
        if others:
            reason = f"may join with {others[0]}, which cannot be read"
            done.quarantined += [(item.found.path, reason) for item in unit]
        else:
            moving += unit
    return moving


def _is_missing(path: str) -> bool:
    """Tell whether it is certain that nothing is there; where the system does not say, something may be."""
    try:
        os.lstat(path)
    except OSError as error:
        return isinstance(error, FileNotFoundError | NotADirectoryError)
    return False


def _cell_file(item: Item, rotation: Rotation) -> CellFile:
    version = rotation.from_version if item.untold else None
    return CellFile.find(item.found.path, rotation.policy, item.found.dataset, version)


def units(items: Sequence[Item]) -> list[list[Item]]:
    """Group files: those that share a place of deterministic cells together, the rest in batches."""
    groups: list[tuple[set[Scope], list[Item]]] = []
    batches: list[list[Item]] = []
    for item in items:
        if not item.scopes:
            size = sum(one.found.size for one in batches[-1]) if batches else 0
            if not batches or len(batches[-1]) == BATCH_FILES or size + item.found.size > BATCH_BYTES:
                batches.append([])
            batches[-1].append(item)
            continue
        joined = [group for group in groups if group[0] & item.scopes]
        groups = [group for group in groups if not group[0] & item.scopes]
        scopes = set(item.scopes).union(*(group[0] for group in joined))
        groups.append((scopes, [one for group in joined for one in group[1]] + [item]))
    return [group for _, group in groups] + batches


def _move_all(keyring: Keyring, rotation: Rotation, items: list[Item], moves: Moves, done: Rotated) -> None:
    waiting = items
    for _ in range(ATTEMPTS):
        changed = []
        for unit in units(waiting):
            changed += _move(keyring, rotation, unit, moves, done)
        waiting = changed
        if not waiting:
            return
    done.quarantined += [(item.found.path, "is being changed all the time") for item in waiting]


def _move(keyring: Keyring, rotation: Rotation, unit: list[Item], moves: Moves, done: Rotated) -> list[Item]:
    """Re-encrypt the files of one unit, publish them together, and give those that changed meanwhile."""
    by_path = {str(Path(item.found.path).resolve()): item for item in unit}
    _refuse_full_disk(unit)
    details = {"key": done.key, "new": done.new, "old": list(done.old)}
    with Transaction.begin(rotation.state_dir, COMMAND, details) as transaction:
        failed = _stage_all(transaction, keyring, rotation, unit, moves)
        done.quarantined += failed
        if failed and unit[0].scopes:  # equal values would no longer have equal cells
            bad = {path for path, _ in failed}
            others = [item.found.path for item in unit if item.found.path not in bad]
            done.quarantined += [(path, f"joins with {failed[0][0]}, which is left as it is") for path in others]
            return []
        untold = [path for path, item in by_path.items() if item.untold]
        if untold and rotation.from_version is not None:
            transaction.note(untold=untold, **{"from": rotation.from_version.hex()})
        outcome = transaction.commit()
    for path in outcome.replaced:
        item = by_path[path]
        done.files.append(item.found.path)
        done.cells += item.cells
        done.size += item.found.size
    return [by_path[path] for path in outcome.left]


def _stage_all(
    transaction: Transaction, keyring: Keyring, rotation: Rotation, unit: list[Item], moves: Moves
) -> list[tuple[str, str]]:
    """Stage the files of a unit, small ones several at a time; gives those that cannot be, each with the reason."""
    failed, planned = _plan_all(transaction, unit)
    small = all(item.found.size < SMALL_BYTES for item in planned)
    if rotation.workers == 1 or len(planned) < 2 or not small:
        outcomes = [_try(transaction, keyring, rotation, item, moves) for item in planned]
    else:  # a single chunk keeps a single process busy, and threads must not fork
        alone = replace(rotation, workers=1)
        with ThreadPoolExecutor(rotation.workers, "pydp-rotate") as pool:
            waiting = [pool.submit(_try, transaction, keyring, alone, item, moves) for item in planned]
            try:
                outcomes = [one.result() for one in waiting]
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
    staged = zip(planned, outcomes, strict=True)
    return failed + [(item.found.path, reason) for item, reason in staged if reason is not None]


def _plan_all(transaction: Transaction, unit: list[Item]) -> tuple[list[tuple[str, str]], list[Item]]:
    """Plan the files of a unit in one record; where one of them does not allow it, one by one."""
    try:
        transaction.plan([item.found.path for item in unit])
    except (InputError, UsageError):
        pass
    else:
        return [], unit
    failed, planned = [], []
    for item in unit:
        try:
            transaction.plan([item.found.path])
        except (InputError, UsageError) as error:  # noqa: PERF203 - a file's reading outweighs it
            failed.append((item.found.path, str(error)))
        else:
            planned.append(item)
    return failed, planned


def _try(transaction: Transaction, keyring: Keyring, rotation: Rotation, item: Item, moves: Moves) -> str | None:
    """Stage one file; where what it holds does not allow it, say why."""
    try:
        _stage(transaction, keyring, rotation, item, moves)
    except (Refused, InputError, UsageError) as error:
        return str(error)
    return None


def _stage(transaction: Transaction, keyring: Keyring, rotation: Rotation, item: Item, moves: Moves) -> None:
    one = _cell_file(item, rotation)
    told = None if rotation.progress is None else _counting(rotation.progress, item.found.path)

    def verify(staged: str) -> None:
        check_reencrypted(one, staged, keyring, moves)

    with transaction.replacement(item.found.path, verify=verify) as stream:
        reencrypt_file(one, stream, keyring, moves, workers=rotation.workers, on_rows=told)


def _counting(progress: Callable[[str, int], None], path: str) -> Callable[[int], None]:
    return lambda rows: progress(path, rows)
