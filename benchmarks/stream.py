"""How fast `rt-seg stream` is on a file: against the plain loop, and against what the cores allow.

Both sides run in turn, each in a fresh process, on the same 1080p clip made from the demo; the ratio of each pair is
taken, then the median. The limit is cores / (processor seconds a frame): what a pipeline would reach that keeps every
core busy with nothing but this work.

Run as ``python -m rt_seg.benchmarks.stream``.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from .clips import make_clip


def run_rt_seg(clip: Path, output: Path | None) -> dict[str, Any]:
    """Run `rt-seg stream` in a process of its own and return its closing summary."""
    command = [sys.executable, "-m", "rt_seg", "stream", str(clip), "--json", "--no-show"]
    command += [] if output is None else ["--output", str(output)]
    summary: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return summary


def run_plain_loop(clip: Path, output: Path | None, model: str) -> dict[str, float]:
    """Run the plain loop in a process of its own."""
    command = [sys.executable, "-m", "rt_seg.benchmarks.plain_loop", str(clip), str(output or "-"), model]
    figures: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return figures


def limit_fps(summary: dict[str, Any], cores: int) -> float:
    """Frames a second if every core did nothing but this work: cores / processor seconds a frame."""
    return float(cores * summary["frames_out"] / summary["cpu_seconds"])


def measure(clip: Path, folder: Path, rounds: int, *, record: bool) -> dict[str, list[float]]:
    """Run both sides in turn.

    Returns:
        One value a round: ``ours`` and ``plain`` in frames a second, ``ratio``, ``share`` of the limit, and the p50 of
        preprocess and overlay together in milliseconds (``pixels``).
    """
    rows: dict[str, list[float]] = {"ours": [], "plain": [], "ratio": [], "share": [], "pixels": []}
    cores = len(os.sched_getaffinity(0))
    for _ in range(rounds):
        ours = run_rt_seg(clip, folder / "ours.mp4" if record else None)
        plain = run_plain_loop(clip, folder / "plain.mp4" if record else None, ours["engine"]["model"])
        fps, plain_fps = ours["frames_out"] / ours["elapsed_seconds"], plain["frames"] / plain["seconds"]
        rows["ours"].append(fps)
        rows["plain"].append(plain_fps)
        rows["ratio"].append(fps / plain_fps)
        rows["share"].append(fps / limit_fps(ours, cores))
        rows["pixels"].append(ours["stages_ms"]["preprocess"]["p50"] + ours["stages_ms"]["overlay"]["p50"])
    return rows


def main(
    rounds: Annotated[int, typer.Option(min=1, help="Pairs of runs.")] = 5,
    frames: Annotated[int, typer.Option(min=50, help="Frames of the clip.")] = 600,
    size: Annotated[str, typer.Option(help="WIDTHxHEIGHT of the clip.")] = "1920x1080",
) -> None:
    """Measure `rt-seg stream` against the plain loop and the limit, with and without a recording."""
    width, height = (int(part) for part in size.split("x"))
    console = Console()
    table = Table(title=f"{size}, {frames} frames, median (min-max) of {rounds} rounds", title_justify="left", box=None)
    for heading in ("", "rt-seg fps", "plain loop fps", "ratio", "share of the limit", "preprocess + overlay, ms"):
        table.add_column(heading, justify="left" if not heading else "right")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip = make_clip(folder / "clip.mp4", width, height, frames)
        for title, record in (("with a recording", True), ("without", False)):
            rows = measure(clip, folder, rounds, record=record)
            table.add_row(title, *(_cell(values) for values in rows.values()))
    console.print(table)


def _cell(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f}-{max(values):.2f})"


if __name__ == "__main__":
    typer.run(main)
