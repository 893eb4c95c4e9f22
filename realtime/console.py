"""What a person sees while a stream runs and at its end. All of it goes to standard error but the summary."""

import sys
from collections.abc import Iterator
from contextlib import suppress
from types import TracebackType
from typing import Self

from rich.console import Console as RichConsole
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from rt_seg.engines.engine import EngineInfo

from .pipeline import Pipeline
from .sources.source import SourceInfo
from .state import StreamState
from .statistics import Percentiles
from .summary import Summary

_STAGE_TITLES = {
    "capture": "capture (decode)",
    "preprocess": "preprocess",
    "infer": "infer",
    "overlay": "overlay",
    "record": "record (encode)",
    "results": "results",
    "masks": "masks",
}


class _RateColumn(ProgressColumn):
    """Frames a second, as the pipeline measures it."""

    def render(self, task: Task) -> Text:
        """The figure, right-aligned."""
        rate: float | None = task.fields["rate"]
        return Text(f"{rate:6.1f} fps" if rate else "     - fps", style="cyan")


class Console:
    """Progress while it runs (only on a terminal) and the closing summary. Not thread-safe; a context manager."""

    def __init__(self) -> None:
        self._errors = RichConsole(stderr=True, highlight=False)
        self._progress: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            with suppress(OSError):
                self._progress.stop()

    def note(self, line: str) -> None:
        """Say one line; where the terminal is gone, nobody hears it, and that is no reason to end."""
        with suppress(OSError):
            self._errors.print(line, markup=False, soft_wrap=True)

    def begin(self, source: SourceInfo, engine: EngineInfo) -> None:
        """Say what runs on what, and start the progress bar (files) or status line (live)."""
        rate = f", {source.fps:.4g} fps" if source.fps else ""
        self.note(f"source  {source.name}: {source.width}x{source.height}{rate}")
        self.note(f"engine  {engine.backend} {engine.precision} on {engine.device}")
        for line in engine.notes:
            self.note(f"        {line}")
        if not self._errors.is_terminal:
            return
        columns: list[ProgressColumn] = [SpinnerColumn(), TextColumn("frames: {task.completed}")]
        if source.frame_count is not None and not source.live:
            columns = [BarColumn(), TextColumn("{task.completed}/{task.total} frames"), TimeRemainingColumn()]
        self._progress = Progress(
            *columns, _RateColumn(), TextColumn("{task.fields[status]}"), console=self._errors, transient=True
        )
        self._task = self._progress.add_task("stream", total=source.frame_count, rate=None, status="")
        with suppress(OSError):
            self._progress.start()

    def update(self, pipeline: Pipeline) -> None:
        """Show how far it is."""
        if self._progress is None or self._task is None:
            return
        lost = sum(pipeline.dropped.values())
        with suppress(OSError):
            self._progress.update(
                self._task,
                completed=pipeline.frames_out,
                rate=pipeline.statistics.recent.per_second,
                status=f"{lost} dropped" if lost else "",
            )

    def print_summary(self, summary: Summary, *, writes: bool) -> None:
        """Print the closing summary to standard output.

        Args:
            summary: What is printed.
            writes: Whether anything was to be written.
        """
        with suppress(OSError):
            _print_summary(summary, writes=writes)


def _print_summary(summary: Summary, *, writes: bool) -> None:
    """The closing summary."""
    console = RichConsole(file=sys.stdout, highlight=False)
    rate = f" at {summary.fps:.1f} fps" if summary.fps else ""
    counts = f"{_frames(summary.frames_in)} in, {summary.frames_out} out{rate}"
    console.print(f"{counts}, {summary.frames_with_polyps} with a polyp", soft_wrap=True)
    for cause, count in summary.dropped.items():
        console.print(_loss(cause, count), soft_wrap=True)
    for line in _live_lines(summary):
        console.print(line, soft_wrap=True)
    if summary.frames_out:
        console.print(_times_table(summary))
    for name, path in summary.outputs.items():
        console.print(f"{name}: {path}", markup=False, soft_wrap=True)
    for note in summary.notes:
        console.print(note, markup=False, soft_wrap=True)
    if not summary.outputs and summary.ended_by == "end":
        hint = "" if writes else "; add -o overlay.mp4 to keep the overlay"
        console.print(f"nothing was written{hint}", soft_wrap=True)


def _frames(count: int) -> str:
    return f"{count} frame{'s' * (count != 1)}"


def _loss(cause: str, count: int) -> str:
    """One line for the frames lost by a cause, see `Pipeline.dropped`."""
    if cause == "capture":
        return f"left out, because reading was behind the sender: {count}"
    if cause == "infer":
        return f"not segmented, because newer ones came: {count}"
    if cause == "show":
        return f"not shown, because newer ones came: {count}"
    if cause == "redact":
        return f"withheld until the field of view was found: {count}"
    stopped = cause.removesuffix(" stopped")
    return f"not in {stopped}, {'which had failed' if stopped != cause else 'because it was slow'}: {count}"


def _live_lines(summary: Summary) -> Iterator[str]:
    """What only a live stream goes through."""
    if summary.frames_out and summary.frames_with_mask < summary.frames_out:
        share = 100 * summary.frames_with_mask / summary.frames_out
        yield f"{share:.1f} % of the frames shown carried a current mask"
    for state, count in summary.states.items():
        if state != StreamState.SEGMENTING.value:
            yield f"{state}: {_frames(count)}"
    if summary.sightings:
        yield f"{summary.sightings} sighting{'s' * (summary.sightings != 1)} of polyps"
    if summary.signal_losses:
        yield f"the signal was lost {summary.signal_losses} time{'s' * (summary.signal_losses != 1)}"
    if summary.engine_failures:
        yield f"the engine failed {summary.engine_failures} time{'s' * (summary.engine_failures != 1)}"


def _times_table(summary: Summary) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("ms a frame")
    for heading in ("p50", "p90", "p99", "max"):
        table.add_column(heading, justify="right")
    rows = {_STAGE_TITLES.get(name, name): stage for name, stage in summary.stages.items()}
    rows |= {"video delay": summary.video_delay, "annotation delay": summary.annotation_delay}
    for title, percentiles in rows.items():
        table.add_row(title, *_cells(percentiles))
    return table


def _cells(percentiles: Percentiles) -> list[str]:
    # a dash where there were too few frames to say
    return ["-" if value is None else f"{value:.2f}" for value in percentiles.as_dict().values()]
