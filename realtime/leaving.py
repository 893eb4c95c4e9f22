"""`leave`: the way out of a process in which a thread may hang, and that nobody may listen to any more."""

import os
import sys
import threading
from contextlib import suppress
from typing import TextIO

from rt_seg.errors import OutputError


def leave(code: int) -> None:
    """Write what waits to be said, and end the process at once if a thread hangs in a call that cannot be cancelled.

    Python's own way out could hang or crash with such a call into FFmpeg or a driver. Everything is written by then.

    Args:
        code: Exit code.
    """
    for stream in (sys.stdout, sys.stderr):
        _flush(stream)
    if any(thread.name.startswith("rt-seg ") for thread in threading.enumerate()):
        os._exit(code)


def _flush(stream: TextIO) -> None:
    """Write what waits to be written; where nobody can read it any more, let it go.

    Python would try again at its end, and replace the exit code by its own.
    """
    try:
        stream.flush()
    except (OSError, ValueError, OutputError):
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
