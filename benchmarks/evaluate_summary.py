"""From the scores of images to figures with intervals: `Summary`, and its JSON."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from importlib.metadata import version
from typing import Any

import numpy as np
import numpy.typing as npt

from .evaluate import Evaluation, ImageScore
from .evaluate_measures import FALSE_REGION_SHARE, Curve, Measures

SCHEMA_VERSION = 1
RESAMPLES = 2000
CONFIDENCE = 0.95
MEASURES = tuple(field.name for field in fields(Measures))

_SEED = 0  # the same scores give the same intervals
_LEVELS = np.arange(1, 256)  # level 0 would mark every pixel


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over images and how far chance in the choice of images may have moved it.

    Attributes:
        value: The mean.
        low: Lower end of the 95 % bootstrap interval; None for fewer than two images.
        high: Its upper end.
    """

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Subset:
    """Means over some images, each counting the same.

    Attributes:
        images: How many.
        measures: A mean for each of `Measures`, by name; of no images there are none.
    """

    images: int
    measures: dict[str, Estimate]


@dataclass(frozen=True, slots=True)
class GroupSummary:
    """The figures of one centre, or of all.

    Attributes:
        images: Over every image. Where the mask is empty, the overlap figures are 1 if nothing was marked, else 0.
        with_polyp: Over the images that show a polyp: what papers call mDice, mIoU and so on.
        without_polyp: Over the images that show none.
        false_alarms: How many of the latter have a false region above `FALSE_REGION_SHARE`.
        false_alarm_share: The same as a share of them; None if there are none.
    """

    images: Subset
    with_polyp: Subset
    without_polyp: Subset
    false_alarms: int
    false_alarm_share: Estimate | None


@dataclass(frozen=True, slots=True, eq=False)
class Curves:
    """Figures over all centres at every threshold; float64 ``[255]`` each.

    Attributes:
        threshold: Probability from which a pixel counts as polyp.
        mdice: Mean Dice of the images with a polyp; None if there are none.
        miou: Mean IoU of the same.
        false_alarm_share: Share of the images without a polyp with a false region; None if there are none.
    """

    threshold: Curve
    mdice: Curve | None
    miou: Curve | None
    false_alarm_share: Curve | None


@dataclass(frozen=True, slots=True)
class Summary:
    """The figures of one evaluation, in all and by centre."""

    overall: GroupSummary
    centres: dict[str, GroupSummary]
    curves: Curves


def summarise(evaluation: Evaluation) -> Summary:
    """Take means and intervals; the same scores give the same summary."""
    by_centre = {name: [score for score in evaluation.scores if score.centre == name] for name in evaluation.centres}
    return Summary(
        overall=_group(evaluation.scores, evaluation.level),
        centres={name: _group(scores, evaluation.level) for name, scores in by_centre.items()},
        curves=_curves(evaluation.scores),
    )


def _group(scores: Sequence[ImageScore], level: int) -> GroupSummary:
    positive = [score for score in scores if score.has_polyp]
    negative = [score for score in scores if not score.has_polyp]
    alarms = np.array([is_false_alarm(score, level) for score in negative], dtype=np.float64)
    return GroupSummary(
        images=_subset(scores),
        with_polyp=_subset(positive),
        without_polyp=_subset(negative),
        false_alarms=int(alarms.sum()),
        false_alarm_share=estimates(alarms[:, None])[0] if negative else None,
    )


def is_false_alarm(score: ImageScore, level: int) -> bool:
    """Whether an image without a polyp shows a false region with pixels of this value and above marked."""
    return score.false_region_level is not None and score.false_region_level >= level


def _subset(scores: Sequence[ImageScore]) -> Subset:
    if not scores:
        return Subset(0, {})
    values = np.array([[getattr(score.measures, name) for name in MEASURES] for score in scores], dtype=np.float64)
    return Subset(len(scores), dict(zip(MEASURES, estimates(values), strict=True)))


def estimates(values: npt.NDArray[np.float64]) -> list[Estimate]:
    """Means over images, with percentile bootstrap intervals.

    `RESAMPLES` times as many images as there are, are drawn with replacement (Efron and Tibshirani, "An Introduction to
    the Bootstrap", 1993, chapter 13); images of one patient count as if they were independent.

    Args:
        values: float64 ``[images, figures]``, at least one image.

    Returns:
        One for each figure.
    """
    means = values.mean(axis=0).tolist()
    number = len(values)
    if number < 2:
        return [Estimate(mean, None, None) for mean in means]
    rng = np.random.default_rng(_SEED)
    drawn = np.array([values[rng.integers(number, size=number)].mean(axis=0) for _ in range(RESAMPLES)])
    outside = (1 - CONFIDENCE) / 2
    low, high = np.quantile(drawn, [outside, 1 - outside], axis=0).tolist()
    return [Estimate(*figures) for figures in zip(means, low, high, strict=True)]


def _curves(scores: Sequence[ImageScore]) -> Curves:
    levels_of_alarms = [score.false_region_level for score in scores if score.false_region_level is not None]
    alarms = np.array(levels_of_alarms)[:, None] >= _LEVELS if levels_of_alarms else None
    return Curves(
        threshold=_LEVELS / 255,
        mdice=_mean_curve(scores, lambda score: score.dice),
        miou=_mean_curve(scores, lambda score: score.iou),
        false_alarm_share=None if alarms is None else alarms.mean(axis=0),
    )


def _mean_curve(scores: Sequence[ImageScore], curve: Callable[[ImageScore], Curve]) -> Curve | None:
    curves = [curve(score)[_LEVELS] for score in scores if score.has_polyp]
    return np.mean(curves, axis=0) if curves else None


def as_dict(evaluation: Evaluation, summary: Summary) -> dict[str, Any]:
    """All of it as JSON values."""
    settings, info = evaluation.settings, evaluation.info
    return {
        "schema_version": SCHEMA_VERSION,
        "rt_seg_version": version("rt-seg"),
        "model": asdict(evaluation.spec),
        "engine": asdict(info),
        "data": [str(folder) for folder in settings.data],
        "split": None if settings.split is None else str(settings.split),
        "exclude": [str(path) for path in settings.exclude],
        "limit": settings.limit,
        "protocol": {
            "roi": settings.roi,
            "threshold": evaluation.threshold,
            "compared_at": "mask resolution",
            "false_region_share": FALSE_REGION_SHARE,
            "interval": {"confidence": CONFIDENCE, "method": "percentile bootstrap by image", "resamples": RESAMPLES},
        },
        "overall": asdict(summary.overall),
        "centres": {name: asdict(group) for name, group in summary.centres.items()},
        "curves": {
            name: None if curve is None else np.round(curve, 6).tolist()
            for name, curve in asdict(summary.curves).items()
        },
    }
