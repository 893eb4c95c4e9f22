"""Damaged and cut videos: what can be decoded is delivered, then one line says where it breaks off."""

import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest

from rt_seg.errors import SourceError, SourceInterrupted
from rt_seg.realtime.frame import Frame
from rt_seg.realtime.sources.open import open_source

UInt8Array = npt.NDArray[np.uint8]
WriteClip = Callable[..., Path]
ReadNumber = Callable[[UInt8Array], int]
OpenFiles = Callable[[], set[str]]

FRAMES = 50
CUT: dict[str, dict[str, Any]] = {
    "index_first.mp4": {"container_options": {"movflags": "faststart"}},
    "fragmented.mp4": {"container_options": {"movflags": "frag_keyframe+empty_moov"}, "options": {"g": "10"}},
    "clip.mkv": {},
    "sound.mkv": {"audio": True},
    "clip.avi": {"codec": "mpeg4"},
    "jpeg.avi": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
    "clip.flv": {},
}


def read_to_the_break(path: Path, **selection: Any) -> tuple[list[Frame], str]:
    """The frames until `SourceInterrupted`, and its message."""
    source = open_source(str(path), **selection)
    frames: list[Frame] = []
    try:
        with pytest.raises(SourceInterrupted) as caught:
            frames.extend(source)
    finally:
        source.close()
    return frames, str(caught.value)


