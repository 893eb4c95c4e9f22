"""`AudioTrack`: the source file's sound on its way into the recording.

The picture matters: nothing that is wrong with the sound ends a recording. It stops the sound, and
`AudioTrack.note` says why. Of several audio streams the one that FFmpeg thinks best is taken.
"""

# PyAV's stubs leave types open (Packet's parameter, **kwargs)
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

import io
import math
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import av
from av.audio.stream import AudioStream
from av.bitstream import BitStreamFilterContext
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError
from av.packet import Packet

from .audio_encode import EncodedAudio
from .audio_reader import AudioReader

# MP4 has a registered entry for them and players read. FFmpeg also muxes PCM and Vorbis; few players read them.
COPIED_CODECS = frozenset({"aac", "mp3", "mp2", "ac3", "eac3", "opus", "flac", "alac"})
AUDIO_ERRORS = (FFmpegError, ValueError, OSError, LookupError, EOFError)

# Seconds. MP4's header waits for the first sound, and with it all that a kill should spare: sound that begins later is
# encoded, with silence before it.
_LATEST_COPY = 0.5


class _Route(Protocol):
    """A way from packets of the source to packets of the recording, in units that know their time."""

    def times(self) -> Iterator[float]:
        """Make the next unit ready and yield when it begins, in seconds of the recording."""
        ...

    def send(self, output: OutputContainer) -> None:
        """Mux the unit that is ready."""
        ...

    def flush(self, output: OutputContainer) -> None:
        """Mux what the encoder still holds."""
        ...


class AudioTrack:
    """Reads the sound of a file and muxes it up to where the picture stands. Not thread-safe.

    Args:
        path: The source file; it is opened a second time.
        origin_seconds: Stream time (0 is the container's start) at which the recording begins.
        output: Where the stream is added; its header must not have been written.
        options: Options of that container, for trying out the codec.

    Attributes:
        note: What a user should know: why there is no sound, or why it ends early. None if all is well.
    """

    def __init__(self, path: Path, origin_seconds: float, output: OutputContainer, options: dict[str, str]) -> None:
        self.note: str | None = None
        self._output = output
        self._input: InputContainer | None = None
        self._times: Iterator[float] = iter(())
        self._next: float | None = None
        self._route: _Route | None = None
        try:
            self._start(path, origin_seconds, options)
        except AUDIO_ERRORS as exc:
            self._stop(exc)

    def write_until(self, seconds: float) -> None:
        """Mux what begins before that time of the recording; later calls go on from there."""
        try:
            while self._route is not None and self._next is not None and self._next < seconds:
                self._route.send(self._output)
                self._next = next(self._times, None)
        except AUDIO_ERRORS as exc:
            self._stop(exc)

    def finish(self, seconds: float) -> None:
        """Mux up to the end of the last picture and what the encoder still holds, then close."""
        self.write_until(seconds)
        try:
            if self._route is not None:
                self._route.flush(self._output)
        except AUDIO_ERRORS as exc:
            self._stop(exc)
        self.close()

    def close(self) -> None:
        """Close the source file; a second call does nothing."""
        self._times, self._next, self._route = iter(()), None, None
        if self._input is not None:
            self._input.close()
            self._input = None

    def _start(self, path: Path, origin_seconds: float, options: dict[str, str]) -> None:
        # with the protocol, so that no name is taken for an address ("a:b.mp4")
        self._input = av.open(f"file:{path.absolute()}", metadata_errors="ignore")
        stream = self._input.streams.best("audio")
        if not isinstance(stream, AudioStream):
            self.close()
            return
        # typed as always there, but None where FFmpeg has no decoder
        if getattr(stream, "codec_context", None) is None:
            raise ValueError("its format is not known")
        reader = AudioReader(self._input, stream, origin_seconds)
        first = reader.peek()
        if first is None:
            self.close()
            return
        if _can_copy(stream, first, reader.seconds(first), options):
            self._route = CopiedAudio(reader, self._output)
        else:
            self._route = EncodedAudio(reader, self._output)
        self._times = self._route.times()
        self._next = next(self._times, None)

    def _stop(self, exc: Exception) -> None:
        reason = getattr(exc, "strerror", None) or str(exc)
        self.note = f"the sound ends early or is missing: {reason}"
        self.close()


def _can_copy(stream: AudioStream, first: "Packet[AudioStream]", seconds: float, options: dict[str, str]) -> bool:
    """Whether MP4 takes the packets as they are: by the codec's name, then by muxing one into memory."""
    if stream.codec_context.codec.canonical_name not in COPIED_CODECS or seconds > _LATEST_COPY:
        return False
    try:
        with av.open(io.BytesIO(), "w", format="mp4", options=options) as scratch:
            copy = scratch.add_stream_from_template(stream)
            packet = Packet(bytes(first))
            packet.pts = packet.dts = 0
            packet.time_base = Fraction(1, stream.codec_context.sample_rate)
            for item in _as_in_mp4(stream)(packet):
                item.stream = copy
                scratch.mux(item)
    except AUDIO_ERRORS:
        return False
    return True


def _has_adts_headers(stream: AudioStream) -> bool:
    """Whether each AAC packet says its format, as in MPEG-TS; MP4 says it once."""
    return stream.codec_context.codec.canonical_name == "aac" and not stream.codec_context.extradata


def _as_in_mp4(stream: AudioStream) -> "Callable[[Packet[Any]], Sequence[Packet[Any]]]":
    """What makes of a packet of the source one of MP4."""
    if not _has_adts_headers(stream):
        return lambda packet: [packet]
    return BitStreamFilterContext("aac_adtstoasc", stream).filter


class CopiedAudio:
    """Packets as they are, with the recording's timestamps in samples."""

    def __init__(self, reader: AudioReader, output: OutputContainer) -> None:
        self._reader = reader
        self._stream = output.add_stream_from_template(reader.stream)
        self._as_in_mp4 = _as_in_mp4(reader.stream)
        self._packet: Packet[AudioStream] | None = None

    def times(self) -> Iterator[float]:
        """See `_Route.times`."""
        reader = self._reader
        # a container that counts in milliseconds rounds each timestamp: the number of samples is exact
        tick = math.ceil((reader.stream.time_base or Fraction(1)) * reader.rate)
        last, expected = None, None
        for packet in iter(reader.take, None):
            begin = reader.samples(packet)
            if expected is not None and abs(begin - expected) <= tick:
                begin = expected
            if last is not None and begin <= last:
                continue  # the muxer refuses a timestamp that does not advance
            length = reader.length(packet) if tick <= 1 else reader.frame_size or reader.length(packet)
            packet.pts = packet.dts = begin
            packet.duration, packet.time_base = length, Fraction(1, reader.rate)
            self._packet, last, expected = packet, begin, begin + length
            yield begin / reader.rate

    def send(self, output: OutputContainer) -> None:
        """See `_Route.send`."""
        if self._packet is not None:
            for packet in self._as_in_mp4(self._packet):
                packet.stream = self._stream
                output.mux(packet)

    def flush(self, output: OutputContainer) -> None:
        """Nothing is held back."""
