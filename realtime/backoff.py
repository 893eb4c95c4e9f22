"""`Backoff`: how long to wait before the next attempt."""

import random
from collections.abc import Callable


class Backoff:
    """Waits that double from attempt to attempt, each shortened at random so that many clients do not knock at once.

    Passive and not thread-safe.

    Args:
        first_seconds: The first wait.
        longest_seconds: No wait is longer.
        jitter: Gives a number from 0 to 1: by how much of its half a wait is shortened.
    """

    def __init__(
        self,
        first_seconds: float = 0.5,
        longest_seconds: float = 30.0,
        # not for secrets: it only spreads attempts
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._first = first_seconds
        self._longest = longest_seconds
        self._jitter = jitter
        self.attempts = 0

    def next_wait(self) -> float:
        """Seconds to wait before the attempt that follows; counts it."""
        wait = min(self._first * 2.0 ** min(self.attempts, 60), self._longest)
        self.attempts += 1
        return wait * (1 - 0.5 * self._jitter())

    def reset(self) -> None:
        """It worked: the next trouble begins with the first wait again."""
        self.attempts = 0
