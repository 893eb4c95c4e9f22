"""The thread that owns the GPU: order, thread, addresses and release of every call, also when one fails half-way."""

import gc
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from rt_seg.engines.tensorrt import worker as module
from rt_seg.engines.tensorrt.checks import EngineFile
from rt_seg.engines.tensorrt.driver import Gpu, probe_driver
from rt_seg.engines.tensorrt.libraries import Libraries, load_libraries
from rt_seg.engines.tensorrt.worker import Worker
from rt_seg.errors import EngineError, ModelError

from .engine_files import manifest_of, plan_of
from .fakes import FULL, GPU_NAME, LOST, CudaError, Machine

pytestmark = pytest.mark.slow  # most of them run a whole process or stream

UInt8Array = npt.NDArray[np.uint8]

GPU = Gpu(0, GPU_NAME, "8.6", 16 * 2**30)

MakeWorker = Callable[..., Worker]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine with a GPU."""
    machine = Machine()
    machine.install(monkeypatch)
    return machine


@pytest.fixture
def libraries(machine: Machine) -> Libraries:
    """What runs an engine on that machine."""
    assert machine.library.gpus
    return load_libraries("tensorrt", probe_driver())


@pytest.fixture
def make(machine: Machine, libraries: Libraries) -> Iterator[MakeWorker]:
    """Makes workers; at the end nothing may be left on the GPU and no rule may have been broken."""
    made: list[Worker] = []

    def make(**settings: Any) -> Worker:
        plan = plan_of()
        worker = Worker(EngineFile(Path("polyp.engine"), manifest_of(plan), plan), GPU, libraries, **settings)
        made.append(worker)
        return worker

    yield make
    for worker in made:
        worker.close()
    assert machine.left() == {}
    assert machine.broken_rules == []
    assert machine.threads() <= {"MainThread", "tensorrt"}


def pictures(count: int) -> UInt8Array:
    """Random frames of the engine's size."""
    return np.random.default_rng(count).integers(0, 256, (count, 48, 64, 3), np.uint8)


def run(worker: Worker, frames: UInt8Array) -> UInt8Array:
    """The answer to some frames."""
    probability = np.full(frames.shape[:3], 99, np.uint8)
    worker.run(frames, probability)
    return probability


def no_garbage_collector() -> None:
    """From here on an object is released by its last reference or not at all."""
    gc.collect()
    gc.disable()


@pytest.fixture(autouse=True)
def without_garbage_collector() -> Iterator[None]:
    """The collector runs on any thread: what it would have to clean up was not released in its place."""
    no_garbage_collector()
    yield
    gc.enable()


def test_computes(make: MakeWorker) -> None:
    """Frames go in and probabilities come out, for every number of frames up to the largest batch."""
    worker = make()
    for number in (1, 4, 2, 3, 1):
        frames = pictures(number)
        np.testing.assert_array_equal(run(worker, frames), frames[..., 2])


def test_one_thread_does_it_all(make: MakeWorker, machine: Machine) -> None:
    """From cuInit to the last release every call of pycuda and TensorRT is on one thread, within a context."""
    before = len(machine.calls)
    worker = make()
    run(worker, pictures(1))
    worker.close()
    calls = machine.calls[before:]
    assert {call.thread for call in calls} == {"tensorrt"}
    names = [call.name for call in calls]
    assert names[:4] == ["init", "Device", "retain_primary_context", "Context.push"]
    assert names[-1] == "Context.pop"
    assert names.count("Context.push") == names.count("Context.pop") == 1


def test_releases_in_the_order_that_tensorrt_wants(make: MakeWorker, machine: Machine) -> None:
    """Graphs before the contexts they were captured from, contexts before memory, all before engine and runtime."""
    worker = make(in_flight=2)
    before = len(machine.calls)
    worker.close()
    released = [name.removeprefix("release ") for name in machine.names()[before:] if name.startswith("release")]
    released = [name for name in released if name != "runtime config"]  # with the contexts
    one = ["graph executable", "execution context"] * 2 + ["device memory"] * 3 + ["pinned memory"] * 2
    one += ["event"] * 4 + ["stream"]
    assert released == [*one, *one, "engine", "runtime"]


