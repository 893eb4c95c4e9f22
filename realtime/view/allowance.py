"""`Allowance`: how often something may be done."""

import time
from collections.abc import Callable


class Allowance:
    """A bucket of tokens: so many at once, and so many a second in the long run. Not thread-safe.

    Args:
        per_second: In the long run.
        burst: At once.
        clock: Seconds that never go back.
    """

    def __init__(self, per_second: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_second
        self._burst = burst
        self._clock = clock
        self._left = float(burst)
        self._at = clock()

    def take(self) -> bool:
        """Whether it may be done once more now."""
        now = self._clock()
        self._left = min(self._left + (now - self._at) * self._per_second, self._burst)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
