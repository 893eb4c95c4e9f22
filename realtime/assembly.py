"""The parts of a stream, made from its settings; `stream.py` and `loop.py` open and run them."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import numpy as np

from rt_seg.engines.engine import Engine
from rt_seg.engines.field_of_view import parse_roi

from .assess import Assess
from .channel import Policy
from .controls import Controls
from .crew import EngineCare
from .follow import Follow
from .frame import Frame, Prepared, Rendered, Segmentation, Showing
from .hud import Hud
from .live import Live
from .motion import GlobalMotion
from .outlet import Output
from .overlay import Overlay
from .pipeline import Pipeline
from .preprocess import Preprocess
from .redact import Redactor
from .refine import Refine
from .render import Render
from .report import Report
from .scribe import Journal, Scribe
from .segment import Segment
from .settings import StreamSettings
from .sightings import Sighting, SightingTracker, Tracking
from .sinks.sink import Sink
from .sources.open import is_live, open_source
from .sources.paced import PacedSource
from .sources.selection import Selection
from .sources.source import Source, SourceInfo
from .stabilise import Stabiliser
from .state import Status
from .statistics import Statistics
from .upkeep import Upkeep
from .witness import Witness

_LEAST_NETWORK_SECONDS = 3.0  # silence that ends a connection: less than that is a hiccup, even where it is shown
_SNAPSHOTS = 16  # that may wait to be written: at 1080p 12 MB each


class Watcher(Protocol):
    """Told of sightings by the thread that refines segmentations; must return at once."""

    def on_tracking(self, tracking: Tracking, shown: Segmentation) -> None:
        """What a frame changed, with the segmentation as it will be drawn."""
        ...

    def on_ended(self, ended: tuple[Sighting, ...]) -> None:
        """Sightings that the stream's end, a lost signal, or frames without segmentation ended."""
        ...


@dataclass(frozen=True, slots=True)
class Shared:
    """What all parts of a stream share."""

    settings: StreamSettings
    controls: Controls
    statistics: Statistics
    status: Status
    snapshots: Scribe

    @classmethod
    def of(cls, settings: StreamSettings) -> "Shared":
        """Make it for these settings."""
        controls = Controls(
            style=settings.overlay, alpha=settings.alpha, hud=settings.hud, recording=settings.output is not None
        )
        return cls(settings, controls, Statistics(), Status(), Scribe("snapshots", policy_of(settings), _SNAPSHOTS))


def policy_of(settings: StreamSettings) -> Policy:
    """What is done where the disk cannot follow what is written beside the sinks."""
    return Policy.LATEST if settings.plays_live else Policy.EVERY


def make_opener(settings: StreamSettings) -> Callable[[], Source]:
    """Opens the source as it was asked for; the selection of a live one counts over all its connections."""
    if not is_live(settings.source):
        return partial(
            open_source, settings.source, start=settings.start, duration=settings.duration, limit=settings.limit
        )
    timeout = max(settings.signal_timeout, _LEAST_NETWORK_SECONDS)
    return partial(open_source, settings.source, start=settings.start, camera=settings.camera_mode(), timeout=timeout)


def paced(source: Source, settings: StreamSettings, stopped: threading.Event) -> Source:
    """The source at its own pace, where a file is to play live, or a recording comes as fast as the network is."""
    recording = source.info.kind == "network" and not source.info.endless
    return PacedSource(source, stopped.wait) if recording or (settings.live and not source.info.live) else source


def make_upkeep(
    settings: StreamSettings, info: SourceInfo, reopen: Callable[[], Source], stopped: threading.Event
) -> Upkeep:
    """How a live source is kept up; one that may end is not opened again.

    A file that plays live selects by itself (see `make_opener`), and knows its times better.
    """
    selection = Selection(0.0, settings.duration, settings.limit) if is_live(settings.source) else Selection()
    again = reopen if info.endless else None
    return Upkeep(again, settings.signal_timeout, settings.reconnect, selection, stopped=stopped)


def make_prepare(shared: Shared, engine: Engine, info: SourceInfo) -> Callable[[Frame], Prepared]:
    """From a frame to what the engine eats; of a video it is judged, too, whether it can be assessed."""
    steady = info.kind != "images"
    preprocess = Preprocess(engine.spec, parse_roi(shared.settings.roi), steady=steady)
    return Assess(preprocess, shared.status) if steady else preprocess


