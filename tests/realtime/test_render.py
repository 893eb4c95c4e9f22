"""From frame and mask to the picture that is handed over: whose mask, how old, which state, and which pixels."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from rt_seg.engines.geometry import Box, Geometry
from rt_seg.realtime.controls import Controls
from rt_seg.realtime.follow import Follow
from rt_seg.realtime.frame import Frame, Polyp, Rendered, Segmentation, Showing
from rt_seg.realtime.hud import Hud
from rt_seg.realtime.motion import GlobalMotion, Motion, small_grey
from rt_seg.realtime.overlay import Overlay, line_width
from rt_seg.realtime.regions import contours, find_polyps
from rt_seg.realtime.render import Render
from rt_seg.realtime.state import Status, StreamState
from rt_seg.realtime.statistics import Statistics

UInt8Array = npt.NDArray[np.uint8]
WIDTH, HEIGHT, SIDE = 1920, 1080, 256
FIELD = Box(320, 40, 1280, 1000)
GEOMETRY = Geometry(WIDTH, HEIGHT, FIELD, SIDE, SIDE)


def texture(seed: int) -> UInt8Array:
    """Something to recognise a motion by: smooth noise, uint8 ``[HEIGHT + 200, WIDTH + 200, 3]``."""
    noise = np.random.default_rng(seed).integers(0, 256, (60, 100, 3), np.uint8)
    return np.asarray(cv2.resize(noise, (WIDTH + 200, HEIGHT + 200), interpolation=cv2.INTER_CUBIC), np.uint8)


TEXTURE = texture(1)


def frame_at(index: int, x: int, y: int, picture: UInt8Array = TEXTURE, age: float = 0.0) -> Frame:
    """The texture seen from an offset, captured so many seconds ago."""
    image = np.ascontiguousarray(picture[y : y + HEIGHT, x : x + WIDTH])
    return Frame(index, index / 30, time.perf_counter_ns() - round(age * 1e9), image)


def segmentation_of(frame: Frame, *, polyp: bool = True) -> Segmentation:
    """A disc in the middle of the field, or nothing."""
    probability = np.zeros((SIDE, SIDE), np.uint8)
    if polyp:
        cv2.circle(probability, (128, 128), 40, 230, -1)
    grey = small_grey(frame.image[FIELD.slices])
    return Segmentation(frame, probability, GEOMETRY, 128, find_polyps(probability, GEOMETRY, 128), {}, grey)


def centre(polyp: Polyp) -> tuple[float, float]:
    """Middle of its box."""
    return polyp.box.x + polyp.box.width / 2, polyp.box.y + polyp.box.height / 2


@pytest.fixture
def render() -> Callable[..., tuple[Render, Controls, Status]]:
    """Makes a `Render` with what it reads: ``render(follow=..., hud=...)``."""

    def make(follow: Follow | None = None, *, hud: bool = False, last: bool = False) -> tuple[Render, Controls, Status]:
        controls, status = Controls(hud=hud), Status()
        made = Render(Overlay("contour"), Hud(), controls, Statistics(), status, follow=follow, last=last)
        return made, controls, status

    return make


def shown(rendered: Rendered | None) -> Rendered:
    """The picture, which must be there."""
    assert rendered is not None
    return rendered


def test_pixels_outside_the_marker_are_the_inputs_bit_for_bit(
    render: Callable[..., tuple[Render, Controls, Status]],
) -> None:
    """With contours and without HUD, what is handed over differs from the frame only where the line is drawn."""
    frame = frame_at(0, 100, 100)
    before = frame.image.copy()
    later = frame_at(1, 108, 100)
    for follow, showing in (
        (None, Showing(frame, segmentation_of(frame))),
        (Follow(10.0, GlobalMotion()), Showing(later, segmentation_of(frame))),
    ):
        rendered = shown(render(follow)[0](showing))
        assert rendered.segmentation is not None
        changed = (rendered.image != showing.frame.image).any(axis=2)
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        large = cv2.resize(rendered.segmentation.probability, (FIELD.width, FIELD.height))
        mask[FIELD.slices] = np.where(np.asarray(large) >= 128, 255, 0)
        edge = cv2.morphologyEx(mask, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
        reach = 2 * line_width(frame.image) + 8  # of line, dark edge and smoothing
        near = cv2.dilate(edge, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)) > 0
        assert changed.any()
        assert not changed[~near].any()
    assert (frame.image == before).all()


def test_without_a_polyp_the_picture_is_the_input(render: Callable[..., tuple[Render, Controls, Status]]) -> None:
    """Nothing found, nothing drawn: every pixel is the frame's, in memory of its own."""
    frame = frame_at(0, 100, 100)
    rendered = shown(render()[0](Showing(frame, segmentation_of(frame, polyp=False))))
    assert (rendered.image == frame.image).all()
    assert not np.shares_memory(rendered.image, frame.image)


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("given_away", [False, True])
def test_only_what_was_given_away_and_is_wanted_by_nobody_is_drawn_on(
    render: Callable[..., tuple[Render, Controls, Status]], *, last: bool, given_away: bool
) -> None:
    """The frame's own picture is drawn on where both hold, else a copy; what is handed over is the same picture."""
    frame = replace(frame_at(0, 100, 100), given_away=given_away)
    before, showing = frame.image.copy(), Showing(frame, segmentation_of(frame))
    expected = shown(render()[0](showing)).image
    rendered = shown(render(last=last)[0](showing))
    assert (rendered.image == expected).all()
    assert np.shares_memory(rendered.image, frame.image) == (last and given_away)
    assert (frame.image == before).all() == (not (last and given_away))


