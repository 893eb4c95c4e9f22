"""`ModelSpec`: what a deployable model says about itself, stored as JSON in its ONNX metadata."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, get_args

from rt_seg.errors import ModelError

SCHEMA_VERSION = 1
METADATA_KEY = "rt_seg.spec"
INPUT_NAME = "frames"
OUTPUT_NAME = "probability"
CORE_INPUT = "core/input"
CORE_OUTPUT = "core/probability"
BF16_GATE = "bf16_mdice_drop"
INT8_GATE = "int8_mdice_drop"
MAX_MDICE_DROP = 0.005

Interpolation = Literal["linear", "supersampled"]
Precision = Literal["f32", "int8"]

# what JSON may hold for each field; those not named here are text
_KINDS: dict[str, type | tuple[type, ...]] = {
    "width": int,
    "height": int,
    "schema_version": int,
    "threshold": (int, float),
    "class_names": tuple,
    "quality": Mapping,
}


def _all_of(values: Iterable[object], kind: type | tuple[type, ...]) -> bool:
    return all(isinstance(value, kind) for value in values)


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """All that is needed to feed a model and to read its answer.

    Attributes:
        name: Short name of the model, for people.
        width: Width of the input tensor in pixels.
        height: Height of the input tensor in pixels.
        resize: How a picture becomes a tensor: ``stretch`` (both axes scaled on their own).
        interpolation: See `rt_seg.engines.resize`.
        threshold: Probability (0-1) from which a pixel counts as polyp.
        class_names: Names of the foreground classes; today one, ``polyp``.
        precision: Number format of the file's weights: ``f32``, or ``int8`` with Q/DQ nodes inside.
        training_data: What it was trained on, in one line.
        split: Which split of it, in one line.
        quality: Measured figures by name, such as ``{"kvasir_official_test_mdice": 0.91}``. `load_engine`
            reads two of them, the accuracy gates, each "mDice of the f32 file in f32 minus mDice of what is
            named" on the official test images: ``bf16_mdice_drop`` in an f32 file (the same file run in
            bf16), ``int8_mdice_drop`` in an int8 file. A faster precision is chosen by itself only where
            its figure is there and at most `MAX_MDICE_DROP`.
        licence: Licence or terms of use of the weights.
        source_commit: Commit of rt-seg that trained it.
        source_sha256: In an int8 file, the SHA-256 (hexadecimal) of the f32 file it was quantised from, so
            that an int8 file left over from an older training never runs in place of its neighbour; empty
            in an f32 file.
        schema_version: Version of this record; another one is refused.
    """

    name: str
    width: int
    height: int
    threshold: float = 0.5
    resize: Literal["stretch"] = "stretch"
    interpolation: Interpolation = "supersampled"
    class_names: tuple[str, ...] = ("polyp",)
    precision: Precision = "f32"
    training_data: str = "unknown"
    split: str = "unknown"
    quality: Mapping[str, float] = field(default_factory=dict[str, float])
    licence: str = "unknown"
    source_commit: str = "unknown"
    source_sha256: str = ""
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        """Check the values, so that a spec that exists is a spec that works.

        Raises:
            ModelError: A value is of a wrong type or outside what the contract allows.
        """
        self._check_types()
        if self.schema_version != SCHEMA_VERSION:
            self._refuse_version(self.schema_version)
        if self.width < 1 or self.height < 1:
            raise ModelError(f"model spec says input size {self.width}x{self.height}; it is at least 1x1")
        if not 0.0 < self.threshold < 1.0:
            raise ModelError(f"model spec says threshold {self.threshold}; it must lie between 0 and 1")
        for name, allowed in (
            ("resize", ("stretch",)),
            ("interpolation", get_args(Interpolation)),
            ("precision", get_args(Precision)),
        ):
            if getattr(self, name) not in allowed:
                raise ModelError(f"model spec says {name} {getattr(self, name)!r}; known are {', '.join(allowed)}")

    def _check_types(self) -> None:
        kinds = {item.name: _KINDS.get(item.name, str) for item in fields(self)}
        wrong = [name for name, kind in kinds.items() if not isinstance(getattr(self, name), kind)]
        if not wrong and not _all_of(self.class_names, str):
            wrong.append("class_names")
        if not wrong and not _all_of(self.quality.values(), (int, float)):
            wrong.append("quality")
        if wrong:
            raise ModelError(f"model spec has a wrong type in {', '.join(wrong)}; export the model again")

    def to_json(self) -> str:
        """Serialise for ``metadata_props["rt_seg.spec"]``; `from_json` reads it back equal."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str, origin: str = "the model") -> "ModelSpec":
        """Read what `to_json` wrote.

        Args:
            text: The JSON.
            origin: File name for messages.

        Raises:
            ModelError: Not JSON, another schema version, an unknown or missing key, or a value outside the
                contract.
        """
        try:
            values = cls._fields_from(json.loads(text))
            return cls(**values)
        except json.JSONDecodeError as exc:
            raise ModelError(f"{origin}: its {METADATA_KEY} is not JSON ({exc}); export it again") from exc
        except (KeyError, TypeError, ValueError) as exc:
            raise ModelError(f"{origin}: its {METADATA_KEY} is no model spec ({exc}); export it again") from exc
        except ModelError as exc:
            raise ModelError(f"{origin}: {exc}") from exc

    @classmethod
    def _fields_from(cls, values: Any) -> dict[str, Any]:
        """What JSON held as arguments of the constructor; the version comes first, as it governs the rest."""
        if values["schema_version"] != SCHEMA_VERSION:
            cls._refuse_version(values["schema_version"])
        missing = {"name", "width", "height"} - values.keys()
        unknown = values.keys() - {item.name for item in fields(cls)}
        if missing or unknown:
            raise ValueError(f"missing: {sorted(missing)}, unknown: {sorted(unknown)}")
        return {**values, "class_names": tuple(values.get("class_names", ("polyp",)))}

    @staticmethod
    def _refuse_version(version: object) -> None:
        raise ModelError(
            f"model spec has schema version {version}, this rt-seg reads {SCHEMA_VERSION}; "
            "export the model again with this version"
        )
