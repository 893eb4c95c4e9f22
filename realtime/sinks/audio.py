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
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.bitstream import BitStreamFilterContext
from av.container import InputContainer, OutputContainer
from av.error import BlockingIOError as NotYet
from av.error import EOFError as EndOfStream
from av.error import FFmpegError
from av.filter import Graph
from av.packet import Packet
from av.stream import Discard

# MP4 has a registered entry for them and players read. FFmpeg also muxes PCM and Vorbis; few players read them.
COPIED_CODECS = frozenset({"aac", "mp3", "mp2", "ac3", "eac3", "opus", "flac", "alac"})
AUDIO_ERRORS = (FFmpegError, ValueError, OSError, LookupError, EOFError)

_AAC_FRAME = 1024  # samples that an AAC packet holds
_AAC_RATES = frozenset({8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000})
_LATEST_HEADER = 0.5  # seconds; the file's header is written after one
_MAX_UNDECODABLE = 100  # packets in a row


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

    def __init__(
        self, path: Path, origin_seconds: float, output: OutputContainer, options: dict[str, str]
    ) -> None:
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
        self._input = av.open(str(path), metadata_errors="ignore")
        stream = self._input.streams.best("audio")
        if not isinstance(stream, AudioStream):
            self.close()
            return
        reader = _Reader(self._input, stream, origin_seconds)
        first = reader.peek()
        if first is None:
            self.close()
            return
        if _can_copy(stream, first, reader.seconds(first), options):
            self._route = _Copy(reader, self._output)
        else:
            self._route = _Encode(reader, self._output)
        self._times = self._route.times()
        self._next = next(self._times, None)

    def _stop(self, exc: Exception) -> None:
        reason = getattr(exc, "strerror", None) or str(exc)
        self.note = f"the sound ends early or is missing: {reason}"
        self.close()


class _Reader:
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
            container.seek(max(int((self._origin - 1) * av.time_base), 0))
        self._packets = self._read(container)
        self._held: Packet[AudioStream] | None = None

    def _read(self, container: InputContainer) -> "Iterator[Packet[AudioStream]]":
        due: int | None = None
        for packet in container.demux(self.stream):
            if packet.size == 0:  # the dummy that ends demuxing
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
        """The next packet that ends after the recording's start."""
        packet, self._held = self._held, None
        return packet or next(self._packets, None)

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


def _can_copy(
    stream: AudioStream, first: "Packet[AudioStream]", seconds: float, options: dict[str, str]
) -> bool:
    """Whether MP4 takes the packets as they are: by the codec's name, then by muxing one into memory."""
    codec = stream.codec_context.codec.canonical_name
    needs_packet = codec in {"ac3", "eac3"} or _has_adts_headers(stream)
    if codec not in COPIED_CODECS or (needs_packet and seconds > _LATEST_HEADER):
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


class _Copy:
    """Packets as they are, with the recording's timestamps in samples."""

    def __init__(self, reader: _Reader, output: OutputContainer) -> None:
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


class _Encode:
    """Decoded, resampled where AAC asks for it, gaps filled with silence, encoded in mono or stereo."""

    def __init__(self, reader: _Reader, output: OutputContainer) -> None:
        self._reader = reader
        self._decoded = self._decode()
        first = next(self._decoded, None)
        if first is None:
            raise ValueError("it cannot be decoded")
        rate = reader.rate if reader.rate in _AAC_RATES else 48000
        layout = "mono" if first.layout.nb_channels == 1 else "stereo"
        self._decoded = chain([first], self._decoded)
        self._graph = _resampling(first, rate, layout)
        self._stream = output.add_stream("aac", rate=rate)
        self._stream.codec_context.layout = layout
        self._stream.codec_context.bit_rate = 96_000 if layout == "mono" else 160_000
        self._frame: AudioFrame | None = None

    def _decode(self) -> Iterator[AudioFrame]:
        """Frames with timestamps in samples of the recording; a broken packet leaves a gap."""
        broken = 0
        for packet in iter(self._reader.take, None):
            try:
                frames = packet.decode()
            except FFmpegError as exc:
                broken += 1
                if broken == _MAX_UNDECODABLE:
                    raise ValueError("it cannot be decoded") from exc
                continue
            broken = 0
            for frame in frames:
                if frame.pts is not None:
                    frame.pts = self._reader.to_samples(frame.pts)
                    frame.time_base = Fraction(1, self._reader.rate)
                    yield frame

    def times(self) -> Iterator[float]:
        """See `_Route.times`."""
        for frame in chain(self._decoded, [None]):
            self._graph.push(frame)
            while (ready := self._pull()) is not None:
                self._frame = ready
                yield float((ready.pts or 0) * (ready.time_base or 0))

    def _pull(self) -> AudioFrame | None:
        try:
            frame = self._graph.pull()
        except (NotYet, EndOfStream):
            return None
        return frame if isinstance(frame, AudioFrame) else None

    def send(self, output: OutputContainer) -> None:
        """See `_Route.send`."""
        output.mux(self._stream.encode(self._frame))

    def flush(self, output: OutputContainer) -> None:
        """See `_Route.flush`."""
        output.mux(self._stream.encode(None))


def _resampling(first: AudioFrame, rate: int, layout: str) -> Graph:
    """A filter graph from frames like `first` to what the AAC encoder takes, starting at time 0."""
    graph = Graph()
    nodes = [
        graph.add_abuffer(
            sample_rate=first.sample_rate, format=first.format, layout=first.layout, time_base=first.time_base
        ),
        graph.add("aresample", "async=1"),  # follows the timestamps: fills gaps, trims overlaps
        graph.add("aformat", f"sample_fmts=fltp:sample_rates={rate}:channel_layouts={layout}"),
        graph.add("atrim", "start=0"),
        graph.add("abuffersink"),
    ]
    graph.link_nodes(*nodes).configure()
    graph.set_audio_frame_size(_AAC_FRAME)
    return graph
