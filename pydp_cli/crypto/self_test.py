"""Known answers, checked once in each process before the column kernels are used, and samples checked ever after.

The kernels re-arrange published modes over OpenSSL's AES. Should a combination of processor, NumPy and OpenSSL ever
break them, the known answers fail, a warning is logged, and every cell is treated one by one. Should they break later,
a sampled cell differs from the library's, and the run stops.
"""

from __future__ import annotations

import logging
import threading

SAMPLE_ROWS = 16_384
"""A batch of this many rows always has one row checked, which costs under 1 %; a smaller one in proportion."""

_log = logging.getLogger(__name__)


class KernelError(RuntimeError):
    """A column kernel and the library disagree: a bug, never the data's fault."""


_lock = threading.RLock()
_verdicts: dict[str, bool] = {}
_under_test: set[str] = set()


def passed(kernel: str) -> bool:
    """Tell whether a kernel (`cmac`, `siv`, `ff1`) may be used; the first call for it in a process finds out."""
    verdict = _verdicts.get(kernel)
    if verdict is not None:
        return verdict
    with _lock:
        if kernel in _under_test:
            return True  # the test itself goes through the kernel
        if kernel not in _verdicts:
            from pydp_cli.crypto.known_answers import holds

            _under_test.add(kernel)
            try:
                _verdicts[kernel] = holds(kernel)
            finally:
                _under_test.discard(kernel)
            if not _verdicts[kernel]:
                _log.warning("the %s kernel failed its self-test: cells are treated one by one, which is slow", kernel)
        return _verdicts[kernel]


def sample(random: bytes, rows: int) -> int | None:
    """Choose a row to check by bytes that look random, such as the batch's own first output."""
    chosen = int.from_bytes(random[:8], "little")
    return chosen % rows if (chosen >> 32) % SAMPLE_ROWS < rows else None


def compare(given: object, expected: object) -> None:
    """Raise where a kernel's output is not the library's."""
    if given != expected:
        raise KernelError("a column kernel disagrees with the library: nothing of this batch may be used")
