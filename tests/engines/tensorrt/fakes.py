"""A pretended machine with an NVIDIA GPU: driver, pycuda and TensorRT that record every call and keep CUDA's rules.

What is enqueued on a stream runs when the stream, or an event recorded on it, is waited for, and not before. Memory is
found by its address. A call on a thread without the context, a release there, or one after the context is gone is
written down in `Machine.broken_rules`. The network gives the red channel, as the tiny model of the tests does.
"""

import ctypes
import threading
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from types import ModuleType, SimpleNamespace
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
import numpy.typing as npt
import pytest

UInt8Array = npt.NDArray[np.uint8]

GPU_NAME = "NVIDIA RTX A4000"


class CudaError(Exception):
    """pycuda's root of errors."""


class CudaMemoryError(CudaError):
    """pycuda's out of memory."""


class CudaLogicError(CudaError):
    """What pycuda raises for most results, that of a GPU that is gone among them."""


LOST = CudaLogicError("cuEventSynchronize failed: the GPU is lost")
FULL = CudaMemoryError("cuMemAlloc failed: out of memory")


@dataclass(frozen=True, slots=True)
class Call:
    """One call, and the thread it was made on."""

    name: str
    arguments: tuple[Any, ...]
    thread: str


class Machine:
    """The machine; `install` makes rt-seg find it.

    Attributes:
        calls: Every call, in order.
        alive: How many objects of each kind there are.
        broken_rules: What CUDA, pycuda or TensorRT would have punished.
        network: What the engine computes, uint8 ``[N, h, w, 3]`` to uint8 ``[N, h, w]``.
        tensors: Name to (is input, dtype, shape), as the engine tells them.
        profiles: Smallest and largest batch of each profile.
        device_memory: What the engine says that a context needs, in bytes.
    """

    def __init__(
        self,
        *,
        size: tuple[int, int] = (64, 48),
        profiles: tuple[tuple[int, int], ...] = ((1, 1), (4, 4)),
        flavour: str = "tensorrt",
        version: str = "11.4.0.106",
    ) -> None:
        width, height = size
        self.calls: list[Call] = []
        self.alive: Counter[str] = Counter()
        self.broken_rules: list[str] = []
        self.network: Callable[[UInt8Array], UInt8Array] = lambda frames: frames[..., 2]
        self.tensors: dict[str, tuple[bool, type, tuple[int, ...]]] = {
            "frames": (True, np.uint8, (-1, height, width, 3)),
            "probability": (False, np.uint8, (-1, height, width)),
        }
        self.profiles = profiles
        self.device_memory = 4096
        self.flavour = flavour
        self.memory: dict[int, UInt8Array] = {}
        self.streams = WeakValueDictionary[int, Stream]()  # the stream's owner decides how long it lives
        self.addresses = count(0x7000_0000, 0x10_0000)
        self._plans: dict[str, tuple[int, Any]] = {}
        self._made: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._current: dict[int, list[Context]] = {}
        self.library = Driver(self)
        self.cuda = _pycuda(self)
        self.trt = _tensorrt(self, version)

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Put the driver, pycuda and TensorRT where rt-seg looks for them."""
        patch.setattr(ctypes, "CDLL", self.load_library)
        patch.setitem(__import__("sys").modules, "pycuda", ModuleType("pycuda"))
        patch.setitem(__import__("sys").modules, "pycuda.driver", self.cuda)
        patch.setitem(__import__("sys").modules, self.flavour.replace("-", "_"), self.trt)

    def load_library(self, name: str) -> "Driver":
        """Stands in for ``ctypes.CDLL``."""
        assert name == "libcuda.so.1"
        return self.library

    def fail(self, name: str, outcome: Any, at: int = 1) -> None:
        """Let the ``at``-th call of a name from now on raise an exception, or return a value instead of its own."""
        with self._lock:
            self._plans[name] = (self._made[name] + at, outcome)

    def call(self, name: str, *arguments: Any, context: bool = True) -> Any:
        """Write a call down; what it is to return in place of the real thing, or None."""
        with self._lock:
            self.calls.append(Call(name, arguments, threading.current_thread().name))
            self._made[name] += 1
            number, outcome = self._plans.get(name, (0, None))
            planned = number == self._made[name]
        if context and not self.current():
            self.broken_rules.append(f"{name} without a context on {threading.current_thread().name}")
        if planned and isinstance(outcome, BaseException):
            raise type(outcome)(*outcome.args)
        return outcome if planned else None

    def current(self) -> list["Context"]:
        """The stack of contexts of this thread."""
        return self._current.setdefault(threading.get_ident(), [])

    def made(self, kind: str) -> None:
        """An object exists from now on."""
        self.alive[kind] += 1

    def gone(self, kind: str) -> None:
        """An object is released: where it belongs?"""
        self.alive[kind] -= 1
        self.call(f"release {kind}")

    def names(self, *wanted: str) -> list[str]:
        """Names of the calls in order; only these, if any are named."""
        return [item.name for item in self.calls if not wanted or item.name in wanted]

    def threads(self) -> set[str]:
        """Threads that CUDA or TensorRT was called on."""
        return {item.thread for item in self.calls if not item.name.startswith("cuGetErrorString")}

    def left(self) -> dict[str, int]:
        """Objects that were not released."""
        return {kind: number for kind, number in self.alive.items() if number}


class Thing:
    """An object on the GPU: counted from its making to its release."""

    kind = "thing"

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        machine.made(self.kind)

    def __del__(self) -> None:
        machine = self.__dict__.get("_machine")
        if machine is not None:
            machine.gone(self.kind)


class Context:
    """``pycuda.driver.Context`` of the primary context."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        machine.alive["context"] += 1

    def __del__(self) -> None:
        self._machine.alive["context"] -= 1

    def push(self) -> None:
        self._machine.call("Context.push", context=False)
        self._machine.current().append(self)

    def pop(self) -> None:
        self._machine.call("Context.pop")
        self._machine.current().pop()

    def detach(self) -> None:
        self._machine.call("Context.detach", context=False)
        self._machine.current().remove(self)


