"""What the plots of a report show, each drawn on a figure of matplotlib."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .arithmetic import Histogram, Median
from .results import Column, Row, Table, Timeline

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, GRID, PAPER = "#1c2430", "#d5dae1", "#fefefe"
SERIES = ("#0068a8", "#c8540a", "#00815c", "#a3458d", "#a87800", "#4aa0d8", "#6b7480", "#b02a37")
"""On paper; told apart also by colour-blind eyes (after Okabe and Ito, 2008). The page replaces them in the dark."""


# --- engine


def latency(figure: "Figure", table: Table) -> None:
    """The share of calls that took no longer than a time, of each engine."""
    axes = figure.subplots()
    firsts = {row.group: row for row in reversed(table.rows)}  # the first row of each engine: one thread
    for number, group in enumerate(dict.fromkeys(_groups(table))):
        _step(axes, firsts[group].histograms["latency"], number, group)
    _shares_over_time(axes)
    axes.set_ylabel("calls, %")
    _legend_beside(axes)


def delays(figure: "Figure", table: Table) -> None:
    """The share of pictures that came no later than a time, a panel a delay, a line a pace; dashed: the reference."""
    groups = list(dict.fromkeys(_groups(table)))
    panels = figure.subplots(1, len(groups), squeeze=False, sharey=True)[0]
    for axes, group in zip(panels, groups, strict=True):
        rows = [row for row in table.rows if row.group == group]
        for number, row in enumerate(rows):
            _step(axes, row.histograms["delay"], number, row.name)
        axes.axvline(float(rows[0].exact["reference"]), color=INK, linewidth=1.2, linestyle="--", label="reference")
        _shares_over_time(axes)
        axes.set_title(group, loc="left", fontsize=10)
    panels[0].set_ylabel("pictures, %")
    _legend_beside(panels[-1])


def _step(axes: "Axes", histogram: Histogram, number: int, label: str) -> None:
    if histogram.count:
        milliseconds, shares = _distribution(histogram)
        axes.step(milliseconds, shares, where="post", color=_colour(number), label=label, linewidth=1.8)


def _shares_over_time(axes: "Axes") -> None:
    axes.set_xscale("log")
    _plain_ticks(axes)
    axes.set_xlabel("milliseconds")
    axes.set_ylim(0, 101)


def _distribution(histogram: Histogram) -> tuple[list[float], list[float]]:
    values = sorted(histogram.counts)
    shares = 100 * np.cumsum([histogram.counts[value] for value in values]) / histogram.count
    return [values[0] / 1000, *(value / 1000 for value in values)], [0.0, *shares.tolist()]


def judged(table: Table) -> list[Row]:
    """Engines whose masks were judged, and that ran more than once."""
    return [row for row in table.rows if "mdice" in row.exact and len(row.values["rate"]) > 1]


def quality(figure: "Figure", table: Table) -> None:
    """Quality (mDice) over speed, a mark an engine."""
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


def stages(figure: "Figure", tables: Sequence[Table]) -> None:
    """A frame's time in each stage, one after the other, and how often a frame comes out."""
    table, rates = (next(table for table in tables if table.key == key) for key in ("stages", "runs"))
    axes = figure.subplots()
    mean = next(column for column in table.columns if column.key == "mean")
    groups = {name: [row for row in table.rows if row.group == name] for name in dict.fromkeys(_groups(table))}
    longest = max(sum(_widths(rows, mean)) for rows in groups.values())
    for place, (group, rows) in enumerate(groups.items()):
        left = 0.0
        for number, width in enumerate(_widths(rows, mean)):
            axes.barh(place, width, left=left, color=_colour(number), edgecolor=PAPER, height=0.44)
            left += width
        _name_segments(axes, place, rows, mean, longest)
        label = f"{left:.1f} ms{_interval_between_frames(rates, group)}"
        axes.annotate(label, (left, place), (6, 0), textcoords="offset points", va="center")
    axes.set_yticks(range(len(groups)), list(groups))
    axes.set_ylim(len(groups) - 0.45, -0.6)
    axes.set_xlim(0, 1.27 * longest)
    axes.set_xlabel("milliseconds a frame, mean")
    axes.grid(visible=False, axis="y")


def _groups(table: Table) -> list[str]:
    return [row.group for row in table.rows]


def _interval_between_frames(rates: Table, group: str) -> str:
    column = next(column for column in rates.columns if column.key == "fps")
    rate = next(row.figure(column) for row in rates.rows if row.name == group)
    return f",\na frame every {1000 / rate.value:.1f}" if isinstance(rate, Median) else ""


def _widths(rows: Sequence[Row], mean: Column) -> list[float]:
    figures = [row.figure(mean) for row in rows]
    return [one.value if isinstance(one, Median) else 0.0 for one in figures]


def _name_segments(axes: "Axes", place: int, rows: Sequence[Row], mean: Column, longest: float) -> None:
    """Name the segments that are wide enough above them, and list all below the bar."""
    widths, left = _widths(rows, mean), 0.0
    for row, width in zip(rows, widths, strict=True):
        if width > 0.08 * longest:
            axes.annotate(row.name, (left + width / 2, place - 0.24), ha="center", va="bottom", fontsize=9)
        left += width
    listed = ", ".join(f"{row.name} {width:.1f}" for row, width in zip(rows, widths, strict=True))
    axes.annotate(listed, (0, place + 0.24), (0, -3), textcoords="offset points", va="top", fontsize=9)


# --- scale


def scale(figure: "Figure", tables: Sequence[Table]) -> None:
    """The first figure of each table over what grows."""
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


def timelines(figure: "Figure", lines: Sequence[Timeline]) -> None:
    """A figure frame by frame, and what was dropped."""
    panels = figure.subplots(len(lines), 1, squeeze=False, sharex=True)[:, 0]
    for axes, timeline in zip(panels, lines, strict=True):
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
    from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

    low, high = axes.get_xlim()
    subs = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0) if high < 10 * low else (1.0, 2.0, 5.0)
    axes.xaxis.set_major_locator(LogLocator(subs=subs))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
