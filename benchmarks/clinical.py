"""What stabilisation, threshold and the wait before a sighting are worth, on clips with true masks.

The clips are simulated: a camera moves over stills with masks (see `labelled_clips`). Without ``--data`` the stills are
the five that ship with rt-seg; give a data folder with ``images/`` and ``masks/`` for more, and a list of images that
the model was not trained on. Each still is filmed twice, mildly and badly.

Run as ``python -m rt_seg.benchmarks.clinical [--data FOLDER --split LIST]``. Research figures of simulated video: no
statement on what the model does in an examination.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import cv2
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from rt_seg.engines.engine import Engine
from rt_seg.engines.load import load_engine
from rt_seg.engines.masks import threshold_level
from rt_seg.engines.samples import load_samples
from rt_seg.errors import DataError, InputError, RtSegError
from rt_seg.realtime.demo.make_demo import FPS
from rt_seg.realtime.motion import GlobalMotion
from rt_seg.realtime.sightings import MIN_CONFIDENCE
from rt_seg.realtime.stabilise import FILTERS, Filter, Mode
from rt_seg.train.data import read_pair

from .clinical_measures import IN_VIEW, Outcome, SeenClip, Steady, carried_over, infer_clip, measure, stabilise_clip
from .evaluate_data import find_centres
from .labelled_clips import SPOILING, Clip, Still

CANDIDATES: dict[str, Filter] = {
    "mean, 60 ms, fixed": Filter(0.06, moving=False),
    "mean, 60 ms, moving": Filter(0.06),
    "mean, 120 ms, fixed": Filter(0.12, moving=False),
    "mean, 120 ms, moving": Filter(0.12),
    "mean, 200 ms, fixed": Filter(0.2, moving=False),
    "mean, 200 ms, moving": Filter(0.2),
    "hysteresis, 20, moving": Filter(margin=20),
    "hysteresis, 40, fixed": Filter(margin=40, moving=False),
    "hysteresis, 40, moving": Filter(margin=40),
    "mean 60 ms + hysteresis 25, moving": Filter(0.06, margin=25),
    "mean 120 ms + hysteresis 25, moving": Filter(0.12, margin=25),
}
"""Filters that ``--candidates`` compares; the modes' own come first."""

