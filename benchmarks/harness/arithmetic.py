"""The arithmetic of the benchmark: percentiles, rates, medians with intervals, ratios. See ``benchmarks/README.md``."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import comb
from typing import Self

import numpy as np

CONFIDENCE = 0.95
NOISY = 0.025
"""Coefficient of variation over repeats above which a figure is flagged."""

LEAST_TO_COMPARE = 4
"""Repeats a side below which nothing can be told from noise at 95 %: three against three part by chance in 1 of 10."""

_RESAMPLES = 4000
_SEED = 0  # the same values give the same interval


@dataclass(frozen=True)  # no slots: the cached property needs a dictionary
class Histogram:
    """Durations as counts.

    Attributes:
        counts: Microseconds -> how many durations; three significant digits, as HdrHistogram keeps them.
    """

    counts: Mapping[int, int]

    @classmethod
    def pooled(cls, parts: Iterable[Self]) -> Self:
        """Several histograms as one."""
        counts: dict[int, int] = {}
        for part in parts:
            for value, count in part.counts.items():
                counts[value] = counts.get(value, 0) + count
        return cls(dict(sorted(counts.items())))

    @cached_property
    def count(self) -> int:
        """Number of durations."""
        return sum(self.counts.values())

    def percentile(self, percent: float) -> float | None:
        """The smallest duration that at least so many percent do not exceed, in milliseconds; 100 is the maximum.

        Returns:
            None where there are fewer than 10 / (1 - p) durations: they say nothing about it. The maximum needs one.
        """
        if self.count == 0 or (percent < 100 and self.count * (100 - percent) < 1000):
            return None
        rank, seen = self.count * percent / 100, 0
        for value, count in sorted(self.counts.items()):
            seen += count
            if seen >= rank - 1e-9:
                return value / 1000
        return max(self.counts) / 1000

    def mean(self) -> float | None:
        """Mean duration in milliseconds, or None without any."""
        return sum(value * count for value, count in self.counts.items()) / self.count / 1000 if self.count else None


def rate(stamps_ns: Sequence[int]) -> float | None:
    """Events a second from their stamps: n of them enclose n-1 intervals. None below two, or without time between."""
    elapsed = stamps_ns[-1] - stamps_ns[0] if stamps_ns else 0
    return (len(stamps_ns) - 1) * 1e9 / elapsed if elapsed > 0 else None


@dataclass(frozen=True, slots=True)
class Median:
    """A median over repeats.

    Attributes:
        value: The median.
        low: Lower end of its interval.
        high: Upper end.
        noisy: Whether the repeats scatter by more than `NOISY`.
        repeats: How many there were.
    """

    value: float
    low: float
    high: float
    noisy: bool
    repeats: int


def median(values: Sequence[float]) -> Median | None:
    """Median of repeats with an interval between two of them that needs no assumption about their distribution.

    The ends are the innermost pair of values, equally far from both ends of their order, that hold the true median with
    at least 95 % (binomial; Conover, "Practical Nonparametric Statistics", 3rd edition, 1999, section 3.2). Up to five
    repeats that is the smallest and the largest one, with less confidence: 93.75 % for five, 75 % for three.

    Returns:
        None below two repeats: nothing is said from a single run.
    """
    number = len(values)
    if number < 2:
        return None
    ordered = sorted(values)
    rank = _interval_rank(number)
    return Median(
        statistics.median(ordered), ordered[rank], ordered[number - 1 - rank], variation(ordered) > NOISY, number
    )


def _interval_rank(number: int) -> int:
    outside, rank = 0.0, 0
    while rank < number // 2:
        outside += 2 * comb(number, rank) / 2**number
        if outside > 1 - CONFIDENCE:
            break
        rank += 1
    return max(rank - 1, 0)


def variation(values: Sequence[float]) -> float:
    """Coefficient of variation: sample standard deviation over mean; 0 below two values or around 0."""
    mean = statistics.fmean(values) if values else 0.0
    return statistics.stdev(values) / abs(mean) if len(values) > 1 and mean else 0.0


@dataclass(frozen=True, slots=True)
class Ratio:
    """How new compares with old: the ratio of the medians, and its 95 % interval; None for too few repeats."""

    value: float
    low: float | None
    high: float | None

    @property
    def within_noise(self) -> bool | None:
        """Whether the interval holds 1; None without an interval."""
        return None if self.low is None or self.high is None else self.low <= 1.0 <= self.high


def ratio(new: Sequence[float], old: Sequence[float]) -> Ratio | None:
    """Ratio of two medians, with a percentile bootstrap interval: each side's repeats drawn anew, independently.

    Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapters 8 and 13.

    Returns:
        None below two repeats on either side, or where a median is 0.
    """
    if min(len(new), len(old)) < 2 or not statistics.median(old) or not statistics.median(new):
        return None
    value = statistics.median(new) / statistics.median(old)
    if min(len(new), len(old)) < LEAST_TO_COMPARE:
        return Ratio(value, None, None)
    rng = np.random.default_rng(_SEED)
    above, below = (np.median(rng.choice(side, (_RESAMPLES, len(side))), axis=1) for side in (new, old))
    usable = below != 0
    outside = (1 - CONFIDENCE) / 2
    low, high = np.quantile(above[usable] / below[usable], [outside, 1 - outside]).tolist()
    return Ratio(value, low, high)
