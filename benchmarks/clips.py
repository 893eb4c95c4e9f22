"""Clips to measure on, made from the packaged demo, so that no figure depends on a file that others do not have."""

from collections.abc import Generator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.error import FFmpegError

from rt_seg.errors import OutputError
from rt_seg.realtime.sources.open import open_source

FPS = 30


def make_clip(path: Path, width: int, height: int, frames: int, source: str = "demo") -> Path:
    """Write a video, scaled and repeated, as H.264 (x264 ``veryfast``, crf 20, as a capture box would record).

    Args:
        path: The MP4 to write.
        width: Width in pixels, even.
        height: Height in pixels, even.
        frames: Number of frames; the video starts over as often as needed.
        source: The video, as for `open_source`; by default the packaged demo.

    Returns:
        The path.

    Raises:
        SourceError: The video is unusable.
        OutputError: The clip cannot be written.
    """
    with _writing(path), av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"preset": "veryfast", "crf": "20"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        written = 0
        while written < frames:
            opened = open_source(source, limit=frames - written)
            for frame in opened:
                image = np.asarray(cv2.resize(frame.image, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)
                picture = av.VideoFrame.from_ndarray(image, format="bgr24")
                picture.pts, picture.time_base = written, Fraction(1, FPS)
                container.mux(stream.encode(picture))
                written += 1
            opened.close()
        container.mux(stream.encode())
    return path


def loop_clip(clip: Path, path: Path, frames: int, fps: int = FPS) -> Path:
    """Write a clip again and again into one file without encoding it anew, until it has at least `frames` frames.

    Args:
        clip: An MP4 with one video stream that starts with a keyframe.
        path: The MP4 to write.
        frames: Least number of frames.
        fps: Frames a second that the new file plays at; the clip's own are `FPS`. Stamps are whole ticks of the clip.

    Returns:
        The path.

    Raises:
        OutputError: It cannot be written.
    """
    written, offset = 0, 0
    with _writing(path), av.open(str(path), "w") as container:
        with av.open(str(clip)) as first:
            stream = container.add_stream_from_template(first.streams.video[0])
        while written < frames:
            end = offset
            with av.open(str(clip)) as source:
                for packet in source.demux(source.streams.video[0]):
                    if packet.pts is None or packet.dts is None:
                        continue
                    packet.pts = packet.pts * FPS // fps + offset
                    packet.dts = packet.dts * FPS // fps + offset
                    packet.duration = (packet.duration or 0) * FPS // fps
                    end = max(end, packet.pts + (packet.duration or 0))
                    packet.stream = stream
                    container.mux(packet)
                    written += 1
            offset = end
    return path


@contextmanager
def _writing(path: Path) -> Generator[None]:
    try:
        yield
    except (FFmpegError, OSError) as exc:
        raise OutputError(
            f"{path}: the clip cannot be written ({exc.strerror or exc}); make room, or set TMPDIR to another folder"
        ) from exc
