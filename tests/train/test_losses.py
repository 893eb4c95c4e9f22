"""Losses: what they say of perfect, wrong and empty answers."""

import numpy as np
import pytest

from rt_seg.errors import ModelError
from rt_seg.train.losses import loss_function

NAMES = ("bce", "dice", "bce+dice", "focal-tversky", "structure")


def masks() -> np.ndarray:
    """A picture with a polyp, and one without."""
    truth = np.zeros((2, 16, 16, 1), np.float32)
    truth[0, 4:12, 4:12] = 1
    return truth


@pytest.mark.parametrize("name", NAMES)
def test_better_answers_cost_less(name: str) -> None:
    """A right answer costs nearly nothing, a wrong one much, and a value comes for each picture."""
    truth = masks()
    right, poor, wrong = (np.asarray(loss_function(name)(truth, np.abs(truth - error))) for error in (0.01, 0.4, 0.99))
    assert right.shape == (2,)
    assert right[0] < 0.15
    assert right[0] < poor[0] < wrong[0]


@pytest.mark.parametrize("name", ["bce", "bce+dice", "focal-tversky", "structure"])
def test_false_alarm_on_a_picture_without_polyp_costs(name: str) -> None:
    """A picture without a polyp is taught: marking some of it costs more than marking none."""
    truth = masks()
    alarm = np.full_like(truth, 0.01)
    alarm[1, :4, :4] = 0.9
    losses = np.asarray(loss_function(name)(truth, alarm)), np.asarray(loss_function(name)(truth, truth + 0.01))
    assert losses[0][1] > losses[1][1] + 0.05


def test_dice_is_one_minus_twice_the_overlap_over_the_sum() -> None:
    """Half of a mask found and nothing else: 1 - 2 * 32 / (64 + 32), but for the smoothing of one pixel."""
    truth = masks()
    half = truth.copy()
    half[0, 8:] = 0
    assert float(np.asarray(loss_function("dice")(truth, half))[0]) == pytest.approx(1 - 65 / 97, abs=1e-6)


def test_structure_loss_is_that_of_a_plain_reference() -> None:
    """Pixel by pixel: weight 1 + 5 |mean around - truth|; weighted cross-entropy and weighted, smoothed IoU."""
    rng = np.random.default_rng(0)
    size, reach = 46, 2  # 5 pixels wide at 46, as 31 at 352
    truth = np.zeros((1, size, size, 1), np.float32)
    truth[0, 10:30, :17] = 1  # it reaches the border
    answer = rng.uniform(0.05, 0.95, truth.shape).astype(np.float32)
    weight, entropy = np.empty((size, size)), np.empty((size, size))
    for y in range(size):
        for x in range(size):
            around = truth[0, max(y - reach, 0) : y + reach + 1, max(x - reach, 0) : x + reach + 1, 0]
            weight[y, x] = 1 + 5 * abs(around.mean() - truth[0, y, x, 0])
            right = answer[0, y, x, 0] if truth[0, y, x, 0] else 1 - answer[0, y, x, 0]
            entropy[y, x] = -np.log(right)
    assert weight.max() > 2.5
    t, p = truth[0, ..., 0], answer[0, ..., 0]
    overlap = (weight * t * p).sum()
    union = (weight * (t + p)).sum() - overlap
    expected = (weight * entropy).sum() / weight.sum() + 1 - (overlap + 1) / (union + 1)
    assert float(np.asarray(loss_function("structure")(truth, answer))[0]) == pytest.approx(expected, rel=1e-4)


def test_structure_loss_counts_false_area_of_a_picture_without_polyp() -> None:
    """Half of what the IoU term can cost is reached by a hundredth of the picture, and more area still costs more."""
    truth = np.zeros((3, 100, 100, 1), np.float32)
    answer = np.full_like(truth, 1e-6)
    answer[1, :10, :10] = answer[2, :20, :20] = 1 - 1e-6
    loss = np.asarray(loss_function("structure")(truth, answer))
    entropy = np.asarray(loss_function("bce")(truth, answer))
    assert (loss - entropy)[1] == pytest.approx(0.5, abs=0.01)
    assert (loss - entropy)[2] == pytest.approx(0.8, abs=0.01)


def test_unknown_loss_is_refused() -> None:
    """A misspelt name lists the right ones."""
    with pytest.raises(ModelError, match=r"bce\+dice"):
        loss_function("diec")
