"""The sound of the source file in the recording."""

import itertools
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from rt_seg.realtime.sinks.video import VideoSink
from rt_seg.realtime.sources.video import VideoSource

pytestmark = pytest.mark.slow  # most of them run a whole process or stream

TICKS = [1001 * index for index in range(90)]
BASE = Fraction(1, 30000)

COPIED = {
    "aac": ("clip.mp4", "aac"),
    "aac in matroska": ("clip.mkv", "aac"),
    "aac in mpeg-ts": ("clip.ts", "aac"),
    "mp3": ("clip.mkv", "libmp3lame"),
    "mp2": ("clip.ts", "mp2"),
    "mp2 in mpeg-ps": ("clip.mpg", "mp2"),
    "ac3": ("clip.mkv", "ac3"),
    "opus": ("clip.mkv", "libopus"),
    "flac": ("clip.mkv", "flac"),
}
ENCODED = {"pcm in avi": ("clip.avi", "pcm_s16le"), "adpcm": ("clip.avi", "adpcm_ms")}


@pytest.mark.parametrize(("name", "codec"), COPIED.values(), ids=COPIED.keys())
def test_sound_that_mp4_allows_is_copied(
    name: str, codec: str, tmp_path: Path, make_clip: Callable[..., Path], record: Callable[..., Any], probe: Any
) -> None:
    """Its packets are those of the source, byte for byte, at their times to within a tick of either file."""
    ticks, base, video = (range(75), Fraction(1, 25), "mpeg2video") if name == "clip.mpg" else (TICKS, BASE, "libx264")
    recording = record(make_clip(tmp_path / name, ticks, base, audio=[codec], video=video))
    assert recording.notes == ()
    before, after = probe.audio_packets(recording.source), probe.audio_packets(recording.path)
    assert len(after) >= len(before) - 2  # what begins after the last picture is left out
    strip = 7 if name == "clip.ts" and codec == "aac" else 0  # MPEG-TS puts a header before each AAC packet
    assert [data for _, data in after] == [data[strip:] for _, data in before[: len(after)]]
    times = zip(before, after, strict=False)
    assert max(abs(old - new) for (old, _), (new, _) in times) <= Fraction(1, 1000)


@pytest.mark.parametrize(("name", "codec"), ENCODED.values(), ids=ENCODED.keys())
def test_other_sound_becomes_aac(
    name: str, codec: str, tmp_path: Path, make_clip: Callable[..., Path], record: Callable[..., Any], probe: Any
) -> None:
    """A codec that MP4 players do not know is encoded; the tone is the same, at the same time."""
    recording = record(make_clip(tmp_path / name, TICKS, BASE, audio=[codec]))
    assert recording.notes == ()
    assert probe.streams(recording.path) == [("video", "h264"), ("audio", "aac")]
    before, after = _samples(recording.source), _samples(recording.path)
    assert abs(len(after) - len(before)) < 3000
    assert abs(_delay(before, after)) <= 1


@pytest.mark.parametrize(("name", "codec"), [("clip.mp4", "aac"), ("clip.avi", "pcm_s16le")], ids=["copy", "encode"])
def test_sound_of_the_part_that_was_delivered(
    name: str, codec: str, tmp_path: Path, make_clip: Callable[..., Path], record: Callable[..., Any]
) -> None:
    """With a start and a limit only that part is heard, in step with the picture."""
    source = make_clip(tmp_path / name, TICKS, BASE, audio=[codec])
    recording = record(source, start=1.0, limit=45)
    before, after = _samples(source), _samples(recording.path)
    begin = round(recording.delivered[0] * 48000)
    assert abs(len(after) - 45 * 1001 / 30000 * 48000) < 1200
    assert abs(_delay(before[begin:], after)) <= 1


def test_sound_longer_than_the_picture_is_cut(
    tmp_path: Path, make_clip: Callable[..., Path], record: Callable[..., Any], probe: Any
) -> None:
    """The recording ends with its last picture, to within one packet of sound."""
    recording = record(make_clip(tmp_path / "clip.mp4", TICKS, BASE, audio=["aac"], audio_seconds=6.0))
    assert probe.audio_packets(recording.path)[-1][0] < Fraction(90 * 1001, 30000)


