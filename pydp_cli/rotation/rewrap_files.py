"""Wrap the keys of encrypted whole files under a new version of the `file` key: 8 KiB for each, whatever its size."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pydp_cli.crypto.container import HEADER_BYTES, inspect_envelope
from pydp_cli.errors import PydpError, UsageError
from pydp_cli.keys.file_keys import rewrap_envelope
from pydp_cli.keys.keyring import Keyring
from pydp_cli.pipeline.key_scan import files_of
from pydp_cli.rotation.intent import forget, new_primary
from pydp_cli.rotation.reencrypt import Rotated, Rotation

KEY = "file"
DOES_NOT_HELP = "re-wrapping does not help against someone who has an old copy of the file and the old key"


def rewrap_files(keyring: Keyring, rotation: Rotation, *, dry_run: bool = False) -> tuple[Keyring, Rotated]:
    """Re-wrap every envelope under the paths. Each header is changed crash-safely; doing it again goes on."""
    if not rotation.paths:
        raise UsageError("nothing to re-wrap", hint="name the encrypted files, or folders that hold them")
    done = Rotated(KEY, dry_run=dry_run)
    envelopes = _envelopes(rotation, done)
    if dry_run:
        done.files = envelopes
        done.size = len(envelopes) * HEADER_BYTES
        return keyring, done
    if rotation.new_version:
        keyring = new_primary(keyring, KEY, rotation.state_dir)
    primary = keyring.primary(KEY).key_id
    done.new = primary.hex()
    done.old = tuple(version.key_id.hex() for version in keyring.keys[KEY] if version.state == "enabled")
    for path, outcome in _rewrapped(envelopes, keyring, rotation.workers):
        if isinstance(outcome, PydpError):
            done.quarantined.append((path, outcome.message))
        else:
            done.files += [path] if outcome else []
            done.passed += not outcome
    if rotation.new_version and not done.quarantined:
        forget(rotation.state_dir, KEY)
    return keyring, done


def _rewrapped(envelopes: list[str], keyring: Keyring, jobs: int) -> Iterator[tuple[str, bool | PydpError]]:
    """Re-wrap several files at a time, which wait for the disk; gives whether each changed, or why it could not."""

    def rewrapped(path: str) -> tuple[str, bool | PydpError]:
        try:
            return path, rewrap_envelope(Path(path), keyring)
        except PydpError as error:
            return path, error

    if jobs == 1 or len(envelopes) == 1:
        yield from map(rewrapped, envelopes)
        return
    pool = ThreadPoolExecutor(jobs)
    try:
        yield from pool.map(rewrapped, envelopes)
    finally:
        pool.shutdown(cancel_futures=True)  # ended by a signal: what is begun is done, the rest is not begun


def _envelopes(rotation: Rotation, done: Rotated) -> list[str]:
    """Find the encrypted whole files, each once; one that was asked for by name and is none is told.

    A file with two names must not be re-wrapped twice at the same time: both copies of its header would be unsound.
    """
    found = []
    seen: set[tuple[int, int]] = set()
    for path in dict.fromkeys(file for one in rotation.paths for file in files_of(one)):
        try:
            inspect_envelope(Path(path))
        except PydpError as error:
            if path in rotation.paths:
                done.quarantined.append((path, error.message))
            continue
        status = Path(path).stat()
        if (status.st_dev, status.st_ino) not in seen:
            seen.add((status.st_dev, status.st_ino))
            found.append(path)
    return found
