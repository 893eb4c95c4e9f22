"""The report as Markdown (GitHub's): tables to paste, with the command that made them."""

from collections.abc import Iterable, Sequence

from . import cells
from .compare import Comparison
from .results import Report, Table


def markdown(report: Report, comparisons: Sequence[Comparison], notes: Sequence[str]) -> str:
    """The tables as Markdown (GitHub's), with the command that made them."""
    lines = [f"`{report.command}`, {report.created}: {cells.machine_line(report)}", ""]
    for line in cells.doubts(report):
        lines += [f"> {line}", ""]
    for measured in report.parts:
        lines += [f"### {measured.result.title}", ""]
        for table in measured.result.tables:
            lines += [f"{table.title}:", "", *_markdown_table(table), ""]
        lines += [*(f"- {note}" for note in (*measured.result.notes, cells.background_line(measured))), ""]
    if comparisons or notes:
        lines += ["### Against an earlier run", ""]
        if comparisons:
            body = map(cells.comparison_cells, comparisons)
            lines += [*_pipes(cells.comparison_headings(), body, cells.COMPARISON_WORDS), ""]
        lines += [*(f"- {note}" for note in notes), ""]
    return "\n".join([*lines, cells.LEGEND, ""])


def _markdown_table(table: Table) -> list[str]:
    if table.turned:
        headings, rows = cells.turned(table)
        return _pipes(["", *headings], ([name, *(one.whole for one in line)] for name, line in rows))
    columns = table.shown_columns
    body = ([row.label, *(cells.cell(row, column).whole for column in columns)] for row in table.rows)
    return _pipes(["", *(column.heading for column in columns)], body)


def _pipes(headings: Sequence[str], rows: Iterable[Sequence[str]], left: Sequence[int] = (0,)) -> list[str]:
    rule = ["---" if number in left else "---:" for number in range(len(headings))]
    return [f"| {' | '.join(text.replace('|', '/') for text in line)} |" for line in (headings, rule, *rows)]
