"""How fast a file runs through the whole pipeline: against the plain loop, and against what the cores allow.

Both sides run in turn, each in a fresh process, on the same clip and model, and both write a video; ours once more
without writing any. The ratio of each pair is taken, then the median. The limit is cores / (processor seconds a frame):
what a pipeline would reach that keeps every core busy with nothing but this work.

Run as ``python -m rt_seg.benchmarks.stream``.
"""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rt_seg.engines.cpu import usable_cores

from .clips import make_clip
from .harness.arithmetic import Histogram
from .harness.inputs import check_video, clip_source
from .harness.part import Progress, Rounds, Settings
from .harness.process import call_fresh
from .harness.results import Column, Headline, PartResult, Row, Table, percentile_columns
from .plain_loop import STEPS
from .stream_run import StreamRun

OURS, UNWRITTEN, PLAIN = "rt-seg stream", "the same, nothing written", "plain loop"
_SIZE, _FRAMES = (1920, 1080), 45
_QUICK_SIZE, _QUICK_FRAMES = (640, 360), 50
_WARM_UP_FRAMES = 10


def run_stream_fresh(source: Path, output: Path | None, engine: str, limit: int | None = None) -> StreamRun:
    """Run one stream in a process of its own.

    Raises:
        RtSegError: It failed.
    """
    answer = call_fresh(
        f"{__package__}.stream_run:stream_file",
        source=str(source),
        output=None if output is None else str(output),
        engine=engine,
        limit=limit,
        spawned_ns=time.perf_counter_ns(),
    )
    return StreamRun.of(answer)


def run_plain_fresh(source: Path, output: Path, model: str, limit: int | None = None) -> dict[str, Any]:
    """Run the plain loop in a process of its own; see `plain_loop`.

    Raises:
        RtSegError: It failed.
    """
    target = f"{__package__}.plain_loop:plain_loop"
    return call_fresh(target, clip=str(source), output=str(output), model=model, limit=limit)


def measure(settings: Settings, progress: Progress) -> PartResult:
    """Measure the part; see the module.

    Raises:
        SourceError: The video is unusable.
        ModelError: The model is unusable.
    """
    frames = _QUICK_FRAMES if settings.quick else _FRAMES
    ours: list[StreamRun] = []
    unwritten: list[StreamRun] = []
    plain: list[dict[str, Any]] = []
    rounds = Rounds(settings.seconds, settings.repeats, 3, progress)
    with tempfile.TemporaryDirectory(prefix="rt-seg-") as name:
        folder = Path(name)
        progress.update(0.0, "making the clip")
        clip, (width, height) = _clip(settings, folder, frames)
        model = run_stream_fresh(clip, folder / "ours.mp4", settings.engine, _WARM_UP_FRAMES).model
        run_plain_fresh(clip, folder / "plain.mp4", model, _WARM_UP_FRAMES)
        for _ in rounds:
            rounds.turn(OURS)
            ours.append(run_stream_fresh(clip, folder / "ours.mp4", settings.engine, frames))
            rounds.turn(UNWRITTEN)
            unwritten.append(run_stream_fresh(clip, None, settings.engine, frames))
            rounds.turn(PLAIN)
            plain.append(run_plain_fresh(clip, folder / "plain.mp4", model, frames))
    _, shown = clip_source(settings.source)
    return PartResult(
        name="stream",
        title=f"Stream: {shown} at {width}x{height}, {ours[0].frames_out} frames, overlay written; {ours[0].engine}",
        tables=(_runs_table(ours, unwritten, plain), _stages_table(ours, plain)),
        notes=_notes(ours),
        setup={"clip": shown, "width": width, "height": height, "frames": ours[0].frames_out, "engine": ours[0].engine},
        headlines=(
            Headline("frames/s, file to file", "runs", OURS, "fps"),
            Headline("times the plain loop", "runs", OURS, "ratio"),
            Headline("of the limit by the cores", "runs", OURS, "share"),
            Headline("from the start to the first overlay", "runs", OURS, "first"),
        ),
        spent=rounds.spent,
    )


def _clip(settings: Settings, folder: Path, frames: int) -> tuple[Path, tuple[int, int]]:
    if settings.source is not None:
        return settings.source, check_video(settings.source)
    size = _QUICK_SIZE if settings.quick else _SIZE
    return make_clip(folder / "clip.mp4", *size, frames), size


