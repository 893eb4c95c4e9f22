"""The part `clinical` of `rt-seg benchmark`: what an endoscopy team would ask of the masks, on simulated clips.

The measurement is that of `clinical`, with its defaults; see there. It repeats exactly: no interval stands beside it.
"""

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
from rich.console import Console

from rt_seg.engines.load import load_engine

from .clinical import compare, film, read_stills
from .harness.part import Progress, Settings
from .harness.process import call_fresh
from .harness.results import Column, PartResult, Row, Table

_WAIT = (3, 5)
_QUICK_STILLS = 1
_COLUMNS = (
    Column("first_detection_ms", "first seen", "ms", "lower", 0),
    Column("sensitivity", "sensitivity", "", "higher", 3),
    Column("specificity", "specificity", "", "higher", 3),
    Column("false_activations_a_minute", "false", "1/min", "lower", 1),
    Column("switches_a_minute", "lost", "1/min", "lower", 1),
    Column("steadiness", "steady", "", "higher", 3),
    Column("found", "found", digits=0),
    Column("polyps", "of", digits=0),
    Column("mdice", "mDice", "", "higher", 4),
)


def figures(engine: str, data: list[str], limit: int | None) -> dict[str, Any]:
    """Film, infer and measure, in this process.

    Returns:
        JSON values: the rows, and what they were measured on.

    Raises:
        RtSegError: A still or the model is unusable.
    """
    cv2.setNumThreads(1)
    stills = read_stills([Path(folder) for folder in data], None, limit)
    with load_engine(engine) as model:
        threshold = model.spec.threshold
        clips = film(model, stills, Console(stderr=True, highlight=False))
        title = f"{model.spec.name}, {model.info.precision}, threshold {threshold:g}"
    rows = list(compare(clips, threshold, _WAIT, "light", all_filters=False))
    return {
        "title": title,
        "clips": len(clips),
        "minutes": rows[0].outcome.minutes,
        "rows": [{"table": row.table, "setting": row.setting, "outcome": _said(asdict(row.outcome))} for row in rows],
    }


def _said(outcome: dict[str, Any]) -> dict[str, Any]:
    """The figures that there are: JSON has no word for those that are not numbers."""
    return {name: value for name, value in outcome.items() if value is not None and math.isfinite(value)}


def measure(settings: Settings, progress: Progress) -> PartResult:
    """Measure the part; see the module.

    Raises:
        DataError: No still can be filmed.
        ModelError: The model is unusable.
    """
    progress.update(0.0, "filming and segmenting")
    data = [str(folder) for folder in settings.data]
    limit = _QUICK_STILLS if settings.quick else None
    found = call_fresh(f"{__package__}.clinical_part:figures", engine=settings.engine, data=data, limit=limit)
    names = dict.fromkeys(row["table"] for row in found["rows"])
    return PartResult(
        name="clinical",
        title=f"Clinical: {found['title']}; {found['clips']} simulated clips, {found['minutes']:.1f} minutes",
        tables=tuple(_table(name, [row for row in found["rows"] if row["table"] == name]) for name in names),
        notes=(
            "simulated video: a camera moves over stills with masks; no statement on what the model does in an "
            "examination",
            "computed once: the same clips give the same figures",
        ),
        setup={"clips": found["clips"], "model": found["title"], "data": data},
    )


def _table(name: str, rows: list[dict[str, Any]]) -> Table:
    return Table(name, name, _COLUMNS, tuple(Row(row["setting"], exact=row["outcome"]) for row in rows))


if __name__ == "__main__":
    from .harness.command import run_script

    run_script("clinical")
