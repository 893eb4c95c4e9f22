"""Redaction: black outside the field of view, text inside it covered, tissue and reflections kept."""

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from rt_seg.engines.samples import load_samples
from rt_seg.realtime.demo.make_demo import FIELD_HEIGHT, FIELD_WIDTH, FIELD_X, FIELD_Y, field_mask
from rt_seg.realtime.redact import Redactor
from rt_seg.realtime.sources.open import open_source

UInt8Array = npt.NDArray[np.uint8]
SAMPLES = [sample.image for sample in load_samples()]
FIELD = (slice(FIELD_Y, FIELD_Y + FIELD_HEIGHT), slice(FIELD_X, FIELD_X + FIELD_WIDTH))


def screen(still: UInt8Array, shift: int = 0) -> UInt8Array:
    """A processor's screen with a name beside the field and in the corner that the octagon cuts off."""
    image = np.zeros((720, 1280, 3), np.uint8)
    view = cv2.resize(still, (round(1.4 * FIELD_WIDTH), round(1.4 * FIELD_HEIGHT)), interpolation=cv2.INTER_CUBIC)
    crop = view[100 : 100 + FIELD_HEIGHT, 100 + shift : 100 + shift + FIELD_WIDTH]
    cv2.copyTo(np.ascontiguousarray(crop), field_mask(), image[FIELD])
    font = cv2.FontFace("sans")
    cv2.putText(image, "Name: DOE, JANE", (20, 100), (220, 220, 220), font, 24, 400)
    cv2.putText(image, "DOE JANE", (FIELD_X + 4, FIELD_Y + 30), (220, 220, 220), font, 16, 400)
    return image


def outside() -> UInt8Array:
    """Where a screen is not the field, a few pixels of its edge left aside."""
    mask = np.zeros((720, 1280), np.uint8)
    mask[FIELD] = field_mask()
    return np.where(cv2.dilate(mask, np.ones((41, 41), np.uint8)) > 0, np.uint8(0), np.uint8(1))


@pytest.mark.parametrize("still", SAMPLES[:3])
def test_outside_the_field_all_is_black(still: UInt8Array) -> None:
    """Text beside the field and in its cut corners is gone, the field is kept, the input is not written to."""
    image = screen(still)
    before = image.copy()
    redacted = Redactor()(image, 0.0)
    assert redacted is not None
    assert (image == before).all()
    assert not redacted[outside() > 0].any()
    inner = cv2.erode(field_mask(), np.ones((25, 25), np.uint8)) > 0
    assert (redacted[FIELD][inner] == before[FIELD][inner]).all(axis=1).mean() > 0.95


def full_screen(still: UInt8Array) -> UInt8Array:
    """The same picture over the whole frame."""
    return np.asarray(cv2.resize(still, (1280, 720), interpolation=cv2.INTER_CUBIC), np.uint8)


def test_a_smaller_field_is_kept_to_at_once() -> None:
    """After a change from full screen to a field with an inset and a name beside it, neither is ever let out."""
    redactor, smaller = Redactor(), screen(SAMPLES[0])
    smaller[400:600, 60:260] = 160
    for i in range(20):
        redactor(full_screen(SAMPLES[0]), i / 25)
    inner = cv2.erode(field_mask(), np.ones((25, 25), np.uint8)) > 0
    for i in range(20, 100):
        redacted = redactor(smaller, i / 25)
        assert redacted is not None
        assert not redacted[outside() > 0].any()
        assert (redacted[FIELD][inner] == smaller[FIELD][inner]).all(axis=1).mean() > 0.9


def test_a_larger_field_is_let_out_once_agreed_on() -> None:
    """A menu of a few frames stays hidden around the field; a field that has grown is shown within a second."""
    redactor, larger = Redactor(), full_screen(SAMPLES[0])
    for i in range(20):
        redactor(screen(SAMPLES[0]), i / 25)
    pictures = [redactor(larger, i / 25) for i in range(20, 45)]
    for redacted in pictures[:6]:
        assert redacted is not None
        assert not redacted[outside() > 0].any()
    assert pictures[-1] is not None
    assert (pictures[-1][outside() > 0] == larger[outside() > 0]).all(axis=1).mean() > 0.9


def test_darkness_lets_nothing_out_and_costs_nothing_after_it() -> None:
    """While the light is out an inset is hidden also where the field was; once it is lit again, the field is back."""
    redactor, lit = Redactor(), screen(SAMPLES[0])
    dark = np.zeros_like(lit)
    dark[300:450, 700:900] = 160
    before = redactor(lit, 0.0)
    withheld, after = redactor(dark, 0.04), redactor(lit, 5.0)
    assert before is not None
    assert withheld is not None
    assert after is not None
    assert not withheld.any()
    assert (before == after).mean() > 0.99


