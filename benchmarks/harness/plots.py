"""Plots of a report, as SVG whose colours follow the page's theme, and as PNG. Needs matplotlib, the extra `plots`."""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from . import drawings
from .drawings import GRID, INK, PAPER, SERIES
from .results import PartResult, Report

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAMES = frozenset({"engine-latency", "engine-quality", "stream-stages", "scale", "live-delays", "live-timeline"})
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


@dataclass(frozen=True, slots=True)
class _Drawing:
    """A plot that is still to be drawn: by `draw`, of `what`, in inches."""

    name: str
    caption: str
    draw: Callable[["Figure", Any], None]
    what: Any
    height: float = 3.6


def draw_plots(report: Report) -> list[Plot]:
    """Draw what the parts of a report have to show."""
    parts = [measured.result for measured in report.parts]
    return [_plot(drawing, part) for part in parts for drawing in _drawings(part)]


def _drawings(part: PartResult) -> Iterator[_Drawing]:
    tables = {table.key: table for table in part.tables}
    if part.name == "engine":
        yield _Drawing("engine-latency", _LATENCY, drawings.latency, tables["speed"])
        if drawings.judged(tables["engines"]):
            yield _Drawing("engine-quality", _QUALITY, drawings.quality, tables["engines"])
    elif part.name == "stream":
        yield _Drawing("stream-stages", _STAGES, drawings.stages, part.tables, height=3.2)
    elif part.name == "live":
        yield _Drawing("live-delays", _DELAYS, drawings.delays, tables["delays"])
    elif part.name == "scale":
        yield _Drawing("scale", _SCALE, drawings.scale, part.tables)
    if part.timelines:
        height = 0.5 + 1.7 * len(part.timelines)
        yield _Drawing(f"{part.name}-timeline", _TIMELINE, drawings.timelines, part.timelines, height)


_LATENCY = "Latency of a call, one picture, one thread: the share of calls that took no longer."
_QUALITY = "Quality against speed: upper right is better. Bars are the intervals over repeats."
_STAGES = (
    "A frame's time in each stage, waiting for a core included. rt-seg's stages work side by side, each on a frame of "
    "its own, so that frames come out faster than one passes through; the plain loop does one thing at a time."
)
_DELAYS = "Delay to the hand-over: the share of pictures that came no later. Dashed is what another device states."
_SCALE = "How cost grows. Bars are the intervals over repeats."
_TIMELINE = "Frame by frame; a red tick at the foot is a frame that was dropped for a newer one."


def _plot(drawing: _Drawing, part: PartResult) -> Plot:
    import matplotlib as mpl

    look = {
        "font.size": 10, "font.family": "sans-serif", "svg.fonttype": "none", "svg.hashsalt": drawing.name,
        "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": INK, "xtick.color": INK, "ytick.color": INK,
        "axes.facecolor": "none", "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True,
        "axes.axisbelow": True, "grid.color": GRID, "grid.linewidth": 0.8, "legend.frameon": False,
    }  # fmt: skip
    with cast("Any", mpl).rc_context(look):
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        # Agg's own canvas: pyplot would look for a display and keep every figure
        figure = Figure(figsize=(8.4, drawing.height), layout="constrained")
        FigureCanvasAgg(figure)
        drawing.draw(figure, drawing.what)
        png, svg = io.BytesIO(), io.StringIO()
        figure.savefig(png, format="png", dpi=130, facecolor=PAPER)
        figure.savefig(svg, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return Plot(drawing.name, part.name, drawing.caption, _themed(svg.getvalue()), png.getvalue())


def _themed(svg: str) -> str:
    """The element alone, with variables for colours."""
    svg = svg[svg.index("<svg") :]
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, variable)
    return svg
