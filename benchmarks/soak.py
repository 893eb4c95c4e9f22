"""Whether a live stream stays as it began: delays and memory over 20 minutes, and over 30 with faults at random.

`calm` plays a clip live at its own pace. `faults` runs on a camera made of the packaged demo whose connection stalls,
breaks off, changes its size and lies about time, with an engine that raises, hangs or answers in a wrong shape, and a
recording that fails; each fault comes at random, from a seed. Once a minute delays and resident memory are noted; at
the end the first third is compared with the last.

Run as ``python -m rt_seg.benchmarks.soak calm`` and ``python -m rt_seg.benchmarks.soak faults``.
"""

import os
import random
import statistics
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from rt_seg.engines.load import load_engine
from rt_seg.realtime.leaving import leave
from rt_seg.realtime.pipeline import Pipeline
from rt_seg.realtime.stream import StreamSettings, run_stream
from rt_seg.realtime.summary import Summary

from .clips import FPS, loop_clip, make_clip
from .live_parts import HandOver, Quiet, cells
from .memory import resident_mib
from .soak_faults import FaultyCamera, FaultyEngine, FaultySink

app = typer.Typer(add_completion=False)

_COMPARE_EVERY = 60 * FPS  # frames: a comparison delays the next frame, and of one in 1800 no percentile knows


@dataclass(frozen=True, slots=True)
class Window:
    """One window of time: p50 and p99 of both delays in milliseconds (None without samples), and memory."""

    video: tuple[float, float] | None
    annotation: tuple[float, float] | None
    resident_mib: float


@dataclass(slots=True)
class Sampler(Quiet):
    """An observer that notes a window every so many seconds."""

    hand_over: HandOver
    seconds: float
    windows: list[Window] = field(default_factory=list[Window])
    lines: list[str] = field(default_factory=list[str])
    _since: float = field(default_factory=time.monotonic)

    def update(self, pipeline: Pipeline) -> None:
        """See `Observer.update`."""
        del pipeline
        if time.monotonic() - self._since >= self.seconds:
            self._since = time.monotonic()
            video, annotation = self.hand_over.take()
            self.windows.append(Window(_pair(video), _pair(annotation), resident_mib(os.getpid()) or 0.0))


def _pair(values: list[float]) -> tuple[float, float] | None:
    if len(values) < 2:
        return None
    return statistics.median(values), statistics.quantiles(values, n=100)[98]


@app.command()
def calm(
    minutes: Annotated[float, typer.Option(min=0.05, help="How long.")] = 20.0,
    size: Annotated[str, typer.Option(help="WIDTHxHEIGHT of the clip.")] = "1920x1080",
    window: Annotated[float, typer.Option(min=0.5, help="Seconds from one note to the next.")] = 60.0,
) -> None:
    """Play a clip at its own pace and see whether delays and memory have a trend."""
    width, height = (int(part) for part in size.split("x"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        frames = max(round(minutes * 60 * FPS), 2)
        clip = loop_clip(make_clip(folder / "clip.mp4", width, height, 300), folder / "long.mp4", frames)
        hand_over = HandOver(_COMPARE_EVERY, at_once=True)
        sampler = Sampler(hand_over, window)
        settings = StreamSettings(str(clip), live=True, hud=False, show=False, duration=minutes * 60)
        summary = run_stream(settings, sampler, sinks=[hand_over])
    _print(f"{size} at {FPS} fps, {minutes:g} min, calm", sampler, summary)


@app.command()
def faults(
    minutes: Annotated[float, typer.Option(min=0.05, help="How long.")] = 30.0,
    every: Annotated[float, typer.Option(min=0.5, help="Mean seconds from one fault to the next.")] = 20.0,
    seed: Annotated[int, typer.Option(help="Of the chance.")] = 1,
    window: Annotated[float, typer.Option(min=0.5, help="Seconds from one note to the next.")] = 60.0,
) -> None:
    """Run on a camera, an engine and a recording that fail at random; see whether delays and memory have a trend."""
    # not for secrets: the same seed gives the same faults
    chances = [random.Random(seed + number) for number in range(3)]  # noqa: S311
    hand_over, released = HandOver(_COMPARE_EVERY, at_once=True), threading.Event()
    sampler = Sampler(hand_over, window)
    settings = StreamSettings("0", show=False, hud=False, signal_timeout=0.5, duration=minutes * 60, engine="cpu")
    summary = run_stream(
        settings,
        sampler,
        load=lambda: FaultyEngine(load_engine("cpu"), chances[0], every, released),
        open_again=lambda: FaultyCamera(chances[1], every, released),
        sinks=[hand_over, FaultySink(chances[2], every)],
    )
    released.set()
    _print(f"demo at {FPS} fps, {minutes:g} min, a fault every {every:g} s (seed {seed})", sampler, summary)
    leave(0)  # calls that were made to hang may still do


def _print(title: str, sampler: Sampler, summary: Summary) -> None:
    console = Console()
    table = Table(title=title, title_justify="left", box=None)
    for heading in ("", "video p50 ms", "video p99 ms", "annotation p50 ms", "annotation p99 ms", "memory MiB"):
        table.add_column(heading, justify="right")
    third = max(len(sampler.windows) // 3, 1)
    table.add_row("first third", *_row(sampler.windows[:third]))
    table.add_row("last third", *_row(sampler.windows[-third:]))
    console.print(table)
    console.print(f"{len(sampler.windows)} windows; frames in {summary.frames_in}, shown {summary.frames_out}")
    console.print(
        f"pixels outside the marker: {sampler.hand_over.differing} of {sampler.hand_over.compared} pictures differ"
    )
    console.print(f"lost by cause {dict(summary.dropped)}; states {dict(summary.states)}")
    console.print(f"signal lost {summary.signal_losses} times, engine failed {summary.engine_failures} times")
    console.print(f"ended by {summary.ended_by}; error {summary.error}", markup=False)
    rest = cells(sampler.hand_over.video_ms)
    console.print(f"last, unfinished window: video delay p50 {rest[0]}, p99 {rest[2]}, max {rest[3]} ms")


def _row(windows: list[Window]) -> list[str]:
    """Medians over some windows."""

    def median(values: list[float]) -> str:
        return f"{statistics.median(values):.2f}" if values else "-"

    delays = [
        median([pair[place] for pair in pairs if pair is not None])
        for pairs in ([window.video for window in windows], [window.annotation for window in windows])
        for place in (0, 1)
    ]
    return [*delays, median([window.resident_mib for window in windows])]


if __name__ == "__main__":
    app()
