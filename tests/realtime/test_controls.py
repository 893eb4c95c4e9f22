"""The window's keys, its help line, and the sink that shows the newest picture."""

import numpy as np
import numpy.typing as npt
import pytest

from rt_seg.engines.geometry import Box, Geometry
from rt_seg.errors import InputError
from rt_seg.realtime.controls import HELP_LINE, Controls
from rt_seg.realtime.frame import Frame, Rendered, Segmentation, Showing
from rt_seg.realtime.hud import Hud
from rt_seg.realtime.overlay import CYAN, Overlay
from rt_seg.realtime.regions import find_polyps
from rt_seg.realtime.render import Render
from rt_seg.realtime.screen import Screen, with_line
from rt_seg.realtime.state import Status
from rt_seg.realtime.statistics import Statistics

UInt8Array = npt.NDArray[np.uint8]


@pytest.mark.parametrize(
    ("key", "attribute", "value", "message"),
    [
        ("o", "style", "fill", "overlay: fill"),
        ("O", "style", "fill", "overlay: fill"),
        ("+", "threshold", 0.55, "threshold: 0.55"),
        ("=", "threshold", 0.55, "threshold: 0.55"),
        ("-", "threshold", 0.45, "threshold: 0.45"),
        ("h", "hud", False, "HUD: off"),
        ("s", "snapshots", 1, "snapshot taken"),
        ("r", "recording", True, "recording: on"),
        (" ", "paused", True, "paused"),
        ("?", "help", False, ""),
    ],
)
def test_each_key_changes_one_thing_and_says_so(key: str, attribute: str, value: object, message: str) -> None:
    """Upper and lower case are one; the message says the new state."""
    controls = Controls()
    before = {
        name: getattr(controls, name)
        for name in ("style", "threshold", "hud", "snapshots", "recording", "paused", "help")
    }
    assert controls.press(ord(key))
    after = {name: getattr(controls, name) for name in before}
    assert after == before | {attribute: value}
    assert controls.message == message


@pytest.mark.parametrize(
    ("key", "ends"), [(ord("q"), True), (ord("Q"), True), (27, True), (ord("x"), False), (200, False)]
)
def test_q_and_esc_end_it(key: int, ends: bool) -> None:
    """Other keys, known or not, do not."""
    assert Controls().press(key) is not ends


def test_the_threshold_stays_within_bounds() -> None:
    """It never reaches 0, where all is polyp, nor 1."""
    controls = Controls()
    for key, bound in (("-", 0.05), ("+", 0.95)):
        for _ in range(40):
            controls.press(ord(key))
        assert controls.threshold == bound
    assert controls.level == round(0.95 * 255)


def test_styles_come_round() -> None:
    """Four presses lead back to the first style."""
    controls = Controls()
    seen: list[str] = []
    for _ in range(4):
        controls.press(ord("o"))
        seen.append(controls.style)
    assert seen == ["fill", "heatmap", "none", "contour"]


def test_every_key_is_on_the_help_line() -> None:
    """What a key does is said for each of them."""
    for key, word in {
        "o": "overlay",
        "+ -": "threshold",
        "h": "HUD",
        "s": "snapshot",
        "r": "record",
        "space": "pause",
        "q": "quit",
    }.items():
        assert f"{key} {word}" in HELP_LINE


@pytest.mark.parametrize(("width", "height"), [(640, 480), (1920, 1080), (3840, 2160), (200, 1000)])
def test_a_line_stands_below_the_picture(width: int, height: int) -> None:
    """The picture stays whole and as it is; the line fits beside its edge at every size."""
    image = np.full((height, width, 3), 120, np.uint8)
    out = with_line(image, HELP_LINE)
    assert (out[:height] == 120).all()
    strip = out[height:]
    assert strip.max() > 150
    if width >= 640:
        assert (strip[:, -3:] == strip[0, -1]).all()


class FakeWindow:
    """Keeps what it is shown; keys are pressed by the test."""

    def __init__(self) -> None:
        self.shown: list[UInt8Array] = []
        self.open = True

    def show(self, image: UInt8Array) -> bool:
        self.shown.append(image)
        return self.open

    def poll(self) -> bool:
        return self.open

    def close(self) -> None:
        self.open = False


def picture(index: int) -> Rendered:
    """A numbered picture."""
    frame = Frame(index, index / 25, 0, np.full((480, 640, 3), index, np.uint8))
    return Rendered(frame, frame.image, None, {}, 1)


@pytest.fixture
def screen() -> tuple[Screen, FakeWindow, Controls, Statistics]:
    """A screen with what it works with."""
    window, controls, statistics = FakeWindow(), Controls(help=False), Statistics()
    return Screen(window, controls, statistics), window, controls, statistics  # type: ignore[arg-type]  # a fake


Made = tuple[Screen, FakeWindow, Controls, Statistics]


