"""`VideoSink`: the recording, H.264 in MP4 by PyAV.

Time: 0 of the recording is 0 of the stream, so every timestamp is the source's own, in the source's unit; a
picture that begins later than the sound keeps its distance. With ``--start``, and for a live source, 0 is the
first picture delivered.

Loss: the file grows in fragments of about a second, each beginning with a keyframe (``hybrid_fragmented``).
After a kill it plays up to the last whole one; at the end it becomes an ordinary MP4. ``delay_moov`` allows sound
that begins before the picture: without it FFmpeg moves every timestamp of the picture.
"""

# PyAV's stubs leave types open (Packet's parameter, **kwargs)
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

import math
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
from av.container import OutputContainer
from av.error import FFmpegError
from av.video.frame import PictureType
from av.video.stream import VideoStream

from rt_seg.errors import OutputError
from rt_seg.realtime.frame import Rendered
from rt_seg.realtime.sources.source import SourceInfo

from .audio import AudioTrack
from .files import OutputFile, TruncatedError, check_output_file
from .fragments import count_pictures
from .picture import MATRIX_BT601, RANGE_LIMITED, I420Converter

if TYPE_CHECKING:
    from av.packet import Packet

_MOVIE_TIMESCALE = 48_000  # at least: the unit in which MP4 keeps when a stream begins (FFmpeg's own is 1000)
_CONTAINER_OPTIONS = {
    "movflags": "hybrid_fragmented+delay_moov",
    "flush_packets": "1",  # a finished fragment goes to the file at once
    "max_interleave_delta": "200000",  # microseconds that the picture waits for sound, where the sound ended
}
_KEYFRAME_SECONDS = 1
_DEFAULT_TIME_BASE = Fraction(1, 90000)
_DEFAULT_FPS = 25.0
_NEVER = 1_000_000  # frames: keyframes come by time instead


