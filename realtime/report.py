"""`Report`: what happens to a running stream, as lines for a person and as events for a file."""

import math
import time
from collections import deque
from collections.abc import Callable, Mapping

from rt_seg.errors import EngineError

from .events import EventLog
from .frame import Rendered
from .live import Observation
from .refine import Refine
from .scribe import Journal
from .state import Status, StreamState

_MOST_LINES = 200  # that wait to be read
_HOLD_SECONDS = 0.3  # of stream time: a state that is over sooner is no event, unless it is a grave one
_DROPS_EVERY_SECONDS = 1.0  # from one event about a cause to the next
_GRAVE = (StreamState.NO_SIGNAL, StreamState.UNAVAILABLE)


class Report(Observation):
    """Collects what the pipeline's threads tell. Thread-safe as far as the pipeline needs.

    Args:
        status: Where a lost signal is noted.
        journal: Where events go.
        refine: Ended with the stream.
        clock: Seconds, for events that may not come too often.
        hide: What a text must pass before it is written; see `without_source`.
    """

    def __init__(
        self,
        status: Status,
        journal: Journal,
        refine: Refine,
        clock: Callable[[], float] = time.monotonic,
        *,
        hide: Callable[[str], str] = str,
    ) -> None:
        self._status = status
        self._journal = journal
        self._refine = refine
        self._clock = clock
        self._hide = hide
        self._lines: deque[str] = deque(maxlen=_MOST_LINES)
        self._state: StreamState | None = None
        self._next: StreamState | None = None
        self._next_since = 0.0
        self._lost_at = 0.0
        self._seconds: float | None = None
        self._engine = ""
        self._dropped: dict[str, int] = {}  # as far as it was told
        self._told_at: dict[str, float] = {}

    def take_lines(self) -> list[str]:
        """The lines that came since the last call."""
        lines: list[str] = []
        while self._lines:
            lines.append(self._lines.popleft())
        return lines

    def on_signal(self, present: bool, reason: str, seconds: float) -> None:
        """See `Observation`."""
        if present:
            gap = f"after {seconds - self._lost_at:.1f} s"
            self._lines.append(f"{seconds:.1f} s  signal is back {gap}")
            self._journal.tell(lambda log: log.signal_restored(seconds, gap))
            return
        self._lost_at = seconds
        self._status.lose()
        self._lines.append(f"{seconds:.1f} s  no signal: {reason}")
        self._journal.tell(lambda log: log.signal_lost(seconds, self._hide(reason)))

    def on_engine(self, error: EngineError | None) -> None:
        """See `Observation`."""
        text = "segmentation is back" if error is None else f"segmentation unavailable: {error}"
        if text != self._engine:  # each attempt may fail in the same way
            self._engine = text
            self._lines.append(text)

    def on_output(self, name: str, error: BaseException) -> None:
        """See `Observation`."""
        self._lines.append(f"{name} stopped: {error}")

    def on_shown(self, rendered: Rendered) -> None:
        """See `Observation`."""
        seconds, state = rendered.frame.pts_seconds, rendered.state
        self._seconds = seconds
        if state != self._next:
            self._next, self._next_since = state, seconds
        held = seconds - self._next_since >= _HOLD_SECONDS
        if state != self._state and (held or self._state is None or state in _GRAVE):
            previous, self._state = self._state, state
            self._journal.tell(lambda log: log.state_changed(seconds, state, previous))

    def on_seen_last(self) -> None:
        """See `Observation`."""
        self._refine.end()

    def tell_drops(self, dropped: Mapping[str, int], *, last: bool = False) -> None:
        """Write what was dropped since the last event of each cause: the first at once, then one a second.

        Args:
            dropped: Frames lost so far, by cause.
            last: Whether the stream is over: nothing is kept for later.
        """
        now = self._clock()
        for cause, count in dropped.items():
            fresh = count - self._dropped.get(cause, 0)
            due = last or now - self._told_at.get(cause, -math.inf) >= _DROPS_EVERY_SECONDS
            if fresh > 0 and due:
                self._journal.tell(_drops(self._seconds, cause, fresh))
                self._dropped[cause], self._told_at[cause] = count, now


def _drops(seconds: float | None, cause: str, count: int) -> Callable[[EventLog], None]:
    return lambda log: log.drops(seconds, cause, count)
