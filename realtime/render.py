"""`Render`: from a frame and what is known of it to the picture that is shown and written."""

import time
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .controls import Controls
from .follow import Follow
from .frame import Rendered, Segmentation, Showing, Span
from .hud import Hud, HudState, draw_no_signal
from .overlay import Overlay
from .state import Status, StreamState
from .statistics import Statistics

if TYPE_CHECKING:
    from rt_seg.engines.geometry import Box

UInt8Array = npt.NDArray[np.uint8]


class Render:
    """Draws on a copy of the frame, or on the frame. Passive and not thread-safe: one thread calls it.

    Args:
        overlay: Draws the mask.
        hud: Draws the state into a corner.
        controls: What the user may change meanwhile.
        statistics: Where the rate for the HUD comes from.
        status: What works and what does not.
        follow: Chooses the mask of frames that do not wait for their own; None: a frame's segmentation is its own.
        last: Whether nobody wants a frame without overlay any more once it comes here: no thread that still works on
            it, no sink, no window whose key keeps it. Pictures that were given away (see `Frame`) are then drawn on
            themselves: copying 6 MB takes as long as all that is drawn on a 1080p frame.
    """

    def __init__(
        self,
        overlay: Overlay,
        hud: Hud,
        controls: Controls,
        statistics: Statistics,
        status: Status,
        *,
        follow: Follow | None = None,
        last: bool = False,
    ) -> None:
        self._overlay = overlay
        self._hud = hud
        self._controls = controls
        self._statistics = statistics
        self._status = status
        self._follow = follow
        self._last = last
        self._field: Box | None = None
        self._size = (0, 0)

    def __call__(self, showing: Showing) -> Rendered:
        """Draw one frame."""
        start = time.perf_counter_ns()
        if not showing.signal:
            return self._stand_in(showing)
        segmentation = self._chosen(showing)
        state = self._state(showing, segmentation)
        frame = showing.frame
        image = frame.image if self._last and frame.given_away else frame.image.copy()
        if segmentation is not None:
            self._overlay.style = self._controls.style
            if self._overlay.alpha != self._controls.alpha:
                self._overlay.alpha = self._controls.alpha
            self._overlay.draw(image, segmentation)
        self._draw_hud(image, state, segmentation)
        end = time.perf_counter_ns()
        spans = {**showing.spans, **({} if segmentation is None else segmentation.spans), "overlay": Span(start, end)}
        return Rendered(frame, image, segmentation, spans, end, state)

    def _stand_in(self, showing: Showing) -> Rendered:
        image = showing.frame.image.copy()
        draw_no_signal(image)
        self._draw_hud(image, StreamState.NO_SIGNAL, None)
        return Rendered(showing.frame, image, None, {}, time.perf_counter_ns(), StreamState.NO_SIGNAL, signal=False)

    def _chosen(self, showing: Showing) -> Segmentation | None:
        newest = showing.segmentation
        if newest is not None:
            self._field = newest.geometry.region
            self._size = (newest.geometry.frame_width, newest.geometry.frame_height)
        if newest is None or self._follow is None:
            return newest
        return self._follow(showing.frame, newest)

    def _state(self, showing: Showing, segmentation: Segmentation | None) -> StreamState:
        """The gravest of what holds. What is marked by an engine that failed since is still marked."""
        if segmentation is None and (self._follow is None or not self._status.engine):
            return StreamState.UNAVAILABLE
        if self._status.picture is not None:
            return self._status.picture
        if segmentation is not None:
            return StreamState.SEGMENTING
        return StreamState.STARTING if showing.segmentation is None else StreamState.WITHHELD

    def _draw_hud(self, image: UInt8Array, state: StreamState, segmentation: Segmentation | None) -> None:
        if not self._controls.hud:
            return
        delay_ms = polyps = None
        if segmentation is not None:
            delay_ms = (time.perf_counter_ns() - segmentation.frame.captured_ns) / 1e6
            polyps = len(segmentation.polyps)
        field = self._field if self._size == (image.shape[1], image.shape[0]) else None
        fps = self._statistics.recent.per_second if state is not StreamState.NO_SIGNAL else None
        said = HudState(fps, delay_ms, polyps, state, self._status.recording, self._status.stopped)
        self._hud.draw(image, said, field)
