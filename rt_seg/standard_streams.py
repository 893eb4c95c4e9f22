"""Standard input, output and error as every command may take them: open, and with errors of rt-seg's own."""

import errno
import io
import os
import sys
from typing import TextIO

from .errors import OutputError

_NOBODY_THERE = frozenset({errno.EPIPE, errno.EIO})  # a reader that has left, a terminal that was closed


def open_closed_streams() -> None:
    """Open the null device in place of the standard streams that are closed.

    Else the next file that is opened gets the number of one of them, and a library's message is written into it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # the lowest free number is this one; programs that are started have it open, too
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    sys.stdin = sys.stdin or os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8", closefd=False)


def guard_output() -> None:
    """Have a failed write to standard output raise `OutputError`, once; where nobody reads any more, nothing is raised.

    What cannot be written to standard error is let go: there is nobody who could be told.
    """
    sys.stdout = _guarded(sys.stdout, _Output(1))
    sys.stderr = _guarded(sys.stderr, _Errors(2))


class _Errors(io.FileIO):
    """A descriptor that is written to, and stays open; what fails is let go."""

    def __init__(self, number: int) -> None:
        super().__init__(number, "w", closefd=False)

    # the stubs take any buffer, and BufferedWriter gives these
    def write(self, data: "bytes | memoryview") -> int:  # type: ignore[override]
        try:
            return super().write(data)
        except OSError as exc:
            self._fail(exc)
            return len(data)

    def _fail(self, error: OSError) -> None:
        """Nothing."""


class _Output(_Errors):
    """The same, where the first failure is told."""

    _told = False

    def _fail(self, error: OSError) -> None:
        if error.errno in _NOBODY_THERE or self._told:
            return
        self._told = True  # what waits is tried again later, at the latest when Python ends
        reason = "the disk is full; free some space" if error.errno == errno.ENOSPC else error.strerror
        raise OutputError(f"standard output cannot be written: {reason}") from error


def _guarded(stream: TextIO, raw: io.FileIO) -> TextIO:
    stream.flush()
    at_once = isinstance(stream, io.TextIOWrapper) and (stream.line_buffering or stream.write_through)
    return io.TextIOWrapper(io.BufferedWriter(raw), stream.encoding, stream.errors, line_buffering=at_once)
