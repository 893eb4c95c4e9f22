"""What preprocess and overlay cost a frame by themselves, on one thread with nothing beside it.

In a stream the same stages take longer: decoding, inference and encoding run at the same time and take cores, caches
and memory from them; ``rt-seg benchmark --part stream`` tells what they take there.

- *on itself*: prepared as soon as it is read, drawn on itself, as in the stream of a file;
- *on a copy*: the same, but drawn on a copy, as where a window or somebody else's sink may want the frame;
- *late, on a copy*: prepared when other frames have taken its place in the caches.

The ways take turns on the same frames, each decoded anew and segmented, so that what is drawn is what the model
finds. Run as ``python -m rt_seg.benchmarks.pixels``.
"""

import statistics
import tempfile
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from rt_seg.engines.engine import Engine
from rt_seg.engines.load import load_engine
from rt_seg.realtime.controls import Controls
from rt_seg.realtime.frame import Frame, Rendered, Showing
from rt_seg.realtime.hud import Hud
from rt_seg.realtime.overlay import Overlay
from rt_seg.realtime.preprocess import Preprocess
from rt_seg.realtime.render import Render
from rt_seg.realtime.segment import Segment
from rt_seg.realtime.sources.open import open_source
from rt_seg.realtime.state import Status
from rt_seg.realtime.statistics import Statistics

from .clips import make_clip

_WARM_UP = 3  # frames of each turn that do not count
_WAITING = 16  # frames that push an earlier one out of the caches: 100 MB at 1080p


@dataclass(slots=True)
class Way:
    """One way through both stages, and what it took.

    Attributes:
        name: For the table.
        waiting: Frames that come before one is prepared.
        last: Whether frames are drawn on themselves, see `Render`.
        preprocess: Milliseconds of each frame.
        overlay: The same.
    """

    name: str
    waiting: int
    last: bool
    preprocess: list[float] = field(default_factory=list[float])
    overlay: list[float] = field(default_factory=list[float])

    def run(self, clip: Path, frames: int, engine: Engine) -> None:
        """Take all frames of a clip once."""
        shown = Statistics()
        render = Render(Overlay(), Hud(), Controls(hud=True), shown, Status(), last=self.last)
        preprocess, segment = Preprocess(engine.spec), Segment(engine)
        for frame in _delayed(clip, frames, self.waiting):
            segmentation = segment(preprocess(frame))
            rendered = render(Showing(frame, segmentation))
            shown.count_shown(rendered)
            if shown.shown.count > _WARM_UP:
                self._take(rendered)

    def _take(self, rendered: Rendered) -> None:
        self.preprocess.append(rendered.spans["preprocess"].milliseconds)
        self.overlay.append(rendered.spans["overlay"].milliseconds)


def _delayed(clip: Path, frames: int, waiting: int) -> Iterator[Frame]:
    """The frames of a clip, each once so many later ones were decoded; those at the end are left out."""
    source = open_source(str(clip), limit=frames)
    held: deque[Frame] = deque()
    try:
        for frame in source:
            held.append(frame)
            if len(held) > waiting:
                yield held.popleft()
    finally:
        source.close()


def main(
    size: Annotated[str, typer.Option(help="WIDTHxHEIGHT of the clip.")] = "1920x1080",
    frames: Annotated[int, typer.Option(min=20, help="Frames of each turn.")] = 60,
    rounds: Annotated[int, typer.Option(min=1, help="Turns of each way.")] = 5,
    engine: Annotated[str, typer.Option(help="As for rt-seg stream.")] = "auto",
) -> None:
    """Time preprocess and overlay of a frame: as in the stream of a file, and where a step cannot be saved."""
    width, height = (int(part) for part in size.split("x"))
    ways = (
        Way("on itself", 0, last=True),
        Way("on a copy", 0, last=False),
        Way("late, on a copy", _WAITING, last=False),
    )
    cv2.setNumThreads(1)  # as in a stream
    with tempfile.TemporaryDirectory(prefix="rt-seg-") as folder, load_engine(engine) as model:
        clip = make_clip(Path(folder) / "clip.mp4", width, height, frames + _WAITING)
        for _ in range(rounds):
            for way in ways:
                way.run(clip, frames + way.waiting, model)
    Console().print(_table(ways, f"{size}, {len(ways[0].overlay)} frames each way: p50 (p10-p90) in ms"))


def _table(ways: tuple[Way, ...], title: str) -> Table:
    table = Table(title=title, box=None)
    table.add_column("", no_wrap=True)
    for heading in ("preprocess", "overlay", "together"):
        table.add_column(heading, justify="right", no_wrap=True)
    for way in ways:
        together = [one + other for one, other in zip(way.preprocess, way.overlay, strict=True)]
        table.add_row(way.name, *(_cell(values) for values in (way.preprocess, way.overlay, together)))
    return table


def _cell(values: list[float]) -> str:
    low, high = np.percentile(values, [10, 90]).tolist()
    return f"{statistics.median(values):.2f} ({low:.2f}-{high:.2f})"


if __name__ == "__main__":
    typer.run(main)
