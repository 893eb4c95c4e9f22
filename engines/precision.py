"""Chooses the file and the number format that the CPU engine runs, and says why."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rt_seg.errors import EngineError, ModelError, RtSegError

from .cpu import Cpu
from .model_file import ModelFile, int8_neighbour, read_model_file, sha256_of
from .spec import BF16_GATE, INT8_GATE, MAX_MDICE_DROP, ModelSpec

PrecisionChoice = Literal["auto", "f32", "bf16", "int8"]
CpuPrecision = Literal["f32", "bf16", "int8"]


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """What is going to run: a checked file, the number format, and a sentence for the user that says why."""

    model: ModelFile
    precision: CpuPrecision
    reason: str


def choose_precision(path: Path, wanted: PrecisionChoice, cpu: Cpu) -> Choice:
    """Choose what runs for a model.

    ``auto`` takes the fastest of int8, bf16 and f32 that passed its accuracy gate (see `ModelSpec.quality`) and that
    this CPU computes natively. The int8 file is ``MODEL.int8.onnx`` beside ``MODEL.onnx``, and only if its spec names
    the SHA-256 of that very ``MODEL.onnx``. A path to an int8 file means that file.

    Args:
        path: The model's f32 file, or an int8 file.
        wanted: The precision asked for.
        cpu: The processor it will run on.

    Raises:
        ModelError: The file is unusable, or what was asked for is not there.
        EngineError: This CPU does not compute natively in what was asked for.
    """
    model = read_model_file(path)
    if model.spec.precision == "int8":
        return _int8_itself(model, wanted, cpu)
    if wanted == "f32":
        return Choice(model, "f32", "f32, as asked for")
    if wanted == "bf16":
        return _bf16(model, cpu)
    if wanted == "int8":
        return _int8_beside(path, cpu)
    return _fastest(model, cpu)


def _fastest(model: ModelFile, cpu: Cpu) -> Choice:
    left_out: list[str] = []
    for precision in ("int8", "bf16"):
        try:
            choice = _int8_beside(model.path, cpu) if precision == "int8" else _bf16(model, cpu, must_gain=True)
            drop = _gate(choice)
        except RtSegError as exc:
            left_out.append(str(exc).partition("; ")[0])  # the advice after it is for those who asked
        else:
            reason = f"{precision}: the fastest that this CPU computes natively and that passed its gate"
            return Choice(choice.model, precision, f"{reason} (mDice {0 - drop:+.4f})")
    return Choice(model, "f32", "f32; " + "; ".join(left_out))


def _int8_itself(model: ModelFile, wanted: PrecisionChoice, cpu: Cpu) -> Choice:
    if wanted not in ("auto", "int8"):
        raise ModelError(
            f"{model.path}: is an int8 model and cannot run in {wanted}; give the f32 file it was made from"
        )
    _check_runs_int8(cpu)
    return Choice(model, "int8", "int8, the precision of the file")


def _int8_beside(path: Path, cpu: Cpu) -> Choice:
    _check_runs_int8(cpu)
    neighbour = int8_neighbour(path)
    if not neighbour.exists():
        raise ModelError(f"int8: there is no {neighbour.name} beside {path}; use precision auto or f32")
    model = read_model_file(neighbour)
    if model.spec.precision != "int8" or model.spec.source_sha256 != sha256_of(path):
        raise ModelError(f"{neighbour}: was not quantised from {path.name} as it is now; export both again, or use f32")
    return Choice(model, "int8", "int8, as asked for")


def _check_runs_int8(cpu: Cpu) -> None:
    if not cpu.runs_int8:
        raise EngineError(f"int8: this CPU ({cpu.name}) has no 8-bit dot products (VNNI); use the f32 file in f32")


def _bf16(model: ModelFile, cpu: Cpu, *, must_gain: bool = False) -> Choice:
    if not cpu.runs_bf16:
        raise EngineError(f"bf16: this CPU ({cpu.name}) does not compute in bfloat16; use precision auto or f32")
    if must_gain and not cpu.gains_by_bf16:
        raise EngineError(f"bf16: slower than f32 on this CPU ({cpu.name})")
    return Choice(model, "bf16", "bf16, as asked for")


def _gate(choice: Choice) -> float:
    """The recorded loss of mDice of a choice.

    Raises:
        ModelError: Never measured, or too large.
    """
    spec: ModelSpec = choice.model.spec
    drop = spec.quality.get(INT8_GATE if choice.precision == "int8" else BF16_GATE)
    if drop is None:
        raise ModelError(f"{choice.precision}: {choice.model.path.name} holds no accuracy gate figure for it")
    if not drop <= MAX_MDICE_DROP:  # so written, NaN fails too
        raise ModelError(f"{choice.precision}: mDice lower by {drop:.4f}, more than the gate's {MAX_MDICE_DROP}")
    return drop
