"""mDice and mIoU of an engine over pairs of image and mask, at the size of the masks."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from rt_seg.engines.engine import Engine
from rt_seg.engines.masks import Confusion, threshold_level
from rt_seg.engines.resize import resize_image

from .data import Pair, read_pair


@dataclass(frozen=True, slots=True)
class Score:
    """Means over images, each counting the same; see `rt_seg.engines.masks` for the definitions."""

    mdice: float
    miou: float


def score_engine(engine: Engine, pairs: Sequence[Pair]) -> Score:
    """Run an engine on images as deployment does, and compare with their masks.

    The probability is stretched to the size of the mask, then cut at the spec's threshold.

    Args:
        engine: What to score.
        pairs: At least one.

    Raises:
        DataError: An image or mask is unusable.
        EngineError: The engine failed.
    """
    spec = engine.spec
    level = threshold_level(spec.threshold)
    dice: list[float] = []
    iou: list[float] = []
    for pair in pairs:
        image, mask = read_pair(pair)
        probability = engine.infer(resize_image(image, spec.width, spec.height, spec.interpolation)[None])[0]
        height, width = mask.shape
        stretched = np.asarray(cv2.resize(probability, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
        confusion = Confusion.of(stretched >= level, mask > 0)
        dice.append(float(confusion.dice))
        iou.append(float(confusion.iou))
    return Score(float(np.mean(dice)), float(np.mean(iou)))
