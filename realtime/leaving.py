"""`leave`: the way out of a process in which a thread hangs."""

import os
import sys
import threading
from contextlib import suppress


def leave(code: int) -> None:
    """End the process at once if a thread of a stream is still in a call that cannot be cancelled.

    Python's own way out could hang or crash with such a call into FFmpeg or a driver. Everything is written by then.

    Args:
        code: Exit code.
    """
    if not any(thread.name.startswith("rt-seg ") for thread in threading.enumerate()):
        return
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)
