"""The one thread that owns everything on the GPU, from the first CUDA call to the last release."""

import threading
from collections import deque
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any, Final

from rt_seg.engines.engine import UInt8Array
from rt_seg.errors import EngineError, RtSegError

from .checks import EngineFile, check_engine, mend_command
from .cuda_graph import GraphDriver, GraphError
from .driver import Gpu
from .libraries import Libraries
from .slots import DeviceTimes, ExecuteError, Slot

ANSWER_SECONDS = 10.0
CLOSE_SECONDS = 2.0
_CLOSED = "the engine is closed; load it again"


@dataclass(frozen=True, slots=True, eq=False)
class _Request:
    """Frames that somebody waits for. The arrays are the caller's, who waits until `done` has an outcome."""

    frames: UInt8Array
    probability: UInt8Array
    done: "Future[DeviceTimes]" = field(default_factory=Future[DeviceTimes])

    def fail(self, error: RtSegError) -> None:
        if not self.done.done():
            self.done.set_exception(type(error)(str(error)))  # one each: raising adds a traceback


class _Stop:
    """Type of the mark that ends the worker."""


_STOP: Final = _Stop()


class Worker:
    """Runs an engine on a thread of its own. Thread-safe: any thread may call `run`, several at once.

    CUDA contexts belong to threads, and so does what pycuda frees: no CUDA object is seen by another thread. Nothing of
    an error is kept but its text, since a traceback would keep its frames, and with them GPU memory, alive.

    Up to `in_flight` inferences are enqueued at once, each on a stream of its own. While there is a slot free and a
    request waiting, the next is launched before the last is waited for.

    Args:
        file: What runs.
        gpu: Where.
        libraries: By what.
        in_flight: Inferences on the GPU at once.
        graphs: Whether CUDA graphs are tried.

    Raises:
        ModelError: The engine is not what its manifest says.
        EngineError: TensorRT or the GPU refuses.
    """

    def __init__(
        self, file: EngineFile, gpu: Gpu, libraries: Libraries, *, in_flight: int = 3, graphs: bool = True
    ) -> None:
        self._file, self._gpu, self._libraries = file, gpu, libraries
        self._in_flight, self._graphs = in_flight, graphs
        self._requests: SimpleQueue[_Request | _Stop] = SimpleQueue()
        self._lock = threading.Lock()  # nothing is put into the queue once `_refusal` is set
        self._refusal: RtSegError | None = None
        self._flying: deque[tuple[Slot, _Request]] = deque()
        self._started: Future[tuple[str, ...]] = Future()
        self._thread = threading.Thread(target=self._main, name="tensorrt", daemon=True)
        self._thread.start()
        try:
            self.notes: tuple[str, ...] = self._started.result()
        except BaseException:
            self.close()
            raise

    def run(self, frames: UInt8Array, probability: UInt8Array) -> DeviceTimes:
        """Infer, and wait for it.

        Args:
            frames: uint8 ``[N, height, width, 3]``, C-contiguous, N at most the largest batch.
            probability: uint8 ``[N, height, width]``, C-contiguous; written to.

        Raises:
            EngineError: Closed, refused by TensorRT, or the GPU failed or does not answer.
        """
        request = _Request(frames, probability)
        with self._lock:
            if self._refusal is not None:
                raise type(self._refusal)(str(self._refusal))
            self._requests.put(request)
        try:
            return request.done.result(ANSWER_SECONDS)
        except FutureTimeoutError:
            error = EngineError(
                f"{self._gpu.name} has not answered for {ANSWER_SECONDS:.0f} s; load the engine again, and see "
                "nvidia-smi and dmesg if it goes on"
            )
            self._refuse(error)
            raise error from None

    def close(self) -> None:
        """End the thread and release the GPU; a second call does nothing.

        What is in flight is finished. A call into the driver that hangs cannot be cancelled: after a bounded time the
        thread is left behind, and ends with the process.
        """
        self._refuse(EngineError(_CLOSED))
        if self._thread is not threading.current_thread():
            self._thread.join(CLOSE_SECONDS)

    def _refuse(self, error: RtSegError) -> None:
        """Take no more requests; those that wait for their turn get this error."""
        with self._lock:
            if self._refusal is None:
                self._refusal = error
                self._requests.put(_STOP)

    # ------------------------------------------------------------------ from here on: the worker's thread alone

    def _main(self) -> None:
        try:
            error = self._in_context()
        except Exception as exc:  # noqa: BLE001  # the thread's last frame: whatever it is, callers get to know
            error = self._explain(exc)
        self._refuse(error or EngineError(_CLOSED))
        if error is not None and not self._started.done():
            self._started.set_exception(error)
        self._fail_all(error or EngineError(_CLOSED))

    def _in_context(self) -> RtSegError | None:
        """Serve with a CUDA context; it outlives every object made in it, and is popped before the thread ends."""
        cuda = self._libraries.cuda
        cuda.init()
        context = cuda.Device(self._gpu.index).retain_primary_context()
        context.push()
        try:
            return self._guarded()
        finally:
            try:
                context.pop()
            except cuda.Error:
                # A GPU that is gone does not let go of the context. pycuda aborts the process if a thread ends with one
                # on its own stack; this takes it off without asking the GPU.
                context.detach()

    def _guarded(self) -> RtSegError | None:
        """Serve; what goes wrong is turned into text, so that no traceback holds on to the GPU's memory."""
        try:
            self._serve()
        except Exception as exc:  # noqa: BLE001  # libraries of C++: whatever it is, callers get to know
            return self._explain(exc)
        return None

    def _serve(self) -> None:
        with ExitStack() as stack:
            plan = stack.enter_context(closing(_Plan(self._file, self._libraries)))
            plan.check()
            graphs, notes = self._graph_driver()
            slots: deque[Slot] = deque()
            for _ in range(self._in_flight):
                slot = Slot(plan.engine, self._file.manifest, self._libraries, graphs)
                slots.append(stack.enter_context(closing(slot)))
            self._started.set_result((*notes, *_graph_notes(slots[0])))
            self._loop(slots)

    def _graph_driver(self) -> tuple[GraphDriver | None, tuple[str, ...]]:
        if not self._graphs:
            return None, ("CUDA graphs are off, as asked for",)
        try:
            return GraphDriver(), ()
        except GraphError as exc:
            return None, (str(exc),)

    def _loop(self, free: deque[Slot]) -> None:
        """Launch what waits while a slot is free, else finish the oldest; end when told to and nothing flies."""
        stopping = False
        while self._flying or not stopping:
            request = None if stopping or not free else self._next(wait=not self._flying)
            if request is _STOP:
                stopping = True
            elif isinstance(request, _Request):
                self._launch(free, request)
            else:
                self._finish(free)

    def _next(self, *, wait: bool) -> _Request | _Stop | None:
        with suppress(Empty):
            return self._requests.get(block=wait)
        return None

    def _launch(self, free: deque[Slot], request: _Request) -> None:
        slot = free.popleft()
        self._flying.append((slot, request))  # before the first call, so that a failure finds whom to tell
        try:
            slot.launch(request.frames)
        except ExecuteError as exc:
            self._flying.pop()
            free.append(slot)
            request.fail(EngineError(str(exc)))

    def _finish(self, free: deque[Slot]) -> None:
        slot, request = self._flying[0]
        slot.finish(request.probability)
        times = slot.times()
        self._flying.popleft()
        free.append(slot)
        request.done.set_result(times)

    def _fail_all(self, error: RtSegError) -> None:
        while self._flying:
            self._flying.popleft()[1].fail(error)
        with suppress(Empty):
            while True:
                request = self._requests.get_nowait()
                if isinstance(request, _Request):
                    request.fail(error)

    def _explain(self, exc: Exception) -> RtSegError:
        """An error of ours for one of pycuda's or TensorRT's, without its traceback."""
        text, name = " ".join(str(exc).split()) or type(exc).__name__, self._gpu.name
        if isinstance(exc, RtSegError) and "out of memory" not in text.lower():
            return type(exc)(text)
        log = self._libraries.log.take()
        told = f"{text}; TensorRT: {log}" if log else text
        if isinstance(exc, self._libraries.cuda.MemoryError) or "out of memory" in told.lower():
            return EngineError(
                f"{name} is out of memory ({told}); nvidia-smi shows who uses it: end what is not needed, or build the "
                "engine with smaller batches"
            )
        if isinstance(exc, self._libraries.cuda.Error):
            return EngineError(f"{name} failed ({told}); load the engine again, and see nvidia-smi if it goes on")
        return EngineError(f"TensorRT failed on {name} ({type(exc).__name__}: {told}); load the engine again")


class _Plan:
    """A deserialised engine, with what it depends on: released in the opposite order."""

    def __init__(self, file: EngineFile, libraries: Libraries) -> None:
        self._file, self._libraries = file, libraries
        self._runtime: Any = libraries.trt.Runtime(libraries.log.logger)
        self.engine: Any = self._runtime.deserialize_cuda_engine(file.plan)

    def check(self) -> None:
        """Refuse what TensorRT could not load, and what is not as its manifest says."""
        file, libraries = self._file, self._libraries
        if self.engine is None:
            reason = libraries.log.take() or "without a reason"
            command = mend_command(file.path, file.manifest)
            raise EngineError(f"{file.path}: TensorRT does not load it ({reason}); build it again: {command}")
        check_engine(self.engine, libraries.trt, file)

    def close(self) -> None:
        self.engine = None
        self._runtime = None


def _graph_notes(slot: Slot) -> tuple[str, ...]:
    """One line for each batch size without a CUDA graph, though it was tried."""
    return tuple(f"no CUDA graph for batch {batch}: {why}" for batch, why in slot.graph_notes.items() if why)
