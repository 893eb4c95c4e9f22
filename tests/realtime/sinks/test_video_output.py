"""Where the recording goes, what survives a kill or a full disk, and what is refused."""

import os
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from rt_seg.errors import OutputError
from rt_seg.realtime.sinks.results import ResultsSink
from rt_seg.realtime.sinks.video import VideoSink
from rt_seg.realtime.sources.source import SourceInfo

# Records noise, 30 frames a second of about 40 kB each, and says after each frame that it was taken.
RECORDER = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from rt_seg.engines.geometry import Box, Geometry
from rt_seg.realtime.frame import Frame, Rendered, Segmentation
from rt_seg.realtime.sinks.files import TruncatedError
from rt_seg.realtime.sinks.video import VideoSink
from rt_seg.realtime.sources.source import SourceInfo

path, frames, limit = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
if limit:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
noise = np.random.default_rng(0).integers(0, 255, (240, 320, 3), np.uint8)
geometry = Geometry(320, 240, Box.of_size(320, 240), 8, 8)
sink = VideoSink(path, SourceInfo("x", "camera", True, 320, 240, 30.0))
try:
    for index in range(frames):
        frame = Frame(index, index / 30, 0, np.roll(noise, 3 * index, 1))
        segmentation = Segmentation(frame, np.zeros((8, 8), np.uint8), geometry, 128, (), {})
        sink.write(Rendered(frame, frame.image, segmentation, {}, 0))
        print(index, flush=True)
    sink.close()
except TruncatedError as error:
    print(f"cut off: {error.pictures}")
    print(f"refused: {error}")
    sink.close()
