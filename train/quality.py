"""mDice and mIoU of an engine over pairs of image and mask, at the size of the masks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rt_seg.engines.engine import Engine
from rt_seg.engines.field_of_view import FieldOfView
from rt_seg.engines.geometry import Geometry
from rt_seg.engines.masks import Confusion, threshold_level
from rt_seg.engines.resize import probability_at_source, resize_image

from .data import Pair, read_pair


@dataclass(frozen=True, slots=True)
class Score:
    """Means over images, each counting the same; see `rt_seg.engines.masks` for the definitions."""

    mdice: float
    miou: float


def score_engine(engine: Engine, pairs: Sequence[Pair]) -> Score:
    """Run an engine on images as deployment does, and compare with their masks.

    It sees the endoscope's field of view; its probability is stretched back over that, then cut at the spec's
    threshold. Outside nothing is found, and the whole mask counts.

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
        field = FieldOfView(steady=False).find(image)
        seen = resize_image(image[field.slices], spec.width, spec.height, spec.interpolation)
        probability = engine.infer(seen[None])[0]
        geometry = Geometry(mask.shape[1], mask.shape[0], field, spec.width, spec.height)
        stretched = probability_at_source(probability, geometry)
        confusion = Confusion.of(stretched >= level, mask > 0)
        dice.append(float(confusion.dice))
        iou.append(float(confusion.iou))
    return Score(float(np.mean(dice)), float(np.mean(iou)))
