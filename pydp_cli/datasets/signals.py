"""Let SIGTERM and SIGHUP end a run as Ctrl-C does, so that clean-up runs; keep signals out of critical parts."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

_ENDING = (signal.SIGTERM, signal.SIGHUP)
_lost: list[BaseException] = []


class Terminated(KeyboardInterrupt):
    """The process was asked to end by `signum`; the conventional exit code is 128 + signum."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum


@contextlib.contextmanager
def terminate_as_exception() -> Iterator[None]:
    """Raise `Terminated` in the main thread on SIGTERM and SIGHUP; a signal that is ignored (nohup) stays ignored.

    Later ones are ignored until the block is left, so that they cannot interrupt the clean-up of the first.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(signum: int, _frame: FrameType | None) -> None:
        for number in previous:
            signal.signal(number, signal.SIG_IGN)
        raise Terminated(signum)

    previous = {number: signal.getsignal(number) for number in _ENDING}
    previous = {number: handler for number, handler in previous.items() if handler != signal.SIG_IGN}
    hook, sys.unraisablehook = sys.unraisablehook, _keep_interrupt
    try:
        for number in previous:
            signal.signal(number, end)
        yield
    finally:
        sys.unraisablehook = hook
        _lost.clear()
        for number, handler in previous.items():
            signal.signal(number, handler)


def raise_lost_interrupt() -> None:
    """Raise the interrupt that came where Python can raise nothing (in a callback of its own), if one did."""
    if _lost:
        raise _lost[0]


def _keep_interrupt(unraisable: sys.UnraisableHookArgs) -> None:
    if isinstance(unraisable.exc_value, KeyboardInterrupt):
        _lost.append(unraisable.exc_value)
    else:
        sys.__unraisablehook__(unraisable)


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold SIGINT, SIGTERM and SIGHUP back until the block is left, then deliver what came."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    numbers = (signal.SIGINT, *_ENDING)
    previous = {number: signal.getsignal(number) for number in numbers}
    try:
        for number in numbers:
            if previous[number] != signal.SIG_IGN:
                signal.signal(number, lambda signum, _frame: came.append(signum))
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        for signum in came[:1]:
            os.kill(os.getpid(), signum)