class Stream(Thing):
    """``pycuda.driver.Stream``: a list of work that runs when it is waited for."""

    kind = "stream"

    def __init__(self, machine: Machine, flags: int = 0) -> None:
        machine.call("Stream", flags)
        super().__init__(machine)
        self.handle = next(machine.addresses)
        self.work: list[Callable[[], None]] = []
        self.captured: list[Callable[[], None]] | None = None
        machine.streams[self.handle] = self

    def add(self, work: Callable[[], None]) -> None:
        """Enqueue, or record while a graph is captured."""
        (self.work if self.captured is None else self.captured).append(work)

    def run(self, until: int | None = None) -> None:
        """Do what was enqueued."""
        number = len(self.work) if until is None else until
        for work in self.work[:number]:
            work()
        del self.work[:number]

    def synchronize(self) -> None:
        self._machine.call("Stream.synchronize", self.handle)
        if self.captured is not None:
            self._machine.broken_rules.append("a stream is waited for while it is captured")
        self.run()

    def __del__(self) -> None:
        if self.__dict__.get("work"):
            self._machine.broken_rules.append("a stream is destroyed with work on it")
        super().__del__()


class Event(Thing):
    """``pycuda.driver.Event``."""

    kind = "event"

    def __init__(self, machine: Machine, flags: int = 0) -> None:
        machine.call("Event", flags)
        super().__init__(machine)
        self._stream: Stream | None = None
        self._place = 0

    def record(self, stream: Stream) -> "Event":
        self._machine.call("Event.record")
        self._stream, self._place = stream, len(stream.work)
        return self

    def synchronize(self) -> "Event":
        self._machine.call("Event.synchronize")
        assert self._stream is not None
        self._stream.run(self._place)
        return self

    def time_since(self, start: "Event") -> float:
        self._machine.call("Event.time_since")
        assert self._stream is start._stream is not None
        return 0.25


class Allocation(Thing):
    """``pycuda.driver.DeviceAllocation``."""

    kind = "device memory"

    def __init__(self, machine: Machine, size: int) -> None:
        machine.call("mem_alloc", size)
        super().__init__(machine)
        assert size > 0  # CUDA refuses 0
        self.size = size
        self._address = next(machine.addresses)
        machine.memory[self._address] = np.full(size, 77, np.uint8)  # not cleared

    def __int__(self) -> int:
        return self._address

    def __del__(self) -> None:
        if "_address" in self.__dict__:
            self._machine.memory.pop(self._address, None)
        super().__del__()


class Pinned(np.ndarray[Any, np.dtype[np.uint8]]):
    """What ``pagelocked_empty`` returns: its memory is released when the last view of it is gone."""

    owner: "PinnedMemory"


