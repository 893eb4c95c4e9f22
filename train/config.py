"""`TrainingConfig`: every setting of a run, stored in its folder as ``config.json``."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from rt_seg.errors import DataError, ModelError

CONFIG = "config.json"

ModelName = Literal[
    "unet", "segnet", "deeplabv3plus", "unet-efficientnet-lite0", "unet-efficientnet-lite1", "unet-efficientnet-lite2"
]
EncoderWeights = Literal["imagenet", "none"]
LossName = Literal["bce", "dice", "bce+dice", "focal-tversky", "structure"]
Precision = Literal["float32", "bfloat16", "float16"]

ENCODER_VARIANT = {
    "deeplabv3plus": 0,
    "unet-efficientnet-lite0": 0,
    "unet-efficientnet-lite1": 1,
    "unet-efficientnet-lite2": 2,
}
"""The networks whose encoder is EfficientNet-Lite, and which of it."""

_MODELS_WITH = {
    "base_filters": ("unet", "segnet"),
    "encoder_weights": tuple(ENCODER_VARIANT),
    "encoder_rate": tuple(ENCODER_VARIANT),
    "frozen_levels": tuple(ENCODER_VARIANT),
}
"""Settings that only some networks have."""


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """What a run is made of; `rt-seg train` documents the options of the same names.

    Attributes:
        data: Data folders, absolute.
        model: Name of the network, see `models.build_model`.
        split: List of the images to use of the folders that it names; None: all.
        validation: List of the images to validate on, or a share (0-1) of the split's images.
        exclude: Lists of images that are never used.
        test: List of images that the network will be tested on: a run that would use one is refused.
        roi: Part of the pictures that is trained and validated on, see `pipeline.TrainingImages`.
        image_size: Side of the network's input in pixels.
        epochs: Passes over the training images.
        batch_size: Pictures a step.
        loss: See `losses.loss_function`.
        learning_rate: Its peak, after the warm-up.
        schedule: ``cosine`` or ``plateau``, see `schedule`.
        monitor: Figure of the validation whose highest value marks the best epoch: ``dice``, ``iou`` or ``accuracy``.
        weight_decay: Of AdamW, multiplied by the learning rate.
        warmup_epochs: Passes until the learning rate has its peak.
        average: Decay a step of the averaged weights, which are what is validated and kept; 0: no averaging.
        encoder_weights: ``imagenet`` or ``none``; this and the next two concern networks in `ENCODER_VARIANT`.
        encoder_rate: Learning rate of the encoder, as a share of `learning_rate`.
        frozen_levels: First levels of the encoder that keep their weights, see `efficientnet_lite.freeze_levels`.
        base_filters: Filters of the first block of ``unet`` and ``segnet``.
        start_from: Run, or ``.keras`` file, of the same network whose weights to start with; its image size may differ.
        augment: ``none``, ``light`` or ``strong``.
        precision: Arithmetic of a training step, see `precision`; weights are float32 always.
        repeat_polyp_free: How often a pass holds each image without a polyp.
        time_budget_minutes: The learning rate falls so that the run ends by then; None: `epochs` alone decide.
        seed: Of weights, order, split and augmentation.
    """

    data: tuple[str, ...]
    model: str
    split: str | None = None
    validation: str = "0.1"
    exclude: tuple[str, ...] = ()
    test: str | None = None
    roi: str = "auto"
    image_size: int = 256
    epochs: int = 60
    batch_size: int = 16
    loss: str = "bce+dice"
    learning_rate: float = 1e-3
    schedule: str = "cosine"
    monitor: str = "dice"
    weight_decay: float = 0.01
    warmup_epochs: float = 1.0
    average: float = 0.995
    encoder_weights: str = "imagenet"
    encoder_rate: float = 1.0
    frozen_levels: int = 0
    base_filters: int = 64
    start_from: str | None = None
    augment: str = "strong"
    precision: str = "float32"
    repeat_polyp_free: int = 1
    time_budget_minutes: float | None = None
    seed: int = 0

    def unusual(self) -> list[str]:
        """Names of the settings that differ from their defaults."""
        return [item.name for item in fields(self) if getattr(self, item.name) != item.default]

    def save(self, path: Path) -> None:
        """Write as JSON."""
        path.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> "TrainingConfig":
        """Read what `save` wrote.

        Raises:
            DataError: Missing, not JSON, or with other fields.
        """
        try:
            values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as exc:
            raise DataError(
                f"{path}: cannot be read as the settings of a run ({exc}); is it a folder of rt-seg train?"
            ) from exc
        known = {item.name for item in fields(cls)}
        is_object = isinstance(values, dict)  # pyright: ignore[reportUnnecessaryIsInstance]  it is whatever JSON holds
        if not is_object or not {"data", "model"} <= values.keys() <= known:
            raise DataError(f"{path}: does not hold the settings of a run of this version; train anew")
        values.setdefault("roi", "full")  # of runs from before there was a choice
        values["data"], values["exclude"] = tuple(values["data"]), tuple(values.get("exclude", ()))
        return cls(**values)


def refuse_idle_settings(model: str, given: Iterable[str]) -> None:
    """Refuse what would be ignored.

    Args:
        model: Name of the network.
        given: Names of the settings that were chosen on purpose.

    Raises:
        ModelError: A setting that this network does not have.
    """
    for name in given:
        having = _MODELS_WITH.get(name, (model,))
        if model not in having:
            option = "--" + name.replace("_", "-")
            raise ModelError(f"{option} changes nothing in {model}; leave it out, or train {', '.join(having)}")
