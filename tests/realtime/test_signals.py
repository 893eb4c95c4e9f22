"""Giving way: a thread that works in the background leaves the core to others, soon."""

import ctypes
import os
import platform
import struct
import sys
import threading

import pytest

from rt_seg.realtime.signals import give_way

_SCHED_GETATTR = {"x86_64": 315, "aarch64": 275}
RELEASE = tuple(int(part) for part in platform.release().split(".")[:2]) if sys.platform == "linux" else (0, 0)


def niceness_and_turn() -> tuple[int, int]:
    """Of this thread: its niceness, and its turn in nanoseconds as the kernel says it."""
    buffer = ctypes.create_string_buffer(56)
    assert ctypes.CDLL(None).syscall(_SCHED_GETATTR[platform.machine()], 0, buffer, 56, 0) == 0
    turn = struct.unpack("=IIQiIQQQII", buffer.raw)[5]
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id()), turn


@pytest.mark.skipif(RELEASE < (6, 12) or platform.machine() not in _SCHED_GETATTR, reason="needs Linux 6.12")
def test_a_thread_that_gives_way_hands_it_down_and_leaves_others_alone() -> None:
    """It and the threads that it starts have a lower priority and short turns; whoever started it has not."""
    before = niceness_and_turn()
    seen: list[tuple[int, int]] = []

    def run() -> None:
        give_way(before[0] + 2)
        seen.append(niceness_and_turn())
        child = threading.Thread(target=lambda: seen.append(niceness_and_turn()))
        child.start()
        child.join()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [(before[0] + 2, 100_000)] * 2
    assert niceness_and_turn() == before