def test_every_batch_size_has_its_profile_shape_and_addresses(make: MakeWorker, machine: Machine) -> None:
    """Each context gets its own profile, the shape of its batch, the slot's addresses and the slot's scratch memory."""
    make(in_flight=1)
    memory = [call.arguments[0] for call in machine.calls if call.name == "mem_alloc"]
    assert memory == [4 * 48 * 64 * 3, 4 * 48 * 64, machine.device_memory]
    profiles = [call.arguments[0] for call in machine.calls if call.name == "set_optimization_profile_async"]
    assert profiles == [0, 1]
    shapes = [call.arguments[1] for call in machine.calls if call.name == "set_input_shape"]
    assert shapes == [(1, 48, 64, 3), (4, 48, 64, 3)]
    bound = [call.arguments for call in machine.calls if call.name == "set_tensor_address"]
    assert bound[:2] == bound[2:]
    assert {name for name, _ in bound} == {"frames", "probability"}
    scratch = {call.arguments for call in machine.calls if call.name == "set_device_memory"}
    assert len(scratch) == 1
    assert {machine.device_memory} == {size for _, size in scratch}
    strategies = {call.arguments for call in machine.calls if "allocation_strategy" in call.name}
    assert strategies == {("USER_MANAGED",)}


def test_a_context_without_scratch_memory_works(make: MakeWorker, machine: Machine) -> None:
    """A network that needs no memory besides its tensors asks for 0 bytes, which CUDA does not allocate."""
    machine.device_memory = 0
    frames = pictures(1)
    np.testing.assert_array_equal(run(make(), frames), frames[..., 2])


def test_addresses_never_change(make: MakeWorker, machine: Machine) -> None:
    """Frame after frame goes through the same memory on GPU and host, and nothing is allocated after the start."""
    worker = make(in_flight=1)
    before = len(machine.calls)
    for _ in range(5):
        run(worker, pictures(1))
    calls = machine.calls[before:]
    copies = {call.arguments for call in calls if call.name.startswith("memcpy")}
    assert len(copies) == 2
    made = {"mem_alloc", "pagelocked_empty", "Stream", "Event", "set_tensor_address", "set_input_shape"}
    assert not made & {call.name for call in calls}


def test_only_the_frames_there_are_are_copied(make: MakeWorker, machine: Machine) -> None:
    """Three frames in a batch of four cost three copies' time, and the fourth is not read."""
    worker = make()
    before = len(machine.calls)
    run(worker, pictures(3))
    sizes = [call.arguments[1] for call in machine.calls[before:] if call.name.startswith("memcpy")]
    assert sizes == [3 * 48 * 64 * 3, 3 * 48 * 64]


def test_a_frame_is_copy_graph_copy(make: MakeWorker, machine: Machine) -> None:
    """In steady state a frame is three enqueued operations between four time stamps, and one wait for the last."""
    worker = make()
    before = len(machine.calls)
    run(worker, pictures(1))
    expected = [
        "Event.record", "memcpy_htod_async", "Event.record", "cuGraphLaunch", "Event.record", "memcpy_dtoh_async",
        "Event.record", "Event.synchronize", *["Event.time_since"] * 3,
    ]  # fmt: skip
    assert [call.name for call in machine.calls[before:]] == expected


def test_the_stream_is_no_default_stream_and_the_wait_is_no_busy_loop(make: MakeWorker, machine: Machine) -> None:
    """Streams do not wait for the legacy default stream; the event that is waited for blocks instead of spinning."""
    make(in_flight=1)
    assert [call.arguments for call in machine.calls if call.name == "Stream"] == [(1,)]
    assert [call.arguments for call in machine.calls if call.name == "Event"] == [(0,), (0,), (0,), (1,)]


def test_times_are_told(make: MakeWorker) -> None:
    """Each answer comes with how long copies and computing took."""
    times = make().run(pictures(1), np.empty((1, 48, 64), np.uint8))
    assert (times.copy_in, times.compute, times.copy_out) == (0.25, 0.25, 0.25)


class Gate:
    """Holds the worker in the middle of waiting for the GPU."""

    def __init__(self, machine: Machine) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()
        self._network = machine.network
        machine.network = self

    def __call__(self, frames: UInt8Array) -> UInt8Array:
        self.reached.set()
        assert self.opened.wait(30)
        return self._network(frames)


