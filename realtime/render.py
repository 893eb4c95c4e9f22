"""`Render`: from segmentation to the picture that is shown and written."""

import time

from .frame import Rendered, Segmentation, Span
from .hud import Hud, HudState
from .overlay import Overlay
from .statistics import Statistics


class Render:
    """Copies the frame once and draws on the copy. Passive and not thread-safe: one thread calls it.

    Args:
        overlay: Draws the mask.
        hud: Draws the state into a corner, or None for none.
        statistics: Where rate and delay for the HUD come from.
    """

    def __init__(self, overlay: Overlay, hud: Hud | None, statistics: Statistics) -> None:
        self._overlay = overlay
        self._hud = hud
        self._statistics = statistics

    def __call__(self, segmentation: Segmentation) -> Rendered:
        """Draw one frame."""
        start = time.perf_counter_ns()
        frame = segmentation.frame
        image = frame.image.copy()
        self._overlay.draw(image, segmentation)
        if self._hud is not None:
            self._hud.draw(image, self._state(segmentation, start), segmentation.geometry.region)
        end = time.perf_counter_ns()
        spans = {**segmentation.spans, "overlay": Span(start, end)}
        return Rendered(frame, image, segmentation, spans, end)

    def _state(self, segmentation: Segmentation, now_ns: int) -> HudState:
        delay_ms = (now_ns - segmentation.frame.captured_ns) / 1e6
        return HudState(fps=self._statistics.shown.per_second, delay_ms=delay_ms, polyps=len(segmentation.polyps))
