"""`rt-seg stream` on every kind of video: each picture once, at its time, in its proportions, with the sound.

What comes out is read by PyAV alone, without any code of rt-seg.
"""

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt
import pytest
from typer.testing import CliRunner

from rt_seg.cli import app

pytestmark = pytest.mark.slow  # most of them run a whole process or stream

UInt8Array = npt.NDArray[np.uint8]
WriteClip = Callable[..., Path]
NumberedPicture = Callable[[int, int, int], UInt8Array]
ReadNumber = Callable[[UInt8Array], int]

FRAMES = 20
VARIABLE = [0, 10, 35, 40, 400, 405, 1000, 1001, 1500, 3000, 3007, 3040, 3080, 3120, 3130, 3200, 3300, 3301, 3302, 3400]
INTERLACED = {"flags": "+ildct+ilme"}


def _turned(stream: av.VideoStream) -> None:
    """Shown turned by a quarter, clockwise."""
    one = 1 << 16
    stream.set_display_matrix([0, one, 0, -one, 0, 0, 0, 0, 1 << 30])


def _shaped(aspect: Fraction) -> Callable[[av.VideoStream], None]:
    """Pixels that are not square."""

    def setup(stream: av.VideoStream) -> None:
        stream.codec_context.sample_aspect_ratio = aspect

    return setup


def _turned_and_shaped(stream: av.VideoStream) -> None:
    _turned(stream)
    _shaped(Fraction(64, 45))(stream)


# name of the file -> how it is written
KINDS: dict[str, dict[str, Any]] = {
    "plain.mp4": {"options": {"bf": "3", "g": "12"}},
    "ntsc.mp4": {"rate": Fraction(30_000, 1001)},
    "ntsc.mkv": {"rate": Fraction(30_000, 1001)},
    "variable.mkv": {"pts": VARIABLE, "time_base": Fraction(1, 1000)},
    "late.ts": {"pts": range(900_000, 972_000, 3600), "time_base": Fraction(1, 90_000)},
    "odd.mp4": {"width": 65, "height": 49, "pix_fmt": "yuv444p"},
    "reordered.avi": {"options": {"bf": "3"}},
    "odd_jpeg.avi": {"width": 71, "height": 53, "codec": "mjpeg", "pix_fmt": "yuvj420p"},
    "grey.mkv": {"codec": "ffv1", "pix_fmt": "gray", "width": 67, "height": 51},
    "ten_bit.mp4": {"codec": "libx265", "pix_fmt": "yuv420p10le", "options": {"x265-params": "log-level=none"}},
    "interlaced.ts": {"codec": "mpeg2video", "options": INTERLACED, "height": 64},
    "interlaced.mp4": {"options": INTERLACED, "height": 64},
    "turned.mp4": {"setup": _turned},
    "mpeg_1.mpg": {"codec": "mpeg1video", "options": {"bf": "2", "g": "9"}},
    "shaped.mp4": {"setup": _shaped(Fraction(16, 15))},
    "shaped.mpg": {"codec": "mpeg2video", "setup": _shaped(Fraction(4, 3))},
    "shaped.mov": {"setup": _shaped(Fraction(64, 45)), "codec": "prores_ks", "pix_fmt": "yuv422p10le"},
    "turned_and_shaped.mp4": {"setup": _turned_and_shaped},
}
PROPORTIONS = {
    "shaped.mp4": Fraction(16, 15),
    "shaped.mpg": Fraction(4, 3),
    "shaped.mov": Fraction(64, 45),
    "turned_and_shaped.mp4": Fraction(45, 64),
}
# file and codec -> codec in the recording; those that MP4 has an entry for are copied
SOUNDS = {
    "aac.mp4": ("aac", "aac"),
    "mp3.mkv": ("libmp3lame", "mp3"),
    "opus.mkv": ("libopus", "opus"),
    "pcm.avi": ("pcm_s16le", "aac"),
    "vorbis.mkv": ("vorbis", "aac"),
}


@dataclass(frozen=True)
class Streamed:
    """What a run wrote and said."""

    recording: Path
    masks: list[UInt8Array]
    results: list[dict[str, Any]]
    summary: dict[str, Any]