def test_a_mask_follows_the_tissue() -> None:
    """The picture moved by 24 and 12 pixels since: so did mask and box, to within a pixel or two."""
    earlier, later = frame_at(0, 100, 100), frame_at(1, 76, 88)
    newest = segmentation_of(earlier)
    moved = Follow(10.0, GlobalMotion())(later, newest)
    assert moved is not None
    assert moved.frame is earlier
    was, now = centre(newest.polyps[0]), centre(moved.polyps[0])
    assert (now[0] - was[0], now[1] - was[1]) == pytest.approx((24, 12), abs=3)
    measured = find_polyps(moved.probability, GEOMETRY, 128)[0]
    assert centre(measured)[0] - was[0] == pytest.approx(24, abs=6)


class Shift(GlobalMotion):
    """Says that every picture moved by the same share of the field, and grew about its upper left corner."""

    def __init__(self, x: float, zoom: float = 1.0) -> None:
        super().__init__()
        self._motion = Motion(np.array([[zoom, 0.0, x], [0.0, zoom, 0.0]]), 1.0, 1.0)

    def estimate(self, earlier: UInt8Array, later: UInt8Array) -> Motion:
        del earlier, later
        return self._motion


def filled(outlines: Sequence[npt.NDArray[np.float32]]) -> UInt8Array:
    """The outlines' inside, in the frame."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.fillPoly(mask, [np.rint(outline - 0.5).astype(np.int32) for outline in outlines], 255)
    return mask


@pytest.mark.parametrize(("x", "zoom"), [(0.1, 1.0), (0.42, 1.0), (0.6, 1.0), (0.0, 1.2), (0.1, 0.8)])
def test_a_polyp_that_moved_has_the_area_of_its_moved_mask(x: float, zoom: float) -> None:
    """Also where the field's edge cuts it or the camera came closer: never more than its box holds."""
    newest = segmentation_of(frame_at(0, 100, 100))
    moved = Follow(10.0, Shift(x, zoom))(frame_at(1, 100, 100), newest)
    assert moved is not None
    (polyp,), (measured,) = moved.polyps, find_polyps(moved.probability, GEOMETRY, 128)
    assert polyp.area_px <= polyp.box.width * polyp.box.height
    # a disc's part is estimated by that of its box
    assert polyp.area_px == pytest.approx(measured.area_px, rel=0.15 if x < 0.5 else 0.6)
    assert polyp.area_fraction == pytest.approx(polyp.area_px / (WIDTH * HEIGHT), rel=0.01)


@pytest.mark.parametrize("x", [0.1, 0.42])
def test_an_outline_that_was_found_before_moves_with_its_mask(x: float) -> None:
    """It lies where that of the moved mask would, also where the field's edge cuts it, and never beyond the field."""
    earlier, later = frame_at(0, 100, 100), frame_at(1, 100, 100)
    newest = segmentation_of(earlier)
    moved = Follow(10.0, Shift(x))(later, replace(newest, outlines=tuple(contours(newest))))
    assert moved is not None
    drawn, expected = filled(contours(moved)), filled(contours(replace(moved, outlines=None)))
    assert np.count_nonzero(drawn & expected) / np.count_nonzero(drawn | expected) > 0.96
    assert max(outline[:, 0].max() for outline in contours(moved)) <= FIELD.right


