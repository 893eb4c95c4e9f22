"""A video file's frames: each once, in order, at the right time, upright, in its own size."""

from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest

from rt_seg.realtime.frame import Frame
from rt_seg.realtime.sources.open import open_source

UInt8Array = npt.NDArray[np.uint8]
WriteClip = Callable[..., Path]
NumberedPicture = Callable[[int, int, int], UInt8Array]
ReadNumber = Callable[[UInt8Array], int]

QUIET = {"x265-params": "log-level=none"}
# name of the file -> how it is written; the sizes are odd where the codec allows it
KINDS: dict[str, dict[str, Any]] = {
    "b_frames.mp4": {"options": {"bf": "3", "g": "12"}},
    "odd.mp4": {"width": 65, "height": 49, "pix_fmt": "yuv444p"},
    "odd_jpeg.avi": {"width": 71, "height": 53, "codec": "mjpeg", "pix_fmt": "yuvj420p"},
    "mpeg2.mpg": {"codec": "mpeg2video", "options": {"bf": "2", "g": "9"}},
    "mpeg2_odd.mkv": {"codec": "mpeg2video", "width": 75, "height": 51},
    "mpeg4.avi": {"codec": "mpeg4", "width": 80},
    "ten_bit.mp4": {"codec": "libx265", "pix_fmt": "yuv420p10le", "options": QUIET},
    "grey.mkv": {"codec": "ffv1", "pix_fmt": "gray", "width": 67, "height": 51},
    "grey_ten_bit.mkv": {"codec": "ffv1", "pix_fmt": "gray10le"},
    "rgb.mkv": {"codec": "ffv1", "pix_fmt": "bgr0"},
    "four_two_two.mov": {"codec": "prores_ks", "pix_fmt": "yuv422p10le"},
    "interlaced.ts": {"codec": "mpeg2video", "options": {"flags": "+ildct+ilme"}, "height": 64},
    "vp9.webm": {"codec": "libvpx-vp9", "options": {"deadline": "realtime", "cpu-used": "8"}},
    "sound.mp4": {"audio": True},
    "fragmented.mp4": {"container_options": {"movflags": "frag_keyframe+empty_moov"}, "options": {"g": "5"}},
    "stream.ts": {"options": {"bf": "2"}},
    "bare.h264": {"options": {"bf": "0"}},
}


def frames_of(path: Path, **selection: Any) -> list[Frame]:
    """All frames of a file."""
    source = open_source(str(path), **selection)
    try:
        return list(source)
    finally:
        source.close()


@pytest.mark.parametrize("name", KINDS)
def test_each_picture_comes_once_and_in_order(
    name: str, write_clip: WriteClip, read_number: ReadNumber, tmp_path: Path
) -> None:
    """Whatever codec, container, pixel format and size: all numbers in order, own size, BGR uint8, 25 a second."""
    path = write_clip(tmp_path / name, frames=30, **KINDS[name])
    frames = frames_of(path)
    assert [read_number(frame.image) for frame in frames] == list(range(30))
    assert [frame.index for frame in frames] == list(range(30))
    assert [frame.pts_seconds for frame in frames] == pytest.approx([number / 25 for number in range(30)], abs=1e-9)
    size = KINDS[name].get("height", 48), KINDS[name].get("width", 64), 3
    assert {frame.image.shape for frame in frames} == {size}
    assert {frame.image.dtype for frame in frames} == {np.dtype(np.uint8)}


def test_what_is_known_before_the_first_frame(write_clip: WriteClip, tmp_path: Path) -> None:
    """The description holds size, rate, count, unit of time and file."""
    path = write_clip(tmp_path / "clip.mp4", frames=30, rate=Fraction(30_000, 1001))
    source = open_source(str(path))
    source.close()
    info = source.info
    assert (info.name, info.kind, info.live, info.path) == (str(path), "video", False, path)
    assert (info.width, info.height, info.frame_count, info.start_seconds) == (64, 48, 30, 0.0)
    assert info.fps == pytest.approx(29.97, abs=1e-3)
    assert info.time_base == Fraction(1, 30_000)


def test_arrival_is_stamped_when_the_picture_is_delivered(write_clip: WriteClip, tmp_path: Path) -> None:
    """Arrival times increase from frame to frame, the one decoded while opening included."""
    frames = frames_of(write_clip(tmp_path / "clip.mp4"))
    assert all(earlier.captured_ns < later.captured_ns for earlier, later in pairwise(frames))


@pytest.mark.parametrize("rate", [Fraction(30_000, 1001), Fraction(24_000, 1001), Fraction(50)])
def test_fractional_rates_do_not_drift(rate: Fraction, write_clip: WriteClip, tmp_path: Path) -> None:
    """Stream times of 29.97 and the like are exact multiples of the unit of time, not of a rounded rate."""
    path = write_clip(tmp_path / "clip.mp4", frames=60, rate=rate)
    times = [frame.pts_seconds for frame in frames_of(path)]
    assert times == [float(number / rate) for number in range(60)]


def test_variable_rate_keeps_its_timestamps(write_clip: WriteClip, tmp_path: Path) -> None:
    """Each frame of a variable-rate video comes at its own time."""
    pts = [0, 10, 35, 40, 400, 405, 1000, 1001, 1500, 3000]
    path = write_clip(tmp_path / "vfr.mkv", frames=10, pts=pts, time_base=Fraction(1, 1000))
    assert [frame.pts_seconds for frame in frames_of(path)] == [tick / 1000 for tick in pts]


