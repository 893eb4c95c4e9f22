"""`Channel`: the bounded hand-over between two stages. Only channels and the pipeline know threads."""

import threading
from collections import deque
from collections.abc import Iterator
from enum import Enum
from typing import Generic, TypeVar

T = TypeVar("T")


class Policy(Enum):
    """What a full channel does with one more item.

    EVERY: the producer waits; nothing is ever lost (a file).
    LATEST: the oldest waiting item is dropped and counted; delay never grows (a live source).
    """

    EVERY = "every"
    LATEST = "latest"


class ChannelClosed(Exception):  # noqa: N818 - an end, not an error
    """Nothing more can be put in (the consumer left) or taken out (the producer ended)."""


class Channel(Generic[T]):
    """A bounded queue that can end, fail and be left, with one of two policies. Thread-safe for any number of threads.

    The producer ends it with `close`, giving an error if it ended by one: consumers first get what is still waiting,
    then `ChannelClosed` or that error. A consumer that gives up calls `cancel`: what waits is discarded and the next
    `put` raises, so that no producer stays blocked in front of a consumer that failed. (`queue.Queue` has `shutdown`
    only from Python 3.13 on.)

    How to read its statistics: `mean_occupancy` close to 0 means that the consumer waits (the stage before is the
    limit), close to `capacity` that the producer waits (the stage behind is).

    Args:
        capacity: Items that may wait, at least 1.
        policy: What a full channel does.
    """

    def __init__(self, capacity: int, policy: Policy = Policy.EVERY) -> None:
        if capacity < 1:
            raise ValueError(f"a channel holds at least one item, got capacity {capacity}")
        self.capacity = capacity
        self.policy = policy
        self._items: deque[T] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._error: BaseException | None = None
        self._puts = 0
        self._dropped = 0
        self._occupancy_sum = 0

    def put(self, item: T) -> None:
        """Hand over an item; waits (EVERY) or drops the oldest one (LATEST) while the channel is full.

        Raises:
            ChannelClosed: The channel was closed or cancelled, also while waiting.
        """
        with self._changed:
            if self.policy is Policy.EVERY:
                self._changed.wait_for(lambda: self._closed or len(self._items) < self.capacity)
            if self._closed:
                raise ChannelClosed
            self._occupancy_sum += len(self._items)
            self._puts += 1
            if len(self._items) >= self.capacity:
                self._items.popleft()
                self._dropped += 1
            self._items.append(item)
            self._changed.notify_all()

    def get(self, timeout: float | None = None) -> T:
        """Take the oldest item; waits for one.

        Args:
            timeout: Longest wait in seconds; None waits for ever.

        Raises:
            ChannelClosed: The producer ended and nothing waits.
            TimeoutError: Nothing came in time.
            BaseException: What the producer gave to `close`.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._items or self._closed, timeout):
                raise TimeoutError
            if self._items:
                item = self._items.popleft()
                self._changed.notify_all()
                return item
            raise self._error if self._error is not None else ChannelClosed

    def __iter__(self) -> Iterator[T]:
        """Take items until the producer ends; raises what it ended by, if by an error."""
        while True:
            try:
                item = self.get()
            except ChannelClosed:
                return
            yield item

    def close(self, error: BaseException | None = None) -> None:
        """End it from the producer's side; the first call counts, later ones do nothing."""
        with self._changed:
            if not self._closed:
                self._closed = True
                self._error = error
                self._changed.notify_all()

    def cancel(self) -> int:
        """Leave it from the consumer's side: discard what waits and refuse what comes; how many were discarded."""
        with self._changed:
            self._closed = True
            discarded = len(self._items)
            self._items.clear()
            self._changed.notify_all()
            return discarded

    @property
    def dropped(self) -> int:
        """Items dropped by LATEST so far; those discarded by `cancel` are not among them."""
        return self._dropped

    @property
    def waiting(self) -> int:
        """Items that wait now."""
        return len(self._items)

    @property
    def mean_occupancy(self) -> float:
        """Items that waited already when one was put, on average."""
        return self._occupancy_sum / self._puts if self._puts else 0.0

    @property
    def fullness(self) -> float:
        """`mean_occupancy` as a share (0-1) of the capacity."""
        return self.mean_occupancy / self.capacity
