"""Every part of the benchmark in a tiny mode, on real engines, clips and processes; no time is asserted."""

from pathlib import Path
from types import SimpleNamespace
from typing import Self

import pytest

from rt_seg.benchmarks import engine, engine_calls, scale, stream
from rt_seg.benchmarks.clips import make_clip
from rt_seg.benchmarks.engine import cases, processes
from rt_seg.benchmarks.engine_tables import Case, Side
from rt_seg.benchmarks.harness.arithmetic import Histogram
from rt_seg.benchmarks.harness.machine import LoadWatch, describe_machine
from rt_seg.benchmarks.harness.part import Settings
from rt_seg.benchmarks.harness.results import PartResult, Row, Table
from rt_seg.benchmarks.scale import Plan
from rt_seg.benchmarks.stream_run import StreamRun, memory_growth, rate_together
from rt_seg.engines.cpu import Cpu, usable_cores
from rt_seg.engines.engine import CallableEngine, UInt8Array
from rt_seg.engines.spec import ModelSpec
from rt_seg.errors import EngineError


class Bar:
    """Progress that keeps what it was told."""

    def __init__(self) -> None:
        self.seen: list[tuple[float, str]] = []

    def update(self, done: float, doing: str) -> None:
        self.seen.append((done, doing))


def table_of(result: PartResult, key: str) -> Table:
    """A table by its key."""
    return next(table for table in result.tables if table.key == key)


def rows_of(table: Table) -> dict[str, Row]:
    """Rows by their label."""
    return {row.label: row for row in table.rows}


@pytest.mark.slow
def test_engine_part_measures_what_runs_and_names_what_does_not(tiny_model_path: Path) -> None:
    """OpenVINO and ONNX Runtime give the same masks and each their figures; an int8 file that is not there is said."""
    bar = Bar()
    result = engine.measure(Settings(engine=str(tiny_model_path), seconds=0.1, repeats=2, quick=True), bar)
    engines, speeds = rows_of(table_of(result, "engines")), rows_of(table_of(result, "speed"))
    assert {"OpenVINO f32", "ONNX Runtime f32"} <= engines.keys()
    assert ("OpenVINO bf16" in engines) == Cpu.read().runs_bf16
    assert "OpenVINO int8" not in engines
    assert any(note.startswith("OpenVINO int8 not measured: ") for note in result.notes)
    assert any("no int8 file of tiny.onnx" in note for note in result.notes)
    ours, theirs = engines["OpenVINO f32"], engines["ONNX Runtime f32"]
    assert ours.exact["mdice"] == theirs.exact["mdice"]
    assert theirs.exact["mdice_change"] == 0
    assert all(len(ours.values[key]) == 2 for key in ("rate", "ratio", "load", "memory"))
    one = speeds["OpenVINO f32, 1 thread"]
    assert one.histograms["latency"].count >= 4
    assert min(one.values["rate"]) > 0
    assert all(0 <= done <= 1 for done, _ in bar.seen)
    assert {"preparation", "OpenVINO f32", "ONNX Runtime f32"} <= result.spent.keys()


@pytest.mark.slow
def test_engine_calls_at_once_and_batches_are_counted_in_pictures(tiny_model_path: Path) -> None:
    """Each call of two threads is in the histogram; a batch of four is four pictures a call."""
    answer = engine_calls.time_side("OpenVINO", "f32", str(tiny_model_path), [[1, 4, 1], [1, 1, 2]], [0.01, 0.01])
    batch, together = (Histogram({int(us): n for us, n in case["counts"]}) for case in answer["cases"])
    assert batch.count >= 2
    assert together.count >= 4
    mean = batch.mean()
    assert mean is not None
    assert answer["cases"][0]["rate"] == pytest.approx(4000 / mean, rel=0.02)


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
    assert {
        f"rt-seg stream, {name}" for name in ("capture", "preprocess", "infer", "overlay", "record")
    } <= stages.keys()
    assert stages["rt-seg stream, infer"].histograms["time"].count == 24
    assert "queue" in stages["rt-seg stream, record"].values
    assert min(stages["plain loop, decode"].values["mean"]) > 0
    assert any("limit" in note or "busiest" in note for note in result.notes)


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


