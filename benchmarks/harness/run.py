"""Runs the parts one after the other and collects a `Report`; an interruption keeps what is done."""

import signal
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Protocol

from rt_seg.realtime.signals import ending_signals

from .inputs import check_inputs
from .machine import LoadWatch, describe_machine, installed_versions, look_before, warn
from .part import PARTS, Progress, Settings
from .results import Measured, Report


class Observer(Progress, Protocol):
    """Somebody who wants to see a benchmark run."""

    def begin(self, part: str) -> None:
        """A part begins."""
        ...

    def end(self, measured: Measured) -> None:
        """A part ran to its end."""
        ...

    def note(self, line: str) -> None:
        """One line to read."""
        ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a benchmark ended.

    Attributes:
        report: What was found; the part that broke off, if one did, is left out and named in `Report.stopped_in`.
        signal: Number of the signal that ended it early, if one did.
        error: What ended it early, if anything did after the first part.
    """

    report: Report
    signal: int | None
    error: Exception | None


def run_parts(names: list[str], settings: Settings, command: str, observer: Observer) -> Outcome:
    """Measure, one part after the other; what is done is kept when one breaks off.

    Args:
        names: Parts, from `choose_parts`.
        settings: What to measure, how long.
        command: How the benchmark was called, for the report.
        observer: Told of all that happens.

    Raises:
        InputError: Something that was given cannot be used.
        Exception: The first part cannot be measured, so there is nothing to report.
    """
    check_inputs(settings)
    created = datetime.now().astimezone().isoformat(timespec="seconds")
    done: list[Measured] = []
    warnings: list[str] = []
    number: int | None = None
    error: Exception | None = None
    with ending_signals(_interrupt) as received:
        try:
            warnings += look_before()
            for line in warnings:
                observer.note(f"note: {line}")
            for name, share in _shares(names, settings.seconds):
                observer.begin(name)
                measured = _measure(name, replace(settings, seconds=share), observer)
                done.append(measured)
                warnings += warn(measured.background, f"while {name} ran")
                observer.end(measured)
        except KeyboardInterrupt:
            number = received.number or signal.SIGINT
        except Exception as exc:  # also a defect of ours must not cost the figures of the parts before it
            if not done:
                raise
            error = exc
    report = Report(
        created=created,
        command=command,
        settings=_as_json(settings),
        machine=describe_machine(),
        versions=installed_versions(),
        parts=tuple(done),
        planned=tuple(names),
        stopped_in=next(iter(names[len(done) :]), None),
        warnings=tuple(warnings),
    )
    return Outcome(report, number, error)


def _shares(names: list[str], seconds: float) -> Iterator[tuple[str, float]]:
    """Each part with its share of the time that is left: what one does not need, those after it have."""
    end = time.monotonic() + seconds
    for number, name in enumerate(names):
        yield name, max(end - time.monotonic(), 1.0) / (len(names) - number)


def _interrupt() -> None:
    # raised from the handler, so that it also ends the wait for a child
    raise KeyboardInterrupt


def _measure(name: str, settings: Settings, progress: Progress) -> Measured:
    watch, began = LoadWatch(), time.monotonic()
    result = PARTS[name].measure(settings, progress)
    return Measured(result, time.monotonic() - began, watch.read())


def _as_json(settings: Settings) -> dict[str, Any]:
    values = asdict(settings)
    values["data"] = [str(folder) for folder in settings.data]
    for name in ("source", "keras"):
        values[name] = None if values[name] is None else str(values[name])
    return values
