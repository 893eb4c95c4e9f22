"""How well one prediction covers one true mask: every figure of `rt-seg evaluate`, from counts of pixels.

A probability has 256 values, so all that the figures need is how many pixels of each value are polyp and how many are
not: `PixelCounts`. From there everything is exact integer arithmetic, for one threshold or for all of them at once.
No prediction is stretched to fill 0 to 1: a picture without a polyp would always light up.

S-measure and E-measure are written here after their papers. The library that most papers' figures come from,
PySODMetrics, cannot be declared beside what rt-seg needs: its releases up to 1.5.0 want numpy 1, those from 1.5.1
on want opencv-python-headless, which overwrites the files of opencv-python. Where it is installed by hand
(``pip install --no-deps``), a test compares both.
"""

import math
from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np
import numpy.typing as npt

from rt_seg.engines.masks import Confusion

UInt8Array = npt.NDArray[np.uint8]
Counts = npt.NDArray[np.int64]
Curve = npt.NDArray[np.float64]

FALSE_REGION_SHARE = 0.005
"""A connected region above this share of the picture, where there is no polyp, is a false alarm."""

_LEVELS = 256


@dataclass(frozen=True, slots=True, eq=False)
class PixelCounts:
    """Pixels by what they are and what was predicted for them.

    Attributes:
        table: int64 ``[4, 2, 256]``: quarter of the picture (upper left, upper right, lower left, lower right of the
            polyp's centre; all in the first without a polyp), rest or polyp, predicted value.
    """

    table: Counts

    @classmethod
    def of(cls, probability: UInt8Array, truth: UInt8Array) -> Self:
        """Count.

        Args:
            probability: uint8 ``[H, W]``, 255 = certain.
            truth: uint8 ``[H, W]``, 0 and 255.

        Raises:
            ValueError: The shapes differ.
        """
        if probability.shape != truth.shape or truth.ndim != 2:
            raise ValueError(f"a prediction has its mask's size, got {list(probability.shape)} and {list(truth.shape)}")
        row, column = _centre(truth)
        codes = probability.astype(np.uint16)
        codes[truth > 0] += _LEVELS
        quarters = (codes[:row, :column], codes[:row, column:], codes[row:, :column], codes[row:, column:])
        counts = [np.bincount(quarter.ravel(), minlength=2 * _LEVELS) for quarter in quarters]
        return cls(np.asarray(counts, dtype=np.int64).reshape(4, 2, _LEVELS))

    @property
    def rest(self) -> Counts:
        """int64 ``[256]``: pixels that are not polyp, by predicted value."""
        return np.asarray(self.table[:, 0].sum(axis=0), dtype=np.int64)

    @property
    def polyp(self) -> Counts:
        """int64 ``[256]``: pixels of polyps, by predicted value."""
        return np.asarray(self.table[:, 1].sum(axis=0), dtype=np.int64)

    def confusion(self) -> Confusion:
        """Counts at all 256 levels: entry ``i`` takes pixels of value ``i`` and above as polyp."""
        true_positive, false_positive = _from_level_on(self.polyp), _from_level_on(self.rest)
        return Confusion(
            true_positive, false_positive, true_positive[0] - true_positive, false_positive[0] - false_positive
        )


def _centre(truth: UInt8Array) -> tuple[int, int]:
    """First row and column below and right of the polyp's centre of gravity; the picture's end without a polyp."""
    moments = cv2.moments(truth, binaryImage=True)
    if not moments["m00"]:
        return truth.shape[0], truth.shape[1]
    return round(moments["m01"] / moments["m00"]) + 1, round(moments["m10"] / moments["m00"]) + 1


def _from_level_on(counts: Counts) -> Counts:
    return np.cumsum(counts[::-1])[::-1]


@dataclass(frozen=True, slots=True)
class Measures:
    """The figures of one picture, each 0-1; see `rt_seg.engines.masks` for those that a threshold makes.

    Attributes:
        dice: Dice coefficient.
        iou: Intersection over union.
        precision: Share of what was marked that is polyp.
        recall: Share of the polyp that was marked.
        f2: F-measure with beta = 2.
        specificity: Share of the rest that was left alone.
        accuracy: Share of pixels that are right.
        binary_iou: Mean of the IoU of polyp and the IoU of the rest. Keras' BinaryIoU pools the pixels of all pictures;
            here each picture counts the same.
        s_measure: `s_measure`.
        e_measure: `e_measure`, the mean over all thresholds.
        mae: Mean absolute error of the probability.
        false_positive_area: Share of the picture that was marked and is not polyp.
    """

    dice: float
    iou: float
    precision: float
    recall: float
    f2: float
    specificity: float
    accuracy: float
    binary_iou: float
    s_measure: float
    e_measure: float
    mae: float
    false_positive_area: float

    @classmethod
    def of(cls, counts: PixelCounts, level: int) -> Self:
        """Measure.

        Args:
            counts: Of a prediction and its mask.
            level: uint8 value from which a pixel counts as polyp.
        """
        every = counts.confusion()
        cut = Confusion(
            every.true_positive[level], every.false_positive[level],
            every.false_negative[level], every.true_negative[level],
        )  # fmt: skip
        rest = Confusion(cut.true_negative, cut.false_negative, cut.false_positive, cut.true_positive)
        return cls(
            dice=float(cut.dice),
            iou=float(cut.iou),
            precision=float(cut.precision),
            recall=float(cut.recall),
            f2=float(cut.f2),
            specificity=float(cut.specificity),
            accuracy=float(cut.accuracy),
            binary_iou=float(cut.iou + rest.iou) / 2,
            s_measure=s_measure(counts),
            e_measure=e_measure(counts),
            mae=mean_absolute_error(counts),
            false_positive_area=int(cut.false_positive) / int(counts.table.sum()),
        )


