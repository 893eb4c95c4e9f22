"""`Engine`: the one interface of every backend, and `CallableEngine`, which makes one of any function."""

from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt

from rt_seg.engines.spec import ModelSpec
from rt_seg.errors import EngineError

UInt8Array = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What runs, as it really runs.

    Attributes:
        backend: ``openvino``, ``tensorrt``, ``callable``, ...
        device: Name of the processor, for people.
        precision: Number format of the arithmetic: ``f32``, ``bf16``, ``int8``, ``fp16``.
        parallel_calls: Number of threads that gain by calling `Engine.infer` at the same time.
        notes: What a user should know, such as why this engine and precision were chosen.
        model_path: File it was loaded from, if any.
    """

    backend: str
    device: str
    precision: str
    parallel_calls: int = 1
    notes: tuple[str, ...] = ()
    model_path: str | None = None


class Engine(Protocol):
    """A model as something that runs. Thread-safe: up to `info.parallel_calls` calls at once are worth making."""

    @property
    def spec(self) -> ModelSpec:
        """What the model expects and means."""
        ...

    @property
    def info(self) -> EngineInfo:
        """What runs it."""
        ...

    def infer(self, frames: UInt8Array) -> UInt8Array:
        """Segment a batch.

        Args:
            frames: uint8 ``[N, height, width, 3]``, BGR, of the spec's size, C-contiguous; read only
                during the call.

        Returns:
            uint8 ``[N, height, width]``, 255 = certain. The caller owns it: no later call writes to it.

        Raises:
            EngineError: A wrong array, a closed engine, or a failure of the backend.
        """
        ...

    def close(self) -> None:
        """Release device and memory; a second call does nothing."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def check_frames(frames: UInt8Array, spec: ModelSpec) -> None:
    """Check an input batch once, in one place, for every backend.

    Raises:
        EngineError: dtype, shape or memory layout differ from what `Engine.infer` documents.
    """
    expected = (spec.height, spec.width, 3)
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[0] < 1 or frames.shape[1:] != expected:
        raise EngineError(
            f"infer wants uint8 [N, {spec.height}, {spec.width}, 3] with N at least 1, got {frames.dtype} "
            f"{list(frames.shape)}; resize with rt_seg.engines.resize_image"
        )
    if not frames.flags.c_contiguous:
        raise EngineError("infer wants a C-contiguous array; pass numpy.ascontiguousarray(frames)")


class CallableEngine:
    """An engine around any function: for tests, and for users who bring a model of their own.

    Args:
        function: Takes uint8 ``[N, height, width, 3]`` BGR, returns uint8 ``[N, height, width]``. Thread-safe if
            `parallel_calls` is above 1.
        spec: Size and threshold it works with.
        parallel_calls: How many threads may call it at once.
    """

    def __init__(
        self, function: Callable[[UInt8Array], UInt8Array], spec: ModelSpec, *, parallel_calls: int = 1
    ) -> None:
        self._function = function
        self._closed = False
        self.spec = spec
        self.info = EngineInfo("callable", "python", "unknown", parallel_calls)

    def infer(self, frames: UInt8Array) -> UInt8Array:
        """Call the function; see `Engine.infer`."""
        if self._closed:
            raise EngineError("the engine is closed; load it again")
        check_frames(frames, self.spec)
        probability = self._function(frames)
        if probability.dtype != np.uint8 or probability.shape != frames.shape[:3]:
            found, expected = list(probability.shape), list(frames.shape[:3])
            raise EngineError(f"the engine returned {probability.dtype} {found}, expected uint8 {expected}")
        return probability

    def close(self) -> None:
        """Refuse further calls; a second call does nothing."""
        self._closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
