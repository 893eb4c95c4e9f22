"""What a model makes of close-ups: parts of labelled pictures, magnified as a camera near the tissue sees them.

Close-ups without polyp are where false alarms come from; they are cut from pictures that have one, so any labelled
test set holds hundreds. All are seen sharp and out of focus. Those of one list of pictures are always the same, so
models can be compared; give pictures that none of them was trained on.

Run as ``python -m rt_seg.benchmarks.close_ups --data FOLDER --names LIST [--engine MODEL ...]``.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import numpy.typing as npt
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from rt_seg.engines.engine import Engine
from rt_seg.engines.load import load_engine
from rt_seg.engines.masks import dice, threshold_level
from rt_seg.train.data import find_pairs, read_list, read_pair, select
from rt_seg.train.geometry import close_up_warp, doubled, identity_warp

from .evaluate_measures import FALSE_REGION_SHARE

UInt8Array = npt.NDArray[np.uint8]
Picture = tuple[UInt8Array, UInt8Array]  # BGR and mask

WITH_POLYP, WITHOUT_POLYP = 2, 3
"""Close-ups of a picture at most."""
DEFOCUS_SIGMA = 3.5
"""Of the Gaussian that stands for a picture out of focus, in pixels of 256."""
_TRIES = 60


def close_ups(image: UInt8Array, mask: UInt8Array, side: int, number: int) -> Iterator[tuple[str, Picture]]:
    """Cut a picture's close-ups.

    Args:
        image: uint8 ``[H, W, 3]``, BGR.
        mask: uint8 ``[H, W]`` with 0 and 255.
        side: Side of what comes out, in pixels.
        number: Of the picture: decides which parts.

    Yields:
        What it shows (``whole``, ``polyp``, ``no polyp``), and uint8 ``[side, side, 3]`` with its mask.
    """
    double = doubled(image, mask, side)
    yield "whole", identity_warp().apply(*double)
    left = {"polyp": WITH_POLYP, "no polyp": WITHOUT_POLYP}
    for attempt in range(_TRIES):
        warp = close_up_warp(np.random.default_rng([number, attempt]), *double)
        if warp is None:
            continue
        part = warp.apply(*double)
        kind = "polyp" if part[1].any() else "no polyp"
        if left[kind]:
            left[kind] -= 1
            yield kind, part


def out_of_focus(image: UInt8Array) -> UInt8Array:
    """The picture, blurred by `DEFOCUS_SIGMA`."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), DEFOCUS_SIGMA * image.shape[0] / 256), np.uint8)


class Scores:
    """What one engine makes of each kind of picture: Dice with a polyp, the share of the picture marked without."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._level = threshold_level(engine.spec.threshold)
        self.values: dict[str, list[float]] = defaultdict(list)

    def add(self, kind: str, image: UInt8Array, mask: UInt8Array) -> None:
        """Segment one picture of the engine's size."""
        found = self._engine.infer(image[None])[0] >= self._level
        self.values[kind].append(float(dice(found, mask > 0)) if mask.any() else float(found.mean()))

    def figure(self, kind: str) -> str:
        """mDice, or the share of polyp-free pictures with more than `FALSE_REGION_SHARE` marked."""
        values = np.array(self.values[kind])
        return f"{(values > FALSE_REGION_SHARE).mean():.1%}" if kind.startswith("no polyp") else f"{values.mean():.3f}"


def main(
    data: Annotated[list[Path], typer.Option(help="Folder with images/ and masks/; may be given several times.")],
    names: Annotated[Path | None, typer.Option(help="File with one image name a line: only these.")] = None,
    engine: Annotated[list[str] | None, typer.Option(help="As for rt-seg stream; several are compared.")] = None,
) -> None:
    """Compare models on whole pictures and on close-ups with and without polyp."""
    pairs = find_pairs(data)
    if names is not None:
        pairs = select(pairs, read_list(names), names)
    table = Table("pictures", box=None, title="mDice; without polyp: share with more than 0.5 % marked")
    table.add_column("number", justify="right")
    columns: list[Scores] = []
    for name in engine or ["auto"]:
        with load_engine(name) as model:
            scores = Scores(model)
            for number, pair in enumerate(track(pairs, name, console=Console(stderr=True))):
                for kind, (image, mask) in close_ups(*read_pair(pair), model.spec.width, number):
                    scores.add(kind, image, mask)
                    scores.add(f"{kind}, out of focus", out_of_focus(image), mask)
            table.add_column(f"{name}\n{model.spec.name}, {model.info.precision}", justify="right")
        columns.append(scores)
    _fill(table, columns)
    Console().print(table)


def _fill(table: Table, columns: Sequence[Scores]) -> None:
    for kind in sorted(columns[0].values, key=lambda kind: (kind.startswith("no"), kind.startswith("polyp"), kind)):
        table.add_row(kind, str(len(columns[0].values[kind])), *(scores.figure(kind) for scores in columns))


if __name__ == "__main__":
    typer.run(main)
