"""`Scribe`: writes small things on a thread of its own, so that no picture waits for a disk. `Journal`: the events."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

from rt_seg.errors import OutputError

from .backoff import Backoff
from .channel import Channel, ChannelClosed, Policy
from .events import EventLog

T = TypeVar("T")
Act = Callable[[], object]

_WAITING = 256  # actions that may wait


class Scribe:
    """Does what it is given, in order. Thread-safe.

    Args:
        policy: EVERY: whoever gives something waits where too much waits already; LATEST: the oldest is lost, counted.

    Attributes:
        on_error: Told the name of what failed, and the error.
    """

    def __init__(self, policy: Policy) -> None:
        self.on_error: Callable[[str, BaseException], None] = lambda _name, _error: None
        self._acts: Channel[tuple[str, Act]] = Channel(_WAITING, policy)
        self._thread = threading.Thread(target=self._run, name="rt-seg scribe", daemon=True)
        self._thread.start()

    def put(self, name: str, act: Act) -> None:
        """Have something done; after `close` it is not."""
        try:
            self._acts.put((name, act))
        except ChannelClosed:
            return

    @property
    def dropped(self) -> int:
        """What was lost because the disk could not follow."""
        return self._acts.dropped

    def close(self, timeout: float | None) -> bool:
        """Do what waits, and end; False if that takes longer than the time-out (None: however long)."""
        self._acts.close()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        for name, act in self._acts:
            try:
                act()
            except Exception as exc:  # noqa: BLE001 - whatever it is, it travels to the caller
                self.on_error(name, exc)


class Journal:
    """The event log of a stream, written by the scribe. `tell` is thread-safe.

    Args:
        scribe: Who writes.
        log: The first log; None: nothing is written.
        remake: Makes the log that follows one that failed; None: there is none.
        backoff: The waits before it.
    """

    name = "events"

    def __init__(
        self,
        scribe: Scribe,
        log: EventLog | None,
        remake: Callable[[], EventLog] | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        self.logs = [] if log is None else [log]
        self._scribe = scribe
        self._log = log
        self._wanted = log is not None
        self._remake = remake
        self._backoff = backoff or Backoff()
        self._retry_at = 0.0
        if log is not None:
            self.tell(EventLog.begin)

    def tell(self, event: Callable[[EventLog], None]) -> None:
        """Write an event: a function that calls one of the log's methods."""
        if self._wanted:
            self._scribe.put(self.name, partial(self._write, event))

    def close(self) -> None:
        """Close the log once all is written."""
        self.tell(EventLog.close)

    def _write(self, event: Callable[[EventLog], None]) -> None:
        if self._log is None and self._remake is not None and time.monotonic() >= self._retry_at:
            self._log = self._try(self._remake)
            self.logs.append(self._log)
        log = self._log
        if log is not None:
            self._try(lambda: event(log))

    def _try(self, act: Callable[[], T]) -> T:
        try:
            return act()
        except Exception:
            log, self._log = self._log, None
            self._retry_at = time.monotonic() + self._backoff.next_wait()
            if log is not None:
                with suppress(OutputError):  # the error that is raised counts more
                    log.close()
            raise
