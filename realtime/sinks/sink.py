"""`Sink`: where rendered frames go."""

from pathlib import Path
from typing import Protocol

from rt_seg.realtime.frame import Rendered


class Sink(Protocol):
    """Takes every rendered frame. Passive and not thread-safe: one thread writes and closes.

    A constructor checks what can be checked (folder there and writable, not the input itself) and creates nothing:
    files come into being with the first frame, so that a source that fails leaves no empty file behind.
    """

    @property
    def name(self) -> str:
        """Name of its stage in statistics, such as ``record``."""
        ...

    @property
    def path(self) -> Path | None:
        """File or folder that it writes, if any."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know of what it wrote, such as missing sound; complete once it is closed."""
        ...

    def write(self, rendered: Rendered) -> None:
        """Take one frame; its arrays are read only during the call.

        Raises:
            OutputError: The disk is full or the file cannot be written; a `TruncatedError` where pictures that were
                taken before are lost with it.
        """
        ...

    def close(self) -> None:
        """Finalise the file, so that it is whole and playable; a second call does nothing. Also called after an error.

        Raises:
            OutputError: The end could not be written; see `write`.
        """
        ...