class VideoSink:
    """Records what it is given, with the sound of the source file. Passive and not thread-safe.

    Measured at 1080p on two clips at crf 23 (CPU ms a frame, luma PSNR, Mbit/s at 30 frames/s): ultrafast 15,
    41-43 dB, 17; the same with deblocking 17, 42-44 dB, 17; superfast 29, 43-44 dB, 14; veryfast 45, 42-43 dB,
    11. ultrafast has no B-frames and no look-ahead, so nothing is reordered.

    Args:
        path: The ``.mp4`` to write; an existing one is replaced when the first frame comes.
        info: What is recorded: unit of time, shape of a pixel, sound, and the file that must not be overwritten.
        crf: Quality of x264, lower is better and larger.
        threads: Threads of x264; each one more holds back one frame more.

    Raises:
        OutputError: The path cannot be written, is the input, or does not end in ``.mp4``.
    """

    def __init__(self, path: Path, info: SourceInfo, *, crf: int = 23, threads: int = 2) -> None:
        check_output_file(path, ".mp4", info.path)
        self._path = path
        self._info = info
        self._crf = crf
        self._threads = threads
        self._file = OutputFile(path)
        self._whole = 0  # bytes of the file that play without what follows
        self._taken = 0
        self._container: OutputContainer | None = None
        self._clock = _Clock(info)
        self._audio: AudioTrack | None = None
        self._closed = False

    @property
    def name(self) -> str:
        """See `Sink.name`."""
        return "record"

    @property
    def path(self) -> Path:
        """See `Sink.path`."""
        return self._path

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know of the recording, such as missing sound."""
        return (self._audio.note,) if self._audio is not None and self._audio.note is not None else ()

    def write(self, rendered: Rendered) -> None:
        """See `Sink.write`."""
        if self._closed:
            raise OutputError(f"{self._path}: the recording is closed; start another one")
        try:
            if self._container is None:
                self._container = self._open(rendered)
            self._encode(rendered)
        except (OutputError, FFmpegError) as exc:
            raise self._abandon(exc) from exc
        self._taken += 1

    def close(self) -> None:
        """See `Sink.close`."""
        if self._closed:
            return
        self._closed = True
        if self._container is None:
            return
        try:
            self._finish(self._container)
        except (OutputError, FFmpegError) as exc:
            raise self._abandon(exc) from exc

    def _open(self, rendered: Rendered) -> OutputContainer:
        """Create container and streams; the file comes into being once the encoder is open."""
        self._clock.start(rendered.frame.pts_seconds)
        self._converter = I420Converter(rendered.image.shape[1], rendered.image.shape[0])
        options = _CONTAINER_OPTIONS | {"movie_timescale": str(self._clock.movie_timescale)}
        container = av.open(self._file, "w", format="mp4", options=options, buffer_size=1 << 18)
        self._video = self._add_video(container)
        if self._info.path is not None and self._info.kind == "video":
            origin = self._clock.origin_seconds
            self._audio = AudioTrack(self._info.path, origin, container, options)
        container.start_encoding()
        return container

    def _add_video(self, container: OutputContainer) -> VideoStream:
        options = {"preset": "ultrafast", "crf": str(self._crf), "forced-idr": "1"}
        rate = Fraction(self._clock.fps).limit_denominator(1001)
        stream = container.add_stream("libx264", rate=rate, options=options, time_base=self._clock.time_base)
        context = stream.codec_context
        context.width, context.height = self._converter.width, self._converter.height
        context.pix_fmt = "yuv420p"
        context.sample_aspect_ratio = self._info.pixel_aspect
        context.colorspace, context.color_range = MATRIX_BT601, RANGE_LIMITED
        context.color_primaries, context.color_trc = self._info.primaries, self._info.transfer
        context.gop_size, context.max_b_frames, context.thread_count = _NEVER, 0, self._threads
        return stream

    def _encode(self, rendered: Rendered) -> None:
        frame = self._converter.convert(rendered.image)
        frame.pts = self._clock.tick(rendered.frame.pts_seconds)
        frame.time_base = self._clock.time_base
        frame.pict_type = PictureType.I if self._clock.keyframe_due() else PictureType.NONE
        packets = self._video.encode(frame)
        if self._audio is not None:
            self._audio.write_until(self._clock.end_seconds)
        self._mux(packets)

    def _mux(self, packets: "list[Packet[VideoStream]]") -> None:
        """Mux packets; a fragment is written whole by the keyframe that follows it, or not at all."""
        for packet in packets:
            if self._container is not None:
                self._whole = self._file.tell()
                packet.duration = self._clock.duration  # of the last packet; the others end where the next begins
                self._container.mux(packet)

    def _finish(self, container: OutputContainer) -> None:
        self._mux(self._video.encode(None))
        if self._audio is not None:
            self._audio.finish(self._clock.end_seconds)
        self._whole = self._file.tell()
        container.close()
        self._file.close()

    def _abandon(self, exc: OutputError | FFmpegError) -> TruncatedError:
        """Keep the whole fragments, drop the rest, release everything."""
        self._closed = True
        if self._audio is not None:
            self._audio.close()
        self._file.cut(self._whole)
        if self._container is not None:
            self._container.close()  # the file is closed: nothing is written
        kept = 0
        if _plays(self._path):
            kept = count_pictures(self._path)
        else:
            self._file.remove()
        message = str(exc) if isinstance(exc, OutputError) else self._encoding_failed(exc)
        return TruncatedError(message, self._taken - kept)

    def _encoding_failed(self, exc: FFmpegError) -> str:
        return (
            f"{self._path}: encoding {self._converter.width}x{self._converter.height} as H.264 failed "
            f"({exc.strerror or exc}); what was recorded before is kept"
        )


class _Clock:
    """Timestamps of the recording: whole ticks, strictly rising.

    Attributes:
        time_base: Seconds of a tick.
        fps: Nominal rate.
        duration: Ticks from the frame before the last to the last, which is also how long the last one is shown.
    """

    def __init__(self, info: SourceInfo) -> None:
        self.time_base = info.time_base or _DEFAULT_TIME_BASE
        self.fps = min(max(info.fps or _DEFAULT_FPS, 1.0), 240.0)
        self._from_zero = not info.live and info.start_seconds == 0
        self._origin = 0
        self._last: int | None = None
        self.duration = max(self._ticks(1 / self.fps), 1)
        self._keyframe: int | None = None

    def start(self, first_seconds: float) -> None:
        """Fix time 0 of the recording, when the first frame is known."""
        self._origin = 0 if self._from_zero else self._ticks(first_seconds)

    @property
    def movie_timescale(self) -> int:
        """Units a second that hold every tick exactly."""
        return self.time_base.denominator * math.ceil(_MOVIE_TIMESCALE / self.time_base.denominator)

    @property
    def origin_seconds(self) -> float:
        """Stream time of the recording's start."""
        return float(self._origin * self.time_base)

    @property
    def end_seconds(self) -> float:
        """End of the last frame, in seconds of the recording."""
        return 0.0 if self._last is None else float((self._last + self.duration) * self.time_base)

    def tick(self, pts_seconds: float) -> int:
        """Timestamp of the next frame in ticks."""
        pts = self._ticks(pts_seconds) - self._origin
        if self._last is not None:
            pts = max(pts, self._last + 1)
            self.duration = pts - self._last
        self._last = pts
        return pts

    def keyframe_due(self) -> bool:
        """Whether the frame of the last `tick` has to be a keyframe; says so once a second."""
        last = self._last or 0
        if self._keyframe is not None and (last - self._keyframe) * self.time_base < _KEYFRAME_SECONDS:
            return False
        self._keyframe = last
        return True

    def _ticks(self, seconds: float) -> int:
        return round(seconds * self.time_base.denominator / self.time_base.numerator)


def _plays(path: Path) -> bool:
    """Whether at least one picture can be read back."""
    try:
        with av.open(f"file:{path.absolute()}") as container:
            return next(container.decode(video=0), None) is not None
    except (FFmpegError, OSError, IndexError, ValueError):
        return False
