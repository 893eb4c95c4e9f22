"""How late pictures are at a client of the view: the benchmark's own arithmetic, on a stream that runs."""

from pathlib import Path
from statistics import median

import pytest

from rt_seg.benchmarks.clips import FPS, make_clip
from rt_seg.benchmarks.view import TRANSPORTS, measure


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