@pytest.mark.parametrize("colour", [(235, 235, 235), (0, 255, 255), (80, 255, 80)])
@pytest.mark.parametrize("size", [24, 38])
def test_text_in_the_field_is_covered(colour: tuple[int, int, int], size: int) -> None:
    """A name and a date over tissue, in the first frame that shows them."""
    for still in SAMPLES[:3]:
        image = screen(still)
        written = image.copy()
        font = cv2.FontFace("sans")
        cv2.putText(written, "DOE JANE 12/05/1961", (600, 480), colour, font, size, 500)
        ink = (np.abs(written.astype(int) - image).max(axis=2) > 60) & np.any(image > 0, axis=2)
        redacted = Redactor()(written, 0.0)
        assert redacted is not None
        assert (redacted[ink] == 0).all(axis=1).mean() > 0.95


def test_reflections_stay() -> None:
    """Spots thrown over tissue are left alone, all but a few."""
    random = np.random.default_rng(5)
    image = screen(SAMPLES[1])
    spots = np.zeros(image.shape[:2], np.uint8)
    for _ in range(40):
        centre = (int(random.integers(550, 1100)), int(random.integers(150, 600)))
        axes = (int(random.integers(2, 12)), int(random.integers(2, 7)))
        cv2.ellipse(spots, centre, axes, float(random.uniform(0, 180)), 0, 360, 255, -1)
    image[spots > 0] = 255
    redacted = Redactor()(image, 0.0)
    assert redacted is not None
    assert (redacted[spots > 0] > 0).all(axis=1).mean() > 0.85


@pytest.mark.slow
def test_a_mark_that_stays_while_the_picture_moves_is_covered() -> None:
    """A single letter is no row, but it does not move with the tissue."""
    redactor = Redactor()
    shares: list[float] = []
    for i in range(45):
        image = screen(SAMPLES[1], 3 * (i % 40))
        clean = image.copy()
        cv2.putText(image, "X", (800, 350), (235, 235, 235), cv2.FontFace("sans"), 40, 500)
        ink = np.abs(image.astype(int) - clean).max(axis=2) > 60
        redacted = redactor(image, i / 25)
        assert redacted is not None
        shares.append(float((redacted[ink] == 0).all(axis=1).mean()))
    assert shares[0] < 0.2
    assert shares[-1] > 0.9


def test_a_cover_outlasts_a_frame_in_which_text_is_missed() -> None:
    """Where text was a moment ago the picture stays covered; later it comes back."""
    redactor = Redactor()
    image = screen(SAMPLES[1])
    written = image.copy()
    cv2.putText(written, "DOE JANE", (600, 480), (235, 235, 235), cv2.FontFace("sans"), 30, 500)
    redactor(written, 0.0)
    soon, late = redactor(image, 1.0), redactor(image, 5.0)
    assert soon is not None
    assert late is not None
    assert not soon[465:475, 620:640].any()
    assert late[465:475, 620:640].any()


def test_what_is_found_once_is_released_and_what_stays_is_held() -> None:
    """After the first second text is covered at once; found in one frame it is let go soon, found in two it is held."""
    image = screen(SAMPLES[1])
    written = image.copy()
    cv2.putText(written, "DOE JANE", (600, 480), (235, 235, 235), cv2.FontFace("sans"), 30, 500)
    for times in (1, 2):
        redactor = Redactor()
        for i in range(8):
            redactor(image, 0.4 * i)
        shown = [redactor(written, 3.0 + i / 25) for i in range(times)]
        later = redactor(image, 3.0 + 0.4)
        assert shown[0] is not None
        assert later is not None
        assert not shown[0][465:475, 620:640].any()
        assert bool(later[465:475, 620:640].any()) is (times == 1)


def test_nothing_is_let_out_until_the_field_is_found() -> None:
    """Dark pictures with a name on them give nothing; nor does the first of another size."""
    dark = np.zeros((720, 1280, 3), np.uint8)
    cv2.putText(dark, "DOE JANE", (100, 300), (235, 235, 235), cv2.FontFace("sans"), 30, 500)
    redactor = Redactor()
    assert redactor(dark, 0.0) is None
    assert redactor(screen(SAMPLES[0]), 0.04) is not None
    assert redactor(np.zeros((480, 640, 3), np.uint8), 0.08) is None


@pytest.mark.slow
def test_little_of_the_demo_is_lost() -> None:
    """Over some frames of the demo its own caption is gone and nearly all of the field is kept."""
    redactor = Redactor()
    inner = cv2.erode(field_mask(), np.ones((31, 31), np.uint8)) > 0
    for frame in open_source("demo", limit=6):
        redacted = redactor(frame.image, frame.pts_seconds)
        assert redacted is not None
        assert not redacted[:, : FIELD_X - 30].any()
        assert (redacted[FIELD][inner] > 0).any(axis=1).mean() > 0.97
