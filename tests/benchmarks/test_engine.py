"""The part `engine`, on real engines and processes; no time is asserted."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from rt_seg.benchmarks import engine, engine_calls
from rt_seg.benchmarks.engine import cases, processes
from rt_seg.benchmarks.engine_tables import Case, Side
from rt_seg.benchmarks.harness.arithmetic import Histogram
from rt_seg.benchmarks.harness.part import Settings
from rt_seg.engines.cpu import Cpu
from rt_seg.engines.engine import CallableEngine, UInt8Array
from rt_seg.engines.spec import ModelSpec

from .measuring import Bar, rows_of, table_of


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
    assert [one.row.split()[0] for one in result.headlines][:1] == ["OpenVINO"]  # what rt-seg runs on, if not fastest
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
