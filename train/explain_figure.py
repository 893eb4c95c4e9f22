"""The figure of an explanation: picture, prediction, Seg-Grad-CAM and uncertainty side by side."""

import io
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from .data import UInt8Array
from .explain import THRESHOLD, VIEWS, Explanation, Map

PANEL_INCHES = 3.2
GAP_INCHES = 0.35
TITLE_INCHES = 0.35
SCALE_INCHES = 0.75
BAR_INCHES = 0.12
DOTS_PER_INCH = 150
LONGEST_SIDE = 640
"""Pixels that a picture is drawn with at most; the panels show no more."""
LONGEST_TITLE = 42

_OUTLINE = "#00e5ff"  # no tissue is cyan
_NOTES = "#444444"


def draw_explanation(picture: UInt8Array, explanation: Explanation, *, title: str, layer: str) -> bytes:
    """Draw the four panels, each with the outline of the predicted polyp, and the scales of both maps.

    Args:
        picture: uint8 ``[H, W, 3]`` BGR, any size.
        explanation: Its maps; they are stretched to the picture.
        title: What the figure is of.
        layer: Name of the layer that Seg-Grad-CAM looked at.

    Returns:
        A PNG file.
    """
    # Agg's own canvas: pyplot would look for a display and keep every figure
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = _shrunk(picture)
    height, width = shown.shape[:2]
    probability, cam, uncertainty = (
        _stretched(values, width, height)
        for values in (explanation.probability, explanation.grad_cam, explanation.uncertainty)
    )
    panel = PANEL_INCHES * height / width
    size = (4 * PANEL_INCHES + 5 * GAP_INCHES, TITLE_INCHES + panel + SCALE_INCHES)
    figure = Figure(figsize=size)
    FigureCanvasAgg(figure)
    panels = [_axes(figure, column, SCALE_INCHES, panel) for column in range(4)]
    bars = [_axes(figure, column, SCALE_INCHES - 0.1 - BAR_INCHES, BAR_INCHES) for column in range(4)]
    share = float((explanation.probability >= THRESHOLD).mean())
    _show(panels[0], shown, title)
    _note(bars[0], f"{picture.shape[1]} x {picture.shape[0]} pixels")
    _show(panels[1], shown, f"prediction: polyp, {share:.1%} of the picture" if share else "prediction: no polyp")
    _fill(panels[1], probability)
    _note(bars[1], f"outline: probability {THRESHOLD}")
    _show(panels[2], _grey(shown), f"Seg-Grad-CAM of the {explanation.target}")
    heat = panels[2].imshow(cam, cmap="inferno", vmin=0, vmax=1, alpha=0.25 + 0.6 * cam)
    _scale(figure, heat, bars[2], f"evidence in {layer}")
    _show(panels[3], _grey(shown), f"uncertainty: {VIEWS} flips and turns")
    sway = panels[3].imshow(uncertainty, cmap="viridis", vmin=0, vmax=0.5, alpha=0.55 + 0.8 * uncertainty)
    _scale(figure, sway, bars[3], "standard deviation of the probability")
    for axes in panels[1:]:
        _outline(axes, probability)
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=DOTS_PER_INCH, format="png")
    return buffer.getvalue()


def _axes(figure: Any, column: int, bottom: float, height: float) -> Any:
    """Empty axes of a panel's width, placed in inches: automatic layouts give the panels unequal gaps."""
    left = GAP_INCHES + column * (PANEL_INCHES + GAP_INCHES)
    across, up = figure.get_size_inches()
    axes = figure.add_axes((left / across, bottom / up, PANEL_INCHES / across, height / up))
    axes.set_axis_off()
    return axes


def _shrunk(picture: UInt8Array) -> UInt8Array:
    """RGB, its longest side at most `LONGEST_SIDE`."""
    scale = min(1.0, LONGEST_SIDE / max(picture.shape[:2]))
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(small, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)


def _grey(picture: UInt8Array) -> UInt8Array:
    return cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB).astype(np.uint8, copy=False)


def _stretched(values: Map, width: int, height: int) -> Map:
    stretched = cv2.resize(values, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.clip(stretched, 0, 1).astype(np.float32, copy=False)


def _show(axes: Any, picture: UInt8Array, title: str) -> None:
    axes.imshow(picture)
    # a long file name ends in dots, or it would run into the next title
    axes.set_title(title if len(title) <= LONGEST_TITLE else f"{title[: LONGEST_TITLE - 1]}\u2026", fontsize=10)


def _note(axes: Any, text: str) -> None:
    axes.text(0.5, 1, text, ha="center", va="top", fontsize=8, color=_NOTES, transform=axes.transAxes)


def _fill(axes: Any, probability: Map) -> None:
    colour: npt.NDArray[np.float32] = np.zeros((*probability.shape, 4), np.float32)
    colour[...] = (0.0, 0.9, 1.0, 0.0)
    colour[..., 3] = np.where(probability >= THRESHOLD, 0.25, 0.0)
    axes.imshow(colour)


def _outline(axes: Any, probability: Map) -> None:
    if probability.min() < THRESHOLD <= probability.max():
        axes.contour(probability, levels=[THRESHOLD], colors=[_OUTLINE], linewidths=1.2)


def _scale(figure: Any, mappable: Any, axes: Any, label: str) -> None:
    from matplotlib.cm import ScalarMappable

    axes.set_axis_on()
    solid = ScalarMappable(norm=mappable.norm, cmap=mappable.cmap)  # the map itself is see-through
    bar = figure.colorbar(solid, cax=axes, orientation="horizontal")
    bar.set_label(label, fontsize=8, color=_NOTES)
    bar.ax.tick_params(labelsize=8, colors=_NOTES)
    bar.outline.set_visible(False)
