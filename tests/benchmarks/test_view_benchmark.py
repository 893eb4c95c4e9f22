"""How late pictures are at a client of the view: the benchmark's own arithmetic, on a stream that runs."""

from pathlib import Path
from statistics import median

import pytest

from rt_seg.benchmarks.clips import FPS, make_clip
from rt_seg.benchmarks.view import BROWSER, TRANSPORTS, measure
from rt_seg.benchmarks.view_browser import find_browser
from rt_seg.errors import MissingDependencyError


@pytest.mark.slow
def test_both_transports_are_measured(tmp_path: Path) -> None:
    """Each brings pictures, later than their hand-over, which is later than their capture."""
    found = measure(make_clip(tmp_path / "clip.mp4", 320, 240, 20 * FPS), 1, 1.0)
    assert found["delays"].keys() == set(TRANSPORTS)
    for delays in found["delays"].values():
        assert len(delays["capture"]) >= 5
        assert len(delays["hand-over"]) >= 5
        assert median(delays["hand-over"]) > 0  # a single stamp may come a moment late
        assert sum(delays["capture"]) / len(delays["capture"]) > sum(delays["hand-over"]) / len(delays["hand-over"])


@pytest.mark.slow
def test_the_page_itself_is_measured(tmp_path: Path) -> None:
    """In Chromium the page's own delays are taken, and the figures that it shows; skipped where there is none."""
    try:
        find_browser()
    except MissingDependencyError as exc:
        pytest.skip(str(exc))
    found = measure(make_clip(tmp_path / "clip.mp4", 320, 240, 40 * FPS), 1, 1.0, browser=True)
    delays = found["delays"][BROWSER]
    assert len(delays["capture"]) >= 5
    assert median(delays["hand-over"]) > 0
    assert sum(delays["capture"]) / len(delays["capture"]) > sum(delays["hand-over"]) / len(delays["hand-over"])
    (page,) = found["pages"]
    assert page.keys() == {"last", "p50", "p99"}
