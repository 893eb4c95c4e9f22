"""What a person sees of `rt-seg evaluate`: progress on standard error, the tables on standard output."""

import sys
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from rt_seg.engines.engine import EngineInfo

from .evaluate import Evaluation
from .evaluate_summary import Estimate, GroupSummary, Subset, Summary

_WITH_POLYP = {
    "dice": "mDice",
    "iou": "mIoU",
    "precision": "precision",
    "recall": "recall",
    "f2": "F2",
    "s_measure": "S-measure",
    "e_measure": "E-measure, mean",
}
_ALL_IMAGES = {"specificity": "specificity", "accuracy": "accuracy", "binary_iou": "binary IoU", "mae": "MAE"}
_CENTRE_COLUMNS = {"dice": "mDice", "iou": "mIoU", "precision": "precision", "recall": "recall", "f2": "F2"}


class EvaluationConsole:
    """A progress bar (only on a terminal), then the tables. Not thread-safe; a context manager."""

    def __init__(self) -> None:
        self._errors = Console(stderr=True, highlight=False)
        self._progress = Progress(
            TextColumn("evaluating"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=self._errors,
            transient=True,
            disable=not self._errors.is_terminal,
        )
        self._task = self._progress.add_task("images")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def begin(self, images: int, engine: EngineInfo) -> None:
        """Say what runs, and start the bar."""
        self.note(f"engine  {engine.backend} {engine.precision} on {engine.device}")
        for line in engine.notes:
            self.note(f"        {line}")
        self._progress.update(self._task, total=images)
        self._progress.start()

    def advance(self) -> None:
        """Move the bar by one image."""
        self._progress.advance(self._task)

    def note(self, line: str) -> None:
        """Say one line."""
        self._errors.print(line, markup=False, soft_wrap=True)

    def print_summary(self, evaluation: Evaluation, summary: Summary) -> None:
        """Print the tables to standard output."""
        self._progress.stop()
        console = Console(file=sys.stdout, highlight=False)
        console.print(_title(evaluation, summary), markup=False, soft_wrap=True)
        console.print(_figures_table(summary.overall))
        if len(summary.centres) > 1:
            console.print(_centres_table(summary))


def _title(evaluation: Evaluation, summary: Summary) -> str:
    images = summary.overall.images.images
    part = "whole pictures" if evaluation.settings.roi == "full" else "in the field of view"
    return (
        f"{evaluation.spec.name}, {evaluation.info.precision}: {images} image{'s' if images > 1 else ''}, {part}, "
        f"threshold {evaluation.threshold:g}, compared at the masks' size"
    )


def _figures_table(group: GroupSummary) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("")
    table.add_column("mean", justify="right")
    table.add_column("95 % interval", justify="right")
    _add_subset(table, "with a polyp", group.with_polyp, _WITH_POLYP)
    _add_subset(table, "all images", group.images, _ALL_IMAGES)
    if group.false_alarm_share is not None:
        free = group.without_polyp
        table.add_row(f"[bold]without a polyp[/] ({free.images})")
        name = f"  false region above 0.5 % ({group.false_alarms} of {free.images})"
        table.add_row(name, *_percentages(group.false_alarm_share))
        table.add_row("  false-positive area", *_percentages(free.measures["false_positive_area"]))
    return table


def _add_subset(table: Table, title: str, subset: Subset, names: dict[str, str]) -> None:
    if not subset.images:
        return
    table.add_row(f"[bold]{title}[/] ({subset.images})")
    for name, label in names.items():
        table.add_row(f"  {label}", *_figures(subset.measures[name]))


def _figures(estimate: Estimate) -> tuple[str, str]:
    interval = "-" if estimate.low is None else f"{estimate.low:.4f} to {estimate.high:.4f}"
    return f"{estimate.value:.4f}", interval


def _percentages(estimate: Estimate) -> tuple[str, str]:
    interval = "-" if estimate.low is None or estimate.high is None else _range(estimate.low, estimate.high)
    return f"{100 * estimate.value:.2f} %", interval


def _range(low: float, high: float) -> str:
    return f"{100 * low:.2f} to {100 * high:.2f} %"


def _centres_table(summary: Summary) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("centre")
    headings = ("with polyp", *_CENTRE_COLUMNS.values(), "without", "false region", "false area")
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for name, group in (*summary.centres.items(), ("all", summary.overall)):
        table.add_row(name, *_centre_cells(group), style="bold" if group is summary.overall else None)
    return table


def _centre_cells(group: GroupSummary) -> list[str]:
    measures, free = group.with_polyp.measures, group.without_polyp
    cells = [f"{measures[name].value:.4f}" if measures else "-" for name in _CENTRE_COLUMNS]
    alarms = "-" if group.false_alarm_share is None else f"{100 * group.false_alarm_share.value:.1f} %"
    area = f"{100 * free.measures['false_positive_area'].value:.2f} %" if free.images else "-"
    return [str(group.with_polyp.images), *cells, str(free.images), alarms, area]