@pytest.fixture
def arrivals(monkeypatch: pytest.MonkeyPatch) -> threading.Semaphore:
    """Released once for each request that a caller puts into the worker's queue."""
    arrived = threading.Semaphore(0)

    class Telling(SimpleQueue[Any]):
        def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
            super().put(item, block, timeout)
            arrived.release()

    monkeypatch.setattr(module, "SimpleQueue", Telling)
    return arrived


def until_arrived(arrivals: threading.Semaphore, count: int) -> None:
    """Wait until so many requests were put into the queue."""
    for _ in range(count):
        assert arrivals.acquire(timeout=30)


def test_several_frames_are_in_flight(make: MakeWorker, machine: Machine, arrivals: threading.Semaphore) -> None:
    """While the first frame is computed, the next ones are enqueued on their own streams, with their own memory."""
    worker = make(in_flight=3)
    gate = Gate(machine)
    frames = [pictures(1) + np.uint8(value) for value in range(6)]
    before = len(machine.calls)
    with ThreadPoolExecutor(6) as pool:
        answers = [pool.submit(run, worker, frames[0])]
        assert gate.reached.wait(30)
        answers += [pool.submit(run, worker, frame) for frame in frames[1:]]
        until_arrived(arrivals, 6)
        gate.opened.set()
        for frame, answer in zip(frames, answers, strict=True):
            np.testing.assert_array_equal(answer.result(30), frame[..., 2])
    names = [call.name for call in machine.calls[before:]]
    order = [name for name in names if name in ("memcpy_htod_async", "Event.synchronize")]
    assert order[:5] == ["memcpy_htod_async", "Event.synchronize", *["memcpy_htod_async"] * 3]
    addresses = {call.arguments[0] for call in machine.calls[before:] if call.name == "memcpy_htod_async"}
    assert len(addresses) == 3


def test_refused_execution_is_no_silent_zero(make: MakeWorker, machine: Machine) -> None:
    """`execute_async_v3` returns False: the caller learns it with TensorRT's reason, and the next frame works."""
    worker = make(graphs=False)
    machine.fail("execute_async_v3", False)  # what TensorRT returns
    probability = np.full((1, 48, 64), 99, np.uint8)
    with pytest.raises(EngineError, match=r"TensorRT did not run the frames \(IExecutionContext::enqueueV3: Error"):
        worker.run(pictures(1), probability)
    assert (probability == 99).all()
    np.testing.assert_array_equal(run(worker, pictures(2)), pictures(2)[..., 2])


def test_a_refused_frame_is_waited_for_before_its_memory_is_used_again(make: MakeWorker, machine: Machine) -> None:
    """The copy of a refused frame was enqueued: the slot is idle before it takes the next."""
    worker = make(graphs=False, in_flight=1)
    machine.fail("execute_async_v3", False)  # what TensorRT returns
    before = len(machine.calls)
    with pytest.raises(EngineError):
        run(worker, pictures(1))
    assert machine.calls[-1].name == "Stream.synchronize"
    assert "memcpy_dtoh_async" not in [call.name for call in machine.calls[before:]]


FAILS_WHILE_RUNNING = ["memcpy_htod_async", "memcpy_dtoh_async", "Event.record", "Event.synchronize"]


@pytest.mark.parametrize("call", FAILS_WHILE_RUNNING)
def test_a_gpu_that_disappears(make: MakeWorker, machine: Machine, call: str) -> None:
    """Any call that fails midway gives every caller one line, ends the worker, and releases everything."""
    worker = make()
    run(worker, pictures(1))
    machine.fail(call, LOST)
    for _ in range(2):
        with pytest.raises(EngineError, match=f"^{GPU_NAME} failed .*the GPU is lost.*load the engine again"):
            run(worker, pictures(1))
    worker.close()
    assert machine.left() == {}


