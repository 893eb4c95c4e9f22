"""Ctrl-C, SIGTERM and a closed terminal end a stream like the end of its source."""

import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType

ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class ReceivedSignal:
    """Which signal came, if any: ``number`` is None until then."""

    number: int | None = None


@contextmanager
def ending_signals(stop: Callable[[], None]) -> Generator[ReceivedSignal, None, None]:
    """Call `stop` on the first of the ending signals; a second one has its usual effect.

    Outside the main thread, where Python allows no handlers, nothing is installed.

    Args:
        stop: Called in the main thread, between two of its instructions; must return at once.
    """
    received = ReceivedSignal()
    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    before = {number: signal.getsignal(number) for number in ENDING_SIGNALS}
    # what nohup or a shell's background job ignores stays ignored
    before = {number: handler for number, handler in before.items() if handler is not signal.SIG_IGN}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def on_signal(number: int, _frame: FrameType | None) -> None:
        received.number = number
        restore()
        stop()

    for number in before:
        signal.signal(number, on_signal)
    try:
        yield received
    finally:
        restore()
