"""What is told of a running stream: not too often, and nothing is left out."""

import json
from pathlib import Path

import numpy as np

from rt_seg.realtime.channel import Policy
from rt_seg.realtime.events import EventLog
from rt_seg.realtime.frame import Frame, Rendered
from rt_seg.realtime.refine import Refine
from rt_seg.realtime.report import Report
from rt_seg.realtime.scribe import Journal, Scribe
from rt_seg.realtime.sightings import SightingTracker
from rt_seg.realtime.stabilise import Stabiliser
from rt_seg.realtime.state import Status

IMAGE = np.zeros((2, 2, 3), np.uint8)


def test_drops_are_told_at_once_and_then_once_a_second(tmp_path: Path) -> None:
    """Under overload frames are lost all the time: a line each would bury the others. The counts add up to all."""
    path = tmp_path / "events.jsonl"
    scribe = Scribe(Policy.EVERY)
    report = Report(Status(), Journal(scribe, EventLog([path])), Refine(Stabiliser("off"), SightingTracker((1, 1))))
    for frame in range(45):
        report.on_shown(Rendered(Frame(frame, frame / 20, 0, IMAGE), IMAGE, None, {}, 1))
        report.tell_drops({"infer": frame + 1, "record": int(frame > 24)})
    report.tell_drops({"infer": 45, "record": 1}, last=True)
    assert scribe.close(20)
    drops = [event for event in map(json.loads, path.read_text().splitlines()) if event["kind"] == "drops"]
    assert [(event["pts_seconds"], event["cause"], event["count"]) for event in drops] == [
        (0.0, "infer", 1),
        (1.0, "infer", 20),
        (1.25, "record", 1),
        (2.0, "infer", 20),
        (2.2, "infer", 4),
    ]
