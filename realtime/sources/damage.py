"""`Damage`: which pictures of a file a decoder gave away although it had to make up parts of them."""

from pathlib import Path

_PROGRAM_END = b"\x00\x00\x01\xb9"  # MPEG_program_end_code, ISO/IEC 13818-1, 2.5.3.2


class Damage:
    """Counts pictures that are marked as damaged. Passive and not thread-safe."""

    def __init__(self) -> None:
        self._count = 0
        self._first = ""
        self._last_is_damaged = False

    def note(self, index: int, seconds: float, *, damaged: bool) -> None:
        """Take note of a picture that is delivered.

        Args:
            index: Its number among those delivered.
            seconds: Its stream time.
            damaged: Whether the decoder marked it.
        """
        self._last_is_damaged = damaged
        if damaged:
            self._first = self._first or f"{seconds:.2f} s (frame {index})"
            self._count += 1

    def forgive_last(self) -> None:
        """Have the last picture count as whole: its recorder stopped within it."""
        if self._last_is_damaged:
            self._count -= 1
            self._last_is_damaged = False

    def take(self) -> str | None:
        """What to say of the pictures since the last call; None if all were whole."""
        count, first = self._count, self._first
        self._count, self._first, self._last_is_damaged = 0, "", False
        if count == 0:
            return None
        pictures = "1 picture is damaged, " if count == 1 else f"{count} pictures are damaged, the first "
        return f"{pictures}at {first}; the rest was kept"


def ends_with_end_code(path: Path) -> bool:
    """Whether a program stream (MPEG-PS) says that it ends where it ends: then nothing was cut off.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        file.seek(-len(_PROGRAM_END), 2)
        return file.read() == _PROGRAM_END