def shorten(path: Path, share: float) -> None:
    """Keep the first part of a file."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])


@pytest.mark.parametrize("share", [0.6, 0.85])
@pytest.mark.parametrize("name", CUT)
def test_a_cut_file_keeps_what_was_decoded(
    name: str, share: float, write_clip: WriteClip, read_number: ReadNumber, open_files: OpenFiles, tmp_path: Path
) -> None:
    """All whole frames come in order, then the message names file, time and frame; the file is closed.

    Only among the last few may one be missing: it would have been shown before the one that it was built from.
    """
    path = write_clip(tmp_path / name, frames=FRAMES, width=320, height=240, **CUT[name])
    shorten(path, share)
    before = open_files()
    frames, message = read_to_the_break(path)
    assert open_files() == before
    count = len(frames)
    assert 0 < count < FRAMES
    numbers = [read_number(frame.image) for frame in frames]
    assert [frame.pts_seconds for frame in frames] == pytest.approx([number / 25 for number in numbers], abs=1e-3)
    assert numbers == sorted(set(numbers))
    assert numbers[: count - 4] == list(range(count - 4))
    at = f"{(numbers[-1] + 1) / 25:.2f} s (frame {count})"
    where = f"{path}: breaks off at {at}"
    assert message == f"{where}: the file is cut off or damaged there; the frames before it were kept"


def packet_places(path: Path) -> list[tuple[int, int]]:
    """Position in the file and number of the picture of each packet, in the order of the file; 25 pictures a second."""
    with av.open(path) as container:
        stream = container.streams.video[0]
        packets = [packet for packet in container.demux(stream) if packet.pts is not None]
        return [(packet.pos or 0, round((packet.pts or 0) * packet.time_base * 25)) for packet in packets]


@pytest.mark.parametrize("into_the_next", [0, 1, 9])
def test_every_whole_packet_of_a_cut_file_is_decoded(into_the_next: int, write_clip: WriteClip, tmp_path: Path) -> None:
    """FFmpeg reports a file cut exactly after a picture as ended; its index tells. None stays in the decoder."""
    flags = {"movflags": "faststart"}
    path = write_clip(tmp_path / "clip.mp4", frames=FRAMES, options={"bf": "3"}, container_options=flags)
    positions = [position for position, _ in packet_places(path)]
    path.write_bytes(path.read_bytes()[: positions[30] + into_the_next])
    frames, message = read_to_the_break(path)
    assert len(frames) == 30
    assert "(frame 30): the file is cut off or damaged there" in message


def test_pictures_after_a_damaged_one_are_left_out(
    write_clip: WriteClip, read_number: ReadNumber, tmp_path: Path
) -> None:
    """The picture shown after a damaged B-frame is decoded before it, and yet not delivered: no gap is left."""
    options = {"bf": "1", "b_strategy": "0", "sc_threshold": "0", "g": "250"}
    path = write_clip(tmp_path / "clip.mp4", frames=FRAMES, options=options)
    places = packet_places(path)
    at = next(k for k in range(20, FRAMES) if places[k][1] < places[k - 1][1])
    position, number = places[at]
    data = bytearray(path.read_bytes())
    data[position : position + 4] = (0x7FFFFFFF).to_bytes(4)  # the length of a slice, far too long
    path.write_bytes(data)
    frames, message = read_to_the_break(path)
    assert [read_number(frame.image) for frame in frames] == list(range(number))
    assert f"breaks off at {number / 25:.2f} s (frame {number}): the video data is damaged" in message


MARKED: dict[str, dict[str, Any]] = {
    "mpeg1.mpg": {"codec": "mpeg1video"},
    "mpeg2.mpg": {"codec": "mpeg2video", "options": {"g": "12", "bf": "2"}},
    "mpeg2.ts": {"codec": "mpeg2video", "options": {"g": "12", "bf": "2"}},
    "h264.ts": {"options": {"g": "25"}},
    "clip.wmv": {"codec": "wmv2"},
    "clip.avi": {"codec": "mpeg4"},
}


def write_textured(write_clip: WriteClip, path: Path, **kind: Any) -> Path:
    """A clip that moves over a texture, so that no part of a picture is empty."""
    scene = np.random.default_rng(1).integers(0, 255, (300, 400, 3), dtype=np.uint8)
    pictures = [np.ascontiguousarray(scene[n // 3 : n // 3 + 240, n // 2 : n // 2 + 320]) for n in range(FRAMES)]
    return write_clip(path, width=320, height=240, pictures=pictures, **kind)


def damage(path: Path) -> None:
    """Overwrite a part of the 25th picture."""
    position = packet_places(path)[25][0] + 120
    data = bytearray(path.read_bytes())
    data[position : position + 60] = b"\xff" * 60
    path.write_bytes(data)


# not WMV: what the damage does there depends on where it hits
@pytest.mark.parametrize("name", [name for name in MARKED if name != "clip.wmv"])
def test_damaged_pictures_are_kept_and_told_at_the_end(
    name: str, write_clip: WriteClip, open_files: OpenFiles, tmp_path: Path
) -> None:
    """Decoders that conceal damage mark the picture: all frames come, then one line says how many and where."""
    path = write_textured(write_clip, tmp_path / name, **MARKED[name])
    damage(path)
    before = open_files()
    frames, message = read_to_the_break(path)
    assert open_files() == before
    assert len(frames) >= FRAMES - 4
    told = re.search(r"picture.* damaged, .*at (\d+\.\d\d) s \(frame (\d+)\); the rest was kept$", message)
    assert told is not None, message
    assert 0 < int(told[2]) < len(frames)
    assert told[1] == f"{frames[int(told[2])].pts_seconds:.2f}"


@pytest.mark.parametrize("name", MARKED)
def test_a_cut_file_without_a_promise_of_its_length_is_told_by_its_last_picture(
    name: str, write_clip: WriteClip, tmp_path: Path
) -> None:
    """Nothing in these files says how long they are, but half a picture is none."""
    path = write_textured(write_clip, tmp_path / name, **MARKED[name])
    shorten(path, 0.6)
    frames, message = read_to_the_break(path)
    assert 0 < len(frames) < FRAMES
    assert "damaged" in message


@pytest.mark.parametrize("selection", [{"start": 1.2}, {"limit": 10}, {"duration": 0.4}])
def test_damaged_pictures_outside_the_selected_part_are_no_matter(
    selection: dict[str, Any], write_clip: WriteClip, tmp_path: Path
) -> None:
    """Neither those before the first selected picture nor those after the last count."""
    path = write_textured(write_clip, tmp_path / "clip.mpg", codec="mpeg2video", options={"g": "50"})
    damage(path)
    _, message = read_to_the_break(path)
    assert re.search(r"damaged, .*at (0\.9|1\.0)", message)
    source = open_source(str(path), **selection)
    assert len(list(source)) == (20 if "start" in selection else 10)
    source.close()


@pytest.mark.parametrize("name", ["mpeg2.mpg", "mpeg2.ts", "h264.ts"])
def test_a_file_joined_midway_is_not_called_damaged(name: str, write_clip: WriteClip, tmp_path: Path) -> None:
    """Pictures that build on some from before the file's beginning are no damage to it, in an open GOP neither."""
    path = write_textured(write_clip, tmp_path / name, **MARKED[name])
    data, places = path.read_bytes(), packet_places(path)
    path.write_bytes((data[:564] if name.endswith(".ts") else b"") + data[places[5][0] :])
    source = open_source(str(path))
    assert 0 < len(list(source)) < FRAMES
    source.close()


