"""How good the masks of an engine are, beside its speed: `judge_side` runs in a fresh process, once for each engine."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from rt_seg.engines.cpu import usable_cores
from rt_seg.engines.engine import Engine
from rt_seg.engines.masks import dice, threshold_level
from rt_seg.engines.resize import resize_image
from rt_seg.engines.samples import load_samples
from rt_seg.realtime.demo import demo_masks, demo_video
from rt_seg.realtime.sources.open import open_source
from rt_seg.train.data import find_pairs, read_pair

from .engine_sides import load_side

UInt8Array = npt.NDArray[np.uint8]

_DEMO_STEP = 10  # every tenth frame of the demo is judged: the ones between look alike


def judge_side(kind: str, precision: str, model: str, data: list[str]) -> dict[str, Any]:
    """Load an engine once and measure its masks: what is not there or does not run is found out here.

    Args:
        kind: What `load_side` knows.
        precision: Number format.
        model: The file.
        data: Data folders; empty takes what is packaged.

    Returns:
        ``mdice`` over the pictures that show a polyp, ``pictures``, and what the engine says it is.

    Raises:
        RtSegError: It cannot be loaded or run.
    """
    cv2.setNumThreads(1)
    with load_side(kind, precision, model, threads=usable_cores(), calls=1) as engine:
        values = [_dice(engine, image, mask) for image, mask in _pictures(data) if mask.any()]
        device = engine.info.device
    return {"mdice": float(np.mean(values)) if values else None, "pictures": len(values), "device": device}


def _dice(engine: Engine, image: UInt8Array, mask: UInt8Array) -> float:
    probability = _infer_picture(engine, image)
    height, width = mask.shape
    stretched = np.asarray(cv2.resize(probability, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
    return float(dice(stretched >= threshold_level(engine.spec.threshold), mask > 0))


def _infer_picture(engine: Engine, image: UInt8Array) -> UInt8Array:
    spec = engine.spec
    probability: UInt8Array = engine.infer(resize_image(image, spec.width, spec.height, spec.interpolation)[None])[0]
    return probability


def _pictures(data: list[str]) -> Iterator[tuple[UInt8Array, UInt8Array]]:
    if data:
        yield from (read_pair(pair) for pair in find_pairs([Path(folder) for folder in data]))
        return
    yield from ((sample.image, sample.mask) for sample in load_samples())
    source = open_source(str(demo_video()))
    try:
        wanted = (frame for frame in source if frame.index % _DEMO_STEP == 0)
        for frame, mask in zip(wanted, demo_masks(_DEMO_STEP), strict=False):
            yield frame.image, mask
    finally:
        source.close()
