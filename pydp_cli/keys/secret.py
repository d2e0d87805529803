"""Secret bytes that do not show themselves: in a repr, a log line or a traceback they read `Secret(…)`."""

from __future__ import annotations


class Secret(bytes):
    """Bytes that any cryptographic call takes, and that no formatting shows. Pickles, because workers need keys."""

    def __repr__(self) -> str:
        return "Secret(…)"

    def __str__(self) -> str:
        return "Secret(…)"

    def __format__(self, format_spec: str) -> str:
        return "Secret(…)"

    def __reduce__(self) -> tuple[type[Secret], tuple[bytes]]:
        """Pickle as the bytes alone."""
        return Secret, (bytes(self),)
