"""The window, on a display made for the test."""

import os
import shutil
import subprocess
import sys

import cv2
import pytest

from rt_seg.realtime.sinks.window import Window

pytestmark = pytest.mark.slow  # most of them run a whole process or stream

# Qt keeps its display for the life of a process, so each case runs in one of its own.
SHOW = """
import sys
import cv2
import numpy as np
from rt_seg.realtime.sinks.window import Window

assert Window.unavailable() is None, Window.unavailable()
window = Window("rt-seg test")
image = np.full((120, 160, 3), (0, 0, 255), np.uint8)
shown = [window.show(image) for _ in range(5)]
assert shown == [True] * 5, shown
assert window.poll()
"""
CLOSED = """
cv2.destroyWindow("rt-seg test")
cv2.waitKey(50)
assert not window.show(image)
assert not window.poll()
window.close()
window.close()
"""
KEY = """
import subprocess
key = sys.argv[1]
ended = False
for attempt in range(10):
    found = subprocess.run(["xdotool", "search", "--name", "rt-seg test"], capture_output=True, text=True)
    if found.stdout.strip():
        identifier = found.stdout.split()[-1]
        subprocess.run(["xdotool", "windowfocus", identifier, "key", key], check=True)
        ended = not window.show(image) or not window.poll()
        if ended:
            break
print("ended" if ended else "open")
window.close()
"""
SIZE = """
import sys
from fractions import Fraction
import cv2
import numpy as np
from rt_seg.realtime.sinks.window import Window

with Window("rt-seg test", pixel_aspect=Fraction(sys.argv[1])) as window:
    assert window.show(np.zeros((270, 360, 3), np.uint8))
    cv2.waitKey(50)
    print(*cv2.getWindowImageRect("rt-seg test")[2:])
"""


def _run(program: str, display: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "DISPLAY": display}
    environment.pop("WAYLAND_DISPLAY", None)
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)


def test_without_a_display_there_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable, no window, no crash."""
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert "no display" in (Window.unavailable() or "")


def test_a_dead_display_is_a_reason_and_no_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    """Qt would end the process where nobody answers: it is tried in another one."""
    monkeypatch.setenv("DISPLAY", ":9876")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert ":9876" in (Window.unavailable() or "")


def test_an_opencv_without_windows_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """The headless build is told from the full one."""
    monkeypatch.setattr(cv2, "currentUIFramework", lambda: "")
    assert "opencv-python" in (Window.unavailable() or "")


def test_pictures_are_shown_until_the_window_is_closed(display: str) -> None:
    """A closed window stays closed: the next picture does not open it again. Qt's talk of fonts is not heard."""
    done = _run(SHOW + CLOSED, display)
    assert done.returncode == 0, done.stderr
    assert "QFont" not in done.stderr


@pytest.mark.parametrize(("key", "result"), [("q", "ended"), ("Escape", "ended"), ("x", "open")])
def test_keys(key: str, result: str, display: str) -> None:
    """Q and Esc end it, other keys do not."""
    if shutil.which("xdotool") is None:
        pytest.skip("xdotool is not installed (apt-get install xdotool)")
    done = _run(SHOW + KEY, display, key)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == result


@pytest.mark.parametrize(("pixel_aspect", "proportions"), [("1", 4 / 3), ("4/3", 16 / 9), ("3/4", 1.0)])
def test_pixels_that_are_not_square_are_drawn_out(pixel_aspect: str, proportions: float, display: str) -> None:
    """An anamorphic picture is shown in its right proportions, whatever size the window gets."""
    done = _run(SIZE, display, pixel_aspect)
    assert done.returncode == 0, done.stderr
    width, height = map(int, done.stdout.split())
    assert width / height == pytest.approx(proportions, rel=0.02)
