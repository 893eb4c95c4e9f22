"""The part `scale` on tiny clips, and what it does where a case fails."""

from pathlib import Path
from typing import Self

import pytest

from rt_seg.benchmarks import scale
from rt_seg.benchmarks.harness.part import Settings
from rt_seg.benchmarks.scale import Plan
from rt_seg.benchmarks.stream_run import StreamRun
from rt_seg.errors import EngineError

from .measuring import Bar, rows_of, run_of, table_of, values_of_run


@pytest.mark.slow
def test_scale_part_asks_its_three_questions(tiny_model_path: Path) -> None:
    """Sizes, streams at once and lengths have each a row a case, with a figure a round."""
    plan = Plan({"small": (64, 48), "large": (128, 96)}, (1, 2), 2, (1, 3), 8)
    result = scale.measure(Settings(engine=str(tiny_model_path), seconds=0.1, repeats=2), Bar(), plan)
    size, streams, length = (rows_of(table_of(result, key)) for key in ("size", "streams", "length"))
    assert (set(size), set(streams), set(length)) == ({"small", "large"}, {"1 stream", "2 streams"}, {"x1", "x3"})
    assert len(size["large"].values["cpu"]) == 2
    assert len(streams["2 streams"].values["memory"]) == 2
    assert any(note.startswith("3 times the frames took") for note in result.notes)


def test_scale_part_leaves_out_what_fails_but_for_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """A size that breaks the engine and streams that memory does not suffice for are named; the rest is measured."""

    def run(clip: Path, _output: Path, _engine: str) -> StreamRun:
        if "large" in clip.name:
            raise EngineError("it was too large")
        return run_of()

    class FakeChild:
        def __init__(self, *_target: str, **_arguments: object) -> None: ...

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None: ...

        def result(self) -> dict[str, object]:
            return values_of_run(progress=[[0, 1], [1, 2]])

    monkeypatch.setattr(scale, "run_stream_fresh", run)
    monkeypatch.setattr(scale, "Child", FakeChild)
    monkeypatch.setattr(scale, "available_mib", lambda: 150.0)
    bar = Bar()
    plan = Plan({"small": (32, 32), "large": (64, 64)}, (1, 2), 2, (1, 3), 4)
    result = scale.measure(Settings(seconds=0.1, repeats=2), bar, plan)
    size, streams, length = (rows_of(table_of(result, key)) for key in ("size", "streams", "length"))
    assert (set(size), set(streams), set(length)) == ({"small"}, {"1 stream"}, {"x1", "x3"})
    assert result.notes[:2] == (
        "large not measured: it was too large",
        "2 streams not measured: 2 streams need 200 MiB of memory, 150 are free",
    )
    done = [share for share, _ in bar.seen]
    assert done == sorted(done)
    assert done[-1] <= 1
    monkeypatch.setattr(scale, "available_mib", lambda: 50.0)
    with pytest.raises(EngineError, match="1 stream needs"):
        scale.measure(Settings(seconds=0.1, repeats=2), Bar(), plan)