class PinnedMemory(Thing):
    """The page-locked memory behind an array."""

    kind = "pinned memory"


def _pagelocked_empty(machine: Machine, shape: tuple[int, ...], dtype: type) -> UInt8Array:
    machine.call("pagelocked_empty", shape, dtype)
    array = np.full(shape, 88, dtype).view(Pinned)
    array.owner = PinnedMemory(machine)
    return array


def _pycuda(machine: Machine) -> Any:
    cuda: Any = ModuleType("pycuda.driver")
    cuda.Error, cuda.MemoryError, cuda.LogicError = CudaError, CudaMemoryError, CudaLogicError
    cuda.event_flags = SimpleNamespace(DEFAULT=0, BLOCKING_SYNC=1, DISABLE_TIMING=2)

    def init(flags: int = 0) -> None:
        machine.call("init", flags, context=False)

    def copy_in(device: Allocation, host: UInt8Array, stream: Stream) -> None:
        machine.call("memcpy_htod_async", int(device), host.nbytes)
        source = host.reshape(-1)  # a view: read when the copy runs
        assert isinstance(source, Pinned)
        stream.add(lambda: machine.memory[int(device)].__setitem__(slice(0, source.nbytes), source))

    def copy_out(host: UInt8Array, device: Allocation, stream: Stream) -> None:
        machine.call("memcpy_dtoh_async", int(device), host.nbytes)
        target = host.reshape(-1)
        assert isinstance(target, Pinned)
        stream.add(lambda: target.__setitem__(slice(None), machine.memory[int(device)][: target.nbytes]))

    class Device:
        def __init__(self, index: int) -> None:
            machine.call("Device", index, context=False)

        def retain_primary_context(self) -> Context:
            machine.call("retain_primary_context", context=False)
            return Context(machine)

    cuda.init, cuda.Device = init, Device
    cuda.Stream = lambda flags=0: Stream(machine, flags)
    cuda.Event = lambda flags=0: Event(machine, flags)
    cuda.mem_alloc = partial(Allocation, machine)
    cuda.pagelocked_empty = partial(_pagelocked_empty, machine)
    cuda.memcpy_htod_async, cuda.memcpy_dtoh_async = copy_in, copy_out
    return cuda


class ExecutionContext(Thing):
    """``trt.IExecutionContext``."""

    kind = "execution context"

    def __init__(self, machine: Machine, engine: "Engine", config: "RuntimeConfig") -> None:
        super().__init__(machine)
        self._engine, self.config = engine, config
        self._profile, self._batch = 0, -1
        self._scratch = 0
        self._bound: dict[str, int] = {}

    def set_device_memory(self, memory: int, size: int) -> None:
        self._machine.call("set_device_memory", memory, size)
        assert size >= self._machine.device_memory
        self._scratch = memory

    def set_optimization_profile_async(self, profile_index: int, stream_handle: int) -> bool:
        if self._machine.call("set_optimization_profile_async", profile_index, stream_handle) is False:
            return False
        self._profile, self._batch = profile_index, -1
        return True

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        refused = self._machine.call("set_input_shape", name, shape) is False
        smallest, largest = self._machine.profiles[self._profile]
        if refused or not smallest <= shape[0] <= largest or shape[1:] != self._machine.tensors[name][2][1:]:
            return False
        self._batch = shape[0]
        return True

    def set_tensor_address(self, name: str, memory: int) -> bool:
        refused = self._machine.call("set_tensor_address", name, memory) is False
        self._bound[name] = memory
        return not refused

    def infer_shapes(self) -> list[str]:
        missing: list[str] | None = self._machine.call("infer_shapes")
        return missing or ([] if self._batch > 0 else ["frames"])

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        self._machine.call("get_tensor_shape", name)
        return (self._batch, *self._machine.tensors[name][2][1:])

    def is_stream_capturable(self, stream: int) -> bool:
        return self._machine.call("is_stream_capturable", stream) is not False

    def execute_async_v3(self, stream_handle: int) -> bool:
        stream = self._machine.streams[stream_handle]
        capturing = stream.captured is not None
        refused = self._machine.call("execute_async_v3", stream_handle, capturing) is False
        if refused or self._batch < 1 or not self._scratch:
            self._machine.trt.loggers[-1].log(1, "IExecutionContext::enqueueV3: Error Code 1: Cuda Runtime (no luck)")
            return False
        stream.add(self._compute)
        return True

    def _compute(self) -> None:
        memory, shape = self._machine.memory, self.get_shape()
        frames = memory[self._bound["frames"]][: int(np.prod(shape))].reshape(shape)
        answer = np.ascontiguousarray(self._machine.network(frames)).reshape(-1)
        memory[self._bound["probability"]][: answer.size] = answer

    def get_shape(self) -> tuple[int, ...]:
        """Shape of the frames."""
        return (self._batch, *self._machine.tensors["frames"][2][1:])


