"""`Window`: the newest picture on a screen, through OpenCV. For the main thread only, so it is no `Sink`."""

import os
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from typing import Self

import cv2
import numpy as np
import numpy.typing as npt

UInt8Array = npt.NDArray[np.uint8]

_ESCAPE = 27
_END_KEYS = frozenset({_ESCAPE, ord("q"), ord("Q")})
_PROBE_SECONDS = 20.0
# Qt and GTK end the process where a display does not answer or refuses: so another process tries first.
_PROBE = "import cv2; cv2.namedWindow('probe'); cv2.waitKey(1); cv2.destroyAllWindows()"


class Window:
    """A window that q, Esc or its close button end. Only the main thread may use it.

    Args:
        title: Name in its title bar.
        press: Told the code of each key that is pressed; False ends the window. By default q and Esc do.
        pixel_aspect: Width of a pixel over its height: pictures are stretched to their right proportions.
    """

    def __init__(
        self,
        title: str,
        press: Callable[[int], bool] = lambda key: key not in _END_KEYS,
        *,
        pixel_aspect: Fraction = Fraction(1),
    ) -> None:
        # OpenCV's Qt brings no fonts and says so with every window
        os.environ.setdefault("QT_LOGGING_RULES", "default.warning=false")
        self._title = title
        self._press = press
        self._pixel_aspect = pixel_aspect
        self._shown = False
        self._ended = False

    @staticmethod
    def unavailable() -> str | None:
        """Why no window can be opened here, or None if one can. Takes about half a second where a display is set."""
        if not cv2.currentUIFramework():
            return "this OpenCV was built without windows; install opencv-python instead of opencv-python-headless"
        displays = {name: os.environ.get(name, "") for name in ("DISPLAY", "WAYLAND_DISPLAY")}
        if sys.platform == "linux" and not any(displays.values()):
            return "there is no display (neither DISPLAY nor WAYLAND_DISPLAY is set)"
        named = " ".join(f"{name}={value}" for name, value in displays.items() if value)
        try:
            probe = subprocess.run(
                [sys.executable, "-c", _PROBE], capture_output=True, timeout=_PROBE_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            return f"the display does not answer ({named})"
        return f"the display cannot be opened ({named})" if probe.returncode else None

    def show(self, image: UInt8Array) -> bool:
        """Show a picture and handle what the user did.

        Args:
            image: uint8 ``[H, W, 3]``, BGR; read only during the call. The first one sets the window's size, which
                the user may change.

        Returns:
            False once the user ended it; the picture is then not shown.
        """
        if self._ended or self._was_closed():  # imshow would open a closed window again
            self._ended = True
            return False
        image = self._stretched(image)
        if not self._shown:
            cv2.namedWindow(self._title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
            cv2.resizeWindow(self._title, image.shape[1], image.shape[0])
        cv2.imshow(self._title, image)
        self._shown = True
        return self.poll()

    def poll(self) -> bool:
        """Handle what the user did, when there is nothing new to show; False once the user ended it."""
        if self._shown and not self._ended:
            # drawing and the close button are served in waitKey; 1 ms is the shortest wait it knows
            key = cv2.waitKey(1)
            ends = key >= 0 and not self._press(key & 0xFF)
            self._ended = ends or self._was_closed()
        return not self._ended

    def _stretched(self, image: UInt8Array) -> UInt8Array:
        """The picture as a screen should show it: the shorter side of its pixels is drawn out."""
        if self._pixel_aspect == 1:
            return image
        across, down = max(self._pixel_aspect, Fraction(1)), max(1 / self._pixel_aspect, Fraction(1))
        size = round(image.shape[1] * across), round(image.shape[0] * down)
        return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR), np.uint8)

    def _was_closed(self) -> bool:
        if not self._shown:
            return False
        try:
            return cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) < 1
        except cv2.error:  # Qt is gone with its last window
            return True

    def close(self) -> None:
        """Take the window away; a second call does nothing."""
        if self._shown:
            self._shown = False
            self._ended = True
            cv2.destroyAllWindows()
            cv2.waitKey(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
