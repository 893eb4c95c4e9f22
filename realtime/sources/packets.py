"""`VideoPackets`: the compressed pictures of a file, and whether it had all of them. FFmpeg calls a cut file an end."""

from typing import TYPE_CHECKING, cast

from av.container import InputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream

from .container import frame_seconds, mean_rate, reason_of
from .mp4 import read_layout

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from av.packet import Packet
    from av.stream import Stream

# muxers round durations: a file that ends less than this before its header says is whole
_TOLERANCE_FRAMES = 2.5
_TOLERANCE_SECONDS = 0.1
_MICROSECONDS = 1_000_000
_CUT_OFF = "the file is cut off or damaged there"


class BreakOff(Exception):  # noqa: N818  # not an error to report: it carries the reason to where that one is made
    """Where a file stops before its end.

    Attributes:
        reason: For the message.
        pts: Timestamp of the packet that is damaged, or None.
    """

    def __init__(self, reason: str, pts: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.pts = pts


class VideoPackets:
    """Reads the packets of one stream from where the container stands. Passive, not thread-safe, for one iteration.

    Only promises in the file's header count as such: FFmpeg's own durations of MPEG-TS, MPEG-PS and the like are
    estimated from what is left of the file.
    """

    def __init__(self, container: InputContainer, stream: VideoStream, path: "Path") -> None:
        self._container = container
        self._path = path
        self._stream = stream
        self._formats = container.format.name.split(",")
        self._last_dts: int | None = None
        self._end = 0.0

    def __iter__(self) -> "Iterator[Packet[VideoStream]]":
        """Deliver the packets; the last one is empty and flushes the decoder.

        Raises:
            BreakOff: The file cannot be read on, ends within a packet, or before its header says.
        """
        try:
            yield from self._read()
        except FFmpegError as exc:
            reason = _CUT_OFF if self._falls_short() else f"reading fails ({reason_of(exc)})"
            raise BreakOff(reason) from exc
        if self._falls_short():
            raise BreakOff(_CUT_OFF)

    def _read(self) -> "Iterator[Packet[VideoStream]]":
        partial: Packet[VideoStream] | None = None
        for packet in self._container.demux():
            self._note(packet)
            # not packet.stream_index, which is 0 in the packets that flush, whatever their stream
            if packet.stream.index != self._stream.index:
                continue
            if partial is not None:
                if packet.size == 0:
                    raise BreakOff(_CUT_OFF)
                yield partial
            # midway a packet marked so may only follow a gap, and the decoder judges it; the last one is half a packet
            partial = cast("Packet[VideoStream]", packet) if packet.is_corrupt else None
            if partial is None:
                yield cast("Packet[VideoStream]", packet)

    def _note(self, packet: "Packet[Stream]") -> None:
        if packet.stream.index == self._stream.index and packet.dts is not None:
            self._last_dts = packet.dts if self._last_dts is None else max(self._last_dts, packet.dts)
        if packet.pts is not None:
            self._end = max(self._end, float((packet.pts + (packet.duration or 0)) * packet.time_base))

    def _falls_short(self) -> bool:
        if "mp4" in self._formats:
            index = self._stream.index_entries
            unread = len(index) > 0 and (self._last_dts is None or index[-1].timestamp > self._last_dts)
            layout = read_layout(self._path)
            return unread or layout.ends_within_fragment_index or layout.lost_index
        promised = self._promised_end()
        tolerance = max(_TOLERANCE_FRAMES * frame_seconds(self._stream), _TOLERANCE_SECONDS)
        return promised is not None and promised - self._end > tolerance

    def _promised_end(self) -> float | None:
        """Seconds at which the last frame ends by the file's header, where it says so."""
        rate = mean_rate(self._stream)
        if "avi" in self._formats and self._stream.frames and rate:
            return float(self._stream.frames / rate)
        duration = self._container.duration
        if "matroska" in self._formats and duration is not None:
            return duration / _MICROSECONDS
        return None


def from_last_key(packets: "Iterator[Packet[VideoStream]]", pts: int) -> "Iterator[Packet[VideoStream]]":
    """Leave out what need not be decoded to see the picture at a timestamp and all after it.

    Args:
        packets: From the beginning of the stream.
        pts: In ticks.
    """
    waiting: list[Packet[VideoStream]] = []
    for packet in packets:
        if packet.is_keyframe and packet.pts is not None and packet.pts <= pts:
            waiting.clear()
        waiting.append(packet)
        # packets come in the order of dts, which is never after pts: no earlier picture follows
        if packet.size == 0 or (packet.dts is not None and packet.dts > pts):
            break
    yield from waiting
    yield from packets
