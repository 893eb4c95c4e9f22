"""Events of a live stream whose disk is full for a while, written by a thread of their own."""

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from rt_seg.errors import OutputError
from rt_seg.realtime.backoff import Backoff
from rt_seg.realtime.channel import Policy
from rt_seg.realtime.events import Event, EventLog
from rt_seg.realtime.outputs import next_part
from rt_seg.realtime.scribe import Journal, Scribe
from rt_seg.realtime.sinks.files import OutputFile
from rt_seg.realtime.state import Status

WAITING = 256  # actions that may wait

OpenFiles = Callable[[], set[str]]


class Disk:
    """Writes half of what it is given while it is full."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full = False
        write = OutputFile.write

        def written(file: OutputFile, data: bytes) -> int:
            if self.full:
                write(file, data[: len(data) // 2])
                raise OutputError("the disk is full")
            return write(file, data)

        monkeypatch.setattr(OutputFile, "write", written)


def drop(journal: Journal, count: int) -> None:
    """Tell of so many frames."""
    journal.tell(Event.drops(1.0, "infer", count))


def settle(scribe: Scribe) -> None:
    """Wait until everything so far was done."""
    done = threading.Event()
    scribe.put(done.set)
    assert done.wait(20)


def lines(path: Path) -> list[dict[str, Any]]:
    """What stands in it."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_after_a_full_disk_the_events_go_on_in_another_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, open_files: OpenFiles
) -> None:
    """The first file keeps its whole lines, the next one has a header, nothing is said to be stopped or stays open."""
    disk, path, before, status = Disk(monkeypatch), tmp_path / "events.jsonl", open_files(), Status()
    failed: list[tuple[str, str]] = []
    told = threading.Event()

    def on_error(name: str, error: BaseException) -> None:
        status.stop(name)
        failed.append((name, str(error)))
        told.set()

    def remake() -> EventLog:
        return EventLog([next_part(path)], {"source": "demo"})

    journal = Journal(Policy.LATEST, EventLog([path], {"source": "demo"}), remake, Backoff(0.0, 0.0))
    journal.start(on_error, status.resume)
    drop(journal, 1)
    settle(journal)
    disk.full = True
    drop(journal, 2)
    assert told.wait(20)
    assert failed == [("events", "the disk is full")]
    assert status.stopped
    disk.full = False
    drop(journal, 3)
    assert journal.close(20)
    assert not status.stopped
    assert journal.lost == {"events": 0, "events stopped": 1}
    assert len(failed) == 1
    assert [log.paths for log in journal.logs] == [(path,), (tmp_path / "events-2.jsonl",)]
    first, second = lines(path), lines(tmp_path / "events-2.jsonl")
    assert [record["kind"] for record in (*first, *second)] == ["header", "drops", "header", "drops"]
    assert (first[1]["count"], second[1]["count"]) == (1, 3)
    assert open_files() == before


def test_while_the_disk_stays_full_the_waits_grow_and_nothing_else_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within the wait no attempt is made: ten events later the error was told once, and no further file was made."""
    disk, path = Disk(monkeypatch), tmp_path / "events.jsonl"
    failed: list[str] = []
    journal = Journal(Policy.LATEST, EventLog([path]), lambda: EventLog([next_part(path)]), Backoff(3600.0, 3600.0))
    journal.start(lambda name, _error: failed.append(name), failed.append)
    settle(journal)
    disk.full = True
    for count in range(10):
        drop(journal, count)
    assert journal.close(20)
    assert journal.lost == {"events": 0, "events stopped": 10}
    assert failed == ["events"]
    assert [file.name for file in tmp_path.iterdir()] == ["events.jsonl"]
    assert [record["kind"] for record in lines(path)] == ["header"]


def test_a_disk_that_is_full_from_the_start_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The header is not written before there is somebody who hears that it cannot be."""
    Disk(monkeypatch).full = True
    journal = Journal(Policy.EVERY, EventLog([tmp_path / "events.jsonl"]))
    drop(journal, 1)
    assert list(tmp_path.iterdir()) == []
    failed: list[tuple[str, str]] = []
    journal.start(lambda name, error: failed.append((name, str(error))), lambda _name: None)
    assert journal.close(20)
    assert failed == [("events", "the disk is full")]
    assert journal.lost["events stopped"] == 1


def test_an_event_has_the_time_at_which_it_happened(tmp_path: Path) -> None:
    """A disk that takes its time does not move it."""
    path, held = tmp_path / "events.jsonl", threading.Event()
    journal = Journal(Policy.EVERY, EventLog([path]))
    journal.start(lambda _name, _error: None, lambda _name: None)
    journal.put(held.wait)
    drop(journal, 1)
    told = datetime.now(UTC)
    while datetime.now(UTC) - told < timedelta(milliseconds=5):
        pass
    held.set()
    assert journal.close(20)
    assert datetime.fromisoformat(lines(path)[1]["wall_time"]) <= told


def test_what_a_slow_disk_loses_is_counted(tmp_path: Path) -> None:
    """Of a live stream the oldest events go, and those that are left undone at the end: with the rest they are all."""
    path, held, begun = tmp_path / "events.jsonl", threading.Event(), threading.Event()
    journal = Journal(Policy.LATEST, EventLog([path]))
    journal.start(lambda _name, _error: None, lambda _name: None)

    def hold() -> None:
        begun.set()
        held.wait(20)

    journal.put(hold)
    assert begun.wait(20)
    for count in range(600):
        drop(journal, count)
    assert journal.lost["events"] == 600 - WAITING
    assert not journal.close(0.0)
    assert journal.abandon() == WAITING + 1  # with the one that holds it up
    assert journal.lost["events"] == 600 + 1
    held.set()
    assert journal.close(20)
    assert len(lines(path)) == 1
