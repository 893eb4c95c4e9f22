"""`VideoSource`: every frame of a video file, once, in order of presentation, upright, as BGR."""

import contextlib
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import av
from av.error import FFmpegError

from rt_seg.errors import SourceError, SourceInterrupted
from rt_seg.realtime.frame import Frame

from .container import (
    colour_tags,
    estimated_frames,
    frame_seconds,
    mean_rate,
    missing_index,
    open_container,
    pick_video,
    pixel_aspect,
    reason_of,
    start_ticks,
    time_base,
)
from .damage import Damage, ends_with_end_code
from .mp4 import read_layout
from .packets import BreakOff, VideoPackets, from_last_key
from .pixels import BgrConverter, orientation, upright_size
from .selection import Selection
from .source import SourceInfo
from .timeline import Timeline

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.stream import VideoStream

# Their index leads to the key frame before a time. Elsewhere FFmpeg's seeking may land behind it, and in MPEG-PS it
# guesses the timestamps of what follows: there the packets are read from the beginning, and only the last ones decoded.
_INDEXED_FORMATS = frozenset({"mp4", "matroska", "avi", "flv"})

# They say when a picture is decoded, not when it is shown. What FFmpeg makes of that goes to and fro where pictures are
# reordered; the time at which the decoder gives a picture away does not.
_DTS_FORMATS = frozenset({"avi", "asf"})

Picture = tuple[av.VideoFrame, float]  # as decoded, and its stream time in seconds


