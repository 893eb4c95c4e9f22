"""`AudioReader`: packets of the source's sound, on the recording's clock."""

# PyAV's stubs leave types open (Packet's parameter, **kwargs)
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

import contextlib
from fractions import Fraction
from typing import TYPE_CHECKING

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Discard

if TYPE_CHECKING:
    from collections.abc import Iterator

    from av.packet import Packet

_SEEK_MARGIN = 10  # seconds: without an index (MPEG-PS, MPEG-TS) a seek may land later than asked for


class AudioReader:
    """Packets of one audio stream from a point in time on."""

    def __init__(self, container: InputContainer, stream: AudioStream, origin_seconds: float) -> None:
        self.stream = stream
        self.rate = stream.codec_context.sample_rate
        self.frame_size = stream.codec_context.frame_size  # samples in a packet, 0 where it varies
        if self.rate <= 0 or stream.time_base is None:
            raise ValueError("its format is not recognised")
        start = Fraction(container.start_time or 0, av.time_base)
        self._origin = start + Fraction(origin_seconds)
        self._whole = origin_seconds == 0
        for other in container.streams:
            other.discard = Discard.default if other is stream else Discard.all
        if origin_seconds > 0:
            with contextlib.suppress(FFmpegError):  # then it is read from its beginning
                container.seek(max(int((self._origin - _SEEK_MARGIN) * av.time_base), 0))
        # a frame's header; MPEG-PS may end with what its parser made of a byte too many. An empty packet ends demuxing.
        self._least = 4 if stream.codec_context.codec.canonical_name in {"mp2", "mp3"} else 1
        self._packets = self._read(container)
        self._held: Packet[AudioStream] | None = None

    def _read(self, container: InputContainer) -> "Iterator[Packet[AudioStream]]":
        due: int | None = None
        for packet in container.demux(self.stream):
            if packet.size < self._least:
                continue
            if packet.pts is None:
                packet.pts = packet.dts
            if packet.pts is None:
                continue
            begin = self.samples(packet)
            if due is not None and begin < due - self.rate:  # the clock was set anew: videos joined end to end
                self._origin -= Fraction(due - begin, self.rate)
                begin = due
            length = self.length(packet)
            due = begin + length
            # what lies before 0 is decoded and not heard: the encoder's own lead-in, or a packet or two for the overlap
            if self._whole or begin > -2 * length:
                yield packet

    def peek(self) -> "Packet[AudioStream] | None":
        """The next packet, which stays the next."""
        self._held = self.take()
        return self._held

    def take(self) -> "Packet[AudioStream] | None":
        """The next packet, or None at the end."""
        packet, self._held = self._held, None
        return next(self._packets, None) if packet is None else packet

    def samples(self, packet: "Packet[AudioStream]") -> int:
        """When it begins, in samples since the recording's start; negative for what begins before."""
        return self.to_samples(packet.pts or 0)

    def to_samples(self, pts: int) -> int:
        """A timestamp of the stream in samples since the recording's start."""
        base = self.stream.time_base or Fraction(1)
        return round((pts * base - self._origin) * self.rate)

    def seconds(self, packet: "Packet[AudioStream]") -> float:
        """When it begins, in seconds since the recording's start."""
        return self.samples(packet) / self.rate

    def length(self, packet: "Packet[AudioStream]") -> int:
        """How long it lasts, in samples."""
        base = self.stream.time_base or Fraction(1)
        return round((packet.duration or 0) * base * self.rate) or self.frame_size or 1
