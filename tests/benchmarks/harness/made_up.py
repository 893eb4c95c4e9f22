"""A part of the benchmark that is made up and takes no time, and the command line that runs it."""

from collections.abc import Callable
from typing import cast

import pytest
from typer.testing import CliRunner, Result

from rt_seg.benchmarks.harness.arithmetic import Histogram
from rt_seg.benchmarks.harness.part import PARTS, Part, Progress, Settings
from rt_seg.benchmarks.harness.results import Column, Headline, PartResult, Row, Table, Timeline, percentile_columns
from rt_seg.cli import app

TO = "\N{EN DASH}"  # between the ends of an interval


def made_up(name: str = "first", speed: float = 100.0, *, repeats: int = 5) -> PartResult:
    """Figures that scatter by a tenth of a percent around a speed."""
    values = [speed * (1 + 0.001 * number) for number in range(repeats)]
    rows = (
        Row("one <thread>", "an engine", {"rate": values}, {"mdice": 0.85}, {"latency": Histogram({10_000: 150})}),
        Row("two threads", "an engine", {"rate": [30.0, 60.0]}, {"kind": "f32"}),
    )
    columns = (
        Column("rate", "frames", "1/s", "higher"),
        *percentile_columns("latency"),
        Column("mdice", "mDice", digits=4),
        Column("kind", "kind"),
        Column("never", "never measured"),
    )
    return PartResult(
        name=name,
        title=f"Made up: {name}",
        tables=(Table("all", "A table", columns, rows), Table("turned", "The same", columns, rows, turned=True)),
        notes=("a note",),
        timelines=(Timeline("delay", "ms", [0.0, 1.0], [2.0, 3.0], [0.5]),),
        setup={"size": 64},
        headlines=(Headline("frames", "all", "an engine, one <thread>", "rate"),),
    )


class FakePart:
    """A part without work: calls a function, such as one that presses Ctrl-C."""

    target = "nothing"
    help = "made up"

    def __init__(self, measure: Callable[[], PartResult], *, default: bool = True) -> None:
        self._measure = measure
        self.default = default
        self.seen: list[Settings] = []

    def measure(self, settings: Settings, progress: Progress) -> PartResult:
        self.seen.append(settings)
        progress.update(0.5, "half")
        return self._measure()


Parts = dict[str, FakePart]


def add(monkeypatch: pytest.MonkeyPatch, name: str, measure: Callable[[], PartResult]) -> FakePart:
    """Add a part to the table, or replace it."""
    part = FakePart(measure)
    monkeypatch.setitem(PARTS, name, cast("Part", part))
    return part


def benchmark(*arguments: object, columns: int = 120) -> Result:
    """Run the command line in this process."""
    return CliRunner(env={"COLUMNS": str(columns)}).invoke(app, ["benchmark", *map(str, arguments)])


def assert_one_line(result: Result, exit_code: int, *says: str) -> None:
    """An error on purpose, in one line."""
    assert result.exit_code == exit_code, result.output
    (line,) = result.stderr.splitlines()
    assert line.startswith("rt-seg: ")
    for text in says:
        assert text in line
    assert result.stdout == ""
