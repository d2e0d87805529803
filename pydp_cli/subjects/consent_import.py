"""Read consent from a CSV file: identifiers, purpose, status, times; each line is an event."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pyarrow as pa

from pydp_cli.errors import InputError
from pydp_cli.keys.keyring import Keyring
from pydp_cli.pipeline.references import reference_key
from pydp_cli.policy.identity_text import identity_text
from pydp_cli.policy.model import Policy
from pydp_cli.subjects.consent import STATUSES, Event, utc_text

PLAIN = ("purpose", "status", "at", "until", "notice", "method")


def import_events(
    path: Path,
    policy: Policy,
    keyring: Keyring,
    *,
    read_time: Callable[[str], datetime],
    purpose: str | None = None,
    status: str | None = None,
    now: datetime,
) -> list[Event]:
    """Read the file; `purpose` and `status` stand for columns that it lacks (a do-not-sell list has identifiers only).

    Raises `InputError` with the line that cannot be read; nothing is recorded then.
    """
    rows, identities = _read(path, policy)
    texts: dict[str, list[str | None]] = defaultdict(list)
    for row in rows:
        for space in identities:
            texts[space].append(row[space] or None)
    written: dict[str, list[str | None]] = {}
    for space, values in texts.items():
        key = reference_key(keyring, space)
        hashes = key.hashes(identity_text(pa.array(values, pa.string()), policy.identities[space]))
        written[space] = [None if digest is None else key.written(digest) for digest in hashes.to_pylist()]
    events = []
    for number, row in enumerate(rows):
        place = f"{path}:{number + 2}"
        said = row.get("status") or status or "given"
        wanted = row.get("purpose") or purpose
        if said not in STATUSES:
            raise InputError("unknown status", place=place, hint=f"one of: {', '.join(STATUSES)}")
        if wanted is None or wanted not in policy.purposes:
            raise InputError("the policy has no such purpose", place=place)
        times = {name: _time(row.get(name), read_time, place) for name in ("at", "until")}
        found = [(space, written[space][number]) for space in identities if written[space][number] is not None]
        if not found:
            raise InputError("the line names nobody", place=place)
        for space, reference in found:
            assert reference is not None
            events.append(
                Event(
                    reference,
                    space,
                    wanted,
                    said,  # type: ignore[arg-type]  # checked above
                    times["at"] or utc_text(now),
                    times["until"],
                    row.get("notice") or None,
                    row.get("method") or None,
                )
            )
    return events


def _read(path: Path, policy: Policy) -> tuple[list[dict[str, str]], list[str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True, restkey="\0more", restval="")
            heading = list(reader.fieldnames or ())
            rows = list(reader)
    except FileNotFoundError:
        raise InputError("no such file", place=str(path)) from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"cannot be read ({type(error).__name__})", place=str(path)) from None
    identities = [name for name in heading if name in policy.identities]
    unknown = [name for name in heading if name not in policy.identities and name not in PLAIN]
    if unknown or not identities:
        what = f'column "{unknown[0]}" is not known' if unknown else "there is no column of identifiers"
        names = ", ".join([*policy.identities, *PLAIN])
        raise InputError(what, place=f"{path}:1", hint=f"the heading is of: {names}")
    for number, row in enumerate(rows):
        if "\0more" in row:
            raise InputError("more values than the heading has", place=f"{path}:{number + 2}")
    return rows, identities


def _time(text: str | None, read_time: Callable[[str], datetime], place: str) -> str | None:
    if not text:
        return None
    try:
        return utc_text(read_time(text))
    except (ValueError, InputError):
        raise InputError("not a date or a time", place=place) from None
