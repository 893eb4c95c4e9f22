"""The live view when the stream has ended: the page plays the recording, scrubs it, and jumps to its sightings."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from websockets.sync.client import connect

from .conftest import LiveView, Look, ServeView, Shoot, until, violations
from .running import Stream, record_in_parts, write_clip

pytestmark = pytest.mark.slow

SIZES = [(1280, 720), (1024, 768), (768, 1024)]
_PART = "document.getElementById('recording').src"
_TIME = "document.getElementById('recording').currentTime"
_SOUGHT = f"(time) => Math.abs({_TIME} - time) < 0.2 && !document.getElementById('recording').seeking"


@pytest.fixture(scope="module")
def ended(serve_view: ServeView) -> LiveView:
    """The demo, as fast as it goes."""
    return serve_view("demo")


@pytest.fixture
def page(ended: LiveView, look: Look) -> Page:
    """A page where the recording can be played."""
    page = look(ended)
    expect(page.locator("#state-label")).to_have_text("Recording")
    until(page, "document.getElementById('recording').readyState >= 2")
    return page


def test_the_stream_becomes_a_recording(
    serve_view: ServeView, tiny_model_path: Path, tmp_path: Path, look: Look, shoot: Shoot
) -> None:
    """A page that watches a stream to its end goes over to its recording; what was not recorded is a gap in it."""
    clip = write_clip(tmp_path / "disc.mp4", 200)
    view = serve_view(clip, "--live", "--engine", tiny_model_path, "-o", tmp_path / "out.mp4")
    with connect(f"ws{view.url.removeprefix('http')}/ws", close_timeout=0.5) as client:
        record_in_parts(client)
    page = look(view)
    expect(page.locator("#state-label")).to_have_text("Recording")
    expect(page.locator("#recording")).to_be_visible()
    expect(page.locator("#picture")).to_be_hidden()
    expect(page.locator("#controls")).to_be_hidden()
    expect(page.locator("#downloads a")).to_have_count(2)
    expect(page.locator("#gaps div").first).to_be_attached()
    shoot(page, "parts")
    until(page, "document.getElementById('recording').readyState >= 2")
    first = page.evaluate("document.getElementById('recording').duration")
    page.keyboard.press("End")
    until(page, f"{_PART}.endsWith('/2.mp4') && {_TIME} > 0.5")
    assert violations(page) == []
    page.keyboard.press("Home")
    until(page, f"{_PART}.endsWith('/1.mp4') && {_TIME} === 0")
    page.locator("#scrub").evaluate("(scrub, time) => { scrub.value = time; }", first + 0.05)  # in the gap
    page.locator("#scrub").dispatch_event("input")
    until(page, f"{_PART}.endsWith('/2.mp4') && {_TIME} === 0")
    page.keyboard.press(",")
    until(page, f"{_PART}.endsWith('/1.mp4') && Math.abs({_TIME} - {first}) < 0.1")
    page.locator("#play").click()
    until(page, f"{_PART}.endsWith('/2.mp4') && {_TIME} > 0.1")


def test_it_plays_and_pauses(page: Page) -> None:
    """The button and the space bar play and hold it."""
    page.locator("#play").click()
    until(page, f"{_TIME} > 0.3")
    page.locator("#play").blur()
    page.keyboard.press("Space")
    until(page, "document.getElementById('recording').paused")


def test_it_is_scrubbed(page: Page, shoot: Shoot) -> None:
    """The timeline is a slider: by pointer, by arrow keys, to both ends; the picture and the clock follow."""
    box = page.locator("#track").bounding_box()
    assert box is not None
    duration = page.evaluate("document.getElementById('recording').duration")
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] - 4)
    until(page, _SOUGHT, duration / 2)
    expect(page.locator("#position")).to_contain_text(f"0:0{int(duration / 2)}")
    page.locator("#scrub").blur()
    page.keyboard.press("ArrowRight")
    until(page, _SOUGHT, duration / 2 + 5)
    page.keyboard.press("Home")
    until(page, _SOUGHT, 0)
    page.keyboard.press(".")
    until(page, f"{_TIME} > 0 && {_TIME} < 0.2")
    shoot(page, "ended")


def test_sightings_are_jumped_to(ended: LiveView, page: Page) -> None:
    """The keys n and p, a mark of the timeline and a snapshot's button go to where a sighting begins."""
    sightings = ended.get("/api/sightings")["sightings"]
    order, first = next(item for item in enumerate(sightings) if item[1]["first_seconds"] > 1)
    begins = first["first_seconds"] - 0.5
    page.keyboard.press("n")
    until(page, _SOUGHT, begins)
    expect(page.locator("#strip .card.current")).to_have_count(1)
    page.keyboard.press("End")
    mark = page.locator("#marks .mark").nth(order).bounding_box()
    assert mark is not None
    page.mouse.click(mark["x"] + 2, mark["y"] + 2)
    until(page, _SOUGHT, begins)
    page.keyboard.press("End")
    page.locator(f"#strip .card[data-id='{first['id']}']").click()
    page.locator("#snapshot-jump").click()
    expect(page.locator("#snapshot-dialog")).to_be_hidden()
    until(page, _SOUGHT, begins)


def test_the_player_fits_and_passes_axe(ended: LiveView, look: Look, shoot: Shoot) -> None:
    """At each size the player has its place, and axe finds nothing to mend."""
    page = look(ended)
    until(page, "document.getElementById('recording').readyState >= 2")
    page.keyboard.press("n")
    expect(page.locator("#strip .card.current")).to_have_count(1)
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        shoot(page, "ended")
        assert page.evaluate("document.documentElement.scrollHeight <= innerHeight")
    assert violations(page) == []
    # the last picture, which a page that comes after the end is sent, is old, but not late
    assert page.locator("#browser-last").text_content() == "\N{EN DASH}"


def test_a_token_is_asked_for(chromium: Browser, shoot: Shoot) -> None:
    """Where a token is needed the page asks for it; a wrong one opens nothing, the right one the view."""
    token = "a-token-" * 4
    with Stream(token=token) as stream:
        page = chromium.new_page(viewport={"width": 1280, "height": 720})
        page.goto(stream.url)
        shoot(page, "token")
        assert violations(page) == []
        page.get_by_label("Token").fill("not-the-token-of-this-test")
        page.get_by_role("button", name="Open").click()
        expect(page.get_by_label("Token")).to_have_value("")
        page.get_by_label("Token").fill(token)
        page.get_by_role("button", name="Open").click()
        expect(page.locator("#state-label")).to_have_text("Live")
        page.close()
