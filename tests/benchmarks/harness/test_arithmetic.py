"""The arithmetic behind every figure of the benchmark, on samples whose answer is known."""

import numpy as np
import pytest

from rt_seg.benchmarks.harness.arithmetic import Histogram, median, rate, ratio, variation
from rt_seg.realtime.statistics import Distribution


def histogram_of(milliseconds: list[float]) -> Histogram:
    """What the engines' and the stream's own histogram keeps of these durations."""
    distribution = Distribution()
    for value in milliseconds:
        distribution.add(round(value * 1e6))
    return Histogram(distribution.counts())


@pytest.mark.parametrize("percent", [50, 90, 99, 100])
def test_percentiles_are_numpys(percent: float) -> None:
    """A percentile is numpy's inverted CDF of the same samples, to the three digits that the histogram keeps."""
    samples = np.random.default_rng(7).lognormal(2.0, 0.6, 5000)
    found = histogram_of(samples.tolist()).percentile(percent)
    assert found == pytest.approx(np.percentile(samples, percent, method="inverted_cdf"), rel=2e-3)


def test_percentiles_of_whole_microseconds_are_exact() -> None:
    """Where no digit is lost, the percentile is the very sample."""
    samples = [value / 1000 for value in range(1, 2001)]
    assert histogram_of(samples).percentile(90) == 1.8
    assert histogram_of(samples).percentile(50) == 1.0


@pytest.mark.parametrize(("percent", "least"), [(50, 20), (90, 100), (99, 1000)])
def test_percentile_needs_its_samples(percent: float, least: int) -> None:
    """A percentile p is given from 10 / (1 - p) samples on, and not from one fewer."""
    assert Histogram({1000: least - 1}).percentile(percent) is None
    assert Histogram({1000: least}).percentile(percent) == 1.0


def test_maximum_needs_one_sample() -> None:
    """The longest duration is known from the first on; of none there is none."""
    assert Histogram({2500: 1}).percentile(100) == 2.5
    assert Histogram({}).percentile(100) is None
    assert Histogram({}).mean() is None


def test_pooling_adds_counts() -> None:
    """The histogram over all repeats has every sample of each."""
    pooled = Histogram.pooled([Histogram({1000: 3, 2000: 1}), Histogram({2000: 2, 500: 1})])
    assert pooled.counts == {500: 1, 1000: 3, 2000: 3}
    assert pooled.count == 7
    assert pooled.mean() == pytest.approx(9.5 / 7)


def test_rate_counts_intervals() -> None:
    """Thirty-one stamps a thirtieth of a second apart are 30 a second, not 31."""
    stamps = [1000 + round(number * 1e9 / 30) for number in range(31)]
    assert rate(stamps) == pytest.approx(30.0)
    assert rate(stamps[:1]) is None
    assert rate([]) is None
    assert rate([5, 5]) is None


def test_nothing_is_said_from_one_repeat() -> None:
    """One run has no median, and three against three are a ratio that cannot be told from chance."""
    assert median([3.0]) is None
    assert median([]) is None
    assert ratio([3.0], [2.0, 2.0, 2.0, 2.0]) is None
    few = ratio([3.0, 3.0, 3.0], [2.0, 2.0, 2.0])
    assert few is not None
    assert (few.value, few.low, few.within_noise) == (1.5, None, None)


def test_interval_of_the_median_is_between_order_statistics() -> None:
    """Of few repeats it is the lowest and the highest; of twenty the sixth and the fifteenth."""
    few, twenty = median([5.0, 1.0, 3.0, 2.0, 4.0]), median([float(value) for value in range(1, 21)])
    assert few is not None
    assert (few.value, few.low, few.high) == (3.0, 1.0, 5.0)
    assert twenty is not None
    assert (twenty.low, twenty.high) == (6.0, 15.0)


@pytest.mark.parametrize("number", [6, 9, 15, 30])
def test_interval_of_the_median_holds_it_often_enough(number: int) -> None:
    """Drawn again and again from a skewed distribution, at least 95 % of the intervals hold the true median."""
    draws = np.random.default_rng(3).exponential(1.0, (2000, number))
    intervals = [median(draw.tolist()) for draw in draws]
    held = [found is not None and found.low <= np.log(2) <= found.high for found in intervals]
    assert np.mean(held) > 0.94  # 95 %, less two standard errors of 2000 draws


def test_scatter_is_flagged_above_its_limit() -> None:
    """The coefficient of variation has n-1 in it; 2.5 % is where the flag goes up."""
    assert variation([9.0, 10.0, 11.0]) == pytest.approx(0.1)
    calm, wild = median([100.0, 102.0, 98.0]), median([100.0, 103.0, 97.0])
    assert calm is not None
    assert wild is not None
    assert (calm.noisy, wild.noisy) == (False, True)


def test_ratio_beyond_noise_and_within() -> None:
    """Twice as fast is seen as such; the same figures in another order are noise."""
    before = [10.0, 10.2, 9.9, 10.1, 10.0]
    twice = ratio([2 * value for value in before], before)
    assert twice is not None
    assert twice.value == pytest.approx(2.0)
    assert twice.within_noise is False
    assert twice.low is not None
    assert twice.high is not None
    assert 1.9 < twice.low < 2.0 < twice.high < 2.1
    same = ratio(before[::-1], before)
    assert same is not None
    assert (same.value, same.within_noise) == (1.0, True)


def test_ratio_finds_a_difference_by_chance_seldom() -> None:
    """Of two sides drawn from one distribution, few are told apart: a comparison does not cry wolf."""
    rng = np.random.default_rng(5)
    alarms = 0
    for _ in range(200):
        found = ratio(rng.normal(100, 2, 6).tolist(), rng.normal(100, 2, 6).tolist())
        alarms += found is not None and found.within_noise is False
    assert alarms < 20  # 5 % would be 10
