"""Quality on the validation pictures, as deployment would see it: binary masks at the network's size, per picture."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rt_seg.engines.masks import Confusion

from .pipeline import TrainingImages

FALSE_AREA = 0.005
"""A picture without a polyp counts as false alarm from this share of its pixels on."""


@dataclass(frozen=True, slots=True)
class Quality:
    """Means over pictures at threshold 0.5.

    Attributes:
        dice: Of the pictures with a polyp.
        iou: Of the same.
        loss: Over all pictures.
        accuracy: Share of pixels that are right, over all pictures.
        binary_iou: See `binary_iou`, over all pictures.
        false_alarms: Share of the pictures without a polyp in which more than `FALSE_AREA` is marked; 0 without such.
    """

    dice: float
    iou: float
    loss: float
    accuracy: float
    binary_iou: float
    false_alarms: float

    def as_row(self) -> dict[str, float]:
        """By name, each with ``val_`` before it."""
        return {f"val_{name}": value for name, value in asdict(self).items()}


class Validation:
    """Scores a network on pictures that are held in memory.

    Args:
        images: The pictures.
        loss: Keras loss, see `losses.loss_function`.
        batch_size: Pictures a step.
    """

    def __init__(self, images: TrainingImages, loss: Any, batch_size: int) -> None:
        rng = np.random.default_rng(0)  # not used without augmentation
        samples = [images.sample(number, "none", rng) for number in range(len(images))]
        self._images = np.stack([image for image, _mask in samples])
        self._masks = np.stack([mask for _image, mask in samples]) > 0
        self._loss = loss
        self._batch_size = batch_size

    def score(self, model: Any) -> Quality:
        """Score a network; its batch norms use their moving statistics."""
        probability: npt.NDArray[np.float32] = model.predict(self._images, self._batch_size, verbose=0)[..., 0]
        truth, answer = self._masks, probability >= 0.5
        pictures = Confusion.of(answer, truth)
        together = Confusion.of(answer.reshape(1, -1), truth.reshape(1, -1))
        has_polyp = truth.any(axis=(1, 2))
        false = answer[~has_polyp].mean(axis=(1, 2)) > FALSE_AREA
        loss: npt.NDArray[np.float32] = np.asarray(
            self._loss(truth[..., None].astype(np.float32), probability[..., None])
        )
        return Quality(
            dice=_mean(pictures.dice[has_polyp]),
            iou=_mean(pictures.iou[has_polyp]),
            loss=_mean(loss),
            accuracy=float(together.accuracy),
            binary_iou=binary_iou(together),
            false_alarms=_mean(false),
        )


def binary_iou(pixels: Confusion) -> float:
    """Mean of the IoU of polyp and that of the rest, all pixels counted together: Keras' BinaryIoU of both classes."""
    rest = Confusion(
        true_positive=pixels.true_negative,
        false_positive=pixels.false_negative,
        false_negative=pixels.false_positive,
        true_negative=pixels.true_positive,
    )
    return float(pixels.iou + rest.iou) / 2


def _mean(values: npt.NDArray[Any]) -> float:
    return float(values.mean()) if values.size else 0.0