def test_a_recorder_that_cuts_the_last_picture_short_made_a_whole_file(write_clip: WriteClip, tmp_path: Path) -> None:
    """A program stream that ends with its end code is whole, whatever its last picture lacks."""
    path = write_textured(write_clip, tmp_path / "clip.mpg", codec="mpeg1video")
    shorten(path, 0.6)
    with path.open("ab") as file:
        file.write(bytes((0, 0, 1, 0xB9)))
    source = open_source(str(path))
    assert len(list(source)) > FRAMES // 3
    source.close()


def test_a_damaged_beginning_is_refused(write_clip: WriteClip, open_files: OpenFiles, tmp_path: Path) -> None:
    """A broken first key frame is damage, and no reason to begin silently at the next one."""
    path = write_clip(tmp_path / "clip.mp4", frames=FRAMES, options={"g": "10"})
    position = packet_places(path)[0][0]
    data = bytearray(path.read_bytes())
    data[position : position + 4] = (0x7FFFFFFF).to_bytes(4)
    path.write_bytes(data)
    before = open_files()
    with pytest.raises(SourceError, match=r"breaks off at 0\.00 s: the video data is damaged .*; copy it again"):
        open_source(str(path))
    assert open_files() == before
    source = open_source(str(path), start=0.8)  # behind the damage
    assert len(list(source)) == FRAMES - 20
    source.close()


@pytest.mark.parametrize(
    "kind",
    [
        {},
        {"options": {"g": "10"}},
        {"pts": [0, *range(5, 54)]},
        {"audio": True},
        {"container_options": {"movflags": "frag_keyframe+empty_moov"}},
    ],
    ids=["plain", "short_gop", "gap", "sound", "fragmented"],
)
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_whole_file_is_not_called_cut(
    kind: dict[str, Any], suffix: str, write_clip: WriteClip, tmp_path: Path
) -> None:
    """No alarm for whole files: gaps, B-frames, sound that lasts longer."""
    if suffix == "mkv":
        kind = {key: value for key, value in kind.items() if key != "container_options"}
    source = open_source(str(write_clip(tmp_path / f"clip.{suffix}", frames=FRAMES, **kind)))
    count = len(list(source))
    source.close()
    assert count == FRAMES


@pytest.mark.parametrize("selection", [{"limit": 5}, {"duration": 0.2}])
def test_a_break_after_the_selected_part_is_no_matter(
    selection: dict[str, Any], write_clip: WriteClip, tmp_path: Path
) -> None:
    """Who asks for the beginning of a cut file gets it without complaint."""
    path = write_clip(tmp_path / "clip.mp4", frames=FRAMES, container_options={"movflags": "faststart"})
    shorten(path, 0.8)
    source = open_source(str(path), **selection)
    assert len(list(source)) == 5
    source.close()


def test_a_start_behind_the_break_is_refused(write_clip: WriteClip, open_files: OpenFiles, tmp_path: Path) -> None:
    """The line says where the file breaks off."""
    path = write_clip(tmp_path / "clip.mp4", frames=FRAMES, container_options={"movflags": "faststart"})
    shorten(path, 0.8)
    before = open_files()
    with pytest.raises(SourceError, match=r"breaks off at \d\.\d\d s: .*; choose an earlier start$"):
        open_source(str(path), start=1.9)
    assert open_files() == before


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv"])
def test_damage_midway_keeps_the_frames_before_it(
    name: str, write_clip: WriteClip, open_files: OpenFiles, tmp_path: Path
) -> None:
    """Delivery stops where the decoder fails, rather than with wrong frames; the line says when."""
    noise = np.random.default_rng(7).integers(0, 255, (FRAMES, 96, 128, 3), dtype=np.uint8)
    path = write_clip(tmp_path / name, width=128, height=96, pictures=list(noise), options={"bf": "2", "g": "250"})
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + len(data) // 20] = random.Random(1).randbytes(len(data) // 20)  # noqa: S311  # no secret
    path.write_bytes(data)
    before = open_files()
    frames, message = read_to_the_break(path)
    assert open_files() == before
    count = len(frames)
    assert FRAMES // 3 < count < FRAMES * 2 // 3
    assert f"breaks off at {count / 25:.2f} s (frame {count}): the " in message
    assert "damaged" in message
    assert message.endswith("the frames before it were kept")


