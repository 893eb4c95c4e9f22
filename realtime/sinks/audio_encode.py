"""`EncodedAudio`: sound that MP4 does not take as it is, on its way to AAC."""

# PyAV's stubs leave types open (Packet's parameter, **kwargs)
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

from collections.abc import Iterator
from fractions import Fraction
from itertools import chain

from av.audio.frame import AudioFrame
from av.container import OutputContainer
from av.error import BlockingIOError as NotYet
from av.error import EOFError as EndOfStream
from av.error import FFmpegError
from av.filter import Graph

from .audio_reader import AudioReader

_AAC_FRAME = 1024  # samples that an AAC packet holds
_AAC_RATES = frozenset({8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000})
_JITTER = 100  # parts of a second that timestamps of decoded sound may be off by without a gap or an overlap
_MAX_UNDECODABLE = 100  # packets in a row


class EncodedAudio:
    """Decoded, resampled where AAC asks for it, encoded in mono or stereo, with silence where nothing is."""

    def __init__(self, reader: AudioReader, output: OutputContainer) -> None:
        self._reader = reader
        self._decoded = self._decode()
        first = next(self._decoded, None)
        if first is None:
            raise ValueError("it cannot be decoded")
        rate = reader.rate if reader.rate in _AAC_RATES else 48000
        layout = "mono" if first.layout.nb_channels == 1 else "stereo"
        self._filled = self._fill(chain([first], self._decoded))
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

    def _fill(self, frames: Iterator[AudioFrame]) -> Iterator[AudioFrame]:
        """The same without gaps, from the recording's start on, and without overlaps."""
        due, jitter, started = 0, self._reader.rate // _JITTER, False
        for frame in frames:
            begin = frame.pts or 0
            if started and begin < due - jitter:
                continue  # an overlap: the encoder's timestamps may not go back
            while begin - due > jitter:
                silence = _silence(frame, min(begin - due, _AAC_FRAME), due)
                due += silence.samples
                yield silence
            due, started = begin + frame.samples, True
            yield frame

    def times(self) -> Iterator[float]:
        """See `_Route.times`."""
        for frame in chain(self._filled, [None]):
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


def _silence(like: AudioFrame, samples: int, begin: int) -> AudioFrame:
    """A frame of silence in the same format."""
    frame = AudioFrame(like.format, like.layout, samples)
    frame.sample_rate, frame.time_base, frame.pts = like.sample_rate, like.time_base, begin
    level = b"\x80" if like.format.name.startswith("u8") else b"\x00"
    for plane in frame.planes:
        plane.update(level * plane.buffer_size)
    return frame


def _resampling(first: AudioFrame, rate: int, layout: str) -> Graph:
    """A filter graph from frames like `first` to what the AAC encoder takes."""
    graph = Graph()
    nodes = [
        graph.add_abuffer(
            sample_rate=first.sample_rate, format=first.format, layout=first.layout, time_base=first.time_base
        ),
        graph.add("aformat", f"sample_fmts=fltp:sample_rates={rate}:channel_layouts={layout}"),
        graph.add("abuffersink"),
    ]
    graph.link_nodes(*nodes).configure()
    graph.set_audio_frame_size(_AAC_FRAME)
    return graph
