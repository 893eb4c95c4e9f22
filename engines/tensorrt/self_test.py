"""The self-test at an engine's first start on a GPU: bundled samples through it and through the CPU engine.

It is done once for each plan, GPU, driver and library, and recorded in ``NAME.engine.selftest.json``.
"""

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from rt_seg.engines.engine import Engine, UInt8Array
from rt_seg.engines.masks import dice, threshold_level
from rt_seg.engines.model_file import sha256_of
from rt_seg.engines.resize import resize_image, resize_mask
from rt_seg.engines.samples import load_samples
from rt_seg.errors import EngineError, ModelError, OutputError

from .checks import PACKAGED_MODEL, EngineFile, mend_command
from .driver import Driver, Gpu
from .files import write_together
from .manifest import BuildPrecision

RECORD_VERSION = 1
GATES: dict[BuildPrecision, float] = {"fp32": 0.99, "fp16": 0.99, "int8": 0.98}


@dataclass(frozen=True, slots=True)
class Place:
    """Where an engine was proven: another plan, GPU, driver or library asks for a new proof."""

    plan_sha256: str
    device: str
    driver: str
    library: str

    @classmethod
    def of(cls, file: EngineFile, gpu: Gpu, driver: Driver) -> "Place":
        """This engine on this machine."""
        cuda = ".".join(map(str, driver.cuda_version or ()))
        library = f"{file.manifest.flavour} {file.manifest.version}"
        return cls(file.manifest.plan_sha256, str(gpu), f"{driver.release} CUDA {cuda}".strip(), library)


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far an engine's answers on the samples are from the CPU engine's.

    Attributes:
        mdice: Mean Dice coefficient of its masks with the CPU engine's, 0-1.
        gate: What `mdice` has to reach.
        largest_difference: Between two probabilities, in steps of 1/255.
        flipped_pixels: Share of pixels on the other side of the threshold, 0-1.
        mdice_truth: Mean Dice coefficient of its masks with the true masks.
        mdice_truth_cpu: The same of the CPU engine's.
    """

    mdice: float
    gate: float
    largest_difference: int
    flipped_pixels: float
    mdice_truth: float
    mdice_truth_cpu: float

    @property
    def passed(self) -> bool:
        """Whether the engine may run."""
        return self.mdice >= self.gate

    def __str__(self) -> str:
        return (
            f"mDice {self.mdice:.4f} with the CPU engine on the samples (gate {self.gate}), largest difference "
            f"{self.largest_difference}/255; with the true masks {self.mdice_truth:.4f}, "
            f"the CPU {self.mdice_truth_cpu:.4f}"
        )


def record_path(engine: Path) -> Path:
    """Where the proof of an engine lies: ``NAME.engine.selftest.json`` for ``NAME.engine``."""
    return engine.with_name(engine.name + ".selftest.json")


def prove(engine: Engine, file: EngineFile, gpu: Gpu, driver: Driver) -> tuple[str, ...]:
    """Test an engine unless that was done here before.

    Args:
        engine: The engine, ready to run.
        file: Its file.
        gpu: Where it runs.
        driver: The driver it runs with.

    Returns:
        Notes for the user.

    Raises:
        EngineError: Its masks are too far from the CPU engine's.
        ModelError: The model that it was built from is not here to compare with.
    """
    place = Place.of(file, gpu, driver)
    known = read_record(file.path, place)
    if known is not None:
        return (f"self-test passed here before: {known}",)
    agreement = compare(engine, file, find_model(file))
    if not agreement.passed:
        raise EngineError(
            f"{file.path}: refused, it computes other masks than the CPU: {agreement}; "
            f"build it again: {mend_command(file.path, file.manifest)}"
        )
    return (f"self-test passed: {agreement}", *_write_record(file.path, place, agreement))


def compare(engine: Engine, file: EngineFile, model: Path) -> Agreement:
    """Run the samples through an engine, in every batch size that it has, and through the CPU engine.

    Args:
        engine: The engine.
        file: Its file.
        model: The ONNX file that it was built from.
    """
    from rt_seg.engines.openvino import load_openvino_engine

    spec, samples = engine.spec, load_samples()
    frames = np.stack([resize_image(item.image, spec.width, spec.height, spec.interpolation) for item in samples])
    with load_openvino_engine(model, precision="f32") as cpu:
        reference = cpu.infer(frames)
    rows: list[int] = []  # which sample each answer is of
    answers: list[UInt8Array] = []
    for batch in file.manifest.batches:
        for start in range(0, len(frames), batch):
            chosen = [index % len(frames) for index in range(start, start + batch)]
            answers.append(engine.infer(frames[chosen]))
            rows += chosen
    truth = np.stack([resize_mask(item.mask, spec.width, spec.height) for item in samples])
    return measure(np.concatenate(answers), reference[rows], truth[rows], file)


def measure(answers: UInt8Array, reference: UInt8Array, truth: UInt8Array, file: EngineFile) -> Agreement:
    """Compare probabilities.

    Args:
        answers: The engine's, uint8 ``[N, height, width]``.
        reference: The CPU engine's, likewise.
        truth: The true masks, likewise, 0 and 255.
        file: The engine's file.
    """
    level = threshold_level(file.manifest.spec.threshold)
    ours, theirs = answers >= level, reference >= level
    differences: UInt8Array = np.maximum(answers, reference) - np.minimum(answers, reference)
    return Agreement(
        mdice=float(dice(ours, theirs).mean()),
        gate=GATES[file.manifest.precision],
        largest_difference=int(differences.max()),
        flipped_pixels=np.count_nonzero(ours ^ theirs) / ours.size,
        mdice_truth=float(dice(ours, truth > 0).mean()),
        mdice_truth_cpu=float(dice(theirs, truth > 0).mean()),
    )


def find_model(file: EngineFile) -> Path:
    """The ONNX file that an engine was built from: packaged, where the build found it, or beside the engine.

    Raises:
        ModelError: None of them is that file.
    """
    built_from = file.manifest.options.get("model")
    places = [PACKAGED_MODEL, file.path.with_suffix(".onnx")]
    places += [Path(built_from)] if isinstance(built_from, str) else []
    for path in places:
        if path.is_file() and sha256_of(path) == file.manifest.onnx_sha256:
            return path
    beside = file.path.with_suffix(".onnx").name
    raise ModelError(
        f"{file.path}: cannot be tested at its first start, as the model it was built from is not here "
        f"(SHA-256 {file.manifest.onnx_sha256[:16]}...); put that beside the engine as {beside}"
    )


def read_record(engine: Path, place: Place) -> Agreement | None:
    """The proof of an engine at a place; None if there is none, or it is of another place or unreadable."""
    try:
        values: dict[str, Any] = json.loads(record_path(engine).read_text(encoding="utf-8"))
        agreement = Agreement(**values["agreement"])
        same = values["schema_version"] == RECORD_VERSION and Place(**values["place"]) == place
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return agreement if same and agreement.passed else None


def _write_record(engine: Path, place: Place, agreement: Agreement) -> tuple[str, ...]:
    values = {
        "schema_version": RECORD_VERSION,
        "place": asdict(place),
        "agreement": asdict(agreement),
        "tested_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    try:
        write_together({record_path(engine): (json.dumps(values, indent=1) + "\n").encode()})
    except OutputError as exc:
        return (f"the self-test is repeated at the next start: {exc}",)
    return ()
