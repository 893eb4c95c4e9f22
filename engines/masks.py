"""Mask metrics: how well a predicted mask covers the true one, from counts of pixels.

Masks are bool or uint8 ``[..., H, W]``; in uint8 every value but 0 is polyp (a probability has to be cut at its
threshold first). Leading axes are images: ``[N, H, W]`` gives N figures, ``[H, W]`` gives one.

Definitions are the standard ones; with TP, FP, FN, TN the counts of pixels, positive = polyp:

    dice         2 TP / (2 TP + FP + FN)
    iou          TP / (TP + FP + FN)
    precision    TP / (TP + FP)
    recall       TP / (TP + FN)                 also called sensitivity
    f2           5 TP / (5 TP + 4 FN + FP)      F-measure with beta = 2: recall counts more
    specificity  TN / (TN + FP)
    accuracy     (TP + TN) / all

Where a denominator is 0 (an empty mask), the figure is 1.0 if the two masks are equal, and 0.0 if they differ. So a
picture without a polyp scores 1.0 when nothing is predicted and 0.0 as soon as one pixel is; a polyp that was missed
scores precision 0.0.
The mean over images (mDice, mIoU) is the mean of these figures, each image counting the same.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_] | npt.NDArray[np.uint8]
Counts = npt.NDArray[np.int64]
Figures = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Confusion:
    """Counts of pixels, one a picture; every array has the shape of the masks' leading axes.

    Attributes:
        true_positive: Polyp in both masks.
        false_positive: Polyp in the predicted mask only.
        false_negative: Polyp in the true mask only.
        true_negative: Polyp in neither.
    """

    true_positive: Counts
    false_positive: Counts
    false_negative: Counts
    true_negative: Counts

    @classmethod
    def of(cls, predicted: Mask, truth: Mask) -> Self:
        """Count.

        Args:
            predicted: bool or uint8 ``[..., H, W]``.
            truth: bool or uint8, the same shape.

        Raises:
            ValueError: The shapes differ, or a mask is neither bool nor uint8.
        """
        found, real = _as_bool(predicted), _as_bool(truth)
        if found.shape != real.shape:
            raise ValueError(f"masks of one size are compared, got {list(found.shape)} and {list(real.shape)}")
        both, in_predicted, in_truth = _count(found & real), _count(found), _count(real)
        pixels = found.shape[-2] * found.shape[-1]
        return cls(both, in_predicted - both, in_truth - both, pixels - in_predicted - in_truth + both)

    @property
    def dice(self) -> Figures:
        """Dice coefficient, 0-1; also called F1."""
        return self._ratio(2 * self.true_positive, 2 * self.true_positive + self.false_positive + self.false_negative)

    @property
    def iou(self) -> Figures:
        """Intersection over union, 0-1; also called the Jaccard index."""
        return self._ratio(self.true_positive, self.true_positive + self.false_positive + self.false_negative)

    @property
    def precision(self) -> Figures:
        """Share of the predicted mask that is polyp, 0-1."""
        return self._ratio(self.true_positive, self.true_positive + self.false_positive)

    @property
    def recall(self) -> Figures:
        """Share of the polyp that was predicted, 0-1; also called sensitivity."""
        return self._ratio(self.true_positive, self.true_positive + self.false_negative)

    @property
    def f2(self) -> Figures:
        """F-measure with beta = 2, 0-1."""
        weighted = 5 * self.true_positive
        return self._ratio(weighted, weighted + 4 * self.false_negative + self.false_positive)

    @property
    def specificity(self) -> Figures:
        """Share of the rest of the picture that was left alone, 0-1."""
        return self._ratio(self.true_negative, self.true_negative + self.false_positive)

    @property
    def accuracy(self) -> Figures:
        """Share of all pixels that are right, 0-1."""
        wrong = self.false_positive + self.false_negative
        right = self.true_positive + self.true_negative
        return self._ratio(right, right + wrong)

    def _ratio(self, part: Counts, whole: Counts) -> Figures:
        equal = self.false_positive + self.false_negative == 0
        return np.where(whole > 0, part / np.maximum(whole, 1), equal)


def threshold_level(probability: float) -> int:
    """The uint8 value (1-255) from which a pixel of an engine's answer counts as polyp.

    It is at least 1, or all of the picture would be polyp.

    Args:
        probability: Threshold as a probability, 0-1.
    """
    return max(1, round(probability * 255))


def dice(predicted: Mask, truth: Mask) -> Figures:
    """Dice coefficient of each picture, 0-1; see `Confusion.of` for the arguments."""
    return Confusion.of(predicted, truth).dice


def iou(predicted: Mask, truth: Mask) -> Figures:
    """Intersection over union of each picture, 0-1; see `Confusion.of` for the arguments."""
    return Confusion.of(predicted, truth).iou


def _as_bool(mask: Mask) -> npt.NDArray[np.bool_]:
    if mask.dtype.name not in {"bool", "uint8"} or mask.ndim < 2:
        raise ValueError(f"a mask is bool or uint8 [..., H, W], got {mask.dtype} {list(mask.shape)}")
    return mask.astype(np.bool_, copy=False)


def _count(mask: npt.NDArray[np.bool_]) -> Counts:
    return np.asarray(np.count_nonzero(mask, axis=(-2, -1)), dtype=np.int64)