@pytest.fixture
def stream(tiny_model_path: Path, tmp_path: Path) -> Callable[..., Streamed]:
    """Runs the command on a file, to every kind of output."""

    def run(source: Path) -> Streamed:
        output, results, masks = tmp_path / "out.mp4", tmp_path / "out.jsonl", tmp_path / "masks"
        arguments = ["stream", source, "--engine", tiny_model_path, "--roi", "full", "--json"]
        arguments += ["--stabilise", "off", "--min-frames", "1/1"]  # each picture's mask is its own
        arguments += ["-o", output, "--results", results, "--masks", masks]
        ended = CliRunner().invoke(app, list(map(str, arguments)))
        assert ended.exit_code == 0, ended.stderr
        read = [cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in sorted(masks.iterdir())]
        pictures = [np.asarray(picture, np.uint8) for picture in read]
        lines = [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()]
        return Streamed(output, pictures, lines[1:], json.loads(ended.stdout))

    return run


def packet_times(path: Path, kind: str = "video") -> list[Fraction]:
    """When each packet of a file is shown or heard, in order; 0 is the container's start, MP4 has a 0 of its own."""
    with av.open(str(path)) as container:
        start = Fraction(0 if "mp4" in container.format.name else container.start_time or 0, av.time_base)
        (stream,) = (item for item in container.streams if item.type == kind)
        base = stream.time_base or Fraction(1)
        ticks = sorted(packet.pts for packet in container.demux(stream) if packet.size and packet.pts is not None)
        return [(tick - round(start / base)) * base for tick in ticks]


def pictures_of(path: Path) -> list[UInt8Array]:
    """All pictures of a file as BGR, without rotation."""
    with av.open(str(path)) as container:
        return [np.asarray(frame.to_ndarray(format="bgr24"), np.uint8) for frame in container.decode(video=0)]


def upright_pictures(name: str, numbered_picture: NumberedPicture) -> tuple[int, int, list[UInt8Array] | None]:
    """Width and height of the upright picture, and the pictures to write where they are coded lying."""
    kind = KINDS[name]
    width, height = kind.get("width", 64), kind.get("height", 48)
    if not name.startswith("turned"):
        return width, height, None
    lying = [np.ascontiguousarray(np.rot90(numbered_picture(number, height, width))) for number in range(FRAMES)]
    return height, width, lying


@pytest.mark.parametrize("name", KINDS)
def test_each_picture_is_recorded_once_at_its_time(
    name: str,
    stream: Callable[..., Streamed],
    write_clip: WriteClip,
    numbered_picture: NumberedPicture,
    read_number: ReadNumber,
    tmp_path: Path,
) -> None:
    """Frames in are frames out; recording, results and masks agree with the packets of the source one by one."""
    width, height, pictures = upright_pictures(name, numbered_picture)
    source = write_clip(tmp_path / name, frames=FRAMES, **{"pictures": pictures, **KINDS[name]})
    done = stream(source)
    assert (done.summary["frames_in"], done.summary["frames_out"], done.summary["dropped"]) == (FRAMES, FRAMES, {})
    assert packet_times(done.recording) == packet_times(source)
    assert [record["pts_seconds"] for record in done.results] == [float(time) for time in packet_times(source)]

    recorded = pictures_of(done.recording)
    assert [read_number(picture) for picture in recorded] == list(range(FRAMES))
    assert {picture.shape for picture in recorded} == {(height + height % 2, width + width % 2, 3)}
    # the model's probability is the red channel: its mask shows the number as well
    assert [read_number(mask) for mask in done.masks] == list(range(FRAMES))
    assert {mask.shape for mask in done.masks} == {(height, width)}
    check_that_every_player_shows_it(done.recording, PROPORTIONS.get(name, Fraction(1)))


