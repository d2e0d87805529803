"""The name of a file in a policy."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator


def _without_null(name: str) -> str:
    """Refuse the one character that no file can be called by, and that a quoted YAML text can hold."""
    if "\0" in name:
        raise ValueError("must not hold a null character")
    return name


FileName = Annotated[str, AfterValidator(_without_null)]
