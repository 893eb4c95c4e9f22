"""`NetworkSource`: a stream at an address (RTSP, HTTP, UDP, RTMP, SRT), by FFmpeg."""

import contextlib
import time
from collections.abc import Generator, Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

import av
from av.error import ExitError, FFmpegError, HTTPUnauthorizedError, InvalidDataError, ProtocolNotFoundError

from rt_seg.errors import SourceError, SourceInterrupted
from rt_seg.realtime.frame import Frame

from .address import without_credentials
from .container import (
    colour_tags,
    frame_seconds,
    mean_rate,
    pick_video,
    pixel_aspect,
    reason_of,
    start_ticks,
    time_base,
)
from .lateness import Lateness
from .pixels import BgrConverter, orientation, upright_size
from .selection import Selection
from .source import SourceInfo
from .timeline import Timeline

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream

_TIMEOUT_SECONDS = 10.0
_NANOSECONDS = 1_000_000_000
# FFmpeg's options: study the head of the stream for 2 s or 2 MB at most. Not "nobuffer", which throws that head away.
_OPTIONS = {"analyzeduration": "2000000", "probesize": "2000000"}
_SCHEME_OPTIONS = {
    "rtsp": {"rtsp_flags": "prefer_tcp"},
    "rtsps": {"rtsp_flags": "prefer_tcp"},
    "udp": {"overrun_nonfatal": "1", "fifo_size": "50000"},
}
# these demuxers invent timestamps at 25 frames a second: a camera's motion JPEG carries none
_UNTIMED_FORMATS = frozenset({"mpjpeg", "mjpeg"})
# their playlists say by themselves whether they end
_LISTED_FORMATS = frozenset({"hls", "dash"})
# Joined midway, a decoder may draw on pictures it never saw. Streams without key frames (they refresh bit by bit) get
# through after so many pictures.
_KEY_FRAME_PATIENCE = 250
_RECORDING = (
    "a recording: it plays at its own pace, and without sound, like a live stream; "
    "to have each frame with its own mask, download it and give the file"
)