def test_sound_that_ends_early_does_not_hold_up_the_picture(
    tmp_path: Path, make_clip: Callable[..., Path], record: Callable[..., Any], probe: Any
) -> None:
    """All pictures are there although the sound is over after half a second."""
    recording = record(make_clip(tmp_path / "clip.mp4", TICKS, BASE, audio=["aac"], audio_seconds=0.5))
    assert len(probe.video_times(recording.path)) == 90
    assert recording.notes == ()


@pytest.mark.parametrize("codec", ["aac", "ac3", "pcm_s16le"])
def test_sound_that_begins_late_keeps_its_time(
    codec: str, tmp_path: Path, make_clip: Callable[..., Path], record: Callable[..., Any], probe: Any
) -> None:
    """It is heard when it should be, after silence: MP4's header waits for the first sound."""
    source = make_clip(tmp_path / "clip.mov", TICKS, BASE, audio=[codec], audio_from=0.8)
    recording = record(source)
    assert recording.notes == ()
    assert probe.audio_packets(recording.path)[0][0] <= 0
    assert abs(_delay(_samples(source), _samples(recording.path))) <= 1
    assert probe.video_times(recording.path) == probe.video_times(source)


@pytest.mark.parametrize("sound", [{"audio_from": 2.5}, {"audio_seconds": 0.5}], ids=["begins late", "ends early"])
def test_missing_sound_does_not_hold_back_what_a_kill_should_spare(
    sound: dict[str, float],
    tmp_path: Path,
    make_clip: Callable[..., Path],
    make_rendered: Callable[..., Any],
    probe: Any,
) -> None:
    """Before it is closed, and while no sound comes, the file plays up to the last whole second."""
    source = VideoSource(make_clip(tmp_path / "clip.mkv", TICKS, BASE, audio=["aac"], **sound))
    sink = VideoSink(tmp_path / "out.mp4", source.info)
    for frame in itertools.islice(source, 75):
        sink.write(make_rendered(frame.index, frame.pts_seconds, frame.image))
    assert len(probe.video_times(sink.path)) >= 60
    sink.close()
    source.close()


def test_a_clock_in_milliseconds_does_not_make_the_sound_uneven(
    tmp_path: Path, make_clip: Callable[..., Path], record: Callable[..., Any], probe: Any
) -> None:
    """Matroska rounds each timestamp; in the recording a packet follows the other exactly."""
    recording = record(make_clip(tmp_path / "clip.mkv", TICKS, BASE, audio=["aac"]))
    times = [time for time, _ in probe.audio_packets(recording.path)]
    assert {after - before for before, after in itertools.pairwise(times)} == {Fraction(1024, 48000)}


@pytest.mark.parametrize("codec", ["aac", "pcm_s16le"])
def test_a_pause_in_the_sound_keeps_its_length(
    codec: str, tmp_path: Path, make_clip: Callable[..., Path], record: Callable[..., Any]
) -> None:
    """What comes after a gap in the source comes at its time."""
    source = make_clip(tmp_path / "clip.mov", TICKS, BASE, audio=[codec], audio_pause=(0.5, 0.8))
    recording = record(source)
    assert recording.notes == ()
    assert abs(_delay(_samples(source), _samples(recording.path))) <= 1


def test_sound_goes_on_where_joined_videos_set_the_clock_anew(
    tmp_path: Path, make_clip: Callable[..., Path], record: Callable[..., Any], probe: Any
) -> None:
    """Two MPEG-TS files one after the other: the sound lasts as long as the picture."""
    half = make_clip(tmp_path / "half.ts", TICKS, BASE, audio=["mp2"])
    source = tmp_path / "clip.ts"
    source.write_bytes(half.read_bytes() * 2)
    recording = record(source)
    assert recording.notes == ()
    assert probe.audio_packets(recording.path)[-1][0] > 5.5


def test_no_sound_no_stream(
    tmp_path: Path, make_clip: Callable[..., Path], record: Callable[..., Any], probe: Any
) -> None:
    """A silent source makes a recording with a picture alone, and nothing to report."""
    recording = record(make_clip(tmp_path / "clip.mp4", TICKS[:10], BASE))
    assert probe.streams(recording.path) == [("video", "h264")]
    assert recording.notes == ()


