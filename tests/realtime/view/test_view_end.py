"""How a served stream ends: `rt-seg stream FILE --serve` in a process of its own."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import httpx
import pytest
from websockets.sync.client import connect

from .running import WAIT, record_in_parts, told_until, write_clip

pytestmark = pytest.mark.slow

FRAMES = 40


class Process:
    """A running command."""

    def __init__(self, folder: Path, *arguments: object) -> None:
        self.scratch = folder / "scratch"
        self.scratch.mkdir()
        environment = os.environ | {"TMPDIR": str(self.scratch), "PYTHONUNBUFFERED": "1", "COLUMNS": "400"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "rt_seg", "stream", *map(str, arguments), "--no-show", "--serve", "127.0.0.1:0"],
            env=environment, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509 - see below
        )  # fmt: skip
        # (a suite that runs in the background of a shell ignores Ctrl-C, and so would the command)
        self.output = ""
        self._grown = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._grown:
                self.output += line
                self._grown.notify_all()

    def wait_for(self, pattern: str) -> str:
        """Wait for a line; returns its first group."""
        with self._grown:
            assert self._grown.wait_for(lambda: re.search(pattern, self.output), 2 * WAIT), self.output
        found = re.search(pattern, self.output)
        assert found is not None
        return found[1]

    def end(self, number: signal.Signals) -> int:
        """Send a signal; returns the exit code."""
        self._process.send_signal(number)
        code = self._process.wait(WAIT)
        self._reader.join(WAIT)
        return code

    def kill(self) -> None:
        """At last, by force."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


Start = Callable[..., Process]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts `rt-seg stream ... --serve 127.0.0.1:0`, with a folder of its own for what is temporary."""
    started: list[Process] = []

    def begin(*arguments: object) -> Process:
        started.append(Process(tmp_path, *arguments))
        return started[-1]

    yield begin
    for process in started:
        process.kill()


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of the disc, in which the tiny model sees a polyp."""
    return write_clip(tmp_path_factory.mktemp("clip") / "disc.mp4", FRAMES)


def messages(url: str, count: int) -> list[dict[str, Any]]:
    """The first text messages that a new client gets."""
    found: list[dict[str, Any]] = []
    with connect(f"ws{url.removeprefix('http')}/ws", close_timeout=0.5) as client:
        while len(found) < count:
            message = client.recv(WAIT)
            if isinstance(message, str):
                found.append(json.loads(message))
    return found


def test_a_file_that_has_ended_can_be_looked_at_again(start: Start, clip: Path, tiny_model_path: Path) -> None:
    """The view's own recording is whole, comes in ranges, and is gone when Ctrl-C ends it; the exit code is 0."""
    process = start(clip, "--engine", tiny_model_path)
    url = process.wait_for(r"looked at again at (http://127\.0\.0\.1:\d+)/")
    hello, state, ended = messages(url, 3)
    assert [each["type"] for each in (hello, state, ended)] == ["hello", "state", "ended"]
    assert hello["sightings"][0]["ended"]
    assert state["state"] == "ended"
    (part,) = ended["recordings"]
    assert part["address"] == "/recordings/1.mp4"
    assert part["offset"] == 0
    assert part["duration"] == pytest.approx((FRAMES - 1) / 25, abs=0.01)
    assert ended["frames"] == {"in": FRAMES, "out": FRAMES}
    assert not ended["kept"]
    assert ended["duration"] == pytest.approx((FRAMES - 1) / 25, abs=0.01)
    with httpx.Client(base_url=url, timeout=WAIT) as client:
        assert client.get("/recordings/2.mp4").status_code == client.get("/recordings/0.mp4").status_code == 404
        whole = client.get(part["address"])
        assert whole.headers["accept-ranges"] == "bytes"
        assert whole.headers["content-type"] == "video/mp4"
        size = len(whole.content)
        ranges = [client.get(part["address"], headers={"Range": each}) for each in ("bytes=0-99", "bytes=100-")]
        assert [each.status_code for each in ranges] == [206, 206]
        assert ranges[0].headers["content-range"] == f"bytes 0-99/{size}"
        assert ranges[0].content + ranges[1].content == whole.content
        assert client.get(part["address"], headers={"Range": "bytes=-50"}).content == whole.content[-50:]
        assert client.get(part["address"], headers={"Range": f"bytes={size}-"}).status_code == 416
        assert client.get("/readyz").status_code == 200
        assert client.get("/api/sightings/1.jpg").status_code == 200
    with av.open(io.BytesIO(whole.content), "r") as container:
        assert sum(1 for _ in container.decode(video=0)) == FRAMES
    assert process.end(signal.SIGINT) == 0, process.output
    assert f"{FRAMES} frames in, {FRAMES} out" in process.output
    assert list(process.scratch.iterdir()) == []