class NetworkSource:
    """A live stream, or a recording that is read like one. Passive and not thread-safe: one thread iterates and closes.

    Opening and each read end after `timeout_seconds` without data. A damaged packet is skipped, as loss on the way is
    usual; a lost connection is an error, the end that a sender announced is an end.

    Args:
        address: With credentials, if it needs them.
        selection: Which part of it; a start is not possible.
        timeout_seconds: Longest wait for data.

    Raises:
        SourceError: The address refuses, is not there, or sends no video.
    """

    def __init__(
        self, address: str, selection: Selection | None = None, *, timeout_seconds: float = _TIMEOUT_SECONDS
    ) -> None:
        self._name = without_credentials(address)
        self._selection = selection or Selection()
        if self._selection.start > 0:
            raise SourceError(f"{self._name}: a live stream has no start to skip to; leave --start out")
        self._timeout = timeout_seconds
        self._delivered = 0
        self._convert = BgrConverter()
        self._lateness = Lateness()
        self._first: av.VideoFrame | None = None
        self._container = self._open(address)
        try:
            self._stream = pick_video(self._container, self._name)
            self._begin()
        except BaseException:
            self._container.close()
            raise

    def __iter__(self) -> Iterator[Frame]:
        """Deliver frames as they come; see `Source.__iter__`.

        Raises:
            SourceInterrupted: The connection is lost or nothing came for the time-out.
        """
        while self._selection.allows(self._delivered):
            picture = self._first or next(self._pictures, None)
            self._first = None
            if picture is None:
                return
            now_ns = time.perf_counter_ns()
            seconds = self._timeline.place(self._timestamp(picture, now_ns))
            if self._selection.ends_before(seconds):
                return
            if self.info.endless and self._lateness.leaves_out(seconds, now_ns / _NANOSECONDS):
                continue
            image, skipped = self._convert(picture), self._lateness.take_left_out()
            frame = Frame(self._delivered, seconds, time.perf_counter_ns(), image, given_away=True, skipped=skipped)
            self._delivered += 1
            yield frame

    def close(self) -> None:
        """Close the connection; a second call does nothing."""
        self._first = None
        self._pictures.close()
        self._container.close()

    def _open(self, address: str) -> "InputContainer":
        scheme = self._name.partition(":")[0]
        options = _OPTIONS | _SCHEME_OPTIONS.get(scheme, {})
        timeouts = (self._timeout, self._timeout)
        try:
            return av.open(address, options=options, timeout=timeouts, metadata_errors="replace")
        except FFmpegError as exc:
            raise SourceError(f"{self._name}: {self._why(exc, scheme)}") from _scrubbed(exc)

    def _why(self, error: FFmpegError, scheme: str) -> str:
        if isinstance(error, ProtocolNotFoundError):
            return f"this FFmpeg was built without {scheme}; have the sender offer rtsp, udp or http"
        if isinstance(error, ExitError):
            return f"no stream within {self._timeout:g} s; check the address and that the sender is on"
        if isinstance(error, HTTPUnauthorizedError):
            return "it asks for a user and password; write them as scheme://user:password@host"
        return f"cannot be opened ({reason_of(error)}); check the address and that the sender is on"

    def _begin(self) -> None:
        """Wait for the first picture: it tells the size."""
        base = time_base(self._stream)
        self._timeline = Timeline(base, start_ticks(self._container, self._stream), frame_seconds(self._stream))
        self._untimed = self._container.format.name in _UNTIMED_FORMATS
        self._origin_ns: int | None = None
        self._pictures = self._decode()
        try:
            self._first = next(self._pictures, None)
        except SourceInterrupted as exc:
            raise SourceError(self._why_nothing(exc)) from exc
        if self._first is None:
            raise SourceError(f"{self._name}: it ended before the first picture; check the sender")
        rate = mean_rate(self._stream)
        fps = float(rate) if rate else None
        primaries, transfer = colour_tags(self._stream)
        width, height = upright_size(self._first)
        recording = self._is_recording()
        self.info = SourceInfo(
            name=self._name,
            kind="network",
            live=True,
            width=width,
            height=height,
            fps=fps,
            frame_count=self._selection.expected_frames(None, fps),
            time_base=base,
            pixel_aspect=pixel_aspect(self._stream, transposed=orientation(self._first)[0]),
            primaries=primaries,
            transfer=transfer,
            notes=(_RECORDING,) if recording else (),
            endless=not recording,
        )

    def _is_recording(self) -> bool:
        """Whether it has an end: by its container, and, where files come the same way, by its server, too.

        What an encoder sends live may carry a duration (a fragment's, in MP4), but nobody can promise its size.
        """
        container = self._container
        told = container.format.name in _LISTED_FORMATS or not self._name.startswith(("http:", "https:"))
        return bool(container.duration) and (told or container.size > 0)

    def _why_nothing(self, error: SourceInterrupted) -> str:
        """What to say where reading fails before the first picture."""
        index = self._stream.index_entries
        broken = isinstance(error.__cause__, FFmpegError) and not isinstance(error.__cause__, ExitError)
        if broken and "mp4" in self._container.format.name.split(",") and len(index) > 0:
            return (
                f"{self._name}: its index stands at its end, and this server does not let what is before be read after "
                "it (no byte ranges); download it and give the file"
            )
        return str(error)

    def _decode(self) -> Generator[av.VideoFrame]:
        """Pictures from the first key frame on, as long as the connection lasts."""
        patience = _KEY_FRAME_PATIENCE
        try:
            for packet in self._packets():
                for picture in self._decode_packet(packet):
                    patience = 0 if picture.key_frame else max(patience - 1, 0)
                    if patience == 0:
                        yield picture
        except FFmpegError as exc:
            yield from self._decode_packet(None)
            timed_out = isinstance(exc, ExitError)
            reason = f"no data for {self._timeout:g} s" if timed_out else f"the connection is lost: {reason_of(exc)}"
            count = f"{self._delivered} frame{'s' * (self._delivered != 1)}"
            message = f"{self._name}: {reason}, after {count}; check the sender and the network"
            raise SourceInterrupted(message) from _scrubbed(exc)

    def _packets(self) -> "Iterator[Packet[Stream]]":
        """The video's packets; those that only a picture far behind the sender would come of are left out."""
        packets = self._container.demux()
        skips = False
        while True:
            start = time.perf_counter_ns() / _NANOSECONDS
            packet = next(packets, None)
            self._lateness.note_read(start, time.perf_counter_ns() / _NANOSECONDS)
            if packet is None:
                return
            if packet.stream.index != self._stream.index:
                continue
            skips = (skips or self._lateness.far_behind) and not packet.is_keyframe and packet.size > 0
            if skips:
                self._lateness.leave_out()
            else:
                yield packet

    def _decode_packet(self, packet: "Packet[Stream] | None") -> list[av.VideoFrame]:
        """The pictures that a packet completes; None brings out those still held back.

        Loss on the way is usual: what cannot be decoded is skipped.
        """
        with contextlib.suppress(InvalidDataError):
            return self._stream.decode(packet)
        return []

    def _timestamp(self, picture: av.VideoFrame, captured_ns: int) -> int | None:
        """The stream's timestamp, or one by our clock where the stream has none."""
        if self._origin_ns is None:
            self._origin_ns = captured_ns
        if picture.pts is not None and not self._untimed:
            return picture.pts
        return self._timeline.raw(float(Fraction(captured_ns - self._origin_ns, _NANOSECONDS)))


def _scrubbed(error: FFmpegError) -> FFmpegError:
    """The same error without the address, which may hold a password: it is printed with a traceback."""
    error.args = error.args[:2]
    return error
