"""`Report`: what happens to a running stream, as lines for a person and as events for a file."""

from collections import deque

from rt_seg.errors import EngineError

from .frame import Rendered
from .pipeline import Observation

_MOST_LINES = 200  # that wait to be read


class Report(Observation):
    """Collects what the pipeline's threads tell. Thread-safe."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=_MOST_LINES)

    def take_lines(self) -> list[str]:
        """The lines that came since the last call."""
        lines: list[str] = []
        while self._lines:
            lines.append(self._lines.popleft())
        return lines

    def on_signal(self, present: bool, reason: str, seconds: float) -> None:
        """See `Observation`."""
        self._lines.append(f"{seconds:.1f} s  signal is back" if present else f"{seconds:.1f} s  no signal: {reason}")

    def on_engine(self, error: EngineError | None) -> None:
        """See `Observation`."""
        text = "segmentation is back" if error is None else f"segmentation unavailable: {error}"
        self._lines.append(text)

    def on_output(self, name: str, error: BaseException) -> None:
        """See `Observation`."""
        self._lines.append(f"{name} stopped: {error}")

    def on_shown(self, rendered: Rendered) -> None:
        """See `Observation`."""
