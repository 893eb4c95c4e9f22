"""`MjpegResponse`: the same pictures as MJPEG, for players and for browsers without scripts."""

import asyncio
from contextlib import suppress

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from .picture import HEADER, Picture
from .viewers import Viewers

_BOUNDARY = "rt-seg-picture"


class MjpegResponse(Response):
    """Sends each client the newest picture whenever it has taken the last one.

    Args:
        viewers: Where those who watch are counted.
    """

    def __init__(self, viewers: Viewers) -> None:
        super().__init__(media_type=f"multipart/x-mixed-replace; boundary={_BOUNDARY}")
        del self.headers["content-length"]
        self._viewers = viewers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        if scope["method"] == "HEAD":
            await send({"type": "http.response.body", "body": b""})
            return
        gone = asyncio.create_task(_until_gone(receive))
        try:
            await self._send_all(send, gone)
        except OSError:  # also a time-out
            return  # a connection whose answer is not whole is closed by the server
        finally:
            gone.cancel()
            with suppress(asyncio.CancelledError):
                await gone

    async def _send_all(self, send: Send, gone: "asyncio.Task[None]") -> None:
        desk, seen = self._viewers.desk, 0
        with self._viewers.watching() as news:
            gone.add_done_callback(lambda _task: news.set())
            while not gone.done() and not self._viewers.closing:
                picture = desk.feed.latest
                if picture is not None and picture.number > seen:
                    seen = picture.number
                    async with asyncio.timeout(desk.send_seconds):
                        await send({"type": "http.response.body", "body": _part(picture), "more_body": True})
                    continue
                news.clear()
                desk.feed.want()
                await news.wait()
        await send({"type": "http.response.body", "body": f"--{_BOUNDARY}--\r\n".encode()})


def _part(picture: Picture) -> bytes:
    # the boundary that follows comes along: players show a picture once they see where it ends
    index, _, _, captured_ms = HEADER.unpack_from(picture.message)
    head = (
        f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture.jpeg)}\r\n"
        f"X-Frame-Index: {index}\r\nX-Captured-Ms: {captured_ms:.3f}\r\n\r\n"
    )
    return b"".join((head.encode(), picture.jpeg, b"\r\n"))


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
