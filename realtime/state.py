"""`StreamState`: what a stream is doing, in words for a person. `Status`: the board where threads say what works."""

import threading
from enum import StrEnum


class StreamState(StrEnum):
    """What a stream is doing, the gravest first: only the first that holds is shown."""

    NO_SIGNAL = "no signal"
    UNAVAILABLE = "segmentation unavailable"
    BLACK = "picture black"
    FROZEN = "picture frozen"
    OVEREXPOSED = "picture overexposed"
    BLURRED = "picture blurred"
    WITHHELD = "mask withheld: too old"
    STARTING = "starting"
    SEGMENTING = "segmenting"


class Status:
    """What works and what does not, by the threads that know. Thread-safe.

    Attributes:
        engine: Whether the engine answers.
        picture: What is wrong with the picture, if anything.
        losses: How often the signal was lost: what is known of earlier pictures holds no longer.
        recording: Whether a recording is being written; None where none was asked for.
        stopped: What had to stop, such as ``recording``, and is tried again.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stopped: dict[str, None] = {}  # a set that keeps its order
        self.engine = True
        self.picture: StreamState | None = None
        self.losses = 0
        self.recording: bool | None = None

    @property
    def stopped(self) -> tuple[str, ...]:
        """Names of the outputs that failed and have not come back, in the order in which they failed."""
        with self._lock:
            return tuple(self._stopped)

    def lose(self) -> None:
        """The signal is lost."""
        self.losses += 1
        self.picture = None

    def stop(self, name: str) -> None:
        """An output failed."""
        with self._lock:
            self._stopped[name] = None

    def resume(self, name: str) -> None:
        """It works again."""
        with self._lock:
            self._stopped.pop(name, None)