@pytest.mark.parametrize("key_frame", [20, 160])
def test_a_cut_out_of_a_broadcast_begins_at_its_first_key_frame(
    key_frame: int, write_clip: WriteClip, read_number: ReadNumber, tmp_path: Path
) -> None:
    """Packets before the first key frame are not damage, even if that is far off."""
    frames = key_frame + 40
    options = {"g": str(key_frame), "bf": "0", "sc_threshold": "0"}
    path = write_clip(tmp_path / "clip.ts", frames=frames, options=options)
    data = path.read_bytes()
    path.write_bytes(data[:564] + data[packet_places(path)[5][0] :])  # the stream's tables, then from picture 5 on
    source = open_source(str(path))
    numbers = [read_number(frame.image) for frame in source]
    source.close()
    assert numbers == list(range(key_frame, frames))


def test_an_mp4_without_its_index_is_refused(write_clip: WriteClip, open_files: OpenFiles, tmp_path: Path) -> None:
    """Cut before the end, a plain MP4 has no index: the line says so."""
    path = write_clip(tmp_path / "clip.mp4", frames=FRAMES)
    before = open_files()
    for share in (0.9, 0.5):
        shorten(path, share)
        with pytest.raises(SourceError, match=r"its index \(the moov box\) is missing.*copy it again") as caught:
            open_source(str(path))
        assert not isinstance(caught.value, SourceInterrupted)
        assert not re.search(r"\n", str(caught.value))
    assert open_files() == before


def test_an_mp4_cut_within_its_index_gives_what_is_found_and_says_so(
    write_clip: WriteClip, read_number: ReadNumber, open_files: OpenFiles, tmp_path: Path
) -> None:
    """Wherever the cut is: either all frames, then that the file is cut off, or a line that says it has no index."""
    path = write_clip(tmp_path / "clip.mp4", frames=FRAMES)
    whole, before = path.read_bytes(), open_files()
    index = len(whole) - whole.rindex(b"moov")
    found: list[int] = []
    refusals: list[str] = []
    for missing in (1, 60, *range(100, index, 40)):
        path.write_bytes(whole[:-missing])
        try:
            frames, message = read_to_the_break(path)
        except SourceError as exc:
            refusals.append(str(exc))
        else:
            assert [read_number(frame.image) for frame in frames] == list(range(FRAMES))
            assert "the file is cut off or damaged there" in message
            found.append(missing)
    assert {1, 60} <= set(found)
    assert refusals
    assert all(re.search(r"its index .* is missing|breaks off at 0\.00 s", refusal) for refusal in refusals)
    assert open_files() == before


@pytest.mark.parametrize("bytes_of_fragment", [3, 12, 60, 150])
def test_a_recording_cut_within_a_fragments_index_plays_up_to_it(
    bytes_of_fragment: int, write_clip: WriteClip, read_number: ReadNumber, tmp_path: Path
) -> None:
    """A recording that was killed while it wrote the index of a fragment plays to the fragment before."""
    flags = {"movflags": "frag_keyframe+empty_moov"}
    options = {"g": "10", "bf": "0", "sc_threshold": "0"}
    path = write_clip(tmp_path / "clip.mp4", frames=FRAMES, options=options, container_options=flags)
    data = path.read_bytes()
    fragments = [match.start() - 4 for match in re.finditer(b"moof", data)]
    path.write_bytes(data[: fragments[3] + bytes_of_fragment])
    frames, message = read_to_the_break(path)
    assert [read_number(frame.image) for frame in frames] == list(range(30))
    assert "breaks off at 1.20 s (frame 30)" in message
