"""`Controls`: what the user may change while a stream runs, and the keys that change it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import get_args

from rt_seg.engines.masks import threshold_level

from .overlay import Style

_STYLES: tuple[Style, ...] = get_args(Style)
_STEP = 0.05  # of the threshold, as a probability
_LEAST, _MOST = 0.05, 0.95
_ESCAPE = 27

HELP_LINE = "o overlay   + - threshold   h HUD   s snapshot   r record   space pause   ? keys   q quit"
"""Every key."""


@dataclass(slots=True)
class Controls:
    """Settings that the window's keys change. Written by the main thread, read by all: each is one plain value.

    Attributes:
        style: How the mask is drawn.
        hud: Whether the HUD is drawn.
        threshold: Probability (0-1) from which a pixel counts as polyp.
        recording: Whether a recording is wanted.
        paused: Whether the picture is held: a file's reading, a live stream's window.
        help: Whether the help line is shown.
        snapshots: How many snapshots were asked for so far.
        message: What the last key did, for the help line's place.
    """

    style: Style = "contour"
    hud: bool = True
    threshold: float = 0.5
    recording: bool = False
    paused: bool = False
    help: bool = True
    snapshots: int = 0
    message: str = ""
    _keys: dict[int, Callable[[], str]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._keys = {
            ord("o"): self._next_style,
            ord("+"): lambda: self._move_threshold(_STEP),
            ord("="): lambda: self._move_threshold(_STEP),  # the same key without shift
            ord("-"): lambda: self._move_threshold(-_STEP),
            ord("h"): self._switch_hud,
            ord("s"): self._snapshot,
            ord("r"): self._switch_recording,
            ord(" "): self._switch_pause,
            ord("?"): self._switch_help,
            ord("/"): self._switch_help,  # the same key without shift
        }

    @property
    def level(self) -> int:
        """The threshold as a uint8 value."""
        return threshold_level(self.threshold)

    def press(self, key: int) -> bool:
        """Do what a key stands for.

        Args:
            key: Its code, as `cv2.waitKey` gives it; upper case counts as lower case.

        Returns:
            False if it ends the stream.
        """
        key = ord(chr(key).lower()) if 0 <= key < 128 else key
        if key in {ord("q"), _ESCAPE}:
            return False
        action = self._keys.get(key)
        if action is not None:
            self.message = action()
        return True

    def _next_style(self) -> str:
        self.style = _STYLES[(_STYLES.index(self.style) + 1) % len(_STYLES)]
        return f"overlay: {self.style}"

    def _move_threshold(self, step: float) -> str:
        self.threshold = round(min(max(self.threshold + step, _LEAST), _MOST), 2)
        return f"threshold: {self.threshold:.2f}"

    def _switch_hud(self) -> str:
        self.hud = not self.hud
        return f"HUD: {'on' if self.hud else 'off'}"

    def _snapshot(self) -> str:
        self.snapshots += 1
        return "snapshot taken"

    def _switch_recording(self) -> str:
        self.recording = not self.recording
        return f"recording: {'on' if self.recording else 'off'}"

    def _switch_pause(self) -> str:
        self.paused = not self.paused
        return "paused" if self.paused else "goes on"

    def _switch_help(self) -> str:
        self.help = not self.help
        return ""
