"""Small real videos with sound, and frames to feed a sink with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
from av.container import InputContainer

from rt_seg.engines.geometry import Box, Geometry
from rt_seg.realtime.frame import Frame, Polyp, Rendered, Segmentation, Span
from rt_seg.realtime.sinks.video import VideoSink
from rt_seg.realtime.sources.selection import Selection
from rt_seg.realtime.sources.source import SourceInfo
from rt_seg.realtime.sources.video import VideoSource

UInt8Array = npt.NDArray[np.uint8]
MakeRendered = Callable[..., Rendered]
MakeClip = Callable[..., Path]
RecordVideo = Callable[..., "Recording"]

AUDIO_RATE = 48000


@pytest.fixture(scope="session")
def camera() -> SourceInfo:
    """A source without a file."""
    return SourceInfo("camera 0", "camera", live=True, width=64, height=48, fps=30.0)


@pytest.fixture(scope="session")
def make_rendered() -> MakeRendered:
    """Makes a `Rendered`: ``make_rendered(index, pts_seconds, image, polyps=(), probability=None)``."""

    def make(
        index: int,
        pts_seconds: float,
        image: UInt8Array,
        polyps: tuple[Polyp, ...] = (),
        probability: UInt8Array | None = None,
    ) -> Rendered:
        frame = Frame(index, pts_seconds, 0, image)
        whole = Box.of_size(frame.width, frame.height)
        values = np.zeros((8, 8), np.uint8) if probability is None else probability
        geometry = Geometry(frame.width, frame.height, whole, values.shape[1], values.shape[0])
        segmentation = Segmentation(frame, values, geometry, 128, polyps, {})
        return Rendered(frame, image, segmentation, {"infer": Span(1_000_000, 4_500_000)}, 0)

    return make


def _picture(index: int, width: int, height: int) -> UInt8Array:
    """A moving ramp, so that no two pictures are alike."""
    ramp = (np.arange(width, dtype=np.int64) * 3 + index * 7) % 200
    return np.ascontiguousarray(np.broadcast_to(ramp.astype(np.uint8)[None, :, None], (height, width, 3)))


def _tone(samples: int, begin: int) -> UInt8Array:
    """A tone that rises, so that each moment sounds different: int16 samples as bytes."""
    seconds = (np.arange(samples) + begin) / AUDIO_RATE
    wave = np.sin(2 * np.pi * (300 * seconds + 200 * seconds**2))
    return np.frombuffer((wave * 8000).astype(np.int16).tobytes(), dtype=np.uint8)


def _write_audio(container: Any, stream: Any, seconds: float, from_seconds: float, pause: tuple[float, float]) -> None:
    size = stream.codec_context.frame_size or 1024
    resampler = av.AudioResampler(stream.codec_context.format, "mono", AUDIO_RATE, frame_size=size)
    for begin in range(round(from_seconds * AUDIO_RATE), round(seconds * AUDIO_RATE), size):
        if pause[0] <= begin / AUDIO_RATE < pause[1]:
            continue
        frame = av.AudioFrame("s16", "mono", size)
        frame.planes[0].update(_tone(size, begin).tobytes())
        frame.pts, frame.sample_rate, frame.time_base = begin, AUDIO_RATE, Fraction(1, AUDIO_RATE)
        for ready in resampler.resample(frame):
            container.mux(stream.encode(ready))
    container.mux(stream.encode(None))


@pytest.fixture(scope="session")
def make_clip() -> MakeClip:
    """Writes a real video: ``make_clip(path, ticks, time_base, audio=("aac",), ...) -> path``."""

    def make(
        path: Path,
        ticks: Sequence[int],
        time_base: Fraction,
        *,
        video: str = "libx264",
        audio: Sequence[str] = (),
        audio_seconds: float | None = None,
        audio_from: float = 0.0,
        audio_pause: tuple[float, float] = (0.0, 0.0),
        width: int = 64,
        height: int = 48,
    ) -> Path:
        with av.open(str(path), "w") as container:
            rate = 25 if video == "mpeg2video" else Fraction(30000, 1001)
            stream: Any = container.add_stream(video, rate=rate, width=width, height=height)
            if video != "mpeg2video":
                stream.codec_context.time_base = time_base
            stream.codec_context.max_b_frames = 0
            sounds: list[Any] = [container.add_stream(codec, rate=AUDIO_RATE) for codec in audio]
            for sound in sounds:
                sound.codec_context.layout, sound.codec_context.bit_rate = "mono", 96_000
            for index, tick in enumerate(ticks):
                frame = av.VideoFrame.from_ndarray(_picture(index, width, height), format="bgr24")
                frame = frame.reformat(format="yuv420p")
                frame.pts, frame.time_base = tick, time_base
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
            end = float((2 * ticks[-1] - ticks[-2]) * time_base) if audio_seconds is None else audio_seconds
            for sound in sounds:
                _write_audio(container, sound, end, audio_from, audio_pause)
        return path

    return make


@dataclass(frozen=True)
class Recording:
    """A recording, and what the source delivered for it."""

    path: Path
    source: Path
    delivered: tuple[float, ...]
    notes: tuple[str, ...]


@pytest.fixture
def record(tmp_path: Path, make_rendered: MakeRendered) -> RecordVideo:
    """Sends a video through `VideoSource` and `VideoSink`: ``record(source, start=0.0, ...) -> Recording``."""

    def run(source_path: Path, **selection: Any) -> Recording:
        source = VideoSource(source_path, Selection(**selection))
        sink = VideoSink(tmp_path / "recording.mp4", source.info)
        delivered: list[float] = []
        try:
            for frame in source:
                sink.write(make_rendered(frame.index, frame.pts_seconds, frame.image))
                delivered.append(frame.pts_seconds)
        finally:
            sink.close()
            source.close()
        return Recording(sink.path, source_path, tuple(delivered), sink.notes)

    return run


def _start(container: InputContainer) -> Fraction:
    """What a player shows as 0, in seconds; MP4 has a 0 of its own, whether something begins there or not."""
    return Fraction(0 if "mp4" in container.format.name else container.start_time or 0, av.time_base)


class Probe:
    """Reads a file back by PyAV alone, without any code of rt-seg."""

    def video_times(self, path: Path) -> list[Fraction]:
        """Timestamps of all pictures as a player counts them, in seconds: 0 is the container's start."""
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            base = stream.time_base or Fraction(1)
            start = round(_start(container) / base)
            return [(frame.pts - start) * base for frame in container.decode(stream) if frame.pts is not None]

    def audio_packets(self, path: Path) -> list[tuple[Fraction, bytes]]:
        """Time in seconds (0 is the container's start) and content of every packet of the first audio stream."""
        with av.open(str(path)) as container:
            stream = container.streams.audio[0]
            base = stream.time_base or Fraction(1)
            start = _start(container)
            return [
                (packet.pts * base - start, bytes(packet))
                for packet in container.demux(stream)
                if packet.size and packet.pts is not None
            ]

    def streams(self, path: Path) -> list[tuple[str, str]]:
        """Kind and codec of every stream."""
        with av.open(str(path)) as container:
            return [(item.type, item.codec_context.codec.canonical_name) for item in container.streams]


@pytest.fixture(scope="session")
def probe() -> Probe:
    """Independent reading of what was written."""
    return Probe()
