"""The recording keeps the source's timestamps, frame for frame."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from rt_seg.realtime.sinks.video import VideoSink
from rt_seg.realtime.sources.source import SourceInfo

NTSC = [1001 * index for index in range(75)]
VARIABLE = [0, 33, 67, 100, 500, 501, 533, 900, 1900, 1917, 1933, 4000]

SOURCES: dict[str, tuple[str, list[int], Fraction, dict[str, Any]]] = {
    "29.97": ("clip.mp4", NTSC, Fraction(1, 30000), {"audio": ["aac"]}),
    "variable": ("clip.mkv", VARIABLE, Fraction(1, 1000), {}),
    "variable with sound": ("clip.mkv", VARIABLE, Fraction(1, 1000), {"audio": ["aac"]}),
    "mpeg-ts": ("clip.ts", [3600 * index for index in range(60)], Fraction(1, 90000), {"audio": ["mp2"]}),
    "mpeg-ps": ("clip.mpg", list(range(60)), Fraction(1, 25), {"video": "mpeg2video", "audio": ["mp2"]}),
    "picture later than sound": ("clip.mp4", [tick + 2400 for tick in NTSC], Fraction(1, 30000), {"audio": ["aac"]}),
}


@pytest.mark.parametrize("case", SOURCES.values(), ids=SOURCES.keys())
def test_timestamps_are_the_sources_own(
    case: tuple[str, list[int], Fraction, dict[str, Any]],
    tmp_path: Path,
    make_clip: Callable[..., Path],
    record: Callable[..., Any],
    probe: Any,
) -> None:
    """Every picture of the recording has exactly the time it has in the source, and none is lost."""
    name, ticks, time_base, options = case
    source = make_clip(tmp_path / name, ticks, time_base, **options)
    expected = probe.video_times(source)
    recording = record(source)
    assert recording.notes == ()
    assert len(expected) == len(ticks)
    assert probe.video_times(recording.path) == expected


def test_a_picture_that_begins_after_the_sound_keeps_its_distance(
    tmp_path: Path, make_clip: Callable[..., Path], record: Callable[..., Any], probe: Any
) -> None:
    """The first picture is not moved to 0 while the sound begins there."""
    ticks = [9000 + 1001 * index for index in range(40)]
    recording = record(make_clip(tmp_path / "clip.mp4", ticks, Fraction(1, 30000), audio=["aac"]))
    assert probe.video_times(recording.path)[0] == Fraction(9000, 30000)


def test_with_a_start_the_recording_begins_at_zero(
    tmp_path: Path, make_clip: Callable[..., Path], record: Callable[..., Any], probe: Any
) -> None:
    """Times count from the first picture delivered, the intervals stay."""
    source = make_clip(tmp_path / "clip.mp4", NTSC, Fraction(1, 30000))
    times = [time for time in probe.video_times(source) if time >= 1]
    recording = record(source, start=1.0)
    assert probe.video_times(recording.path) == [time - times[0] for time in times]


def test_the_last_picture_lasts_as_long_as_the_one_before(
    tmp_path: Path, make_clip: Callable[..., Path], record: Callable[..., Any]
) -> None:
    """At a constant rate the recording is as long as the source."""
    recording = record(make_clip(tmp_path / "clip.mp4", NTSC, Fraction(1, 30000)))
    with av.open(str(recording.path)) as container:
        stream = container.streams.video[0]
        assert stream.duration is not None
        assert stream.time_base is not None
        assert stream.duration * stream.time_base == Fraction(75 * 1001, 30000)


def test_at_a_variable_rate_the_last_picture_lasts_as_long_as_the_one_before(
    tmp_path: Path, make_clip: Callable[..., Path], record: Callable[..., Any]
) -> None:
    """The best guess where nothing follows that would end it."""
    recording = record(make_clip(tmp_path / "clip.mkv", VARIABLE, Fraction(1, 1000)))
    with av.open(str(recording.path)) as container:
        stream = container.streams.video[0]
        assert stream.duration is not None
        assert stream.time_base is not None
        assert stream.duration * stream.time_base == Fraction(2 * VARIABLE[-1] - VARIABLE[-2], 1000)


def test_a_keyframe_each_second_and_nothing_reordered(
    tmp_path: Path, make_clip: Callable[..., Path], record: Callable[..., Any]
) -> None:
    """Keyframes come by time, also where the rate varies, and decoding order is presentation order."""
    ticks = [*range(0, 2000, 40), *range(2000, 5000, 500)]
    recording = record(make_clip(tmp_path / "clip.mkv", ticks, Fraction(1, 1000)))
    with av.open(str(recording.path)) as container:
        stream = container.streams.video[0]
        packets = [packet for packet in container.demux(stream) if packet.size]
        assert [packet.pts for packet in packets] == [packet.dts for packet in packets]
        base = stream.time_base or Fraction(1)
        keys = [packet.pts * base for packet in packets if packet.is_keyframe and packet.pts is not None]
    assert keys == [0, 1, 2, 3, 4]


def test_equal_timestamps_become_one_tick_apart(tmp_path: Path, make_rendered: Callable[..., Any], probe: Any) -> None:
    """A source may repeat a timestamp; no picture is dropped for it."""
    info = SourceInfo("x", "images", live=False, width=64, height=48, fps=30.0, time_base=Fraction(1, 1000))
    sink = VideoSink(tmp_path / "out.mp4", info)
    image = np.zeros((48, 64, 3), np.uint8)
    for index, seconds in enumerate([0.0, 0.5, 0.5, 0.5, 1.0]):
        sink.write(make_rendered(index, seconds, image))
    sink.close()
    assert probe.video_times(sink.path) == [Fraction(n, 1000) for n in (0, 500, 501, 502, 1000)]


def test_a_live_recording_begins_at_its_first_picture(
    tmp_path: Path, make_rendered: Callable[..., Any], camera: SourceInfo, probe: Any
) -> None:
    """A stream that was joined late does not begin with a pause."""
    sink = VideoSink(tmp_path / "out.mp4", camera)
    for index in range(3):
        sink.write(make_rendered(index, 100 + index / 30, np.zeros((48, 64, 3), np.uint8)))
    sink.close()
    assert probe.video_times(sink.path) == [0, Fraction(1, 30), Fraction(2, 30)]


def test_one_single_picture_makes_a_video(
    tmp_path: Path, make_rendered: Callable[..., Any], camera: SourceInfo, probe: Any
) -> None:
    """A recording of one picture is valid and lasts one frame of the nominal rate."""
    sink = VideoSink(tmp_path / "out.mp4", camera)
    sink.write(make_rendered(0, 0.0, np.zeros((48, 64, 3), np.uint8)))
    sink.close()
    assert probe.video_times(sink.path) == [0]
    with av.open(str(sink.path)) as container:
        assert container.duration == pytest.approx(1e6 / 30, abs=1000)
