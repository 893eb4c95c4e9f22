"""`Board`: what the stream is doing, as clients are told it."""

import threading
import time
from collections import deque
from dataclasses import dataclass

from rt_seg.realtime.controls import MODES, MOST_MIN_FRAMES, STYLES, THRESHOLDS, Controls
from rt_seg.realtime.frame import Rendered
from rt_seg.realtime.pipeline import Pipeline
from rt_seg.realtime.state import StreamState
from rt_seg.realtime.statistics import Distribution

_WORDS = {
    StreamState.NO_SIGNAL: "no_signal",
    StreamState.UNAVAILABLE: "unavailable",
    StreamState.BLACK: "black",
    StreamState.FROZEN: "frozen",
    StreamState.OVEREXPOSED: "unassessable",
    StreamState.BLURRED: "unassessable",
    StreamState.WITHHELD: "stale",
    StreamState.STARTING: "live",
    StreamState.SEGMENTING: "live",
}
_OUTPUTS = {"record": "recording"}  # names of sinks in words
_HOLD_SECONDS = 0.3  # of stream time: a state that is over sooner is not kept, unless it is a grave one
_GRAVE = (StreamState.NO_SIGNAL, StreamState.UNAVAILABLE)
_MOST_CHANGES = 2000  # that are remembered, the newest

LIMITS: dict[str, object] = {
    "alpha": [0.0, 1.0, 0.05],
    "threshold": [*THRESHOLDS, 0.01],
    "overlay": list(STYLES),
    "stabilise": list(MODES),
    "min_frames_most": MOST_MIN_FRAMES,
}
"""What a client may choose: ``[least, most, step]`` or the choices."""


@dataclass(slots=True)
class _Change:
    """Since when the stream has been in a state."""

    seconds: float
    state: StreamState


class Board:
    """Reads the stream's parts. Thread-safe; `take` is for one thread.

    Args:
        controls: What clients may change.

    Attributes:
        pipeline: What runs, once it does.
        ended: Whether the stream is over.
        browser_delay: From the frame complete in memory to its picture on a client's screen, as clients report it.
    """

    def __init__(self, controls: Controls) -> None:
        self.pipeline: Pipeline | None = None
        self.ended = False
        self.browser_delay = Distribution()
        self._controls = controls
        self._lock = threading.Lock()
        self._rendered: Rendered | None = None
        self._next: _Change | None = None
        self._changes: deque[_Change] = deque(maxlen=_MOST_CHANGES)
        self._video_ms: float | None = None
        self._annotation_ms: float | None = None
        self._browser_ms: float | None = None

    def take(self, rendered: Rendered) -> bool:
        """Note a picture that is handed over now; True if the state is another one than before."""
        now = time.perf_counter_ns()
        before, self._rendered = self._rendered, rendered
        if rendered.signal:
            shown = rendered.segmentation
            self._video_ms = (now - rendered.frame.captured_ns) / 1e6
            self._annotation_ms = None if shown is None else (now - shown.frame.captured_ns) / 1e6
        self._remember(_Change(rendered.frame.pts_seconds, rendered.state))
        return before is None or before.state is not rendered.state

    def _remember(self, now: _Change) -> None:
        if self._next is None or now.state is not self._next.state:
            self._next = now
        held = now.seconds - self._next.seconds >= _HOLD_SECONDS
        with self._lock:
            last = self._changes[-1].state if self._changes else None
            if now.state is not last and (held or last is None or now.state in _GRAVE):
                self._changes.append(self._next)

    def add_browser_delay(self, milliseconds: float) -> None:
        """A client says how old a picture was when it was on its screen."""
        self._browser_ms = milliseconds
        self.browser_delay.add(round(milliseconds * 1e6))

    @property
    def ready(self) -> bool:
        """Whether pictures come, and the engine works."""
        rendered, pipeline = self._rendered, self.pipeline
        return rendered is not None and rendered.signal and pipeline is not None and pipeline.status.engine

    @property
    def seconds(self) -> float:
        """Stream time of the newest picture."""
        return 0.0 if self._rendered is None else self._rendered.frame.pts_seconds

    def history(self) -> list[dict[str, object]]:
        """The states so far, oldest first."""
        with self._lock:
            changes = list(self._changes)
        return [
            {"time": round(change.seconds, 3), "state": _WORDS[change.state], "message": change.state.value}
            for change in changes
        ]

    def state(self, clients: int) -> dict[str, object]:
        """All figures, as JSON values; those that are not known yet are None."""
        pipeline, rendered = self.pipeline, self._rendered
        word, message = self._word(rendered)
        told: dict[str, object] = {
            "time": round(self.seconds, 3),
            "state": word,
            "message": message,
            "polyps": None if rendered is None or rendered.segmentation is None else len(rendered.segmentation.polyps),
            "clients": clients,
            "browser_delay_ms": _delay(self._browser_ms, self.browser_delay),
        }
        return told if pipeline is None else told | self._figures(pipeline)

    def _word(self, rendered: Rendered | None) -> tuple[str, str]:
        if self.ended:
            return "ended", "the stream has ended"
        if self._controls.paused:
            return "paused", "the picture is held"
        if rendered is None:
            return "live", "waiting for the first picture"
        stopped = () if self.pipeline is None else self.pipeline.status.stopped
        lines = [rendered.state.value, *(f"{_OUTPUTS.get(name, name)} stopped" for name in stopped)]
        return _WORDS[rendered.state], "; ".join(lines)

    def _figures(self, pipeline: Pipeline) -> dict[str, object]:
        statistics = pipeline.statistics
        fps = statistics.recent.per_second
        return {
            "fps": None if fps is None else round(fps, 2),
            "video_delay_ms": _delay(self._video_ms, statistics.video_delay),
            "annotation_delay_ms": _delay(self._annotation_ms, statistics.annotation_delay),
            "frames": {"in": pipeline.frames_in, "out": pipeline.frames_out},
            "dropped": pipeline.dropped,
            "recording": bool(pipeline.status.recording),
        }


def _delay(last: float | None, distribution: Distribution) -> dict[str, float | None]:
    percentiles = distribution.percentiles()
    return {"last": None if last is None else round(last, 1), "p50": percentiles.p50, "p99": percentiles.p99}
