"""The part `stream` on a real clip, and the arithmetic of a run; no time is asserted."""

from pathlib import Path

import pytest

from rt_seg.benchmarks import stream
from rt_seg.benchmarks.clips import make_clip
from rt_seg.benchmarks.harness.part import Settings
from rt_seg.benchmarks.stream_run import memory_growth, rate_together
from rt_seg.engines.cpu import usable_cores

from .measuring import Bar, rows_of, run_of, table_of


@pytest.mark.slow
def test_stream_part_runs_both_sides_on_a_clip(tiny_model_path: Path, tmp_path: Path) -> None:
    """Pipeline and plain loop run on the clip that was given; each stage has its figures, one is the limit."""
    clip = make_clip(tmp_path / "clip.mp4", 96, 64, 12)
    settings = Settings(engine=str(tiny_model_path), source=clip, seconds=0.1, repeats=2, quick=True)
    result = stream.measure(settings, Bar())
    runs, stages = rows_of(table_of(result, "runs")), rows_of(table_of(result, "stages"))
    assert result.setup["frames"] == 12
    assert (result.setup["width"], result.setup["height"]) == (96, 64)
    assert min(runs["rt-seg stream"].values["fps"]) > 0
    assert len(runs["rt-seg stream"].values["ratio"]) == 2
    assert min(runs["rt-seg stream"].values["first"]) > 0
    assert min(runs["the same, nothing written"].values["share"]) > 0
    assert "ratio" not in runs["the same, nothing written"].values  # the plain loop writes
    assert {
        f"rt-seg stream, {name}" for name in ("capture", "preprocess", "infer", "overlay", "record")
    } <= stages.keys()
    assert stages["rt-seg stream, infer"].histograms["time"].count == 24
    assert "queue" in stages["rt-seg stream, record"].values
    assert min(stages["plain loop, decode"].values["mean"]) > 0
    assert any("limit" in note or "busiest" in note for note in result.notes)


def test_figures_of_a_run_are_those_worked_out_by_hand() -> None:
    """Rate, limit, busy shares and queues follow from frames, seconds and threads."""
    run = run_of()
    assert (run.fps, run.cpu_ms) == (50.0, 30.0)
    assert run.limit_fps(2) == pytest.approx(200 / 3)
    assert run.busy_share("capture") == 0.25
    assert run.busy_share("infer") == 0.75  # 3 seconds of two threads
    assert [run.queue_share(stage) for stage in ("record", "infer", "overlay", "capture")] == [1.0, 0.25, 0.5, None]


def test_limit_is_the_processor_or_the_busiest_stage() -> None:
    """All cores in use: the processor. Else the stage that is busy all the time, if there is one."""
    cores = usable_cores()
    assert stream.limiting([run_of(cpu_seconds=1.9 * cores)] * 3).startswith("the limit is the processor")
    assert stream.limiting([run_of(cpu_seconds=1.0)] * 3).startswith("the limit is record")
    calm = {"capture": 0.5, "infer": 1.0, "record": 0.4}
    assert stream.limiting([run_of(cpu_seconds=1.0, stage_seconds=calm)] * 3).startswith(
        "no stage is busy all the time"
    )


def test_streams_at_once_are_counted_while_all_run() -> None:
    """One begins a second before the other and ends two seconds before it: only what lies between counts."""
    early = run_of(progress=[[0, 0], [1_000_000_000, 10], [2_000_000_000, 20], [4_000_000_000, 40]])
    late = run_of(progress=[[2_000_000_000, 1], [4_000_000_000, 31], [6_000_000_000, 100]])
    assert rate_together([early, late]) == pytest.approx(10 + 15)
    assert rate_together([late]) == pytest.approx(99 / 4)
    after = run_of(progress=[[5_000_000_000, 1], [6_000_000_000, 31]])
    assert rate_together([early, after]) is None


def test_memory_growth_compares_the_ends() -> None:
    """The first tenth does not count, nor what was seen before the first frame; a leak shows."""
    flat = [(0, 10.0), *((number, 200.0 if number > 10 else 50.0) for number in range(1, 101))]
    leak = [(number, 100.0 + number) for number in range(1, 101)]
    assert memory_growth(flat) == 0
    growth = memory_growth(leak)
    assert growth is not None
    assert growth == pytest.approx(100 * (200 / 120 - 1))
    assert memory_growth([(1, 100.0)] * 9) is None
