"""`EngineManifest`: what a TensorRT engine was built from and for, in ``NAME.engine.json`` beside ``NAME.engine``."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, Self, cast, get_args

from rt_seg.engines.spec import ModelSpec
from rt_seg.errors import ModelError

from .files import write_together

MANIFEST_VERSION = 1

Flavour = Literal["tensorrt", "tensorrt-rtx"]
BuildPrecision = Literal["fp16", "fp32", "int8"]
Option = str | int | float | bool | None

_CHECKSUM = "checksum"
_OPTIONAL_TEXT = ("device_name", "compute_capability")


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """A tensor at the border of an engine.

    Attributes:
        name: As in the ONNX file.
        dtype: As NumPy spells it: ``uint8``, ``float16``, ...
        shape: Sizes; -1 for the batch.
        is_input: Whether it goes in.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    is_input: bool

    def __post_init__(self) -> None:
        """Check the types.

        Raises:
            ModelError: A value is of a wrong type.
        """
        kinds = {"name": str, "dtype": str, "is_input": bool}
        wrong = [name for name, kind in kinds.items() if not isinstance(getattr(self, name), kind)]
        if wrong or not _tuple_of(self.shape, int):
            raise ModelError("a wrong type in tensors")


@dataclass(frozen=True, slots=True)
class EngineManifest:
    """All that is checked before an engine runs, and how it came to be.

    Attributes:
        spec: The spec of the model that it was built from.
        onnx_sha256: SHA-256 (hexadecimal) of that model's file.
        plan_sha256: SHA-256 (hexadecimal) of the engine file.
        flavour: The library that it was built by and runs with.
        version: Version of that library, such as ``11.4.0.106``.
        device_name: GPU that it was built on; None if it was built without one (TensorRT-RTX, ahead of time).
        compute_capability: Of that GPU, such as ``8.6``; None likewise.
        targets: Compute capabilities that a TensorRT-RTX engine was built for, such as ``SM86``.
        precision: Number format of the arithmetic that was asked for.
        batches: Batch sizes; one optimisation profile each, in this order.
        tensors: Inputs and outputs.
        gate: Figures of the accuracy gate, by name.
        options: Further build options, by name.
        built_at: Time in UTC, ISO 8601.
        rt_seg_version: Version of rt-seg that built it.
        schema_version: Version of this record; another one is refused.
    """

    spec: ModelSpec
    onnx_sha256: str
    plan_sha256: str
    flavour: Flavour
    version: str
    device_name: str | None
    compute_capability: str | None
    targets: tuple[str, ...]
    precision: BuildPrecision
    batches: tuple[int, ...]
    tensors: tuple[TensorInfo, ...]
    gate: Mapping[str, float]
    options: Mapping[str, Option]
    built_at: str
    rt_seg_version: str
    schema_version: int = MANIFEST_VERSION

    def __post_init__(self) -> None:
        """Check the values, so that a manifest that exists can be relied on.

        Raises:
            ModelError: A value is of a wrong type or outside what is known.
        """
        if self.schema_version != MANIFEST_VERSION:
            raise ModelError(f"schema version {self.schema_version}, this rt-seg reads {MANIFEST_VERSION}")
        wrong = [item.name for item in fields(self) if not _fits(item.name, getattr(self, item.name))]
        if wrong:
            raise ModelError(f"a wrong type or value in {', '.join(wrong)}")

    def to_json(self) -> str:
        """Serialise, with a checksum that shows later changes; `from_json` reads it back equal."""
        values = asdict(self)
        return json.dumps({**values, _CHECKSUM: _checksum(values)}, indent=1, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str, engine: Path) -> Self:
        """Read what `to_json` wrote.

        Args:
            text: The JSON.
            engine: The engine that it stands beside, for messages.

        Raises:
            ModelError: Not JSON, another schema version, changed since it was written, or no such record.
        """
        try:
            return cls(**_fields_from(json.loads(text)))
        except (json.JSONDecodeError, AttributeError, KeyError, TypeError, ValueError, RecursionError) as exc:
            raise _refusal(engine, f"is no engine manifest ({_first_line(exc)})") from exc
        except ModelError as exc:
            raise _refusal(engine, f"is not usable: {exc}") from exc

    @classmethod
    def load(cls, engine: Path) -> Self:
        """Read the manifest beside an engine.

        Raises:
            ModelError: Missing, unreadable, or as for `from_json`.
        """
        path = manifest_path(engine)
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError as exc:
            raise _refusal(engine, "is missing, and an engine is not run without it") from exc
        except (OSError, UnicodeDecodeError) as exc:
            raise _refusal(engine, f"cannot be read ({_first_line(exc)})") from exc
        return cls.from_json(text, engine)

    def save(self, engine: Path) -> None:
        """Write the manifest beside an engine, whole or not at all.

        Raises:
            OutputError: It cannot be written.
        """
        write_together({manifest_path(engine): self.to_json().encode()})


