"""``--start``, ``--duration`` and ``--limit`` of a video file."""

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from rt_seg.errors import InputError, SourceError
from rt_seg.realtime.sources.container import open_container, pick_video
from rt_seg.realtime.sources.open import open_source
from rt_seg.realtime.sources.packets import VideoPackets, from_last_key

UInt8Array = npt.NDArray[np.uint8]
WriteClip = Callable[..., Path]
ReadNumber = Callable[[UInt8Array], int]
OpenFiles = Callable[[], set[str]]

KINDS: dict[str, dict[str, Any]] = {
    "long_gop.mp4": {"options": {"g": "250", "bf": "3"}},
    "short_gop.mp4": {"options": {"g": "10", "bf": "2"}},
    "clip.mkv": {"options": {"g": "25"}},
    "no_cues.mkv": {"container_options": {"live": "1"}, "options": {"g": "25"}},
    "clip.ts": {"options": {"g": "25", "bf": "2"}},
    "rare_keys.ts": {"options": {"g": "250"}},
    "mpeg2.mpg": {"codec": "mpeg2video", "options": {"g": "12", "bf": "2"}},
    "mpeg4.avi": {"codec": "mpeg4", "options": {"g": "50"}},
    "bare.h264": {"options": {"bf": "0", "g": "25"}},  # cannot be sought in
}


@pytest.mark.parametrize("start", [0.04, 0.41, 1.0, 2.36])
@pytest.mark.parametrize("name", KINDS)
def test_delivery_begins_at_the_start(
    name: str, start: float, write_clip: WriteClip, read_number: ReadNumber, tmp_path: Path
) -> None:
    """The first frame is the first at or after the start, indices count from 0, time goes on counting from 0 s."""
    path = write_clip(tmp_path / name, frames=75, **KINDS[name])
    source = open_source(str(path), start=start)
    frames = list(source)
    source.close()
    first = int(np.ceil(start * 25 - 1e-6))
    assert [read_number(frame.image) for frame in frames] == list(range(first, 75))
    assert [frame.index for frame in frames] == list(range(75 - first))
    assert [frame.pts_seconds for frame in frames] == pytest.approx([n / 25 for n in range(first, 75)], abs=1e-9)
    assert source.info.start_seconds == start


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ({"limit": 7}, range(7)),
        ({"limit": 1}, range(1)),
        ({"duration": 0.4}, range(10)),
        ({"duration": 0.41}, range(11)),
        ({"start": 0.2, "duration": 0.2}, range(5, 10)),
        ({"start": 0.2, "duration": 0.2, "limit": 3}, range(5, 8)),
        ({"start": 1.0, "duration": 9.0}, range(25, 30)),
        ({"limit": 99}, range(30)),
    ],
)
def test_duration_and_limit_end_delivery(
    selection: dict[str, Any], expected: range, write_clip: WriteClip, read_number: ReadNumber, tmp_path: Path
) -> None:
    """The frames selected come, and the progress bar's count is theirs."""
    path = write_clip(tmp_path / "clip.mp4", frames=30)
    source = open_source(str(path), **selection)
    frames = list(source)
    source.close()
    assert [read_number(frame.image) for frame in frames] == list(expected)
    assert source.info.frame_count == len(expected)


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        ({"start": 60.0}, "start is 60 s, but it ends at 1.20 s; choose an earlier start"),
        ({"start": 1.2}, "start is 1.2 s, but it ends at 1.20 s; choose an earlier start"),
        ({"start": 0.5, "duration": 0.01}, "no frame is shown from 0.5 s to 0.51 s; choose a longer duration"),
    ],
)
def test_an_empty_selection_is_refused(
    selection: dict[str, Any], message: str, write_clip: WriteClip, open_files: OpenFiles, tmp_path: Path
) -> None:
    """A part that holds no frame is refused in one line, and the file is closed."""
    path = write_clip(tmp_path / "clip.mp4", frames=30)
    before = open_files()
    with pytest.raises(SourceError) as caught:
        open_source(str(path), **selection)
    assert str(caught.value).endswith(message)
    assert open_files() == before


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        ({"start": -1.0}, "start is -1 s; it must be finite and 0 or more"),
        ({"start": float("nan")}, "start is nan s; it must be finite and 0 or more"),
        ({"start": float("inf")}, "start is inf s; it must be finite and 0 or more"),
        ({"duration": 0.0}, "duration is 0 s; it must be finite and above 0"),
        ({"duration": -3.0}, "duration is -3 s; it must be finite and above 0"),
        ({"duration": float("nan")}, "duration is nan s; it must be finite and above 0"),
        ({"limit": 0}, "limit is 0 frames; it must be at least 1"),
    ],
)
def test_a_selection_that_can_never_be_is_no_fault_of_the_source(selection: dict[str, Any], message: str) -> None:
    """It is what was given, exit code 2, that is wrong."""
    with pytest.raises(InputError) as caught:
        open_source("demo", **selection)
    assert str(caught.value) == message
    assert caught.value.exit_code == 2


