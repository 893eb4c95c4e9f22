"""Means over images and their bootstrap intervals."""

import numpy as np
import pytest

from rt_seg.benchmarks.evaluate_summary import Estimate, estimates


def test_interval_is_what_theory_says() -> None:
    """Of 100 yes or no answers, 30 of them yes: 0.3, give or take 1.96 standard errors."""
    values = np.array([1.0] * 30 + [0.0] * 70)[:, None]
    (estimate,) = estimates(values)
    error = 1.96 * (0.3 * 0.7 / 100) ** 0.5
    assert estimate.value == pytest.approx(0.3)
    assert estimate.low == pytest.approx(0.3 - error, abs=0.015)
    assert estimate.high == pytest.approx(0.3 + error, abs=0.015)


def test_intervals_are_the_same_each_time() -> None:
    """The same scores give the same intervals."""
    values = np.random.default_rng(1).random((20, 3))
    assert estimates(values) == estimates(values)


def test_one_image_has_no_interval() -> None:
    """A single image says nothing of chance."""
    assert estimates(np.array([[0.5]])) == [Estimate(0.5, None, None)]
