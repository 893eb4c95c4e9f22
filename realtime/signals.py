"""Ctrl-C, SIGTERM and a closed terminal end a stream like the end of its source, whatever it is doing."""

import ctypes
import os
import platform
import signal
import struct
import sys
import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TypeVar

T = TypeVar("T")

ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_TICK_SECONDS = 0.05
_TURN_NS = 100_000  # the shortest that Linux grants
_SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}  # number of the system call; few C libraries have a function for it


class Interrupted(Exception):  # noqa: N818 - an end, not an error
    """A signal came before the stream ran."""

    def __init__(self, number: int) -> None:
        super().__init__(f"signal {number}")
        self.number = number


class ReceivedSignal:
    """Which signal came, if any: ``number`` is None until then. ``stop``, once it is set, is called when one comes."""

    number: int | None = None
    stop: Callable[[], None] | None = None

    def call(self, function: Callable[[], T], niceness: int = 0) -> T:
        """Call something that may take long or hang, on a thread that is left behind when a signal comes.

        Args:
            function: What is called.
            niceness: By how much its thread, and those that it starts, give way to others.

        Raises:
            Interrupted: A signal came first.
        """
        result: Future[T] = Future()
        threading.Thread(
            target=_call_into, args=(function, result, niceness), name="rt-seg opening", daemon=True
        ).start()
        while self.number is None:
            with suppress(TimeoutError):
                return result.result(_TICK_SECONDS)
            if result.done():
                return result.result()
        raise Interrupted(self.number)


def _call_into(function: Callable[[], T], result: "Future[T]", niceness: int) -> None:
    if niceness:
        give_way(niceness)
    try:
        result.set_result(function())
    except BaseException as exc:  # noqa: BLE001 - raised in the caller
        result.set_exception(exc)


def give_way(niceness: int) -> None:
    """Have this thread, and those that it starts, give way to the others of this process; only Linux can.

    A lower priority gives them a smaller share of a core. But Linux lets a thread finish its turn of some milliseconds
    before another one that wakes up gets the core: so their turns are made short, too (Linux 6.12 and newer).
    """
    with suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), niceness)
    number = _SCHED_SETATTR.get(platform.machine())
    if sys.platform == "linux" and number is not None:
        kept = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
        # struct sched_attr of linux/sched/types.h, its first version with 56 bytes; sched_runtime is the turn
        attributes = struct.pack("=IIQiIQQQII", 56, os.SCHED_OTHER, 0, kept, 0, _TURN_NS, 0, 0, 0, 0)
        ctypes.CDLL(None).syscall(number, 0, attributes, 0)  # where it is refused all stays as it was


@contextmanager
def ending_signals(stop: Callable[[], None] | None = None) -> Generator[ReceivedSignal, None, None]:
    """Note the first of the ending signals and call `ReceivedSignal.stop`; a second one has its usual effect.

    Outside the main thread, where Python allows no handlers, nothing is installed.

    Args:
        stop: The first `ReceivedSignal.stop`: called in the main thread, between two of its instructions; must return
            at once.
    """
    received = ReceivedSignal()
    received.stop = stop
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
        if received.stop is not None:
            received.stop()

    for number in before:
        signal.signal(number, on_signal)
    try:
        yield received
    finally:
        restore()
