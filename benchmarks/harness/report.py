"""The report of `rt-seg benchmark`: one HTML page with everything inside, Markdown to paste, PNGs, and the JSON."""

from collections.abc import Iterable, Sequence
from html import escape
from importlib import import_module
from pathlib import Path
from string import Template

from rt_seg.errors import MissingDependencyError, OutputError
from rt_seg.realtime.sinks.files import check_output_file, check_output_folder

from ..evaluate_files import write_whole
from .cells import (
    LEGEND,
    Cell,
    background_line,
    cell,
    comparison_cells,
    comparison_headings,
    machine_line,
    stopped_line,
    turned,
)
from .compare import Comparison
from .files import write_json
from .plots import Plot, draw_plots
from .results import Headline, Measured, PartResult, Report, Table

_PAGE = Path(__file__).parent / "report.html"
_LEFT = (0, 1, 2, 6)  # columns of the comparison that are text


def check_outputs(json_file: Path | None, report: Path | None) -> None:
    """Refuse, before any work is done, what could not be written.

    Raises:
        OutputError: A file or folder cannot be written.
        MissingDependencyError: A report is wanted, and matplotlib is not there.
    """
    if json_file is not None:
        check_output_file(json_file, ".json")
    if report is None:
        return
    check_output_folder(report)
    try:
        import_module("matplotlib")
    except ImportError as exc:
        raise MissingDependencyError(
            "the report needs matplotlib: pip install 'rt-seg[plots]', or leave --report out"
        ) from exc


def write_report(folder: Path, report: Report, comparisons: Sequence[Comparison], notes: Sequence[str]) -> list[Path]:
    """Write the report; what an earlier run left under these names is replaced.

    Args:
        folder: Made if it is missing.
        report: What was measured.
        comparisons: Against an earlier run; empty without one.
        notes: What a reader of the comparison must know.

    Returns:
        The files.

    Raises:
        OutputError: A file cannot be written.
    """
    plots = draw_plots(report)
    files = [folder / "report.html", folder / "report.md", folder / "benchmark.json"]
    write_whole(files[0], html_page(report, plots, comparisons, notes).encode())
    write_whole(files[1], markdown(report, comparisons, notes).encode())
    write_json(files[2], report)
    _remove_old_plots(folder, plots)
    for plot in plots:
        file = folder / f"{plot.name}.png"
        write_whole(file, plot.png)
        files.append(file)
    return files


def _remove_old_plots(folder: Path, plots: Sequence[Plot]) -> None:
    """Plots of an earlier run that this one does not draw would pass for its own."""
    from .plots import NAMES

    for name in NAMES - {plot.name for plot in plots}:
        try:
            (folder / f"{name}.png").unlink(missing_ok=True)
        except OSError as exc:
            raise OutputError(
                f"{folder / name}.png: is of an earlier run and cannot be removed ({exc.strerror})"
            ) from exc


# --- Markdown


def markdown(report: Report, comparisons: Sequence[Comparison], notes: Sequence[str]) -> str:
    """The tables as Markdown (GitHub's), with the command that made them."""
    lines = [f"`{report.command}`, {report.created}: {machine_line(report)}", ""]
    for line in _doubts(report):
        lines += [f"> {line}", ""]
    for measured in report.parts:
        lines += [f"### {measured.result.title}", ""]
        for table in measured.result.tables:
            lines += [f"{table.title}:", "", *_markdown_table(table), ""]
        lines += [*(f"- {note}" for note in (*measured.result.notes, background_line(measured))), ""]
    if comparisons or notes:
        lines += ["### Against an earlier run", ""]
        if comparisons:
            lines += [*_pipes(comparison_headings(), map(comparison_cells, comparisons), _LEFT), ""]
        lines += [*(f"- {note}" for note in notes), ""]
    return "\n".join([*lines, LEGEND, ""])


def _markdown_table(table: Table) -> list[str]:
    if table.turned:
        headings, rows = turned(table)
        return _pipes(["", *headings], ([name, *(one.whole for one in cells)] for name, cells in rows))
    columns = table.shown_columns
    body = ([row.label, *(cell(row, column).whole for column in columns)] for row in table.rows)
    return _pipes(["", *(column.heading for column in columns)], body)


