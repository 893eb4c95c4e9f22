"""The live view in a real browser, while the stream runs: picture, state, controls, sightings, keys, lost server."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from playwright.sync_api import Page, expect

from .conftest import LiveView, Look, RunHere, ServeView, Shoot, until, violations
from .running import UInt8Array, Ward, picture

pytestmark = pytest.mark.slow

SIZES = [(1280, 720), (1024, 768), (768, 1024), (1920, 1080)]
TOUCHED = [(1024, 768), (768, 1024), (1280, 800)]
_DASH = "\N{EN DASH}"  # what is not known
_INDEX = "Number(document.getElementById('picture').dataset.index)"
# the picture in 16x9 pixels, as one number for each
_PIXELS = """() => {
  const small = new OffscreenCanvas(16, 9).getContext("2d");
  small.drawImage(document.getElementById("picture"), 0, 0, 16, 9);
  return Array.from(small.getImageData(0, 0, 16, 9).data);
}"""


@pytest.fixture(scope="module")
def view(serve_view: ServeView, long_demo: Path) -> LiveView:
    """A stream at its own pace that goes on for minutes."""
    return serve_view(long_demo, "--live")


def _first_card(page: Page) -> Any:
    return page.locator("#strip .card").first


def test_the_picture_moves(view: LiveView, look: Look) -> None:
    """New frames arrive and are drawn, one after the other, and each is newer than the one before."""
    page = look(view)
    until(page, f"{_INDEX} > 0")
    index, pixels = page.evaluate(_INDEX), page.evaluate(_PIXELS)
    assert max(pixels[::4]) > 60, "the picture is not black"
    until(page, f"{_INDEX} > {index} + 10")
    assert page.evaluate(_PIXELS) != pixels
    expect(page.locator("#state-label")).to_have_text("Live")
    expect(page.locator("#browser-last")).not_to_have_text(_DASH)
    expect(page.locator("#browser-p50")).not_to_have_text(_DASH)
    expect(page.get_by_text("Research use only").first).to_be_visible()


def _choose(name: str, value: str) -> Callable[[Page], None]:
    return lambda page: page.locator(f"#{name} label", has=page.locator(f"[value={value}]")).click()


def _slide(name: str, value: str) -> Callable[[Page], None]:
    return lambda page: page.locator(f"#{name}").fill(value)


def _press(name: str) -> Callable[[Page], None]:
    return lambda page: page.locator(f"#{name}").click()


def _choose_frames(page: Page) -> None:
    page.locator("#min-frames").select_option("3/5")


def _checked(name: str) -> str:
    return f"document.querySelector('#{name} input:checked').value"


# what is done in one page, and what another one says then, by an expression
_CONTROLS: dict[str, tuple[Callable[[Page], None], str, object]] = {
    "overlay": (_choose("overlay", "fill"), _checked("overlay"), "fill"),
    "alpha": (_slide("alpha", "0.7"), "document.getElementById('alpha').value", "0.7"),
    "threshold": (_slide("threshold", "0.35"), "document.getElementById('threshold').value", "0.35"),
    "stabilise": (_choose("stabilise", "strong"), _checked("stabilise"), "strong"),
    "min_frames": (
        _choose_frames,
        "document.getElementById('min-frames').value",
        "3/5",
    ),
    "hud": (_press("hud"), "document.getElementById('hud').ariaChecked", "false"),
    "paused": (_press("pause"), "document.body.dataset.state", "paused"),
    "goes on": (_press("pause"), "document.body.dataset.state", "live"),
    "recording": (_press("record"), "document.getElementById('record').ariaPressed", "true"),
}


def test_each_control_acts_for_everyone(tmp_path: Path, run_here: RunHere, look: Look) -> None:
    """What is changed in one browser is changed in the stream, and another browser shows it."""
    view = run_here(output=tmp_path / "out.mp4", snapshots=tmp_path / "snapshots")
    one, other = look(view), look(view)
    if one.evaluate("document.getElementById('record').ariaPressed") == "true":
        _press("record")(one)
        until(other, "document.getElementById('record').ariaPressed === 'false'")
    for name, (act, expression, expected) in _CONTROLS.items():
        assert other.evaluate(expression) != expected, name
        act(one)
        until(other, f"{expression} === {json.dumps(expected)}")
    late = look(view)  # one that comes later hears it from the server
    until(late, "document.getElementById('record').ariaPressed === 'true'")
    for name in ("overlay", "alpha", "threshold", "stabilise", "min_frames", "hud"):
        _, expression, expected = _CONTROLS[name]
        assert late.evaluate(expression) == expected, name
    one.locator("#snapshot").click()
    expect(other.locator(".toast").first).to_be_visible()


def test_a_sighting_appears_and_its_snapshot_opens(view: LiveView, look: Look, shoot: Shoot) -> None:
    """A polyp comes as a card with its picture and as a mark on the timeline; both open it, large."""
    page = look(view)
    card = page.locator("#strip .card", has=page.locator("img[src]")).last  # the oldest: no newer one takes its place
    expect(card).to_be_visible()
    expect(page.locator("#marks .mark").first).to_be_visible()
    shoot(page, "live")
    card.click()
    image = page.locator("#snapshot-image")
    expect(image).to_be_visible()
    until(page, "document.getElementById('snapshot-image').naturalWidth >= 640")
    marked = image.get_attribute("src")
    shoot(page, "snapshot")
    page.keyboard.press("o")
    expect(image).not_to_have_attribute("src", marked or "")
    expect(page.locator("#snapshot-overlay")).to_have_attribute("aria-pressed", "false")
    until(page, "document.getElementById('snapshot-image').naturalWidth >= 640")
    page.keyboard.press("Escape")
    expect(image).to_be_hidden()
    mark = page.locator("#marks .mark").first.bounding_box()
    assert mark is not None
    page.mouse.click(mark["x"] + 2, mark["y"] + 2)
    expect(image).to_be_visible()


def test_keys_do_what_the_help_says(view: LiveView, look: Look, shoot: Shoot) -> None:
    """Every key that acts while a stream runs acts, and the help lists it."""
    page = look(view)

    def value(expression: str) -> Any:
        return page.evaluate(expression)

    changes = {
        "o": _checked("overlay"),
        "+": "document.getElementById('threshold').value",
        "-": "document.getElementById('threshold').value",
        "]": "document.getElementById('alpha').value",
        "[": "document.getElementById('alpha').value",
        "t": _checked("stabilise"),
        "m": "document.getElementById('min-frames').value",
        "h": "document.getElementById('hud').ariaChecked",
        "w": "document.body.hasAttribute('data-wall')",
        "Escape": "document.body.hasAttribute('data-wall')",
        "Space": "document.body.dataset.state",
    }
    for key, expression in changes.items():
        before = value(expression)
        page.keyboard.press(key)
        until(page, f"{expression} !== {json.dumps(before)}")
    shoot(page, "paused")
    page.keyboard.press("Space")
    until(page, "document.body.dataset.state === 'live'")
    page.keyboard.press("?")
    listed = page.locator("#help-keys kbd").all_text_contents()
    assert {"o", "+", "-", "[", "]", "t", "m", "h", "s", "r", "space", "v", "w", "f", "?", "Esc"} <= set(listed)
    shoot(page, "help")
    page.keyboard.press("?")
    expect(page.locator("#help-dialog")).to_be_hidden()


def test_keys_can_be_switched_off(view: LiveView, look: Look) -> None:
    """Who dictates or types past the page can keep single keys from acting."""
    page = look(view)
    page.keyboard.press("?")
    page.locator("#keys-on").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("w")
    page.keyboard.press("?")
    expect(page.locator("#help-dialog")).to_be_hidden()
    assert not page.evaluate("document.body.hasAttribute('data-wall')")


def test_all_is_reached_by_tab_and_by_touch(view: LiveView, look: Look) -> None:
    """Tab goes to every control with a visible focus, and on a touch screen each is large enough for a finger."""
    page = look(view, has_touch=True, is_mobile=True)
    expect(_first_card(page)).to_be_visible()
    reached: set[str] = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.name"))
    assert {
        "wall",
        "full",
        "ask",
        "overlay",
        "threshold",
        "stabilise",
        "min-frames",
        "hud",
        "pause",
        "record",
    } <= reached
    page.locator("#strip .card[tabindex='0']").focus()
    page.keyboard.press("End")  # the strip is one stop; inside it arrows and ends move on
    page.keyboard.press("Enter")
    expect(page.locator("#snapshot-title")).to_have_text("Sighting 1")
    page.keyboard.press("Escape")
    page.locator("#hud").focus()
    assert page.evaluate("getComputedStyle(document.getElementById('hud')).outlineStyle") != "none"
    for name in ("pause", "record", "snapshot", "wall", "ask"):
        box = page.locator(f"#{name}").bounding_box()
        assert box is not None
        assert min(box["width"], box["height"]) >= 44, name
    page.locator("#wall").tap()
    assert page.evaluate("document.body.hasAttribute('data-wall')")


def _blurred(index: int) -> UInt8Array:
    return np.asarray(cv2.GaussianBlur(picture(index), (0, 0), 12), np.uint8)


def _black(_index: int) -> UInt8Array:
    return np.zeros_like(picture(0))


def _still(_index: int) -> UInt8Array:
    return picture(0)


# what befalls the stream, the state that follows, and whether the picture is veiled
_EVENTS: dict[str, tuple[Callable[[Ward], None], bool]] = {
    "unassessable": (lambda ward: setattr(ward, "paint", _blurred), False),
    "black": (lambda ward: setattr(ward, "paint", _black), False),
    "frozen": (lambda ward: setattr(ward, "paint", _still), False),
    "no_signal": (lambda ward: ward.signal.clear(), True),
    "stale": (lambda ward: setattr(ward, "slow", True), False),
    "unavailable": (lambda ward: setattr(ward, "broken", True), False),
}
_MEND: tuple[Callable[[Ward], None], ...] = (
    lambda ward: setattr(ward, "paint", picture),
    lambda ward: ward.signal.set(),
    lambda ward: setattr(ward, "slow", False),
    lambda ward: setattr(ward, "broken", False),
)
_BLIND = {"no_signal", "unavailable"}  # no sighting is in view then
_AXE_LOOKS_AT = {"no_signal", "unassessable", "unavailable"}  # a state of each level, with and without veil


def test_each_state_is_unmistakable(tmp_path: Path, run_here: RunHere, look: Look, shoot: Shoot) -> None:
    """Whatever befalls a stream is said by a word and a shape of its own; what is not the present is veiled."""
    ward = Ward()
    disk = tmp_path / "disk"
    disk.mkdir()
    options: dict[str, Any] = {"max_staleness_ms": 500.0, "signal_timeout": 0.5, "output": disk / "out.mp4"}
    stream = run_here(ward.picture, ward.load, **options)
    page = look(stream, bypass_csp=True)
    until(page, "document.body.dataset.state === 'live'")
    expect(page.locator("#rec")).to_be_visible()
    seen = [_said(page)]
    for state, (happen, veiled) in _EVENTS.items():
        happen(ward)
        _comes(page, state, veiled=veiled)
        seen.append(_said(page))
        if state in _BLIND:
            expect(page.locator("#strip .card.open")).to_have_count(0)
        _shoot_all(page, shoot, state)
        if state in _AXE_LOOKS_AT:
            assert violations(page) == []
        for mend in _MEND:
            mend(ward)
        _comes(page, "live", veiled=False)
    page.keyboard.press("Space")
    _comes(page, "paused", veiled=False)
    expect(page.locator("#held")).to_contain_text("Picture held at")
    seen.append(_said(page))
    _shoot_all(page, shoot, "paused")
    page.keyboard.press("Space")
    _loses_its_disk(page, disk, shoot)
    assert len(set(seen)) == len(_EVENTS) + 2


def _comes(page: Page, state: str, *, veiled: bool) -> None:
    hidden = json.dumps(not veiled)
    until(page, f"document.body.dataset.state === '{state}' && document.getElementById('cover').hidden === {hidden}")


def _said(page: Page) -> tuple[str | None, str | None]:
    """Word and shape of the state."""
    return page.locator("#state-label").text_content(), page.locator("#state-icon").get_attribute("href")


def _shoot_all(page: Page, shoot: Shoot, state: str) -> None:
    for width, height in SIZES[:3]:
        page.set_viewport_size({"width": width, "height": height})
        assert page.get_by_text("Research use only").first.is_visible()
        shoot(page, f"state-{state}")


def _loses_its_disk(page: Page, folder: Path, shoot: Shoot) -> None:
    """A recording that cannot go on is said as long as one is wanted, in place of REC."""
    shutil.rmtree(folder)
    page.keyboard.press("r")
    expect(page.locator("#rec")).to_be_hidden()
    page.keyboard.press("r")
    expect(page.locator("#rec-stopped")).to_be_visible()
    expect(page.locator("#rec")).to_be_hidden()
    _shoot_all(page, shoot, "recording-stopped")
    page.keyboard.press("r")
    expect(page.locator("#rec-stopped")).to_be_hidden()


_BEYOND = """[...document.querySelectorAll("body *")].filter((element) => {
  const box = element.getBoundingClientRect();
  return element.checkVisibility() && !element.closest(".unseen, .strip, .symbols, .scrub") && box.width > 0
    && (box.right > innerWidth + 1 || box.bottom > innerHeight + 1 || box.left < -1);
}).map((element) => element.outerHTML.slice(0, 80))"""
_COVERED = """document.getElementById("stage").getBoundingClientRect().bottom
  > document.getElementById("track").getBoundingClientRect().top"""
_HIDDEN_PANEL = "document.querySelector('.panel').scrollHeight - document.querySelector('.panel').clientHeight"
_SHARE = """(() => {
  const { width, height } = document.getElementById("stage").getBoundingClientRect();
  return (width * height) / innerWidth / innerHeight;
})()"""


@pytest.mark.parametrize("touch", [False, True])
def test_the_page_fits_the_screen(view: LiveView, look: Look, shoot: Shoot, touch: bool) -> None:
    """Nothing has to be scrolled for, nothing sticks out, and the picture is the largest part."""
    page = look(view, has_touch=touch, is_mobile=touch)
    until(page, f"{_INDEX} > 0")
    expect(_first_card(page)).to_be_visible()
    for width, height in TOUCHED if touch else SIZES:
        page.set_viewport_size({"width": width, "height": height})
        shoot(page, "live-touch" if touch else "live")
        assert not page.evaluate(_COVERED)
        assert page.evaluate(_BEYOND) == []
        assert page.evaluate(_HIDDEN_PANEL) <= 0
        assert page.evaluate(_SHARE) > 0.35


def test_axe_finds_nothing_to_mend(view: LiveView, look: Look) -> None:
    """Contrast, names, roles and focus pass axe: the page, a snapshot, the help; alarms are looked at above."""
    page = look(view, bypass_csp=True)
    expect(_first_card(page)).to_be_visible()
    assert violations(page) == []
    _first_card(page).click()
    assert violations(page) == []
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    assert violations(page) == []


def test_nothing_moves_for_who_asks_for_calm(view: LiveView, look: Look) -> None:
    """With reduced motion set in the system nothing of the page is animated."""
    page = look(view, reduced_motion="reduce")
    moving = """[...document.querySelectorAll("*")].filter((element) => {
      const style = getComputedStyle(element);
      return parseFloat(style.transitionDuration) > 0 || style.animationName !== "none";
    }).length"""
    assert page.evaluate(moving) == 0
    page.emulate_media(reduced_motion="no-preference")
    assert page.evaluate(moving) > 0


def test_a_lost_server_is_said_and_found_again(
    serve_view: ServeView, long_demo: Path, tiny_model_path: Path, run_here: RunHere, look: Look, shoot: Shoot
) -> None:
    """When the server is gone the picture is veiled and the page says so; when it is back the page is, by itself."""
    first = serve_view(long_demo, "--live", "--engine", tiny_model_path)
    page = look(first, patient=True)
    until(page, f"{_INDEX} > 0")
    first.process.kill()
    expect(page.locator("#cover-title")).to_have_text("Connection lost")
    expect(page.locator("#alarmed")).to_contain_text("Connection lost")
    expect(page.locator("#cover-text")).to_contain_text("Trying again in")
    expect(page.locator("#pause")).to_be_disabled()
    shoot(page, "lost")
    page.evaluate("document.getElementById('picture').dataset.index = 0")
    run_here(serve=first.url.removeprefix("http://"))
    expect(page.locator("#state-label")).to_have_text("Live")
    expect(page.locator("#cover")).to_be_hidden()
    until(page, f"{_INDEX} > 0")
    expect(page.locator("#pause")).to_be_enabled()
