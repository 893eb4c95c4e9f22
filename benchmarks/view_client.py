"""A client of the live view that notes when it had each picture decoded; a process of its own, as a browser is.

Run as ``python -m rt_seg.benchmarks.view_client URL websocket|mjpeg SECONDS``; prints JSON: for each picture the
index of its frame, when it was captured, and when it was decoded, in milliseconds of the machine's monotonic clock.
"""

import json
import sys
import time
from collections.abc import Iterator
from urllib.request import urlopen

import cv2
import numpy as np
from websockets.sync.client import connect

from rt_seg.realtime.view.picture import HEADER

Received = tuple[int, float, memoryview]
"""Frame index, milliseconds at capture, JPEG."""

_WAIT = 30.0


def by_websocket(url: str) -> Iterator[Received]:
    """Pictures as the page gets them: each is acknowledged once it was decoded."""
    with connect(f"ws{url.removeprefix('http')}/ws", max_size=None, compression=None) as socket:
        while True:
            message = socket.recv(_WAIT)
            if isinstance(message, bytes):
                index, _, _, captured = HEADER.unpack_from(message)
                yield index, captured, memoryview(message)[HEADER.size :]
                socket.send(json.dumps({"type": "shown", "index": index}))


def by_mjpeg(url: str) -> Iterator[Received]:
    """The same pictures as MJPEG."""
    # only the address that the benchmark itself serves is asked
    with urlopen(f"{url}/video.mjpg", timeout=_WAIT) as answer:  # noqa: S310
        while True:
            head: dict[str, str] = {}
            while (line := answer.readline().decode().strip()) or not head:
                name, _, value = line.partition(": ")
                head |= {name.lower(): value} if value else {}
            jpeg = answer.read(int(head["content-length"]))
            yield int(head["x-frame-index"]), float(head["x-captured-ms"]), memoryview(jpeg)


def watch(url: str, transport: str, seconds: float) -> list[tuple[int, float, float]]:
    """Look for so long."""
    until = time.monotonic() + seconds
    seen: list[tuple[int, float, float]] = []
    for index, captured, jpeg in (by_websocket if transport == "websocket" else by_mjpeg)(url):
        cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
        seen.append((index, captured, time.perf_counter_ns() / 1e6))
        if time.monotonic() > until:
            return seen
    return seen


if __name__ == "__main__":
    sys.stdout.write(json.dumps(watch(sys.argv[1], sys.argv[2], float(sys.argv[3]))) + "\n")
