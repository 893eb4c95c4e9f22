"""Opening a video container: which stream to decode, and one clear line for everything that cannot be."""

import os
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
from av.codec.context import ThreadType
from av.container import InputContainer
from av.error import EOFError as FFmpegEOFError
from av.error import FFmpegError, InvalidDataError
from av.stream import Disposition
from av.video.stream import VideoStream

from rt_seg.errors import SourceError

from .address import path_for_people
from .mp4 import read_layout

_MAX_PLAUSIBLE_FPS = 1000
_DEFAULT_FRAME_SECONDS = 1 / 25
_MAX_PLAUSIBLE_ASPECT = 8  # the widest in use is 32:11: 352x576 shown as 16:9
BT709 = 1
_PRIMARIES = frozenset({1, *range(4, 13), 22})  # the rest is unspecified or reserved
_TRANSFERS = frozenset({1, *range(4, 19)})
# FFmpeg would draw a text file as a terminal's screen
_NOT_VIDEO_FORMATS = frozenset({"tty"})


def open_container(path: Path) -> InputContainer:
    """Open a video file.

    Raises:
        SourceError: It is missing, unreadable or no video that FFmpeg knows.
    """
    if not path.exists():
        raise SourceError(f"{path_for_people(str(path))}: no such file; check the path")
    if not path.is_file():
        raise SourceError(f"{path}: not a regular file; give a video file, a folder of images, a camera or an address")
    if path.stat().st_size == 0:
        raise SourceError(f"{path}: the file is empty; copy or record it again")
    try:
        container = _open(path)
    except PermissionError as exc:
        raise SourceError(f"{path}: no permission to read it; change the file's permissions") from exc
    except (FFmpegError, OSError) as exc:
        raise SourceError(_refusal(path, exc)) from exc
    if container.format.name in _NOT_VIDEO_FORMATS:
        container.close()
        raise SourceError(f"{path}: not a video (it looks like text); give a video file")
    return container


def _open(path: Path) -> InputContainer:
    # absolute and with the protocol, so that no name is taken for an address ("a:b.mp4") or an option
    address = f"file:{path.absolute()}"
    try:
        return av.open(address, metadata_errors="replace")
    except (InvalidDataError, FFmpegEOFError):
        layout = read_layout(path)
        if not (layout.has_index and layout.is_fragmented):
            raise
        # cut within a fragment's index, which FFmpeg reads ahead on opening unless told not to: what is before plays
        return av.open(address, options={"fflags": "ignidx"}, metadata_errors="replace")


def reason_of(error: BaseException | None) -> str:
    """What a foreign error says, without the address or file name that PyAV adds (it may hold a password)."""
    reason = getattr(error, "strerror", None) or type(error).__name__
    return str(reason)


def _refusal(path: Path, error: Exception) -> str:
    layout = read_layout(path)
    if layout.lost_index:
        return missing_index(path)
    if isinstance(error, FFmpegEOFError) or layout.ends_within_fragment_index:
        return f"{path}: it ends before the first picture; copy it again from the recorder"
    return f"{path}: not a video that can be read ({reason_of(error)}); give a video file"


def missing_index(path: Path) -> str:
    """What to say of an MP4 without a whole ``moov`` in which nothing can be found."""
    return (
        f"{path}: its index (the moov box) is missing: the file was cut off or its recording was not finished; "
        "copy it again from the recorder"
    )


def pick_video(container: InputContainer, name: str) -> VideoStream:
    """The stream to decode, with its decoder set up.

    Args:
        container: Any open container.
        name: For messages.

    Raises:
        SourceError: There is no moving picture in it, or no decoder for it.
    """
    stream = container.streams.best("video")
    if not isinstance(stream, VideoStream) or stream.disposition & Disposition.attached_pic:
        holds = "only audio" if container.streams.audio else "no picture"
        raise SourceError(f"{name}: it holds {holds}; give a file with a video stream")
    # typed as always there, but None where FFmpeg has no decoder
    if getattr(stream, "codec_context", None) is None:
        raise SourceError(f"{name}: this FFmpeg has no decoder for its video; convert it to H.264")
    # Slices share the work of one picture: no delay, and an error belongs to the packet just given. Frame threads cost
    # 4 % more CPU time a frame on two cores and hold several pictures back.
    stream.thread_type = ThreadType.SLICE
    stream.thread_count = decoder_threads()
    return stream


def decoder_threads() -> int:
    """Threads for one decoder: one on two cores, where the rest of the pipeline needs the other, up to four."""
    return max(1, min(4, len(os.sched_getaffinity(0)) // 2))


def mean_rate(stream: VideoStream) -> Fraction | None:
    """Mean frames a second, or None where the container gives none or nonsense."""
    for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate):
        if rate and 0 < rate <= _MAX_PLAUSIBLE_FPS:
            return rate
    return None


def pixel_aspect(stream: VideoStream, *, transposed: bool) -> Fraction:
    """Width of a pixel over its height, as the container says, else the codec; 1 where neither does or it is nonsense.

    Args:
        stream: Any video stream.
        transposed: The picture is delivered turned by a quarter.
    """
    aspect = stream.sample_aspect_ratio
    if aspect is None or not 1 / _MAX_PLAUSIBLE_ASPECT <= aspect <= _MAX_PLAUSIBLE_ASPECT:
        return Fraction(1)
    return 1 / aspect if transposed else aspect


def colour_tags(stream: VideoStream) -> tuple[int, int]:
    """Primaries and transfer characteristics, code points of ITU-T H.273; BT.709's where they are not said."""
    context = stream.codec_context
    tags = context.color_primaries, context.color_trc
    return tags[0] if tags[0] in _PRIMARIES else BT709, tags[1] if tags[1] in _TRANSFERS else BT709


def frame_seconds(stream: VideoStream) -> float:
    """How long a frame usually lasts."""
    rate = mean_rate(stream)
    return float(1 / rate) if rate else _DEFAULT_FRAME_SECONDS


def time_base(stream: VideoStream) -> Fraction:
    """Seconds of one tick of the stream's timestamps."""
    return stream.time_base or Fraction(1, av.time_base)


def start_ticks(container: InputContainer, stream: VideoStream) -> int:
    """The container's start in ticks of the stream: what a player shows as 0.

    FFmpeg keeps it in microseconds; rounded to the stream's ticks it is exact again.
    """
    begin = cast("int | None", container.start_time)  # None where the container has no timestamps
    if begin is None:
        return stream.start_time or 0
    return round(Fraction(begin, av.time_base) / time_base(stream))


def estimated_frames(container: InputContainer, stream: VideoStream) -> int | None:
    """Frames of the whole video by the header, else by duration and rate."""
    if stream.frames:
        return stream.frames
    rate = mean_rate(stream)
    duration = container.duration
    if rate is None or duration is None:
        return None
    return max(round(Fraction(duration, av.time_base) * rate), 1)
