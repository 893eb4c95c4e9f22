"""Figures of a run, epoch by epoch: ``history.csv``, ``curves.png`` and ``tensorboard/`` in its folder."""

import csv
from pathlib import Path

from .frameworks import tf
from .plots import plot_history

HISTORY = "history.csv"


class History:
    """Keeps the figures of every epoch. Not thread-safe.

    Args:
        folder: The folder of the run; what it holds already is read.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / HISTORY
        self.rows: list[dict[str, float]] = []
        if self._path.exists():
            with self._path.open(newline="", encoding="utf-8") as file:
                self.rows = [_numbers(row) for row in csv.DictReader(file)]

    def forget_after(self, epochs: int) -> None:
        """Drop the epochs after the first so many: a kill came between their figures and their checkpoint."""
        self.rows = self.rows[:epochs]

    def append(self, row: dict[str, float]) -> None:
        """Add an epoch, and write the files.

        Raises:
            OSError: They cannot be written.
        """
        self.rows.append(row)
        self._write()
        with tf.summary.create_file_writer(str(self._folder / "tensorboard")).as_default():
            for name, value in row.items():
                tf.summary.scalar(name, value, step=int(row["epoch"]))
        plot_history(self.rows, self._folder / "curves.png")

    def _write(self) -> None:
        """Replace the file in one go: a kill leaves the old one or the new one."""
        fresh = self._path.with_name(f"new-{HISTORY}")
        with fresh.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(self.rows[-1]), extrasaction="ignore")
            writer.writeheader()
            writer.writerows(self.rows)
        fresh.replace(self._path)


def _numbers(row: dict[str, str]) -> dict[str, float]:
    """A row of the file; a figure that an older version did not keep is not in it."""
    return {name: int(text) if text.isdecimal() else float(text) for name, text in row.items() if text}
