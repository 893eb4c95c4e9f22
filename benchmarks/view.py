"""How late a picture is at a client of the view: `rt-seg stream --live --serve` on a 720p clip at 30 frames a second.

Both transports are measured on one stream, in turns: the WebSocket that the page uses, and MJPEG. A client in a process
of its own decodes each picture; it has the server's clock, as both are on one machine. Two delays are printed: from the
hand-over to the view, which is what the view adds, and from the frame complete in memory.

What a browser adds (decoding, drawing, the next refresh of the screen) is not in these figures: the page measures it by
itself. With ``--browser`` the page is opened in Chromium, and its own delays are what is measured.

Run as ``python -m rt_seg.benchmarks.view``, or ``python -m rt_seg.benchmarks.view --browser --rounds 1 --seconds 60``.
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

from rt_seg.errors import MissingDependencyError, RtSegError
from rt_seg.realtime.frame import Rendered
from rt_seg.realtime.pipeline import Pipeline
from rt_seg.realtime.settings import StreamSettings
from rt_seg.realtime.stream import run_stream

from .clips import FPS, loop_clip, make_clip
from .live_parts import Quiet, cells
from .view_browser import find_browser

TRANSPORTS = ("websocket", "mjpeg")
BROWSER = "page in Chromium"
_MODULES = dict.fromkeys(TRANSPORTS, "view_client") | {BROWSER: "view_browser"}
_START_SECONDS = 60.0
_SPARE_SECONDS = 20  # of a client's start, for each turn; a browser takes a while


class HandedOver:
    """A sink that notes when each frame was handed over; the view gets it in the same moment, by another thread."""

    name = "hand-over"
    path = None
    notes = ()

    def __init__(self) -> None:
        self.at_ms: dict[int, float] = {}
        self.captured_ms: dict[int, float] = {}

    def write(self, rendered: Rendered) -> None:
        """See `Sink.write`."""
        self.at_ms[rendered.frame.index] = time.perf_counter_ns() / 1e6
        self.captured_ms[rendered.frame.index] = rendered.frame.captured_ns / 1e6

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


def measure(clip: Path, rounds: int, seconds: float, *, browser: bool = False) -> dict[str, Any]:
    """Play a clip live and look at it by both transports in turn, or in a browser.

    Returns:
        For each way milliseconds from hand-over and from capture to the picture, decoded or, in a browser, shown; the
        figures that stood on the page; and the stream's counts.

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
    ways = (BROWSER,) if browser else TRANSPORTS
    try:
        answers = _look(observer.url, ways, rounds, seconds)
    finally:
        pipeline.stop()
        thread.join()
    pages = [each["page"] for each in answers[BROWSER]]
    delays = {name: _delays(_seen(answers[name], hand_over), hand_over.at_ms) for name in ways}
    return {"delays": delays, "pages": pages, "frames_out": pipeline.frames_out, "dropped": pipeline.dropped}


def _look(url: str, ways: tuple[str, ...], rounds: int, seconds: float) -> dict[str, list[Any]]:
    """What the clients print, turn by turn."""
    answers: dict[str, list[Any]] = defaultdict(list)
    for turn in range(rounds):
        for way in ways if turn % 2 == 0 else reversed(ways):
            command = [sys.executable, "-m", f"rt_seg.benchmarks.{_MODULES[way]}", url]
            command += [str(seconds)] if way == BROWSER else [way, str(seconds)]
            found = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            answers[way].append(json.loads(found.stdout))
    return answers


def _seen(answers: list[Any], hand_over: HandedOver) -> list[tuple[int, float, float]]:
    """Index, milliseconds at capture and at the client, for each picture."""
    seen: list[tuple[int, float, float]] = []
    for answer in answers:
        if "shown" not in answer:  # not of a page
            # the first picture may have waited for somebody to look
            seen += map(_picture, answer[1:])
        else:
            captured_ms = hand_over.captured_ms
            seen += [
                (index, captured_ms[index], captured_ms[index] + delay)
                for index, delay in answer["shown"]
                if index in captured_ms
            ]
    return seen


def _picture(row: Any) -> tuple[int, float, float]:
    index, captured, decoded = row
    return int(index), float(captured), float(decoded)


def _delays(seen: list[tuple[int, float, float]], handed_ms: dict[int, float]) -> dict[str, list[float]]:
    return {
        "hand-over": [decoded - handed_ms[index] for index, _, decoded in seen if index in handed_ms],
        "capture": [decoded - captured for _, captured, decoded in seen],
    }


def main(
    rounds: Annotated[int, typer.Option(min=1, help="Turns of each transport.")] = 3,
    seconds: Annotated[float, typer.Option(min=1, help="How long each turn is.")] = 15,
    size: Annotated[str, typer.Option(help="WIDTHxHEIGHT of the clip.")] = "1280x720",
    browser: Annotated[bool, typer.Option("--browser", help="Measure the page itself, in Chromium.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print all delays as JSON.")] = False,
) -> None:
    """Measure how late pictures are at a client of the live view, by both transports, or on the page itself."""
    if browser:
        try:
            find_browser()
        except MissingDependencyError as exc:
            raise typer.BadParameter(str(exc)) from exc
    ways = (BROWSER,) if browser else TRANSPORTS
    width, height = (int(part) for part in size.split("x"))
    frames = round(rounds * len(ways) * (seconds + _SPARE_SECONDS)) * FPS
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip = make_clip(folder / "clip.mp4", width, height, min(frames, 10 * FPS))
        found = measure(loop_clip(clip, folder / "long.mp4", frames), rounds, seconds, browser=browser)
    if as_json:
        sys.stdout.write(json.dumps(found) + "\n")
    else:
        _print(found, f"{size} at {FPS} fps, {rounds} turns of {seconds:g} s each")


def _print(found: dict[str, Any], title: str) -> None:
    console = Console()
    table = Table(title=title, title_justify="left", box=None)
    for heading in ("by", "ms from", "pictures", "p50", "p90", "p99", "max"):
        table.add_column(heading, justify="left" if heading in {"by", "ms from"} else "right")
    for way, delays in found["delays"].items():
        for begin, values in delays.items():
            table.add_row(way, begin, str(len(values)), *cells(values))
    console.print(table)
    console.print(f"frames shown {found['frames_out']}, lost by cause {found['dropped']}")
    if found["pages"]:
        console.print("to the moment at which the browser is about to show it; a screen adds its own")
        for page in found["pages"]:
            console.print(f"on the page at the end: now {page['last']}, p50 {page['p50']}, p99 {page['p99']} ms")
    else:
        console.print("to the decoded picture in another process on this machine; a browser adds drawing and refresh")


if __name__ == "__main__":
    typer.run(main)