class VideoSource:
    """A video file. Passive and not thread-safe: one thread iterates and closes.

    Opening decodes up to the first selected frame, so that a file without one is refused before anything is written.

    Args:
        path: The file.
        selection: Which part of it; all of it if None.
        name: For people; the path if None.

    Raises:
        SourceError: The file cannot be read, holds no video, or no frame of the selected part.
    """

    def __init__(self, path: Path, selection: Selection | None = None, *, name: str | None = None) -> None:
        self._path = path
        self._name = name or str(path)
        self._selection = selection or Selection()
        self._convert = BgrConverter()
        self._delivered = 0
        self._damage = Damage()
        self._open()
        try:
            self._first: Picture | None = self._find_first()
            self._info = self._describe(self._first[0])
        except BaseException:
            self.close()
            raise

    @property
    def info(self) -> SourceInfo:
        """What is known of the file; constant."""
        return self._info

    def __iter__(self) -> Iterator[Frame]:
        """Deliver the selected frames; see `Source.__iter__`. A second iteration goes on where the first stopped.

        Raises:
            SourceInterrupted: It broke off midway, or pictures of the selected part are damaged; all were delivered.
        """
        while self._selection.allows(self._delivered):
            picture = self._first or next(self._pictures, None)
            self._first = None
            if picture is None:
                self._forgive_the_recorder()
                break
            if self._selection.ends_before(picture[1]):
                break
            self._damage.note(self._delivered, picture[1], damaged=picture[0].is_corrupt)
            image = self._convert(picture[0])
            frame = Frame(self._delivered, picture[1], time.perf_counter_ns(), image, given_away=True)
            self._delivered += 1
            yield frame
        complaint = self._damage.take()
        if complaint is not None:
            raise SourceInterrupted(f"{self._name}: {complaint}")

    def _forgive_the_recorder(self) -> None:
        if self._container.format.name == "mpeg" and ends_with_end_code(self._path):
            self._damage.forgive_last()

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._first = None
        self._pictures.close()
        self._container.close()

    def _open(self) -> None:
        self._container = open_container(self._path)
        self._pictures: Generator[Picture] = _nothing()
        try:
            self._stream = pick_video(self._container, self._name)
        except SourceError as exc:
            self._container.close()
            if read_layout(self._path).lost_index:
                raise SourceError(missing_index(self._path)) from exc
            raise
        except BaseException:
            self._container.close()
            raise
        self._begin()

    def _begin(self, *, skip_to: float = 0.0) -> None:
        """Set up decoding from the container's position, or from the last key frame up to a time after it."""
        self._pictures.close()
        self._only_dts = self._container.format.name in _DTS_FORMATS
        self._ahead: int | None = None  # ticks by which decoding is ahead of showing
        start = start_ticks(self._container, self._stream)
        self._timeline = Timeline(time_base(self._stream), start, frame_seconds(self._stream))
        packets = iter(VideoPackets(self._container, self._stream, self._path))
        self._pictures = self._decode(from_last_key(packets, self._timeline.raw(skip_to)) if skip_to > 0 else packets)

    def _find_first(self) -> Picture:
        """The first selected picture; decoding goes on after it."""
        start = self._selection.start
        picture = self._seek(start) if start > 0 else None
        try:
            while picture is None or not self._selection.reached(picture[1]):
                picture = next(self._pictures)
        except StopIteration:
            raise SourceError(f"{self._name}: {self._why_nothing()}") from None
        except SourceInterrupted as exc:
            advice = "choose an earlier start" if start > 0 else "copy it again from the recorder"
            raise SourceError(f"{exc}; {advice}") from exc
        if self._selection.ends_before(picture[1]):
            raise SourceError(f"{self._name}: {self._selection.emptiness}")
        return picture

    def _why_nothing(self) -> str:
        if not self._timeline.started:
            return "it holds no frame that can be decoded; give another file"
        end = self._timeline.next_seconds
        return f"start is {self._selection.start:g} s, but it ends at {end:.2f} s; choose an earlier start"

    def _seek(self, start: float) -> Picture | None:
        """Have decoding begin at a key frame at or before a time; return its picture if it was decoded already."""
        if not _INDEXED_FORMATS.isdisjoint(self._container.format.name.split(",")):
            with contextlib.suppress(FFmpegError, SourceInterrupted):
                self._container.seek(self._timeline.raw(start), stream=self._stream)
                self._begin()
                picture = next(self._pictures, None)
                if picture is not None and picture[1] <= start:
                    return picture
            self.close()
            self._open()
        self._begin(skip_to=start)
        return None

    def _decode(self, packets: "Iterator[Packet[VideoStream]]") -> Generator[Picture]:
        """All pictures of the packets, to the end of the file or to where it breaks off.

        Raises:
            SourceInterrupted: It broke off; what could be decoded before was delivered.
        """
        try:
            for packet in packets:
                yield from self._place(self._decode_packet(packet))
        except BreakOff as exc:
            yield from self._place(self._held_back(exc.pts))
            raise SourceInterrupted(self._interruption(exc.reason)) from exc

    def _interruption(self, reason: str) -> str:
        at = f"{self._timeline.next_seconds:.2f} s"
        if self._delivered == 0:
            return f"{self._name}: breaks off at {at}: {reason}"
        return f"{self._name}: breaks off at {at} (frame {self._delivered}): {reason}; the frames before it were kept"

    def _decode_packet(self, packet: "Packet[VideoStream]") -> list[av.VideoFrame]:
        try:
            return self._stream.decode(packet)
        except FFmpegError as exc:
            raise BreakOff(f"the video data is damaged ({reason_of(exc)})", packet.pts) from exc

    def _held_back(self, before: int | None) -> list[av.VideoFrame]:
        """Pictures still inside the decoder, those after a damaged packet left out."""
        with contextlib.suppress(FFmpegError):
            return [item for item in self._stream.decode(None) if before is None or (item.pts or 0) < before]
        return []

    def _place(self, pictures: list[av.VideoFrame]) -> Iterator[Picture]:
        for picture in pictures:
            yield picture, self._timeline.place(self._timestamp(picture))

    def _timestamp(self, picture: av.VideoFrame) -> int | None:
        """When it is shown, in the stream's ticks, or None if nobody knows."""
        if not self._only_dts:
            return picture.pts
        if self._ahead is None:
            self._ahead = 0 if picture.dts is None or picture.pts is None else picture.dts - picture.pts
        return None if picture.dts is None else picture.dts - self._ahead

    def _describe(self, first: av.VideoFrame) -> SourceInfo:
        rate = mean_rate(self._stream)
        fps = float(rate) if rate else None
        primaries, transfer = colour_tags(self._stream)
        width, height = upright_size(first)
        return SourceInfo(
            name=self._name,
            kind="video",
            live=False,
            width=width,
            height=height,
            fps=fps,
            frame_count=self._selection.expected_frames(estimated_frames(self._container, self._stream), fps),
            time_base=time_base(self._stream),
            path=self._path,
            start_seconds=self._selection.start,
            pixel_aspect=pixel_aspect(self._stream, transposed=orientation(first)[0]),
            primaries=primaries,
            transfer=transfer,
        )


def _nothing() -> Generator[Picture]:
    yield from ()