@pytest.mark.parametrize("selection", [{}, {"start": 0.75}], ids=["whole", "part"])
@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
@pytest.mark.parametrize("suffix", ["avi", "asf"])
def test_containers_without_presentation_times_keep_the_pace(
    suffix: str, codec: str, selection: dict[str, float], write_clip: WriteClip, read_number: ReadNumber, tmp_path: Path
) -> None:
    """AVI says when a picture is decoded, not when it is shown: reordered pictures come in order, one a tick."""
    path = write_clip(tmp_path / f"clip.{suffix}", frames=30, codec=codec, options={"bf": "2", "g": "10"})
    frames = frames_of(path, **selection)
    numbers = [read_number(frame.image) for frame in frames]
    assert numbers == list(range(30 - len(frames), 30))
    assert len(frames) == 30 or selection
    # FFmpeg adds the frame by which decoding is ahead
    ahead = frames[0].pts_seconds - numbers[0] / 25
    assert ahead == pytest.approx(0, abs=0.041)
    assert [frame.pts_seconds - ahead for frame in frames] == pytest.approx([n / 25 for n in numbers], abs=2e-3)


@pytest.mark.parametrize("name", ["late.ts", "late.mkv"])
def test_time_counts_from_the_containers_start(name: str, write_clip: WriteClip, tmp_path: Path) -> None:
    """A first timestamp of ten seconds is stream time 0."""
    pts = [10_000 + 40 * number for number in range(8)]
    path = write_clip(tmp_path / name, frames=8, pts=pts, time_base=Fraction(1, 1000))
    times = [frame.pts_seconds for frame in frames_of(path)]
    assert times == pytest.approx([0.04 * number for number in range(8)], abs=1e-9)


def test_a_video_that_begins_after_its_sound_keeps_the_gap(write_clip: WriteClip, tmp_path: Path) -> None:
    """Stream time 0 is where the sound begins, if that is earlier."""
    pts = [500 + 40 * number for number in range(8)]
    path = write_clip(tmp_path / "gap.mkv", frames=8, pts=pts, time_base=Fraction(1, 1000), audio=True)
    with av.open(path) as container:
        begin = container.start_time / av.time_base
    assert frames_of(path)[0].pts_seconds == pytest.approx(0.5 - begin, abs=2e-3)


def test_joined_videos_go_on_in_time(write_clip: WriteClip, read_number: ReadNumber, tmp_path: Path) -> None:
    """Where the clock starts anew midway, stream time goes on at the usual pace."""
    parts = [write_clip(tmp_path / f"{first}.ts", frames=60, first=first, options={"bf": "0"}) for first in (0, 60)]
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    frames = frames_of(joined)
    assert [read_number(frame.image) for frame in frames] == list(range(120))
    assert [frame.pts_seconds for frame in frames] == pytest.approx([number / 25 for number in range(120)], abs=1e-9)


def test_a_resolution_that_changes_midway_is_delivered_as_it_is(
    write_clip: WriteClip, read_number: ReadNumber, tmp_path: Path
) -> None:
    """Frames before and after the change have their own sizes, none is lost."""
    small = write_clip(tmp_path / "small.ts", frames=10)
    pts = list(range(10, 20))
    large = write_clip(tmp_path / "large.ts", frames=10, first=10, pts=pts, width=160, height=96)
    joined = tmp_path / "joined.ts"
    joined.write_bytes(small.read_bytes() + large.read_bytes())
    frames = frames_of(joined)
    assert [read_number(frame.image) for frame in frames] == list(range(20))
    assert [frame.image.shape[:2] for frame in frames] == [(48, 64)] * 10 + [(96, 160)] * 10


# the eight display matrices, as (a, b, c, d) of x' = a x + c y, y' = b x + d y
ROTATIONS = [(1, 0, 0, 1), (0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0)]
MIRRORED = [(-1, 0, 0, 1), (1, 0, 0, -1), (0, 1, 1, 0), (0, -1, -1, 0)]


@pytest.mark.parametrize("turn", ROTATIONS + MIRRORED, ids=str)
def test_a_rotated_video_is_delivered_upright(
    turn: tuple[int, int, int, int], write_clip: WriteClip, numbered_picture: NumberedPicture, tmp_path: Path
) -> None:
    """Every pixel lands where the display matrix sends it, and the description gives the upright size."""
    a, b, c, d = turn
    number = 0b000100110101  # no symmetry
    coded = numbered_picture(number, 64, 48)

    def tag(stream: av.VideoStream) -> None:
        one = 1 << 16
        stream.set_display_matrix([a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30])

    path = write_clip(tmp_path / "turned.mp4", frames=1, pictures=[coded], setup=tag, options={"qp": "1"})
    source = open_source(str(path))
    image = next(iter(source)).image
    source.close()
    rows, columns = np.mgrid[:48, :64]
    to_columns, to_rows = a * columns + c * rows, b * columns + d * rows
    expected = np.zeros((64, 48, 3) if a == 0 else (48, 64, 3), np.uint8)
    expected[to_rows - to_rows.min(), to_columns - to_columns.min()] = coded
    assert (source.info.width, source.info.height) == (expected.shape[1], expected.shape[0])
    assert image.shape == expected.shape
    assert np.abs(image.astype(int) - expected).max() < 40
