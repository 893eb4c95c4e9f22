"""`Segment`: from prepared tensor to mask and polyps, by an engine."""

import time

from rt_seg.engines.engine import Engine
from rt_seg.engines.masks import threshold_level

from .frame import Prepared, Segmentation, Span
from .regions import find_polyps


class Segment:
    """Runs the engine on one frame and reads its answer. Passive, and as thread-safe as the engine.

    Args:
        engine: What infers; it stays the caller's to close.
        threshold: Probability (0-1) from which a pixel counts as polyp; None takes the model's own.
    """

    def __init__(self, engine: Engine, threshold: float | None = None) -> None:
        self._engine = engine
        self.threshold = threshold_level(engine.spec.threshold if threshold is None else threshold)

    def __call__(self, prepared: Prepared) -> Segmentation:
        """Infer one frame.

        Raises:
            EngineError: The engine failed.
        """
        start = time.perf_counter_ns()
        probability = self._engine.infer(prepared.tensor[None])[0]
        polyps = find_polyps(probability, prepared.geometry, self.threshold)
        spans = {**prepared.spans, "infer": Span(start, time.perf_counter_ns())}
        return Segmentation(prepared.frame, probability, prepared.geometry, self.threshold, polyps, spans)
