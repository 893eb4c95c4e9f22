"""`Segment`: from prepared tensor to mask and polyps, by an engine."""

import time
from collections.abc import Callable

import numpy as np

from rt_seg.engines.engine import Engine
from rt_seg.engines.masks import threshold_level
from rt_seg.errors import EngineError

from .frame import Prepared, Segmentation, Span
from .regions import find_polyps


class Segment:
    """Runs the engine on one frame and reads its answer. Passive, and as thread-safe as the engine.

    Args:
        engine: What infers; it stays the caller's to close.
        threshold: Probability (0-1) from which a pixel counts as polyp; None takes the model's own.
        reload: Loads the engine anew, for `restart`; None: there is no other.

    Attributes:
        threshold: The uint8 value of it; may be set at any time.
    """

    def __init__(
        self, engine: Engine, threshold: float | None = None, reload: Callable[[], Engine] | None = None
    ) -> None:
        self._engine = engine
        self._reload = reload
        self.threshold = threshold_level(engine.spec.threshold if threshold is None else threshold)

    def __call__(self, prepared: Prepared) -> Segmentation:
        """Infer one frame.

        Raises:
            EngineError: The engine failed, or its answer is not what the contract says.
        """
        start = time.perf_counter_ns()
        batch = self._engine.infer(prepared.tensor[None])
        expected = (1, *prepared.tensor.shape[:2])
        if batch.dtype != np.uint8 or batch.shape != expected:
            raise EngineError(f"the engine returned {batch.dtype} {list(batch.shape)}, expected uint8 {list(expected)}")
        probability, threshold = batch[0], self.threshold
        polyps = find_polyps(probability, prepared.geometry, threshold)
        spans = {**prepared.spans, "infer": Span(start, time.perf_counter_ns())}
        return Segmentation(prepared.frame, probability, prepared.geometry, threshold, polyps, spans)

    def restart(self) -> Callable[[], None]:
        """Put a new engine in the place of one that failed.

        Returns:
            What releases the old one; it may hang as the engine did.

        Raises:
            RtSegError: It cannot be loaded.
        """
        if self._reload is None:
            raise EngineError("there is no way to load the engine again")
        old, self._engine = self._engine, self._reload()
        return old.close

    def close(self) -> None:
        """Release the engine that is in place now."""
        self._engine.close()
