"""The data that flows: `Frame` -> `Prepared` -> `Segmentation` -> `Showing` -> `Rendered`.

All frozen; units are in the names.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from rt_seg.engines.geometry import Box, Geometry

from .state import StreamState

UInt8Array = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of a source.

    Attributes:
        index: Position in the delivered stream, from 0, without gaps as the source delivers it.
        pts_seconds: Stream time in seconds, never decreasing.
        captured_ns: `time.perf_counter_ns` when the picture was complete in memory.
        image: uint8 ``[H, W, 3]``, BGR, upright. Never written to, with one exception: `given_away`.
        given_away: Whether the source has handed over the picture's memory together with the picture: nothing else lies
            in it, and the source does not look at it again. Then `Render`, which needs a frame last, may draw on the
            picture itself where nobody wants it without overlay. False is always safe.
        skipped: Pictures of a live source before this one that were left out because reading them was behind.
    """

    index: int
    pts_seconds: float
    captured_ns: int
    image: UInt8Array = field(repr=False)
    given_away: bool = False
    skipped: int = 0

    @property
    def width(self) -> int:
        """Width in pixels."""
        return int(self.image.shape[1])

    @property
    def height(self) -> int:
        """Height in pixels."""
        return int(self.image.shape[0])


@dataclass(frozen=True, slots=True)
class Span:
    """When a stage worked on a frame, in `time.perf_counter_ns`."""

    start_ns: int
    end_ns: int

    @property
    def milliseconds(self) -> float:
        """How long it worked."""
        return (self.end_ns - self.start_ns) / 1e6


@dataclass(frozen=True, slots=True)
class Prepared:
    """A frame with what the engine eats.

    Attributes:
        frame: The frame.
        tensor: uint8 ``[h, w, 3]``, BGR, C-contiguous, of the model's size.
        geometry: Where the tensor's pixels lie in the frame.
        spans: When each stage so far worked on it, by stage name.
    """

    frame: Frame
    tensor: UInt8Array = field(repr=False)
    geometry: Geometry
    spans: dict[str, Span]


@dataclass(frozen=True, slots=True)
class Polyp:
    """One connected region of the mask.

    Attributes:
        box: In frame pixels.
        area_px: Pixels of the frame inside the region.
        area_fraction: The same as a share (0-1) of the whole frame.
        confidence: Mean probability (0-1) over the region.
        track_id: Number of the sighting it belongs to, or None without tracking.
    """

    box: Box
    area_px: int
    area_fraction: float
    confidence: float
    track_id: int | None = None


@dataclass(frozen=True, slots=True)
class Segmentation:
    """What the engine saw in a frame.

    Attributes:
        frame: The frame.
        probability: uint8 ``[h, w]`` of the model's size, 255 = certain.
        geometry: Where its pixels lie in the frame.
        threshold: uint8 value from which a pixel counts as polyp.
        polyps: The regions at that threshold, largest first.
        spans: When each stage so far worked on it, by stage name.
        grey: The small grey picture that motion is estimated from (`rt_seg.realtime.motion.small_grey` of the region),
            once it was made.
        outlines: What `rt_seg.realtime.regions.contours` found, if it was asked before the mask is drawn; it moves
            with the mask.
    """

    frame: Frame
    probability: UInt8Array = field(repr=False)
    geometry: Geometry
    threshold: int
    polyps: tuple[Polyp, ...]
    spans: dict[str, Span]
    grey: UInt8Array | None = field(default=None, repr=False)
    outlines: tuple[npt.NDArray[np.float32], ...] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Showing:
    """A frame that is about to be shown, with what is known of it by now.

    Attributes:
        frame: The frame; while there is no signal, a black one of the size of the last.
        segmentation: The newest answer of the engine: with ``aligned`` the frame's own, with ``passthrough`` an earlier
            one's. None where there is none.
        signal: False for a picture that stands in for a missing one.
        spans: When each stage so far worked on it, by stage name.
    """

    frame: Frame
    segmentation: Segmentation | None
    signal: bool = True
    spans: dict[str, Span] = field(default_factory=dict[str, Span])


@dataclass(frozen=True, slots=True)
class Rendered:
    """A picture ready to be shown or written.

    Attributes:
        frame: The frame that is shown.
        image: uint8 ``[H, W, 3]``, BGR: the frame's picture with the overlay. Read-only to sinks. It is the one copy
            of the picture, or `frame.image` itself where that was given away (see `Frame`) and is wanted by nobody.
        segmentation: The mask that is shown, where the tissue is in `frame`; the frame in it is the one that it was
            computed on and may be an older one. None where a mask is missing or withheld, which is not the same as
            none found.
        spans: When each stage worked on it, by stage name.
        rendered_ns: `time.perf_counter_ns` when the picture was complete.
        state: What the stream was doing, see `rt_seg.realtime.state.StreamState`.
        signal: False for a picture that stands in for a missing one: shown and recorded, but no frame of the source.
    """

    frame: Frame
    image: UInt8Array = field(repr=False)
    segmentation: Segmentation | None
    spans: dict[str, Span]
    rendered_ns: int
    state: StreamState = StreamState.SEGMENTING
    signal: bool = True
