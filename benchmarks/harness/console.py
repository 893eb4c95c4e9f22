"""What a person sees of `rt-seg benchmark`: progress on standard error, the tables on standard output."""

import sys
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
from .results import Measured, Report, Table

_UNBOUNDED = 10_000  # columns: wider than any table
_VERDICTS = {"better": "green", "worse": "red"}


class BenchmarkConsole:
    """A progress bar (on a terminal; else a line a part), and the tables. Not thread-safe; a context manager.

    Args:
        parts: Names of the parts ahead.
    """

    def __init__(self, parts: list[str]) -> None:
        self._parts = parts
        self._errors = Console(stderr=True, highlight=False)
        self._output = Console(file=sys.stdout, highlight=False)
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
        self._output.print(Text(result.title, style="bold"), soft_wrap=True)
        self._say(cells.background_line(measured), style="dim")
        for table in result.tables:
            self._output.print()
            self._output.print(self._fitting(table))
        if result.notes:
            self._output.print()
        for note in result.notes:
            self._say(note)
        self._output.print()

    def note(self, line: str) -> None:
        """Say one line on standard error."""
        self._errors.print(line, markup=False, soft_wrap=True)

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
        self._output.print(Text(f"Against {name}", style="bold"), soft_wrap=True)
        table = RichTable(box=None, pad_edge=False, header_style="dim")
        for number, heading in enumerate(cells.comparison_headings()):
            table.add_column(heading, justify="left" if number in cells.COMPARISON_WORDS else "right")
        for one in found:
            line = [Text(text) for text in cells.comparison_cells(one)]
            line[-1].stylize(_VERDICTS.get(one.verdict, "dim"))
            table.add_row(*line)
        if found:
            self._output.print(table)
        for note in notes:
            self._say(f"note: {note}")

    def _fitting(self, table: Table) -> RichTable:
        """With all intervals, or with those of the first figure alone where the terminal is too narrow for all."""
        whole = _rich_table(table)
        wanted = self._output.measure(whole, options=self._output.options.update(width=_UNBOUNDED)).maximum
        return whole if wanted <= self._output.width else _rich_table(table, narrow=True)

    def _say(self, line: str, style: str = "") -> None:
        self._output.print(Text(line, style=style), soft_wrap=True)


def _rich_table(table: Table, *, narrow: bool = False) -> RichTable:
    rich = RichTable(
        box=None, pad_edge=False, header_style="dim", title=table.title, title_justify="left", title_style="italic"
    )
    rich.add_column("", no_wrap=True)
    if table.turned:
        headings, lines = cells.turned(table)
        for heading in headings:
            rich.add_column(heading, justify="right")
        for name, line in lines:
            rich.add_row(name, *map(_text, line))
        return rich
    for column in table.shown_columns:
        rich.add_column(column.heading.replace(", ", "\n"), justify="right", vertical="bottom")
    group = ""
    for row in table.rows:
        if row.group != group:
            group = row.group
            rich.add_row(Text(group, style="bold"))
        line = [cells.cell(row, column) for column in table.shown_columns]
        if narrow:
            line[1:] = [Cell(one.text) for one in line[1:]]
        rich.add_row(f"  {row.name}" if group else row.name, *map(_text, line))
    return rich


def _text(content: Cell) -> Text:
    text = Text(content.text, style="yellow" if content.text.startswith("~") else "", no_wrap=True)
    if content.interval:
        text.append(f" ({content.interval})", style="dim")
    return text
