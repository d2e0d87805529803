"""What is still under each version of each key, and the proof that nothing is, without which no key is destroyed.

used = usage(keyring, paths=["data"])            # or: usage(keyring, policy=policy)
used.of(key_id).cells
destroy_unused(keyring, key_id, used)            # Refused where anything is, or could be, under the key
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydp_cli.crypto.container import inspect_envelope
from pydp_cli.crypto.container_header import BY_KEYRING
from pydp_cli.errors import PydpError, Refused, UsageError
from pydp_cli.keys.changes import destroy, disable
from pydp_cli.keys.key_version import KeyVersion
from pydp_cli.keys.keyring import Clock, Keyring, utc_now
from pydp_cli.pipeline.key_scan import WHOLE, FileKeys, Policy, scan_paths, scan_policy, untold
from pydp_cli.wording import counted

PROVABLE = frozenset({"cell", "imported", "token", "file"})
"""Families of keys whose use shows in the data, or in what is noted with it. Of a pseudonym nothing shows."""

PLACES_TOLD = 3


@dataclass(frozen=True)
class KeyUsage:
    """What is under one version of a key. `places` are the first few columns, as `file: column`."""

    version: KeyVersion
    files: int
    columns: int
    cells: int
    places: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Give what reports hold."""
        version = self.version
        named = {"key": version.name, "version": version.version, "id": version.key_id.hex(), "state": version.state}
        return {**named, "files": self.files, "columns": self.columns, "cells": self.cells}


@dataclass(frozen=True)
class Usage:
    """What is under every version of a keyring, in the files that were looked at.

    `unknown` counts cells of key ids that the keyring does not have, `unreadable` are files that could not be looked
    at, with the reason, and `unscannable` columns whose values do not tell their key. Any of the latter two means that
    nothing is proven.
    """

    keys: tuple[KeyUsage, ...]
    unknown: dict[str, int]
    files: tuple[FileKeys, ...]
    unreadable: tuple[tuple[str, str], ...]
    unscannable: tuple[str, ...]
    generation: int
    by_family: tuple[tuple[str, str], ...] = ()
    """Each column that is unscannable, with the family of its key."""
    paths: tuple[str, ...] = ()
    """What was looked through besides the datasets of a policy, which know of no whole files."""

    def of(self, key_id: bytes) -> KeyUsage:
        """Give what is under one version."""
        for used in self.keys:
            if used.version.key_id == key_id:
                return used
        raise UsageError(f"key {key_id.hex()} is not in the keyring", hint="`pydp keys list` shows the keys")

    def at(self, keyring: Keyring) -> Usage:
        """Give the same inventory for the generation of the ring that the caller has just written itself."""
        return replace(self, generation=keyring.generation)

    @property
    def digest(self) -> str:
        """The SHA-256 of the whole inventory, which a tombstone keeps as its proof."""
        files = [
            [file.path, file.size, sorted((key.hex(), n) for key, n in file.total().items())] for file in self.files
        ]
        inventory = {"generation": self.generation, "files": sorted(files)}
        return hashlib.sha256(json.dumps(inventory, sort_keys=True).encode()).hexdigest()

    def as_json(self) -> dict[str, Any]:
        """Give what `--json` prints."""
        return {
            "keys": [used.as_json() for used in self.keys],
            "unknown": self.unknown,
            "files": len(self.files),
            "unreadable": [{"file": path, "reason": reason} for path, reason in self.unreadable],
            "unscannable": list(self.unscannable),
            "digest": self.digest,
        }


def usage(
    keyring: Keyring,
    *,
    paths: Sequence[str] = (),
    policy: Policy | None = None,
    progress: Callable[[FileKeys], None] | None = None,
) -> Usage:
    """Scan paths, and every dataset of a policy, for cells under each version of each key."""
    if not paths and policy is None:
        raise UsageError("nothing to look through", hint="name files or folders, or the policy with -p")
    files: dict[str, FileKeys] = {}
    for scan in (*([scan_policy(policy)] if policy is not None else []), scan_paths(paths)):
        for looked_at in scan:
            found = as_envelope(looked_at)
            files.setdefault(found.path, found)
            if progress is not None:
                progress(found)
    blind = [
        (family, f'{found.path}, column "{name}"')
        for found in files.values()
        for family in ("cell", "token")
        for name in (untold(policy, found, family) if policy is not None else ())
    ]
    return replace(_summed(keyring, tuple(files.values()), tuple(blind)), paths=tuple(paths))


