"""One entry of the log as a line: canonical JSON, chained to the line before by its SHA-256.

    {"details":{…},"event":"erase.commit","host":"…","prev":"<SHA-256>","seq":17,"time":"…","user":"…","v":1}

Keys are sorted, nothing is escaped that need not be, and one newline ends the line. The hash covers the line without
its newline, so that `sha256sum` in a shell loop can follow the chain.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from pydp_cli.errors import UsageError

FORMAT = 1
NO_LINE = "0" * 64
"""What the first entry names as the line before."""

MOST_BYTES = 1 << 20
WITHHELD = "(withheld)"
_EVENT = re.compile(r"[a-z][a-z0-9_-]*(\.[a-z][a-z0-9_-]*)+")
_PERSONAL = re.compile(
    r"[^\s@/=]+@[^\s@/]+\.[^\s@/]+"  # an e-mail address
    r"|(?<![\w.+-])\+\d[\d ()/-]{6,}\d"  # a telephone number as it is dialled from abroad
)


@dataclass(frozen=True)
class Entry:
    """What one line says."""

    seq: int
    time: str
    event: str
    details: Mapping[str, Any]
    prev: str
    user: str = ""
    host: str = ""

    def to_line(self) -> bytes:
        """Write the entry as its line, without the newline."""
        line = canonical({"v": FORMAT, **vars(self), "details": dict(self.details)})
        if len(line) > MOST_BYTES:
            raise UsageError(f"an entry of the audit log has at most {MOST_BYTES:,} bytes")
        return line


def canonical(value: Any) -> bytes:
    """Give the one byte form of plain data."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def digest_of(line: bytes) -> str:
    """Give the hash by which the next line names this one."""
    return hashlib.sha256(line).hexdigest()


def read_line(line: bytes) -> Entry | None:
    """Read a line; None where it is not one that pydp writes, byte for byte."""
    try:
        raw = json.loads(line)
        if raw.pop("v") != FORMAT or type(raw["seq"]) is not int or not isinstance(raw["details"], dict):
            return None
        entry = Entry(**raw)
        return entry if entry.to_line() == line else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, UsageError):
        return None


def check_event(name: str) -> str:
    """Refuse a name that queries could not find: an event is written `command.what`."""
    if not _EVENT.fullmatch(name):
        raise UsageError('an event is named like "erase.commit"', place="audit log")
    return name


def stamp(now: datetime) -> str:
    """Write a time in UTC to the millisecond."""
    if now.tzinfo is None:
        raise UsageError("the clock of the audit log needs a time zone")
    return now.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def without_personal(value: Any) -> Any:
    """Give plain data in which texts that look like an e-mail address or a telephone number are withheld.

    The callers put counts, names of the policy and digests here; this is the net below them. It never fails, because
    what it describes has been done already.
    """
    if isinstance(value, str):
        text = value.encode("utf-8", "backslashreplace").decode()
        return _PERSONAL.sub(WITHHELD, text)
    if isinstance(value, Mapping):
        return {without_personal(str(key)): without_personal(part) for key, part in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        parts = sorted(value, key=str) if isinstance(value, (set, frozenset)) else value
        return [without_personal(part) for part in parts]
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return without_personal(str(value))
