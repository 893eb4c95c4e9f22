"""What a benchmark found, as data: `Report` -> `PartResult` -> `Table` -> `Row`. Everything shown is made from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from .arithmetic import Histogram, Median, median

Better = Literal["higher", "lower", ""]


@dataclass(frozen=True, slots=True)
class Column:
    """A figure that every row of a table may have.

    Attributes:
        key: Where a row keeps it: in `Row.values`, in `Row.exact`, or in `Row.histograms`.
        title: Heading.
        unit: Of the figure: ``ms``, ``%``, ``MiB``, ...; empty for none.
        better: Which direction is good; empty where neither is.
        digits: Behind the decimal point.
        percent: The percentile to take of the histogram of that key (100: the maximum), pooled over all repeats.
        signed: Whether a plus stands before a gain.
    """

    key: str
    title: str
    unit: str = ""
    better: Better = ""
    digits: int = 1
    percent: float | None = None
    signed: bool = False

    @property
    def heading(self) -> str:
        """Title and unit."""
        return f"{self.title}, {self.unit}" if self.unit else self.title


def percentile_columns(key: str, unit: str = "ms", digits: int = 2) -> tuple[Column, ...]:
    """p50, p90, p99 and max of a histogram."""
    names = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "max": 100.0}
    return tuple(Column(key, name, unit, "lower", digits, percent) for name, percent in names.items())


@dataclass(frozen=True, slots=True)
class Row:
    """One case of a table.

    Attributes:
        name: What was measured; with `group` unique in its table, and the same from run to run.
        group: Heading that it stands under, or empty.
        values: Figures by key, one value a repeat: shown as median and interval.
        exact: Figures and words that no repeat changes.
        histograms: Durations by key, all repeats together.
    """

    name: str
    group: str = ""
    values: Mapping[str, Sequence[float]] = field(default_factory=dict[str, Sequence[float]])
    exact: Mapping[str, float | str] = field(default_factory=dict[str, "float | str"])
    histograms: Mapping[str, Histogram] = field(default_factory=dict[str, Histogram])

    @property
    def label(self) -> str:
        """Group and name."""
        return f"{self.group}, {self.name}" if self.group else self.name

    def figure(self, column: Column) -> Median | float | str | None:
        """What stands in a column; None where there is nothing, or too little to say it."""
        if column.percent is not None:
            histogram = self.histograms.get(column.key)
            return None if histogram is None else histogram.percentile(column.percent)
        if column.key in self.values:
            return median(self.values[column.key])
        return self.exact.get(column.key)


@dataclass(frozen=True, slots=True)
class Table:
    """Rows with the same columns.

    Attributes:
        key: Its name in the JSON.
        title: Heading.
        columns: The figures.
        rows: The cases.
        turned: Shown with a column for each case: for few cases with many figures.
    """

    key: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    turned: bool = False

    @property
    def shown_columns(self) -> tuple[Column, ...]:
        """Those that any row has something to say in; a percentile stays, as its dash says that there were too few."""
        return tuple(
            column
            for column in self.columns
            if any(
                column.key in row.values or column.key in row.exact or column.key in row.histograms for row in self.rows
            )
        )


@dataclass(frozen=True, slots=True)
class Timeline:
    """A figure over time, frame by frame, and when frames were lost.

    Attributes:
        name: What it shows.
        label: Of the figure, with its unit.
        seconds: When, from the start.
        values: The figure at these times.
        dropped: When a frame was lost, in seconds.
    """

    name: str
    label: str
    seconds: Sequence[float]
    values: Sequence[float]
    dropped: Sequence[float] = ()


@dataclass(frozen=True, slots=True)
class Headline:
    """A figure for the top of the report: where it stands in the tables, and what to call it there, after its unit."""

    title: str
    table: str
    row: str
    column: str


@dataclass(frozen=True, slots=True)
class PartResult:
    """What one part found.

    Attributes:
        name: The part.
        title: A sentence on what was measured, on what.
        tables: The figures.
        notes: What a reader must know to read them.
        timelines: For plots.
        setup: What was measured on, as JSON values: parts of which it differs are not compared.
        headlines: The figures that matter most; `Headline.row` is a `Row.label`.
        spent: Seconds by what they went to, see `Rounds.spent`.
    """

    name: str
    title: str
    tables: tuple[Table, ...]
    notes: tuple[str, ...] = ()
    timelines: tuple[Timeline, ...] = ()
    setup: Mapping[str, Any] = field(default_factory=dict[str, Any])
    headlines: tuple[Headline, ...] = ()
    spent: Mapping[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True, slots=True)
class Background:
    """Work that others did on this machine while a part ran.

    Attributes:
        others_share: Processor time of other programs, as a share (0-1) of all cores; None where /proc does not say.
        stolen_share: Processor time that the host gave to other machines, likewise.
    """

    others_share: float | None
    stolen_share: float | None


@dataclass(frozen=True, slots=True)
class Measured:
    """A part that ran to its end: what it found, how long it took, and what else was going on meanwhile."""

    result: PartResult
    seconds: float
    background: Background


@dataclass(frozen=True, slots=True)
class Report:
    """One run of `rt-seg benchmark`.

    Attributes:
        created: When it began, ISO 8601 with offset.
        command: How it was called.
        settings: What was asked for, as JSON values.
        machine: Processor, memory, system, GPUs, as JSON values.
        versions: Package -> version.
        parts: Those that ran to their end, in order.
        planned: Names of all parts that were asked for.
        stopped_in: The part that was interrupted, whose figures are missing; None if nothing was.
        warnings: What makes figures doubtful, such as a busy machine.
    """

    created: str
    command: str
    settings: Mapping[str, Any]
    machine: Mapping[str, Any]
    versions: Mapping[str, str]
    parts: tuple[Measured, ...]
    planned: tuple[str, ...]
    stopped_in: str | None = None
    warnings: tuple[str, ...] = ()
