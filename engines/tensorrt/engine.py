"""The GPU engine: `TensorRtEngine`, and `load_tensorrt_engine`, which checks and proves what it loads."""

import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from rt_seg.engines.engine import EngineInfo, UInt8Array, check_frames
from rt_seg.engines.precision import PrecisionChoice
from rt_seg.errors import ModelError

from .checks import EngineFile, check_version, choose_gpu, read_engine_file
from .driver import Gpu, probe_driver
from .libraries import Libraries, load_libraries
from .self_test import prove
from .slots import DeviceTimes
from .worker import Worker

# One computes, one is ready on the GPU when it ends, one is with the callers.
DEFAULT_PARALLEL_CALLS = 3


def load_tensorrt_engine(
    path: Path,
    *,
    precision: PrecisionChoice = "auto",
    threads: int | None = None,
    parallel_calls: int | None = None,
    notes: tuple[str, ...] = (),
) -> "TensorRtEngine":
    """Check an engine file against this machine, load it, and prove it at its first start here.

    Args:
        path: The ``.engine``; its manifest lies beside it.
        precision: That of the engine, or ``auto``: it was decided when the engine was built.
        threads: For the CPU only.
        parallel_calls: Inferences on the GPU at once.
        notes: Passed on to `info`.

    Raises:
        ModelError: The file is missing, foreign, altered, or was built for another machine or version.
        EngineError: No driver, no GPU, too old a driver, no memory, or other masks than the CPU's.
        MissingDependencyError: TensorRT or pycuda is not installed.
    """
    if threads is not None or (parallel_calls is not None and parallel_calls < 1):
        raise ValueError(
            f"a GPU engine has no threads, and parallel_calls is at least 1, got {threads}, {parallel_calls}"
        )
    file = read_engine_file(path)
    _check_precision(file, precision)
    driver = probe_driver()
    driver.require_gpu()
    gpu = choose_gpu(file, driver.gpus)
    libraries = load_libraries(file.manifest.flavour, driver)
    check_version(file, libraries.trt.__version__)
    engine = TensorRtEngine(file, gpu, libraries, parallel_calls=parallel_calls, notes=notes)
    try:
        engine.add_notes(*prove(engine, file, gpu, driver))
    except BaseException:
        engine.close()
        raise
    return engine


class TensorRtEngine:
    """Runs a TensorRT engine on an NVIDIA GPU; see `rt_seg.engines.Engine`.

    Thread-safe. Up to `parallel_calls` inferences are on the GPU at once; further calls wait for their turn. A batch is
    split into the batch sizes that the engine was built for, which a remainder is padded to.

    Args:
        file: The engine, checked.
        gpu: Where it runs.
        libraries: What runs it.
        parallel_calls: Inferences on the GPU at once; by default `DEFAULT_PARALLEL_CALLS`.
        graphs: Whether CUDA graphs are used where they can be captured.
        notes: Passed on to `info`.

    Raises:
        ModelError: The engine is not what its manifest says.
        EngineError: TensorRT or the GPU refuses.
    """

    def __init__(
        self,
        file: EngineFile,
        gpu: Gpu,
        libraries: Libraries,
        *,
        parallel_calls: int | None = None,
        graphs: bool = True,
        notes: tuple[str, ...] = (),
    ) -> None:
        manifest = file.manifest
        calls = parallel_calls or DEFAULT_PARALLEL_CALLS
        self._batches = manifest.batches
        self._worker = Worker(file, gpu, libraries, in_flight=calls, graphs=graphs)
        # an engine that nobody closes ends with the object or the process, and not in the middle of a call
        self._end = weakref.finalize(self, self._worker.close)
        sizes = ", ".join(map(str, manifest.batches))
        built = f"{manifest.precision} by {manifest.flavour} {manifest.version}, batch sizes {sizes}"
        self.spec = manifest.spec
        self.info = EngineInfo(
            "tensorrt",
            gpu.name,
            manifest.precision.replace("fp32", "f32"),
            calls,
            (*notes, built, *self._worker.notes),
            str(file.path),
        )

    def infer(self, frames: UInt8Array) -> UInt8Array:
        """Segment a batch; see `rt_seg.engines.Engine.infer`."""
        return self.infer_timed(frames)[0]

    def infer_timed(self, frames: UInt8Array) -> tuple[UInt8Array, tuple[DeviceTimes, ...]]:
        """Segment a batch, and say how long the GPU took for each part of it; for measurements.

        Args:
            frames: As for `infer`.

        Returns:
            As of `infer`, and the times of each of the parts that the batch was split into.
        """
        check_frames(frames, self.spec)
        probability = np.empty(frames.shape[:3], np.uint8)
        parts = split_batch(len(frames), self._batches)
        return probability, tuple(self._worker.run(frames[part], probability[part]) for part in parts)

    def add_notes(self, *notes: str) -> None:
        """Append to `info.notes`."""
        self.info = replace(self.info, notes=(*self.info.notes, *notes))

    def close(self) -> None:
        """Release the GPU, in bounded time; a second call does nothing."""
        self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def split_batch(count: int, sizes: tuple[int, ...]) -> Iterator[slice]:
    """Split a batch into parts that each fit a batch size: the largest that is full, the remainder in one.

    Args:
        count: Frames, at least 1.
        sizes: Batch sizes that there are.
    """
    start = 0
    while start < count:
        left = count - start
        full = [size for size in sizes if size <= left]
        size = max(full) if full else left  # a remainder below the smallest size is padded to it
        yield slice(start, start + size)
        start += size


def _check_precision(file: EngineFile, precision: PrecisionChoice) -> None:
    own = file.manifest.precision.replace("fp32", "f32")
    if precision not in ("auto", own):
        wanted = "fp32" if precision == "f32" else "fp16"
        raise ModelError(
            f"{file.path}: computes in {own}, which is decided when an engine is built, not {precision}; leave the "
            f"precision at auto, or build another: rt-seg build-engine --precision {wanted}"
        )