def _runs_table(ours: Sequence[StreamRun], unwritten: Sequence[StreamRun], plain: Sequence[dict[str, Any]]) -> Table:
    columns = (
        Column("fps", "frames/s", better="higher"),
        Column("ratio", "times the plain loop", "", "higher", 2),
        Column("limit", "limit by the cores", "frames/s", digits=1),
        Column("share", "share of that limit", "%", "higher"),
        Column("cpu", "processor time a frame", "ms", "lower", 1),
        Column("use", "use of all cores", "%", digits=0),
        Column("first", "start to first overlay", "s", "lower", 2),
        Column("memory", "most memory", "MiB", "lower", 0),
    )
    rows = (
        Row(OURS, values=_our_figures(ours) | {"ratio": _ratios(ours, plain)}),
        Row(UNWRITTEN, values=_our_figures(unwritten)),
        Row(PLAIN, values=_plain_figures(plain)),
    )
    return Table("runs", "The whole run", columns, rows, turned=True)


def _our_figures(runs: Sequence[StreamRun]) -> dict[str, list[float]]:
    cores = usable_cores()
    return {
        "fps": [run.fps for run in runs],
        "limit": [run.limit_fps(cores) for run in runs],
        "share": [100 * run.fps / run.limit_fps(cores) for run in runs],
        "cpu": [run.cpu_ms for run in runs],
        "use": [100 * run.cpu_seconds / run.seconds / cores for run in runs],
        "first": [run.first_frame_seconds for run in runs],
        "memory": [run.peak_mib for run in runs],
    }


def _ratios(ours: Sequence[StreamRun], plain: Sequence[dict[str, Any]]) -> list[float]:
    return [run.fps * loop["seconds"] / loop["frames"] for run, loop in zip(ours, plain, strict=True)]


def _plain_figures(plain: Sequence[dict[str, Any]]) -> dict[str, list[float]]:
    cores = usable_cores()
    return {
        "fps": [loop["frames"] / loop["seconds"] for loop in plain],
        "cpu": [1000 * loop["cpu_seconds"] / loop["frames"] for loop in plain],
        "use": [100 * loop["cpu_seconds"] / loop["seconds"] / cores for loop in plain],
        "memory": [loop["peak_mib"] for loop in plain],
    }


def _stages_table(ours: Sequence[StreamRun], plain: Sequence[dict[str, Any]]) -> Table:
    columns = (
        Column("mean", "mean", "ms", "lower", 2),
        *percentile_columns("time"),
        Column("busy", "busy", "%", digits=0),
        Column("queue", "queue", "%", digits=0),
    )
    rows = [_stage_row(ours, stage) for stage in ours[0].stages]
    for step in STEPS:
        means = [1000 * loop["step_seconds"][step] / loop["frames"] for loop in plain]
        rows.append(Row(step, PLAIN, {"mean": means}))
    return Table(
        "stages", "A frame's time in each stage; how busy it was, how full the queue before it", columns, tuple(rows)
    )


def _stage_row(ours: Sequence[StreamRun], stage: str) -> Row:
    values: dict[str, list[float]] = {
        "mean": [1000 * run.stage_seconds[stage] / run.frames_out for run in ours],
        "busy": [100 * run.busy_share(stage) for run in ours],
    }
    queues = [share for run in ours if (share := run.queue_share(stage)) is not None]
    if queues:
        values["queue"] = [100 * share for share in queues]
    return Row(stage, OURS, values, histograms={"time": Histogram.pooled(run.stages[stage] for run in ours)})


def _notes(ours: Sequence[StreamRun]) -> tuple[str, ...]:
    notes = [limiting(ours)]
    lost = sum(run.frames_in - run.frames_out for run in ours)
    if lost:
        notes.append(f"{lost} frames went in and did not come out")
    return tuple(notes)


def limiting(runs: Sequence[StreamRun]) -> str:
    """Which stage holds the others up, in a sentence; from the medians over runs."""
    cores = usable_cores()

    def middle(values: list[float]) -> float:
        return sorted(values)[len(values) // 2]

    busy = {stage: middle([run.busy_share(stage) for run in runs]) for stage in runs[0].stages}
    most = max(busy, key=lambda stage: busy[stage])
    use = middle([run.cpu_seconds / run.seconds / cores for run in runs])
    if use >= 0.9:
        return f"the limit is the processor: {100 * use:.0f} % of all cores are in use; the busiest stage is {most}"
    if busy[most] >= 0.9:
        return f"the limit is {most}: it is busy {100 * busy[most]:.0f} % of the time, on its own thread"
    return f"no stage is busy all the time; {most} is the busiest ({100 * busy[most]:.0f} %)"


if __name__ == "__main__":
    from .harness.command import run_script

    run_script("stream")
