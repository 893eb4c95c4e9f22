"""What one inference in flight needs on the GPU: a stream, buffers, and an execution context for each batch size.

All of it is made, used and released on the worker's thread, while its CUDA context is current: pycuda leaks what is
freed on another thread.
"""

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from rt_seg.engines.engine import UInt8Array
from rt_seg.engines.spec import INPUT_NAME, OUTPUT_NAME
from rt_seg.errors import EngineError

from .cuda_graph import CudaGraph, GraphDriver, GraphError
from .libraries import Libraries
from .manifest import EngineManifest

_NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING: no waiting for the legacy default stream; pycuda has no name for it


@dataclass(frozen=True, slots=True)
class DeviceTimes:
    """How long one inference took on the GPU, in milliseconds, by CUDA events.

    Attributes:
        copy_in: Frames from pinned memory to the GPU (H2D).
        compute: The network.
        copy_out: Probabilities back to pinned memory (D2H).
    """

    copy_in: float
    compute: float
    copy_out: float


class ExecuteError(EngineError):
    """TensorRT did not enqueue an inference; later ones may succeed."""


class Program:
    """An execution context fixed to one batch size, and its CUDA graph if it can be captured.

    Args:
        context: A ``trt.IExecutionContext`` that has its memory, addresses and shapes.
        stream: The stream it runs on, a ``pycuda.driver.Stream``.
        libraries: Where it comes from.
    """

    def __init__(self, context: Any, stream: Any, libraries: Libraries) -> None:
        self._context: Any = context
        self._stream: Any = stream
        self._libraries = libraries
        self._graph: CudaGraph | None = None

    def prepare(self, graphs: GraphDriver | None) -> str:
        """Run once, so that nothing is left to be done at the first frame, and capture the graph.

        Args:
            graphs: The driver's calls; None for no graph.

        Returns:
            Why a graph that was wanted is not there; else empty.

        Raises:
            EngineError: TensorRT refuses to run.
        """
        self._enqueue()  # TensorRT finishes changes of shape and profile in the next call, which cannot be captured
        self._stream.synchronize()
        if graphs is None:
            return ""
        if self._libraries.flavour == "tensorrt-rtx" and not self._context.is_stream_capturable(self._stream.handle):
            return "this engine cannot be captured"
        try:
            self._graph = CudaGraph.capture(graphs, self._stream.handle, self._enqueue)
            self._graph.launch(self._stream.handle)
            self._stream.synchronize()
        except (GraphError, ExecuteError) as exc:
            self._drop_graph()
            reason = ": ".join(filter(None, (str(exc), self._libraries.log.take())))
        else:
            return ""
        self._enqueue()  # proves that it still runs without
        self._stream.synchronize()
        return reason

    def run(self) -> None:
        """Enqueue the network.

        Raises:
            EngineError: It was not enqueued.
        """
        if self._graph is None:
            self._enqueue()
            return
        try:
            self._graph.launch(self._stream.handle)
        except GraphError as exc:
            raise EngineError(f"the CUDA graph was not launched: {exc}; load the engine again") from exc

    def close(self) -> None:
        """Release graph and context, in this order; a second call does nothing."""
        self._drop_graph()
        self._context = None

    def _enqueue(self) -> None:
        if not self._context.execute_async_v3(self._stream.handle):
            reason = self._libraries.log.take() or "without a reason"
            raise ExecuteError(f"TensorRT did not run the frames ({reason}); load the engine again if it goes on")

    def _drop_graph(self) -> None:
        graph, self._graph = self._graph, None
        if graph is not None:
            with suppress(GraphError):  # after a failure of the GPU every call fails
                graph.close()


