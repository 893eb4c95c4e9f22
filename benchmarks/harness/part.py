"""What a part of the benchmark is given and gives back, and the table of parts."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from rt_seg.errors import InputError

if TYPE_CHECKING:
    from .results import PartResult  # numpy comes with it, and the command line's help needs only the table

PREPARATION = "preparation"
"""What `Rounds.spent` calls the time before the first turn."""


class Progress(Protocol):
    """Somebody who wants to see a part run."""

    def update(self, done: float, doing: str) -> None:
        """Which share (0-1) of the part is done, and what is being done now."""
        ...


@dataclass(frozen=True, slots=True)
class Settings:
    """What `rt-seg benchmark` was asked for.

    Attributes:
        engine: Model, as for `rt-seg stream`.
        source: A video to measure on; None: the packaged clip.
        data: Data folders with ``images/`` and ``masks/`` (the clinical part: labelled clips); empty: what is packaged.
        keras: The model as Keras wrote it, to measure that as well; None leaves Keras out.
        seconds: About how long it may take: a part, its preparation included; in the report, all parts together.
        repeats: Least number of rounds, whatever they take; a figure from one is not shown.
        quick: Small pictures, short clips: to see that all works, and roughly.
    """

    engine: str = "auto"
    source: Path | None = None
    data: tuple[Path, ...] = ()
    keras: Path | None = None
    seconds: float = 33.0
    repeats: int = 5
    quick: bool = False


@dataclass(slots=True)
class Rounds:
    """Rounds of a comparison: in each, every side has its turn. At least `least`, then as many as fit into the time.

    Iterating gives the number of the round, from 0.

    Args:
        seconds: The time, from when this was made: so make it before clips and whatever else the rounds need.
        least: Number of rounds, whatever they take.
        sides: How many there are; for the progress.
        progress: Told of each turn by `turn`.

    Attributes:
        spent: Seconds by what they went to: the preparation, and each side.
    """

    seconds: float
    least: int
    sides: int
    progress: Progress
    spent: dict[str, float] = field(default_factory=dict[str, float], init=False)
    _began: float = field(default_factory=time.monotonic, init=False)
    _stamp: float = field(default_factory=time.monotonic, init=False)
    _doing: str = field(default=PREPARATION, init=False)
    _round: int = field(default=0, init=False)
    _turns: int = field(default=0, init=False)

    def __iter__(self) -> Iterator[int]:
        began = time.monotonic()
        while self._round < self.least or self._fits_another(time.monotonic() - began):
            yield self._round
            self._round += 1
            self._account("")

    def turn(self, doing: str) -> None:
        """Say that a side begins its turn."""
        self._account(doing)
        by_rounds = self._turns / (self.least * self.sides)
        self.progress.update(min(by_rounds, max(by_rounds / 2, self._elapsed / self.seconds), 1.0), doing)
        self._turns += 1

    @property
    def _elapsed(self) -> float:
        return time.monotonic() - self._began

    def _fits_another(self, rounds: float) -> bool:
        return self._elapsed + rounds / self._round < self.seconds

    def _account(self, doing: str) -> None:
        """What was done until now gets the seconds since; `doing` gets those that follow, if it has a name."""
        now = time.monotonic()
        if self._doing:
            self.spent[self._doing] = self.spent.get(self._doing, 0.0) + now - self._stamp
        self._stamp, self._doing = now, doing


@dataclass(frozen=True, slots=True)
class Part:
    """An entry of the table of parts.

    Attributes:
        target: ``module:function``; imported when it runs. The function takes `Settings` and `Progress`.
        default: Whether it runs without being named.
        help: What it measures, in a few words.
    """

    target: str
    default: bool
    help: str

    def measure(self, settings: Settings, progress: Progress) -> "PartResult":
        """Run it."""
        module, _, function = self.target.partition(":")
        run = cast("Callable[[Settings, Progress], PartResult]", getattr(import_module(module), function))
        return run(settings, progress)


PARTS: dict[str, Part] = {
    "engine": Part("rt_seg.benchmarks.engine:measure", True, "every engine and precision that runs here"),
    "stream": Part("rt_seg.benchmarks.stream:measure", True, "a file through the whole pipeline, and the plain loop"),
    "live": Part("rt_seg.benchmarks.live_part:measure", True, "video and annotation delay at several paces"),
    "clinical": Part("rt_seg.benchmarks.clinical_part:measure", False, "first detection, false activations, flicker"),
    "scale": Part("rt_seg.benchmarks.scale:measure", False, "cost by picture size, number of streams, clip length"),
}
"""In the order in which they run."""


def choose_parts(names: list[str]) -> list[str]:
    """The parts that were asked for, each once, in the order of the table; without any, those that run by default.

    Raises:
        InputError: There is no such part.
    """
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        raise InputError(f"there is no part {unknown[0]}; the parts are {', '.join(PARTS)}")
    return [name for name, part in PARTS.items() if (name in names if names else part.default)]
