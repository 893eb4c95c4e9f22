"""The field of view: found at once, kept steady, moved only by agreement."""

from collections.abc import Iterable

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from rt_seg.engines.field_of_view import FieldOfView, Roi, parse_roi
from rt_seg.engines.geometry import Box
from rt_seg.engines.samples import load_samples
from rt_seg.errors import InputError
from rt_seg.realtime.demo.make_demo import FIELD_HEIGHT, FIELD_WIDTH, FIELD_X, FIELD_Y
from rt_seg.realtime.sources.open import open_source

UInt8Array = npt.NDArray[np.uint8]
FIELD = Box(500, 60, 1200, 960)


def screen(
    field: Box = FIELD, *, width: int = 1920, height: int = 1080, black: int = 0, octagon: bool = True
) -> UInt8Array:
    """A processor's screen: a sample still in an octagon, text at its side; `black` is the recorder's black."""
    sample = load_samples()[0].image
    image = np.full((height, width, 3), black, np.uint8)
    still = cv2.resize(sample, (field.width, field.height), interpolation=cv2.INTER_LINEAR)
    mask = np.zeros(still.shape[:2], np.uint8)
    w, h, cut = field.width - 1, field.height - 1, field.width // 6 if octagon else 0
    corners = [(cut, 0), (w - cut, 0), (w, cut), (w, h - cut), (w - cut, h), (cut, h), (0, h - cut), (0, cut)]
    cv2.fillPoly(mask, [np.array(corners, np.int32)], 255)
    cv2.copyTo(np.maximum(still, 40), mask, image[field.slices])
    font, size = cv2.FontFace("sans"), height // 40
    for line, text in enumerate(("Name: -", "D.O.B.: -", "12/05/2021", "10:42:17", "Cnt: 12", "Comment:")):
        cv2.putText(image, text, (30, 100 + 2 * size * line), (220, 220, 220), font, size, 500)
    return image


def last(finder: FieldOfView, images: Iterable[UInt8Array]) -> Box:
    """What the finder says of the last of several frames."""
    return [finder.find(image) for image in images][-1]


def assert_near(box: Box, expected: Box, pixels: int) -> None:
    """None of the field is lost, and at most that many pixels are added on each side."""
    assert expected.x - pixels <= box.x <= expected.x
    assert expected.y - pixels <= box.y <= expected.y
    assert expected.right <= box.right <= expected.right + pixels
    assert expected.bottom <= box.bottom <= expected.bottom + pixels