def test_closing_midway_releases_the_file(write_clip: WriteClip, open_files: OpenFiles, tmp_path: Path) -> None:
    """A source left midway closes its file, ends its iteration, and may be closed again."""
    path = write_clip(tmp_path / "clip.mp4", frames=30)
    before = open_files()
    source = open_source(str(path))
    frames = iter(source)
    kept = [next(frames) for _ in range(3)]
    source.close()
    source.close()
    assert open_files() == before
    assert list(source) == []
    assert kept[0].image.shape == (48, 64, 3)


def test_iterating_again_goes_on(write_clip: WriteClip, read_number: ReadNumber, tmp_path: Path) -> None:
    """Each frame comes once, also over two iterations."""
    path = write_clip(tmp_path / "clip.mp4", frames=6)
    source = open_source(str(path))
    numbers = [read_number(frame.image) for frame, _ in zip(source, range(2), strict=False)]
    numbers += [read_number(frame.image) for frame in source]
    source.close()
    assert sorted(numbers) == numbers
    assert numbers[-1] == 5


def test_frames_stay_as_they_were(write_clip: WriteClip, read_number: ReadNumber, tmp_path: Path) -> None:
    """A frame's memory is its own: later frames do not write to it."""
    path = write_clip(tmp_path / "clip.mp4", frames=40)
    source = open_source(str(path))
    frames = list(source)
    source.close()
    assert [read_number(frame.image) for frame in frames] == list(range(40))


def test_pictures_do_not_wait_for_the_garbage_collector(write_clip: WriteClip, tmp_path: Path) -> None:
    """A frame that nobody holds is freed at once: memory stays flat, whatever the collector does."""
    path = write_clip(tmp_path / "clip.mp4", frames=200)
    source = open_source(str(path))
    frames = iter(source)
    next(frames)
    gc.collect()
    gc.disable()
    try:
        count = sum(1 for _ in frames)
        garbage = gc.collect()
    finally:
        gc.enable()
    source.close()
    assert count == 199
    assert garbage < 50


@pytest.mark.parametrize("name", ["clip.ts", "mpeg2.mpg"])
def test_what_lies_before_the_last_key_frame_is_not_decoded(name: str, write_clip: WriteClip, tmp_path: Path) -> None:
    """Without an index the packets are read from the beginning, but only the needed ones are decoded."""
    path = write_clip(tmp_path / name, frames=75, **KINDS[name])
    with open_container(path) as container:
        stream = pick_video(container, name)
        wanted = (stream.start_time or 0) + round(1.2 / (stream.time_base or 1))
        packets = list(from_last_key(iter(VideoPackets(container, stream, path)), wanted))
    keys = [packet.pts for packet in packets if packet.is_keyframe and packet.pts is not None]
    assert packets[0].is_keyframe
    assert keys[0] <= wanted < keys[1]
