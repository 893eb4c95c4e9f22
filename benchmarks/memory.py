"""Whether memory stays flat over a long video: the resident size of `rt-seg stream` while a looped clip runs through.

Run as ``python -m rt_seg.benchmarks.memory``.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from .clips import loop_clip, make_clip


def resident_mib(pid: int) -> float | None:
    """Resident set size of a process in MiB (VmRSS of /proc), or None once it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return None
    sizes = [int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS")]
    return sizes[0] if sizes else None


def sample_memory(process: "subprocess.Popen[str]", seconds: float) -> list[float]:
    """Resident size of a process every so many seconds until it ends, in MiB."""
    sizes: list[float] = []
    while process.poll() is None:
        size = resident_mib(process.pid)
        if size is not None:
            sizes.append(size)
        time.sleep(seconds)
    return sizes


def main(
    frames: Annotated[int, typer.Option(min=1000, help="Frames to run through.")] = 20_000,
    size: Annotated[str, typer.Option(help="WIDTHxHEIGHT of the clip.")] = "1920x1080",
) -> None:
    """Run a looped clip with overlay and results written; compare memory in its second tenth with the last one."""
    width, height = (int(part) for part in size.split("x"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip = loop_clip(make_clip(folder / "clip.mp4", width, height, 300), folder / "long.mp4", frames)
        command = [sys.executable, "-m", "rt_seg", "stream", str(clip), "--json", "--no-show"]
        command += ["--output", str(folder / "out.mp4"), "--results", str(folder / "out.jsonl")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
            sizes = sample_memory(process, 0.5)
            summary = json.loads(process.stdout.read() if process.stdout else "{}")
    tenth = len(sizes) // 10
    # medians: at any moment a handful of frames of 6 MB more or fewer are in flight
    early, late = statistics.median(sizes[tenth : 2 * tenth]), statistics.median(sizes[-tenth - 1 : -1])
    Console().print(
        f"{summary['frames_out']} frames of {size} at {summary['fps']} fps: {early:.0f} MiB in the second "
        f"tenth, {late:.0f} MiB in the last, {100 * (late / early - 1):+.1f} %; peak {max(sizes):.0f} MiB"
    )


if __name__ == "__main__":
    typer.run(main)
