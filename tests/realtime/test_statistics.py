"""Statistics: percentiles only from enough samples, rates from n-1 intervals, and values that match numpy's."""

import numpy as np
import pytest

from rt_seg.realtime.statistics import Distribution, Rate, RecentRate, Statistics


def test_percentiles_match_numpy_within_the_histograms_precision() -> None:
    """On known samples the four figures equal numpy's within three significant digits."""
    samples_ns = np.random.default_rng(0).lognormal(16, 0.5, 5000).astype(np.int64)
    distribution = Distribution()
    for sample in samples_ns:
        distribution.add(int(sample))
    measured = distribution.percentiles()
    milliseconds = samples_ns / 1e6
    for name, percent in (("p50", 50), ("p90", 90), ("p99", 99)):
        expected = np.percentile(milliseconds, percent, method="inverted_cdf")
        assert getattr(measured, name) == pytest.approx(expected, rel=2e-3)
    assert measured.max == pytest.approx(milliseconds.max(), rel=2e-3)
    assert measured.count == 5000
    assert distribution.sum_seconds == pytest.approx(samples_ns.sum() / 1e9)


@pytest.mark.parametrize(
    ("count", "known"), [(19, ""), (20, "p50"), (99, "p50"), (100, "p50 p90"), (999, "p50 p90"), (1000, "p50 p90 p99")]
)
def test_a_percentile_needs_enough_samples(count: int, known: str) -> None:
    """A percentile p is None below 10 / (1 - p) samples."""
    distribution = Distribution()
    for _ in range(count):
        distribution.add(1_000_000)
    values = distribution.percentiles().as_dict()
    assert {name for name, value in values.items() if value is not None} == {*known.split(), "max"}


def test_nothing_counted_is_nothing_said() -> None:
    """Without samples every figure is None."""
    assert set(Distribution().percentiles().as_dict().values()) == {None}


def test_durations_outside_the_range_are_clamped() -> None:
    """A zero duration and one of a day are counted at the ends of the range instead of failing."""
    distribution = Distribution()
    distribution.add(0)
    distribution.add(86_400 * 10**9)
    assert distribution.percentiles().max == pytest.approx(3_600_000, rel=2e-3)


def test_rate_counts_intervals_not_stamps() -> None:
    """Thirty-one stamps a thirtieth of a second apart are 30 a second, not 31."""
    rate = Rate()
    for index in range(31):
        rate.add(round(index * 1e9 / 30))
    assert rate.per_second == pytest.approx(30)
    assert rate.count == 31


@pytest.mark.parametrize("stamps", [[], [5]])
def test_a_rate_needs_two_stamps(stamps: list[int]) -> None:
    """Fewer than two stamps give no rate."""
    rate = Rate()
    for stamp in stamps:
        rate.add(stamp)
    assert rate.per_second is None


def test_stages_keep_their_order() -> None:
    """Stage names come back in the order in which they first reported."""
    statistics = Statistics()
    for name in ("capture", "infer", "capture", "overlay"):
        statistics.add_stage(name, 1000)
    assert list(statistics.stages) == ["capture", "infer", "overlay"]
    assert statistics.stages["capture"].percentiles().count == 2


def test_the_recent_rate_forgets() -> None:
    """It is over the last events only, and unknown before there are ten."""
    rate = RecentRate(span=20)
    for number in range(9):
        rate.add(number * 1_000_000)
    assert rate.per_second is None
    for number in range(20):
        rate.add(1_000_000_000 + number * 40_000_000)
    assert rate.per_second == pytest.approx(25.0)
