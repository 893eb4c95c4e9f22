"""The event log: whole lines at once, JSON and CSV alike, errors in one line."""

import csv
import json
import threading
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from rt_seg.errors import OutputError
from rt_seg.realtime.events import COLUMNS, Event, EventLog
from rt_seg.realtime.sightings import Sighting
from rt_seg.realtime.sinks.files import OutputFile

SIGHTING = Sighting(3, 1.0, 1.2, 4.5, 80, 5000, 0.0123456789, 0.95, 90, 3.6)


NOON = datetime(2026, 1, 2, 12, 0, 0, 345_678, tzinfo=UTC)


def json_lines(path: Path) -> list[dict[str, Any]]:
    """What stands in it."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def csv_rows(path: Path) -> list[dict[str, str]]:
    """What stands in it."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def fill(log: EventLog) -> None:
    """One event of each kind."""
    log.begin()
    for event in (
        Event.state_changed(0.0, "segmenting", None),
        Event.sighting_started(SIGHTING),
        Event.signal_lost(2.0, 'no frame for 2 s, "again"'),
        Event.signal_restored(9.0, "after 7 s"),
        Event.drops(9.5, "infer", 12),
        Event.sighting_ended(SIGHTING),
    ):
        log.add(replace(event, time=NOON))


def test_every_kind_stands_in_both_files(tmp_path: Path) -> None:
    """The same events in the same order, each with stream and wall time."""
    paths = tmp_path / "e.jsonl", tmp_path / "e.csv"
    log = EventLog(paths, {"source": "demo"})
    fill(log)
    log.close()
    header, *events = json_lines(paths[0])
    assert header == {"kind": "header", "schema_version": 1, "source": "demo"}
    rows = csv_rows(paths[1])
    kinds = ["state_changed", "sighting_started", "signal_lost", "signal_restored", "drops", "sighting_ended"]
    assert [event["kind"] for event in events] == [row["kind"] for row in rows] == kinds
    assert [event["pts_seconds"] for event in events] == [0.0, 1.2, 2.0, 9.0, 9.5, 4.5]
    assert {event["wall_time"] for event in events} == {"2026-01-02T12:00:00.345+00:00"}
    assert events[1]["sighting"] == 3
    assert (events[1]["largest_area_fraction"], events[1]["best_index"]) == (0.012346, 90)
    assert rows[2]["detail"] == 'no frame for 2 s, "again"'
    assert (rows[4]["cause"], rows[4]["count"], rows[4]["state"]) == ("infer", "12", "")
    assert {key for event in events for key in event} == set(COLUMNS)


def test_an_event_is_in_the_file_at_once(tmp_path: Path) -> None:
    """Before the log is closed every line is readable: a kill loses nothing."""
    path = tmp_path / "e.jsonl"
    log = EventLog([path])
    assert not path.exists()
    log.begin()
    assert len(json_lines(path)) == 1
    log.add(Event.drops(1.0, "infer", 1))
    assert len(json_lines(path)) == 2
    log.close()


def test_a_stream_without_events_says_so(tmp_path: Path) -> None:
    """Begun and closed, the files have their headers; never begun, there are none."""
    paths = tmp_path / "e.jsonl", tmp_path / "e.csv"
    log = EventLog(paths)
    log.begin()
    log.begin()
    log.close()
    log.close()
    assert len(json_lines(paths[0])) == 1
    assert csv_rows(paths[1]) == []
    EventLog([tmp_path / "never.jsonl"]).close()
    assert not (tmp_path / "never.jsonl").exists()


def test_threads_do_not_mix_their_lines(tmp_path: Path) -> None:
    """Four threads write at once; every line is whole."""
    path = tmp_path / "e.jsonl"
    log = EventLog([path])

    def write() -> None:
        for i in range(50):
            log.add(Event.drops(0.0, "x" * 200, i))

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()
    assert len(json_lines(path)) == 201


@pytest.mark.parametrize("name", ["e.txt", "e", "missing/e.jsonl"])
def test_a_wrong_path_is_refused_before_anything_is_written(tmp_path: Path, name: str) -> None:
    """The message names the path."""
    with pytest.raises(OutputError, match=name):
        EventLog([tmp_path / name])


def test_a_full_disk_leaves_whole_lines_and_the_other_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line that failed is taken back, the other file has it, and the error comes out."""
    paths = tmp_path / "e.jsonl", tmp_path / "e.csv"
    log = EventLog(paths)
    log.add(Event.drops(0.0, "infer", 1))
    write = OutputFile.write

    def half(file: OutputFile, data: bytes) -> int:
        if data.startswith(b"{"):
            write(file, data[: len(data) // 2])
            raise OutputError("the disk is full")
        return write(file, data)

    monkeypatch.setattr(OutputFile, "write", half)
    with pytest.raises(OutputError, match="full"):
        log.add(Event.drops(1.0, "infer", 2))
    log.close()
    assert len(json_lines(paths[0])) == 2
    assert len(csv_rows(paths[1])) == 2


def test_a_closed_log_says_so(tmp_path: Path) -> None:
    """Writing after close is refused."""
    log = EventLog([tmp_path / "e.jsonl"])
    log.begin()
    log.close()
    with pytest.raises(OutputError, match="closed"):
        log.add(Event.drops(0.0, "infer", 1))