def test_the_newest_picture_is_shown_and_measured(screen: Made) -> None:
    """Of three that came meanwhile the last one is shown, the others are counted; its delay ends there."""
    made, window, _, statistics = screen
    for index in range(3):
        made.write(picture(index))
    assert made.refresh(0.0)
    assert [int(image[0, 0, 0]) for image in window.shown] == [2]
    assert made.dropped == 2
    assert statistics.video_delay.percentiles().count == 1
    assert made.refresh(0.0)
    assert len(window.shown) == 1


def test_pause_holds_the_picture_and_says_so(screen: Made) -> None:
    """While paused, new pictures do not replace the one that is looked at."""
    made, window, controls, _ = screen
    made.write(picture(1))
    made.refresh(0.0)
    controls.press(ord(" "))
    made.write(picture(2))
    made.refresh(0.0)
    assert int(window.shown[-1][0, 0, 0]) == 1
    assert window.shown[-1].shape[0] > 480
    controls.press(ord(" "))
    made.write(picture(3))
    made.refresh(0.0)
    assert int(window.shown[-1][0, 0, 0]) == 3


def test_the_end_at_the_window_is_told(screen: Made) -> None:
    """A closed window is False, with or without a new picture."""
    made, window, _, _ = screen
    window.open = False
    made.write(picture(1))
    assert not made.refresh(0.0)
    assert not made.refresh(0.0)


def test_help_goes_by_itself(screen: Made) -> None:
    """The help line leaves after some hundred pictures; ? brings it back."""
    made, window, controls, _ = screen
    controls.help = True
    for index in range(400):
        made.write(picture(index % 200))
        made.refresh(0.0)
    assert window.shown[0].shape[0] > 480
    assert window.shown[-1].shape[0] == 480
    controls.press(ord("?"))
    made.write(picture(1))
    made.refresh(0.0)
    assert window.shown[-1].shape[0] > 480


CHOSEN: dict[str, object] = {
    "overlay": "heatmap",
    "alpha": 0.75,
    "threshold": 0.61,
    "stabilise": "strong",
    "min_frames": "3/5",
    "hud": False,
    "recording": True,
    "paused": True,
}


@pytest.mark.parametrize("name", CHOSEN)
def test_each_value_can_be_set_and_is_said(name: str) -> None:
    """What is set is what is read; the others stay; the message says the new state."""
    controls = Controls()
    before = controls.values()
    assert before.keys() == CHOSEN.keys()
    controls.change({name: CHOSEN[name]})
    assert controls.values() == before | {name: CHOSEN[name]}
    assert controls.message
    controls.change(before)
    assert controls.values() == before


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("overlay", "line"),
        ("overlay", None),
        ("alpha", -0.01),
        ("alpha", float("nan")),
        ("alpha", float("inf")),
        ("alpha", False),
        ("alpha", 10**400),
        ("threshold", 0.0),
        ("threshold", 1),
        ("threshold", "0.5"),
        ("stabilise", "very"),
        ("min_frames", "0/3"),
        ("min_frames", "4/3"),
        ("min_frames", "2/61"),
        ("min_frames", 3),
        ("min_frames", "3/5; 1"),
        ("hud", 1),
        ("recording", "yes"),
        ("paused", None),
        ("style", "fill"),
        ("snapshots", 3),
        ("_keys", {}),
    ],
)
def test_what_cannot_be_used_changes_nothing(name: str, value: object) -> None:
    """Neither it, nor what came along with it."""
    controls = Controls()
    before = controls.values()
    with pytest.raises(InputError):
        controls.change({"hud": not controls.hud, name: value})
    assert controls.values() == before
    assert controls.message == ""


def test_render_follows_style_and_opacity() -> None:
    """The very next picture is drawn by what was chosen before it."""
    frame = Frame(0, 0.0, 0, np.full((240, 320, 3), 100, np.uint8))
    geometry = Geometry(320, 240, Box.of_size(320, 240), 64, 64)
    probability = np.zeros((64, 64), np.uint8)
    probability[16:48, 16:48] = 255
    shown = Segmentation(frame, probability, geometry, 128, find_polyps(probability, geometry, 128), {})
    controls = Controls(hud=False)
    render = Render(Overlay(), Hud(), controls, Statistics(), Status())

    def inside() -> list[int]:
        return [int(value) for value in render(Showing(frame, shown)).image[120, 160]]

    assert inside() == [100, 100, 100]
    controls.change({"overlay": "fill", "alpha": 1.0})
    assert inside() == list(CYAN)
    controls.change({"alpha": 0.0})
    assert inside() == [100, 100, 100]
    controls.change({"overlay": "heatmap", "alpha": 1.0})
    hot = inside()
    controls.change({"alpha": 0.5})
    assert inside() == [pytest.approx((100 + value) / 2, abs=2) for value in hot]
