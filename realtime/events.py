"""`EventLog`: what happened in a stream, a line an event, in the file at once.

As JSON lines, the first line is ``{"kind": "header", "schema_version": 1, ...}`` with what the caller says of the run.
Then each event has `kind`, `pts_seconds` (stream time; null before the first frame), `wall_time` (when it happened, not
when it was written: ISO 8601 with milliseconds and offset) and

| kind | further keys |
|---|---|
| `sighting_started`, `sighting_ended` | `sighting` (its id), `first_seconds`, `activated_seconds`, `last_seconds`, `frames`, `largest_area_px`, `largest_area_fraction`, `highest_confidence`, `best_index`, `best_seconds` |
| `signal_lost`, `signal_restored` | `detail`, such as why or for how long |
| `state_changed` | `state`, `previous` |
| `drops` | `cause`, `count` (since the last such event of that cause) |

As CSV there is one column for each of these keys, in that order, and no header of the run.
"""  # noqa: E501 - a row of the table is one line

import csv
import io
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from rt_seg.errors import OutputError

from .sightings import Sighting
from .sinks.files import OutputFile, check_output_file

SCHEMA_VERSION = 1
EventKind = Literal["sighting_started", "sighting_ended", "signal_lost", "signal_restored", "state_changed", "drops"]
Value = str | int | float | None

COLUMNS = (
    "kind", "pts_seconds", "wall_time", "sighting", "first_seconds", "activated_seconds", "last_seconds", "frames",
    "largest_area_px", "largest_area_fraction", "highest_confidence", "best_index", "best_seconds", "detail", "state",
    "previous", "cause", "count",
)  # fmt: skip
"""Columns of the CSV."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, now.

    Attributes:
        kind: What.
        pts_seconds: Stream time, or None where there is none yet.
        values: See the module's table.
        time: On the wall clock.
    """

    kind: EventKind
    pts_seconds: float | None
    values: Mapping[str, Value] = field(default_factory=dict[str, Value])
    time: datetime = field(default_factory=lambda: datetime.now(UTC).astimezone())

    @classmethod
    def sighting_started(cls, sighting: Sighting) -> "Event":
        """A sighting was activated."""
        return cls("sighting_started", sighting.activated_seconds, _sighting_values(sighting))

    @classmethod
    def sighting_ended(cls, sighting: Sighting) -> "Event":
        """A sighting is over; the event's stream time is when it was last seen."""
        return cls("sighting_ended", sighting.last_seconds, _sighting_values(sighting))

    @classmethod
    def signal_lost(cls, pts_seconds: float | None, detail: str = "") -> "Event":
        """No picture comes."""
        return cls("signal_lost", pts_seconds, {"detail": detail})

    @classmethod
    def signal_restored(cls, pts_seconds: float | None, detail: str = "") -> "Event":
        """Pictures come again."""
        return cls("signal_restored", pts_seconds, {"detail": detail})

    @classmethod
    def state_changed(cls, pts_seconds: float | None, state: str, previous: str | None) -> "Event":
        """The stream does something else than before."""
        values = {"state": str(state), "previous": None if previous is None else str(previous)}
        return cls("state_changed", pts_seconds, values)

    @classmethod
    def drops(cls, pts_seconds: float | None, cause: str, count: int) -> "Event":
        """So many frames were dropped since the last time."""
        return cls("drops", pts_seconds, {"cause": cause, "count": count})


def check_events_file(path: Path, source: Path | None = None) -> None:
    """Refuse a file that could not be written, before any work is done.

    Raises:
        OutputError: It ends neither in ``.jsonl`` nor in ``.csv``, or cannot be written.
    """
    suffix = path.suffix.lower()
    if suffix not in (".jsonl", ".csv"):
        raise OutputError(f"{path}: events are written as .jsonl or .csv; give a name that ends in one of them")
    check_output_file(path, suffix, source)


class EventLog:
    """Writes events. Thread-safe.

    Args:
        paths: ``.jsonl`` and ``.csv`` files; each comes into being with `begin` or the first event.
        header: What the JSON header says of the run. Say nothing of the source in it where that is to be redacted.
        source: The input file, if there is one: none of the paths may be it.

    Raises:
        OutputError: A path cannot be written.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        header: Mapping[str, Any] | None = None,
        *,
        source: Path | None = None,
    ) -> None:
        for path in paths:
            check_events_file(path, source)
        self.paths = tuple(paths)
        self._header = {"kind": "header", "schema_version": SCHEMA_VERSION, **(header or {})}
        self._files = [(OutputFile(path), path.suffix.lower() == ".csv") for path in paths]
        self._lock = threading.Lock()

    def begin(self) -> None:
        """Create the files with their headers: a stream without events leaves a file that says so.

        Raises:
            OutputError: A file cannot be written.
        """
        with self._lock:
            self._begin()

    def add(self, event: Event) -> None:
        """Write an event into every file.

        Raises:
            OutputError: A file cannot be written, or the log is closed. The other files have the event, and every
                file holds whole lines only.
        """
        with self._lock:
            self._begin()
            line: dict[str, Value] = {
                "kind": event.kind,
                "pts_seconds": _rounded(event.pts_seconds),
                "wall_time": event.time.isoformat(timespec="milliseconds"),
                **event.values,
            }
            self._write_all([_csv_line(line) if as_csv else _json_line(line) for _, as_csv in self._files])

    def close(self) -> None:
        """Close the files; a second call does nothing.

        Raises:
            OutputError: The file system reports a late failure.
        """
        with self._lock:
            _each([file.close for file, _ in self._files])

    def _begin(self) -> None:
        missing = [file for file, _ in self._files if not file.created and not file.closed]
        if missing:
            headers = [_csv_row(COLUMNS) if as_csv else _json_line(self._header) for _, as_csv in self._files]
            self._write_all(
                [b"" if file.created else line for (file, _), line in zip(self._files, headers, strict=True)]
            )

    def _write_all(self, lines: Sequence[bytes]) -> None:
        pairs = list(zip(self._files, self.paths, lines, strict=True))
        _each([_writer(file, path, line) for (file, _), path, line in pairs])


def _writer(file: OutputFile, path: Path, line: bytes) -> Callable[[], None]:
    def write() -> None:
        if file.closed:
            raise OutputError(f"{path}: the events are closed; start another file")
        whole = file.tell()
        try:
            file.write(line)
        except OutputError:
            if file.created:
                file.cut(whole)
            raise

    return write


def _each(actions: Sequence[Callable[[], None]]) -> None:
    """Do all of them, then raise the first error: one file's trouble is not the others'."""
    errors: list[OutputError] = []
    for action in actions:
        try:
            action()
        except OutputError as exc:
            errors.append(exc)
    if errors:
        raise errors[0]


def _sighting_values(sighting: Sighting) -> dict[str, Value]:
    values: dict[str, Any] = asdict(sighting)
    values = {name: _rounded(value) if isinstance(value, float) else value for name, value in values.items()}
    return {"sighting": values.pop("id"), **values}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def _json_line(record: Mapping[str, Any]) -> bytes:
    return json.dumps(record, allow_nan=False, separators=(",", ":")).encode() + b"\n"


def _csv_line(event: Mapping[str, Value]) -> bytes:
    return _csv_row([event.get(column) for column in COLUMNS])


def _csv_row(values: Sequence[Value]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue().encode()
