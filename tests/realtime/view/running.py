"""A stream that runs in this process with its view: a camera made in code, an engine made of a function."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Self, cast

import av
import cv2
import httpx
import numpy as np
import numpy.typing as npt
from websockets.sync.client import ClientConnection, connect

from rt_seg.engines.engine import CallableEngine, EngineInfo
from rt_seg.engines.spec import ModelSpec
from rt_seg.errors import EngineError
from rt_seg.realtime.frame import Frame
from rt_seg.realtime.pipeline import Pipeline
from rt_seg.realtime.settings import StreamSettings
from rt_seg.realtime.sources.source import SourceInfo
from rt_seg.realtime.stream import run_stream
from rt_seg.realtime.summary import Summary

UInt8Array = npt.NDArray[np.uint8]

WAIT = 30.0
"""Seconds; what is waited for is an event."""

WIDTH, HEIGHT = 320, 240
INFO = SourceInfo("Ward 7, Jane Doe", "camera", live=True, width=WIDTH, height=HEIGHT, fps=50.0, endless=True)


def picture(index: int) -> UInt8Array:
    """A red disc, which the engine below sees as a polyp, that moves over a noisy green field."""
    image = np.full((HEIGHT, WIDTH, 3), (60, 110, 0), np.uint8)
    image[..., 0] += np.random.default_rng(index).integers(0, 40, (HEIGHT, WIDTH), np.uint8)  # no frozen picture
    return np.asarray(cv2.circle(image, (100 + abs(index % 120 - 60), 120), 30, (0, 0, 200), -1), np.uint8)


def named_picture(index: int) -> UInt8Array:
    """The same inside a round field of view, and a patient's name in the black corner."""
    field = cv2.circle(np.zeros((HEIGHT, WIDTH), np.uint8), (WIDTH // 2, HEIGHT // 2), 100, 255, -1)
    image = np.asarray(cv2.bitwise_and(picture(index), picture(index), mask=field), np.uint8)
    return np.asarray(cv2.putText(image, "JANE DOE", (4, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255, 255, 255)), np.uint8)


def write_clip(path: Path, frames: int) -> Path:
    """The disc as a video of 25 frames a second, in which a model that looks for red sees a polyp."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(25), options={"preset": "ultrafast", "crf": "10"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for index in range(frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(index), format="bgr24")))
        container.mux(stream.encode())
    return path


def told_until(client: ClientConnection, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The first text message of which something holds; a client that shows no picture is sent two."""
    while True:
        message = client.recv(WAIT)
        if isinstance(message, str) and holds(told := json.loads(message)):
            return dict(told)


def record_in_parts(client: ClientConnection) -> None:
    """Switch a recording that goes on off, and on again after a second of the stream."""
    told_until(client, lambda told: told["type"] == "state" and told["recording"])
    client.send(json.dumps({"type": "set", "recording": False}))
    off = told_until(client, lambda told: told["type"] == "state" and not told["recording"])
    told_until(client, lambda told: told["type"] == "state" and told["time"] > off["time"] + 1)
    client.send(json.dumps({"type": "set", "recording": True}))
    told_until(client, lambda told: told["type"] == "state" and told["recording"])


class Camera:
    """Gives pictures until it is released."""

    def __init__(self, paint: Callable[[int], UInt8Array] = picture) -> None:
        self.info = INFO
        self._paint = paint
        self.released = threading.Event()

    def __iter__(self) -> Iterator[Frame]:
        index = 0
        while not self.released.wait(1 / 50):
            yield Frame(index, index / 50, time.perf_counter_ns(), self._paint(index))
            index += 1

    def close(self) -> None:
        self.released.set()


def red_engine() -> CallableEngine:
    """Its probability is the red channel."""
    return CallableEngine(
        lambda frames: np.ascontiguousarray(frames[..., 2]), ModelSpec(name="red", width=64, height=64)
    )


class Ward:
    """What befalls a stream while it runs: its source stalls, its picture is bad, its engine is slow or fails.

    Attributes:
        paint: Makes the pictures.
        signal: Cleared: the source gives no more pictures.
        slow: Whether the engine takes long.
        broken: Whether it fails, and cannot be loaded again.
    """

    def __init__(self) -> None:
        self.paint: Callable[[int], UInt8Array] = picture
        self.signal = threading.Event()
        self.signal.set()
        self.slow = self.broken = False
        self._never = threading.Event()

    def picture(self, index: int) -> UInt8Array:
        """The next picture, once there is a signal."""
        self.signal.wait(WAIT)
        return self.paint(index)

    def load(self) -> CallableEngine:
        """The engine; its probability is the red channel."""
        self._check()
        return CallableEngine(self._infer, ModelSpec(name="red", width=64, height=64))

    def _infer(self, frames: UInt8Array) -> UInt8Array:
        self._check()
        if self.slow:
            self._never.wait(0.9)  # longer than a mask may be late, shorter than counts as hung
        return np.ascontiguousarray(frames[..., 2])

    def _check(self) -> None:
        if self.broken:
            raise EngineError("the device is gone; plug it in again")


class Stream:
    """`run_stream` on a thread, with ``--serve`` on a free port of the loopback.

    Args:
        paint: Makes the pictures.
        load: Makes the engine.
        settings: Further ones.
    """

    def __init__(
        self,
        paint: Callable[[int], UInt8Array] = picture,
        load: Callable[[], CallableEngine] = red_engine,
        **settings: Any,
    ) -> None:
        values: dict[str, Any] = {"show": False, "max_staleness_ms": 60_000.0, "roi": "full", "serve": "127.0.0.1:0"}
        values.update(settings)
        self.settings = StreamSettings("0", **values)
        self.lines: list[str] = []
        self.link = ""
        self.summary: Summary | None = None
        self.error: BaseException | None = None
        self._paint, self._load = paint, load
        self._client = httpx.Client(timeout=WAIT)
        self._pipeline: Pipeline | None = None
        self._linked, self._runs = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        try:
            self.summary = run_stream(self.settings, self, load=self._load, open_again=lambda: Camera(self._paint))
        except BaseException as exc:  # noqa: BLE001 - the test looks at it
            self.error = exc
            self._linked.set()
            self._runs.set()

    def note(self, line: str) -> None:
        self.lines.append(line)
        if line.startswith("view "):
            self.link = line.split()[1]
            self._linked.set()

    def begin(self, source: SourceInfo, engine: EngineInfo) -> None:
        """Nothing to show."""

    def update(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._runs.set()

    @property
    def pipeline(self) -> Pipeline:
        """What runs."""
        assert self._pipeline is not None
        return self._pipeline

    @property
    def url(self) -> str:
        """Scheme, host and port."""
        return self.link.partition("/?")[0].rstrip("/")

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.url.rpartition(":")[2])

    def get(self, path: str, **options: Any) -> httpx.Response:
        """Ask for a path; no cookie is kept."""
        self._client.cookies.clear()
        return self._client.get(self.url + path, **options)

    def connect(self, **options: Any) -> ClientConnection:
        """A client of the WebSocket."""
        url = f"ws{self.url.removeprefix('http')}/ws"
        # connect's overloads know nothing of options that come as a dictionary
        return cast("ClientConnection", connect(url, open_timeout=WAIT, close_timeout=0.5, **options))

    def wait_for(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds, which no event tells."""
        waited = threading.Event()
        for _ in range(int(WAIT / 0.02)):
            if holds():
                return
            waited.wait(0.02)
        raise AssertionError("it did not come")

    def stop(self) -> Summary:
        """End it, as a signal does."""
        self.pipeline.stop()
        self.join()
        if self.error is not None:
            raise self.error
        assert self.summary is not None
        return self.summary

    def join(self) -> None:
        """Wait for its end."""
        self._thread.join(WAIT)
        assert not self._thread.is_alive()

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._linked.wait(WAIT)
        assert self._runs.wait(WAIT)
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread.is_alive():
            self.stop()
        self._client.close()
