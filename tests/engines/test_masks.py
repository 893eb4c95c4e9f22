"""Mask metrics: known values, textbook identities, and the rule for empty masks."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rt_seg.engines import Confusion, dice, iou, threshold_level

BoolArray = npt.NDArray[np.bool_]
NAMES = ("dice", "iou", "precision", "recall", "f2", "specificity", "accuracy")

EMPTY = np.zeros((4, 5), np.uint8)
FULL = np.full((4, 5), 255, np.uint8)


def figures(predicted: npt.NDArray[np.uint8], truth: npt.NDArray[np.uint8]) -> dict[str, float]:
    """All figures of one picture."""
    confusion = Confusion.of(predicted, truth)
    return {name: float(getattr(confusion, name)) for name in NAMES}


def test_known_values() -> None:
    """Six true pixels, four predicted, three of them right, on twenty."""
    truth, predicted = EMPTY.copy(), EMPTY.copy()
    truth[0, :5] = truth[1, 0] = 255
    predicted[0, :3] = predicted[3, 4] = 1
    assert figures(predicted, truth) == pytest.approx(
        {
            "dice": 6 / 10, "iou": 3 / 7, "precision": 3 / 4, "recall": 3 / 6, "f2": 15 / 28,
            "specificity": 13 / 14, "accuracy": 16 / 20,
        }
    )  # fmt: skip


def test_nothing_there_and_nothing_found_is_right() -> None:
    """Both masks empty: every figure is 1."""
    assert set(figures(EMPTY, EMPTY).values()) == {1.0}


def test_everything_there_and_everything_found_is_right() -> None:
    """Both masks full: every figure is 1, specificity too."""
    assert set(figures(FULL, FULL).values()) == {1.0}


def test_a_false_alarm_scores_nothing() -> None:
    """One pixel predicted on a picture without a polyp: 0, but for specificity and accuracy, which count pixels."""
    alarm = EMPTY.copy()
    alarm[2, 2] = 255
    assert figures(alarm, EMPTY) == pytest.approx(dict.fromkeys(NAMES, 0.0) | {"specificity": 0.95, "accuracy": 0.95})


def test_a_missed_polyp_scores_nothing() -> None:
    """An empty prediction where there is a polyp: 0, precision included."""
    polyp = EMPTY.copy()
    polyp[2, 2] = 255
    assert figures(EMPTY, polyp) == pytest.approx(dict.fromkeys(NAMES, 0.0) | {"specificity": 1.0, "accuracy": 0.95})


PAIRS = hnp.arrays(np.bool_, st.tuples(st.just(2), st.integers(1, 4), st.integers(1, 6), st.integers(1, 6)))


@given(pair=PAIRS)
def test_identities(pair: BoolArray) -> None:
    """Dice follows from IoU, is the harmonic mean of precision and recall, and swapping the masks swaps those two."""
    one, swapped = Confusion.of(pair[0], pair[1]), Confusion.of(pair[1], pair[0])
    np.testing.assert_allclose(one.dice, 2 * one.iou / (1 + one.iou))
    np.testing.assert_allclose(one.dice * (one.precision + one.recall), 2 * one.precision * one.recall, atol=1e-12)
    np.testing.assert_allclose(one.dice, swapped.dice)
    hit = one.true_positive > 0
    np.testing.assert_allclose(one.precision[hit], swapped.recall[hit])
    for name in NAMES:
        assert ((getattr(one, name) >= 0) & (getattr(one, name) <= 1)).all()
    total = one.true_positive + one.false_positive + one.false_negative + one.true_negative
    assert (total == pair.shape[2] * pair.shape[3]).all()


@given(pair=PAIRS)
def test_a_stack_equals_its_pictures(pair: BoolArray) -> None:
    """Figures of a stack are those of each picture alone; bool and 0/255 masks count alike."""
    predicted, truth = pair[0], np.where(pair[1], np.uint8(255), np.uint8(0))
    for together, function in ((dice(predicted, truth), dice), (iou(predicted, truth), iou)):
        assert together.shape == (pair.shape[1],)
        np.testing.assert_array_equal(together, [function(p, t) for p, t in zip(predicted, truth, strict=True)])


@pytest.mark.parametrize(
    ("predicted", "truth"),
    [(EMPTY, EMPTY[:2]), (EMPTY.astype(np.float32), EMPTY), (EMPTY, EMPTY.astype(np.int64)), (EMPTY[0], EMPTY[0])],
)
def test_refuses_what_is_no_pair_of_masks(predicted: npt.NDArray[np.uint8], truth: npt.NDArray[np.uint8]) -> None:
    """Masks of two sizes, probabilities in float, and rows are mistakes of the caller."""
    with pytest.raises(ValueError, match="mask"):
        Confusion.of(predicted, truth)


@pytest.mark.parametrize(("probability", "level"), [(0.0, 1), (0.001, 1), (0.5, 128), (0.6, 153), (1.0, 255)])
def test_threshold_level(probability: float, level: int) -> None:
    """A probability as the uint8 value from which a pixel counts; never 0."""
    assert threshold_level(probability) == level
