"""Figures of one image against values worked out by hand, the papers' formulas pixel by pixel, and PySODMetrics."""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from rt_seg.benchmarks.evaluate_measures import (
    Measures,
    PixelCounts,
    e_measure,
    e_measure_curve,
    false_region_level,
    mean_absolute_error,
    s_measure,
)
from rt_seg.engines.masks import Confusion

UInt8Array = npt.NDArray[np.uint8]

LEFT_HALF = np.repeat(np.array([[255, 255, 0, 0]], np.uint8), 4, axis=0)


def blank(height: int = 64, width: int = 64) -> UInt8Array:
    """A picture of zeros."""
    return np.zeros((height, width), np.uint8)


def random_case(seed: int) -> tuple[UInt8Array, UInt8Array]:
    """A prediction and a mask: a disc and its blurred, shifted likeness in noise."""
    rng = np.random.default_rng(seed)
    height, width = int(rng.integers(30, 90)), int(rng.integers(30, 90))
    centre = (int(rng.integers(width)), int(rng.integers(height)))
    truth = np.asarray(cv2.circle(blank(height, width), centre, int(rng.integers(2, 30)), 255, -1), np.uint8)
    likeness = cv2.GaussianBlur(np.roll(truth, 4), (0, 0), 3).astype(np.int64)
    return np.clip(likeness + rng.integers(-40, 40, truth.shape), 0, 255).astype(np.uint8), truth


def e_measure_by_pixel(marked: npt.NDArray[np.bool_], truth: npt.NDArray[np.bool_]) -> float:
    """The paper's formula as it stands: alignment matrix, enhanced, averaged."""
    a, b = marked - marked.mean(), truth - truth.mean()
    aligned = 2 * a * b / (a * a + b * b)
    return float(((aligned + 1) ** 2 / 4).mean())


def test_half_overlap_by_hand() -> None:
    """Two squares of 1024 pixels that share 512, of 4096: each figure as worked out on paper."""
    truth, probability = blank(), blank()
    truth[:32, :32] = 255
    probability[:32, 16:48] = 255
    measures = Measures.of(PixelCounts.of(probability, truth), 128)
    assert measures.dice == measures.precision == measures.recall == measures.f2 == 0.5
    assert measures.iou == pytest.approx(1 / 3)
    assert measures.specificity == pytest.approx(2560 / 3072)
    assert measures.accuracy == 0.75
    assert measures.binary_iou == pytest.approx((1 / 3 + 2560 / 3584) / 2)
    assert measures.mae == 0.25
    assert measures.false_positive_area == 0.125


def test_level_is_where_a_pixel_begins_to_count() -> None:
    """A value at the level counts as polyp, one below it does not."""
    truth, probability = blank(), blank()
    truth[:8], probability[:8] = 255, 127
    counts = PixelCounts.of(probability, truth)
    assert Measures.of(counts, 127).dice == 1.0
    assert Measures.of(counts, 128).dice == 0.0


@pytest.mark.parametrize("seed", range(4))
def test_counts_agree_with_masks_at_every_level(seed: int) -> None:
    """What the histogram says of a level is what comparing the cut mask says."""
    probability, truth = random_case(seed)
    every = PixelCounts.of(probability, truth).confusion()
    for level in (0, 1, 50, 128, 255):
        direct = Confusion.of(probability >= level, truth)
        assert every.dice[level] == direct.dice
        assert every.specificity[level] == direct.specificity
        assert every.false_negative[level] == direct.false_negative


def test_perfect_prediction_has_measures_of_one() -> None:
    """A prediction equal to the mask: S-measure 1; E-measure 1 at every level but 0, which marks all: 1/4."""
    counts = PixelCounts.of(LEFT_HALF, LEFT_HALF)
    assert s_measure(counts) == pytest.approx(1.0)
    assert e_measure(counts) == pytest.approx((255 + 0.25) / 256)
    assert mean_absolute_error(counts) == 0.0


def test_inverted_prediction_has_no_alignment() -> None:
    """The mask's opposite: nothing aligns, but for the level that marks all."""
    counts = PixelCounts.of(255 - LEFT_HALF, LEFT_HALF)
    assert e_measure(counts) == pytest.approx(0.25 / 256)
    assert s_measure(counts) == pytest.approx(0.0)