class RuntimeConfig(Thing):
    """``trt.IRuntimeConfig``."""

    kind = "runtime config"
    dynamic_shapes_kernel_specialization_strategy = "LAZY"

    def set_execution_context_allocation_strategy(self, strategy: Any) -> None:
        self._machine.call("set_execution_context_allocation_strategy", strategy)


class Engine(Thing):
    """``trt.ICudaEngine``."""

    kind = "engine"

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self.num_io_tensors = len(machine.tensors)
        self.num_optimization_profiles = len(machine.profiles)
        self.device_memory_size_v2 = machine.device_memory

    def get_tensor_name(self, index: int) -> str:
        return list(self._machine.tensors)[index]

    def get_tensor_mode(self, name: str) -> str:
        return "INPUT" if self._machine.tensors[name][0] else "OUTPUT"

    def get_tensor_dtype(self, name: str) -> type:
        return self._machine.tensors[name][1]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self._machine.tensors[name][2]

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[tuple[int, ...]]:
        smallest, largest = self._machine.profiles[profile_index]
        rest = self._machine.tensors[name][2][1:]
        return [(smallest, *rest), (largest, *rest), (largest, *rest)]

    def create_runtime_config(self) -> RuntimeConfig:
        return RuntimeConfig(self._machine)

    def create_execution_context(self, runtime_config: RuntimeConfig) -> ExecutionContext | None:
        if self._machine.call("create_execution_context") is False:
            self._machine.trt.loggers[-1].log(1, "createExecutionContext: Error Code 2: OutOfMemory (out of memory)")
            return None
        return ExecutionContext(self._machine, self, runtime_config)


def _same(dtype: type) -> type:
    """``trt.nptype``, for engines that tell NumPy's types themselves."""
    return dtype


def _tensorrt(machine: Machine, version: str) -> Any:
    trt: Any = ModuleType("tensorrt")
    trt.__version__ = version
    trt.loggers = list[Any]()

    class ILogger:
        Severity = SimpleNamespace(INTERNAL_ERROR=0, ERROR=1, WARNING=2, INFO=3, VERBOSE=4)

        def __init__(self) -> None:
            trt.loggers.append(self)

    class Runtime(Thing):
        kind = "runtime"

        def __init__(self, logger: ILogger) -> None:
            machine.call("Runtime")
            super().__init__(machine)
            assert isinstance(logger, ILogger)

        def deserialize_cuda_engine(self, serialized_engine: bytes) -> Engine | None:
            assert isinstance(serialized_engine, bytes)
            if machine.call("deserialize_cuda_engine") is False:
                trt.loggers[-1].log(2, "a warning")
                trt.loggers[-1].log(1, "deserializeCudaEngine: Error Code 1:\n Serialization (magic tag)")
                return None
            return Engine(machine)

    trt.ILogger, trt.Runtime = ILogger, Runtime
    trt.ExecutionContextAllocationStrategy = SimpleNamespace(USER_MANAGED="USER_MANAGED", STATIC="STATIC")
    trt.DynamicShapesKernelSpecializationStrategy = SimpleNamespace(EAGER="EAGER", LAZY="LAZY")
    trt.TensorIOMode = SimpleNamespace(INPUT="INPUT", OUTPUT="OUTPUT")
    trt.nptype = _same
    return trt


class Function:
    """A function of a library opened by ctypes."""

    def __init__(self, name: str, body: Callable[..., int | None]) -> None:
        self._name, self._body = name, body
        self.argtypes: Any = None
        self.restype: Any = None

    def __call__(self, *arguments: Any) -> int:
        return self._body(*arguments) or 0