def make_refine(shared: Shared, journal: Journal, info: SourceInfo, *, also: Watcher | None = None) -> Refine:
    """From single answers to masks that hold still and sightings, which are written down, and told to one more."""
    settings, controls = shared.settings, shared.controls
    controls.stabilise = settings.chosen_stabilise(info.kind)
    controls.min_frames = settings.chosen_min_frames(info.kind)
    witness = Witness(journal, shared.snapshots, shared.statistics, settings.snapshots)
    told = [witness] if also is None else [witness, also]

    def on_tracking(tracking: Tracking, shown: Segmentation) -> None:
        for each in told:
            each.on_tracking(tracking, shown)

    def on_ended(ended: tuple[Sighting, ...]) -> None:
        for each in told:
            each.on_ended(ended)

    return Refine(
        Stabiliser(controls.stabilise),
        SightingTracker(controls.min_frames, min_confidence=settings.chosen_min_confidence(info.kind)),
        on_tracking,
        on_ended,
        outlined=settings.chosen_display() == "passthrough",
        controls=controls,
    )


def make_follow(settings: StreamSettings) -> Follow | None:
    """What chooses the mask of a frame that does not wait for its own; None: frames wait."""
    passthrough = settings.chosen_display() == "passthrough"
    return Follow(settings.max_staleness_ms / 1000, GlobalMotion()) if passthrough else None


def make_render(shared: Shared, *, shown_only: bool) -> Render:
    """From frame and mask to the picture.

    Args:
        shared: What all parts share.
        shown_only: Whether all that takes pictures wants them with overlay: no key can ask for the frame itself, and no
            sink of somebody else's looks at it.
    """
    settings = shared.settings
    follow = make_follow(settings)
    overlay = Overlay(settings.overlay, settings.alpha)
    last = shown_only and follow is None  # with passthrough a frame is inferred on after it was shown
    return Render(overlay, Hud(), shared.controls, shared.statistics, shared.status, follow=follow, last=last)


def make_admit(settings: StreamSettings) -> Callable[[Frame], Frame | None] | None:
    """With redaction: a frame with a picture that names no patient, or None as long as that is not sure.

    Of a live stream it is a black one then: with no picture and no state, it would be taken for a hang.
    """
    if not settings.redact:
        return None
    redactor = Redactor()

    def admit(frame: Frame) -> Frame | None:
        image = redactor(frame.image, frame.pts_seconds)
        if image is None and settings.plays_live:
            image = np.zeros_like(frame.image)
        return None if image is None else replace(frame, image=image)

    return admit


def parallel_calls(engine: Engine, settings: StreamSettings) -> int:
    """Inferences in flight; with passthrough one fewer, because a core is needed for the picture."""
    calls = engine.info.parallel_calls
    return max(calls - 1, 1) if settings.chosen_display() == "passthrough" else calls


def make_pipeline(
    shared: Shared,
    source: Source,
    engine: Engine,
    segment: Segment,
    render: Callable[[Showing], Rendered],
    sinks: Sequence[Sink | Output],
    refine: Refine,
    report: Report,
    upkeep: Upkeep,
    *,
    restarts: bool = True,
    measures: bool = True,
    lost_beside: Callable[[], Mapping[str, int]] = dict,
) -> Pipeline:
    """Join the parts; see `Pipeline`.

    Args:
        shared: What they share.
        source: Where frames come from; whether it is live decides the policy.
        engine: What infers, for its size and the calls that it profits from.
        segment: What calls it.
        render: Makes the picture.
        sinks: Where pictures go.
        refine: Works on segmentations.
        report: Told what happens.
        upkeep: How a live source is kept up.
        restarts: Whether a live stream may replace an engine that failed.
        measures: Whether delays are counted at the first sink.
        lost_beside: See `Pipeline`.
    """
    settings = shared.settings
    return Pipeline(
        source,
        make_prepare(shared, engine, source.info),
        segment,
        render,
        sinks,
        refine=refine,
        admit=make_admit(settings),
        statistics=shared.statistics,
        status=shared.status,
        parallel_calls=parallel_calls(engine, settings),
        policy=Policy.LATEST if source.info.live else Policy.EVERY,
        live=Live(settings.chosen_display(), upkeep, EngineCare(segment.restart if restarts else None)),
        observation=report,
        measures=measures,
        lost_beside=lost_beside,
    )
