"""A camera, an engine and a sink that fail at random, for the soak run."""

import random
import threading
import time
from collections.abc import Iterator
from functools import cache

import cv2
import numpy as np

from rt_seg.engines.engine import Engine, UInt8Array
from rt_seg.errors import EngineError, OutputError, SourceError, SourceInterrupted
from rt_seg.realtime.frame import Frame, Rendered
from rt_seg.realtime.sources.open import open_source
from rt_seg.realtime.sources.source import SourceInfo

from .clips import FPS
from .live_parts import WrappedEngine

_SIZES = ((1280, 720), (1920, 1080), (720, 576))
_PICTURES = 50
_STALL_SECONDS = 3.0
_HANG_SECONDS = 60.0


class Chance:
    """Says now and then that a fault is due. Not thread-safe.

    Args:
        random_numbers: Where chance comes from.
        every: Mean seconds from one fault to the next.
    """

    def __init__(self, random_numbers: random.Random, every: float) -> None:
        self._random = random_numbers
        self._every = every
        self._due = time.monotonic() + self._wait()

    def _wait(self) -> float:
        return self._random.expovariate(1 / self._every)

    def due(self) -> bool:
        """Whether a fault comes now."""
        if time.monotonic() < self._due:
            return False
        self._due = time.monotonic() + self._wait()
        return True


@cache
def _demo_pictures() -> tuple[UInt8Array, ...]:
    """Made once and in their own size: what memory grows by is then the stream's."""
    source = open_source("demo", limit=_PICTURES)
    pictures = tuple(frame.image for frame in source)
    source.close()
    return pictures


class FaultyCamera:
    """The demo as a camera of one of three sizes. Each fault is one of: a stall, a break, an end, a clock that jumps.

    Args:
        random_numbers: Where chance comes from.
        every: Mean seconds from one fault to the next.
        released: Set at the end of the run.

    Raises:
        SourceError: One time in three it cannot be opened.
    """

    def __init__(self, random_numbers: random.Random, every: float, released: threading.Event) -> None:
        self._random = random_numbers
        self._chance = Chance(random_numbers, every)
        self._released = released
        if self._chance_of_opening() < 1 / 3:
            raise SourceError("the camera cannot be opened")
        width, height = random_numbers.choice(_SIZES)
        self.info = SourceInfo("soak", "camera", live=True, width=width, height=height, fps=FPS, endless=True)
        self._pictures = _demo_pictures()

    _opened = 0

    def _chance_of_opening(self) -> float:
        FaultyCamera._opened += 1
        return 1.0 if FaultyCamera._opened == 1 else self._random.random()

    def __iter__(self) -> Iterator[Frame]:
        """Pictures at their pace, forward and back through the clip."""
        order = [*range(_PICTURES), *range(_PICTURES - 2, 0, -1)]
        begun, jump, number = time.monotonic(), 0.0, 0
        while not self._released.is_set():
            if self._chance.due():
                fault = self._random.choice(("stall", "break", "end", "jump"))
                if fault == "break":
                    raise SourceInterrupted("the camera stopped delivering")
                if fault == "end":
                    return
                if fault == "stall":
                    self._released.wait(_STALL_SECONDS)
                    begun += _STALL_SECONDS
                else:
                    jump = self._random.uniform(-1000, 1000)
            self._released.wait(max(begun + number / FPS - time.monotonic(), 0.0))
            size = (self.info.width, self.info.height)
            image = np.asarray(cv2.resize(self._pictures[order[number % len(order)]], size), np.uint8)
            yield Frame(number, max(number / FPS + jump, 0.0), time.perf_counter_ns(), image)
            number += 1

    def close(self) -> None:
        """See `Source.close`."""


class FaultyEngine(WrappedEngine):
    """An engine that raises, hangs or answers in a wrong shape now and then; see `FaultyCamera` for the arguments."""

    def __init__(self, engine: Engine, random_numbers: random.Random, every: float, released: threading.Event) -> None:
        super().__init__(engine)
        self._random = random_numbers
        self._chance = Chance(random_numbers, every)
        self._released = released

    def infer(self, frames: UInt8Array) -> UInt8Array:
        """See `Engine.infer`."""
        if self._chance.due():
            fault = self._random.choice(("raise", "hang", "shape"))
            if fault == "raise":
                raise EngineError("the engine failed, as it should")
            if fault == "hang":
                self._released.wait(_HANG_SECONDS)
            else:
                return np.zeros((1, 3, 3), np.uint8)
        return super().infer(frames)


class FaultySink:
    """A recording that takes its time now and then, and once fails for good; see `FaultyCamera` for the arguments."""

    name = "soak recording"
    path = None
    notes = ()

    def __init__(self, random_numbers: random.Random, every: float) -> None:
        self._random = random_numbers
        self._chance = Chance(random_numbers, every)

    def write(self, rendered: Rendered) -> None:
        """See `Sink.write`."""
        del rendered
        if self._chance.due():
            if self._random.random() < 0.1:
                raise OutputError("the disk is full, as it should be")
            time.sleep(self._random.uniform(0.1, 2.0))

    def close(self) -> None:
        """See `Sink.close`."""
