"""The plots of each part, drawn by matplotlib from figures that are known."""

import pytest

from rt_seg.benchmarks.harness.arithmetic import Histogram
from rt_seg.benchmarks.harness.plots import NAMES, draw_plots
from rt_seg.benchmarks.harness.results import (
    Background,
    Column,
    Measured,
    PartResult,
    Report,
    Row,
    Table,
    Timeline,
    percentile_columns,
)

RATE, MEAN = Column("rate", "pictures/s"), Column("mean", "mean", "ms")
CALLS = {"latency": Histogram({9_000: 10, 11_000: 10})}


def engine_tables() -> tuple[Table, ...]:
    """Two engines, one of which was not judged."""
    engines = (Row("good", values={"rate": [50.0, 60.0]}, exact={"mdice": 0.89}), Row("new", values={"rate": [9.0, 9]}))
    speeds = tuple(Row("1 thread", name, {"rate": [50.0]}, histograms=CALLS) for name in ("good", "new"))
    return Table("engines", "", (RATE,), engines), Table("speed", "", (RATE, *percentile_columns("latency")), speeds)


def stream_tables() -> tuple[Table, ...]:
    """A pipeline that gives a frame every 20 ms, each of which takes 30."""
    runs = Table("runs", "", (Column("fps", "frames/s"),), (Row("ours", values={"fps": [50.0, 50.0]}),))
    stages = (Row("infer", "ours", {"mean": [20.0, 20.0]}), Row("record", "ours", {"mean": [10.0, 10.0]}))
    return runs, Table("stages", "", (MEAN,), stages)


def live_tables() -> tuple[Table, ...]:
    """Two paces, at one of which no picture was shown."""
    rows = tuple(
        Row(f"{pace} frames/s", "video delay", exact={"reference": 5.75}, histograms={"delay": Histogram(counts)})
        for pace, counts in ((25, {4000: 5}), (240, {}))
    )
    return (Table("delays", "", percentile_columns("delay"), rows),)


def scale_tables() -> tuple[Table, ...]:
    """A question of two cases."""
    rows = tuple(Row(f"x{x}", values={"mean": [1.0, 2.0]}, exact={"x": x, "x_name": "clip length"}) for x in (1, 10))
    return (Table("length", "", (MEAN,), rows),)


def report() -> Report:
    """All parts that have something to draw."""
    lines = (Timeline("delay", "ms", [0.0, 1.0], [2.0, 3.0], [0.5]),)
    parts = (
        PartResult("engine", "", engine_tables()),
        PartResult("stream", "", stream_tables()),
        PartResult("live", "", live_tables(), timelines=lines),
        PartResult("scale", "", scale_tables()),
    )
    measured = tuple(Measured(part, 1.0, Background(None, None)) for part in parts)
    return Report("", "", {}, {}, {}, measured, tuple(part.name for part in parts))


@pytest.mark.slow
def test_each_part_is_drawn_with_its_names() -> None:
    """As an element whose colours are the page's, and as a PNG; what was not measured is not drawn."""
    plots = {plot.name: plot for plot in draw_plots(report())}
    assert plots.keys() == NAMES
    for plot in plots.values():
        assert plot.svg.startswith("<svg")
        assert "var(--series-1)" in plot.svg
        assert plot.png.startswith(b"\x89PNG")
    assert ">new<" in plots["engine-latency"].svg
    assert ">good<" in plots["engine-quality"].svg
    assert ">new<" not in plots["engine-quality"].svg
    assert "a frame every 20.0" in plots["stream-stages"].svg
    assert ">25 frames/s<" in plots["live-delays"].svg
    assert ">240 frames/s<" not in plots["live-delays"].svg
    assert "1 dropped" in plots["live-timeline"].svg
    assert ">x10<" in plots["scale"].svg
