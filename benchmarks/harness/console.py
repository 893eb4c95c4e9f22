"""What a person sees of `rt-seg benchmark`: progress on standard error, the tables on standard output."""

import os
import sys
import textwrap
from collections.abc import Callable, Sequence
from itertools import groupby
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table as RichTable
from rich.text import Text

from . import cells
from .cells import Cell
from .compare import Comparison
from .part import PARTS
from .results import Column, Measured, Report, Table

_UNBOUNDED = 10_000  # columns: wider than any table
_LEAST_HEADING = 10  # columns that a heading may have before it is broken
_VERDICTS = {"better": "green", "worse": "red"}
_FORMS: tuple[Callable[[int], bool], ...] = (lambda _: True, lambda number: number == 0, lambda _: False)
"""Which columns of a table show intervals, widest form first: all, the first, none."""


class BenchmarkConsole:
    """A progress bar (on a terminal; else a line a part), and the tables. Not thread-safe; a context manager.

    Args:
        parts: Names of the parts ahead.
    """

    def __init__(self, parts: list[str]) -> None:
        self._parts = parts
        self._errors = Console(stderr=True, highlight=False)
        self._output = Console(file=sys.stdout, highlight=False)
        if not self._output.is_terminal and "COLUMNS" not in os.environ:
            self._output.width = _UNBOUNDED  # a file has no edge
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TextColumn("{task.percentage:3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[doing]}", style="dim"),
            console=self._errors,
            transient=True,
            disable=not self._errors.is_terminal,
        )
        self._task = self._progress.add_task("", total=1.0, doing="looking at the machine")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def begin(self, part: str) -> None:
        """A part begins."""
        place = f"{self._parts.index(part) + 1}/{len(self._parts)} {part}"
        self._progress.reset(self._task, total=1.0, description=place, doing="")
        self._progress.start()
        if not self._errors.is_terminal:
            self.note(f"{place}: {PARTS[part].help}")

    def update(self, done: float, doing: str) -> None:
        """Move the bar."""
        self._progress.update(self._task, completed=done, doing=doing)

    def end(self, measured: Measured) -> None:
        """Print the tables of a part as soon as they are there."""
        self._progress.stop()  # else its line would stand in the tables, which go to another stream of the same screen
        result = measured.result
        self._say(result.title, style="bold")
        self._say(cells.background_line(measured), style="dim")
        for table in result.tables:
            self._output.print()
            self._say(table.title, style="italic")
            self._output.print(self._fitting(table))
        if result.notes:
            self._output.print()
        for note in result.notes:
            self._say(note)
        self._output.print()

    def note(self, line: str) -> None:
        """Say one line on standard error."""
        self._errors.print(line, markup=False, soft_wrap=not self._errors.is_terminal)

    def close_report(self, report: Report) -> None:
        """Print what holds for all of it."""
        self._progress.stop()
        if report.parts:
            self._say(cells.LEGEND, style="dim")
            self._say(cells.machine_line(report), style="dim")
        for line in report.warnings:
            self._say(f"note: {line}; figures may be off", style="yellow")
        missing = cells.stopped_line(report)
        if missing is not None:
            self._say(missing, style="bold yellow")

    def print_comparison(self, found: list[Comparison], notes: list[str], name: str) -> None:
        """Print how it compares with an earlier run."""
        self._output.print()
        self._say(f"Against {name}", style="bold")
        for note in notes:
            self._say(f"note: {note}")
        lines = [cells.comparison_cells(one)[2:] for one in found]
        widths = [max(map(len, column)) for column in zip(cells.comparison_headings()[2:], *lines, strict=True)]
        for number, ((part, case), ones) in enumerate(groupby(found, key=lambda one: (one.part, one.case))):
            self._output.print()
            self._say(f"{part}: {case}", style="italic")
            self._output.print(_comparison_table(list(ones), widths, headed=number == 0))

    def _fitting(self, table: Table) -> RichTable:
        """With as many intervals as the terminal is wide enough for."""
        forms = [_rich_table(table, shows) for shows in _FORMS]
        width = self._output.options.update(width=_UNBOUNDED)
        fitting = (form for form in forms if self._output.measure(form, options=width).maximum <= self._output.width)
        return next(fitting, forms[-1])

    def _say(self, line: str, style: str = "") -> None:
        self._output.print(Text(line, style=style), soft_wrap=not self._output.is_terminal)


def _comparison_table(found: Sequence[Comparison], widths: Sequence[int], *, headed: bool) -> RichTable:
    """The figures of one case, as wide as those of all others."""
    table = RichTable(box=None, pad_edge=False, header_style="dim", show_header=headed)
    words = cells.COMPARISON_WORDS
    for number, (heading, width) in enumerate(zip(cells.comparison_headings()[2:], widths, strict=True), 2):
        table.add_column(heading, justify="left" if number in words else "right", min_width=width)
    for one in found:
        line = [Text(text) for text in cells.comparison_cells(one)[2:]]
        line[-1].stylize(_VERDICTS.get(one.verdict, "dim"))
        table.add_row(*line)
    return table


def _rich_table(table: Table, shows_interval: Callable[[int], bool]) -> RichTable:
    rich = RichTable(box=None, pad_edge=False, header_style="dim")
    rich.add_column("", no_wrap=True)
    if table.turned:
        headings, figures = cells.turned(table)
        for heading in headings:
            rich.add_column(heading, justify="right")
        for name, of_cases in figures:
            rich.add_row(name, *map(_text, of_cases))
        return rich
    columns = table.shown_columns
    lines = [[cells.cell(row, column) for column in columns] for row in table.rows]
    lines = [[one if shows_interval(place) else Cell(one.text) for place, one in enumerate(line)] for line in lines]
    for heading in _headings(columns, lines):
        rich.add_column(heading, justify="right")
    group = ""
    for row, line in zip(table.rows, lines, strict=True):
        if row.group != group:
            group = row.group
            rich.add_row(Text(group, style="bold"))
        rich.add_row(f"  {row.name}" if group else row.name, *map(_text, line))
    return rich


def _headings(columns: Sequence[Column], lines: Sequence[Sequence[Cell]]) -> list[str]:
    """Headings that are broken to be about as wide as what stands below them; they end on the same line."""
    broken: list[list[str]] = []
    for column, below in zip(columns, zip(*lines, strict=True), strict=True):
        width = max(_LEAST_HEADING, *(len(one.whole) for one in below))
        broken.append([*textwrap.wrap(column.title, width), *([column.unit] if column.unit else [])])
    height = max(map(len, broken), default=0)
    return ["\n".join([""] * (height - len(heading)) + heading) for heading in broken]


def _text(content: Cell) -> Text:
    text = Text()  # not of one style: the interval would be of the figure's colour, too
    text.append(content.text, style="yellow" if content.text.startswith("~") else "")
    if content.interval:
        text.append(f" ({content.interval})", style="dim")
    return text
