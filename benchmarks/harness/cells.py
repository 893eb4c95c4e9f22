"""Figures as text: the same in the terminal, in Markdown and in HTML."""

from dataclasses import dataclass

from .arithmetic import CONFIDENCE, NOISY, Median
from .compare import Comparison
from .part import PREPARATION
from .results import Column, Measured, Report, Row, Table

DASH = "-"
LEGEND = (
    f"Median and interval (at {100 * CONFIDENCE:.0f} % from six repeats on, else lowest to highest) over the repeats; "
    f"~ the repeats vary by more than {100 * NOISY:g} %; {DASH} nothing, or too few samples to say it."
)
COMPARISON_WORDS = (0, 1, 2, 6)
"""Columns of `comparison_cells` that are words, not figures."""

_DASH_BETWEEN = "\N{EN DASH}"


@dataclass(frozen=True, slots=True)
class Cell:
    """A figure as text.

    Attributes:
        text: The figure, with a tilde if its repeats vary much.
        interval: ``low-high``, or empty.
    """

    text: str
    interval: str = ""

    @property
    def whole(self) -> str:
        """Both."""
        return f"{self.text} ({self.interval})" if self.interval else self.text


def cell(row: Row, column: Column) -> Cell:
    """What stands in a row under a column."""
    figure = row.figure(column)
    if figure is None:
        return Cell(DASH)
    if isinstance(figure, str):
        return Cell(figure)
    if isinstance(figure, Median):
        ends = f"{_number(figure.low, column)}{_DASH_BETWEEN}{_number(figure.high, column)}"
        return Cell(f"{'~' if figure.noisy else ''}{_number(figure.value, column)}", ends)
    return Cell(_number(figure, column))


def _number(value: float, column: Column) -> str:
    shown = round(value, column.digits) + 0.0  # + 0.0: no minus before nothing
    return f"{shown:{'+' if column.signed else ''}.{column.digits}f}"


def turned(table: Table) -> tuple[list[str], list[tuple[str, list[Cell]]]]:
    """A table with a column for each case: headings, and a line for each figure."""
    lines = [(column.heading, [cell(row, column) for row in table.rows]) for column in table.shown_columns]
    return [row.label for row in table.rows], lines


def comparison_headings() -> list[str]:
    """Headings of `comparison_cells`."""
    return ["part", "case", "figure", "before", "now", "ratio", ""]


def comparison_cells(comparison: Comparison) -> list[str]:
    """A line of the comparison."""
    column, ratio = comparison.column, comparison.ratio
    interval = "" if ratio.low is None or ratio.high is None else f" ({ratio.low:.3f}{_DASH_BETWEEN}{ratio.high:.3f})"
    return [
        comparison.part,
        comparison.case,
        column.heading,
        _number(comparison.old, column),
        _number(comparison.new, column),
        f"{ratio.value:.3f}{interval}",
        comparison.verdict,
    ]


def background_line(measured: Measured) -> str:
    """How long a part took, and what else the machine did."""
    others, stolen = measured.background.others_share, measured.background.stolen_share
    before = measured.result.spent.get(PREPARATION)
    took = f"took {measured.seconds:.0f} s{'' if before is None else f', {before:.0f} s of them to prepare'}"
    if others is None or stolen is None:
        return f"{took}; what else this machine did cannot be read here"
    host = f", the host took {100 * stolen:.0f} %" if stolen >= 0.005 else ""
    return f"{took}; other programs used {100 * others:.0f} % of all cores meanwhile{host}"


def machine_line(report: Report) -> str:
    """The machine in a line."""
    machine = report.machine
    gpus = f", {machine['gpus'] or 'no'} NVIDIA GPU{'s' if machine['gpus'] > 1 else ''}"
    formats = " ".join(machine["instruction_sets"])
    cores = f"{machine['usable_cores']} usable core{'s' if machine['usable_cores'] > 1 else ''}"
    return f"{machine['cpu']}, {cores}, {formats or 'no AVX2'}{gpus}; {machine['system']}, Python {machine['python']}"


def doubts(report: Report) -> list[str]:
    """What makes its figures doubtful or leaves some of them out, one line each; the missing ones first."""
    missing = stopped_line(report)
    busy = [f"{line}; figures may be off" for line in report.warnings]
    return busy if missing is None else [missing, *busy]


def stopped_line(report: Report) -> str | None:
    """What is missing, where something is."""
    if report.stopped_in is None:
        return None
    done = [measured.result.name for measured in report.parts]
    rest = [name for name in report.planned if name not in done and name != report.stopped_in]
    also = f"; not begun: {', '.join(rest)}" if rest else ""
    return f"INCOMPLETE: it ended in the part {report.stopped_in}, whose figures are left out{also}"
