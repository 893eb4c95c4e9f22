"""One run of a stream as the benchmark sees it: what `rt-seg stream` does, with every figure that it has of itself.

`stream_file` is made to be called in a fresh process, see `harness.process`.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from rt_seg.engines.engine import EngineInfo
from rt_seg.engines.load import PrecisionChoice
from rt_seg.realtime import command, console
from rt_seg.realtime.pipeline import Pipeline
from rt_seg.realtime.sources.source import SourceInfo
from rt_seg.realtime.stream import StreamSettings, run_stream

from .harness.arithmetic import Histogram
from .harness.machine import peak_mib, resident_mib

ALSO_IMPORTED = (command, console)
"""What `rt-seg stream` imports beside what is used here: it counts in the time to its first frame."""

# the queue in front of a stage, by the names that `Pipeline.occupancy` gives it; the others have the stage's own name
_QUEUES = {"overlay": ("render", "show")}


class _Watcher:
    """Keeps the pipeline, and looks at frames and memory some ten times a second."""

    def __init__(self) -> None:
        self.pipeline: Pipeline | None = None
        self.resident: list[tuple[int, float]] = []
        self.progress: list[tuple[int, int]] = []

    def note(self, line: str) -> None:
        """Nobody reads it."""

    def begin(self, source: SourceInfo, engine: EngineInfo) -> None:
        """Nothing to do yet."""

    def update(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.progress.append((time.perf_counter_ns(), pipeline.frames_out))
        size = resident_mib()
        if size is not None:
            self.resident.append((pipeline.frames_out, size))


def stream_file(
    source: str,
    output: str | None,
    engine: str,
    spawned_ns: int,
    limit: int | None = None,
    precision: PrecisionChoice = "auto",
) -> dict[str, Any]:
    """Run one stream to its end, with the settings of `rt-seg stream`.

    Args:
        source: Video.
        output: MP4 with the overlay to write, or None.
        engine: As for `rt-seg stream`.
        spawned_ns: `time.perf_counter_ns` of the caller when it started this process: one clock serves the machine.
        limit: Frames at most.
        precision: As for `rt-seg stream`.

    Returns:
        JSON values, which `StreamRun.of` reads.

    Raises:
        RtSegError: Whatever ended it early.
    """
    watcher = _Watcher()
    target = None if output is None else Path(output)
    settings = StreamSettings(source, engine, precision=precision, output=target, show=False, limit=limit)
    summary = run_stream(settings, watcher)
    ended_ns = time.perf_counter_ns()
    if summary.error is not None:
        raise summary.error
    assert watcher.pipeline is not None  # noqa: S101  # a stream that ended was watched
    pipeline = watcher.pipeline
    stages = pipeline.statistics.stages
    first_ns = pipeline.statistics.shown.first_ns
    return {
        "frames_in": summary.frames_in,
        "frames_out": summary.frames_out,
        "seconds": summary.elapsed_seconds,
        "cpu_seconds": summary.cpu_seconds,
        "first_frame_seconds": None if first_ns is None else (first_ns - spawned_ns) / 1e9,
        "parallel_calls": summary.engine.parallel_calls,
        "engine": f"{summary.engine.backend} {summary.engine.precision}",
        "model": summary.engine.model_path,
        "stage_seconds": {name: stage.sum_seconds for name, stage in stages.items()},
        "stage_counts": {name: sorted(stage.counts().items()) for name, stage in stages.items()},
        "occupancy": pipeline.occupancy,
        "resident_mib": watcher.resident,
        "progress": [*watcher.progress, (ended_ns, summary.frames_out)],
        "peak_mib": peak_mib(),
    }


@dataclass(frozen=True, slots=True)
class StreamRun:
    """What `stream_file` returned.

    Attributes:
        frames_in: Frames the file gave.
        frames_out: Frames that were rendered and written.
        seconds: From the start of the threads to the file closed.
        cpu_seconds: Processor time of the process meanwhile.
        first_frame_seconds: From the start of the process to the first frame with its overlay.
        parallel_calls: Inferences in flight.
        engine: Backend and precision.
        model: The file that ran.
        stage_seconds: Time spent in each stage, all frames together.
        stages: Time a frame spent in each stage.
        occupancy: Mean share (0-1) of each channel that was full, by `Pipeline.occupancy`'s names.
        resident_mib: Frames out and memory, some ten times a second.
        progress: `time.perf_counter_ns` and frames out, likewise, and at the end.
        peak_mib: Most memory of the process.
    """

    frames_in: int
    frames_out: int
    seconds: float
    cpu_seconds: float
    first_frame_seconds: float
    parallel_calls: int
    engine: str
    model: str
    stage_seconds: Mapping[str, float]
    stages: Mapping[str, Histogram]
    occupancy: Mapping[str, float]
    resident_mib: list[tuple[int, float]]
    progress: list[tuple[int, int]]
    peak_mib: float

    @classmethod
    def of(cls, answer: dict[str, Any]) -> Self:
        """Read the JSON values."""
        values = dict(answer)
        counts = values.pop("stage_counts")
        stages = {name: Histogram({int(us): int(n) for us, n in pairs}) for name, pairs in counts.items()}
        return cls(**values, stages=stages)

    @property
    def fps(self) -> float:
        """Frames a second of the whole run: n frames in the time of n, the first one's decoding to the file's end."""
        return self.frames_out / self.seconds

    @property
    def cpu_ms(self) -> float:
        """Processor time of a frame, all stages together, in milliseconds."""
        return 1000 * self.cpu_seconds / self.frames_out

    def limit_fps(self, cores: int) -> float:
        """Frames a second if every core did nothing but this work: cores / processor seconds of a frame."""
        return 1000 * cores / self.cpu_ms

    def busy_share(self, stage: str) -> float:
        """Share (0-1) of the run that the threads of a stage worked; waiting for a core counts as work."""
        threads = self.parallel_calls if stage == "infer" else 1
        return self.stage_seconds[stage] / self.seconds / threads

    def queue_share(self, stage: str) -> float | None:
        """How full (0-1) the queue in front of a stage was on average; None where it has none."""
        names = _QUEUES.get(stage, (stage,))
        return next((self.occupancy[name] for name in names if name in self.occupancy), None)


def rate_together(runs: Sequence[StreamRun]) -> float | None:
    """Frames a second of all runs, over the time in which all of them run; None where there is none.

    Starting a process takes its time, and the last ones have the cores for themselves: neither counts.
    """
    stamps = [[stamp for stamp, frames in run.progress if frames] for run in runs]
    begin, end = max(of_run[0] for of_run in stamps), min(of_run[-1] for of_run in stamps)
    if end <= begin:
        return None
    return sum(_frames_at(run, end) - _frames_at(run, begin) for run in runs) / (end - begin) * 1e9


def _frames_at(run: StreamRun, stamp_ns: int) -> float:
    stamps, frames = zip(*run.progress, strict=True)
    return float(np.interp(stamp_ns, stamps, frames))


def memory_growth(resident_mib: Sequence[tuple[int, float]]) -> float | None:
    """How much more memory a run used in its last tenth than in its second, in percent.

    The first tenth is left out: buffers fill in it, and libraries start their threads.

    Args:
        resident_mib: Frames out and resident memory, some ten times a second.

    Returns:
        None for a run too short to have ten looks at its memory.
    """
    sizes = [size for frames, size in resident_mib if frames]
    tenth = len(sizes) // 10
    if tenth < 1:
        return None
    early, late = max(sizes[tenth : 2 * tenth]), max(sizes[-tenth:])
    return 100 * (late / early - 1)
