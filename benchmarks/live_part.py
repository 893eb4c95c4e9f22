"""The part `live` of `rt-seg benchmark`: `rt-seg stream --live` at several paces, each run in a fresh process.

The clip plays at its own pace in the process that measures, as in `live`; the paces take turns. The last one is faster
than a machine of this kind can follow: then frames are dropped, and the delay must not grow.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from rt_seg.realtime.frame import Rendered
from rt_seg.realtime.settings import StreamSettings
from rt_seg.realtime.statistics import Distribution
from rt_seg.realtime.stream import run_stream

from .clips import loop_clip, make_clip
from .harness.arithmetic import Histogram
from .harness.inputs import check_video, clip_source
from .harness.part import Progress, Rounds, Settings
from .harness.process import call_fresh
from .harness.results import Column, Headline, PartResult, Row, Table, Timeline, percentile_columns
from .live_parts import HandOver, Quiet

PACES = (25, 30, 50, 60, 240)
_SIZE, _QUICK_SIZE = (1920, 1080), (640, 360)
_LEAST_FRAMES, _LEAST_SECONDS, _QUICK_SECONDS = 35, 0.7, 0.6  # of a run: three rounds give the 100 frames of a p90
_FASTEST_FRAMES = 75  # of a run at the last pace
_REFERENCE_VIDEO_MS, _REFERENCE_ANNOTATION_MS = 5.75, 120.0  # FDA De Novo DEN200055, of another device as a whole
_MAIN_PACE = 60
_CLIP_FRAMES = 60  # then it starts over
_MOST_COMPARED = 6  # pictures of a run whose pixels are compared; each is held until its end


class TimedHandOver(HandOver):
    """A hand-over that also keeps when each picture was captured and which one it was."""

    def __init__(self, compare_every: int) -> None:
        super().__init__(compare_every)
        self.shown: list[tuple[int, float, float]] = []
        self._first_ns: int | None = None

    def write(self, rendered: Rendered) -> None:
        """See `Sink.write`."""
        before = len(self.video_ms)
        super().write(rendered)
        if len(self.video_ms) == before:
            return
        captured_ns = rendered.frame.captured_ns
        self._first_ns = self._first_ns or captured_ns
        self.shown.append((rendered.frame.index, (captured_ns - self._first_ns) / 1e9, self.video_ms[-1]))


def play(clip: str, engine: str, limit: int) -> dict[str, Any]:
    """Play so many frames of a clip live in this process, and measure at the hand-over.

    Returns:
        JSON values, which `LiveRun.of` reads.

    Raises:
        RtSegError: Whatever ended it early.
    """
    hand_over = TimedHandOver(max(limit // _MOST_COMPARED, 1))
    settings = StreamSettings(clip, engine=engine, live=True, display="passthrough", hud=False, show=False, limit=limit)
    summary = run_stream(settings, Quiet(), sinks=[hand_over])
    if summary.error is not None:
        raise summary.error
    return {
        "frames_in": summary.frames_in,
        "frames_out": summary.frames_out,
        "frames_with_mask": summary.frames_with_mask,
        "dropped": dict(summary.dropped),
        "video_counts": _counts(hand_over.video_ms),
        "annotation_counts": _counts(hand_over.annotation_ms),
        "compared": hand_over.compared,
        "differing": hand_over.differing,
        "shown": hand_over.shown,
        "engine": f"{summary.engine.backend} {summary.engine.precision}",
    }


def _counts(milliseconds: Sequence[float]) -> list[tuple[int, int]]:
    distribution = Distribution()
    for value in milliseconds:
        distribution.add(round(value * 1e6))
    return sorted(distribution.counts().items())


@dataclass(frozen=True, slots=True)
class LiveRun:
    """What `play` returned; `shown` are index, seconds since the first one and video delay of each picture."""

    frames_in: int
    frames_out: int
    frames_with_mask: int
    dropped: dict[str, int]
    video: Histogram
    annotation: Histogram
    compared: int
    differing: int
    shown: list[tuple[int, float, float]]
    engine: str

    @classmethod
    def of(cls, answer: dict[str, Any]) -> Self:
        """Read the JSON values."""
        values = dict(answer)
        for name in ("video", "annotation"):
            values[name] = Histogram(dict(values.pop(f"{name}_counts")))
        return cls(**values)

    def timeline(self, pace: int) -> Timeline:
        """Video delay frame by frame; a frame that is missing between two shown ones was dropped."""
        missing = [
            before[1] + (after[1] - before[1]) * step / (after[0] - before[0])
            for before, after in zip(self.shown, self.shown[1:], strict=False)
            for step in range(1, after[0] - before[0])
        ]
        seconds, values = [second for _, second, _ in self.shown], [delay for _, _, delay in self.shown]
        return Timeline(f"video delay at {pace} frames/s", "ms", seconds, values, missing)


def frames_of(pace: int, *, quick: bool) -> int:
    """How many frames a run at that pace has: a second of them, and enough for a p90 of three rounds."""
    if quick:
        return round(_QUICK_SECONDS * min(pace, _MAIN_PACE))
    return _FASTEST_FRAMES if pace > _MAIN_PACE else max(_LEAST_FRAMES, round(_LEAST_SECONDS * pace))


def measure(settings: Settings, progress: Progress) -> PartResult:
    """Measure the part; see the module.

    Raises:
        ModelError: The model is unusable.
    """
    material, shown = clip_source(settings.source)
    size = _size(settings)
    frames = {pace: frames_of(pace, quick=settings.quick) for pace in PACES}
    runs: dict[int, list[LiveRun]] = {pace: [] for pace in PACES}
    # delays are pooled, so three rounds say as much here as five elsewhere, in the time there is
    rounds = Rounds(settings.seconds, min(settings.repeats, 3), len(PACES), progress)
    with tempfile.TemporaryDirectory(prefix="rt-seg-") as name:
        folder = Path(name)
        progress.update(0.0, "making the clips")
        source = make_clip(folder / "clip.mp4", *size, _CLIP_FRAMES, material)
        clips = {pace: loop_clip(source, folder / f"{pace}.mp4", frames[pace], pace) for pace in PACES}
        for _ in rounds:
            for pace, clip in clips.items():
                rounds.turn(f"{pace} frames/s")
                target, limit = f"{__package__}.live_part:play", frames[pace]
                runs[pace].append(LiveRun.of(call_fresh(target, clip=str(clip), engine=settings.engine, limit=limit)))
    engine = runs[PACES[0]][0].engine
    return PartResult(
        name="live",
        title=f"Live: {shown} at {size[0]}x{size[1]}, played at several paces; {engine}",
        tables=(_delays_table(runs), _frames_table(runs)),
        notes=(
            "software path only, from the frame in memory to its hand-over: no capture card, no encoder of a view, no "
            "monitor",
            f"the reference ({_REFERENCE_VIDEO_MS:g} ms, {_REFERENCE_ANNOTATION_MS:g} ms, identical pixels) is what "
            "FDA De Novo DEN200055 states of another device as a whole; it is there to compare with, no verdict",
        ),
        timelines=tuple(runs[pace][-1].timeline(pace) for pace in (_MAIN_PACE, PACES[-1])),
        setup={"clip": shown, "width": size[0], "height": size[1], "engine": engine},
        headlines=(
            Headline(f"video delay at {_MAIN_PACE} frames/s, p50", "delays", _label(_VIDEO, _MAIN_PACE), "delay"),
            Headline(
                f"of the pictures with a current mask at {_MAIN_PACE} frames/s", "frames", _pace(_MAIN_PACE), "current"
            ),
        ),
        spent=rounds.spent,
    )


def _size(settings: Settings) -> tuple[int, int]:
    if settings.source is not None:
        width, height = check_video(settings.source)
        return width - width % 2, height - height % 2
    return _QUICK_SIZE if settings.quick else _SIZE


_VIDEO, _ANNOTATION = "video delay", "annotation delay"


def _pace(pace: int) -> str:
    return f"{pace} frames/s"


def _label(group: str, pace: int) -> str:
    return f"{group}, {_pace(pace)}"


def _delays_table(runs: dict[int, list[LiveRun]]) -> Table:
    columns = (*percentile_columns("delay"), Column("reference", "reference", "ms", digits=2))
    rows = [
        Row(
            _pace(pace),
            group,
            exact={"reference": reference},
            histograms={"delay": Histogram.pooled(getattr(run, kind) for run in of_pace)},
        )
        for group, kind, reference in (
            (_VIDEO, "video", _REFERENCE_VIDEO_MS),
            (_ANNOTATION, "annotation", _REFERENCE_ANNOTATION_MS),
        )
        for pace, of_pace in runs.items()
    ]
    return Table("delays", "Delay to the hand-over", columns, tuple(rows))


def _frames_table(runs: dict[int, list[LiveRun]]) -> Table:
    columns = (
        Column("current", "with a current mask", "%", "higher", 1),
        Column("shown", "shown", "%", "higher", 1),
        Column("dropped", "dropped, by cause"),
        Column("pixels", "pixels outside the marker"),
        Column("reference", "reference"),
    )
    rows = [
        Row(
            _pace(pace),
            values={
                "current": [100 * run.frames_with_mask / max(run.frames_out, 1) for run in of_pace],
                "shown": [100 * run.frames_out / run.frames_in for run in of_pace],
            },
            exact={"dropped": _dropped(of_pace), "pixels": _pixels(of_pace), "reference": "identical"},
        )
        for pace, of_pace in runs.items()
    ]
    return Table("frames", "Masks, drops and pixels, all rounds together", columns, tuple(rows))


def _dropped(runs: Sequence[LiveRun]) -> str:
    causes = dict.fromkeys(cause for run in runs for cause in run.dropped)
    counts = {cause: sum(run.dropped.get(cause, 0) for run in runs) for cause in causes}
    return ", ".join(f"{count} before {cause}" for cause, count in counts.items()) or "none"


def _pixels(runs: Sequence[LiveRun]) -> str:
    compared, differing = sum(run.compared for run in runs), sum(run.differing for run in runs)
    return f"identical in {compared - differing} of {compared}"


if __name__ == "__main__":
    from .harness.command import run_script

    run_script("live")