class Driver:
    """``libcuda.so.1``: what rt-seg calls of it.

    Attributes:
        gpus: Name and compute capability of each.
        version: As ``cuDriverGetVersion`` gives it.
        missing: Functions that this driver is too old for.
    """

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.gpus: list[tuple[str, int, int]] = [(GPU_NAME, 8, 6)]
        self.version = 13000
        self.missing: set[str] = set()
        self._graphs: dict[int, list[Callable[[], None]]] = {}
        self._stream_of: dict[int, Stream] = {}

    def __getattr__(self, name: str) -> Function:
        if name.startswith("cu") and name not in self.missing and hasattr(Driver, f"_{name}"):
            return Function(name, lambda *arguments: self._call(name, *arguments))
        raise AttributeError(f"libcuda.so.1: undefined symbol: {name}")

    def _call(self, name: str, *arguments: Any) -> int | None:
        graph = "Graph" in name or "Capture" in name
        planned: int | None = self._machine.call(name, context=graph)
        # the calls that end or destroy do so even when they report an earlier error
        if planned and name not in ("cuStreamEndCapture", "cuGraphDestroy", "cuGraphExecDestroy"):
            return planned
        return getattr(self, f"_{name}")(*arguments) or planned

    def _cuInit(self, flags: int) -> None:  # noqa: N802  # the driver's name, as are those below
        assert flags == 0

    def _cuDriverGetVersion(self, version: Any) -> None:  # noqa: N802  # see above
        version._obj.value = self.version

    def _cuDeviceGetCount(self, number: Any) -> None:  # noqa: N802  # see above
        number._obj.value = len(self.gpus)

    def _cuDeviceGet(self, device: Any, index: int) -> None:  # noqa: N802  # see above
        device._obj.value = index

    def _cuDeviceGetName(self, name: Any, size: int, device: Any) -> None:  # noqa: N802  # see above
        name.value = self.gpus[device.value][0].encode()[: size - 1]

    def _cuDeviceTotalMem_v2(self, memory: Any, device: Any) -> None:  # noqa: N802  # see above
        memory._obj.value = 16 * 2**30 + device.value

    def _cuDeviceGetAttribute(self, value: Any, attribute: int, device: Any) -> None:  # noqa: N802  # see above
        value._obj.value = self.gpus[device.value][{75: 1, 76: 2}[attribute]]

    def _cuGetErrorString(self, code: int, text: Any) -> None:  # noqa: N802  # see above
        known = {100: b"no CUDA-capable device is detected", 901: b"operation failed in capture"}
        text._obj.value = known.get(code)

    def _cuStreamBeginCapture_v2(self, stream: int, mode: int) -> None:  # noqa: N802  # see above
        assert mode == 1  # thread-local
        begun = self._machine.streams[stream]
        if begun.work:
            self._machine.broken_rules.append("a stream is captured with work on it")
        begun.captured = []

    def _cuStreamEndCapture(self, stream: int, graph: Any) -> int | None:  # noqa: N802  # see above
        ended = self._machine.streams[stream]
        captured, ended.captured = ended.captured, None
        if not captured:
            return 901
        graph._obj.value = self._add("graph", captured)
        return None

    def _cuGraphInstantiateWithFlags(self, executable: Any, graph: Any, flags: int) -> None:  # noqa: N802  # see above
        assert flags == 0
        executable._obj.value = self._add("graph executable", self._graphs[graph.value])

    def _cuGraphLaunch(self, executable: Any, stream: int) -> None:  # noqa: N802  # see above
        for work in self._graphs[executable.value]:
            self._machine.streams[stream].add(work)

    def _cuGraphDestroy(self, graph: Any) -> None:  # noqa: N802  # see above
        self._remove("graph", graph.value)

    def _cuGraphExecDestroy(self, executable: Any) -> None:  # noqa: N802  # see above
        self._remove("graph executable", executable.value)

    def _add(self, kind: str, work: list[Callable[[], None]]) -> int:
        handle = next(self._machine.addresses)
        self._graphs[handle] = list(work)
        self._machine.made(kind)
        return handle

    def _remove(self, kind: str, handle: int) -> None:
        del self._graphs[handle]  # a second time fails
        self._machine.gone(kind)


@contextmanager
def no_library() -> Generator[None, None, None]:
    """A machine without an NVIDIA driver."""

    def absent(name: str) -> object:
        raise OSError(f"{name}: cannot open shared object file")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ctypes, "CDLL", absent)
        yield
