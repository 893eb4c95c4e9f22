"""How late the picture is, and how old its mask: `rt-seg stream --live` on a 1080p clip at 30 frames a second.

The clip is made from the packaged demo, is decoded in the same process, and plays at its own pace; a frame counts as
captured when it is due and complete in memory. Video delay runs from there to the hand-over to a sink, which stands for
window, recording or view; annotation delay from the capture of the frame that the shown mask was computed on to the
same hand-over. When all is over, the pixels outside the marker of some pictures are compared with the input.

The figures are of the software path on this machine: no capture card, no encoder of a view, no monitor. What regulators
cleared for one device (FDA De Novo DEN200055) is printed beside them for reference only.

Run as ``python -m rt_seg.benchmarks.live``; with ``--slower 4`` each inference is computed four times.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.table import Table

from rt_seg.engines.load import load_engine
from rt_seg.realtime.stream import StreamSettings, run_stream
from rt_seg.realtime.summary import Summary

from .clips import FPS, loop_clip, make_clip
from .live_parts import HandOver, Quiet, SlowedEngine, cells

_COMPARED = 12  # pictures whose pixels are compared; each is held until the end
_REFERENCE = {"video delay": "5.75", "annotation delay": "120"}  # milliseconds, DEN200055


def measure(
    clip: Path, frames: int, display: Literal["aligned", "passthrough"], slower: int
) -> tuple[Summary, HandOver]:
    """Play a clip of so many frames live and measure at the hand-over."""
    hand_over = HandOver(max(frames // _COMPARED, 1))
    settings = StreamSettings(str(clip), live=True, display=display, hud=False, show=False)
    summary = run_stream(settings, Quiet(), load=lambda: SlowedEngine(load_engine(), slower), sinks=[hand_over])
    return summary, hand_over


def figures(summary: Summary, hand_over: HandOver) -> dict[str, Any]:
    """What was measured, as JSON values."""
    headings = ("p50", "p90", "p99", "max")
    return {
        "frames_in": summary.frames_in,
        "frames_out": summary.frames_out,
        "video_delay_ms": dict(zip(headings, cells(hand_over.video_ms), strict=True)),
        "annotation_delay_ms": dict(zip(headings, cells(hand_over.annotation_ms), strict=True)),
        "current_mask_share": summary.frames_with_mask / max(summary.frames_out, 1),
        "dropped": dict(summary.dropped),
        "states": dict(summary.states),
        "pictures_compared": hand_over.compared,
        "pictures_differing_outside_marker": hand_over.differing,
        "engine": f"{summary.engine.backend} {summary.engine.precision} on {summary.engine.device}",
    }


def main(
    seconds: Annotated[int, typer.Option(min=2, help="How long the clip plays.")] = 60,
    size: Annotated[str, typer.Option(help="WIDTHxHEIGHT of the clip.")] = "1920x1080",
    display: Annotated[Literal["aligned", "passthrough"], typer.Option(help="See rt-seg stream.")] = "passthrough",
    slower: Annotated[int, typer.Option(min=1, help="Compute each inference so many times.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Measure video delay, annotation delay, current masks, losses and pixels of a live stream."""
    width, height = (int(part) for part in size.split("x"))
    with tempfile.TemporaryDirectory() as name:
        folder, frames = Path(name), seconds * FPS
        clip = make_clip(folder / "clip.mp4", width, height, min(frames, 10 * FPS))
        summary, hand_over = measure(loop_clip(clip, folder / "long.mp4", frames), frames, display, slower)
    if as_json:
        sys.stdout.write(json.dumps(figures(summary, hand_over)) + "\n")
    else:
        _print(summary, hand_over, f"{size} at {FPS} fps, {seconds} s, {display}, inference x{slower}")


def _print(summary: Summary, hand_over: HandOver, title: str) -> None:
    console = Console()
    table = Table(title=title, title_justify="left", box=None)
    table.add_column("ms")
    for heading in ("p50", "p90", "p99", "max", "DEN200055, for reference"):
        table.add_column(heading, justify="right")
    table.add_row("video delay", *cells(hand_over.video_ms), _REFERENCE["video delay"])
    table.add_row("annotation delay", *cells(hand_over.annotation_ms), _REFERENCE["annotation delay"])
    console.print(table)
    found = figures(summary, hand_over)
    console.print(f"engine: {found['engine']}")
    console.print(f"frames in {summary.frames_in}, shown {summary.frames_out}, lost by cause {found['dropped']}")
    console.print(f"shown with a current mask: {100 * found['current_mask_share']:.2f} %; states {found['states']}")
    console.print(
        f"pixels outside the marker: {hand_over.compared} pictures compared with the input, {hand_over.differing} "
        "differ (reference: identical)"
    )
    console.print("software path only: no capture card, no monitor; reference figures are no verdict")


if __name__ == "__main__":
    typer.run(main)
