"""How late a picture is at a client of the view: `rt-seg stream --live --serve` on a 720p clip at 30 frames a second.

Both transports are measured on one stream, in turns: the WebSocket that the page uses, and MJPEG. A client in a process
of its own decodes each picture; it has the server's clock, as both are on one machine. Two delays are printed: from the
hand-over to the view, which is what the view adds, and from the frame complete in memory.

What a browser adds (decoding, drawing, the next refresh of the screen) is not in these figures: the page measures and
reports it by itself (``browser_delay_ms`` of ``/api/state``, ``rt_seg_browser_delay_seconds`` of ``/metrics``).

Run as ``python -m rt_seg.benchmarks.view``.
"""

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from rt_seg.errors import RtSegError
from rt_seg.realtime.frame import Rendered
from rt_seg.realtime.pipeline import Pipeline
from rt_seg.realtime.settings import StreamSettings
from rt_seg.realtime.stream import run_stream

from .clips import FPS, loop_clip, make_clip
from .live_parts import Quiet, cells

TRANSPORTS = ("websocket", "mjpeg")
_START_SECONDS = 60.0
_SPARE_SECONDS = 5  # of a client's start, for each turn


class HandedOver:
    """A sink that notes when each frame was handed over; the view gets it in the same moment, by another thread."""

    name = "hand-over"
    path = None
    notes = ()

    def __init__(self) -> None:
        self.at_ms: dict[int, float] = {}

    def write(self, rendered: Rendered) -> None:
        """See `Sink.write`."""
        self.at_ms[rendered.frame.index] = time.perf_counter_ns() / 1e6

    def close(self) -> None:
        """See `Sink.close`."""


class Watched(Quiet):
    """Knows where the view is served, and what runs."""

    def __init__(self) -> None:
        super().__init__()
        self.url = ""
        self.pipeline: Pipeline | None = None
        self.runs = threading.Event()

    def note(self, line: str) -> None:
        """See `Observer.note`."""
        super().note(line)
        if line.startswith("view "):
            self.url = line.split()[1].rstrip("/")

    def update(self, pipeline: Pipeline) -> None:
        """See `Observer.update`."""
        self.pipeline = pipeline
        self.runs.set()


def measure(clip: Path, rounds: int, seconds: float) -> dict[str, Any]:
    """Play a clip live and look at it by both transports in turn.

    Returns:
        For each transport milliseconds from hand-over and from capture to the decoded picture; and the stream's counts.

    Raises:
        RtSegError: The stream could not run.
    """
    hand_over, observer = HandedOver(), Watched()
    settings = StreamSettings(str(clip), live=True, display="passthrough", show=False, serve="127.0.0.1:0")
    ended: list[BaseException] = []

    def run() -> None:
        try:
            run_stream(settings, observer, sinks=[hand_over])
        except RtSegError as exc:
            ended.append(exc)
            observer.runs.set()

    thread = threading.Thread(target=run)
    thread.start()
    observer.runs.wait(_START_SECONDS)
    pipeline = observer.pipeline
    if pipeline is None:
        raise ended[0] if ended else RtSegError("the stream did not start")
    try:
        seen = _look(observer.url, rounds, seconds)
    finally:
        pipeline.stop()
        thread.join()
    delays = {name: _delays(seen[name], hand_over.at_ms) for name in TRANSPORTS}
    return {"delays": delays, "frames_out": pipeline.frames_out, "dropped": pipeline.dropped}


def _look(url: str, rounds: int, seconds: float) -> dict[str, list[tuple[int, float, float]]]:
    """What the clients had, by transport."""
    seen: dict[str, list[tuple[int, float, float]]] = defaultdict(list)
    for turn in range(rounds):
        for transport in TRANSPORTS if turn % 2 == 0 else reversed(TRANSPORTS):
            command = [sys.executable, "-m", "rt_seg.benchmarks.view_client", url, transport, str(seconds)]
            found = subprocess.run(command, capture_output=True, text=True, check=True)
            # the first picture may have waited for somebody to look
            seen[transport] += [tuple(each) for each in json.loads(found.stdout)][1:]
    return seen


def _delays(seen: list[tuple[int, float, float]], handed_ms: dict[int, float]) -> dict[str, list[float]]:
    return {
        "hand-over": [decoded - handed_ms[index] for index, _, decoded in seen if index in handed_ms],
        "capture": [decoded - captured for _, captured, decoded in seen],
    }


def main(
    rounds: Annotated[int, typer.Option(min=1, help="Turns of each transport.")] = 3,
    seconds: Annotated[float, typer.Option(min=1, help="How long each turn is.")] = 15,
    size: Annotated[str, typer.Option(help="WIDTHxHEIGHT of the clip.")] = "1280x720",
    as_json: Annotated[bool, typer.Option("--json", help="Print all delays as JSON.")] = False,
) -> None:
    """Measure how late pictures are at a client of the live view, by both transports."""
    width, height = (int(part) for part in size.split("x"))
    frames = round(rounds * len(TRANSPORTS) * (seconds + _SPARE_SECONDS)) * FPS
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip = make_clip(folder / "clip.mp4", width, height, min(frames, 10 * FPS))
        found = measure(loop_clip(clip, folder / "long.mp4", frames), rounds, seconds)
    if as_json:
        sys.stdout.write(json.dumps(found) + "\n")
    else:
        _print(found, f"{size} at {FPS} fps, {rounds} turns of {seconds:g} s for each transport")


def _print(found: dict[str, Any], title: str) -> None:
    console = Console()
    table = Table(title=title, title_justify="left", box=None)
    for heading in ("transport", "ms from", "pictures", "p50", "p90", "p99", "max"):
        table.add_column(heading, justify="left" if heading in {"transport", "ms from"} else "right")
    for transport, delays in found["delays"].items():
        for begin, values in delays.items():
            table.add_row(transport, begin, str(len(values)), *cells(values))
    console.print(table)
    console.print(f"frames shown {found['frames_out']}, lost by cause {found['dropped']}")
    console.print("to the decoded picture in another process on this machine; a browser adds drawing and refresh")


if __name__ == "__main__":
    typer.run(main)