def manifest_path(engine: Path) -> Path:
    """Where the manifest of an engine lies: ``NAME.engine.json`` for ``NAME.engine``."""
    return engine.with_name(engine.name + ".json")


def rebuild_command(engine: Path) -> str:
    """The command that makes an engine anew, for messages about one whose model is not known."""
    return f"rt-seg build-engine MODEL.onnx -o {engine}"


def _fields_from(values: Any) -> dict[str, Any]:
    """What JSON held, as arguments of the constructor; the version comes first, as it governs the rest."""
    if values["schema_version"] != MANIFEST_VERSION:
        raise ModelError(f"schema version {values['schema_version']}, this rt-seg reads {MANIFEST_VERSION}")
    checksum = values.pop(_CHECKSUM)
    known = {item.name for item in fields(EngineManifest)}
    if values.keys() != known:
        raise ValueError(f"missing: {sorted(known - values.keys())}, unknown: {sorted(values.keys() - known)}")
    if checksum != _checksum(values):
        raise ModelError("it was changed after the build")
    tensors = tuple(_tensor_from(tensor) for tensor in values["tensors"])
    spec = ModelSpec.from_json(json.dumps(values["spec"]))
    lists = {name: tuple(values[name]) for name in ("targets", "batches")}
    return {**values, **lists, "spec": spec, "tensors": tensors}


def _tensor_from(values: Any) -> TensorInfo:
    arguments: dict[str, Any] = {**values, "shape": tuple(values["shape"])}
    return TensorInfo(**arguments)


def _checksum(values: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _fits(name: str, value: Any) -> bool:
    """Whether a field of the manifest may hold a value."""
    if name in ("batches", "targets", "tensors", "spec", "gate", "options"):
        return _RULES[name](value)
    if name == "schema_version":
        return isinstance(value, int)
    if name in ("flavour", "precision"):
        return value in get_args(Flavour if name == "flavour" else BuildPrecision)
    return isinstance(value, str) or (value is None and name in _OPTIONAL_TEXT)


def _tuple_of(values: Any, kind: type) -> bool:
    """Whether a value is a tuple of one type; True and False are no numbers."""
    return isinstance(values, tuple) and all(type(value) is kind for value in cast("tuple[object, ...]", values))


_RULES: dict[str, Callable[[Any], bool]] = {
    "spec": lambda value: isinstance(value, ModelSpec),
    "batches": lambda value: _tuple_of(value, int) and len(value) > 0 and min(value) > 0,
    "targets": lambda value: _tuple_of(value, str),
    "tensors": lambda value: _tuple_of(value, TensorInfo),
    "gate": lambda value: _holds(value, (int, float)),
    "options": lambda value: _holds(value, (str, int, float, bool, type(None))),
}


def _holds(value: Any, kinds: tuple[type, ...]) -> bool:
    """Whether a value is a mapping from text to values of these kinds."""
    if not isinstance(value, Mapping):
        return False
    items = cast("Mapping[object, object]", value).items()
    return all(isinstance(key, str) and isinstance(item, kinds) for key, item in items)


def _refusal(engine: Path, what: str) -> ModelError:
    return ModelError(f"{manifest_path(engine)}: {what}; build the engine again: {rebuild_command(engine)}")


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
