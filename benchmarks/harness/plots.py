"""Plots of a report, as SVG whose colours follow the page's theme, and as PNG. Needs matplotlib, the extra `plots`."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from .arithmetic import Histogram, Median
from .results import Column, PartResult, Report, Row, Table, Timeline

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, GRID, PAPER = "#1c2430", "#d5dae1", "#fefefe"
SERIES = ("#0068a8", "#c8540a", "#00815c", "#a3458d", "#a87800", "#4aa0d8", "#6b7480", "#b02a37")
"""On paper; told apart also by colour-blind eyes (after Okabe and Ito, 2008). The page replaces them in the dark."""

NAMES = frozenset({"engine-latency", "engine-quality", "stream-stages", "scale", "live-timeline", "clinical-timeline"})
"""Every plot that there can be."""

_VARIABLES = {INK: "var(--ink)", GRID: "var(--grid)", PAPER: "var(--paper)"} | {
    colour: f"var(--series-{number})" for number, colour in enumerate(SERIES, 1)
}


@dataclass(frozen=True, slots=True)
class Plot:
    """A picture of the report.

    Attributes:
        name: Of its file.
        part: The part that it shows.
        caption: What is seen.
        svg: ``<svg>`` element; its colours are CSS variables.
        png: The same on paper.
    """

    name: str
    part: str
    caption: str
    svg: str
    png: bytes


def draw_plots(report: Report) -> list[Plot]:
    """Draw what the parts of a report have to show."""
    plots: list[Plot] = []
    for measured in report.parts:
        part = measured.result
        tables = {table.key: table for table in part.tables}
        if part.name == "engine":
            plots.append(_plot("engine-latency", part, _LATENCY, _draw_on(_latency, tables["speed"])))
            if _judged(tables["engines"]):
                draw = _draw_on(_quality, tables["engines"])
                plots.append(_plot("engine-quality", part, _QUALITY, draw))
        elif part.name == "stream":
            plots.append(_plot("stream-stages", part, _STAGES, _draw_on(_stages, tables["stages"]), height=3.2))
        elif part.name == "scale":
            plots.append(_plot("scale", part, _SCALE, _draw_on(_scale, part.tables)))
        if part.timelines:
            height = 0.5 + 1.7 * len(part.timelines)
            name, draw = f"{part.name}-timeline", _draw_on(_timelines, part.timelines)
            plots.append(_plot(name, part, _TIMELINE, draw, height=height))
    return plots


_LATENCY = "Latency of a call, one picture, one thread: the share of calls that took no longer."
_QUALITY = "Quality against speed: upper right is better. Bars are the intervals over repeats."
_STAGES = "Work on a frame, by stage. rt-seg's stages run side by side, so a frame is done in less than their sum."
_SCALE = "How cost grows. Bars are the intervals over repeats."
_TIMELINE = "Frame by frame; a red tick at the foot is a frame that was dropped for a newer one."


def _draw_on(draw: Callable[["Figure", Any], None], what: object) -> Callable[["Figure"], None]:
    return lambda figure: draw(figure, what)


def _plot(name: str, part: PartResult, caption: str, draw: Callable[["Figure"], None], *, height: float = 3.6) -> Plot:
    import matplotlib as mpl

    look = {
        "font.size": 10, "font.family": "sans-serif", "svg.fonttype": "none", "svg.hashsalt": name,
        "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": INK, "xtick.color": INK, "ytick.color": INK,
        "axes.facecolor": "none", "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True,
        "axes.axisbelow": True, "grid.color": GRID, "grid.linewidth": 0.8, "legend.frameon": False,
    }  # fmt: skip
    with cast("Any", mpl).rc_context(look):
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        # Agg's own canvas: pyplot would look for a display and keep every figure
        figure = Figure(figsize=(8.4, height), layout="constrained")
        FigureCanvasAgg(figure)
        draw(figure)
        png, svg = io.BytesIO(), io.StringIO()
        figure.savefig(png, format="png", dpi=130, facecolor=PAPER)
        figure.savefig(svg, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return Plot(name, part.name, caption, _themed(svg.getvalue()), png.getvalue())


def _themed(svg: str) -> str:
    """The element alone, with variables for colours."""
    svg = svg[svg.index("<svg") :]
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, variable)
    return svg


# --- engine


def _latency(figure: "Figure", table: Table) -> None:
    axes = figure.subplots()
    firsts = {row.group: row for row in reversed(table.rows)}  # the first row of each engine: one thread
    groups = dict.fromkeys(row.group for row in table.rows)
    for number, group in enumerate(groups):
        milliseconds, shares = _distribution(firsts[group].histograms["latency"])
        axes.step(milliseconds, shares, where="post", color=_colour(number), label=group, linewidth=1.8)
    axes.set_xscale("log")
    _plain_ticks(axes)
    axes.set_xlabel("milliseconds")
    axes.set_ylabel("calls, %")
    axes.set_ylim(0, 101)
    _legend_beside(axes)


def _distribution(histogram: Histogram) -> tuple[list[float], list[float]]:
    values = sorted(histogram.counts)
    shares = 100 * np.cumsum([histogram.counts[value] for value in values]) / histogram.count
    return [values[0] / 1000, *(value / 1000 for value in values)], [0.0, *shares.tolist()]


def _judged(table: Table) -> list[Row]:
    return [row for row in table.rows if "mdice" in row.exact and len(row.values["rate"]) > 1]


def _quality(figure: "Figure", table: Table) -> None:
    axes = figure.subplots()
    rate = next(column for column in table.columns if column.key == "rate")
    marks = "osD^vPX*"
    dices: list[float] = []
    for number, row in enumerate(table.rows):
        speed, mdice = row.figure(rate), row.exact.get("mdice")
        if isinstance(speed, Median) and isinstance(mdice, float):
            dices.append(mdice)
            axes.errorbar(
                [speed.value], [mdice], xerr=_ends([speed]), fmt=marks[number % len(marks)], color=_colour(number),
                capsize=3, markersize=8, label=row.label, linewidth=1.2,
            )  # fmt: skip
    middle, span = (max(dices) + min(dices)) / 2, max(0.01, 0.8 * (max(dices) - min(dices)))
    axes.set_ylim(middle - span, middle + span)
    axes.set_xlim(left=0)
    axes.set_xlabel("pictures a second, one thread, one picture a call")
    axes.set_ylabel("mDice")
    _legend_beside(axes)


# --- stream


def _stages(figure: "Figure", table: Table) -> None:
    axes = figure.subplots()
    mean = next(column for column in table.columns if column.key == "mean")
    groups = dict.fromkeys(row.group for row in table.rows)
    longest = max(sum(_widths([row for row in table.rows if row.group == group], mean)) for group in groups)
    for place, group in enumerate(groups):
        left = 0.0
        for number, width in enumerate(_widths([row for row in table.rows if row.group == group], mean)):
            axes.barh(place, width, left=left, color=_colour(number), edgecolor=PAPER, height=0.44)
            left += width
        _name_segments(axes, place, [row for row in table.rows if row.group == group], mean, longest)
        axes.annotate(f"{left:.1f} ms", (left, place), (6, 0), textcoords="offset points", va="center")
    axes.set_yticks(range(len(groups)), list(groups))
    axes.set_ylim(len(groups) - 0.45, -0.6)
    axes.set_xlabel("milliseconds a frame, mean")
    axes.margins(x=0.1)
    axes.grid(visible=False, axis="y")


def _widths(rows: Sequence[Row], mean: Column) -> list[float]:
    figures = [row.figure(mean) for row in rows]
    return [one.value if isinstance(one, Median) else 0.0 for one in figures]


def _name_segments(axes: "Axes", place: int, rows: Sequence[Row], mean: Column, longest: float) -> None:
    """Name the segments that are wide enough above them, and list all below the bar."""
    widths, left = _widths(rows, mean), 0.0
    for row, width in zip(rows, widths, strict=True):
        if width > 0.07 * longest:
            axes.annotate(row.name, (left + width / 2, place - 0.24), ha="center", va="bottom", fontsize=9)
        left += width
    listed = ", ".join(f"{row.name} {width:.1f}" for row, width in zip(rows, widths, strict=True))
    axes.annotate(listed, (0, place + 0.24), (0, -3), textcoords="offset points", va="top", fontsize=9)


# --- scale


def _scale(figure: "Figure", tables: Sequence[Table]) -> None:
    shown = [table for table in tables if table.rows and "x" in table.rows[0].exact]
    for axes, table, number in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, range(9), strict=False):
        column = table.columns[0]
        figures = [(row, row.figure(column)) for row in table.rows]
        points = [(row, one) for row, one in figures if isinstance(one, Median)]
        places, medians = [float(row.exact["x"]) for row, _ in points], [one for _, one in points]
        axes.errorbar(
            places, [one.value for one in medians], yerr=_ends(medians), color=_colour(number), marker="o", capsize=3
        )
        axes.set_title(column.heading, loc="left", fontsize=10)
        axes.set_xlabel(str(table.rows[0].exact.get("x_name", "")))
        axes.set_ylim(bottom=0)
        by_pixels = table.key == "size"  # to scale: cost that grows with the pixels is then a straight line
        axes.set_xscale("linear") if by_pixels else axes.set_xscale("log", base=2)
        axes.set_xticks(places, [row.name for row, _ in points], rotation=90 if by_pixels else 30)
        axes.minorticks_off()


# --- over time


def _timelines(figure: "Figure", timelines: Sequence[Timeline]) -> None:
    panels = figure.subplots(len(timelines), 1, squeeze=False, sharex=True)[:, 0]
    for axes, timeline in zip(panels, timelines, strict=True):
        axes.plot(timeline.seconds, timeline.values, color=SERIES[0], linewidth=1.2)
        top = max(timeline.values, default=1.0)
        if timeline.dropped:
            axes.vlines(timeline.dropped, 0, 0.08 * top, color=SERIES[7], linewidth=1.0)
        lost = f", {len(timeline.dropped)} dropped" if timeline.dropped else ""
        axes.set_title(f"{timeline.name}{lost}", loc="left", fontsize=10)
        axes.set_ylabel(timeline.label)
        axes.set_ylim(0, 1.1 * top)
    panels[-1].set_xlabel("seconds")


# --- shared


def _colour(number: int) -> str:
    return SERIES[number % len(SERIES)]


def _ends(medians: Sequence[Median]) -> list[list[float]]:
    return [[one.value - one.low for one in medians], [one.high - one.value for one in medians]]


def _legend_beside(axes: "Axes") -> None:
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))


def _plain_ticks(axes: "Axes") -> None:
    """Numbers, not powers of ten, at enough places of a logarithmic axis to read a value."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    low, high = axes.get_xlim()
    subs = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0) if high < 10 * low else (1.0, 2.0, 5.0)
    axes.xaxis.set_major_locator(LogLocator(subs=subs))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
