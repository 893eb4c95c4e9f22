"""What is told of a running stream: not too often, and nothing is left out."""

import json
from pathlib import Path

from rt_seg.errors import EngineError
from rt_seg.realtime.channel import Policy
from rt_seg.realtime.events import EventLog
from rt_seg.realtime.refine import Refine
from rt_seg.realtime.report import Report
from rt_seg.realtime.scribe import Journal, Scribe
from rt_seg.realtime.sightings import SightingTracker
from rt_seg.realtime.stabilise import Stabiliser
from rt_seg.realtime.state import Status


def test_drops_are_told_at_once_and_then_once_a_second(tmp_path: Path) -> None:
    """Under overload frames are lost all the time: a line each would bury the others. The counts add up to all."""
    path, now = tmp_path / "events.jsonl", [0.0]
    scribe = Scribe(Policy.EVERY)
    journal = Journal(scribe, EventLog([path]))
    report = Report(Status(), journal, Refine(Stabiliser("off"), SightingTracker((1, 1))), lambda: now[0])
    for tick in range(45):
        now[0] = tick / 20
        report.tell_drops({"infer": tick + 1, "record": int(tick > 24)})
    report.tell_drops({"infer": 45, "record": 1}, last=True)
    assert scribe.close(20)
    drops = [event for event in map(json.loads, path.read_text().splitlines()) if event["kind"] == "drops"]
    assert [(event["cause"], event["count"]) for event in drops] == [
        ("infer", 1),
        ("infer", 20),
        ("record", 1),
        ("infer", 20),
        ("infer", 4),
    ]


def test_an_engine_that_fails_in_the_same_way_again_is_told_of_once() -> None:
    """Attempts go on for hours; another error, and the return, are news."""
    report = Report(
        Status(), Journal(Scribe(Policy.EVERY), None), Refine(Stabiliser("off"), SightingTracker((1, 1))), lambda: 0.0
    )
    for error in ("lost", "lost", "hangs", "lost", None):
        report.on_engine(None if error is None else EngineError(error))
    assert [line.removeprefix("segmentation ") for line in report.take_lines()] == [
        "unavailable: lost",
        "unavailable: hangs",
        "unavailable: lost",
        "is back",
    ]
