"""How cost grows: with the size of the picture, with the number of streams at once, and with the length of the clip.

Every run is `rt-seg stream` on a clip made from the demo, in a fresh process, with the overlay written; the cases of a
question take turns. Several streams at once are as many processes. A clip becomes longer by being repeated, so that a
hundred times the frames should take a hundred times as long, in the same memory.

Run as ``python -m rt_seg.benchmarks.scale``; it takes some minutes.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from rt_seg.engines.cpu import usable_cores
from rt_seg.errors import EngineError, RtSegError

from .clips import loop_clip, make_clip
from .harness.inputs import clip_source
from .harness.machine import available_mib
from .harness.part import Progress, Rounds, Settings
from .harness.process import Child
from .harness.results import Column, PartResult, Row, Table
from .stream import run_stream_fresh
from .stream_run import StreamRun, memory_growth, rate_together

Size = tuple[int, int]
Found = TypeVar("Found")


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


class _Third:
    """The progress of one question as a third of the whole."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self.number = 0

    def update(self, done: float, doing: str) -> None:
        """See `Progress.update`."""
        self._progress.update((self.number + done) / 3, doing)


class _Scale:
    """The three questions, on one set of clips; to be asked in this order."""

    def __init__(self, settings: Settings, progress: Progress, plan: Plan, folder: Path) -> None:
        self._settings, self._progress, self._plan, self._folder = settings, _Third(progress), plan, folder
        self._clips: dict[Size, Path] = {}
        self._peak_mib = 0.0  # of one stream of the smallest size
        self.engine = ""
        self.notes: list[str] = []
        self.spent: dict[str, float] = {}

    def by_size(self) -> Table:
        """One stream, larger and larger."""
        plan = self._plan
        rounds = self._rounds(len(plan.sizes))
        material, _ = clip_source(self._settings.source)
        for name, size in plan.sizes.items():
            self._progress.update(0.0, f"making the clip of {name}")
            self._clips[size] = make_clip(self._folder / f"{name}.mp4", *size, plan.frames, material)
        cases = {name: partial(self._run, self._clips[size]) for name, size in plan.sizes.items()}
        runs = self._take_turns(rounds, cases)
        smallest = runs[next(iter(runs))]
        self.engine, self._peak_mib = smallest[0].engine, max(run.peak_mib for run in smallest)
        columns = (_CPU, _FPS, _MEMORY)
        pixels = {name: width * height for name, (width, height) in plan.sizes.items()}
        rows = [
            Row(name, values=_figures(of_size), exact={"x": pixels[name] / 1e6, "x_name": "picture, by its pixels"})
            for name, of_size in runs.items()
        ]
        self._note_size(runs, pixels)
        return Table("size", f"Size of the picture; {plan.frames} frames", columns, tuple(rows))

    def by_streams(self) -> Table:
        """The smallest size, in several processes at once."""
        plan = self._plan
        rounds = self._rounds(len(plan.streams))
        clip = self._longer(self._clips[plan.small], plan.stream_times)
        cases = {_streams(number): partial(self._run_together, clip, number) for number in plan.streams}
        together = self._take_turns(rounds, cases)
        columns = (
            Column("total", "all together", "frames/s", "higher"),
            Column("each", "each", "frames/s", "higher"),
            Column("memory", "most memory, added up", "MiB", "lower", 0),
        )
        rows = [
            Row(name, values=_figures_together(turns), exact={"x": len(turns[0]), "x_name": "streams at once"})
            for name, turns in together.items()
        ]
        apart = [row.name for row in rows if not row.values["total"]]
        if apart:
            self.notes.append(f"{', '.join(apart)}: never all ran at once, so there is no rate of all together")
        size = next(iter(plan.sizes))
        return Table("streams", f"Streams at once, each of {size}, on {usable_cores()} cores", columns, tuple(rows))

    def by_length(self) -> Table:
        """The smallest size, longer and longer."""
        plan = self._plan
        rounds = self._rounds(len(plan.lengths), most=_LENGTH_ROUNDS)
        shortest = self._clips[plan.small]
        cases = {f"x{times}": partial(self._run, self._longer(shortest, times)) for times in plan.lengths}
        runs = self._take_turns(rounds, cases)
        columns = (
            Column("time", "time a frame", "ms", "lower", 2),
            Column("growth", "memory, second tenth to last", "%", digits=1, signed=True),
            _MEMORY,
        )
        rows = [
            Row(name, values=_length_figures(of_length), exact={"x": int(name[1:]), "x_name": "clip length"})
            for name, of_length in runs.items()
        ]
        self._note_length(runs)
        return Table("length", f"Length of the clip, from {plan.frames} frames on", columns, tuple(rows))

    def _note_size(self, runs: Mapping[str, Sequence[StreamRun]], pixels: Mapping[str, int]) -> None:
        first, last = next(iter(runs)), list(runs)[-1]
        if first == last:
            return  # the others failed, which is said
        ratio = _middle_ratio([run.cpu_ms for run in runs[last]], [run.cpu_ms for run in runs[first]])
        times = pixels[last] / pixels[first]
        self.notes.append(f"{last} has {times:.1f} times the pixels of {first}: {ratio:.1f} times the processor time")

    def _note_length(self, runs: Mapping[str, Sequence[StreamRun]]) -> None:
        first, last = next(iter(runs)), list(runs)[-1]
        if first == last:
            return  # the others failed, which is said
        ratio = _middle_ratio([run.seconds for run in runs[last]], [run.seconds for run in runs[first]])
        frames = runs[last][0].frames_out / runs[first][0].frames_out
        self.notes.append(f"{frames:.0f} times the frames took {ratio:.1f} times as long")

    def _rounds(self, sides: int, most: int | None = None) -> Rounds:
        least = min(self._settings.repeats, most or self._settings.repeats)
        return Rounds(self._settings.seconds / 3, least, sides, self._progress)

    def _take_turns(self, rounds: Rounds, cases: Mapping[str, Callable[[], Found]]) -> dict[str, list[Found]]:
        """What each case gives in each round. One that fails is named and left out, but for the first."""
        found: dict[str, list[Found]] = {name: [] for name in cases}
        for _ in rounds:
            for name in list(found):
                rounds.turn(name)
                try:
                    found[name].append(cases[name]())
                except RtSegError as exc:
                    if name == next(iter(cases)):
                        raise
                    self.notes.append(f"{name} not measured: {exc}")
                    del found[name]
                    rounds.sides -= 1
        for doing, seconds in rounds.spent.items():
            self.spent[doing] = self.spent.get(doing, 0.0) + seconds
        self._progress.number += 1
        return found

    def _run(self, clip: Path) -> StreamRun:
        return run_stream_fresh(clip, self._folder / "out.mp4", self._settings.engine)

    def _run_together(self, clip: Path, number: int) -> list[StreamRun]:
        needed, available = number * self._peak_mib, available_mib()
        if available is not None and needed > available:
            need = "needs" if number == 1 else "need"
            raise EngineError(f"{_streams(number)} {need} {needed:.0f} MiB of memory, {available:.0f} are free")
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


def _streams(number: int) -> str:
    return f"{number} stream{'s' if number > 1 else ''}"


def _middle_ratio(new: Sequence[float], old: Sequence[float]) -> float:
    """Median of each round's own ratio: what disturbs a round disturbs both."""
    return statistics.median([one / other for one, other in zip(new, old, strict=True)])


def _figures_together(turns: Sequence[Sequence[StreamRun]]) -> dict[str, list[float]]:
    """Of streams at once, a list of runs a round."""
    rates = [rate for runs in turns if (rate := rate_together(runs)) is not None]
    return {
        "total": rates,
        "each": [rate / len(turns[0]) for rate in rates],
        "memory": [sum(run.peak_mib for run in runs) for runs in turns],
    }


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
