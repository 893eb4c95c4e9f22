"""The CPU engine: OpenVINO, a small pool of inferences, each on few threads."""

import os
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import platformdirs

from rt_seg.errors import EngineError, ModelError

from .cpu import Cpu, usable_cores
from .engine import EngineInfo, UInt8Array, check_frames
from .model_file import ModelFile, last_line
from .openvino_runtime import openvino as ov
from .precision import Choice, CpuPrecision, PrecisionChoice, choose_precision

_CACHED_MODELS = 16  # compiled models that stay in the cache; one is about as large as its ONNX file


@dataclass(frozen=True, slots=True, eq=False)
class _Request:
    """One inference in flight: OpenVINO's request and views of its own input and output memory."""

    request: ov.InferRequest
    frame: UInt8Array  # [1, height, width, 3]
    probability: UInt8Array  # [1, height, width]

    @classmethod
    def of(cls, compiled: ov.CompiledModel) -> Self:
        request = compiled.create_infer_request()
        return cls(request, request.get_input_tensor(0).data, request.get_output_tensor(0).data)

    def run(self, frame: UInt8Array, probability: UInt8Array) -> None:
        # Copied in and out: together 10 us, and no memory of the caller is known to OpenVINO, which keeps bare
        # pointers to shared arrays after they are gone.
        self.frame[0] = frame
        self.request.infer(share_outputs=True)
        probability[:] = self.probability[0]


def load_openvino_engine(
    path: Path,
    *,
    precision: PrecisionChoice = "auto",
    threads: int | None = None,
    parallel_calls: int | None = None,
    notes: tuple[str, ...] = (),
) -> "OpenVinoEngine":
    """Choose precision and file for a model and make its engine; see `rt_seg.engines.load_engine`."""
    choice = choose_precision(path, precision, Cpu.read())
    return OpenVinoEngine(choice, threads=threads, parallel_calls=parallel_calls, notes=notes)


class OpenVinoEngine:
    """Runs a deployable model on the CPU; see `rt_seg.engines.Engine`.

    Thread-safe. Up to `parallel_calls` calls of `infer` run at once, others wait; Python's lock is free meanwhile.
    The network is compiled for one frame, whatever the batch: int8 with a dynamic batch took twice as long, and a
    batch gains nothing on a CPU. A batch is computed frame by frame within its call.

    Args:
        choice: What to run, from `choose_precision`; the graph in it is fixed to one frame.
        threads: Threads of one inference. 1 by default: decoding and encoding want cores too, and several frames at
            once use them better than one frame on all of them.
        parallel_calls: Inferences in flight; see `default_parallel_calls`.
        notes: Passed on to `info`.

    Raises:
        ModelError: OpenVINO cannot compile it.
    """

    def __init__(
        self,
        choice: Choice,
        *,
        threads: int | None = None,
        parallel_calls: int | None = None,
        notes: tuple[str, ...] = (),
    ) -> None:
        if (threads is not None and threads < 1) or (parallel_calls is not None and parallel_calls < 1):
            raise ValueError(f"threads and parallel_calls are at least 1, got {threads} and {parallel_calls}")
        threads = threads or 1
        calls = parallel_calls or default_parallel_calls(threads)
        model = choice.model
        compiled = _compile(model, choice.precision, threads, calls)
        self.spec = model.spec
        self.info = EngineInfo(
            "openvino", Cpu.read().name, choice.precision, calls, (*notes, choice.reason), str(model.path)
        )
        self._free = [_Request.of(compiled) for _ in range(calls)]
        self._freed = threading.Condition()
        self._closed = False

    def infer(self, frames: UInt8Array) -> UInt8Array:
        """Segment a batch; see `rt_seg.engines.Engine.infer`."""
        check_frames(frames, self.spec)
        probability = np.empty(frames.shape[:3], np.uint8)
        with self._request() as request:
            for frame, answer in zip(frames, probability, strict=True):
                try:
                    request.run(frame, answer)
                except RuntimeError as exc:
                    raise EngineError(
                        f"OpenVINO failed while it ran ({last_line(exc)}); load the engine again"
                    ) from exc
        return probability

    def close(self) -> None:
        """Release the network; a call that is running ends normally, waiting and later ones are refused."""
        with self._freed:
            self._closed = True
            self._free.clear()
            self._freed.notify_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def _request(self) -> Generator[_Request, None, None]:
        with self._freed:
            self._freed.wait_for(lambda: self._free or self._closed)
            if self._closed:
                raise EngineError("the engine is closed; load it again")
            request = self._free.pop()
        try:
            yield request
        finally:
            with self._freed:
                if not self._closed:
                    self._free.append(request)
                    self._freed.notify()


def default_parallel_calls(threads: int) -> int:
    """Inferences in flight that keep the usable cores busy, at most 4.

    A frame takes one thread 6 to 16 ms here, and a 1080p encoder 7 ms: four outrun any single video.
    """
    return max(1, min(usable_cores() // threads, 4))


def _compile(model: ModelFile, precision: CpuPrecision, threads: int, calls: int) -> ov.CompiledModel:
    settings: dict[str, Any] = {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": calls,
        "INFERENCE_NUM_THREADS": threads * calls,
        # never OpenVINO's own default: bf16 even where it is emulated, 4 times slower than f32
        "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
        "ENABLE_CPU_PINNING": False,  # pinned, the 95th percentile under load was twice as high
    }
    cache = _cache_directory()
    if cache is not None:
        settings["CACHE_DIR"] = str(cache)
    try:
        model.graph.reshape([1, model.spec.height, model.spec.width, 3])
        compiled = ov.Core().compile_model(model.graph, "CPU", settings)
    except RuntimeError as exc:
        raise ModelError(f"{model.path}: OpenVINO cannot run it in {precision} ({last_line(exc)})") from exc
    if cache is not None:
        _prune(cache)
    return compiled


def _cache_directory() -> Path | None:
    """Where compiled models are kept, which halves the start; None where the disk does not allow it.

    OpenVINO names the files by a hash over network and weights, and compiles anew when one is damaged.
    """
    path = platformdirs.user_cache_path("rt-seg", appauthor=False) / "openvino"
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return path if os.access(path, os.W_OK) else None


def _prune(cache: Path) -> None:
    with suppress(OSError):  # another process may prune as well
        oldest_first = sorted(cache.glob("*.blob"), key=lambda file: file.stat().st_mtime)
        for file in oldest_first[:-_CACHED_MODELS]:
            file.unlink()