@pytest.mark.parametrize("black", [0, 8, 22])
@pytest.mark.parametrize(
    ("size", "field"),
    [((1920, 1080), FIELD), ((1280, 720), Box(392, 18, 856, 684)), ((720, 576), Box(150, 30, 520, 500)),
     ((640, 480), Box(0, 0, 500, 480)), ((3840, 2160), Box(1000, 120, 2400, 1920))],
)  # fmt: skip
def test_the_first_frame_gives_the_field(size: tuple[int, int], field: Box, black: int) -> None:
    """Borders and side text are cut off at once, whatever the recorder calls black; nothing of the field is lost."""
    image = screen(field, width=size[0], height=size[1], black=black)
    assert_near(FieldOfView().find(image), field, 2 * (size[1] // 120) + 1)


@pytest.mark.parametrize("index", range(5))
def test_full_frame_pictures_stay_whole(index: int) -> None:
    """Stills that fill their frame, octagon corners and dark lumen included, are not cropped."""
    image = load_samples()[index].image
    assert FieldOfView().find(image) == Box.of_size(image.shape[1], image.shape[0])


def test_the_demo_clip_keeps_one_field() -> None:
    """Over the whole clip, with its motion and defocus, the box is found once and never moves."""
    finder = FieldOfView()
    boxes = {finder.find(frame.image) for frame in open_source("demo")}
    assert len(boxes) == 1
    assert_near(boxes.pop(), Box(FIELD_X, FIELD_Y, FIELD_WIDTH, FIELD_HEIGHT), 9)


def test_a_dark_frame_moves_nothing() -> None:
    """While the light is out the field stays; a stream that begins dark starts with the whole frame."""
    finder, dark = FieldOfView(), np.zeros((1080, 1920, 3), np.uint8)
    assert finder.find(dark) == Box.of_size(1920, 1080)
    found = finder.find(screen())
    for _ in range(5):
        found = finder.find(screen())
    assert_near(found, FIELD, 19)
    assert last(finder, [dark] * 500) == found


def test_a_flash_moves_nothing() -> None:
    """A menu or flash of a few frames over the whole screen leaves the field where it is."""
    finder = FieldOfView()
    found = last(finder, [screen()] * 20)
    assert last(finder, [np.full((1080, 1920, 3), 200, np.uint8)] * 6 + [screen()] * 3) == found


def test_dark_content_at_one_side_moves_nothing() -> None:
    """A dark lumen at the edge of the field for seconds does not shrink it."""
    finder, half = FieldOfView(), screen()
    found = last(finder, [screen()] * 100)
    half[:, FIELD.x : FIELD.x + FIELD.width // 2] = 0
    assert last(finder, [half] * 100) == found


def test_a_lasting_change_is_followed() -> None:
    """A larger field is taken over within a second of video, a smaller one within ten."""
    small, large = Box(700, 200, 800, 640), FIELD
    finder = FieldOfView()
    assert_near(last(finder, [screen(small)] * 3), small, 19)
    assert_near(last(finder, [screen(large)] * 25), large, 19)
    assert_near(last(finder, [screen(small)] * 300), small, 19)


def test_small_differences_do_not_move_it() -> None:
    """An edge that wavers by a hundredth of the frame does not make the box waver."""
    finder = FieldOfView()
    found = finder.find(screen())
    wider = Box(FIELD.x - 20, FIELD.y, FIELD.width + 40, FIELD.height)
    narrower = Box(FIELD.x + 60, FIELD.y, FIELD.width - 120, FIELD.height)
    assert last(finder, [screen(wider)] * 50) == found
    assert last(FieldOfView(), [screen(wider)]) != found
    assert last(finder, [screen(narrower)] * 400) == found


def test_a_thin_line_that_touches_the_field_is_not_part_of_it() -> None:
    """Rules and letters beside the picture are cut off even where they run into it."""
    image = screen()
    cv2.line(image, (40, 540), (FIELD.x + 20, 540), (220, 220, 220), 12)
    assert_near(FieldOfView().find(image), FIELD, 19)


def test_another_frame_size_starts_anew() -> None:
    """The box never refers to a size that is gone."""
    finder = FieldOfView()
    finder.find(screen())
    field = Box(392, 18, 856, 684)
    assert_near(finder.find(screen(field, width=1280, height=720)), field, 13)


def test_unsteady_judges_each_picture_on_its_own() -> None:
    """A folder of unrelated stills of one size gets a box for each."""
    finder = FieldOfView(steady=False)
    assert_near(finder.find(screen()), FIELD, 19)
    assert_near(finder.find(screen(Box(100, 60, 1200, 960))), Box(100, 60, 1200, 960), 19)


@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 5, 3), (8, 2000, 3), (119, 121, 3)])
def test_odd_shapes_are_taken(shape: tuple[int, int, int]) -> None:
    """Tiny and extreme pictures give a box inside themselves."""
    image = np.full(shape, 200, np.uint8)
    assert FieldOfView().find(image) == Box.of_size(shape[1], shape[0])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("auto", "auto"),
        ("FULL", "full"),
        ("320,40,1280,1000", Box(320, 40, 1280, 1000)),
        (" 0, 0, 1, 1 ", Box(0, 0, 1, 1)),
    ],
)
def test_roi_is_read(text: str, expected: Roi) -> None:
    """The two words and four numbers are understood."""
    assert parse_roi(text) == expected


@pytest.mark.parametrize("text", ["", "middle", "1,2,3", "1,2,3,4,5", "1,2,3,x", "0,0,0,5", "-1,0,5,5", "1.5,0,5,5"])
def test_a_wrong_roi_is_refused_with_what_would_be_right(text: str) -> None:
    """One line that repeats what was given and says what is wanted."""
    with pytest.raises(InputError, match=r"roi .*(X,Y,W,H|X,Y from 0)") as caught:
        parse_roi(text)
    assert repr(text) in str(caught.value)
    assert "\n" not in str(caught.value)
