"""Known answers, checked once in each process before the column kernels are used, and samples checked ever after.

The kernels re-arrange published modes over OpenSSL's AES. Should a combination of processor, NumPy and OpenSSL ever
break them, the known answers fail, a warning is logged, and every cell is treated one by one. Should they break later,
a sampled cell differs from the library's, and the run stops.
"""

from __future__ import annotations

import logging
import threading

SAMPLE_ROWS = 4096
"""A batch of this many rows always has one row checked; a smaller one in proportion."""

_log = logging.getLogger(__name__)


class KernelError(RuntimeError):
    """A column kernel and the library disagree: a bug, never the data's fault."""


class _Verdict:
    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.passed: bool | None = None
        self.settled = False


_verdict = _Verdict()


def passed() -> bool:
    """Tell whether the kernels may be used; the first call in a process finds out."""
    if _verdict.settled:
        return bool(_verdict.passed)
    with _verdict.lock:
        if _verdict.passed is None:
            _verdict.passed = True  # the test itself goes through the kernels
            from pydp_cli.crypto.known_answers import failures

            failed = failures()
            _verdict.passed = not failed
            if failed:
                _log.warning(
                    "column kernels fail their self-test (%s): cells are treated one by one", ", ".join(failed)
                )
            _verdict.settled = True
        return _verdict.passed


def sample(random: bytes, rows: int) -> int | None:
    """Choose a row to check by bytes that look random, such as the batch's own first output."""
    chosen = int.from_bytes(random[:8], "little")
    return chosen % rows if (chosen >> 32) % SAMPLE_ROWS < rows else None


def compare(given: bytes, expected: bytes) -> None:
    """Raise where a kernel's output is not the library's."""
    if given != expected:
        raise KernelError("a column kernel disagrees with the library: nothing of this batch may be used")
