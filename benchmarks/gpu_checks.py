"""What `gpu_acceptance` tries on an engine: parity with the CPU, latency, a soak, loading it again and again."""

import os
import platform
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from importlib.metadata import version
from typing import Any, TypeVar

import numpy as np

from rt_seg.engines.cpu import Cpu
from rt_seg.engines.engine import UInt8Array
from rt_seg.engines.resize import resize_image
from rt_seg.engines.samples import load_samples
from rt_seg.engines.tensorrt.checks import EngineFile, choose_gpu
from rt_seg.engines.tensorrt.driver import Driver
from rt_seg.engines.tensorrt.engine import TensorRtEngine
from rt_seg.engines.tensorrt.libraries import load_libraries
from rt_seg.engines.tensorrt.self_test import compare, find_model
from rt_seg.realtime.statistics import Distribution

from .memory import resident_mib

RELOADS = 5
"""How often `reload` loads and closes an engine."""

_WARM_UP_SECONDS = 0.2
_T = TypeVar("_T")


def _open(file: EngineFile, driver: Driver, *, graphs: bool = True) -> TensorRtEngine:
    """The engine without its self-test, which is done here by itself."""
    return TensorRtEngine(
        file, choose_gpu(file, driver.gpus), load_libraries(file.manifest.flavour, driver), graphs=graphs
    )


def parity(file: EngineFile, driver: Driver) -> dict[str, Any]:
    """Masks against those of the CPU, against themselves again, and a batch against its frames singly."""
    with _open(file, driver) as engine:
        agreement = compare(engine, file, find_model(file))
        frames = _frames(engine)
        together = engine.infer(frames)
        singly = np.concatenate([engine.infer(frame[None]) for frame in frames])
        again = engine.infer(frames)
    return {
        **asdict(agreement),
        "passed": agreement.passed,
        "repeats_exactly": bool(np.array_equal(together, again)),
        "batch_against_single_frames": int(np.abs(together.astype(np.int16) - singly).max()),
    }


def latency(file: EngineFile, driver: Driver, count: int, *, graphs: bool) -> dict[str, Any]:
    """So many timed inferences one after the other, with a CUDA graph or without."""
    with _open(file, driver, graphs=graphs) as engine:
        frame = _frames(engine)[:1]
        end = time.perf_counter() + _WARM_UP_SECONDS
        while time.perf_counter() < end:
            engine.infer(frame)
        kinds = {name: Distribution() for name in ("h2d", "compute", "d2h", "gpu", "end_to_end")}
        for _ in range(count):
            start = time.perf_counter_ns()
            _, (times,) = engine.infer_timed(frame)
            kinds["end_to_end"].add(time.perf_counter_ns() - start)
            parts = (times.copy_in, times.compute, times.copy_out)
            for name, duration in zip(kinds, (*parts, sum(parts)), strict=False):
                kinds[name].add(round(duration * 1e6))
        milliseconds = {name: kind.percentiles().as_dict() for name, kind in kinds.items()}
        return {"milliseconds": milliseconds, "frames": count, "notes": list(engine.info.notes)}


def soak(file: EngineFile, driver: Driver, count: int) -> dict[str, Any]:
    """Frames from as many threads as the engine takes, each answer against the first for that frame."""
    with _open(file, driver) as engine:
        frames = _frames(engine)
        expected = np.concatenate([engine.infer(frame[None]) for frame in frames])
        calls = engine.info.parallel_calls
        before, device_before = resident_mib(os.getpid()), device_memory_mib()
        start = time.perf_counter()
        with ThreadPoolExecutor(calls) as pool:
            shares = _shares(count, calls)
            counts = [pool.submit(_count_wrong, engine, frames, expected, share) for share in shares]
            wrong = sum(count.result() for count in counts)
        seconds = time.perf_counter() - start
        after, device_after = resident_mib(os.getpid()), device_memory_mib()
    return {
        "frames": count,
        "threads": calls,
        "wrong_answers": wrong,
        "seconds": seconds,
        "frames_per_second": count / seconds,
        "resident_mib": [before, after],
        "gpu_memory_mib": [device_before, device_after],
    }


def _shares(count: int, parts: int) -> Iterator[range]:
    for part in range(parts):
        yield range(part, count, parts)


def _count_wrong(engine: TensorRtEngine, frames: UInt8Array, expected: UInt8Array, share: range) -> int:
    wrong = 0
    for number in share:
        index = number % len(frames)
        wrong += not np.array_equal(engine.infer(frames[index : index + 1])[0], expected[index])
    return wrong


def reload(file: EngineFile, driver: Driver) -> dict[str, Any]:
    """GPU memory that is left over after loading and closing several times."""
    used: list[float | None] = []
    seconds: list[float] = []
    for _ in range(RELOADS):
        spent, engine = timed(lambda: _open(file, driver))
        engine.close()
        seconds.append(spent)
        used.append(device_memory_mib())
    return {"load_seconds": seconds, "gpu_memory_mib_after_close": used}


def _frames(engine: TensorRtEngine) -> UInt8Array:
    """The packaged samples at the model's size, uint8 ``[N, height, width, 3]``."""
    spec = engine.spec
    return np.stack([resize_image(item.image, spec.width, spec.height, spec.interpolation) for item in load_samples()])


def device_memory_mib() -> float | None:
    """Memory in use on all GPUs by all programs, as nvidia-smi tells it; None where it does not."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    query = [program, "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    ended = subprocess.run(query, capture_output=True, text=True, check=False)
    try:
        return sum(map(float, ended.stdout.split())) or None
    except ValueError:
        return None


def machine(file: EngineFile, driver: Driver) -> dict[str, Any]:
    """GPU, driver, libraries and processor."""
    return {
        "gpu": str(choose_gpu(file, driver.gpus)),
        "driver": driver.release,
        "cuda_of_driver": ".".join(map(str, driver.cuda_version or ())),
        "tensorrt": f"{file.manifest.flavour} {file.manifest.version}",
        "cpu": Cpu.read().name,
        "system": platform.platform(),
        "python": platform.python_version(),
        "rt_seg": version("rt-seg"),
    }


def timed(work: Callable[[], _T]) -> tuple[float, _T]:
    """Seconds of some work, and what it gave."""
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result
