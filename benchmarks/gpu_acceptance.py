"""What a GPU does with rt-seg: build, gate, parity with the CPU, latency and a soak, as a report to attach to an issue.

Run it on the machine with the GPU as ``python -m rt_seg.benchmarks.gpu_acceptance``. It writes ``report.md`` and
``report.json`` beside the engine that it builds. Every figure in it was measured there; nothing is sent anywhere.

Latency is taken as trtexec defines it: H2D + compute + D2H by CUDA events, after a warm-up of at least 200 ms; end to
end is a call of `infer` by the wall clock, with the copies into and out of pinned memory and the hand-over between
threads.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
import typer

from rt_seg.engines.cpu import Cpu
from rt_seg.engines.engine import UInt8Array
from rt_seg.engines.load import PACKAGED_MODEL
from rt_seg.engines.resize import resize_image
from rt_seg.engines.samples import load_samples
from rt_seg.engines.tensorrt.build import BuildSettings, BuiltEngine, build_engine
from rt_seg.engines.tensorrt.checks import EngineFile, choose_gpu, read_engine_file
from rt_seg.engines.tensorrt.driver import Driver, probe_driver
from rt_seg.engines.tensorrt.engine import TensorRtEngine
from rt_seg.engines.tensorrt.files import write_together
from rt_seg.engines.tensorrt.libraries import load_libraries
from rt_seg.engines.tensorrt.manifest import BuildPrecision, Flavour
from rt_seg.engines.tensorrt.self_test import compare, find_model
from rt_seg.errors import RtSegError
from rt_seg.realtime.statistics import Distribution

from .gpu_report import write_markdown
from .memory import resident_mib

_WARM_UP_SECONDS = 0.2
_RELOADS = 5
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class AcceptanceSettings:
    """What is done, and how much of it.

    Attributes:
        folder: Where engine and report go.
        precision: Of the engine.
        flavour: TensorRT or TensorRT-RTX; None: as `build_engine` chooses.
        batches: Batch sizes of the engine.
        latency_frames: Timed inferences, one after the other, of each kind.
        soak_frames: Inferences of the soak.
    """

    folder: Path
    precision: BuildPrecision = "fp16"
    flavour: Flavour | None = None
    batches: tuple[int, ...] = (1, 4)
    latency_frames: int = 2000
    soak_frames: int = 10_000


class _Notes:
    """Tells on standard error what goes on."""

    def note(self, text: str) -> None:
        sys.stderr.write(f"{text}\n")

    def progress(self, text: str) -> None:
        sys.stderr.write(f"  {text}\n")


def run_acceptance(settings: AcceptanceSettings, driver: Driver) -> dict[str, Any]:
    """Do all of it.

    Returns:
        All figures, for the report; ``passed`` says whether the engine may be used.

    Raises:
        RtSegError: Something could not be done at all.
    """
    driver.require_gpu()
    notes = _Notes()
    path = settings.folder / "polyp.engine"
    seconds, built = _timed(lambda: _build(settings, path, driver, notes))
    file = read_engine_file(path)
    notes.note("parity with the CPU")
    parity = _parity(file, driver)
    notes.note("latency")
    latency = {
        "cuda graph": _latency(file, driver, settings, graphs=True),
        "plain enqueue": _latency(file, driver, settings, graphs=False),
    }
    notes.note(f"soak of {settings.soak_frames} frames")
    soak = _soak(file, driver, settings)
    notes.note(f"loading and closing {_RELOADS} times")
    return {
        "machine": _machine(file, driver),
        "build": {**_build_figures(built), "seconds": seconds},
        "parity": parity,
        "latency": latency,
        "soak": soak,
        "reload": _reload(file, driver),
        "passed": bool(parity["passed"] and soak["wrong_answers"] == 0),
    }


def _build(settings: AcceptanceSettings, path: Path, driver: Driver, notes: _Notes) -> BuiltEngine:
    wanted = BuildSettings(
        PACKAGED_MODEL, path, precision=settings.precision, flavour=settings.flavour, batches=settings.batches
    )
    return build_engine(wanted, notes, driver)


def _build_figures(built: BuiltEngine) -> dict[str, Any]:
    manifest = built.manifest
    return {
        "flavour": manifest.flavour,
        "version": manifest.version,
        "precision": manifest.precision,
        "batches": list(manifest.batches),
        "megabytes": round(built.size_bytes / 1e6, 1),
        "kept_in_float32": list(built.kept),
        "gate": dict(manifest.gate),
    }


def _open(file: EngineFile, driver: Driver, *, graphs: bool = True) -> TensorRtEngine:
    """The engine without its self-test, which is done here by itself."""
    return TensorRtEngine(
        file, choose_gpu(file, driver.gpus), load_libraries(file.manifest.flavour, driver), graphs=graphs
    )


def _parity(file: EngineFile, driver: Driver) -> dict[str, Any]:
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


def _latency(file: EngineFile, driver: Driver, settings: AcceptanceSettings, *, graphs: bool) -> dict[str, Any]:
    with _open(file, driver, graphs=graphs) as engine:
        frame = _frames(engine)[:1]
        end = time.perf_counter() + _WARM_UP_SECONDS
        while time.perf_counter() < end:
            engine.infer(frame)
        kinds = {name: Distribution() for name in ("h2d", "compute", "d2h", "gpu", "end_to_end")}
        for _ in range(settings.latency_frames):
            start = time.perf_counter_ns()
            _, (times,) = engine.infer_timed(frame)
            kinds["end_to_end"].add(time.perf_counter_ns() - start)
            parts = (times.copy_in, times.compute, times.copy_out)
            for name, duration in zip(kinds, (*parts, sum(parts)), strict=False):
                kinds[name].add(round(duration * 1e6))
        milliseconds = {name: kind.percentiles().as_dict() for name, kind in kinds.items()}
        return {"milliseconds": milliseconds, "frames": settings.latency_frames, "notes": list(engine.info.notes)}


def _soak(file: EngineFile, driver: Driver, settings: AcceptanceSettings) -> dict[str, Any]:
    """Frames from as many threads as the engine takes, each answer against the first for that frame."""
    with _open(file, driver) as engine:
        frames = _frames(engine)
        expected = np.concatenate([engine.infer(frame[None]) for frame in frames])
        calls = engine.info.parallel_calls
        before, device_before = resident_mib(os.getpid()), device_memory_mib()
        start = time.perf_counter()
        with ThreadPoolExecutor(calls) as pool:
            shares = _shares(settings.soak_frames, calls)
            counts = [pool.submit(_count_wrong, engine, frames, expected, share) for share in shares]
            wrong = sum(count.result() for count in counts)
        seconds = time.perf_counter() - start
        after, device_after = resident_mib(os.getpid()), device_memory_mib()
    return {
        "frames": settings.soak_frames,
        "threads": calls,
        "wrong_answers": wrong,
        "seconds": seconds,
        "frames_per_second": settings.soak_frames / seconds,
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


def _reload(file: EngineFile, driver: Driver) -> dict[str, Any]:
    """GPU memory that is left over after loading and closing several times."""
    used: list[float | None] = []
    seconds: list[float] = []
    for _ in range(_RELOADS):
        spent, engine = _timed(lambda: _open(file, driver))
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


def _machine(file: EngineFile, driver: Driver) -> dict[str, Any]:
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


def _timed(work: Callable[[], _T]) -> tuple[float, _T]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def main(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for engine and report.")] = Path(
        "gpu-acceptance"
    ),
    precision: Annotated[Literal["fp16", "fp32", "int8"], typer.Option(help="Arithmetic of the engine.")] = "fp16",
    runtime: Annotated[
        Literal["tensorrt", "tensorrt-rtx"] | None, typer.Option(help="What builds and runs it.", show_default=False)
    ] = None,
    batch: Annotated[str, typer.Option(help="Batch sizes, such as 1,4.")] = "1,4",
    latency_frames: Annotated[int, typer.Option(min=20, help="Timed inferences; p99 needs 1000.")] = 2000,
    soak_frames: Annotated[int, typer.Option(min=1, help="Inferences of the soak.")] = 10_000,
) -> None:
    """Try rt-seg on this machine's GPU and write a report.

    Exit codes: 0 accepted, 1 the masks differ from the CPU's or an answer changed, 8 no GPU or it failed, 9 TensorRT or
    pycuda missing; others as rt-seg's.
    """
    try:
        batches = tuple(int(part) for part in batch.split(","))
    except ValueError as exc:
        raise typer.BadParameter(f"batch sizes are whole numbers, such as 1,4, got {batch!r}") from exc
    settings = AcceptanceSettings(output, precision, runtime, batches, latency_frames, soak_frames)
    try:
        figures = run_acceptance(settings, probe_driver())
        files = {output / "report.json": json.dumps(figures, indent=1), output / "report.md": write_markdown(figures)}
        write_together({path: text.encode() for path, text in files.items()})
    except RtSegError as exc:
        sys.stderr.write(f"gpu_acceptance: {' '.join(str(exc).split())}\n")
        raise typer.Exit(exc.exit_code) from exc
    sys.stdout.write(write_markdown(figures))
    sys.stderr.write(f"written to {output}: report.md, report.json\n")
    if not figures["passed"]:
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
