"""What a GPU does with rt-seg: build, gate, parity with the CPU, latency and a soak, as a report to attach to an issue.

Run it on the machine with the GPU as ``python -m rt_seg.benchmarks.gpu_acceptance``. It writes ``report.md`` and
``report.json`` beside the engine that it builds. Every figure in it was measured there; nothing is sent anywhere.

Latency is taken as trtexec defines it: H2D + compute + D2H by CUDA events, after a warm-up of at least 200 ms; end to
end is a call of `infer` by the wall clock, with the copies into and out of pinned memory and the hand-over between
threads.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from rt_seg.engines.load import PACKAGED_MODEL
from rt_seg.engines.tensorrt.build import BuildSettings, BuiltEngine, build_engine
from rt_seg.engines.tensorrt.checks import read_engine_file
from rt_seg.engines.tensorrt.driver import Driver, probe_driver
from rt_seg.engines.tensorrt.files import write_together
from rt_seg.engines.tensorrt.manifest import BuildPrecision, Flavour
from rt_seg.errors import RtSegError

from .gpu_checks import RELOADS, latency, machine, parity, reload, soak, timed
from .gpu_report import write_markdown


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
    seconds, built = timed(lambda: _build(settings, path, driver, notes))
    file = read_engine_file(path)
    notes.note("parity with the CPU")
    agreement = parity(file, driver)
    notes.note("latency")
    count = settings.latency_frames
    latencies = {
        "cuda graph": latency(file, driver, count, graphs=True),
        "plain enqueue": latency(file, driver, count, graphs=False),
    }
    notes.note(f"soak of {settings.soak_frames} frames")
    soaked = soak(file, driver, settings.soak_frames)
    notes.note(f"loading and closing {RELOADS} times")
    return {
        "machine": machine(file, driver),
        "build": {**_build_figures(built), "seconds": seconds},
        "parity": agreement,
        "latency": latencies,
        "soak": soaked,
        "reload": reload(file, driver),
        "passed": bool(agreement["passed"] and soaked["wrong_answers"] == 0),
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
