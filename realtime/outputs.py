"""`Outputs`: the sinks that settings ask for; live ones come back under a new name after they failed."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

from rt_seg.engines.engine import Engine

from .channel import Policy
from .controls import Controls
from .events import EventLog, check_events_file
from .outlet import RECORDING, Output
from .scribe import Journal
from .settings import StreamSettings
from .sinks.files import check_distinct, check_output_file
from .sinks.masks import MasksSink
from .sinks.results import ResultsSink, results_header
from .sinks.sink import Sink
from .sinks.video import VideoSink
from .snapshots import check_snapshot_folder
from .sources.images import IMAGE_SUFFIXES
from .sources.source import SourceInfo


class Outputs:
    """Makes the sinks. The constructor refuses what cannot be written.

    Args:
        settings: What was asked for.
        info: What is written.
        controls: Where it stands whether a recording is wanted.

    Raises:
        OutputError: With what to do instead.
    """

    def __init__(self, settings: StreamSettings, info: SourceInfo, controls: Controls) -> None:
        self._settings = settings
        self._info = without_identity(info) if settings.redact else info
        self._controls = controls
        self._header: dict[str, Any] = {}
        self._check(info.path)
        self._video = None if settings.output is None else VideoSink(settings.output, self._info)
        self._masks = None if settings.masks is None else MasksSink(settings.masks, info.path)
        self._results = None if settings.results is None else ResultsSink(settings.results, self._header, info.path)

    def _check(self, source: Path | None) -> None:
        asked = self._settings
        check_distinct(asked.output, asked.results, asked.masks, asked.snapshots, *asked.events)
        if self._settings.output is not None:
            check_output_file(self._settings.output, ".mp4", source)
        if self._settings.snapshots is not None:
            check_snapshot_folder(self._settings.snapshots, source)
        for path in self._settings.events:
            check_events_file(path, source)

    def describe(self, engine: Engine) -> None:
        """Complete what the files say of their making, once the engine is known."""
        self._header.update(results_header(self._info, engine.spec, engine.info))

    def journal(self, policy: Policy) -> Journal:
        """The event log; called after `describe`."""
        log = EventLog(self._settings.events, self._header) if self._settings.events else None
        return Journal(policy, log, self._next_events if self._info.live else None)

    def sinks(self, *, keys: bool) -> list[Sink | Output]:
        """The sinks, the recording first; with keys (a window's, which goes before them) it can be switched."""
        sinks: list[Sink | Output] = []
        if self._video is not None or keys:
            remake = self._next_video if self._info.live or keys else None
            sinks.append(Output(RECORDING, self._video, remake, lambda: self._controls.recording))
        if self._results is not None:
            sinks.append(self._output(self._results, self._next_results))
        if self._masks is not None:
            sinks.append(self._output(self._masks, self._next_masks))
        return sinks

    def _output(self, sink: Sink, remake: Callable[[], Sink]) -> Output:
        return Output(sink.name, sink, remake if self._info.live else None)

    def _next_video(self) -> Sink:
        path = self._settings.output or Path(f"rt-seg-{datetime.now().astimezone():%Y%m%d-%H%M%S}.mp4")
        # a later part begins with its own first picture, as a live recording does
        return VideoSink(next_part(path), replace(self._info, live=True))

    def _next_results(self) -> Sink:
        return ResultsSink(next_part(self._settings.results or Path()), self._header)

    def _next_masks(self) -> Sink:
        return MasksSink(next_part(self._settings.masks or Path()), self._info.path)

    def _next_events(self) -> EventLog:
        return EventLog([next_part(path) for path in self._settings.events], self._header)


def without_identity(info: SourceInfo) -> SourceInfo:
    """What files may say of a redacted source: neither its name nor its place, and with the place goes the sound."""
    return replace(info, name="redacted", path=None)


def without_source(source: str, info: SourceInfo) -> Callable[[str], str]:
    """Takes what names a redacted source out of a text that is written or served: address, path, and name alone.

    Args:
        source: As it was asked for.
        info: As it says of itself.
    """
    places = {info.name} if info.kind == "camera" else {source, info.name}  # a camera's 0 stands in many texts
    if info.path is not None:
        places |= {str(info.path), str(info.path.resolve())}
    places |= {place.rstrip("/").rpartition("/")[2] for place in places}
    known = [re.escape(place) for place in sorted(places - {"", "."}, key=len, reverse=True)]
    if info.kind == "images":  # each picture has a name of its own
        known.insert(0, rf"[^:]+(?:{'|'.join(map(re.escape, sorted(IMAGE_SUFFIXES)))})")
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(known)})(?!\w)", re.IGNORECASE)
    return lambda text: pattern.sub("the source", text)


def next_part(path: Path) -> Path:
    """The first free name among ``out.mp4``, ``out-2.mp4``, ``out-3.mp4`` and so on: no part replaces another."""
    if not path.exists():
        return path
    names = (path.with_stem(f"{path.stem}-{number}") for number in count(2))
    return next(name for name in names if not name.exists())
