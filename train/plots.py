"""Curves of a run as a picture."""

from collections.abc import Sequence
from pathlib import Path

_PANELS = {
    "loss": {"training": "loss", "validation": "val_loss"},
    "overlap, mean over images with a polyp": {"mDice": "val_dice", "mIoU": "val_iou"},
    "pixels": {
        "accuracy, training": "accuracy",
        "accuracy, validation": "val_accuracy",
        "binary IoU, training": "binary_iou",
        "binary IoU, validation": "val_binary_iou",
    },
    "learning rate": {"": "learning_rate"},
}
"""Title of each panel, and its curves: what the legend says, and the column of the history."""


def plot_history(rows: Sequence[dict[str, float]], output: Path) -> None:
    """Draw loss, quality and learning rate over the epochs.

    Args:
        rows: Figures of each epoch, see `history`.
        output: PNG to write.
    """
    # Agg's own canvas: pyplot would look for a display and keep every figure
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    epochs = [row["epoch"] for row in rows]
    marker = "o" if len(rows) == 1 else ""  # a line through one point is invisible
    figure = Figure(figsize=(12, 7), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (title, curves) in zip(figure.subplots(2, 2).flat, _PANELS.items(), strict=True):
        for number, (label, name) in enumerate(curves.items()):
            values = [row.get(name, float("nan")) for row in rows]
            axes.plot(epochs, values, label=label, marker=marker, color=f"C{number}")
        axes.set_title(title, fontsize="medium")
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(visible=True, alpha=0.3)
        if len(curves) > 1:
            axes.legend(fontsize="small")
    figure.savefig(output, dpi=100)