CONFIDENCES = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9)
WAITS = ((1, 1), (2, 3), (3, 4), (3, 5), (4, 6), (5, 8), (6, 8), (8, 12))
LAGS = (1, 2, 3, 5)
_COLUMNS = (
    "mDice", "steady (true)", "lost/min", "sensitivity", "specificity", "found", "first seen, ms", "false/min", "brief",
    "sightings/polyp",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table."""

    table: str
    setting: str
    outcome: Outcome


def read_stills(data: Sequence[Path], split: Path | None, limit: int | None) -> list[Still]:
    """The stills that are filmed.

    Raises:
        DataError: A folder, list, image or mask is unusable.
    """
    if not data:
        if split is not None:
            raise DataError(f"{split}: a list needs the folder that it is of; give --data, too")
        return [Still(sample.name, sample.image, sample.mask) for sample in load_samples()][:limit]
    centres = find_centres(data, split=split, limit=limit)
    pairs = [pair for centre in centres for pair in centre.pairs]
    return [Still(pair.name, *read_pair(pair)) for pair in pairs]


def film(engine: Engine, stills: Sequence[Still], notes: Console) -> list[SeenClip]:
    """Film each still mildly and badly, and infer every frame. Stills that are too dark are named and left out."""
    seen: list[SeenClip] = []
    jobs = [(number, name) for number in range(len(stills)) for name in SPOILING]
    for number, name in track(jobs, "filming", console=notes, transient=True):
        try:
            clip = Clip(stills[number], SPOILING[name], seed=number)
        except DataError as exc:
            notes.print(str(exc), markup=False, soft_wrap=True)
            continue
        seen.append(infer_clip(engine, clip))
    if not any((clip.shares >= IN_VIEW).any() for clip in seen):
        raise DataError("no still with a polyp can be filmed; give others")
    return seen


def compare(clips: Sequence[SeenClip], threshold: float, wait: tuple[int, int], mode: Mode, *, all_filters: bool
            ) -> Iterator[Row]:  # fmt: skip
    """Measure every setting: the filters without a wait, then thresholds, then waits with the chosen filter."""
    level = threshold_level(threshold)
    filters = {name: FILTERS[name] for name in FILTERS} | (CANDIDATES if all_filters else {})
    chosen: list[Steady] = []
    for name, settings in filters.items():
        steady = [stabilise_clip(clip, settings, level) for clip in clips]
        yield Row("stabilise (no wait)", name, measure(steady, level, (1, 1)))
        if name == mode:
            chosen = steady
    for each in sorted({0.3, 0.4, 0.5, 0.6, 0.7, threshold}):
        yield Row(f"threshold ({mode}, no wait)", f"{each:g}", measure(chosen, threshold_level(each), (1, 1)))
        name = f"threshold ({mode}, {wait[0]}/{wait[1]})"
        yield Row(name, f"{each:g}", measure(chosen, threshold_level(each), wait, MIN_CONFIDENCE))
    for needed, window in (*WAITS, wait) if wait not in WAITS else WAITS:
        name = f"min-frames ({mode}, confidence {MIN_CONFIDENCE:g})"
        yield Row(name, f"{needed}/{window}", measure(chosen, level, (needed, window), MIN_CONFIDENCE))
    for each in CONFIDENCES:
        name = f"min-confidence ({mode}, {wait[0]}/{wait[1]})"
        yield Row(name, f"{each:g}", measure(chosen, level, wait, each))


def lags(clips: Sequence[SeenClip]) -> dict[str, dict[str, float]]:
    """How well true masks of some frames ago fit, by age in milliseconds: left where they were, and moved."""
    return {
        f"{1000 * lag / FPS:.0f}": {
            "left": carried_over(clips, lag, None),
            "moved": carried_over(clips, lag, GlobalMotion()),
        }
        for lag in LAGS
    }


def main(
    data: Annotated[list[Path] | None, typer.Option(help="Data folder; again for each further one.")] = None,
    split: Annotated[Path | None, typer.Option(help="List of images, one name a line: only these.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Stills of each folder at most.")] = None,
    engine: Annotated[str, typer.Option(help="As for rt-seg stream.")] = "auto",
    threshold: Annotated[float | None, typer.Option(min=0.0, max=1.0, help="By default the model's own.")] = None,
    stabilise: Annotated[str, typer.Option(help="off, light or strong: for the tables of threshold and wait.")] = (
        "light"
    ),
    min_frames: Annotated[str, typer.Option(help="K/N for the threshold table.")] = "2/3",
    candidates: Annotated[bool, typer.Option("--candidates", help="Compare other filters, too.")] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")] = False,
) -> None:
    """Film stills with masks, segment the clips, and measure."""
    notes = Console(stderr=True, highlight=False)
    cv2.setNumThreads(1)
    try:
        if stabilise not in FILTERS:
            raise InputError(f"stabilise {stabilise!r} is not off, light or strong")
        wait = _parse_wait(min_frames)
        stills = read_stills(data or [], split, limit)
        with load_engine(engine) as model:
            chosen = model.spec.threshold if threshold is None else threshold
            clips = film(model, stills, notes)
            title = f"{model.spec.name}, {model.info.precision}, threshold {chosen:g}"
    except RtSegError as exc:
        notes.print(str(exc), markup=False, soft_wrap=True)
        raise typer.Exit(exc.exit_code) from exc
    rows = list(compare(clips, chosen, wait, stabilise, all_filters=candidates))
    moved = lags(clips)
    if json_output:
        sys.stdout.write(json.dumps(_as_dict(title, clips, rows, moved), allow_nan=False) + "\n")
    else:
        _print(title, clips, rows, moved)


def _parse_wait(text: str) -> tuple[int, int]:
    needed, _, window = text.partition("/")
    if not (needed.isdigit() and window.isdigit() and 1 <= int(needed) <= int(window)):
        raise InputError(f"min-frames {text!r} is not K/N with 1 <= K <= N, such as 3/5")
    return int(needed), int(window)


def _as_dict(
    title: str, clips: Sequence[SeenClip], rows: Sequence[Row], moved: dict[str, dict[str, float]]
) -> dict[str, Any]:
    return {
        "model": title,
        "simulated": True,
        "clips": len(clips),
        "frames": sum(len(clip.pts_seconds) for clip in clips),
        "rows": [{"table": row.table, "setting": row.setting, **asdict(row.outcome)} for row in rows],
        "moved_masks_iou": moved,
    }


def _print(title: str, clips: Sequence[SeenClip], rows: Sequence[Row], moved: dict[str, dict[str, float]]) -> None:
    console = Console(file=sys.stdout, highlight=False, width=max(Console().width, 150))
    frames, minutes = sum(len(clip.pts_seconds) for clip in clips), rows[0].outcome.minutes
    console.print(f"{title}: {len(clips)} simulated clips, {frames} frames, {minutes:.1f} minutes at {FPS} a second")
    for name in dict.fromkeys(row.table for row in rows):
        table = _table(name, _COLUMNS)
        for row in rows:
            if row.table == name:
                table.add_row(row.setting, *_cells(row.outcome))
        console.print()
        console.print(table)
    table = _table("true masks of an earlier frame on a later one, mean IoU", ("left where it was", "moved"))
    for age, fits in moved.items():
        table.add_row(f"{age} ms old", f"{fits['left']:.3f}", f"{fits['moved']:.3f}")
    console.print()
    console.print(table)


def _table(title: str, columns: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="dim")
    table.add_column("", no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _cells(outcome: Outcome) -> list[str]:
    def share(value: float | None) -> str:
        return "-" if value is None else f"{100 * value:.1f} %"

    first, again = outcome.first_detection_ms, outcome.sightings_a_polyp
    return [
        f"{outcome.mdice:.3f}",
        f"{outcome.steadiness:.3f} ({outcome.true_steadiness:.3f})",
        f"{outcome.switches_a_minute:.1f}",
        share(outcome.sensitivity),
        share(outcome.specificity),
        f"{outcome.found} of {outcome.polyps}",
        "-" if first is None else f"{first:.0f}",
        f"{outcome.false_activations_a_minute:.1f}",
        share(outcome.brief_false_share),
        "-" if again is None else f"{again:.2f}",
    ]


if __name__ == "__main__":
    typer.run(main)
