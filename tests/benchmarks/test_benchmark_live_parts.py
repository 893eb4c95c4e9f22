"""The benchmark's parts `live` and `clinical` in their quick mode, on real streams; no time is asserted."""

from pathlib import Path

import pytest

from rt_seg.benchmarks import clinical_part, live_part
from rt_seg.benchmarks.harness.part import PARTS, Settings
from rt_seg.benchmarks.harness.results import PartResult, Row
from rt_seg.benchmarks.live_part import PACES, LiveRun, frames_of


class Bar:
    """Progress that nobody looks at."""

    def update(self, done: float, doing: str) -> None:
        assert 0 <= done <= 1
        assert doing


def rows_of(result: PartResult, key: str) -> dict[str, Row]:
    """Rows of a table by their label."""
    return {row.label: row for table in result.tables if table.key == key for row in table.rows}


@pytest.mark.slow
def test_live_part_measures_each_pace(tiny_model_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each pace has its delays, its drops by cause and its pixels, beside the reference figures."""
    monkeypatch.setattr(live_part, "PACES", (60, 240))
    result = live_part.measure(Settings(engine=str(tiny_model_path), seconds=0.1, repeats=2, quick=True), Bar())
    delays, frames = rows_of(result, "delays"), rows_of(result, "frames")
    assert set(frames) == {"60 frames/s", "240 frames/s"}
    video = delays["video delay, 60 frames/s"]
    assert video.exact["reference"] == 5.75
    assert video.histograms["delay"].count > 2
    assert delays["annotation delay, 60 frames/s"].exact["reference"] == 120
    assert str(frames["60 frames/s"].exact["pixels"]).startswith("identical in ")
    assert len(frames["240 frames/s"].values["current"]) == 2
    assert [timeline.values != [] for timeline in result.timelines] == [True, True]


@pytest.mark.slow
def test_clinical_part_has_a_table_for_each_question() -> None:
    """Filters, thresholds and waits are rows with first detection, sensitivity, specificity and false activations."""
    result = clinical_part.measure(Settings(quick=True), Bar())
    assert len(result.tables) >= 4
    row = result.tables[0].rows[0]
    assert {"sensitivity", "false_activations_a_minute", "mdice"} <= row.exact.keys()
    assert "simulated" in result.title


def test_default_parts_are_the_three_of_the_issue() -> None:
    """Without a name, engine, stream and live run; clinical and scale are asked for."""
    assert [name for name, part in PARTS.items() if part.default] == ["engine", "stream", "live"]
    assert {"clinical", "scale"} <= PARTS.keys()


def test_three_rounds_of_any_pace_suffice_for_a_p90() -> None:
    """A p90 is said from 100 frames on."""
    assert min(3 * frames_of(pace, quick=False) for pace in PACES) >= 100


def test_dropped_frames_are_the_gaps_between_shown_ones() -> None:
    """Frames 2 and 3 are missing: two ticks stand between the stamps of their neighbours."""
    shown = [(0, 0.0, 1.0), (1, 0.1, 1.0), (4, 0.4, 2.0)]
    answer = {
        "frames_in": 5, "frames_out": 3, "frames_with_mask": 3, "dropped": {"show": 2}, "video_counts": [[1000, 3]],
        "annotation_counts": [], "compared": 1, "differing": 0, "shown": shown, "engine": "x",
    }  # fmt: skip
    timeline = LiveRun.of(answer).timeline(10)
    assert timeline.dropped == pytest.approx([0.2, 0.3])
    assert timeline.values == [1.0, 1.0, 2.0]
