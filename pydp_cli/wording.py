"""How messages count things."""

from __future__ import annotations


def counted(number: int, thing: str) -> str:
    """Write "1 row" and "1,200 rows"."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"
