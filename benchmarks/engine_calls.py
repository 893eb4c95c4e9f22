"""What runs in the processes of the engines in each round: load one and time its calls.

`time_side` is made to be called in a fresh process, see `harness.process`; `engine` puts together what it returns.
What it does not need is not imported: a benchmark starts some dozens of these.
"""

import threading
import time
from collections.abc import Callable
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt

from rt_seg.engines.engine import Engine
from rt_seg.engines.resize import resize_image
from rt_seg.engines.samples import load_samples
from rt_seg.errors import RtSegError
from rt_seg.realtime.statistics import Distribution

from .engine_sides import load_side
from .harness.arithmetic import rate
from .harness.machine import resident_mib

UInt8Array = npt.NDArray[np.uint8]

WARM_UP = 3  # calls of an engine that was just loaded; later cases find all warm but what depends on the batch
_LEAST_CALLS = 2  # in a round; a batch of a slow engine has no time for more
DEVICE_STEPS = {"copy_in": "copy in (H2D)", "compute": "compute", "copy_out": "copy out (D2H)"}
"""What a GPU engine's `infer_timed` tells of a call by CUDA events, in milliseconds."""


def time_side(kind: str, precision: str, model: str, plan: list[list[int]], seconds: list[float]) -> dict[str, Any]:
    """Load an engine and call it in each case.

    Cases with as many threads that follow each other share an engine, which takes as many calls at once as any of them.

    Args:
        kind: What `load_side` knows.
        precision: Number format.
        model: The file.
        plan: Threads, batch and calls of each case.
        seconds: How long each case is called.

    Returns:
        ``load_seconds`` (imports and compilation) and ``memory_mib`` of the first case; for each case ``rate`` in
        pictures a second and ``counts`` of durations.

    Raises:
        RtSegError: It cannot be loaded or run.
    """
    before, began = resident_mib(), time.perf_counter()
    load_seconds, memory = 0.0, None
    results: list[dict[str, Any]] = []
    cases = list(zip(plan, seconds, strict=True))
    for threads, group in groupby(cases, key=lambda case: case[0][0]):
        alike = list(group)
        most_calls = max(calls for (_, _, calls), _ in alike)
        with load_side(kind, precision, model, threads=threads, calls=most_calls) as engine:
            load_seconds = load_seconds or time.perf_counter() - began
            for number, ((_, batch, calls), duration) in enumerate(alike):
                results.append(time_case(engine, batch, calls, duration, 1 if number else WARM_UP))
                memory = resident_mib() if memory is None else memory
    grown = None if memory is None or before is None else memory - before
    return {"load_seconds": load_seconds, "memory_mib": grown, "cases": results}


def time_case(engine: Engine, batch: int, calls: int, seconds: float, warm_up: int = WARM_UP) -> dict[str, Any]:
    """Call an engine in one case; see `time_side` for what is returned, and ``device_counts`` of a GPU's own steps."""
    frames = _batch_of(engine, batch)
    durations, together = Distribution(), threading.Barrier(calls)
    infer, steps = _with_device_times(engine)
    rates: list[float] = [0.0] * calls
    failures: list[RtSegError] = []

    def work(number: int) -> None:
        try:
            for _ in range(warm_up):
                engine.infer(frames)
            together.wait()
            rates[number] = batch * _call_for(infer, frames, seconds, durations)
        except RtSegError as exc:
            together.abort()
            failures.append(exc)
        except threading.BrokenBarrierError:
            pass  # another one failed, and says why

    threads = [threading.Thread(target=work, args=(number,)) for number in range(1, calls)]
    for thread in threads:
        thread.start()
    work(0)
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    device = {name: sorted(step.counts().items()) for name, step in steps.items()}
    return {"rate": sum(rates), "counts": sorted(durations.counts().items()), "device_counts": device}


def _with_device_times(engine: Engine) -> tuple[Callable[[UInt8Array], object], dict[str, Distribution]]:
    """How to call an engine, and what collects the times on its device; nothing does where it has none."""
    infer_timed: Any = getattr(engine, "infer_timed", None)
    if infer_timed is None:
        return engine.infer, {}
    steps = {name: Distribution() for name in DEVICE_STEPS}

    def infer(frames: UInt8Array) -> None:
        _, parts = infer_timed(frames)
        for name, step in steps.items():
            step.add(round(1e6 * sum(getattr(part, name) for part in parts)))

    return infer, steps


def _call_for(
    infer: Callable[[UInt8Array], object], frames: UInt8Array, seconds: float, durations: Distribution
) -> float:
    """Call again and again, at least `_LEAST_CALLS` times; calls a second."""
    stamps = [time.perf_counter_ns()]
    end = stamps[0] + int(seconds * 1e9)
    while stamps[-1] < end or len(stamps) <= _LEAST_CALLS:
        infer(frames)
        stamps.append(time.perf_counter_ns())
        durations.add(stamps[-1] - stamps[-2])
    return rate(stamps) or 0.0


def _batch_of(engine: Engine, batch: int) -> UInt8Array:
    spec, samples = engine.spec, load_samples()
    pictures = [samples[number % len(samples)].image for number in range(batch)]
    return np.stack([resize_image(image, spec.width, spec.height, spec.interpolation) for image in pictures])
