"""How cost grows: with the size of the picture, with the number of streams at once, and with the length of the clip.

Every run is `rt-seg stream` on a clip made from the demo, in a fresh process, with the overlay written; the cases of a
question take turns. Several streams at once are as many processes. A clip becomes longer by being repeated, so that a
hundred times the frames should take a hundred times as long, in the same memory.

Run as ``python -m rt_seg.benchmarks.scale``; it takes some minutes.
"""

import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from rt_seg.engines.cpu import usable_cores

from .clips import loop_clip, make_clip
from .harness.inputs import clip_source
from .harness.part import Progress, Rounds, Settings
from .harness.process import Child
from .harness.results import Column, PartResult, Row, Table
from .stream import run_stream_fresh
from .stream_run import StreamRun, memory_growth, rate_together

Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is run.

    Attributes:
        sizes: Pictures by name, smallest first.
        streams: Numbers of streams at once.
        stream_times: How often the clip is longer in that question: so long that all run together for a while.
        lengths: How often the clip is longer than the shortest one, which is the first.
        frames: Of a clip; of the shortest one, in the question of length.
    """

    sizes: dict[str, Size]
    streams: tuple[int, ...]
    stream_times: int
    lengths: tuple[int, ...]
    frames: int

    @property
    def small(self) -> Size:
        """The size on which the other two questions are asked."""
        return next(iter(self.sizes.values()))


_LENGTH_ROUNDS = 3  # its longest run takes a minute
WHOLE = Plan(
    {"480p": (854, 480), "720p": (1280, 720), "1080p": (1920, 1080), "4K": (3840, 2160)},
    (1, 2, 4, 8),
    3,
    (1, 10, 100),
    60,
)
QUICK = Plan({"240p": (426, 240), "480p": (854, 480)}, (1, 2), 3, (1, 10), 20)


def measure(settings: Settings, progress: Progress, plan: Plan | None = None) -> PartResult:
    """Measure the part; see the module. Each question gets a third of the time, and its least number of rounds.

    Raises:
        ModelError: The model is unusable.
    """
    plan = plan or (QUICK if settings.quick else WHOLE)
    with tempfile.TemporaryDirectory(prefix="rt-seg-") as name:
        scale = _Scale(settings, progress, plan, Path(name))
        tables = (scale.by_size(), scale.by_streams(), scale.by_length())
    _, shown = clip_source(settings.source)
    return PartResult(
        name="scale",
        title=f"Scale: {shown}, overlay written; {scale.engine}",
        tables=tables,
        notes=tuple(scale.notes),
        setup={"clip": shown, "frames": plan.frames, "engine": scale.engine},
        spent=scale.spent,
    )


class _Scale:
    """The three questions, on one set of clips."""

    def __init__(self, settings: Settings, progress: Progress, plan: Plan, folder: Path) -> None:
        self._settings, self._progress, self._plan, self._folder = settings, progress, plan, folder
        self._clips: dict[Size, Path] = {}
        self.engine = ""
        self.notes: list[str] = []
        self.spent: dict[str, float] = {}

    def by_size(self) -> Table:
        """One stream, larger and larger."""
        plan = self._plan
        runs: dict[str, list[StreamRun]] = {name: [] for name in plan.sizes}
        rounds = self._rounds(len(plan.sizes))
        material, _ = clip_source(self._settings.source)
        for name, size in plan.sizes.items():
            self._progress.update(0.0, f"making the clip of {name}")
            self._clips[size] = make_clip(self._folder / f"{name}.mp4", *size, plan.frames, material)
        for _ in rounds:
            for name, size in plan.sizes.items():
                rounds.turn(name)
                runs[name].append(self._run(self._clips[size]))
        self._spend(rounds)
        self.engine = runs[next(iter(runs))][0].engine
        columns = (_CPU, _FPS, _MEMORY)
        rows = [
            Row(
                name, values=_figures(runs[name]), exact={"x": width * height / 1e6, "x_name": "picture, by its pixels"}
            )
            for name, (width, height) in plan.sizes.items()
        ]
        return Table("size", f"Size of the picture; {plan.frames} frames", columns, tuple(rows))

    def by_streams(self) -> Table:
        """The smallest size, in several processes at once."""
        plan = self._plan
        clip = self._longer(self._clips[plan.small], plan.stream_times)
        together: dict[int, list[list[StreamRun]]] = {number: [] for number in plan.streams}
        rounds = self._rounds(len(plan.streams))
        for _ in rounds:
            for number in plan.streams:
                rounds.turn(f"{number} at once")
                together[number].append(self._run_together(clip, number))
        self._spend(rounds)
        columns = (
            Column("total", "all together", "frames/s", "higher"),
            Column("each", "each", "frames/s", "higher"),
            Column("memory", "most memory, added up", "MiB", "lower", 0),
        )
        rows = [
            Row(
                f"{number} stream{'s' if number > 1 else ''}",
                values={
                    "total": (rates := [rate for runs in together[number] if (rate := rate_together(runs))]),
                    "each": [rate / number for rate in rates],
                    "memory": [sum(run.peak_mib for run in runs) for runs in together[number]],
                },
                exact={"x": number, "x_name": "streams at once"},
            )
            for number in plan.streams
        ]
        size = next(iter(plan.sizes))
        return Table("streams", f"Streams at once, each of {size}, on {usable_cores()} cores", columns, tuple(rows))

    def by_length(self) -> Table:
        """The smallest size, longer and longer."""
        plan = self._plan
        shortest = self._clips[plan.small]
        clips = {times: self._longer(shortest, times) for times in plan.lengths}
        runs: dict[int, list[StreamRun]] = {times: [] for times in plan.lengths}
        rounds = self._rounds(len(plan.lengths), most=_LENGTH_ROUNDS)
        for _ in rounds:
            for times, clip in clips.items():
                rounds.turn(f"{times} times as long")
                runs[times].append(self._run(clip))
        self._spend(rounds)
        columns = (
            Column("time", "time a frame", "ms", "lower", 2),
            Column("growth", "memory, second tenth to last", "%", digits=1, signed=True),
            _MEMORY,
        )
        rows = [
            Row(f"x{times}", values=_length_figures(runs[times]), exact={"x": times, "x_name": "clip length"})
            for times in plan.lengths
        ]
        self._note_length(runs)
        return Table("length", f"Length of the clip, from {plan.frames} frames on", columns, tuple(rows))

    def _note_length(self, runs: dict[int, list[StreamRun]]) -> None:
        first, last = self._plan.lengths[0], self._plan.lengths[-1]
        # each round's own pair: what disturbs a round disturbs both
        pairs = zip(runs[first], runs[last], strict=True)
        ratio = statistics.median([short.fps / long.fps for short, long in pairs])
        self.notes.append(f"{last} times the frames took {last * ratio:.1f} times as long")

    def _rounds(self, sides: int, most: int | None = None) -> Rounds:
        least = min(self._settings.repeats, most or self._settings.repeats)
        return Rounds(self._settings.seconds / 3, least, sides, self._progress)

    def _spend(self, rounds: Rounds) -> None:
        for doing, seconds in rounds.spent.items():
            self.spent[doing] = self.spent.get(doing, 0.0) + seconds

    def _run(self, clip: Path) -> StreamRun:
        return run_stream_fresh(clip, self._folder / "out.mp4", self._settings.engine)

    def _run_together(self, clip: Path, number: int) -> list[StreamRun]:
        with ExitStack() as stack:
            children = [
                stack.enter_context(
                    Child(
                        f"{__package__}.stream_run:stream_file",
                        source=str(clip),
                        output=str(self._folder / f"out-{place}.mp4"),
                        engine=self._settings.engine,
                        spawned_ns=time.perf_counter_ns(),
                    )
                )
                for place in range(number)
            ]
            return [StreamRun.of(child.result()) for child in children]

    def _longer(self, clip: Path, times: int) -> Path:
        if times == 1:
            return clip
        return loop_clip(clip, self._folder / f"times-{times}.mp4", times * self._plan.frames)


_CPU = Column("cpu", "processor time a frame", "ms", "lower", 1)
_FPS = Column("fps", "frames/s", better="higher")
_MEMORY = Column("memory", "most memory", "MiB", "lower", 0)


def _figures(runs: Sequence[StreamRun]) -> dict[str, list[float]]:
    return {
        "cpu": [run.cpu_ms for run in runs],
        "fps": [run.fps for run in runs],
        "memory": [run.peak_mib for run in runs],
    }


def _length_figures(runs: Sequence[StreamRun]) -> dict[str, list[float]]:
    growths = [growth for run in runs if (growth := memory_growth(run.resident_mib)) is not None]
    figures = {"time": [1000 / run.fps for run in runs], "memory": [run.peak_mib for run in runs]}
    return {**figures, "growth": growths} if growths else figures


if __name__ == "__main__":
    from .harness.command import run_script

    run_script("scale")
