"""CUDA graphs: captured once a batch size, launched instead of enqueued, done without where they cannot be had."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rt_seg.engines.tensorrt.checks import EngineFile
from rt_seg.engines.tensorrt.cuda_graph import CudaGraph, GraphDriver, GraphError
from rt_seg.engines.tensorrt.driver import Gpu, probe_driver
from rt_seg.engines.tensorrt.libraries import load_libraries
from rt_seg.engines.tensorrt.worker import Worker
from rt_seg.errors import EngineError

from .engine_files import manifest_of, plan_of
from .fakes import GPU_NAME, Context, Machine, Stream

GPU = Gpu(0, GPU_NAME, "8.6", 16 * 2**30)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine with a GPU."""
    machine = Machine()
    machine.install(monkeypatch)
    return machine


@pytest.fixture
def stream(machine: Machine) -> Stream:
    """A stream in a context of this thread."""
    Context(machine).push()
    return Stream(machine)


def frames_of(count: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Random frames."""
    return np.random.default_rng(count).integers(0, 256, (count, 48, 64, 3), np.uint8)


def start(machine: Machine, flavour: str = "tensorrt") -> Worker:
    """A worker with one frame in flight."""
    plan = plan_of()
    targets = ("SM86",) if flavour == "tensorrt-rtx" else ()
    manifest = manifest_of(plan, flavour=flavour, targets=targets)
    libraries = load_libraries(manifest.flavour, probe_driver())
    assert libraries.cuda is machine.cuda
    return Worker(EngineFile(Path("polyp.engine"), manifest, plan), GPU, libraries, in_flight=1)


def test_what_is_captured_runs_when_it_is_launched(machine: Machine, stream: Stream) -> None:
    """Nothing runs while it is captured; every launch runs it once."""
    done: list[str] = []
    graph = CudaGraph.capture(GraphDriver(), stream.handle, lambda: stream.add(lambda: done.append("work")))
    stream.synchronize()
    assert done == []
    for _ in range(2):
        graph.launch(stream.handle)
    stream.synchronize()
    assert done == ["work", "work"]
    assert machine.alive["graph"] == 0
    graph.close()
    graph.close()
    assert machine.alive["graph executable"] == 0


def test_types_of_the_calls_are_declared(machine: Machine) -> None:
    """A handle that ctypes took for a 32-bit int would be cut: each call has the argument types of cuda.h."""
    del machine
    driver = GraphDriver()
    declared = {name: len(function.argtypes) for name, function in driver._calls.items()}  # pyright: ignore[reportPrivateUsage] - no other way to see them
    assert declared == {
        "cuStreamBeginCapture_v2": 2,
        "cuStreamEndCapture": 2,
        "cuGraphInstantiateWithFlags": 3,
        "cuGraphLaunch": 2,
        "cuGraphExecDestroy": 1,
        "cuGraphDestroy": 1,
    }


def raise_engine_error() -> None:
    """Stands for TensorRT refusing to enqueue."""
    raise EngineError("refused")


@pytest.mark.parametrize(
    ("call", "code"),
    [("cuStreamBeginCapture_v2", 1), ("cuStreamEndCapture", 901), ("cuGraphInstantiateWithFlags", 2)],
)
def test_a_failed_capture_leaves_nothing_behind(machine: Machine, stream: Stream, call: str, code: int) -> None:
    """Whichever call fails, the stream is out of capture mode and the graph is destroyed."""
    machine.fail(call, code)
    with pytest.raises(GraphError, match=f"{call} returned"):
        CudaGraph.capture(GraphDriver(), stream.handle, lambda: stream.add(lambda: None))
    assert stream.captured is None
    assert (machine.alive["graph"], machine.alive["graph executable"]) == (0, 0)


def test_a_capture_is_ended_when_what_is_captured_fails(machine: Machine, stream: Stream) -> None:
    """An exception in the middle does not leave the stream in capture mode."""
    with pytest.raises((EngineError, GraphError)):
        CudaGraph.capture(GraphDriver(), stream.handle, raise_engine_error)
    assert stream.captured is None
    assert "cuStreamEndCapture" in machine.names()


@pytest.mark.parametrize("name", ["cuStreamBeginCapture_v2", "cuGraphInstantiateWithFlags"])
def test_a_driver_without_graphs(machine: Machine, name: str) -> None:
    """A driver from before CUDA 11.4 runs the engine all the same, and the notes say so."""
    machine.library.missing.add(name)
    worker = start(machine)
    assert worker.notes == (f"the driver has no CUDA graphs: libcuda.so.1: undefined symbol: {name}",)
    answer = np.empty((1, 48, 64), np.uint8)
    worker.run(frames_of(1), answer)
    np.testing.assert_array_equal(answer, frames_of(1)[..., 2])
    worker.close()
    assert "cuGraphLaunch" not in machine.names()


def test_enqueued_and_waited_for_before_the_capture(machine: Machine) -> None:
    """TensorRT does in the first call what cannot be captured; one graph a batch size is proven by a launch."""
    worker = start(machine)
    wanted = (
        "execute_async_v3",
        "Stream.synchronize",
        "cuStreamBeginCapture_v2",
        "cuStreamEndCapture",
        "cuGraphLaunch",
    )
    change_of_profile, proof = ["Stream.synchronize"], ["Stream.synchronize"]
    one = [*change_of_profile, *wanted[:3], "execute_async_v3", *wanted[3:], *proof]
    assert machine.names(*wanted) == [*one, *one]
    assert worker.notes == ()
    worker.close()


def launches(machine: Machine, worker: Worker, count: int) -> list[str]:
    """How a batch is run: the calls that start its computing."""
    before = len(machine.names())
    answer = np.empty((count, 48, 64), np.uint8)
    worker.run(frames_of(count), answer)
    np.testing.assert_array_equal(answer, frames_of(count)[..., 2])
    return [name for name in machine.names()[before:] if name in ("execute_async_v3", "cuGraphLaunch")]


def test_a_frame_is_one_launch(machine: Machine) -> None:
    """Each batch size has a graph of its own, and nothing else is enqueued to compute."""
    worker = start(machine)
    assert launches(machine, worker, 1) == launches(machine, worker, 4) == ["cuGraphLaunch"]
    worker.close()


FAILURES: list[tuple[str, Callable[[Machine], object], str]] = [
    ("capture", lambda machine: machine.fail("cuStreamEndCapture", 901), "operation failed in capture (901)"),
    ("instantiate", lambda machine: machine.fail("cuGraphInstantiateWithFlags", 2), "cuGraphInstantiateWithFlags"),
    ("launch", lambda machine: machine.fail("cuGraphLaunch", 2), "cuGraphLaunch returned error (2)"),
    ("enqueue", lambda machine: machine.fail("execute_async_v3", False, at=2), "no luck"),  # its value
]


@pytest.mark.parametrize("failure", FAILURES, ids=[name for name, _, _ in FAILURES])
def test_without_a_graph_the_engine_runs_plainly(
    machine: Machine, failure: tuple[str, Callable[[Machine], object], str]
) -> None:
    """A batch size that cannot be captured is enqueued call by call, and the notes say which and why."""
    _, fail, reason = failure
    fail(machine)
    worker = start(machine)
    (note,) = worker.notes
    assert note.startswith("no CUDA graph for batch 1: ")
    assert reason in note
    assert launches(machine, worker, 1) == ["execute_async_v3"]
    assert launches(machine, worker, 4) == ["cuGraphLaunch"]
    worker.close()
    assert machine.left() == {}
    assert machine.broken_rules == []


def test_a_launch_that_fails_later_is_an_error(machine: Machine) -> None:
    """A graph that ran and does not any more is no reason to go on quietly."""
    worker = start(machine)
    machine.fail("cuGraphLaunch", 719)
    with pytest.raises(EngineError, match=r"the CUDA graph was not launched: cuGraphLaunch returned error \(719\)"):
        worker.run(frames_of(1), np.empty((1, 48, 64), np.uint8))
    worker.close()


def test_rtx_says_whether_it_can_be_captured(monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorRT-RTX is asked first, and compiles its kernels at once instead of while the graph is captured."""
    machine = Machine(flavour="tensorrt-rtx")
    machine.install(monkeypatch)
    machine.fail("is_stream_capturable", False)  # what it returns
    worker = start(machine, "tensorrt-rtx")
    assert worker.notes == ("no CUDA graph for batch 1: this engine cannot be captured",)
    assert launches(machine, worker, 4) == ["cuGraphLaunch"]
    worker.close()


def test_tensorrt_is_not_asked_what_it_does_not_know(machine: Machine) -> None:
    """`is_stream_capturable` is TensorRT-RTX's alone."""
    start(machine).close()
    assert "is_stream_capturable" not in machine.names()