def _pipes(headings: Sequence[str], rows: Iterable[Sequence[str]], left: Sequence[int] = (0,)) -> list[str]:
    rule = ["---" if number in left else "---:" for number in range(len(headings))]
    return [f"| {' | '.join(text.replace('|', '/') for text in line)} |" for line in (headings, rule, *rows)]


def _doubts(report: Report) -> list[str]:
    missing = stopped_line(report)
    busy = [f"{line}; figures may be off" for line in report.warnings]
    return busy if missing is None else [missing, *busy]


# --- HTML


def html_page(report: Report, plots: Sequence[Plot], comparisons: Sequence[Comparison], notes: Sequence[str]) -> str:
    """One page that needs no other file."""
    page = Template(_PAGE.read_text(encoding="utf-8"))
    doubts = "".join(f"<p>{escape(line)}</p>" for line in _doubts(report))
    return page.substitute(
        created=escape(report.created),
        command=escape(report.command),
        banner=f'<div class="banner" role="note">{doubts}</div>' if doubts else "",
        cards=_cards(report),
        parts="".join(_part(measured, plots) for measured in report.parts),
        comparison=_comparison(comparisons, notes),
        legend=escape(LEGEND),
        machine=_machine(report),
    )


def _cards(report: Report) -> str:
    cards = [_card(measured.result, headline) for measured in report.parts for headline in measured.result.headlines]
    return f'<div class="cards">{"".join(cards)}</div>' if cards else ""


def _card(part: PartResult, headline: Headline) -> str:
    found = _headline_cell(part, headline)
    interval = f"<span>{escape(found.interval)}</span>" if found.interval else ""
    return f'<div class="card"><b>{escape(found.text)}</b><span>{escape(headline.title)}</span>{interval}</div>'


def _headline_cell(part: PartResult, headline: Headline) -> Cell:
    table = next(table for table in part.tables if table.key == headline.table)
    column = next(column for column in table.columns if column.key == headline.column)
    return next(cell(row, column) for row in table.rows if row.label == headline.row)


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
        f'<p class="soft">{escape(background_line(measured))}</p>'
        f"{f'<ul>{notes}</ul>' if notes else ''}{''.join(map(_html_table, result.tables))}{figures}</section>"
    )


def _html_table(table: Table) -> str:
    if table.turned:
        headings, lines = turned(table)
        body = "".join(f"<tr><td>{escape(name)}</td>{''.join(map(_td, cells))}</tr>" for name, cells in lines)
    else:
        columns = table.shown_columns
        headings, body, group = [column.heading for column in columns], "", ""
        for row in table.rows:
            if row.group != group:
                group = row.group
                body += f'<tr class="group"><td colspan="{len(columns) + 1}">{escape(group)}</td></tr>'
            body += f"<tr><td>{escape(row.name)}</td>{''.join(_td(cell(row, column)) for column in columns)}</tr>"
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
        f"<th{' class=text' if number in _LEFT else ''}>{heading}</th>"
        for number, heading in enumerate(comparison_headings())
    )
    table = (
        f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>' if body else ""
    )
    remarks = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return f'<section id="comparison"><h2>Against an earlier run</h2><ul>{remarks}</ul>{table}</section>'


def _comparison_row(one: Comparison) -> str:
    cells = comparison_cells(one)
    tds = [
        f"<td{' class=text' if number in _LEFT else ''}>{escape(text)}</td>" for number, text in enumerate(cells[:-1])
    ]
    kind = one.verdict if one.verdict in ("better", "worse") else "soft"
    return f'<tr>{"".join(tds)}<td class="text {kind}">{escape(one.verdict)}</td></tr>'


def _machine(report: Report) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    asked = ", ".join(f"{name} {value}" for name, value in report.settings.items() if value not in (None, [], ()))
    entries = {"machine": machine_line(report), "versions": versions, "settings": asked}
    entries["memory"] = f"{report.machine['memory_mib']} MiB"
    if report.machine.get("frequency_governor"):
        entries["frequency governor"] = str(report.machine["frequency_governor"])
    items = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in entries.items())
    return f"<dl>{items}</dl>"
