"""`Preprocess`: from a frame to what the engine eats."""

import time

from rt_seg.engines.field_of_view import FieldOfView, Roi, check_roi
from rt_seg.engines.geometry import Box, Geometry
from rt_seg.engines.resize import resize_image
from rt_seg.engines.spec import ModelSpec

from .frame import Frame, Prepared, Span


class Preprocess:
    """Cuts the field of view out of a frame (a view, no copy) and resizes it as uint8; the rest is in the graph.

    Passive and not thread-safe: with ``auto`` it remembers where the field of view is, so frames come in their order.

    Args:
        spec: Size and interpolation that the model wants.
        roi: ``auto`` (find the field of view), ``full`` (the whole frame) or a box in pixels of the first frame; in
            frames of another size it is the same share of the picture.
        steady: False judges each frame on its own, for pictures that are not a video; only used with ``auto``.
    """

    def __init__(self, spec: ModelSpec, roi: Roi = "auto", *, steady: bool = True) -> None:
        self._spec = spec
        self._roi = roi
        self._field = FieldOfView(steady=steady)
        self._first_size: tuple[int, int] | None = None

    def __call__(self, frame: Frame) -> Prepared:
        """Prepare one frame.

        Raises:
            InputError: The given box is not inside the first frame.
        """
        start = time.perf_counter_ns()
        region = self._region(frame)
        width, height = self._spec.width, self._spec.height
        tensor = resize_image(frame.image[region.slices], width, height, self._spec.interpolation)
        geometry = Geometry(frame.width, frame.height, region, width, height)
        return Prepared(frame, tensor, geometry, {"preprocess": Span(start, time.perf_counter_ns())})

    def _region(self, frame: Frame) -> Box:
        if not isinstance(self._roi, Box):
            whole = Box.of_size(frame.width, frame.height)
            return self._field.find(frame.image) if self._roi == "auto" else whole
        if self._first_size is None:
            check_roi(self._roi, frame.width, frame.height)
            self._first_size = frame.width, frame.height
        return _rescaled(self._roi, self._first_size, (frame.width, frame.height))


def _rescaled(box: Box, size: tuple[int, int], new: tuple[int, int]) -> Box:
    """The same share of a frame of another size; at least one pixel of it."""
    if size == new:
        return box
    x, y = min(box.x * new[0] // size[0], new[0] - 1), min(box.y * new[1] // size[1], new[1] - 1)
    right, bottom = round(box.right * new[0] / size[0]), round(box.bottom * new[1] / size[1])
    return Box(x, y, max(right - x, 1), max(bottom - y, 1))
