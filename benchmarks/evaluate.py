"""Quality of any engine on folders of images and masks: `rt-seg evaluate`.

The protocol is the one of the field's papers since PraNet (Fan et al., MICCAI 2020): the probability is scaled up
(bilinear) to the size of the mask as published and compared there, each image counting the same. One thing is left out
on purpose: the probability is never stretched to fill 0 to 1. What is compared is the bare probability, cut at the
threshold; the specks that the overlay leaves out count.
"""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from rt_seg.engines.engine import Engine, EngineInfo
from rt_seg.engines.load import PrecisionChoice, load_engine
from rt_seg.engines.masks import threshold_level
from rt_seg.engines.resize import probability_at_source
from rt_seg.engines.spec import ModelSpec
from rt_seg.realtime.frame import Frame, Prepared
from rt_seg.realtime.preprocess import Preprocess
from rt_seg.train.data import Pair, read_pair

from .evaluate_data import Centre, find_centres
from .evaluate_measures import Curve, Measures, PixelCounts, false_region_level

UInt8Array = npt.NDArray[np.uint8]
Region = Literal["auto", "full"]


@dataclass(frozen=True, slots=True)
class EvaluationSettings:
    """What `rt-seg evaluate` was asked for; `benchmarks/command.py` says what each means."""

    data: tuple[Path, ...]
    split: Path | None = None
    exclude: tuple[Path, ...] = ()
    engine: str = "auto"
    precision: PrecisionChoice = "auto"
    roi: Region = "auto"
    threshold: float | None = None
    limit: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ImageScore:
    """What was measured on one image.

    Attributes:
        centre: Name of its centre.
        pair: Image and mask.
        width: Width of the image in pixels.
        height: Height of the image in pixels.
        has_polyp: Whether the mask shows any.
        measures: The figures at the threshold.
        dice: float64 ``[256]``: Dice with pixels of value ``i`` and above marked.
        iou: float64 ``[256]``: IoU likewise.
        false_region_level: Without a polyp, the highest level with a false region (see `evaluate_measures`); else None.
    """

    centre: str
    pair: Pair
    width: int
    height: int
    has_polyp: bool
    measures: Measures
    dice: Curve
    iou: Curve
    false_region_level: int | None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All that one run measured.

    Attributes:
        settings: What was asked for.
        spec: The model.
        info: What ran it.
        threshold: Probability (0-1) from which a pixel counted as polyp.
        level: The same as a uint8 value.
        centres: Names, in the order of the folders.
        scores: One an image, centre by centre.
    """

    settings: EvaluationSettings
    spec: ModelSpec
    info: EngineInfo
    threshold: float
    level: int
    centres: tuple[str, ...]
    scores: tuple[ImageScore, ...]


class Progress(Protocol):
    """Somebody who wants to see it run."""

    def begin(self, images: int, engine: EngineInfo) -> None:
        """The engine is loaded, and so many images are ahead."""
        ...

    def advance(self) -> None:
        """One more image is done."""
        ...


def evaluate_model(settings: EvaluationSettings, progress: Progress) -> Evaluation:
    """Load the engine that the settings name, and measure it.

    Raises:
        DataError: A folder, list, image or mask is unusable: a part of the data is not measured in place of the whole.
        ModelError: The model cannot be loaded.
        EngineError: The engine failed.
    """
    cv2.setNumThreads(1)  # images run in parallel: OpenCV's own threads would only fight them for the cores
    # before the engine, which takes longer to load than a wrong folder takes to find
    centres = find_centres(settings.data, split=settings.split, exclude=settings.exclude, limit=settings.limit)
    with load_engine(settings.engine, precision=settings.precision) as engine:
        return evaluate_engine(engine, centres, settings, progress)


def evaluate_engine(
    engine: Engine, centres: Sequence[Centre], settings: EvaluationSettings, progress: Progress
) -> Evaluation:
    """Measure any engine, in as many threads as it takes calls at once.

    Args:
        engine: What infers; it stays the caller's to close.
        centres: What `find_centres` gave.
        settings: Region and threshold.
        progress: Told of each image.

    Raises:
        DataError: An image or mask is unusable.
        EngineError: The engine failed.
    """
    threshold = engine.spec.threshold if settings.threshold is None else settings.threshold
    level = threshold_level(threshold)
    progress.begin(sum(len(centre.pairs) for centre in centres), engine.info)
    scores: list[ImageScore] = []
    for score in _score_all(engine, centres, settings.roi, level):
        scores.append(score)
        progress.advance()
    names = tuple(centre.name for centre in centres)
    return Evaluation(settings, engine.spec, engine.info, threshold, level, names, tuple(scores))


def prepare(image: UInt8Array, spec: ModelSpec, roi: Region) -> Prepared:
    """Make of one picture what the engine eats, as the stream does with a picture that is no video.

    Args:
        image: uint8 ``[H, W, 3]``, BGR.
        spec: The model.
        roi: ``full``: all of the picture; ``auto``: the field of view found in it.
    """
    return Preprocess(spec, roi, steady=False)(Frame(0, 0.0, 0, image))


def score_pair(engine: Engine, pair: Pair, centre: str, roi: Region, level: int) -> ImageScore:
    """Measure one image. As thread-safe as the engine.

    Args:
        engine: What infers.
        pair: Image and mask.
        centre: Name of its centre.
        roi: See `prepare`.
        level: uint8 value from which a pixel counts as polyp.

    Raises:
        DataError: Image or mask is unusable.
        EngineError: The engine failed.
    """
    image, truth = read_pair(pair)
    prepared = prepare(image, engine.spec, roi)
    probability = probability_at_source(engine.infer(prepared.tensor[None])[0], prepared.geometry)
    counts = PixelCounts.of(probability, truth)
    every = counts.confusion()
    has_polyp = bool(truth.any())
    return ImageScore(
        centre=centre,
        pair=pair,
        width=int(truth.shape[1]),
        height=int(truth.shape[0]),
        has_polyp=has_polyp,
        measures=Measures.of(counts, level),
        dice=every.dice,
        iou=every.iou,
        false_region_level=None if has_polyp else false_region_level(probability),
    )


def _score_all(engine: Engine, centres: Sequence[Centre], roi: Region, level: int) -> Iterator[ImageScore]:
    """Scores in the order of the images; the first error ends it, and what had not begun is not begun."""
    jobs: Iterable[tuple[Pair, str]] = [(pair, centre.name) for centre in centres for pair in centre.pairs]
    with ThreadPoolExecutor(max_workers=engine.info.parallel_calls) as pool:
        futures = [pool.submit(score_pair, engine, pair, name, roi, level) for pair, name in jobs]
        try:
            for future in futures:
                yield future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
