"""`Upkeep`: how a live source is kept up; `capture.py` does it."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from .backoff import Backoff
from .sources.selection import Selection
from .sources.source import Source

_HUNG_SECONDS = 20.0  # a call into a driver that takes longer never returns; FFmpeg's own time-outs are shorter


@dataclass(frozen=True, slots=True)
class Upkeep:
    """How a live source is kept up.

    Attributes:
        reopen: Opens it again; None where its end is an end.
        signal_timeout: Seconds without a picture after which the signal is lost.
        reconnect: Attempts after a loss before the stream ends; None: for ever.
        selection: Which part of the stream is wanted; over all connections.
        backoff: The waits between attempts.
        hung_seconds: How long a call into the source may take before its thread is given up.
        stopped: Set by `Capture.stop`; a source that waits by itself may wait for it.
    """

    reopen: Callable[[], Source] | None = None
    signal_timeout: float = 2.0
    reconnect: int | None = None
    selection: Selection = field(default_factory=Selection)
    backoff: Callable[[], Backoff] = Backoff
    hung_seconds: float = _HUNG_SECONDS
    stopped: threading.Event = field(default_factory=threading.Event)
