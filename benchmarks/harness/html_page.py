"""The report as one HTML page that needs no other file and runs no script."""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from string import Template

from . import cells
from .cells import Cell
from .compare import Comparison
from .plots import Plot
from .results import Column, Headline, Measured, PartResult, Report, Row, Table

_PAGE = Path(__file__).parent / "report.html"


def html_page(report: Report, plots: Sequence[Plot], comparisons: Sequence[Comparison], notes: Sequence[str]) -> str:
    """One page that needs no other file."""
    page = Template(_PAGE.read_text(encoding="utf-8"))
    doubts = "".join(f"<p>{escape(line)}</p>" for line in cells.doubts(report))
    return page.substitute(
        created=escape(report.created.replace("T", " ", 1)),
        command=escape(report.command),
        banner=f'<div class="banner" role="note">{doubts}</div>' if doubts else "",
        cards=_cards(report),
        parts="".join(_part(measured, plots) for measured in report.parts),
        comparison=_comparison(comparisons, notes),
        legend=escape(cells.LEGEND),
        machine=_machine(report),
    )


def _cards(report: Report) -> str:
    cards = [_card(measured.result, headline) for measured in report.parts for headline in measured.result.headlines]
    return f'<div class="cards">{"".join(cards)}</div>' if cards else ""


def _card(part: PartResult, headline: Headline) -> str:
    row, column = _place(part, headline)
    found = cells.cell(row, column)
    unit = f" <small>{escape(column.unit)}</small>" if column.unit else ""
    interval = f"<span>{escape(found.interval)}</span>" if found.interval else ""
    return f'<div class="card"><b>{escape(found.text)}{unit}</b><span>{escape(headline.title)}</span>{interval}</div>'


def _place(part: PartResult, headline: Headline) -> tuple[Row, Column]:
    table = next(table for table in part.tables if table.key == headline.table)
    column = next(column for column in table.columns if column.key == headline.column)
    return next(row for row in table.rows if row.label == headline.row), column


def _part(measured: Measured, plots: Sequence[Plot]) -> str:
    result = measured.result
    notes = "".join(f"<li>{escape(note)}</li>" for note in result.notes)
    figures = "".join(
        f"<figure>{plot.svg}<figcaption>{escape(plot.caption)}</figcaption></figure>"
        for plot in plots
        if plot.part == result.name
    )
    return (
        f'<section id="{escape(result.name)}"><h2>{escape(result.title)}</h2>'
        f'<p class="soft">{escape(cells.background_line(measured))}</p>'
        f"{f'<ul>{notes}</ul>' if notes else ''}{''.join(map(_html_table, result.tables))}{figures}</section>"
    )


def _html_table(table: Table) -> str:
    if table.turned:
        headings, lines = cells.turned(table)
        body = "".join(f"<tr><td>{escape(name)}</td>{''.join(map(_td, line))}</tr>" for name, line in lines)
    else:
        columns = table.shown_columns
        headings, body, group = [column.heading for column in columns], "", ""
        for row in table.rows:
            if row.group != group:
                group = row.group
                body += f'<tr class="group"><td colspan="{len(columns) + 1}">{escape(group)}</td></tr>'
            body += f"<tr><td>{escape(row.name)}</td>{''.join(_td(cells.cell(row, column)) for column in columns)}</tr>"
    head = "".join(f"<th>{escape(heading)}</th>" for heading in ("", *headings))
    return (
        f'<h3>{escape(table.title)}</h3><div class="wide"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _td(content: Cell) -> str:
    interval = f" <i>({escape(content.interval)})</i>" if content.interval else ""
    noisy = ' class="noisy"' if content.text.startswith("~") else ""
    return f"<td{noisy}>{escape(content.text)}{interval}</td>"


def _comparison(comparisons: Sequence[Comparison], notes: Sequence[str]) -> str:
    if not comparisons and not notes:
        return ""
    body = "".join(_comparison_row(one) for one in comparisons)
    head = "".join(
        f"<th{_as_words(number)}>{heading}</th>" for number, heading in enumerate(cells.comparison_headings())
    )
    table = (
        f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>' if body else ""
    )
    remarks = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return f'<section id="comparison"><h2>Against an earlier run</h2><ul>{remarks}</ul>{table}</section>'


def _comparison_row(one: Comparison) -> str:
    *texts, verdict = cells.comparison_cells(one)
    tds = [f"<td{_as_words(number)}>{escape(text)}</td>" for number, text in enumerate(texts)]
    kind = verdict if verdict in ("better", "worse") else "soft"
    return f'<tr>{"".join(tds)}<td class="text {kind}">{escape(verdict)}</td></tr>'


def _as_words(number: int) -> str:
    return " class=text" if number in cells.COMPARISON_WORDS else ""


def _machine(report: Report) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    asked = ", ".join(f"{name} {value}" for name, value in report.settings.items() if value not in (None, [], ()))
    entries = {"machine": cells.machine_line(report), "versions": versions, "settings": asked}
    entries["memory"] = f"{report.machine['memory_mib']} MiB"
    if report.machine.get("frequency_governor"):
        entries["frequency governor"] = str(report.machine["frequency_governor"])
    items = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in entries.items())
    return f"<dl>{items}</dl>"
