"""Events of a live stream whose disk is full for a while, written by a thread of their own."""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rt_seg.errors import OutputError
from rt_seg.realtime.backoff import Backoff
from rt_seg.realtime.channel import Policy
from rt_seg.realtime.events import EventLog
from rt_seg.realtime.outputs import next_part
from rt_seg.realtime.scribe import Journal, Scribe
from rt_seg.realtime.sinks.files import OutputFile

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
    journal.tell(lambda log: log.drops(1.0, "infer", count))


def settle(scribe: Scribe) -> None:
    """Wait until everything so far was done."""
    done = threading.Event()
    scribe.put("test", done.set)
    assert done.wait(20)


def lines(path: Path) -> list[dict[str, Any]]:
    """What stands in it."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_after_a_full_disk_the_events_go_on_in_another_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, open_files: OpenFiles
) -> None:
    """The first file keeps its whole lines, the next one has a header of its own, and nothing stays open."""
    disk, path, before = Disk(monkeypatch), tmp_path / "events.jsonl", open_files()
    scribe = Scribe(Policy.LATEST)
    failed: list[tuple[str, str]] = []
    scribe.on_error = lambda name, error: failed.append((name, str(error)))

    def remake() -> EventLog:
        return EventLog([next_part(path)], {"source": "demo"})

    journal = Journal(scribe, EventLog([path], {"source": "demo"}), remake, Backoff(0.0, 0.0))
    drop(journal, 1)
    settle(scribe)
    disk.full = True
    drop(journal, 2)
    settle(scribe)
    assert failed == [("events", "the disk is full")]
    disk.full = False
    drop(journal, 3)
    journal.close()
    assert scribe.close(20)
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
    scribe = Scribe(Policy.LATEST)
    failed: list[str] = []
    scribe.on_error = lambda name, _error: failed.append(name)
    journal = Journal(scribe, EventLog([path]), lambda: EventLog([next_part(path)]), Backoff(3600.0, 3600.0))
    settle(scribe)
    disk.full = True
    for count in range(10):
        drop(journal, count)
    journal.close()
    assert scribe.close(20)
    assert failed == ["events"]
    assert [file.name for file in tmp_path.iterdir()] == ["events.jsonl"]
    assert [record["kind"] for record in lines(path)] == ["header"]