def prove_unused(used: Usage, key_id: bytes) -> str:
    """Give the digest of the inventory that shows that nothing is under a key; raises `Refused` with what is not so."""
    of_key = used.of(key_id)
    version = of_key.version
    if of_key.cells:
        raise Refused(
            f"{counted(of_key.cells, 'cell')} in {counted(of_key.files, 'file')} are still under {version.label}",
            place=of_key.places[0],
            hint="`pydp rotate-keys --mode reencrypt` brings them under the new version",
        )
    if version.name.partition("/")[0] not in PROVABLE:
        raise Refused(
            f"nothing in the data tells what was made with {version.label}",
            hint="`pydp keys destroy --accept-loss` destroys it all the same",
        )
    if version.name.partition("/")[0] == "file" and not used.paths:
        raise Refused(
            "a policy does not tell where files are that are encrypted as a whole",
            hint="name the folders in which they are, too",
        )
    if used.unreadable:
        place, reason = used.unreadable[0]
        others = f", and {len(used.unreadable) - 1:,} more" if len(used.unreadable) > 1 else ""
        raise Refused(f"could not be looked through: {reason}{others}", place=place, hint="a key could be needed there")
    for family, place in used.by_family:
        if family == version.name.partition("/")[0]:
            raise Refused("the values of a column do not tell which key they are under", place=place)
    return used.digest


def destroy_unused(keyring: Keyring, key_id: bytes, used: Usage, *, clock: Clock = utc_now) -> Keyring:
    """Disable and destroy a version that nothing is under; the tombstone keeps the inventory's digest.

    Raises `Refused` where anything is or may be under it, and `UsageError` for the primary version.
    """
    if keyring.generation != used.generation:
        raise Refused("the keyring has changed since the data was looked through", hint="look through it again")
    proof = prove_unused(used, key_id)
    if keyring.find(key_id).state in {"enabled", "primary"}:
        keyring = disable(keyring, key_id, clock=clock)
    return destroy(keyring, key_id, proof=proof, clock=clock)


def as_envelope(found: FileKeys) -> FileKeys:
    """Look at a file that is no table once more: an encrypted whole file names its keys in its header."""
    if found.failure is None:
        return found
    try:
        headers = inspect_envelope(Path(found.path))
    except PydpError:  # it is none: what was said of it stands
        return found
    ids = {stanza.key_id for header in headers for stanza in header.stanzas if stanza.kind == BY_KEYRING}
    return FileKeys(found.path, found.dataset, found.size, noted={WHOLE: Counter(dict.fromkeys(ids, 1))})


def _epochs(keyring: Keyring) -> dict[bytes, bytes]:
    """Give for each store of people's keys, which is what their cells name, the key of its present epoch."""
    stores = [name for name in keyring.keys if name.startswith("epoch/")]
    return {bytes.fromhex(name.partition("/")[2]): keyring.primary(name).key_id for name in stores}


def _summed(keyring: Keyring, files: tuple[FileKeys, ...], blind: tuple[tuple[str, str], ...]) -> Usage:
    cells: Counter[bytes] = Counter()
    columns: Counter[bytes] = Counter()
    in_files: Counter[bytes] = Counter()
    places: dict[bytes, list[str]] = {}
    epochs = _epochs(keyring)
    for file in files:
        in_files.update({epochs.get(key, key) for key in file.total()})
        for name, found in [*file.cells.items(), *file.noted.items()]:
            counts = Counter({epochs.get(key, key): number for key, number in found.items()})
            cells.update(counts)
            columns.update(set(counts))
            for key_id in counts:
                places.setdefault(key_id, []).append(f'{file.path}, column "{name}"')
    keys = tuple(
        KeyUsage(version, in_files[key], columns[key], cells[key], tuple(places.get(key, ())[:PLACES_TOLD]))
        for version in keyring.versions()
        for key in [version.key_id]
    )
    known = {version.key_id for version in keyring.versions()}
    unknown = {key.hex(): count for key, count in sorted(cells.items()) if key not in known}
    unreadable = tuple((file.path, file.failure) for file in files if file.failure is not None)
    places_told = tuple(place for _, place in blind)
    return Usage(keys, unknown, files, unreadable, places_told, keyring.generation, blind)
