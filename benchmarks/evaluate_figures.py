"""Pictures of an evaluation: the best and worst images, the false alarms, and what the threshold decides.

They show images of the data as they are: whether they may be passed on, the data's licence says.
"""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from rt_seg.engines.engine import Engine
from rt_seg.engines.load import load_engine
from rt_seg.engines.resize import probability_at_source
from rt_seg.realtime.overlay import CYAN, Colour
from rt_seg.train.data import read_pair

from .evaluate import Evaluation, ImageScore, prepare
from .evaluate_files import write_whole
from .evaluate_summary import Summary, is_false_alarm

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

UInt8Array = npt.NDArray[np.uint8]

SHOWN = 6
"""Images in each figure."""

_HEADINGS = ("image", "truth", "probability", "overlay: found (cyan), truth (lime)")
_LIME: Colour = (60, 255, 170)
_TILE_WIDTH, _TILE_HEIGHT = 400, 300  # pixels; a picture is fitted inside
_BLUE, _ORANGE, _RED, _GREY = "#1f6fb4", "#d1730f", "#b8252f", "#666666"


def draw_figures(folder: Path, evaluation: Evaluation, summary: Summary) -> list[Path]:
    """Draw what there is to show; figures of an earlier run that this one has no images for are removed.

    Args:
        folder: Made if it is missing.
        evaluation: What was measured; the engine is loaded again for the few images that are shown.
        summary: Its figures.

    Returns:
        The files.

    Raises:
        OutputError: A file cannot be written.
    """
    chosen = {
        "worst.png": (worst(evaluation.scores), "Lowest Dice"),
        "best.png": (best(evaluation.scores), "Highest Dice"),
        "false_alarms.png": (false_alarms(evaluation), "No polyp, but a false region: the largest"),
    }
    files: list[Path] = []
    with load_engine(evaluation.settings.engine, precision=evaluation.settings.precision) as engine:
        for name, (scores, title) in chosen.items():
            file = folder / name
            if scores:
                write_whole(file, _png(_images_figure(engine, evaluation, scores, title)))
                files.append(file)
            else:
                file.unlink(missing_ok=True)
    curve = folder / "threshold.png"
    write_whole(curve, _png(_threshold_figure(evaluation, summary)))
    return [*files, curve]


def worst(scores: Sequence[ImageScore]) -> list[ImageScore]:
    """The images with a polyp and the lowest Dice, lowest first; equal ones in their order."""
    return sorted((score for score in scores if score.has_polyp), key=lambda score: score.measures.dice)[:SHOWN]


def best(scores: Sequence[ImageScore]) -> list[ImageScore]:
    """The images with a polyp and the highest Dice, highest first."""
    return sorted((score for score in scores if score.has_polyp), key=lambda score: -score.measures.dice)[:SHOWN]


def false_alarms(evaluation: Evaluation) -> list[ImageScore]:
    """The images without a polyp that show a false region, the largest false area first."""
    found = (score for score in evaluation.scores if is_false_alarm(score, evaluation.level))
    return sorted(found, key=lambda score: -score.measures.false_positive_area)[:SHOWN]


def _new_figure(width: float, height: float) -> "Figure":
    # Agg's own canvas: pyplot would look for a display and keep every figure
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _png(figure: "Figure") -> bytes:
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=110)
    return data.getvalue()


def _images_figure(engine: Engine, evaluation: Evaluation, scores: Sequence[ImageScore], title: str) -> "Figure":
    heights = [0.4 + 3.2 * min(score.height / score.width, _TILE_HEIGHT / _TILE_WIDTH) for score in scores]
    figure = _new_figure(13, 0.8 + sum(heights))
    figure.suptitle(f"{title}: {evaluation.spec.name}, threshold {evaluation.threshold:g}\n", fontweight="bold")
    rows = figure.subplots(len(scores), len(_HEADINGS), squeeze=False, height_ratios=heights)
    for axes, heading in zip(rows[0], _HEADINGS, strict=True):
        axes.annotate(heading, (0.5, 1.16), xycoords="axes fraction", ha="center", va="bottom", color=_GREY)
    for row, score in zip(rows, scores, strict=True):
        for axes, tile in zip(row, _tiles(engine, evaluation, score), strict=True):
            axes.imshow(tile[..., ::-1])
            axes.set_anchor("N")
            axes.set_axis_off()
        row[0].set_title(_caption(score), loc="left", fontsize=10)
    return figure