def test_all_who_wait_learn_that_the_gpu_is_gone(
    make: MakeWorker, machine: Machine, arrivals: threading.Semaphore
) -> None:
    """Frames in flight and frames in the queue fail with the same line; nobody waits for ever."""
    worker = make(in_flight=2)
    gate = Gate(machine)
    with ThreadPoolExecutor(6) as pool:
        answers = [pool.submit(run, worker, pictures(1))]
        assert gate.reached.wait(30)
        answers += [pool.submit(run, worker, pictures(1)) for _ in range(5)]
        until_arrived(arrivals, 6)
        machine.fail("Event.synchronize", LOST)
        gate.opened.set()
        outcomes = [answer.exception(30) for answer in answers]
    errors = [error for error in outcomes if error is not None]
    assert len(errors) == 5
    assert all(isinstance(error, EngineError) and "the GPU is lost" in str(error) for error in errors)
    assert len({id(error) for error in errors}) == 5


@pytest.mark.parametrize("call", ["Stream.synchronize", "Context.pop"])
def test_a_gpu_that_is_gone_does_not_keep_the_thread(make: MakeWorker, machine: Machine, call: str) -> None:
    """Even what fails during the release stops neither the release nor the thread; pycuda's stack ends empty."""
    worker = make()
    machine.fail("Event.synchronize", LOST)
    machine.fail(call, LOST)
    with pytest.raises(EngineError, match="the GPU is lost"):
        run(worker, pictures(1))
    worker.close()
    assert not worker._thread.is_alive()  # pyright: ignore[reportPrivateUsage] - a thread that hangs is the failure
    assert machine.names("Context.pop", "Context.detach")[-1] == (
        "Context.detach" if call == "Context.pop" else "Context.pop"
    )


ALLOCATIONS = [("mem_alloc", 1), ("mem_alloc", 5), ("pagelocked_empty", 1), ("pagelocked_empty", 4)]


@pytest.mark.parametrize(("call", "at"), ALLOCATIONS)
def test_out_of_memory_at_the_start(make: MakeWorker, machine: Machine, call: str, at: int) -> None:
    """Whichever allocation fails, the line says so and what to do, and what was allocated before it is released."""
    machine.fail(call, FULL, at=at)
    with pytest.raises(EngineError, match=rf"^{GPU_NAME} is out of memory .*nvidia-smi shows who uses it"):
        make()
    assert machine.left() == {}


def test_out_of_memory_inside_tensorrt(make: MakeWorker, machine: Machine) -> None:
    """TensorRT returns no context and logs why: the reason is in the line."""
    machine.fail("create_execution_context", False, at=2)  # stands for None
    with pytest.raises(EngineError, match=rf"^{GPU_NAME} is out of memory .*createExecutionContext: Error Code 2"):
        make()


REFUSALS = ["set_optimization_profile_async", "set_input_shape", "set_tensor_address"]


@pytest.mark.parametrize("call", REFUSALS)
def test_a_refused_setting_is_no_engine(make: MakeWorker, machine: Machine, call: str) -> None:
    """Each of TensorRT's settings that answers False stops the start."""
    machine.fail(call, False, at=2)  # what TensorRT returns
    with pytest.raises(EngineError, match=r"TensorRT refuses batches of"):
        make()


def test_shapes_that_stay_open_are_no_engine(make: MakeWorker, machine: Machine) -> None:
    """`infer_shapes` names what is not specified; an inference would run with it."""
    machine.fail("infer_shapes", ["frames"])
    with pytest.raises(EngineError, match="TensorRT refuses batches of 1"):
        make()


def test_a_plan_that_tensorrt_does_not_load(make: MakeWorker, machine: Machine) -> None:
    """`deserialize_cuda_engine` returns None: TensorRT's error, without its warnings, is the reason, in one line."""
    machine.fail("deserialize_cuda_engine", False)  # stands for None
    with pytest.raises(EngineError, match=r"does not load it \(deserializeCudaEngine: Error Code 1: Serial") as caught:
        make()
    assert "\n" not in str(caught.value)
    assert "rt-seg build-engine" in str(caught.value)
    assert "warning" not in str(caught.value)


Tensors = dict[str, tuple[bool, type, tuple[int, ...]]]

FRAMES, PROBABILITY = (True, np.uint8, (-1, 48, 64, 3)), (False, np.uint8, (-1, 48, 64))
FOREIGN_TENSORS: dict[str, tuple[Tensors, str]] = {
    "no output": ({"frames": FRAMES}, "holds the tensors frames uint8"),
    "dtype": ({"frames": (True, np.float16, (-1, 48, 64, 3)), "probability": PROBABILITY}, "frames float16"),
    "shape": ({"frames": (True, np.uint8, (-1, 64, 48, 3)), "probability": PROBABILITY}, "[-1, 64, 48, 3]"),
    "one more": ({"frames": FRAMES, "probability": PROBABILITY, "more": (False, np.uint8, (1,))}, "more uint8"),
}


