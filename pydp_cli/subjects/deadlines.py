"""The statutory deadlines of rights requests, from a reviewed data file (`data/deadlines.json`)."""

from __future__ import annotations

import calendar
import json
import re
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from importlib.resources import files
from typing import Any

from pydp_cli.errors import UsageError

_PERIOD = re.compile(r"P([0-9]+)([MD])")


@dataclass(frozen=True)
class Deadlines:
    """When a request is to be acknowledged, answered, and answered at the latest; None where the law names none."""

    acknowledge: date | None
    respond: date
    latest: date | None
    article: str


@cache
def regimes() -> dict[str, Any]:
    """Give the laws that are known, by name."""
    raw = files("pydp_cli.subjects").joinpath("data/deadlines.json").read_text(encoding="utf-8")
    known: dict[str, Any] = json.loads(raw)["regimes"]
    return known


def deadlines_of(regime: str, kind: str, received: date) -> Deadlines:
    """Count the deadlines of a request; raises `UsageError` for a law or a right that is not known."""
    if regime not in regimes():
        raise UsageError(f'the deadlines of "{regime}" are not known', hint=f"one of: {', '.join(regimes())}")
    law = regimes()[regime]
    if kind not in law["kinds"]:
        raise UsageError(f'{regime} knows no right "{kind}"', hint=f"one of: {', '.join(law['kinds'])}")
    if received.year >= date.max.year:
        raise UsageError("no deadline can be counted from a day that late")
    said, moves = law["kinds"][kind], law["moves_off_weekends"]
    acknowledge = said.get("acknowledge_business_days")
    if "respond_business_days" in said:
        respond, latest = after_business_days(received, said["respond_business_days"]), None
    else:
        respond = after(received, said["respond"], moves=moves)
        latest = after(received, said["respond"], said["extend"], moves=moves)
    told = None if acknowledge is None else after_business_days(received, acknowledge)
    return Deadlines(told, respond, latest, said["article"])


def after(start: date, *periods: str, moves: bool) -> date:
    """Give the day on which periods of months or days end; on a weekend, where that counts, the Monday after it."""
    months = days = 0
    for period in periods:
        match = _PERIOD.fullmatch(period)
        assert match is not None
        months, days = (months + int(match[1]), days) if match[2] == "M" else (months, days + int(match[1]))
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    last = calendar.monthrange(year, month + 1)[1]
    end = date(year, month + 1, min(start.day, last)) + timedelta(days=days)
    return end + timedelta(days=7 - end.weekday()) if moves and end.weekday() >= 5 else end


def after_business_days(start: date, count: int) -> date:
    """Give the day that is a number of business days later."""
    end = start
    while count:
        end += timedelta(days=1)
        count -= end.weekday() < 5
    return end
