"""`Report`: what happens to a running stream, as lines for a person and as events for a file."""

import math
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping

from rt_seg.errors import EngineError

from .events import Event
from .frame import Rendered
from .live import Observation
from .refine import Refine
from .scribe import Journal
from .state import Status, StreamState

_MOST_LINES = 200  # that wait to be read
_HOLD_SECONDS = 0.3  # of stream time: a state that is left no longer than that goes on, unless for a grave one
_DROPS_EVERY_SECONDS = 1.0  # from one event about a cause to the next
_GRAVE = (StreamState.NO_SIGNAL, StreamState.UNAVAILABLE)


class Report(Observation):
    """Collects what the pipeline's threads tell. Thread-safe as far as the pipeline needs.

    Args:
        status: Where a lost signal is noted.
        journal: Where events go.
        refine: Told of frames that it does not get, and ended with the stream.
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
        self._others: Counter[StreamState] = Counter()  # frames since the state that was told was last shown
        self._left_at = 0.0
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
            self._journal.tell(Event.signal_restored(seconds, gap))
            return
        self._lost_at = seconds
        self._status.lose()
        self._lines.append(f"{seconds:.1f} s  no signal: {reason}")
        self._journal.tell(Event.signal_lost(seconds, self._hide(reason)))

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
        self._seconds, state = rendered.frame.pts_seconds, rendered.state
        if state == self._state:
            self._others.clear()
            return
        if not self._others:
            self._left_at = self._seconds
        self._others[state] += 1
        if self._state is None or state in _GRAVE:
            self._tell_state(state)
        elif self._seconds - self._left_at >= _HOLD_SECONDS:
            self._tell_state(self._others.most_common(1)[0][0])

    def _tell_state(self, state: StreamState) -> None:
        self._journal.tell(Event.state_changed(self._seconds, state, self._state))
        self._state = state
        self._others.clear()

    def on_passed_over(self, seconds: float) -> None:
        """See `Observation`."""
        self._refine.pass_over(seconds)

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
                self._journal.tell(Event.drops(self._seconds, cause, fresh))
                self._dropped[cause], self._told_at[cause] = count, now
