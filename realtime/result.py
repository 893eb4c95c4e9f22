"""`FrameResult`: one frame of a stream with all that is known of it, for Python."""

import time
from dataclasses import dataclass, field
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

from .frame import Polyp, Rendered, Segmentation
from .overlay import Overlay, Style
from .regions import frame_mask
from .state import StreamState

UInt8Array = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)  # not slotted: `probability` and `mask` are made when they are asked for, and kept
class FrameResult:
    """A frame with its polyps. Safe to keep, and to hand to other threads.

    What costs time is done when it is asked for, once: `probability` and `mask` take about a millisecond each at 1080p.

    Attributes:
        index: Position of the frame in the stream, from 0. Gaps (live only) are frames that were dropped.
        pts_seconds: Stream time in seconds, never decreasing.
        image: uint8 ``[H, W, 3]``, BGR, upright, without overlay. Read-only: take a copy, or `overlay`, to draw.
        polyps: The polyps of the mask, largest first; box and area in frame pixels, confidence 0-1, and the `track_id`
            that stays the same for one polyp from frame to frame.
        state: What the stream is doing; anything but ``segmenting`` is a reason to look twice.
        signal: False while a live source is lost: the image is a black one that stands in a few times a second, and
            its index is that of the next frame.
        segmentation: The engine's answer at the model's own size, with its geometry and stage times. None where there
            is none (live only: the engine is out of service, no signal, or with ``passthrough`` the mask is too old),
            which is not the same as no polyp found.
        video_delay_ms: From the frame complete in memory to the moment it was handed to you, in milliseconds.
        annotation_delay_ms: The same from the frame that the mask was computed on; None without one.
    """

    index: int
    pts_seconds: float
    image: UInt8Array = field(repr=False)
    polyps: tuple[Polyp, ...]
    state: StreamState
    signal: bool
    segmentation: Segmentation | None = field(repr=False)
    video_delay_ms: float
    annotation_delay_ms: float | None

    @property
    def mask_index(self) -> int | None:
        """Index of the frame that the mask was computed on: an earlier one with ``passthrough``."""
        return None if self.segmentation is None else self.segmentation.frame.index

    @cached_property
    def probability(self) -> UInt8Array | None:
        """uint8 ``[H, W]`` of the frame's size, 255 = certain, 0 outside the field of view; read-only."""
        if self.segmentation is None:
            return None
        geometry = self.segmentation.geometry
        large = np.zeros((geometry.frame_height, geometry.frame_width), np.uint8)
        size = (geometry.region.width, geometry.region.height)
        cv2.resize(self.segmentation.probability, size, dst=large[geometry.region.slices])
        return _read_only(large)

    @cached_property
    def mask(self) -> UInt8Array | None:
        """uint8 ``[H, W]`` of the frame's size, 255 where polyp, else 0; read-only. None: no mask."""
        return None if self.segmentation is None else _read_only(frame_mask(self.segmentation))

    def overlay(self, style: Style = "contour", alpha: float = 0.4) -> UInt8Array:
        """The picture with the polyps drawn on it.

        Args:
            style: ``contour``, ``fill``, ``heatmap`` or ``none``.
            alpha: Opacity (0-1) of fill and heatmap.

        Returns:
            uint8 ``[H, W, 3]``, BGR; a fresh array, yours.
        """
        image = self.image.copy()
        if self.segmentation is not None:
            Overlay(style, alpha).draw(image, self.segmentation)
        return image


def handed_over(rendered: Rendered) -> FrameResult:
    """The result that is handed over now."""
    now, frame, seen = time.perf_counter_ns(), rendered.frame, rendered.segmentation
    return FrameResult(
        frame.index,
        frame.pts_seconds,
        _read_only(rendered.image),
        () if seen is None else seen.polyps,
        rendered.state,
        rendered.signal,
        seen,
        (now - frame.captured_ns) / 1e6,
        None if seen is None else (now - seen.frame.captured_ns) / 1e6,
    )


def _read_only(array: UInt8Array) -> UInt8Array:
    view = array.view()
    view.flags.writeable = False
    return view