def mean_absolute_error(counts: PixelCounts) -> float:
    """Mean of how far the probability is from the mask, 0-1."""
    levels = np.arange(_LEVELS)
    wrong = int(counts.rest @ levels) + int(counts.polyp @ levels[::-1])
    return wrong / ((_LEVELS - 1) * int(counts.table.sum()))


def e_measure(counts: PixelCounts) -> float:
    """Enhanced-alignment measure, mean over all 256 thresholds, 0-1.

    Fan et al., "Enhanced-alignment Measure for Binary Foreground Map Evaluation", IJCAI 2018, equations 2-5. The sum
    is divided by the number of pixels, as in the paper; the authors' program divides by one less.
    """
    return float(e_measure_curve(counts).mean())


def e_measure_curve(counts: PixelCounts) -> Curve:
    """Enhanced-alignment measure at each level: float64 ``[256]``, entry ``i`` marks values of ``i`` and above."""
    cut = counts.confusion()
    marked = cut.true_positive + cut.false_positive
    pixels, polyp = int(counts.table.sum()), int(counts.polyp.sum())
    if polyp in (0, pixels):  # the alignment is not defined: the paper takes what is marked rightly
        return (pixels - marked if polyp == 0 else marked) / pixels
    mean_marked, mean_polyp = marked / pixels, polyp / pixels
    parts = (
        (cut.true_positive, 1 - mean_marked, 1 - mean_polyp),
        (cut.false_positive, 1 - mean_marked, -mean_polyp),
        (cut.false_negative, -mean_marked, 1 - mean_polyp),
        (cut.true_negative, -mean_marked, -mean_polyp),
    )
    return sum((part * _enhanced(a, b) for part, a, b in parts), np.zeros(_LEVELS)) / pixels


def _enhanced(a: Curve, b: float) -> Curve:
    return (2 * a * b / (a * a + b * b) + 1) ** 2 / 4


def s_measure(counts: PixelCounts) -> float:
    """Structure measure, 0-1.

    Fan et al., "Structure-measure: A New Way to Evaluate Foreground Maps", ICCV 2017, with its alpha = 0.5: half of it
    compares polyp and rest with the probability over them, half the four quarters around the polyp's centre.
    """
    levels = np.arange(_LEVELS)
    pixels, polyp = int(counts.table.sum()), int(counts.polyp.sum())
    if polyp in (0, pixels):
        return 1 - mean_absolute_error(counts)
    share = polyp / pixels
    of_objects = share * _object_score(counts.polyp, levels) + (1 - share) * _object_score(counts.rest, levels[::-1])
    of_regions = sum(int(quarter.sum()) / pixels * _region_score(quarter) for quarter in counts.table)
    return max(0.0, (of_objects + of_regions) / 2)


def _object_score(counts: Counts, levels: Counts) -> float:
    """Equation 5 of the paper, its lambda = 0.5: near 1 where the probability is high and even."""
    number, first, second = int(counts.sum()), int(counts @ levels), int(counts @ levels**2)
    mean = first / (_LEVELS - 1) / number
    deviation = math.sqrt(_moment(number, second, first, first)) / (_LEVELS - 1)
    return 2 * mean / (mean * mean + 1 + deviation)


def _region_score(quarter: Counts) -> float:
    """Structural similarity (SSIM without its constants) of probability and mask in one quarter ``[2, 256]``."""
    levels = np.arange(_LEVELS)
    number, polyp = int(quarter.sum()), (_LEVELS - 1) * int(quarter[1].sum())  # the mask in levels, 0 and 255
    if number == 0:
        return 0.0
    first, second = int(quarter.sum(axis=0) @ levels), int(quarter.sum(axis=0) @ levels**2)
    product = (_LEVELS - 1) * int(quarter[1] @ levels)
    of_probability = _moment(number, second, first, first)
    of_mask = _moment(number, (_LEVELS - 1) * polyp, polyp, polyp)
    likeness = 4 * first * polyp * _moment(number, product, first, polyp)
    size = (first * first + polyp * polyp) * (of_probability + of_mask)
    # whole numbers have gone in: 0 is 0 here, and not some 1e-17
    return likeness / size if size else 1.0


def _moment(number: int, products: int, one: int, other: int) -> float:
    """Sample covariance from sums: 0 exactly where one of both does not vary."""
    return (number * products - one * other) / (number * max(number - 1, 1))


def false_region_level(probability: UInt8Array) -> int:
    """The highest level at which a picture without a polyp still shows a false region.

    Raising the level only shrinks regions, so this one number answers for every threshold.

    Args:
        probability: uint8 ``[H, W]``.

    Returns:
        0-255; with pixels of this value and above marked, some 8-connected region is above `FALSE_REGION_SHARE`.
    """
    limit = FALSE_REGION_SHARE * probability.size
    low, high = 0, _LEVELS - 1
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if _largest_region(probability, middle) > limit else (low, middle - 1)
    return low


def _largest_region(probability: UInt8Array, level: int) -> int:
    mask = cv2.threshold(probability, level - 1, 255, cv2.THRESH_BINARY)[1]
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    return int(stats[1:, cv2.CC_STAT_AREA].max(initial=0))
