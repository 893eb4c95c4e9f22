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
from .events import Event, EventLog

T = TypeVar("T")
Act = Callable[[], object]

_WAITING = 256  # actions that may wait


class Scribe:
    """Does what it is given, in order, once it was started. Thread-safe.

    Args:
        name: What it writes, for a person.
        policy: EVERY: whoever gives something waits where too much waits already; LATEST: the oldest is lost, counted.
        waiting: So many actions may wait.
    """

    def __init__(self, name: str, policy: Policy, waiting: int = _WAITING) -> None:
        self.name = name
        self._acts: Channel[Act] = Channel(waiting, policy)
        self._failed = 0
        self._left = 0
        self._busy = False
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name=f"rt-seg {name}", daemon=True)

    def start(self, on_error: Callable[[str, BaseException], None], on_works: Callable[[str], None]) -> None:
        """Start the thread: nothing is done before somebody hears of errors.

        Args:
            on_error: Told the name, and what went wrong.
            on_works: Told the name when something is done again after an error.
        """
        self._on_error, self._on_works = on_error, on_works
        self._thread.start()

    def put(self, act: Act) -> None:
        """Have something done; after `close` it is not. An action says by False that it could not be done yet."""
        with suppress(ChannelClosed):
            self._acts.put(act)

    @property
    def lost(self) -> dict[str, int]:
        """What was not done, by cause: under the name what the disk was too slow for, with ``stopped`` what failed."""
        return {self.name: self._acts.dropped + self._left, f"{self.name} stopped": self._failed}

    def close(self, timeout: float | None) -> bool:
        """Do what waits, and end; False if that takes longer than the time-out (None: however long)."""
        self._acts.close()
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def abandon(self) -> int:
        """Leave undone what still waits after `close`; how much that is."""
        self._left = self._busy + self._acts.cancel()
        return self._left

    def _run(self) -> None:
        self._try(self._begin)
        for act in self._acts:
            self._busy = True
            self._failed += not self._try(act)
            self._busy = False
        self._try(self._end)

    def _try(self, act: Act) -> bool:
        try:
            done = act() is not False
        except Exception as exc:  # noqa: BLE001 - whatever it is, it travels to the caller
            self._stopped = True
            self._on_error(self.name, exc)
            return False
        if done and self._stopped:
            self._stopped = False
            self._on_works(self.name)
        return done

    def _begin(self) -> object:
        """Done first, and never lost."""
        return False

    def _end(self) -> object:
        """Done last."""
        return False


class Journal(Scribe):
    """The event log of a stream. `tell` is thread-safe.

    Args:
        policy: See `Scribe`.
        log: The first log; None: nothing is written.
        remake: Makes the log that follows one that failed; None: there is none.
        backoff: The waits before it.
    """

    def __init__(
        self,
        policy: Policy,
        log: EventLog | None,
        remake: Callable[[], EventLog] | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        super().__init__("events", policy)
        self.logs = [] if log is None else [log]
        self._log = log
        self._wanted = log is not None
        self._remake = remake
        self._backoff = backoff or Backoff()
        self._retry_at = 0.0

    def tell(self, event: Event) -> None:
        """Write an event."""
        if self._wanted:
            self.put(partial(self._write, event))

    def _write(self, event: Event) -> bool:
        if self._log is None and self._remake is not None and time.monotonic() >= self._retry_at:
            self._log = self._attempt(self._remake)
            self.logs.append(self._log)
        log = self._log
        if log is None:
            return False
        self._attempt(lambda: log.add(event))
        return True

    def _begin(self) -> object:
        return False if self._log is None else self._attempt(self._log.begin)

    def _end(self) -> object:
        return False if self._log is None else self._attempt(self._log.close)

    def _attempt(self, act: Callable[[], T]) -> T:
        try:
            return act()
        except Exception:
            log, self._log = self._log, None
            self._retry_at = time.monotonic() + self._backoff.next_wait()
            if log is not None:
                with suppress(OutputError):  # the error that is raised counts more
                    log.close()
            raise
