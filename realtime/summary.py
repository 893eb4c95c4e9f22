"""`Summary`: what a stream did, for a person and for a machine."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rt_seg.engines.engine import EngineInfo
from rt_seg.errors import RtSegError

from .outlet import Outlet
from .pipeline import Pipeline
from .statistics import Percentiles

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Summary:
    """The closing figures of one stream.

    Attributes:
        source: Name of the source.
        engine: What inferred.
        outputs: Files and folders that were written, by the name of their sink.
        notes: What a user should know of the outputs, such as missing sound.
        frames_in: Frames the source delivered.
        frames_out: Frames that were rendered and handed to every sink.
        frames_with_polyps: Those of them that show at least one.
        dropped: Frames, events and snapshots lost, by cause, see `Pipeline.dropped`.
        fps: Frames a second from the first to the last one out, over n-1 intervals; None below two.
        elapsed_seconds: Wall time from the start of the threads to the last file closed.
        cpu_seconds: Processor time of the whole process in that time.
        stages: Time a frame spent in each stage.
        video_delay: From the frame complete in memory to its hand-over.
        annotation_delay: The same for the frame that the shown mask was computed on.
        states: On how many frames the stream was in each state.
        frames_with_mask: Frames out that carried a current mask, be it empty.
        signal_losses: How often the signal was lost.
        engine_failures: How often the engine failed and was started again.
        sightings: Polyps that were activated.
        activation_delay: From the first frame that showed one until its mask could be drawn, ``--min-frames`` included.
        ended_by: ``end`` of the source, ``signal``, ``window`` or ``error``.
        signal: Number of the ending signal, if one came.
        error: What went wrong first, if anything; a live stream may have gone on.
        error_text: What is written of it: with redaction it does not name the source.
    """

    source: str
    engine: EngineInfo
    outputs: Mapping[str, Path]
    notes: tuple[str, ...]
    frames_in: int
    frames_out: int
    frames_with_polyps: int
    dropped: Mapping[str, int]
    fps: float | None
    elapsed_seconds: float
    cpu_seconds: float
    stages: Mapping[str, Percentiles]
    video_delay: Percentiles
    annotation_delay: Percentiles
    states: Mapping[str, int]
    frames_with_mask: int
    signal_losses: int
    engine_failures: int
    sightings: int
    activation_delay: Percentiles
    ended_by: str
    signal: int | None
    error: RtSegError | None
    error_text: str | None

    def as_dict(self) -> dict[str, object]:
        """The summary as JSON values; durations in milliseconds where the name says so."""
        return {
            "schema_version": SCHEMA_VERSION,
            "source": self.source,
            "engine": {
                "backend": self.engine.backend,
                "device": self.engine.device,
                "precision": self.engine.precision,
                "parallel_calls": self.engine.parallel_calls,
                "model": self.engine.model_path,
                "notes": list(self.engine.notes),
            },
            "outputs": {name: str(path) for name, path in self.outputs.items()},
            "notes": list(self.notes),
            "frames_in": self.frames_in,
            "frames_out": self.frames_out,
            "frames_with_polyps": self.frames_with_polyps,
            "dropped": dict(self.dropped),
            "fps": None if self.fps is None else round(self.fps, 2),
            "elapsed_seconds": round(self.elapsed_seconds, 3),
            "cpu_seconds": round(self.cpu_seconds, 3),
            "stages_ms": {name: stage.as_dict() for name, stage in self.stages.items()},
            "video_delay_ms": self.video_delay.as_dict(),
            "annotation_delay_ms": self.annotation_delay.as_dict(),
            "states": dict(self.states),
            "frames_with_mask": self.frames_with_mask,
            "signal_losses": self.signal_losses,
            "engine_failures": self.engine_failures,
            "sightings": self.sightings,
            "activation_delay_ms": self.activation_delay.as_dict(),
            "ended_by": self.ended_by,
            "error": self.error_text,
        }


class Stopwatch:
    """Wall and processor time since it was made."""

    def __init__(self) -> None:
        self._wall = time.perf_counter()
        self._cpu = time.process_time()

    @property
    def wall_seconds(self) -> float:
        """Seconds on the clock."""
        return time.perf_counter() - self._wall

    @property
    def cpu_seconds(self) -> float:
        """Processor seconds of all threads of this process."""
        return time.process_time() - self._cpu


def summarise(
    pipeline: Pipeline,
    watch: Stopwatch,
    source: str,
    engine: EngineInfo,
    *,
    ended_by: str,
    signal: int | None,
    more_outputs: Mapping[str, Path] | None = None,
    hide: Callable[[str], str] = str,
) -> Summary:
    """Collect the figures of a pipeline that has ended.

    Args:
        pipeline: The pipeline.
        watch: Started with it.
        source: Name of the source.
        engine: What inferred.
        ended_by: See `Summary`.
        signal: See `Summary`.
        more_outputs: What was written beside the sinks.
        hide: What a text must pass before it is written.

    Raises:
        BaseException: What ended the pipeline, where that is not one of rt-seg's own errors: a defect, not a summary.
    """
    error = pipeline.error
    if error is not None and not isinstance(error, RtSegError):
        raise error
    statistics = pipeline.statistics
    return Summary(
        source=source,
        engine=engine,
        outputs=_outputs(pipeline.outlets) | dict(more_outputs or {}),
        notes=tuple(note for outlet in pipeline.outlets for note in outlet.notes),
        frames_in=pipeline.frames_in,
        frames_out=pipeline.frames_out,
        frames_with_polyps=statistics.with_polyps,
        dropped=pipeline.dropped,
        fps=statistics.shown.per_second,
        elapsed_seconds=watch.wall_seconds,
        cpu_seconds=watch.cpu_seconds,
        stages={name: stage.percentiles() for name, stage in statistics.stages.items()},
        video_delay=statistics.video_delay.percentiles(),
        annotation_delay=statistics.annotation_delay.percentiles(),
        states=dict(statistics.states),
        frames_with_mask=statistics.with_mask,
        signal_losses=statistics.signal_losses,
        engine_failures=statistics.engine_failures,
        sightings=statistics.sightings,
        activation_delay=statistics.activation_delay.percentiles(),
        ended_by="error" if pipeline.broken_off else ended_by,
        signal=signal,
        error=error,
        error_text=None if error is None else hide(str(error)),
    )


def _outputs(outlets: Sequence[Outlet]) -> dict[str, Path]:
    """What was written, by the name of its sink; later parts have a number."""
    written: dict[str, Path] = {}
    for outlet in outlets:
        for number, path in enumerate(outlet.written, 1):
            written[outlet.name if number == 1 else f"{outlet.name} {number}"] = path
    return written
