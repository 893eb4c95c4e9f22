"""`Source`: where frames come from, and `SourceInfo`: what is known of it before the first one."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal, Protocol

from rt_seg.realtime.frame import Frame


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What a source says of itself. Figures that it does not know are None.

    Attributes:
        name: For people and for the results header; without credentials.
        kind: What it is.
        live: True where frames arrive at their own pace and are lost if nobody takes them.
        width: Width of the upright picture in pixels.
        height: Height of the upright picture in pixels.
        fps: Mean frames a second.
        frame_count: How many frames will come (after start, duration and limit); an estimate, for the progress bar.
        time_base: Unit of the source's timestamps in seconds: `Frame.pts_seconds` are whole multiples of it.
        path: The file, which audio is copied from, or the folder of the images.
        start_seconds: Stream time at which delivery begins (``--start``).
        pixel_aspect: Width of a pixel of the upright picture over its height, as a screen should show it (sample aspect
            ratio): 1 unless the source says otherwise. Everything in rt-seg counts pixels as they are.
        primaries: Which red, green and blue its pictures mean, as a code point of ITU-T H.273, table 2.
        transfer: How their levels relate to light, table 3. Neither is converted: a recording says the same.
        notes: What a user should know, such as wishes that were not met.
        endless: True where an end is a loss: a camera, or a stream of no known length.
    """

    name: str
    kind: Literal["video", "images", "camera", "network"]
    live: bool
    width: int
    height: int
    fps: float | None = None
    frame_count: int | None = None
    time_base: Fraction | None = None
    path: Path | None = None
    start_seconds: float = 0.0
    pixel_aspect: Fraction = Fraction(1)
    primaries: int = 1
    transfer: int = 1
    notes: tuple[str, ...] = ()
    endless: bool = False


class Source(Protocol):
    """Delivers frames. Passive and not thread-safe: one thread iterates and closes."""

    @property
    def info(self) -> SourceInfo:
        """What is known of it; constant."""
        ...

    def __iter__(self) -> Iterator[Frame]:
        """Deliver each frame once, in the order of presentation.

        ``pts_seconds`` is the time a player shows: 0 is the container's start, whatever its first timestamp. It keeps
        counting from there with ``--start``; it never decreases.

        Raises:
            SourceInterrupted: It broke off midway, after all that could be decoded was delivered.
        """
        ...

    def close(self) -> None:
        """Release file or device; a second call does nothing."""
        ...