@pytest.mark.parametrize("case", FOREIGN_TENSORS)
def test_refuses_tensors_that_are_not_what_the_manifest_says(make: MakeWorker, machine: Machine, case: str) -> None:
    """Tensors of the real engine are compared with the manifest before memory is laid out after it."""
    machine.tensors, says = FOREIGN_TENSORS[case]
    with pytest.raises(ModelError) as caught:
        make()
    assert says in str(caught.value)
    assert "mem_alloc" not in machine.names()


@pytest.mark.parametrize(
    ("profiles", "says"),
    [(((1, 1),), "holds 1 profiles"), (((1, 1), (8, 8)), "holds a profile for batches 8 to 8")],
)
def test_refuses_profiles_that_are_not_what_the_manifest_says(
    make: MakeWorker, machine: Machine, profiles: tuple[tuple[int, int], ...], says: str
) -> None:
    """So are its profiles."""
    machine.profiles = profiles
    with pytest.raises(ModelError, match=says):
        make()
    assert "mem_alloc" not in machine.names()


@pytest.mark.parametrize("call", ["init", "Device", "retain_primary_context", "Context.push"])
def test_a_context_that_cannot_be_had(make: MakeWorker, machine: Machine, call: str) -> None:
    """A GPU in exclusive use by another program, or one that fails at once, gives one line."""
    machine.fail(call, CudaError(f"{call} failed: device unavailable"))
    with pytest.raises(EngineError, match=rf"^{GPU_NAME} failed \({call} failed: device unavailable\)"):
        make()


def test_an_unknown_error_is_one_line(make: MakeWorker, machine: Machine) -> None:
    """What neither pycuda nor TensorRT is known to raise still ends as an error of ours."""
    machine.fail("set_device_memory", TypeError("set_device_memory(): incompatible\narguments"))
    with pytest.raises(
        EngineError, match=r"TensorRT failed .*TypeError: set_device_memory\(\): incompatible arguments"
    ):
        make()


def test_use_after_close(make: MakeWorker) -> None:
    """A closed worker says so; closing twice is no mistake."""
    worker = make()
    worker.close()
    worker.close()
    with pytest.raises(EngineError, match="the engine is closed; load it again"):
        run(worker, pictures(1))


def test_close_lets_what_runs_end(make: MakeWorker, machine: Machine) -> None:
    """A frame in flight gets its answer though the engine is closed meanwhile."""
    worker = make()
    gate = Gate(machine)
    with ThreadPoolExecutor(2) as pool:
        answer = pool.submit(run, worker, pictures(1))
        assert gate.reached.wait(30)
        closing = pool.submit(worker.close)
        gate.opened.set()
        np.testing.assert_array_equal(answer.result(30), pictures(1)[..., 2])
        closing.result(30)


def test_a_gpu_that_hangs(make: MakeWorker, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call into the driver that does not return costs the caller a bounded time, and so does closing."""
    worker = make()
    gate = Gate(machine)
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.05)
    monkeypatch.setattr(module, "CLOSE_SECONDS", 0.05)
    for _ in range(2):
        with pytest.raises(EngineError, match=f"{GPU_NAME} has not answered for"):
            run(worker, pictures(1))
    worker.close()
    assert worker._thread.is_alive()  # pyright: ignore[reportPrivateUsage] - it is left behind
    assert worker._thread.daemon  # pyright: ignore[reportPrivateUsage] - and does not keep the process
    gate.opened.set()
    worker._thread.join(30)  # pyright: ignore[reportPrivateUsage] - so that the next test starts afresh


def test_interrupted_at_the_start(
    make: MakeWorker, machine: Machine, libraries: Libraries, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C while the engine loads ends the thread and releases the GPU."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("concurrent.futures.Future.result", interrupted)
        with pytest.raises(KeyboardInterrupt):
            make()
    assert not any(thread.name == "tensorrt" for thread in threading.enumerate())
    assert libraries.log.take() == ""
    assert machine.left() == {}