def _caption(score: ImageScore) -> str:
    measures = score.measures
    name = f"{score.centre} / {score.pair.stem}"
    if score.has_polyp:
        return f"{name}    Dice {measures.dice:.3f}, precision {measures.precision:.3f}, recall {measures.recall:.3f}"
    return f"{name}    {100 * measures.false_positive_area:.2f} % of the picture is false"


def _tiles(engine: Engine, evaluation: Evaluation, score: ImageScore) -> tuple[UInt8Array, ...]:
    """Image, mask, probability and overlay, scaled to a tile; uint8 ``[h, w, 3]``, BGR."""
    image, truth = read_pair(score.pair)
    prepared = prepare(image, engine.spec, evaluation.settings.roi)
    probability = _fitted(probability_at_source(engine.infer(prepared.tensor[None])[0], prepared.geometry))
    picture, mask = _fitted(image), _fitted(truth)
    drawn = picture.copy()
    _outline(drawn, mask > 127, _LIME)
    _outline(drawn, probability >= evaluation.level, CYAN)
    return picture, _coloured(mask), _coloured(probability), drawn


def _coloured(grey: UInt8Array) -> UInt8Array:
    return np.repeat(grey[..., None], 3, axis=2)


def _outline(picture: UInt8Array, mask: npt.NDArray[np.bool_], colour: Colour) -> None:
    outlines, _ = cv2.findContours(mask.view(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.polylines(picture, outlines, True, colour, 2, cv2.LINE_AA)


def _fitted(picture: UInt8Array) -> UInt8Array:
    """Scale ``[H, W]`` or ``[H, W, 3]`` to fit a tile."""
    height, width = picture.shape[:2]
    scale = min(_TILE_WIDTH / width, _TILE_HEIGHT / height)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _threshold_figure(evaluation: Evaluation, summary: Summary) -> "Figure":
    curves, group = summary.curves, summary.overall
    panels = [curves.mdice is not None, curves.false_alarm_share is not None]
    figure = _new_figure(8, 0.8 + 2.9 * sum(panels))
    figure.suptitle(f"What the threshold decides: {evaluation.spec.name}", fontweight="bold")
    remaining = list(figure.subplots(sum(panels), 1, squeeze=False)[:, 0])
    if curves.mdice is not None and curves.miou is not None:
        axes = remaining.pop(0)
        axes.plot(curves.threshold, curves.mdice, color=_BLUE, label="mDice")
        axes.plot(curves.threshold, curves.miou, color=_ORANGE, label="mIoU")
        _style(axes, f"{group.with_polyp.images} images with a polyp", "mean over images")
        axes.set_ylim(0, 1)
    if curves.false_alarm_share is not None:
        axes = remaining.pop(0)
        label = "false region above 0.5 %"
        axes.plot(curves.threshold, 100 * curves.false_alarm_share, color=_RED, label=label)
        _style(axes, f"{group.without_polyp.images} images without a polyp", "share of images, %")
        axes.set_ylim(0, 100)
    for axes in figure.axes:
        axes.axvline(evaluation.threshold, color=_GREY, linestyle="--", linewidth=1, label="threshold used")
        axes.legend(frameon=False)
    figure.axes[-1].set_xlabel("threshold: probability from which a pixel counts as polyp")
    return figure


def _style(axes: "Axes", title: str, y_label: str) -> None:
    axes.set_title(title, loc="left", fontsize=10)
    axes.set_ylabel(y_label)
    axes.set_xlim(0, 1)
    axes.grid(visible=True, alpha=0.25)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
