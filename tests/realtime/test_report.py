"""What is told of a running stream: not too often, and nothing is left out."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rt_seg.errors import EngineError
from rt_seg.realtime.channel import Policy
from rt_seg.realtime.events import EventLog
from rt_seg.realtime.frame import Frame, Rendered
from rt_seg.realtime.refine import Refine
from rt_seg.realtime.report import Report
from rt_seg.realtime.scribe import Journal
from rt_seg.realtime.sightings import SightingTracker
from rt_seg.realtime.stabilise import Stabiliser
from rt_seg.realtime.state import Status, StreamState


def written(journal: Journal) -> list[dict[str, Any]]:
    """Write all that was told, and read it."""
    failed: list[str] = []
    journal.start(lambda name, _error: failed.append(name), failed.append)
    assert journal.close(20)
    assert not failed
    return [json.loads(line) for line in journal.logs[0].paths[0].read_text().splitlines()][1:]


def test_drops_are_told_at_once_and_then_once_a_second(tmp_path: Path) -> None:
    """Under overload frames are lost all the time: a line each would bury the others. The counts add up to all."""
    path, now = tmp_path / "events.jsonl", [0.0]
    journal = Journal(Policy.EVERY, EventLog([path]))
    report = Report(Status(), journal, Refine(Stabiliser("off"), SightingTracker((1, 1))), lambda: now[0])
    for tick in range(45):
        now[0] = tick / 20
        report.tell_drops({"infer": tick + 1, "record": int(tick > 24)})
    report.tell_drops({"infer": 45, "record": 1}, last=True)
    assert [(event["cause"], event["count"]) for event in written(journal)] == [
        ("infer", 1),
        ("infer", 20),
        ("record", 1),
        ("infer", 20),
        ("infer", 4),
    ]


def test_an_engine_that_fails_in_the_same_way_again_is_told_of_once() -> None:
    """Attempts go on for hours; another error, and the return, are news."""
    report = Report(
        Status(), Journal(Policy.EVERY, None), Refine(Stabiliser("off"), SightingTracker((1, 1))), lambda: 0.0
    )
    for error in ("lost", "lost", "hangs", "lost", None):
        report.on_engine(None if error is None else EngineError(error))
    assert [line.removeprefix("segmentation ") for line in report.take_lines()] == [
        "unavailable: lost",
        "unavailable: hangs",
        "unavailable: lost",
        "is back",
    ]


SEGMENTING, WITHHELD, BLURRED = StreamState.SEGMENTING, StreamState.WITHHELD, StreamState.BLURRED
UNAVAILABLE, NO_SIGNAL = StreamState.UNAVAILABLE, StreamState.NO_SIGNAL


@pytest.mark.parametrize(
    ("shown", "told"),
    [
        # neither of the two ever holds for 0.3 s
        ([(UNAVAILABLE, 10), *[(WITHHELD, 6), (SEGMENTING, 5)] * 20], [(0, UNAVAILABLE), (18, WITHHELD)]),
        ([(NO_SIGNAL, 10), *[(SEGMENTING, 5), (BLURRED, 1)] * 20], [(0, NO_SIGNAL), (18, SEGMENTING)]),
        ([(SEGMENTING, 10), (WITHHELD, 7), (SEGMENTING, 10)], [(0, SEGMENTING)]),
        ([(SEGMENTING, 10), (WITHHELD, 9)], [(0, SEGMENTING), (18, WITHHELD)]),
        (
            [(SEGMENTING, 3), (UNAVAILABLE, 1), (NO_SIGNAL, 1), (SEGMENTING, 10)],
            [(0, SEGMENTING), (3, UNAVAILABLE), (4, NO_SIGNAL), (13, SEGMENTING)],
        ),
    ],
    ids=["unavailable", "no signal", "soon over", "held", "grave at once"],
)
def test_a_state_that_is_left_is_told_of_soon(
    shown: list[tuple[StreamState, int]], told: list[tuple[int, StreamState]], tmp_path: Path
) -> None:
    """After 0.3 s out of it, whatever else comes and goes; a grave one begins at once, and what flickers is no news."""
    journal = Journal(Policy.EVERY, EventLog([tmp_path / "events.jsonl"]))
    report = Report(Status(), journal, Refine(Stabiliser("off"), SightingTracker((1, 1))))
    image = np.zeros((2, 2, 3), np.uint8)
    for index, state in enumerate(state for state, frames in shown for _ in range(frames)):
        report.on_shown(Rendered(Frame(index, index / 25, 0, image), image, None, {}, 1, state))
    events = written(journal)
    assert [(round(event["pts_seconds"] * 25), event["state"]) for event in events] == told
    assert [event["previous"] for event in events] == [None, *(state for _, state in told[:-1])]