def test_s_measure_of_an_even_prediction_by_hand() -> None:
    """0.2 everywhere, the polyp the left half of 4x4.

    Objects: (0.4 / 1.04 + 1.6 / 1.64) / 2. The quarters meet below row 2 and right of column 0: the left ones are all
    polyp and score 1 (4 of 16 pixels), in the right ones an even prediction follows nothing and scores 0.
    """
    counts = PixelCounts.of(np.full((4, 4), 51, np.uint8), LEFT_HALF)
    objects = (0.4 / 1.04 + 1.6 / 1.64) / 2
    assert s_measure(counts) == pytest.approx((objects + 4 / 16) / 2)


@pytest.mark.parametrize("value", [0, 51, 255])
def test_measures_without_a_polyp(value: int) -> None:
    """On an empty mask: S-measure 1 - mean, MAE the mean, E-measure the mean share left alone; nothing is stretched."""
    counts = PixelCounts.of(np.full((8, 8), value, np.uint8), blank(8, 8))
    assert s_measure(counts) == pytest.approx(1 - value / 255)
    assert mean_absolute_error(counts) == pytest.approx(value / 255)
    assert e_measure(counts) == pytest.approx((255 - value) / 256)


def test_measures_of_a_picture_that_is_all_polyp() -> None:
    """On a full mask: S-measure the mean, E-measure the mean share marked."""
    counts = PixelCounts.of(np.full((8, 8), 51, np.uint8), np.full((8, 8), 255, np.uint8))
    assert s_measure(counts) == pytest.approx(0.2)
    assert e_measure(counts) == pytest.approx(52 / 256)


@pytest.mark.parametrize("seed", range(4))
def test_e_measure_is_the_papers_formula(seed: int) -> None:
    """The short way over counts gives what the alignment matrix gives."""
    probability, truth = random_case(seed)
    curve = e_measure_curve(PixelCounts.of(probability, truth))
    for level in (1, 60, 200):
        assert curve[level] == pytest.approx(e_measure_by_pixel(probability >= level, truth > 0))


@pytest.mark.parametrize("seed", range(8))
def test_agrees_with_pysodmetrics(seed: int) -> None:
    """S-measure, E-measure at every level, and MAE are those of the library that papers use, without its stretching."""
    library: Any = pytest.importorskip(
        "py_sod_metrics", reason="PySODMetrics clashes with opencv-python; pip install --no-deps pysodmetrics==1.6.2"
    )
    probability, truth = random_case(seed)
    judges: list[Any] = [library.Smeasure(), library.Emeasure(), library.MAE()]
    for judge in judges:
        judge.step(probability / 255, truth > 0, normalize=False)
    structure, alignment, error = (judge.get_results() for judge in judges)
    counts = PixelCounts.of(probability, truth)
    assert s_measure(counts) == pytest.approx(structure["sm"], abs=1e-9)
    assert mean_absolute_error(counts) == pytest.approx(error["mae"])
    # the library divides by one pixel less than there are, and goes from high levels to low ones
    curve = e_measure_curve(counts)[::-1] * truth.size / (truth.size - 1)
    np.testing.assert_allclose(curve, alignment["em"]["curve"], atol=1e-9)


def test_masks_of_another_size_are_refused() -> None:
    """A prediction is compared at the mask's size, never broadcast."""
    with pytest.raises(ValueError, match="its mask's size"):
        PixelCounts.of(blank(8, 8), blank(8, 9))


@pytest.mark.parametrize(
    ("regions", "level"),
    [
        ([((6, 5), 200)], 200),  # 30 of 4096 pixels: 0.73 %
        ([((5, 4), 200)], 0),  # 20 pixels: 0.49 %
        ([((5, 3), 200), ((5, 3), 200)], 0),  # 30 pixels in two regions
        ([((6, 5), 90), ((6, 5), 160)], 160),
        ([((6, 5), 255)], 255),
    ],
)
def test_false_region_level(regions: list[tuple[tuple[int, int], int]], level: int) -> None:
    """The highest level that leaves a connected region above half a percent; two small ones make no large one."""
    probability = blank()
    for number, ((height, width), value) in enumerate(regions):
        probability[10 : 10 + height, 10 + 20 * number : 10 + 20 * number + width] = value
    assert false_region_level(probability) == level
