"""Stabilised probabilities: steadier than what comes in, never an old mask on a new picture."""

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from rt_seg.engines.geometry import Box, Geometry
from rt_seg.engines.samples import load_samples
from rt_seg.realtime.stabilise import FILTERS, Filter, Mode, Stabiliser

UInt8Array = npt.NDArray[np.uint8]
GEOMETRY = Geometry(640, 512, Box.of_size(640, 512), 256, 256)
PICTURE = np.asarray(cv2.resize(load_samples()[0].image, (256, 256), interpolation=cv2.INTER_AREA), np.uint8)
OTHER = np.random.default_rng(3).integers(0, 255, (256, 256, 3), np.uint8)
MODES: list[Mode] = ["light", "strong"]


def spot(level: int = 255, x: int = 128) -> UInt8Array:
    """A probability with one square."""
    probability = np.zeros((256, 256), np.uint8)
    probability[100:140, x : x + 40] = level
    return probability


def run(stabiliser: Stabiliser, probabilities: list[UInt8Array], fps: float = 25.0) -> list[UInt8Array]:
    """Each probability in turn on one unmoving picture."""
    return [stabiliser(p, PICTURE, GEOMETRY, i / fps) for i, p in enumerate(probabilities)]


def test_off_hands_through() -> None:
    """With off the very array comes back."""
    probability = spot()
    assert Stabiliser("off")(probability, PICTURE, GEOMETRY, 0.0) is probability


@pytest.mark.parametrize("mode", MODES)
def test_the_first_frame_is_taken_as_it_is(mode: Mode) -> None:
    """There is no delay where there is no past."""
    assert (Stabiliser(mode)(spot(), PICTURE, GEOMETRY, 0.0) == spot()).all()


@pytest.mark.parametrize("mode", MODES)
def test_a_mask_that_flickers_holds_still(mode: Mode) -> None:
    """A probability that swings around the threshold gives one that stays on one side; the input is not written to."""
    given = [spot(185 if i % 2 else 90) for i in range(20)]
    before = [p.copy() for p in given]
    out = run(Stabiliser(mode), given)
    swing = [int(p[120, 140]) for p in out[8:]]
    assert max(swing) - min(swing) < 70
    assert all((a == b).all() for a, b in zip(given, before, strict=True))


@pytest.mark.parametrize("mode", MODES)
def test_a_change_that_stays_is_followed_within_the_time_constant(mode: Mode) -> None:
    """After one time constant 63 % are followed, at any frame rate."""
    seconds = FILTERS[mode].seconds
    for frames in (2, 8):
        steps = [np.zeros((256, 256), np.uint8)] + [spot()] * frames
        out = run(Stabiliser(mode), steps, fps=frames / seconds)
        assert int(out[-1][120, 140]) == pytest.approx(255 * 0.632, abs=3)


def test_the_mean_moves_with_the_picture() -> None:
    """A mask on tissue that moves stays sharp where the tissue is; without moving it smears."""
    big = cv2.resize(load_samples()[0].image, (420, 420), interpolation=cv2.INTER_AREA)
    results: dict[bool, float] = {}
    for moving in (True, False):
        stabiliser = Stabiliser(Filter(0.3, moving=moving))
        held = spot(x=150)
        for i in range(10):
            x = 6 * i
            held = stabiliser(spot(x=150 - x), np.asarray(big[60:316, x : x + 256], np.uint8), GEOMETRY, i / 25)
        marked, truth = held >= 128, spot(x=150 - 54) > 0
        results[moving] = float((marked & truth).sum() / (marked | truth).sum())
    assert results[True] > 0.85
    assert results[True] > results[False] + 0.2


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("change", ["cut", "gap", "backwards", "field"])
def test_nothing_of_an_older_picture_is_left(mode: Mode, change: str) -> None:
    """After a cut, a gap, a jump back in time or with another field of view the past is forgotten at once."""
    stabiliser = Stabiliser(mode)
    for i in range(5):
        stabiliser(spot(), PICTURE, GEOMETRY, i / 25)
    picture, second, geometry = PICTURE, 5 / 25, GEOMETRY
    if change == "cut":
        picture = OTHER
    elif change == "gap":
        second = 3.0
    elif change == "backwards":
        second = 0.05
    else:
        geometry = Geometry(640, 512, Box(64, 0, 512, 512), 256, 256)
    assert not stabiliser(np.zeros((256, 256), np.uint8), picture, geometry, second).any()


def test_hysteresis_keeps_what_is_marked() -> None:
    """A marked pixel needs less to stay than an unmarked one needs to begin."""
    filter_ = Filter(margin=30)
    marked = run(Stabiliser(filter_), [spot(200), spot(110)])
    fresh = run(Stabiliser(filter_), [spot(0), spot(140)])
    assert marked[1][120, 140] >= 128
    assert fresh[1][120, 140] < 128


def test_another_mode_takes_hold_with_the_next_frame() -> None:
    """What was held before is forgotten, also on the way back to the first mode; choosing the same changes nothing."""
    stabiliser = Stabiliser("strong")
    run(stabiliser, [spot()] * 4)
    nothing = np.zeros((256, 256), np.uint8)
    stabiliser.choose("strong")
    assert stabiliser(nothing, PICTURE, GEOMETRY, 0.16).max() > 100
    stabiliser.choose("off")
    assert stabiliser(nothing, PICTURE, GEOMETRY, 0.2) is nothing
    stabiliser.choose("strong")
    assert stabiliser(nothing, PICTURE, GEOMETRY, 0.24).max() == 0
