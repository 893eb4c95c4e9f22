"""Ctrl-C and its like during calls into C++ that take minutes and cannot be left by an exception."""

import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def cancelling(cancel: Callable[[], None]) -> Generator[None, None, None]:
    """Call `cancel` when the process is asked to end, and end it as it was asked once the block is left.

    Outside the main thread, where Python delivers no signals, it does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        cancel()

    earlier = {number: signal.signal(number, note) for number in _ENDING}
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
        if received:
            signal.raise_signal(received[0])


@contextmanager
def ending_by_exception() -> Generator[None, None, None]:
    """Let SIGTERM and SIGHUP unwind the stack as Ctrl-C does, so that every ``finally`` runs; exit code 128 + number.

    In the main thread only.
    """

    def end(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    earlier = {number: signal.signal(number, end) for number in _ENDING[1:]}
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
