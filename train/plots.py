"""Curves of a run as a picture."""

import csv
from pathlib import Path


def plot_history(history: Path, output: Path) -> None:
    """Draw loss and quality over the epochs.

    Args:
        history: ``history.csv`` of a run.
        output: PNG to write.
    """
    # Agg's own canvas: pyplot would look for a display and keep every figure
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with history.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    epochs = [int(row["epoch"]) for row in rows]
    figure = Figure(figsize=(10, 4), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    for axes, names in ((left, ("loss", "val_loss")), (right, ("val_dice", "val_iou"))):
        for name in names:
            axes.plot(epochs, [float(row[name]) for row in rows], label=name)
        axes.set_xlabel("epoch")
        axes.grid(visible=True, alpha=0.3)
        axes.legend()
    figure.savefig(output, dpi=100)
