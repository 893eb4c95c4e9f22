"""`Screen`: the window as a sink: the newest picture, its help line, and the user's keys."""

from typing import Self

import cv2
import numpy as np
import numpy.typing as npt

from .channel import Channel, ChannelClosed, Policy
from .controls import HELP_LINE, Controls
from .frame import Rendered
from .hud import text_size
from .sinks.window import Window
from .statistics import Statistics

UInt8Array = npt.NDArray[np.uint8]

_INK, _PAPER = (215, 215, 215), (24, 24, 24)
_HELP_PICTURES = 300  # so many pictures after the start the help line goes by itself
_MESSAGE_PICTURES = 60  # so many pictures a message stays


class Screen:
    """A sink that keeps the newest picture, and the window that shows it: only the main thread may call `refresh`.

    The hand-over that delays are measured to is the call that gives a picture to the window.

    Args:
        window: Where pictures go.
        controls: What the keys change.
        statistics: Where delays are counted.

    Attributes:
        last: The picture that is on the screen, if there is one.
    """

    name = "show"
    path = None
    notes = ()

    def __init__(self, window: Window, controls: Controls, statistics: Statistics) -> None:
        self._window = window
        self._controls = controls
        self._statistics = statistics
        self._pictures: Channel[Rendered] = Channel(1, Policy.LATEST)
        self._message = ""
        self._message_left = 0
        self._help_left = _HELP_PICTURES
        self.last: Rendered | None = None

    def write(self, rendered: Rendered) -> None:
        """See `Sink.write`."""
        self._pictures.put(rendered)

    def close(self) -> None:
        """See `Sink.close`."""
        self._pictures.close()

    @property
    def dropped(self) -> int:
        """Pictures that the window was too slow for."""
        return self._pictures.dropped

    def refresh(self, timeout: float) -> bool:
        """Show the newest picture, waiting a moment for one; False when the user ended it."""
        try:
            rendered = self._pictures.get(timeout=timeout)
        except (TimeoutError, ChannelClosed):
            return self._window.poll() and self._show_message()
        if self._controls.paused:
            return self._window.poll() and self._show_message()
        self.last = rendered
        return self._show(rendered)

    def _show(self, rendered: Rendered) -> bool:
        image = with_line(rendered.image, line) if (line := self._line()) else rendered.image
        self._statistics.count_handed_over(rendered)
        return self._window.show(image)

    def _show_message(self) -> bool:
        """Say what a key did, also while no new picture comes."""
        if self._controls.message == self._message or self.last is None:
            return True
        line = self._line()
        return self._window.show(with_line(self.last.image, line) if line else self.last.image)

    def _line(self) -> str:
        """What stands below the picture: what the last key did, else the keys, for a while."""
        if self._controls.message != self._message:
            self._message, self._message_left = self._controls.message, _MESSAGE_PICTURES
        self._message_left -= 1
        if self._message and (self._message_left > 0 or self._controls.paused):
            return self._message
        self._help_left -= 1
        if self._help_left == 0:
            self._controls.help = False
        return HELP_LINE if self._controls.help else ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._window.close()


def with_line(image: UInt8Array, line: str) -> UInt8Array:
    """A picture with a line of text below it, outside the picture.

    Args:
        image: uint8 ``[H, W, 3]``, BGR; not written to.
        line: The text.

    Returns:
        uint8 ``[H + line, W, 3]``, a fresh array.
    """
    height, width = image.shape[:2]
    font, size = cv2.FontFace("sans"), text_size(width, height)
    while size > 7 and cv2.getTextSize((0, 0), line, (0, 0), font, size, 400)[2] > width - size:
        size -= 1
    out = np.empty((height + 2 * size, width, 3), np.uint8)
    out[:height] = image
    out[height:] = _PAPER
    cv2.putText(out, line, (size // 2, height + round(1.4 * size)), _INK, font, size, 400)
    return out
