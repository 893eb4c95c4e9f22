"""`Broadcaster`: tells every client what changed."""

import asyncio
from collections import deque
from typing import Literal

from .board import Board
from .book import SightingBook
from .viewers import Json, Viewers

Level = Literal["info", "warning", "error"]

_TICK_SECONDS = 0.2
_MOST_NOTICES = 64  # that wait to be told


class Broadcaster:
    """Compares how things stand with what was told last. For one event loop, but for `notice`.

    Args:
        viewers: Who is told.
        board: The stream's state.
        book: Its sightings.
    """

    def __init__(self, viewers: Viewers, board: Board, book: SightingBook) -> None:
        self._viewers = viewers
        self._board = board
        self._book = book
        self._controls: Json = {}
        self._notices: deque[Json] = deque(maxlen=_MOST_NOTICES)
        self._wake = asyncio.Event()
        self.end: Json | None = None

    def notice(self, level: Level, text: str) -> None:
        """Have something said to those who look now. Thread-safe."""
        self._notices.append({"type": "notice", "level": level, "text": text})

    def wake(self) -> None:
        """Something changed that clients should know at once."""
        self._wake.set()

    def state(self) -> Json:
        """The message of how the stream stands."""
        return {"type": "state", **self._board.state(self._viewers.count)}

    async def run(self) -> None:
        """Tell until cancelled."""
        while True:
            self._tell()
            try:
                async with asyncio.timeout(_TICK_SECONDS):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()

    def _tell(self) -> None:
        controls = self._viewers.desk.controls.values()
        if controls != self._controls:
            self._controls = controls
            self._viewers.tell({"type": "controls", **controls})
        for entry in self._book.take_changes():
            self._viewers.tell({"type": "sighting", **entry.as_dict()})
        while self._notices:
            self._viewers.tell(self._notices.popleft())
        if self._viewers.count:
            self._viewers.tell(self.state())

    def finish(self, end: Json) -> None:
        """The stream is over: tell all that is left of it, then the end."""
        self._tell()
        self.end = end
        self._viewers.tell(end)