def test_a_recording_that_was_asked_for_is_the_one_that_is_played(
    start: Start, clip: Path, tiny_model_path: Path, tmp_path: Path
) -> None:
    """With -o there is no second one; it stays where it is."""
    process = start(clip, "--engine", tiny_model_path, "-o", tmp_path / "out.mp4", "--start", "0.4")
    url = process.wait_for(r"looked at again at (http://127\.0\.0\.1:\d+)/")
    ended = messages(url, 3)[2]
    (part,) = ended["recordings"]
    assert part["offset"] == pytest.approx(0.4, abs=0.001)
    assert ended["kept"]
    assert httpx.get(url + part["address"], timeout=WAIT).content == (tmp_path / "out.mp4").read_bytes()
    assert list(process.scratch.iterdir()) == []
    assert process.end(signal.SIGTERM) == 0, process.output
    assert (tmp_path / "out.mp4").is_file()


def test_nothing_of_a_patient_outlives_a_kill(start: Start, clip: Path, tiny_model_path: Path) -> None:
    """The view's own recording has no name any more: what ends the process, by force too, ends the file."""
    process = start(clip, "--engine", tiny_model_path)
    url = process.wait_for(r"looked at again at (http://127\.0\.0\.1:\d+)/")
    (part,) = messages(url, 3)[2]["recordings"]
    assert httpx.get(url + part["address"], timeout=WAIT).status_code == 200
    process.kill()
    assert list(process.scratch.iterdir()) == []


def test_parts_of_a_recording_are_all_played(start: Start, tiny_model_path: Path, tmp_path: Path) -> None:
    """Switched off and on again, a recording has two files: the page gets both, each with its place in the stream."""
    clip = write_clip(tmp_path / "disc.mp4", 4 * FRAMES)
    process = start(clip, "--engine", tiny_model_path, "--live", "-o", tmp_path / "out.mp4")
    url = process.wait_for(r"view +(http://127\.0\.0\.1:\d+)/")
    with connect(f"ws{url.removeprefix('http')}/ws", close_timeout=0.5) as client:
        record_in_parts(client)
        told = told_until(client, lambda message: message["type"] == "ended")
    first, second = told["recordings"]
    assert [part["address"] for part in (first, second)] == ["/recordings/1.mp4", "/recordings/2.mp4"]
    assert first["offset"] == 0
    assert first["duration"] < second["offset"]
    assert second["offset"] + second["duration"] <= told["duration"] + 0.001
    for part, name in ((first, "out.mp4"), (second, "out-2.mp4")):
        assert httpx.get(url + part["address"], timeout=WAIT).content == (tmp_path / name).read_bytes()
        with av.open(str(tmp_path / name)) as container:
            times = [frame.time for frame in container.decode(video=0)]
        assert times[0] == pytest.approx(0, abs=0.001)
        assert times[-1] == pytest.approx(part["duration"], abs=0.01)


def test_a_signal_midway_ends_stream_and_view(start: Start, clip: Path, tiny_model_path: Path) -> None:
    """Nothing waits to be looked at: the exit code is the signal's, and nothing temporary stays."""
    process = start(clip, "--engine", tiny_model_path, "--live")
    url = process.wait_for(r"view +(http://127\.0\.0\.1:\d+)/")
    with connect(f"ws{url.removeprefix('http')}/ws", close_timeout=0.5) as client:
        while isinstance(client.recv(WAIT), str):
            pass
        assert process.end(signal.SIGTERM) == 143, process.output
    assert list(process.scratch.iterdir()) == []