class Slot:
    """Memory and programs of one inference in flight. Not thread-safe; everything on the worker's thread.

    The addresses stay as they are from the first frame to the last.

    Args:
        engine: A ``trt.ICudaEngine``.
        manifest: What it is.
        libraries: What runs it.
        graphs: The driver's calls for CUDA graphs; None for none.

    Raises:
        EngineError: TensorRT refuses.
        pycuda.driver.Error: The GPU has no memory left, or failed.
    """

    def __init__(self, engine: Any, manifest: EngineManifest, libraries: Libraries, graphs: GraphDriver | None) -> None:
        self._libraries = libraries
        self._programs: dict[int, Program] = {}
        self.graph_notes: dict[int, str] = {}
        try:
            self._allocate(engine, manifest)
            for profile, batch in enumerate(manifest.batches):
                program = Program(self._context_for(engine, manifest, profile), self._stream, libraries)
                self._programs[batch] = program
                self.graph_notes[batch] = program.prepare(graphs)
        except BaseException:
            self.close()
            raise

    def launch(self, frames: UInt8Array) -> None:
        """Copy frames in, compute, and copy the answer out: all enqueued, nothing waited for.

        Args:
            frames: uint8 ``[N, height, width, 3]``, N at most the largest batch; copied before this returns.

        Raises:
            EngineError: Not enqueued; the slot is idle and can be used again.
            pycuda.driver.Error: The GPU failed.
        """
        cuda, stream, count = self._libraries.cuda, self._stream, len(frames)
        program = self._programs[min(batch for batch in self._programs if batch >= count)]
        self._input[:count] = frames
        started, copied_in, computed, done = self._events
        started.record(stream)
        cuda.memcpy_htod_async(self._device_input, self._input[:count], stream)
        copied_in.record(stream)
        try:
            program.run()
        except EngineError:
            stream.synchronize()  # the copy reads memory that the next frames would be written to
            raise
        computed.record(stream)
        cuda.memcpy_dtoh_async(self._output[:count], self._device_output, stream)
        done.record(stream)

    def finish(self, probability: UInt8Array) -> None:
        """Wait for what was launched and copy its answer.

        Args:
            probability: uint8 ``[N, height, width]``, N as launched; written to.

        Raises:
            pycuda.driver.Error: The GPU failed.
        """
        self._events[-1].synchronize()
        probability[:] = self._output[: len(probability)]

    def times(self) -> DeviceTimes:
        """How long the last inference took; after `finish`."""
        started, copied_in, computed, done = self._events
        return DeviceTimes(copied_in.time_since(started), computed.time_since(copied_in), done.time_since(computed))

    def close(self) -> None:
        """Wait for what runs and release everything, memory last; a second call does nothing."""
        stream = getattr(self, "_stream", None)
        if stream is not None:
            with suppress(self._libraries.cuda.Error):  # a GPU that failed cannot be waited for
                stream.synchronize()
        for program in self._programs.values():
            program.close()
        self._programs.clear()
        for name in ("_scratch", "_device_input", "_device_output", "_input", "_output", "_events", "_stream"):
            if hasattr(self, name):
                delattr(self, name)

    def _allocate(self, engine: Any, manifest: EngineManifest) -> None:
        cuda, spec, largest = self._libraries.cuda, manifest.spec, max(manifest.batches)
        self._stream = cuda.Stream(flags=_NON_BLOCKING)
        # the last one is waited for: blocking, or the driver would keep a core busy with looking
        self._events = (cuda.Event(), cuda.Event(), cuda.Event(), cuda.Event(cuda.event_flags.BLOCKING_SYNC))
        self._input = cuda.pagelocked_empty((largest, spec.height, spec.width, 3), np.uint8)
        self._output = cuda.pagelocked_empty((largest, spec.height, spec.width), np.uint8)
        self._device_input = cuda.mem_alloc(self._input.nbytes)
        self._device_output = cuda.mem_alloc(self._output.nbytes)
        # one block for the activations of all batch sizes, of which one at a time runs here
        self._scratch_bytes = int(engine.device_memory_size_v2)
        self._scratch = cuda.mem_alloc(max(self._scratch_bytes, 1))

    def _context_for(self, engine: Any, manifest: EngineManifest, profile: int) -> Any:
        batch, spec, log = manifest.batches[profile], manifest.spec, self._libraries.log
        context = engine.create_execution_context(self._runtime_config(engine))
        if context is None:
            raise EngineError(f"TensorRT made no execution context ({log.take() or 'without a reason'})")
        context.set_device_memory(int(self._scratch), self._scratch_bytes)
        size = (batch, spec.height, spec.width)
        accepted = (  # each says no by its value, not by an exception
            context.set_optimization_profile_async(profile, self._stream.handle)
            and context.set_input_shape(INPUT_NAME, (*size, 3))
            and context.set_tensor_address(INPUT_NAME, int(self._device_input))
            and context.set_tensor_address(OUTPUT_NAME, int(self._device_output))
            and not context.infer_shapes()
            and tuple(context.get_tensor_shape(OUTPUT_NAME)) == size
        )
        if not accepted:
            reason = log.take() or "without a reason"
            raise EngineError(f"TensorRT refuses batches of {batch} ({reason}); build the engine again")
        self._stream.synchronize()  # the change of profile may copy
        return context

    def _runtime_config(self, engine: Any) -> Any:
        trt = self._libraries.trt
        config = engine.create_runtime_config()
        config.set_execution_context_allocation_strategy(trt.ExecutionContextAllocationStrategy.USER_MANAGED)
        if self._libraries.flavour == "tensorrt-rtx":
            # kernels for this very shape are compiled at once, not in the background while a graph is captured
            config.dynamic_shapes_kernel_specialization_strategy = trt.DynamicShapesKernelSpecializationStrategy.EAGER
        return config
