"""Which keys the policy's `rotation:` says are due: those whose primary version is older than it may be."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from pydp_cli.errors import UsageError
from pydp_cli.keys.keyring import Keyring
from pydp_cli.pipeline.key_scan import Policy

MODES = {"cell": "reencrypt", "file": "rewrap-files"}
_DURATION = re.compile(r"P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?")


@dataclass(frozen=True)
class Due:
    """A key that is due; `mode` is None where no mode rotates it: it changes only when asked."""

    key: str
    since: datetime
    mode: str | None


def due(keyring: Keyring, policy: Policy, now: datetime) -> list[Due]:
    """Name the keys that are due, longest first."""
    rules = policy.rotation
    if rules is None:
        raise UsageError(
            "the policy does not say when keys are due",
            hint="say what to do with --mode, or add `rotation: {max_age: P1Y}` to the policy",
        )
    found = []
    for name in keyring.keys:
        rule = rules.keys.get(name)
        max_age = rule.max_age if rule is not None else (rules.max_age if name.partition("/")[0] in MODES else None)
        if max_age is None:
            continue
        since = after(datetime.fromisoformat(keyring.primary(name).created), max_age)
        if since <= now:
            mode = rule.mode if rule is not None and rule.mode is not None else MODES.get(name.partition("/")[0])
            found.append(Due(name, since, mode))
    return sorted(found, key=lambda one: one.since)


def after(start: datetime, duration: str) -> datetime:
    """Give the time an ISO 8601 duration later; a day that the month does not have is its last."""
    match = _DURATION.fullmatch(duration)
    if match is None:
        raise UsageError(f"{duration} is not a duration", hint="an ISO 8601 duration, such as P90D")
    years, months, weeks, days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    month = start.year * 12 + start.month - 1 + 12 * years + months
    year, month = divmod(month, 12)
    last = (date(year + month // 11, (month + 1) % 12 + 1, 1) - timedelta(days=1)).day
    moved = start.replace(year=year, month=month + 1, day=min(start.day, last))
    return moved + timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
