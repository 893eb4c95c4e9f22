"""`build_engine`: everything that `rt-seg build-engine` does, from the options to the two files."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

from onnx import ModelProto

from rt_seg.engines.model_file import int8_neighbour
from rt_seg.errors import InputError, ModelError

from .cache import cached_engine_path
from .compile import CompileSettings, Plan, compile_plan
from .driver import Driver, probe_driver
from .files import check_writable, write_together
from .flavour import BuildLibrary, cache_target, choose_targets, load_build_library
from .fp16 import Fp16Conversion
from .gate import LIMITS, Gate, GateImage, GateReport
from .gate_images import read_gate_images
from .int8 import MIN_CALIBRATION_FRAMES, Int8Conversion, measure_ranges, neighbour_ranges
from .manifest import BuildPrecision, EngineManifest, Flavour, Option, manifest_path
from .sensitive import Conversion, convert_within_gate
from .source import SourceModel, read_source

_SUFFIX = ".engine"


@dataclass(frozen=True, slots=True)
class BuildSettings:
    """What to build.

    Attributes:
        model: A deployable float32 ``.onnx``.
        output: The ``.engine`` to write; None: into the user's cache, where `load_engine` finds it.
        precision: Number format of the arithmetic.
        flavour: The library; None: TensorRT where it and a GPU are there, else TensorRT-RTX.
        batches: Batch sizes; one optimisation profile each.
        targets: Compute capabilities for TensorRT-RTX; none: see `choose_targets`.
        timing_cache: File of what TensorRT measured in earlier builds, which shortens the next; None: none.
        gate_data: Data folder or folder of pictures for the gate; None: the samples of the package.
    """

    model: Path
    output: Path | None = None
    precision: BuildPrecision = "fp16"
    flavour: Flavour | None = None
    batches: tuple[int, ...] = (1,)
    targets: tuple[str, ...] = ()
    timing_cache: Path | None = None
    gate_data: Path | None = None


class BuildReport(Protocol):
    """Is told what goes on, for people."""

    def note(self, text: str) -> None:
        """Something that was done or decided, one line."""
        ...

    def progress(self, text: str) -> None:
        """What is going on now; replaces what was told before."""
        ...


@dataclass(frozen=True, slots=True)
class BuiltEngine:
    """An engine that was written.

    Attributes:
        path: The engine file; its manifest lies beside it.
        manifest: The manifest.
        gate: What the gate measured; None in FP32, where nothing was converted.
        kept: Output tensors of the nodes that the gate wanted in float32.
        float32: All float32 tensors of an FP16 network, by the dtype audit.
        size_bytes: Of the engine file.
    """

    path: Path
    manifest: EngineManifest
    gate: GateReport | None
    kept: tuple[str, ...]
    float32: tuple[str, ...] = field(repr=False)
    size_bytes: int


def build_engine(settings: BuildSettings, report: BuildReport, driver: Driver | None = None) -> BuiltEngine:
    """Convert a model, prove it in the accuracy gate, build it and write it with its manifest.

    Args:
        settings: What to build.
        report: Is told what goes on.
        driver: From `probe_driver`; None: it is asked.

    Returns:
        What was written. Of whatever fails, and of an interrupted build, nothing is left.

    Raises:
        InputError: An impossible batch or target, or options that do not go together.
        ModelError: The model is unusable, the parser refuses it, or it does not pass the gate.
        DataError: The gate's pictures are unusable.
        OutputError: The engine cannot be written.
        EngineError: TensorRT without a GPU, or a build that failed.
        MissingDependencyError: TensorRT, TensorRT-RTX or ONNX Runtime is not installed.
    """
    _check(settings)
    library = load_build_library(settings.flavour, probe_driver() if driver is None else driver)
    targets = choose_targets(library, settings.targets)
    _check_timing_cache(settings, library)
    report.progress("reading the model")
    source = read_source(settings.model)
    if source.spec.precision != "f32":
        raise ModelError(f"{source.path}: is quantised; give the f32 file it was made from, and --precision int8")
    target = cache_target(library, targets)
    path = settings.output or cached_engine_path(source.sha256, target, settings.precision, library.flavour)
    check_writable(path)
    report.note(f"{source.path.name}: {source.spec.name}, {source.spec.width}x{source.spec.height}")
    prepared = _prepare(source, settings, report)
    report.note(f"building by {library.title} for {library.gpu if library.flavour == 'tensorrt' else target}")
    plan = compile_plan(
        prepared.model,
        CompileSettings(
            source.path, source.spec, settings.precision, settings.batches, targets, _read(settings.timing_cache)
        ),
        library,
        report.progress,
    )
    manifest = _manifest(source, settings, library, targets, prepared, plan)
    _write(path, plan, manifest, settings)
    return BuiltEngine(path, manifest, prepared.gate, prepared.kept, plan.float32, len(plan.data))


@dataclass(frozen=True, slots=True, eq=False)
class _Prepared:
    """A model in the precision that it is to run in."""

    model: ModelProto
    gate: GateReport | None = None
    kept: tuple[str, ...] = ()
    options: Mapping[str, Option] = field(default_factory=dict[str, Option])


def _check(settings: BuildSettings) -> None:
    """Refuse what no library could do.

    Raises:
        InputError: See `build_engine`.
    """
    batches = settings.batches
    if not batches or min(batches) < 1 or len(set(batches)) < len(batches):
        given = ",".join(map(str, batches)) or "none"
        raise InputError(f"batch sizes are whole numbers from 1, each named once, got {given}; give such as 1,4")
    if settings.output is not None and settings.output.suffix != _SUFFIX:
        raise InputError(f"{settings.output}: the name of an engine ends in {_SUFFIX}; rt-seg knows it by that")


def _check_timing_cache(settings: BuildSettings, library: BuildLibrary) -> None:
    if settings.timing_cache is None:
        return
    if library.flavour == "tensorrt-rtx":
        raise InputError("--timing-cache: TensorRT-RTX measures nothing when it builds and keeps none; leave it out")
    check_writable(settings.timing_cache)


def _read(timing_cache: Path | None) -> bytes | None:
    if timing_cache is None:
        return None
    try:
        return timing_cache.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as exc:
        raise InputError(f"{timing_cache}: cannot be read ({exc.strerror}); check its permissions") from exc


def _prepare(source: SourceModel, settings: BuildSettings, report: BuildReport) -> _Prepared:
    if settings.precision == "fp32":
        return _Prepared(source.model)
    report.progress("reading the gate's pictures")
    images = read_gate_images(settings.gate_data, source.spec)
    options: dict[str, Option] = {"gate_data": str(settings.gate_data) if settings.gate_data else "packaged samples"}
    conversion: Conversion
    if settings.precision == "int8":
        conversion, images, options["ranges"] = _int8(source, images, settings, report)
    else:
        conversion = Fp16Conversion(source.model)
    report.progress(f"accuracy gate: {settings.precision} beside float32 on {len(images)} pictures")
    gate = Gate(source.model, images, source.spec.threshold, LIMITS[settings.precision])
    converted = convert_within_gate(conversion, gate, report.note)
    options["kept_in_float32"] = ", ".join(converted.kept)
    return _Prepared(converted.model, converted.gate, converted.kept, options)


def _int8(
    source: SourceModel, images: tuple[GateImage, ...], settings: BuildSettings, report: BuildReport
) -> tuple[Int8Conversion, tuple[GateImage, ...], str]:
    """How to quantise, the pictures that are left for the gate, and where the ranges come from."""
    ranges = neighbour_ranges(source)
    if ranges is not None:
        origin = int8_neighbour(source.path).name
        report.note(f"int8 ranges from the calibration of {origin}")
        return Int8Conversion(source.model, ranges), images, origin
    wanted = 2 * MIN_CALIBRATION_FRAMES
    if settings.gate_data is None or len(images) < wanted:
        raise ModelError(
            f"{source.path}: has no {int8_neighbour(source.path).name} beside it to take ranges from; give --gate-data "
            f"with at least {wanted} pictures like those it was trained on: half of them calibrate, half are the gate's"
        )
    calibration, rest = images[::2], images[1::2]
    report.progress(f"calibrating int8 on {len(calibration)} pictures")
    ranges = measure_ranges(source.model, (image.frame for image in calibration))
    return Int8Conversion(source.model, ranges), rest, f"{len(calibration)} pictures of the gate's data"


def _manifest(
    source: SourceModel,
    settings: BuildSettings,
    library: BuildLibrary,
    targets: tuple[str, ...],
    prepared: _Prepared,
    plan: Plan,
) -> EngineManifest:
    gpu = library.gpu if library.flavour == "tensorrt" else None  # TensorRT-RTX builds for its targets, GPU or not
    return EngineManifest(
        spec=source.spec,
        onnx_sha256=source.sha256,
        plan_sha256=hashlib.sha256(plan.data).hexdigest(),
        flavour=library.flavour,
        version=library.version,
        device_name=gpu.name if gpu else None,
        compute_capability=gpu.compute_capability if gpu else None,
        targets=targets,
        precision=settings.precision,
        batches=settings.batches,
        tensors=plan.tensors,
        gate=prepared.gate.figures() if prepared.gate else {},
        options={
            **prepared.options,
            "model": str(source.path.resolve()),
            "tf32": False,
            "timing_cache": settings.timing_cache is not None,
        },
        built_at=datetime.now(UTC).isoformat(timespec="seconds"),
        rt_seg_version=version("rt-seg"),
    )


def _write(path: Path, plan: Plan, manifest: EngineManifest, settings: BuildSettings) -> None:
    """Write engine and manifest; a self-test that an earlier engine of that name passed says nothing about this one."""
    write_together({path: plan.data, manifest_path(path): manifest.to_json().encode()})
    if settings.timing_cache is not None and plan.timing_cache is not None:
        write_together({settings.timing_cache: plan.timing_cache})
