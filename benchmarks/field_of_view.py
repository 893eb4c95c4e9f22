"""What finding the field of view is worth: the quality of masks with ``--roi full`` and with ``--roi auto``.

Each picture is segmented as it is, and once more as a processor shows it: scaled into an octagon on a black 1920x1080
screen with text at its side. Both ways of looking see the same pictures; each is judged on its own, as in a folder of
stills. Dice is taken at the size of the picture, over the whole of it.

Run as ``python -m rt_seg.benchmarks.field_of_view --data FOLDER [--data FOLDER ...]``, each folder with ``images/`` and
``masks/``.
"""

from pathlib import Path
from typing import Annotated, cast

import cv2
import numpy as np
import numpy.typing as npt
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from rt_seg.engines.engine import Engine
from rt_seg.engines.field_of_view import Roi
from rt_seg.engines.geometry import Box
from rt_seg.engines.load import load_engine
from rt_seg.engines.masks import dice
from rt_seg.realtime.frame import Frame
from rt_seg.realtime.preprocess import Preprocess
from rt_seg.realtime.regions import frame_mask
from rt_seg.realtime.segment import Segment
from rt_seg.train.data import find_pairs, read_list, read_pair, select

UInt8Array = npt.NDArray[np.uint8]
Picture = tuple[UInt8Array, UInt8Array]  # BGR and mask

SCREEN_WIDTH, SCREEN_HEIGHT = 1920, 1080
_FIELD_HEIGHT = 980
_TEXT = ("Name:", "Sex:   Age:", "D.O.B.:", "12/05/2021", "10:42:17", "", "Cnt: 12", "Eh: A1  Cm: 1", "", "Comment:")


def as_it_is(image: UInt8Array, mask: UInt8Array) -> Picture:
    """Leave a picture alone."""
    return image, mask


def on_a_screen(image: UInt8Array, mask: UInt8Array) -> Picture:
    """Show a picture as a processor does: in an octagon on a black screen, right of the middle, with text at the left.

    Args:
        image: uint8 ``[H, W, 3]``, BGR.
        mask: uint8 ``[H, W]`` with 0 and 255.

    Returns:
        Screen and mask, 1920x1080. The mask loses what the octagon's corners cut off.
    """
    scale = min(_FIELD_HEIGHT / image.shape[0], 0.68 * SCREEN_WIDTH / image.shape[1])
    width, height = round(image.shape[1] * scale), round(image.shape[0] * scale)
    field = Box(SCREEN_WIDTH - width - 80, (SCREEN_HEIGHT - height) // 2, width, height)
    octagon = _octagon(width, height)
    screen, truth = (
        np.zeros((SCREEN_HEIGHT, SCREEN_WIDTH, 3), np.uint8),
        np.zeros((SCREEN_HEIGHT, SCREEN_WIDTH), np.uint8),
    )
    cv2.copyTo(cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC), octagon, screen[field.slices])
    cv2.copyTo(cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST), octagon, truth[field.slices])
    font = cv2.FontFace("sans")
    for line, text in enumerate(_TEXT):
        cv2.putText(screen, text, (60, 120 + 44 * line), (210, 210, 210), font, 28, 400)
    return screen, truth


def _octagon(width: int, height: int) -> UInt8Array:
    right, bottom, cut = width - 1, height - 1, round(0.12 * width)
    corners = [
        (cut, 0), (right - cut, 0), (right, cut), (right, bottom - cut),
        (right - cut, bottom), (cut, bottom), (0, bottom - cut), (0, cut),
    ]  # fmt: skip
    mask = np.zeros((height, width), np.uint8)
    cv2.fillPoly(mask, [np.array(corners, np.int32)], 255)
    return mask


class Score:
    """Dice with one way of finding the region, over many pictures."""

    def __init__(self, engine: Engine, roi: Roi) -> None:
        self._preprocess = Preprocess(engine.spec, roi, steady=False)
        self._segment = Segment(engine)
        self.dice: list[float] = []
        self.cropped = 0

    def add(self, image: UInt8Array, truth: UInt8Array) -> None:
        """Segment one picture and keep its Dice."""
        prepared = self._preprocess(Frame(len(self.dice), 0.0, 0, image))
        self.cropped += prepared.geometry.region.area < image.shape[0] * image.shape[1]
        self.dice.append(float(dice(frame_mask(self._segment(prepared)), truth)))


def main(
    data: Annotated[list[Path], typer.Option(help="Folder with images/ and masks/; may be given several times.")],
    names: Annotated[Path | None, typer.Option(help="File with one image name a line: only these.")] = None,
    engine: Annotated[str, typer.Option(help="As for rt-seg stream.")] = "auto",
) -> None:
    """Compare ``--roi full`` and ``--roi auto``."""
    pairs = find_pairs(data)
    if names is not None:
        pairs = select(pairs, read_list(names), names)
    ways = {"as they are": as_it_is, "on a 1920x1080 screen": on_a_screen}
    console = Console()
    with load_engine(engine) as model:
        scores = {(way, roi): Score(model, cast("Roi", roi)) for way in ways for roi in ("full", "auto")}
        for pair in track(pairs, "Segmenting", console=Console(stderr=True)):
            image, mask = read_pair(pair)
            for (way, _), score in scores.items():
                score.add(*ways[way](image, mask))
        console.print(f"{model.spec.name}, {model.info.precision}, {model.info.backend}; {len(pairs)} pictures")
    console.print(_table(list(ways), scores))


def _table(ways: list[str], scores: dict[tuple[str, str], Score]) -> Table:
    table = Table("pictures", box=None, title="mDice; pictures cropped by auto, better and worse by more than .02")
    for heading in ("full", "auto", "auto - full", "cropped", "better", "worse"):
        table.add_column(heading, justify="right", no_wrap=True)
    for way in ways:
        full, auto = (np.array(scores[way, roi].dice) for roi in ("full", "auto"))
        gain = auto - full
        table.add_row(
            way, f"{full.mean():.4f}", f"{auto.mean():.4f}", f"{gain.mean():+.4f}",
            str(scores[way, "auto"].cropped), str(int((gain > 0.02).sum())), str(int((gain < -0.02).sum())),
        )  # fmt: skip
    return table


if __name__ == "__main__":
    typer.run(main)
