"""`Lateness`: which pictures of a live stream to leave out, where reading them cannot keep up with the sender."""

_LOOK_SECONDS = 0.5  # from one look at whether reading keeps up to the next
_WAITING_SHARE = 0.1  # of that time spent waiting for data: then all that was sent has been read
_LATE, _CAUGHT_UP = 0.3, 0.1  # seconds behind the sender from which pictures are left out, and until when
_FAR_BEHIND = 2.0  # seconds from which not even decoding keeps up
_SHOWN_EVERY = 0.2  # seconds: a picture that is late is better than none for long


class Lateness:
    """Compares a stream's own time with the clock. Passive and not thread-safe; all times are in seconds.

    What a sender or the way delays, nobody here can make up for, and it is not counted: who waits for data is up with
    the sender. Where nobody ever waits and stream time falls behind the clock, decoding is too slow, and what was sent
    piles up before it: without leaving pictures out, the delay would grow without end.
    """

    def __init__(self) -> None:
        self._left_out = 0
        self._waited = 0.0
        self._looked_at: float | None = None
        self._keeps_up = True
        self._least: float | None = None
        self._behind = 0.0
        self._late = False
        self._shown_at = 0.0

    @property
    def far_behind(self) -> bool:
        """Whether all up to the next key frame should be left out undecoded."""
        return self._behind > _FAR_BEHIND

    def note_read(self, start: float, end: float) -> None:
        """Data was read: when it was asked for, and when it was there, by the same clock as below."""
        self._waited += end - start
        if self._looked_at is None:
            self._looked_at = start
        if end - self._looked_at >= _LOOK_SECONDS:
            self._keeps_up = self._waited > _WAITING_SHARE * (end - self._looked_at)
            self._waited, self._looked_at = 0.0, end

    def leaves_out(self, seconds: float, now: float) -> bool:
        """Whether a picture is to be left out.

        Args:
            seconds: Its stream time.
            now: The time, by any clock that goes on steadily.
        """
        lag = now - seconds
        if self._least is None or self._keeps_up or lag < self._least:
            self._least = lag
        self._behind = lag - self._least
        self._late = self._behind > (_CAUGHT_UP if self._late else _LATE)
        if self._late and now - self._shown_at < _SHOWN_EVERY:
            self._left_out += 1
            return True
        self._shown_at = now
        return False

    def leave_out(self) -> None:
        """Another one was left out, undecoded."""
        self._left_out += 1

    def take_left_out(self) -> int:
        """How many were left out since the last call."""
        left_out, self._left_out = self._left_out, 0
        return left_out