def test_an_outline_that_has_left_the_field_is_gone() -> None:
    """Moved beyond the edge, neither polyp nor outline is left, and nothing is drawn along the edge."""
    newest = segmentation_of(frame_at(0, 100, 100))
    moved = Follow(10.0, Shift(0.7))(frame_at(1, 100, 100), replace(newest, outlines=tuple(contours(newest))))
    assert moved is not None
    assert (moved.polyps, moved.outlines) == ((), ())


def test_an_old_mask_is_withheld(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mask is shown up to the limit, less what drawing takes, and not after."""
    frame = frame_at(0, 100, 100)
    newest, follow = segmentation_of(frame), Follow(0.120)
    ages = {0.0: True, 0.110: True, 0.119: False, 0.2: False}
    for age, is_shown in ages.items():
        stamp = frame.captured_ns + round(age * 1e9)
        monkeypatch.setattr(time, "perf_counter_ns", lambda stamp=stamp: stamp)
        assert (follow(frame, newest) is not None) == is_shown, age


def test_no_mask_goes_from_one_scene_to_another() -> None:
    """After a cut the mask of the old picture is not drawn on the new one, however young it is."""
    newest = segmentation_of(frame_at(0, 100, 100))
    assert Follow(10.0, GlobalMotion())(frame_at(1, 100, 100, texture(2)), newest) is None


def test_no_mask_goes_from_one_size_to_another() -> None:
    """After a change of resolution the mask of the other size is not drawn."""
    newest = segmentation_of(frame_at(0, 100, 100))
    small = Frame(1, 0.1, time.perf_counter_ns(), np.zeros((480, 640, 3), np.uint8))
    assert Follow(10.0, GlobalMotion())(small, newest) is None


def test_states_are_the_gravest_that_holds(render: Callable[..., tuple[Render, Controls, Status]]) -> None:
    """Segmenting; starting without a mask yet; withheld; unavailable; what is wrong with the picture."""
    frame, old = frame_at(0, 100, 100), frame_at(0, 100, 100, age=60.0)
    made, _, status = render(Follow(1.0))
    assert shown(made(Showing(frame, segmentation_of(frame)))).state is StreamState.SEGMENTING
    assert shown(made(Showing(frame, None))).state is StreamState.STARTING
    late = shown(made(Showing(frame, segmentation_of(old))))
    assert (late.state, late.segmentation) == (StreamState.WITHHELD, None)
    status.engine = False
    assert shown(made(Showing(frame, segmentation_of(frame)))).state is StreamState.SEGMENTING
    assert shown(made(Showing(frame, segmentation_of(old)))).state is StreamState.UNAVAILABLE
    judged, _, board = render()
    board.picture = StreamState.BLURRED
    assert shown(judged(Showing(frame, segmentation_of(frame)))).state is StreamState.BLURRED
    aligned, _, _ = render()
    assert shown(aligned(Showing(frame, None))).state is StreamState.UNAVAILABLE


def test_a_missing_picture_says_so_in_its_middle(render: Callable[..., tuple[Render, Controls, Status]]) -> None:
    """Also without HUD: black, with words in amber in the middle."""
    black = Frame(0, 0.0, 0, np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    rendered = shown(render()[0](Showing(black, None, signal=False)))
    assert (rendered.state, rendered.signal, rendered.segmentation) == (StreamState.NO_SIGNAL, False, None)
    rows, columns = np.nonzero(rendered.image.any(axis=2))
    assert abs(rows.mean() - HEIGHT / 2) < 40
    assert abs(columns.mean() - WIDTH / 2) < 40
    assert not black.image.any()


def test_keys_change_what_is_drawn(render: Callable[..., tuple[Render, Controls, Status]]) -> None:
    """The overlay's style and the HUD are those of the moment."""
    frame = frame_at(0, 100, 100)
    made, controls, _ = render()
    showing = Showing(frame, segmentation_of(frame))
    contour = shown(made(showing)).image
    controls.press(ord("o"))
    assert (shown(made(showing)).image != contour).sum() > 10_000
    controls.style = "none"
    assert (shown(made(showing)).image == frame.image).all()
    controls.press(ord("h"))
    assert (shown(made(showing)).image != frame.image).any()
