"""What the live benchmarks measure with: a sink at the hand-over, an engine made slower, a quiet observer."""

import time
from types import TracebackType
from typing import Self

import cv2
import numpy as np

from rt_seg.engines.engine import Engine, EngineInfo, UInt8Array
from rt_seg.engines.spec import ModelSpec
from rt_seg.realtime.frame import Rendered
from rt_seg.realtime.overlay import line_width
from rt_seg.realtime.pipeline import Pipeline
from rt_seg.realtime.regions import contours
from rt_seg.realtime.sources.source import SourceInfo


class HandOver:
    """The sink that delays are measured to. Passive; one thread writes, another reads between two minutes.

    Comparing the pixels of a picture takes longer than a frame lasts and would delay those after it: the pictures are
    kept until the end.

    Args:
        compare_every: Frames from one picture that is compared with the input to the next.
        at_once: Compare while it runs, for runs in which that is rare and memory must not grow.

    Attributes:
        video_ms: Video delay of each picture in milliseconds since the last `take`.
        annotation_ms: Annotation delay of each picture with a mask.
        compared: Pictures whose pixels were compared.
        differing: Those of them with a pixel outside the marker that is not the input's.
    """

    name = "hand-over"
    path = None
    notes = ()

    def __init__(self, compare_every: int, *, at_once: bool = False) -> None:
        self.video_ms: list[float] = []
        self.annotation_ms: list[float] = []
        self.compared = 0
        self.differing = 0
        self._compare_every = compare_every
        self._at_once = at_once
        self._written = 0
        self._kept: list[Rendered] = []

    def write(self, rendered: Rendered) -> None:
        """See `Sink.write`."""
        now = time.perf_counter_ns()
        if not rendered.signal:
            return
        self.video_ms.append((now - rendered.frame.captured_ns) / 1e6)
        if rendered.segmentation is not None:
            self.annotation_ms.append((now - rendered.segmentation.frame.captured_ns) / 1e6)
        self._written += 1
        if self._written % self._compare_every == 0:
            self._kept.append(rendered)
            if self._at_once:
                self._compare()

    def _compare(self) -> None:
        self.compared += len(self._kept)
        self.differing += sum(map(differs_outside_marker, self._kept))
        self._kept.clear()

    def take(self) -> tuple[list[float], list[float]]:
        """Video and annotation delays since the last call."""
        taken = self.video_ms, self.annotation_ms
        self.video_ms, self.annotation_ms = [], []
        return taken

    def close(self) -> None:
        """See `Sink.close`."""
        self._compare()


def differs_outside_marker(rendered: Rendered) -> bool:
    """Whether a pixel that the drawn marker does not cover differs from the input.

    The marker is the outline with its dark edge and one pixel for antialiasing.
    """
    changed = (rendered.image != rendered.frame.image).any(axis=2)
    if rendered.segmentation is None:
        return bool(changed.any())
    marker = np.zeros(rendered.image.shape[:2], np.uint8)
    outlines = [np.rint(outline - 0.5).astype(np.int32) for outline in contours(rendered.segmentation)]
    width = line_width(rendered.image)
    cv2.polylines(marker, outlines, True, 255, width + 2 * max(width // 3, 1) + 4)
    return bool(changed[marker == 0].any())


class WrappedEngine:
    """An engine that hands everything on to another one: a base for those that change one thing.

    Args:
        engine: What infers; closed with this.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @property
    def spec(self) -> ModelSpec:
        """See `Engine.spec`."""
        return self._engine.spec

    @property
    def info(self) -> EngineInfo:
        """See `Engine.info`."""
        return self._engine.info

    def infer(self, frames: UInt8Array) -> UInt8Array:
        """See `Engine.infer`."""
        return self._engine.infer(frames)

    def close(self) -> None:
        """See `Engine.close`."""
        self._engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class SlowedEngine(WrappedEngine):
    """An engine that infers each batch several times over: as slow as a machine that is so many times slower.

    Args:
        engine: What infers; closed with this.
        times: How often.
    """

    def __init__(self, engine: Engine, times: int) -> None:
        super().__init__(engine)
        self._times = times

    def infer(self, frames: UInt8Array) -> UInt8Array:
        """See `Engine.infer`."""
        for _ in range(self._times - 1):
            super().infer(frames)
        return super().infer(frames)


class Quiet:
    """An observer that keeps the lines it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, line: str) -> None:
        """See `Observer.note`."""
        self.lines.append(line)

    def begin(self, source: SourceInfo, engine: EngineInfo) -> None:
        """See `Observer.begin`."""

    def update(self, pipeline: Pipeline) -> None:
        """See `Observer.update`."""


def cells(values: list[float]) -> list[str]:
    """p50, p90, p99 and the largest of some milliseconds; a dash where there are too few for a percentile."""
    row = [
        f"{np.percentile(values, percent):.2f}" if len(values) * (100 - percent) >= 1000 else "-"
        for percent in (50, 90, 99)
    ]
    return [*row, f"{max(values):.2f}" if values else "-"]
