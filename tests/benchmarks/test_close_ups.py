"""Close-ups as a measure: which parts they show, and what is said of them."""

from collections import Counter

import numpy as np

from rt_seg.benchmarks.close_ups import WITH_POLYP, WITHOUT_POLYP, Scores, close_ups
from rt_seg.engines import CallableEngine, ModelSpec
from rt_seg.engines.samples import load_samples


def test_close_ups_of_a_picture_are_the_same_each_time() -> None:
    """A picture gives itself, up to two parts with polyp and three without, and the same for the same number."""
    sample = load_samples()[2]
    first, second = (list(close_ups(sample.image, sample.mask, 64, number=3)) for _ in range(2))
    kinds = Counter(kind for kind, _picture in first)
    assert kinds["whole"] == 1
    assert 0 < kinds["polyp"] <= WITH_POLYP
    assert 0 < kinds["no polyp"] <= WITHOUT_POLYP
    for (kind, (image, mask)), (_kind, (again, _mask)) in zip(first, second, strict=True):
        assert image.shape == (64, 64, 3)
        assert mask.any() == (kind != "no polyp")
        assert np.array_equal(image, again)


def test_false_area_counts_only_where_there_is_no_polyp() -> None:
    """An engine that marks half of everything: Dice with a polyp, false regions in all pictures without."""

    def half(frames: np.ndarray) -> np.ndarray:
        answer = np.zeros(frames.shape[:3], np.uint8)
        answer[:, :32] = 255
        return answer

    mask = np.zeros((64, 64), np.uint8)
    with CallableEngine(half, ModelSpec("half", width=64, height=64)) as engine:
        scores = Scores(engine)
        scores.add("no polyp", np.zeros((64, 64, 3), np.uint8), mask)
        mask[:16] = 255
        scores.add("polyp", np.zeros((64, 64, 3), np.uint8), mask)
    assert scores.figure("no polyp") == "100.0%"
    assert scores.figure("polyp") == "0.667"