"""


def _recorder(path: Path, frames: int, limit: int = 0) -> "subprocess.Popen[str]":
    arguments = [sys.executable, "-c", RECORDER, str(path), str(frames), str(limit)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)


def _info(path: Path | None = None) -> SourceInfo:
    return SourceInfo("x", "video", live=False, width=64, height=48, fps=30.0, path=path)


def test_a_kill_loses_about_a_second(tmp_path: Path, probe: Any) -> None:
    """SIGKILL midway: the file plays, and all but the last second or so is there."""
    path = tmp_path / "out.mp4"
    with _recorder(path, 100_000) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) == 100:
                break
        process.kill()
        taken = 100 + len(process.stdout.read().split())
    times = probe.video_times(path)
    assert times == [Fraction(index, 30) for index in range(len(times))]
    assert len(times) >= taken - 35


@pytest.mark.parametrize("limit", [2_000_000, 5_250_000], ids=["midway", "at the end"])
def test_a_full_disk_keeps_what_was_whole(limit: int, tmp_path: Path, probe: Any) -> None:
    """Where the file can grow no more there is one line, and what was written plays; what was cut off is counted."""
    path = tmp_path / "out.mp4"
    with _recorder(path, 150, limit) as process:
        assert process.stdout is not None
        lines = process.stdout.read().splitlines()
    assert process.returncode == 0
    assert lines[-1].startswith(f"refused: {path}: it reached the largest size allowed for a file")
    times = probe.video_times(path)
    assert times == [Fraction(index, 30) for index in range(len(times))]
    taken = len(lines) - 2
    assert len(times) >= taken - 65
    assert lines[-2] == f"cut off: {taken - len(times)}"
    assert path.stat().st_size <= limit


def test_a_disk_full_from_the_start_leaves_nothing(tmp_path: Path) -> None:
    """A recording of which not one fragment could be written is taken away again."""
    path = tmp_path / "out.mp4"
    with _recorder(path, 60, 20_000) as process:
        assert process.stdout is not None
        *taken, cut, refused = process.stdout.read().splitlines()
    assert "refused" in refused
    assert cut == f"cut off: {len(taken)}"
    assert not path.exists()


def test_nothing_is_written_before_the_first_frame(tmp_path: Path, make_rendered: Callable[..., Any]) -> None:
    """An older file stays as it is until the first frame replaces it; closing without one leaves it."""
    path = tmp_path / "out.mp4"
    path.write_bytes(b"older")
    VideoSink(path, _info()).close()
    assert path.read_bytes() == b"older"
    sink = VideoSink(path, _info())
    sink.write(make_rendered(0, 0.0, np.zeros((48, 64, 3), np.uint8)))
    sink.close()
    assert path.read_bytes() != b"older"


def test_a_run_without_frames_leaves_no_file(tmp_path: Path) -> None:
    """A source that fails before its first frame leaves no empty file."""
    VideoSink(tmp_path / "out.mp4", _info()).close()
    assert list(tmp_path.iterdir()) == []


def test_a_picture_that_cannot_be_encoded_leaves_no_file(tmp_path: Path, make_rendered: Callable[..., Any]) -> None:
    """H.264 ends at 16384 pixels: one line says so, and an older file is untouched."""
    path = tmp_path / "out.mp4"
    path.write_bytes(b"older")
    sink = VideoSink(path, _info())
    with pytest.raises(OutputError, match=r"encoding 20000x2 as H\.264 failed"):
        sink.write(make_rendered(0, 0.0, np.zeros((2, 20_000, 3), np.uint8)))
    sink.close()
    assert path.read_bytes() == b"older"


def test_writing_after_close_is_refused(tmp_path: Path, make_rendered: Callable[..., Any]) -> None:
    """A closed recording says so; closing again does nothing."""
    sink = VideoSink(tmp_path / "out.mp4", _info())
    sink.write(make_rendered(0, 0.0, np.zeros((48, 64, 3), np.uint8)))
    sink.close()
    sink.close()
    with pytest.raises(OutputError, match="closed"):
        sink.write(make_rendered(1, 1.0, np.zeros((48, 64, 3), np.uint8)))


def test_the_finished_file_is_an_ordinary_mp4(tmp_path: Path, make_rendered: Callable[..., Any]) -> None:
    """After the end there is one index for all, so that players seek and show the length."""
    sink = VideoSink(tmp_path / "out.mp4", _info())
    for index in range(90):
        sink.write(make_rendered(index, index / 30, np.zeros((48, 64, 3), np.uint8)))
    sink.close()
    boxes, data = [], sink.path.read_bytes()
    position = 0
    while position < len(data):
        size, kind = int.from_bytes(data[position : position + 4]), data[position + 4 : position + 8]
        boxes.append(kind)
        position += int.from_bytes(data[position + 8 : position + 16]) if size == 1 else size
    assert boxes[0] == b"ftyp"
    assert b"moof" not in boxes
    assert boxes[-1] == b"moov"
    with av.open(str(sink.path)) as container:
        assert container.streams.video[0].frames == 90


REFUSED = {
    "missing folder": ("nowhere/out.mp4", "does not exist"),
    "folder": ("folder.mp4", "is a folder"),
    "suffix": ("out.avi", r"ends in \.mp4"),
    "no suffix": ("out", r"ends in \.mp4"),
    "not a file": ("pipe.mp4", "not a regular file"),
    "parent is a file": ("file.txt/out.mp4", "does not exist"),
    "link to nowhere": ("dangling.mp4", "does not exist"),
}


@pytest.mark.parametrize(("name", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_bad_outputs_are_refused_at_once(name: str, reason: str, tmp_path: Path) -> None:
    """One line says what is wrong before anything is done."""
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "file.txt").write_text("text")
    (tmp_path / "dangling.mp4").symlink_to(tmp_path / "nowhere" / "out.mp4")
    os.mkfifo(tmp_path / "pipe.mp4")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(OutputError, match=reason) as caught:
        VideoSink(tmp_path / name, _info())
    assert "\n" not in str(caught.value)
    assert name in str(caught.value)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("how", ["same", "symlink", "hard link", "dots"])
def test_the_input_is_never_overwritten(how: str, tmp_path: Path) -> None:
    """By whatever name, the source file is recognised."""
    source = tmp_path / "in.mp4"
    source.write_bytes(b"video")
    output = tmp_path / "out.mp4"
    if how == "symlink":
        output.symlink_to(source)
    elif how == "hard link":
        output.hardlink_to(source)
    elif how == "dots":
        (tmp_path / "sub").mkdir()
        output = tmp_path / "sub" / ".." / "in.mp4"
    else:
        output = source
    with pytest.raises(OutputError, match="is the input itself"):
        VideoSink(output, _info(source))
    assert source.read_bytes() == b"video"


def test_a_folder_without_permission_is_refused(tmp_path: Path) -> None:
    """A user who may not write there is told so (tried as another user where this one may do anything)."""
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o555)
    program = (
        "import os, sys; from pathlib import Path\n"
        "from rt_seg.realtime.sinks.files import check_output_file\n"
        "os.geteuid() == 0 and os.setuid(65534)\n"
        "check_output_file(Path(sys.argv[1]), '.mp4')"
    )
    for parent in [tmp_path, *tmp_path.parents][:3]:
        parent.chmod(parent.stat().st_mode | 0o555)
    arguments = [sys.executable, "-c", program, str(folder / "out.mp4")]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert "no permission to write" in done.stderr


def test_results_are_refused_the_same_way(tmp_path: Path) -> None:
    """The other files are checked by the same rules."""
    with pytest.raises(OutputError, match=r"ends in \.jsonl"):
        ResultsSink(tmp_path / "results.mp4", {})
