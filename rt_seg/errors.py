"""Every error that rt-seg raises on purpose, and the exit code the command line gives it.

    RtSegError                       1   the root; never raised itself
    ├── InputError                   2   what was given cannot be used; a wrong command line ends with it, too
    │   ├── SourceError              3   a video, folder, camera or address cannot be read
    │   │   └── SourceInterrupted    4   it broke off midway or is damaged; what was decoded is kept
    │   ├── ModelError               5   a model or engine file is missing, foreign or broken
    │   └── DataError                6   a data folder, image, mask or split list is unusable
    ├── OutputError                  7   a file cannot be written, or the disk is full
    ├── EngineError                  8   an engine failed while it ran, or was used after close
    └── MissingDependencyError       9   an optional package is absent; the message says how to get it

An end by a signal has 128 and its number: 130 for Ctrl-C, 143 for SIGTERM, 129 for a closed terminal.

Foreign exceptions are translated where they enter (``raise ... from exc``). Every message is one line that says what
was wrong, in which file or device, and what to do.
"""

from typing import ClassVar


class RtSegError(Exception):
    """Root of the tree: catch it to catch all that rt-seg raises on purpose."""

    exit_code: ClassVar[int] = 1


class InputError(RtSegError):
    """Something that was given cannot be used."""

    exit_code = 2


class SourceError(InputError):
    """A video, image folder, camera or address cannot be opened or holds no frame."""

    exit_code = 3


class SourceInterrupted(SourceError):
    """A source broke off midway, or pictures of it are damaged: what could be decoded has been delivered."""

    exit_code = 4


class ModelError(InputError):
    """A model or engine file is missing, foreign, broken or outside the contract."""

    exit_code = 5


class DataError(InputError):
    """A data folder, image, mask or split list cannot be used."""

    exit_code = 6


class OutputError(RtSegError):
    """An output cannot be created or written."""

    exit_code = 7


class EngineError(RtSegError):
    """An engine failed while it ran, was given a wrong array, or was used after `close`."""

    exit_code = 8


class MissingDependencyError(RtSegError):
    """An optional package is not installed; the message holds the command that installs it."""

    exit_code = 9