def check_that_every_player_shows_it(path: Path, proportions: Fraction) -> None:
    """8-bit 4:2:0 H.264, progressive and upright, tagged with matrix and range, in the right proportions."""
    with av.open(str(path)) as container:
        (video,) = container.streams
        assert isinstance(video, av.VideoStream)
        frame = next(container.decode(video))
        assert (video.codec_context.name, video.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (frame.interlaced_frame, frame.rotation) == (False, 0)
        assert (frame.colorspace, frame.color_range) == (6, 1)
        # by the container, and by the bitstream, for players that believe the one or the other
        assert (video.sample_aspect_ratio or 1) == proportions
        assert (video.codec_context.sample_aspect_ratio or 1) == proportions


@pytest.mark.parametrize(("source", "recorded"), [((9, 14), (9, 14)), ((5, 6), (5, 6)), ((2, 2), (1, 1))])
def test_what_the_colours_mean_is_said_again(
    source: tuple[int, int],
    recorded: tuple[int, int],
    stream: Callable[..., Streamed],
    write_clip: WriteClip,
    tmp_path: Path,
) -> None:
    """Primaries and transfer (BT.2020 of a 4K tower, BT.470 of a PAL one) are kept; BT.709 where none are named."""

    def setup(video: av.VideoStream) -> None:
        video.codec_context.color_primaries, video.codec_context.color_trc = source

    done = stream(write_clip(tmp_path / "tagged.mp4", frames=2, setup=setup))
    with av.open(str(done.recording)) as container:
        context = container.streams.video[0].codec_context
        assert (context.color_primaries, context.color_trc) == recorded


@pytest.mark.parametrize("name", [name for name in KINDS if name.startswith("interlaced")])
def test_the_interlaced_kinds_are_interlaced(name: str, write_clip: WriteClip, tmp_path: Path) -> None:
    """What stands for interlaced video above is coded in fields."""
    with av.open(str(write_clip(tmp_path / name, frames=FRAMES, **KINDS[name]))) as container:
        assert next(container.decode(video=0)).interlaced_frame


@pytest.mark.parametrize("name", SOUNDS)
def test_the_sound_comes_along(
    name: str, stream: Callable[..., Streamed], write_clip: WriteClip, tmp_path: Path
) -> None:
    """As it is where MP4 allows it, else as AAC; it decodes, and lasts as long as the picture."""
    codec, expected = SOUNDS[name]
    source = write_clip(tmp_path / name, frames=FRAMES, audio=codec)
    done = stream(source)
    assert done.summary["notes"] == []
    assert packet_times(done.recording) == packet_times(source)
    before, after = sound_of(source), sound_of(done.recording)
    assert after.codec == expected
    if before.codec == expected:
        assert after.packets == before.packets[: len(after.packets)]
        assert len(before.packets) - len(after.packets) <= 2  # those that begin after the last picture
    assert after.seconds == pytest.approx(FRAMES / 25, abs=0.05)
    times = packet_times(done.recording, "audio")
    assert all(earlier < later for earlier, later in itertools.pairwise(times))


@dataclass(frozen=True)
class Sound:
    """The sound of a file, read back."""

    codec: str
    packets: list[bytes]
    seconds: float


def sound_of(path: Path) -> Sound:
    """Codec, packets, and how long it is heard."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        packets = [packet for packet in container.demux(stream) if packet.size]
        samples = sum(frame.samples for packet in packets for frame in packet.decode())
        codec = stream.codec_context.codec.canonical_name
        return Sound(codec, [bytes(packet) for packet in packets], samples / stream.codec_context.sample_rate)


def test_a_resolution_that_changes_midway_is_letterboxed(
    stream: Callable[..., Streamed], write_clip: WriteClip, read_number: ReadNumber, tmp_path: Path
) -> None:
    """The recording keeps its first size, the larger pictures stand whole in it between bars; masks keep theirs."""
    plain: dict[str, Any] = {"frames": 10, "options": {"bf": "0"}}
    small = write_clip(tmp_path / "small.ts", **plain)
    large = write_clip(tmp_path / "large.ts", **plain, first=10, pts=range(10, 20), width=160, height=96)
    source = tmp_path / "joined.ts"
    source.write_bytes(small.read_bytes() + large.read_bytes())
    done = stream(source)
    assert done.summary["frames_in"] == done.summary["frames_out"] == 20
    assert packet_times(done.recording) == [Fraction(number, 25) for number in range(20)]
    recorded = pictures_of(done.recording)
    assert {picture.shape for picture in recorded} == {(48, 64, 3)}
    assert [read_number(picture) for picture in recorded[:10]] == list(range(10))
    assert [read_number(picture[5:43]) for picture in recorded[10:]] == list(range(10, 20))  # 64x38 of the 64x48
    assert max(picture[[0, 1, 2, -3, -2, -1]].max() for picture in recorded[10:]) < 24
    assert [read_number(mask) for mask in done.masks] == list(range(20))
    assert [mask.shape for mask in done.masks] == [(48, 64)] * 10 + [(96, 160)] * 10
