"""`Controls`: what the user may change while a stream runs, by the window's keys or in the live view."""

import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from rt_seg.engines.masks import threshold_level
from rt_seg.errors import InputError

from .overlay import Style
from .stabilise import Mode

STYLES: tuple[Style, ...] = get_args(Style)
"""Every overlay style, in the order in which the key goes through them."""

MODES: tuple[Mode, ...] = get_args(Mode)
"""Every way to hold masks still."""

THRESHOLDS = (0.05, 0.95)
"""The least and the highest threshold that can be chosen while a stream runs: at 0 all is polyp, at 1 nothing is."""

MOST_MIN_FRAMES = 60
"""The largest N of K/N that can be chosen while a stream runs."""

_STEP = 0.05  # of the threshold, as a probability
_ESCAPE = 27

HELP_LINE = "o overlay   + - threshold   h HUD   s snapshot   r record   space pause   ? keys   q quit"
"""Every key."""


@dataclass(slots=True)
class Controls:
    """Settings that keys and clients change. Each is one plain value, which all threads read; changes take turns.

    Attributes:
        style: How the mask is drawn.
        alpha: Opacity (0-1) of fill and heatmap.
        hud: Whether the HUD is drawn.
        threshold: Probability (0-1) from which a pixel counts as polyp.
        stabilise: How much masks are held still.
        min_frames: K and N: a polyp is drawn once K of the last N frames showed it.
        recording: Whether a recording is wanted.
        paused: Whether the picture is held: a file's reading, a live stream's window and view.
        help: Whether the help line is shown.
        snapshots: How many snapshots were asked for so far.
        message: What the last key or client did, for the help line's place.
    """

    style: Style = "contour"
    alpha: float = 0.4
    hud: bool = True
    threshold: float = 0.5
    stabilise: Mode = "light"
    min_frames: tuple[int, int] = (2, 3)
    recording: bool = False
    paused: bool = False
    help: bool = True
    snapshots: int = 0
    message: str = ""
    _keys: dict[int, Callable[[], str]] = field(init=False, repr=False)
    _lock: threading.Lock = field(init=False, repr=False, default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._keys = {
            ord("o"): self._next_style,
            ord("+"): lambda: self._move_threshold(_STEP),
            ord("="): lambda: self._move_threshold(_STEP),  # the same key without shift
            ord("-"): lambda: self._move_threshold(-_STEP),
            ord("h"): lambda: self._switch("hud"),
            ord("s"): self._snapshot,
            ord("r"): lambda: self._switch("recording"),
            ord(" "): lambda: self._switch("paused"),
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
            with self._lock:
                self.message = action()
        return True

    def values(self) -> dict[str, object]:
        """All that `change` knows, as JSON values."""
        return {
            "overlay": self.style,
            "alpha": self.alpha,
            "threshold": self.threshold,
            "stabilise": self.stabilise,
            "min_frames": "{}/{}".format(*self.min_frames),
            "hud": self.hud,
            "recording": self.recording,
            "paused": self.paused,
        }

    def change(self, wanted: Mapping[str, object]) -> None:
        """Set some of `values`; all of them or, where one cannot be used, none.

        Args:
            wanted: JSON values by name.

        Raises:
            InputError: An unknown name, or a value that cannot be used.
        """
        checked = [_checked(name, value) for name, value in wanted.items()]
        with self._lock:
            for attribute, value in checked:
                setattr(self, attribute, value)
                self.message = _said(attribute, value)

    def take_snapshot(self) -> None:
        """Ask for one."""
        with self._lock:
            self.message = self._snapshot()

    def _next_style(self) -> str:
        self.style = STYLES[(STYLES.index(self.style) + 1) % len(STYLES)]
        return _said("style", self.style)

    def _move_threshold(self, step: float) -> str:
        self.threshold = round(min(max(self.threshold + step, THRESHOLDS[0]), THRESHOLDS[1]), 2)
        return _said("threshold", self.threshold)

    def _switch(self, attribute: str) -> str:
        setattr(self, attribute, not getattr(self, attribute))
        return _said(attribute, getattr(self, attribute))

    def _snapshot(self) -> str:
        self.snapshots += 1
        return "snapshot taken"

    def _switch_help(self) -> str:
        self.help = not self.help
        return ""


def parse_min_frames(text: str) -> tuple[int, int]:
    """Read ``K/N`` (K frames of the last N), or ``K`` for K in a row.

    Raises:
        InputError: It is something else.
    """
    found = re.fullmatch(r"([0-9]{1,3})(?:/([0-9]{1,3}))?", text.strip())
    needed, window = (0, 0) if found is None else (int(found[1]), int(found[2] or found[1]))
    if not 1 <= needed <= window:
        raise InputError(f"min frames {text[:20]!r} is not K/N with 1 <= K <= N, such as 3/5")
    return needed, window


def _said(attribute: str, value: Any) -> str:
    """What was changed, for a person."""
    if attribute == "paused":
        return "paused" if value else "goes on"
    name = {"style": "overlay", "hud": "HUD", "alpha": "opacity", "min_frames": "min frames"}.get(attribute, attribute)
    if isinstance(value, bool):
        return f"{name}: {'on' if value else 'off'}"
    if attribute == "min_frames":
        return f"{name}: {value[0]}/{value[1]}"
    return f"{name}: {value:.2f}" if isinstance(value, float) else f"{name}: {value}"


def _checked(name: str, value: object) -> tuple[str, Any]:
    """The attribute and its value."""
    check = _CHECKS.get(name)
    if check is None:
        raise InputError(f"{name[:40]!r} is none of the controls {', '.join(_CHECKS)}")
    attribute, read = check
    return attribute, read(name, value)


def _choice(*choices: str) -> Callable[[str, object], str]:
    def read(name: str, value: object) -> str:
        if not isinstance(value, str) or value not in choices:
            raise InputError(f"{name} is one of {', '.join(choices)}")
        return value

    return read


def _number(least: float, most: float) -> Callable[[str, object], float]:
    def read(name: str, value: object) -> float:
        # a boolean is an int to Python; what is no number fails every comparison
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            raise InputError(f"{name} is a number from {least:g} to {most:g}")
        return round(float(value), 3)

    return read


def _flag(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise InputError(f"{name} is true or false")
    return value


def _few_frames(name: str, value: object) -> tuple[int, int]:
    if not isinstance(value, str):
        raise InputError(f"{name} is K/N in quotes, such as 3/5")
    needed, window = parse_min_frames(value)
    if window > MOST_MIN_FRAMES:
        raise InputError(f"{name} looks back {MOST_MIN_FRAMES} frames at most")
    return needed, window


_CHECKS: dict[str, tuple[str, Callable[[str, object], Any]]] = {
    "overlay": ("style", _choice(*STYLES)),
    "alpha": ("alpha", _number(0.0, 1.0)),
    "threshold": ("threshold", _number(*THRESHOLDS)),
    "stabilise": ("stabilise", _choice(*MODES)),
    "min_frames": ("min_frames", _few_frames),
    "hud": ("hud", _flag),
    "recording": ("recording", _flag),
    "paused": ("paused", _flag),
}
