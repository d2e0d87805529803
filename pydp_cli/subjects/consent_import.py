"""Read consent from a CSV file: identifiers, purpose, status, times; each line is an event."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

import pyarrow as pa

from pydp_cli.errors import InputError, UsageError
from pydp_cli.keys.keyring import Keyring
from pydp_cli.pipeline.references import reference_key
from pydp_cli.policy.identity_text import identity_text
from pydp_cli.policy.model import Policy
from pydp_cli.subjects.consent import STATUSES, Event, Status, utc_text

LINE = "\0line"
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
    if status is not None and status not in STATUSES:
        raise UsageError("unknown status", place="--status", hint=f"one of: {', '.join(STATUSES)}")
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
        place = f"{path}:{row[LINE]}"
        said = _status(row, status, place)
        wanted = row.get("purpose") or purpose
        if wanted is None or wanted not in policy.purposes:
            raise InputError("the policy has no such purpose", place=place)
        times = {name: _time(row.get(name), read_time, place) for name in ("at", "until")}
        if times["until"] is not None and times["until"] <= (times["at"] or utc_text(now)):
            raise InputError("consent ends before it begins", place=place)
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
                    said,
                    times["at"] or utc_text(now),
                    times["until"],
                    row.get("notice") or None,
                    row.get("method") or None,
                )
            )
    return events


def _status(row: Mapping[str, str], otherwise: str | None, place: str) -> Status:
    """Read what was said; a line of a list that has no statuses is a yes, but an empty status is none."""
    said = row.get("status") or otherwise or ("given" if "status" not in row else "")
    for known in STATUSES:
        if said == known:
            return known
    if said:
        raise InputError("unknown status", place=place, hint=f"one of: {', '.join(STATUSES)}")
    raise InputError("the line has no status", place=place, hint="--status says it for such lines")


def _read(path: Path, policy: Policy) -> tuple[list[dict[str, str]], list[str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            heading = next(reader, [])
            lines = [(reader.line_num, line) for line in reader if line]
    except FileNotFoundError:
        raise InputError("no such file", place=str(path)) from None
    except csv.Error as error:
        raise InputError(f"not a CSV file ({error})", place=f"{path}:{reader.line_num}") from None
    except UnicodeDecodeError:
        raise InputError("not UTF-8", place=str(path)) from None
    except OSError as error:
        raise InputError(f"cannot be read ({(error.strerror or 'error').lower()})", place=str(path)) from None
    identities = [name for name in heading if name in policy.identities]
    unknown = [name for name in heading if name not in policy.identities and name not in PLAIN]
    if unknown or not identities:
        what = f'column "{unknown[0]}" is not known' if unknown else "there is no column of identifiers"
        names = ", ".join([*policy.identities, *PLAIN])
        raise InputError(what, place=f"{path}:1", hint=f"the heading is of: {names}")
    twice = [name for name in heading if heading.count(name) > 1]
    if twice:
        raise InputError(f'column "{twice[0]}" is there twice', place=f"{path}:1")
    rows = []
    for number, line in lines:
        if len(line) != len(heading):
            raise InputError(f"{len(line)} values where the heading has {len(heading)}", place=f"{path}:{number}")
        rows.append({**dict(zip(heading, line, strict=True)), LINE: str(number)})
    return rows, identities


def _time(text: str | None, read_time: Callable[[str], datetime], place: str) -> str | None:
    if not text:
        return None
    try:
        return utc_text(read_time(text))
    except (ValueError, InputError):
        raise InputError("not a date or a time", place=place) from None
