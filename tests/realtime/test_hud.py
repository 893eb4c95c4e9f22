"""The HUD: readable, quiet, in its own rectangle."""

import numpy as np
import numpy.typing as npt
import pytest

from rt_seg.engines.geometry import Box
from rt_seg.realtime.hud import Hud, HudState
from rt_seg.realtime.state import StreamState

UInt8Array = npt.NDArray[np.uint8]
STATE = HudState(fps=24.97, delay_ms=38.2, polyps=1)


def grey(width: int, height: int) -> UInt8Array:
    """A plain picture."""
    return np.full((height, width, 3), 120, np.uint8)


def touched(image: UInt8Array) -> Box:
    """The box of what is no longer plain."""
    rows, columns = np.nonzero((image != 120).any(axis=2))
    x, y = int(columns.min()), int(rows.min())
    return Box(x, y, int(columns.max()) + 1 - x, int(rows.max()) + 1 - y)


@pytest.mark.parametrize(("width", "height"), [(640, 480), (854, 480), (1920, 1080), (3840, 2160), (1081, 1921)])
def test_plate_is_small_and_grows_with_the_picture(width: int, height: int) -> None:
    """The plate takes a like share of pictures of all sizes and lies inside, away from the edge."""
    image = grey(width, height)
    Hud().draw(image, STATE)
    box = touched(image)
    assert 0.005 < box.area / (width * height) < 0.06
    assert box.x > 0
    assert box.bottom < height


def test_only_the_plates_rectangle_is_touched() -> None:
    """Every pixel of the rectangle is dimmed or written on, none beside it."""
    image = grey(1280, 720)
    Hud().draw(image, STATE)
    box = touched(image)
    inside = image[box.slices]
    changed = (image != 120).any(axis=2)
    assert changed[box.slices].sum() == changed.sum()
    # the soft rim of a letter may come out as the grey that was there
    assert changed.sum() > 0.99 * box.area
    assert inside.max() > 200  # bright text on it


@pytest.mark.parametrize(
    "field",
    [Box(400, 20, 860, 680), Box(20, 20, 860, 680), Box(0, 0, 1280, 560), Box(0, 150, 1280, 570)],
    ids=["left free", "right free", "below free", "above free"],
)
def test_plate_stays_outside_the_field_where_there_is_room(field: Box) -> None:
    """Whichever side is free, the field's pixels stay as they are."""
    image = grey(1280, 720)
    Hud().draw(image, STATE, field)
    assert (image[field.slices] == 120).all()
    assert (image != 120).any()


def test_plate_keeps_its_corner_unless_another_is_much_better() -> None:
    """A field that wavers by some pixels does not make the plate jump; one that leaves a side free does."""
    hud = Hud()
    boxes: list[Box] = []
    for field in (Box(0, 0, 1280, 720), Box(4, 0, 1276, 720), Box(0, 0, 1276, 720), Box(0, 0, 900, 720)):
        image = grey(1280, 720)
        hud.draw(image, STATE, field)
        boxes.append(touched(image))
    assert boxes[0] == boxes[1] == boxes[2]
    assert boxes[3].x >= 900


def test_a_small_picture_gets_the_brief_lines() -> None:
    """At 352x240 the plate is small, says the count, and says trouble instead where there is any."""
    images = [grey(352, 240) for _ in range(2)]
    Hud().draw(images[0], STATE)
    Hud().draw(images[1], HudState(status=StreamState.NO_SIGNAL))
    assert touched(images[0]).area < 0.09 * 352 * 240
    assert (images[0] != images[1]).any()
    assert HudState(polyps=2).brief[0][0] == "2 polyps"
    assert HudState(status=StreamState.NO_SIGNAL).brief[0][0] == "no signal"


def test_words_change_at_once_and_figures_when_due() -> None:
    """A new polyp shows in the next frame; a new delay waits, so that it can be read."""
    hud = Hud(renew_seconds=3600)
    images = [grey(1280, 720) for _ in range(3)]
    hud.draw(images[0], STATE)
    hud.draw(images[1], HudState(fps=24.97, delay_ms=39.9, polyps=1))
    hud.draw(images[2], HudState(fps=24.97, delay_ms=39.9, polyps=2))
    assert (images[0] == images[1]).all()
    assert (images[1] != images[2]).any()


def test_figures_are_renewed_when_due() -> None:
    """With no time to wait, a new delay shows."""
    hud = Hud(renew_seconds=0)
    images = [grey(1280, 720) for _ in range(2)]
    hud.draw(images[0], STATE)
    hud.draw(images[1], HudState(fps=24.97, delay_ms=99.0, polyps=1))
    assert (images[0] != images[1]).any()


def test_plate_follows_a_change_of_size() -> None:
    """Video that changes its size midway gets a plate of the new size."""
    hud = Hud(renew_seconds=3600)
    small, large = grey(640, 480), grey(1920, 1080)
    hud.draw(small, STATE)
    hud.draw(large, STATE)
    assert touched(large).height > 1.5 * touched(small).height


def test_trouble_is_said_in_another_colour() -> None:
    """Without segmentation, the plate says so in amber; BGR with much more red than blue."""
    fine, trouble = grey(1280, 720), grey(1280, 720)
    Hud().draw(fine, HudState(polyps=0))
    Hud().draw(trouble, HudState(status=StreamState.UNAVAILABLE))
    redness = [int((image[..., 2].astype(int) - image[..., 0]).max()) for image in (fine, trouble)]
    assert redness[0] < 20
    assert redness[1] > 150


@pytest.mark.parametrize(("polyps", "text"), [(None, "no mask"), (0, "no polyps"), (1, "1 polyp"), (3, "3 polyps")])
def test_polyps_are_counted_in_words(polyps: int | None, text: str) -> None:
    """No mask is not the same as no polyps."""
    assert HudState(polyps=polyps).lines[1][0] == text


@pytest.mark.parametrize(("width", "height"), [(96, 64), (100, 4000), (4000, 60)])
def test_a_picture_without_room_goes_without(width: int, height: int) -> None:
    """A picture that the plate would cover from side to side is left alone."""
    image = grey(width, height)
    Hud().draw(image, STATE)
    assert (image == 120).all()


@pytest.mark.parametrize("state", list(StreamState))
def test_each_state_is_said_in_the_plates_one_width(state: StreamState) -> None:
    """The plate does not change its size with what it says; only trouble is amber."""
    image = grey(1280, 720)
    Hud().draw(image, HudState(fps=30.0, delay_ms=40.0, polyps=1, status=state))
    plain = grey(1280, 720)
    Hud().draw(plain, STATE)
    assert touched(image) == touched(plain)
    amber = int((image[..., 2].astype(int) - image[..., 0]).max()) > 150
    assert amber == (state not in (StreamState.SEGMENTING, StreamState.STARTING))


def test_a_recording_has_a_red_dot_and_a_stopped_one_a_line() -> None:
    """The dot is only there while a recording is written; a recording that failed is said in words."""

    def red(state: HudState) -> int:
        image = grey(1280, 720)
        Hud().draw(image, state)
        return int(((image[..., 2] > 200) & (image[..., 1] < 120)).sum())

    assert red(HudState(polyps=0, recording=True)) > 20
    assert red(HudState(polyps=0, recording=False)) == red(HudState(polyps=0)) == 0
    stopped = HudState(polyps=0, recording=False, stopped=("record",))
    assert "recording stopped" in [text for text, _ in stopped.lines]
    assert "recording stopped" in [text for text, _ in stopped.brief]