def test_device_times_of_a_gpu_engine_are_kept_apart() -> None:
    """An engine that tells copy, compute and copy back of a call has each in a histogram of its own."""

    class TimedEngine(CallableEngine):
        def infer_timed(self, frames: UInt8Array) -> tuple[UInt8Array, tuple[SimpleNamespace, ...]]:
            times = SimpleNamespace(copy_in=0.5, compute=2.0, copy_out=0.25)
            return self.infer(frames), (times, times)

    with TimedEngine(lambda frames: frames[..., 0].copy(), ModelSpec("timed", 8, 8)) as timed:
        case = engine_calls.time_case(timed, 2, 1, 0.001)
    (calls,) = {sum(dict(counts).values()) for counts in case["device_counts"].values()}
    assert calls == sum(dict(case["counts"]).values()) >= 2
    assert {name: list(dict(counts)) for name, counts in case["device_counts"].items()} == {
        "copy_in": [1000], "compute": [4001], "copy_out": [500],
    }  # fmt: skip


def test_cases_cover_threads_batch_and_calls() -> None:
    """One thread, all of them and the powers of two between; a batch; a call for each core. Quick has threads only."""
    assert cases(6, quick=False) == [Case(1), Case(2), Case(4), Case(6), Case(1, batch=4), Case(1, calls=6)]
    assert cases(1, quick=False) == [Case(1), Case(1, batch=4)]
    assert cases(2, quick=True) == [Case(1), Case(2)]
    assert Case(2, 4, 3).name == "2 threads, batch 4, 3 calls at once"


def test_tensorflow_gets_a_process_for_each_number_of_threads() -> None:
    """Its threads are set once in a process; Keras' predict is never called from several threads."""
    plan = cases(2, quick=False)
    together = [Case(1), Case(1, batch=4), Case(1, calls=2), Case(2)]
    assert processes(Side("x", "OpenVINO", "f32", "", 0), plan) == [together]
    split = processes(Side("x", "TensorFlow function", "f32", "", 0), plan)
    assert split == [[Case(1), Case(1, batch=4), Case(1, calls=2)], [Case(2)]]
    assert processes(Side("x", "Keras predict", "f32", "", 0), plan) == [[Case(1), Case(1, batch=4)], [Case(2)]]


def values_of_run(**changes: object) -> dict[str, object]:
    """A run of 100 frames in 2 seconds on figures that are easily worked out, as its process returns it."""
    values: dict[str, object] = {
        "frames_in": 100, "frames_out": 100, "seconds": 2.0, "cpu_seconds": 3.0, "first_frame_seconds": 1.0,
        "parallel_calls": 2, "engine": "openvino int8", "model": "m",
        "stage_seconds": {"capture": 0.5, "infer": 3.0, "record": 1.9},
        "stage_counts": {"capture": [[5000, 100]], "infer": [[30000, 100]], "record": [[19000, 100]]},
        "occupancy": {"infer": 0.25, "render": 0.5, "record": 1.0}, "resident_mib": [],
        "progress": [], "peak_mib": 100.0,
    }  # fmt: skip
    return {**values, **changes}


def run_of(**changes: object) -> StreamRun:
    """The same as it is read."""
    return StreamRun.of(values_of_run(**changes))


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


def test_machine_is_described_without_naming_it() -> None:
    """Processor and system are in the report, host and user are not; the load is a share of all cores."""
    machine = describe_machine()
    assert machine["usable_cores"] >= 1
    assert not {"hostname", "node", "user"} & machine.keys()
    watch = LoadWatch()
    while (seen := watch.read()).others_share is None:
        pass  # the clock has not moved on yet
    assert seen.others_share >= 0
