"""The files of `rt-seg evaluate`: ``per_image.csv``, ``summary.json`` and the pictures in ``figures/``."""

import csv
import io
import json
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

from rt_seg.errors import MissingDependencyError, OutputError
from rt_seg.realtime.sinks.files import OutputFile, check_output_folder, output_error

from .evaluate import Evaluation, ImageScore
from .evaluate_summary import MEASURES, is_false_alarm

_COLUMNS = ("centre", "name", "width", "height", "has_polyp", *MEASURES, "false_region")


def check_report(folder: Path, *, figures: bool) -> None:
    """Refuse, before any work is done, a report that could not be written.

    Raises:
        OutputError: The folder cannot be written.
        MissingDependencyError: Figures are wanted, and matplotlib is not there.
    """
    check_output_folder(folder)
    if not figures:
        return
    try:
        import_module("matplotlib")
    except ImportError as exc:
        raise MissingDependencyError(
            "the figures need matplotlib: pip install 'rt-seg[plots]', or give --no-figures"
        ) from exc


def write_tables(folder: Path, evaluation: Evaluation, summary: dict[str, Any]) -> list[Path]:
    """Write CSV and JSON; what an earlier run left under these names is replaced.

    Args:
        folder: Made if it is missing.
        evaluation: What was measured.
        summary: What `evaluate_summary.as_dict` gave.

    Returns:
        The files.

    Raises:
        OutputError: A file cannot be written.
    """
    table, overview = folder / "per_image.csv", folder / "summary.json"
    write_whole(table, _csv(evaluation).encode())
    write_whole(overview, json.dumps(summary, indent=2, allow_nan=False).encode() + b"\n")
    return [table, overview]


def write_whole(path: Path, data: bytes) -> None:
    """Write a file, or leave none; its folder is made if it is missing.

    Raises:
        OutputError: It cannot be written.
    """
    file = OutputFile(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file.write(data)
        file.close()
    except OSError as exc:
        raise output_error(path, exc) from exc
    except OutputError:
        file.remove()
        raise


def _csv(evaluation: Evaluation) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(_row(score, evaluation.level) for score in evaluation.scores)
    return text.getvalue()


def _row(score: ImageScore, level: int) -> dict[str, object]:
    return {
        "centre": score.centre,
        "name": score.pair.stem,
        "width": score.width,
        "height": score.height,
        "has_polyp": int(score.has_polyp),
        **{name: f"{value:.6f}" for name, value in asdict(score.measures).items()},
        # only an image without a polyp can have one
        "false_region": "" if score.has_polyp else int(is_false_alarm(score, level)),
    }
