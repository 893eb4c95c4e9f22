"""Refining: what one scene showed is over when another one begins."""

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from rt_seg.engines.geometry import Box, Geometry
from rt_seg.engines.samples import load_samples
from rt_seg.realtime.frame import Frame, Segmentation
from rt_seg.realtime.refine import Refine
from rt_seg.realtime.regions import find_polyps
from rt_seg.realtime.sightings import Sighting, SightingTracker
from rt_seg.realtime.stabilise import Stabiliser


def seen(image: npt.NDArray[np.uint8], index: int) -> Segmentation:
    """A polyp at the same place of any picture, at 25 frames a second."""
    probability = np.zeros((64, 64), np.uint8)
    probability[20:40, 20:40] = 240
    height, width = image.shape[:2]
    geometry = Geometry(width, height, Box.of_size(width, height), 64, 64)
    frame = Frame(index, index / 25, 0, image)
    return Segmentation(frame, probability, geometry, 128, find_polyps(probability, geometry, 128), {})


@pytest.mark.parametrize("change", ["scene", "size"])
def test_a_cut_ends_the_sightings(change: str) -> None:
    """A polyp at the same place of another scene, or size, is another one, and drawn only when it is seen again."""
    ended: list[Sighting] = []
    refine = Refine(Stabiliser("light"), SightingTracker((2, 3)), on_ended=ended.extend)
    first, other = (sample.image for sample in load_samples()[:2])
    height, width = first.shape[:2]
    changed = cv2.resize(other, (width, height)) if change == "scene" else cv2.resize(first, (width // 2, height // 2))
    second = np.asarray(changed, np.uint8)
    before = [refine(seen(first, index)).polyps for index in range(5)]
    after = [refine(seen(second, index)).polyps for index in range(5, 8)]
    assert [[polyp.track_id for polyp in polyps] for polyps in before] == [[], [1], [1], [1], [1]]
    assert [[polyp.track_id for polyp in polyps] for polyps in after] == [[], [2], [2]]
    assert [(sighting.id, sighting.last_seconds) for sighting in ended] == [(1, 0.16)]
