"""Clips made in code, each picture with its number as a block code: "each once, in order" can be read off them.

And a server on the loopback that sends them, and a display for windows.
"""

import contextlib
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import numpy.typing as npt
import pytest
from av.container import OutputContainer

UInt8Array = npt.NDArray[np.uint8]
WriteClip = Callable[..., Path]
NumberedPicture = Callable[[int, int, int], UInt8Array]
ReadNumber = Callable[[UInt8Array], int]
OpenFiles = Callable[[], set[str]]
Respond = Callable[[BaseHTTPRequestHandler], None]

_COLUMNS, _ROWS = 4, 3
_DARK, _BRIGHT = 48, 208


def _numbered(number: int, width: int, height: int) -> UInt8Array:
    bits = [(number >> bit) & 1 for bit in range(_COLUMNS * _ROWS)]
    rows = np.arange(height) * _ROWS // height
    columns = np.arange(width) * _COLUMNS // width
    lit = np.array(bits).reshape(_ROWS, _COLUMNS)[rows][:, columns]
    grey = np.where(lit, _BRIGHT, _DARK).astype(np.uint8)
    return np.ascontiguousarray(np.repeat(grey[:, :, None], 3, axis=2))


@pytest.fixture(scope="session")
def numbered_picture() -> NumberedPicture:
    """Makes picture ``number`` of ``width`` and ``height``: uint8 BGR, its number in 12 blocks, dark or bright."""
    return _numbered


@pytest.fixture(scope="session")
def read_number() -> ReadNumber:
    """Reads the number off a picture, whatever its size."""

    def read(image: UInt8Array) -> int:
        height, width = image.shape[:2]
        number = 0
        for bit in range(_COLUMNS * _ROWS):
            row = (2 * (bit // _COLUMNS) + 1) * height // (2 * _ROWS)
            column = (2 * (bit % _COLUMNS) + 1) * width // (2 * _COLUMNS)
            block = image[row - 2 : row + 3, column - 2 : column + 3]
            number |= int(block.mean() > (_DARK + _BRIGHT) / 2) << bit
        return number

    return read


def _add_sound(container: OutputContainer, audio: bool | str) -> Any:
    codec = "aac" if audio is True else audio
    # FFmpeg calls its Vorbis encoder experimental
    return container.add_stream(codec, rate=48_000, options={"strict": "experimental"}) if codec else None


def _write_sound(container: OutputContainer, stream: Any, seconds: float) -> None:
    """A tone that rises, so that each moment sounds different."""
    time = np.arange(int(seconds * 48_000)) / 48_000
    wave = 0.25 * np.sin(2 * np.pi * (300 * time + 200 * time**2)).astype(np.float32)
    frame = av.AudioFrame.from_ndarray(np.stack([wave, wave]), format="fltp", layout="stereo")
    frame.sample_rate = 48_000
    frame.pts = 0
    frame.time_base = Fraction(1, 48_000)
    container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


@pytest.fixture(scope="session")
def write_clip() -> WriteClip:
    """Writes a clip with real encoders.

    ``write_clip(path, **kind) -> path``, with the keywords of the function below, none of them needed.

    `pictures` replaces the numbered pictures (arrays, or frames in the codec's format); `first` is the number of the
    first one; `pts` are ticks of `time_base`; `audio` is a codec, or True for AAC; `setup` is called with the stream
    before, `edit` with each frame.
    """

    def write(
        path: Path,
        *,
        frames: int = 20,
        width: int = 64,
        height: int = 48,
        codec: str = "libx264",
        pix_fmt: str = "yuv420p",
        rate: Fraction = Fraction(25),
        pts: Sequence[int] | None = None,
        time_base: Fraction | None = None,
        first: int = 0,
        pictures: Iterable[UInt8Array | av.VideoFrame] | None = None,
        audio: bool | str = False,
        options: dict[str, str] | None = None,
        container_options: dict[str, str] | None = None,
        setup: Callable[[av.VideoStream], None] | None = None,
        edit: Callable[[av.VideoFrame], None] | None = None,
    ) -> Path:
        with av.open(path, "w", container_options=container_options) as container:
            stream = cast("av.VideoStream", container.add_stream(codec, rate=rate, options=options))
            stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
            if time_base is not None:
                stream.codec_context.time_base = time_base
            if setup is not None:
                setup(stream)
            sound = _add_sound(container, audio)
            container.start_encoding()
            images = pictures or (_numbered(first + number, width, height) for number in range(frames))
            for number, image in enumerate(images):
                frame = image if isinstance(image, av.VideoFrame) else av.VideoFrame.from_ndarray(image, "bgr24")
                frame.pts = number if pts is None else pts[number]
                frame.time_base = time_base or 1 / rate
                if edit is not None:
                    edit(frame)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
            if sound is not None:
                _write_sound(container, sound, frames / float(rate))
        return path

    return write


@pytest.fixture
def open_files() -> OpenFiles:
    """Names the files and sockets that this process holds open now."""

    def listing() -> set[str]:
        links = Path("/proc/self/fd").iterdir()
        return {f"{link.name} {link.readlink()}" for link in links if link.is_symlink()}

    return listing


@pytest.fixture
def serve() -> Iterator[Callable[[Respond], str]]:
    """Starts an HTTP server that answers each request by a function: ``serve(respond) -> "127.0.0.1:port"``."""
    servers: list[ThreadingHTTPServer] = []

    def start(respond: Respond) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                with contextlib.suppress(ConnectionError):
                    respond(self)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # http.server's names
                """Quiet."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return f"127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="session")
def display() -> Iterator[str]:
    """A virtual X display."""
    if shutil.which("Xvfb") is None:
        pytest.skip("Xvfb is not installed (apt-get install xvfb)")
    reading, writing = os.pipe()
    # the server picks a free number and says which, once it answers; without -noreset it starts anew, and for a moment
    # refuses, whenever its last client leaves
    arguments = ["Xvfb", "-displayfd", str(writing), "-noreset", "-screen", "0", "640x480x24", "-nolisten", "tcp"]
    server = subprocess.Popen(arguments, pass_fds=[writing], stderr=subprocess.DEVNULL)
    os.close(writing)
    try:
        with os.fdopen(reading) as answer:
            number = answer.readline().strip()
        if not number:
            pytest.skip("Xvfb does not start here")
        yield f":{number}"
    finally:
        server.terminate()
        server.wait()
