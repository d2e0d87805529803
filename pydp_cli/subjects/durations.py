"""Count with ISO 8601 durations on the calendar: months, then days; the 31st plus a month is the last of the next."""

from __future__ import annotations

import calendar
import math
from datetime import date, timedelta

from pydp_cli.policy.rights import duration_parts

_FIRST = date.min.toordinal()


def after_duration(day: date, *durations: str) -> date:
    """Give the day on which durations end that begin on a day; hours count as a whole day. Ends with the year 9999."""
    months = days = 0
    for text in durations:
        years, more, weeks, rest, hours, minutes, seconds = duration_parts(text)
        months += years * 12 + more
        days += weeks * 7 + rest + math.ceil((hours * 3600 + minutes * 60 + seconds) / 86400)
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    if year > date.max.year:
        return date.max
    end = date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))
    return date.max if (date.max - end).days <= days else end + timedelta(days=days)


def in_words(duration: str) -> str:
    """Write a duration as people say it: `P1Y6M` is "1 year and 6 months"."""
    names = ("year", "month", "week", "day", "hour", "minute", "second")
    parts = [
        f"{count:,} {name}" if count == 1 else f"{count:,} {name}s"
        for count, name in zip(duration_parts(duration), names, strict=True)
        if count
    ]
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts or ["0 days"])


def last_day_over(today: date, *durations: str) -> date | None:
    """Give the last day from which durations are over before `today`; None where not even the first day's are.

    What begins on a day is over from the day after its end on. A later day never ends earlier, so halving finds it.
    """
    low, high = _FIRST - 1, today.toordinal() - 1
    while low < high:
        middle = (low + high + 1) // 2
        if after_duration(date.fromordinal(middle), *durations) < today:
            low = middle
        else:
            high = middle - 1
    return date.fromordinal(low) if low >= _FIRST else None
