"""`Viewer`: one client on a WebSocket. `Viewers`: all of them, and those who watch the MJPEG. All on one event loop."""

import asyncio
import json
import time
from collections import deque
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from rt_seg.errors import InputError
from rt_seg.realtime.controls import Controls

from .allowance import Allowance
from .board import Board
from .messages import MalformedError, Message, Ping, Set, Shown, TakeSnapshot, read_message
from .picture import Picture, PictureFeed

MOST_VIEWERS = 16
"""Clients that may look at once: each costs the processor time that the engine needs, too."""

CREDIT = 2
"""Pictures that may be on their way to a client: one that is shown, one that comes."""

_MOST_WAITING = 256  # messages; a client that lets more wait is cut off and begins anew
_SEND_SECONDS = 10.0  # a client that takes nothing for so long is cut off
_CLOSE_POLICY, _CLOSE_GOING, _CLOSE_BUSY = 1008, 1001, 1013

Json = Mapping[str, object]


class ViewerGone(Exception):  # noqa: N818 - an end, not an error
    """A client is cut off.

    Attributes:
        code: Of the WebSocket's close.
        reason: For people.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Desk:
    """What viewers share.

    Attributes:
        feed: Where pictures come from.
        board: Where delays are reported.
        controls: What they may change.
        greet: The messages a new client begins with.
        on_controls: Called after one changed something.
        send_seconds: A client that takes nothing for so long is cut off.
    """

    feed: PictureFeed
    board: Board
    controls: Controls
    greet: Callable[[], list[Json]]
    on_controls: Callable[[], None]
    send_seconds: float = _SEND_SECONDS


class Viewer:
    """Serves one client: the newest picture when it has shown the last ones, and messages in their order.

    Args:
        socket: Not accepted yet.
        desk: What viewers share.
    """

    def __init__(self, socket: WebSocket, desk: Desk) -> None:
        self._socket = socket
        self._desk = desk
        self._messages: deque[str] = deque()
        self._wake = asyncio.Event()
        self._credit = CREDIT
        self._seen = 0  # number of the picture that was sent last
        self._end: ViewerGone | None = None
        self._any = Allowance(240, 480)
        self._changes = Allowance(20, 40)
        self._files = Allowance(1, 4)  # what makes files on this machine

    def tell(self, text: str) -> None:
        """Give it a message."""
        if len(self._messages) >= _MOST_WAITING:
            self.leave(_CLOSE_BUSY, "this client reads too slowly")
        else:
            self._messages.append(text)
            self._wake.set()

    def wake(self) -> None:
        """There is a new picture."""
        self._wake.set()

    def leave(self, code: int, reason: str) -> None:
        """Cut it off."""
        self._end = self._end or ViewerGone(code, reason)
        self._wake.set()

    async def run(self) -> None:
        """Serve it until one side ends it."""
        for message in self._desk.greet():
            self.tell(json.dumps(message))
        receiving = asyncio.create_task(self._receive_all())
        try:
            await self._send_all(receiving)
        except (WebSocketDisconnect, OSError):  # a time-out is an OSError: it takes nothing, not even a farewell
            pass
        except ViewerGone as gone:
            await _close(self._socket, gone.code, gone.reason)
        finally:
            receiving.cancel()
            with suppress(asyncio.CancelledError, Exception):  # whatever ended it was said by then
                await receiving

    async def _send_all(self, receiving: "asyncio.Task[None]") -> None:
        receiving.add_done_callback(lambda _task: self._wake.set())
        while not receiving.done():
            await self._wake.wait()
            self._wake.clear()
            while self._messages:
                await self._send(self._messages.popleft())
            if self._end is not None:
                raise self._end
            picture = self._next_picture()
            if picture is not None:
                self._credit -= 1
                self._seen = picture.number
                await self._send(picture.message)
                self._wake.set()  # a newer one, or a message, may have come meanwhile
        receiving.result()

    def _next_picture(self) -> Picture | None:
        """The newest picture, if it is a new one and the client can take it."""
        if self._credit <= 0:
            return None
        picture = self._desk.feed.latest
        if picture is not None and picture.number > self._seen:
            return picture
        self._desk.feed.want()
        return None

    async def _send(self, message: str | bytes) -> None:
        async with asyncio.timeout(self._desk.send_seconds):
            if isinstance(message, str):
                await self._socket.send_text(message)
            else:
                await self._socket.send_bytes(message)

    async def _receive_all(self) -> None:
        while True:
            event = await self._socket.receive()
            if event["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(event.get("code", 1005))
            if not self._any.take():
                raise ViewerGone(_CLOSE_POLICY, "this client sends too many messages")
            try:
                self._take(read_message(event.get("text")))
            except MalformedError as exc:
                raise ViewerGone(_CLOSE_POLICY, str(exc)) from exc

    def _take(self, message: Message) -> None:
        if isinstance(message, Shown):
            self._credit = min(self._credit + 1, CREDIT)
            if message.delay_ms is not None:
                self._desk.board.add_browser_delay(message.delay_ms)
            self._wake.set()
        elif isinstance(message, Ping):
            pong = {"type": "pong", "sent": message.sent, "server_ms": time.perf_counter_ns() / 1e6}
            self.tell(json.dumps(pong))
        else:
            self._change(message)

    def _change(self, message: Set | TakeSnapshot) -> None:
        makes_files = isinstance(message, TakeSnapshot) or "recording" in message.wanted
        allowed = self._files.take() if makes_files else self._changes.take()
        if not allowed:
            self._refuse("not so often, please")
        elif self._desk.board.ended:
            self._refuse("the stream has ended")
        elif isinstance(message, TakeSnapshot):
            self._desk.controls.take_snapshot()
        else:
            try:
                self._desk.controls.change(message.wanted)
            except InputError as exc:
                self._refuse(str(exc))
            self._desk.on_controls()

    def _refuse(self, text: str) -> None:
        self.tell(json.dumps({"type": "notice", "level": "error", "text": text}))
        # it may show already what it asked for
        self.tell(json.dumps({"type": "controls", **self._desk.controls.values()}))


class Viewers:
    """All who look. For one event loop.

    Args:
        desk: What they share.
        most: How many there may be.

    Attributes:
        refused: How many were sent away.
    """

    def __init__(self, desk: Desk, most: int = MOST_VIEWERS) -> None:
        self.desk = desk
        self.refused = 0
        self._most = most
        self._viewers: set[Viewer] = set()
        self._watchers: set[asyncio.Event] = set()
        self._closing = False

    @property
    def count(self) -> int:
        """How many look now."""
        return len(self._viewers) + len(self._watchers)

    @property
    def closing(self) -> bool:
        """Whether the view is about to end."""
        return self._closing

    async def serve(self, socket: WebSocket) -> None:
        """Serve a client, if there is room."""
        await socket.accept()
        if self.full:
            await _close(socket, _CLOSE_BUSY, f"{self._most} others look already; close one of those pages")
            return
        viewer = Viewer(socket, self.desk)
        self._viewers.add(viewer)
        try:
            await viewer.run()
        finally:
            self._viewers.discard(viewer)

    @property
    def full(self) -> bool:
        """Whether one more is too many; it counts as sent away."""
        full = self.count >= self._most
        self.refused += full
        return full

    @contextmanager
    def watching(self) -> Generator[asyncio.Event]:
        """Be counted as one who looks; the event is set with each new picture."""
        event = asyncio.Event()
        self._watchers.add(event)
        try:
            yield event
        finally:
            self._watchers.discard(event)

    def wake(self) -> None:
        """There is a new picture."""
        for viewer in self._viewers:
            viewer.wake()
        for event in self._watchers:
            event.set()

    def tell(self, message: Json) -> None:
        """Give all a message; it becomes text once."""
        if self._viewers:
            text = json.dumps(message)
            for viewer in self._viewers:
                viewer.tell(text)

    def close(self) -> None:
        """Say good-bye to all."""
        self._closing = True
        for viewer in self._viewers:
            viewer.leave(_CLOSE_GOING, "rt-seg ends")
        for event in self._watchers:
            event.set()


async def refuse(socket: WebSocket, reason: str) -> None:
    """Say to a client why it may not look."""
    await socket.accept()
    await _close(socket, _CLOSE_POLICY, reason)


async def _close(socket: WebSocket, code: int, reason: str) -> None:
    if socket.application_state is WebSocketState.CONNECTED:
        with suppress(RuntimeError, OSError, WebSocketDisconnect, TimeoutError):
            async with asyncio.timeout(1.0):
                await socket.close(code, reason[:120])