def test_several_sounds_give_one(
    tmp_path: Path, make_clip: Callable[..., Path], record: Callable[..., Any], probe: Any
) -> None:
    """Of several audio streams one is kept."""
    recording = record(make_clip(tmp_path / "clip.mkv", TICKS[:40], BASE, audio=["aac", "libmp3lame"]))
    assert [kind for kind, _ in probe.streams(recording.path)] == ["video", "audio"]


@pytest.mark.parametrize("codec", ["aac", "pcm_s16le"])
def test_broken_sound_never_fails_the_recording(
    codec: str, tmp_path: Path, make_clip: Callable[..., Path], record: Callable[..., Any], probe: Any
) -> None:
    """With every byte of sound overwritten the picture is whole; what cannot be decoded is left out."""
    source = make_clip(tmp_path / "clip.mkv", TICKS, BASE, audio=[codec])
    data = source.read_bytes()
    for _, packet in probe.audio_packets(source):
        data = data.replace(packet, b"\xff" * len(packet))
    source.write_bytes(data)
    recording = record(source)
    assert probe.video_times(recording.path) == probe.video_times(source)


def test_scraps_of_sound_are_left_out(
    tmp_path: Path, make_clip: Callable[..., Path], record: Callable[..., Any], probe: Any
) -> None:
    """A packet shorter than a header, as at the end of many an MPEG-PS file, would be an error in the recording."""
    whole = make_clip(tmp_path / "whole.mkv", TICKS, BASE, audio=["mp2"], audio_seconds=2.0)
    source = tmp_path / "scrap.mkv"
    with av.open(str(whole)) as old, av.open(str(source), "w") as new:
        streams = {stream.index: new.add_stream_from_template(stream) for stream in old.streams}
        for packet in old.demux():
            if packet.size:
                packet.stream = streams[packet.stream.index]
                new.mux(packet)
        scrap = av.Packet(b"\0")
        scrap.pts = scrap.dts = 2500
        scrap.time_base, scrap.stream = Fraction(1, 1000), streams[1]
        new.mux(scrap)
    assert len(probe.audio_packets(source)[-1][1]) == 1
    recording = record(source)
    assert [data for _, data in probe.audio_packets(recording.path)] == [data for _, data in probe.audio_packets(whole)]
    assert len(_samples(recording.path)) > 90_000


def test_undecodable_sound_is_reported(
    tmp_path: Path, make_clip: Callable[..., Path], record: Callable[..., Any], probe: Any
) -> None:
    """Where nothing can be decoded there is no empty stream, and a note says why."""
    source = make_clip(tmp_path / "clip.asf", TICKS, BASE, audio=["wmav2"])
    data = source.read_bytes()
    for _, packet in probe.audio_packets(source):
        data = data.replace(packet, b"\xff" * len(packet))
    source.write_bytes(data)
    recording = record(source)
    assert probe.streams(recording.path) == [("video", "h264")]
    assert len(recording.notes) == 1
    assert "sound" in recording.notes[0]


def _samples(path: Path) -> Any:
    """The sound as floats, each sample where its timestamp says, from time 0 of the container on."""
    line = np.zeros(10 * 48000, np.float32)
    end = 0
    with av.open(str(path)) as container:
        # MP4 has a time 0 of its own, whether something begins there or not
        start = Fraction(0 if "mp4" in container.format.name else container.start_time or 0, av.time_base)
        for frame in container.decode(audio=0):
            values = frame.to_ndarray().reshape(-1)
            if values.dtype == np.int16:
                values = values / np.float32(32768)
            begin = round((Fraction(frame.pts or 0) * (frame.time_base or 1) - start) * 48000)
            line[begin : begin + len(values)] = values
            end = max(end, begin + len(values))
    return line[:end]


def _delay(before: Any, after: Any) -> int:
    """By how many samples the second is later than the first, measured on one second within them."""
    reach = 2000
    part = after[12000:60000]
    window = before[12000 - reach : 60000 + reach]
    products = np.correlate(window, part, mode="valid")
    assert products.max() > 0.95 * np.sqrt((part**2).sum() * (before[12000:60000] ** 2).sum())
    return reach - int(products.argmax())
