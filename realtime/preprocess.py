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
        roi: ``auto`` (find the field of view), ``full`` (the whole frame) or a box in frame pixels.
        steady: False judges each frame on its own, for pictures that are not a video; only used with ``auto``.
    """

    def __init__(self, spec: ModelSpec, roi: Roi = "auto", *, steady: bool = True) -> None:
        self._spec = spec
        self._roi = roi
        self._field = FieldOfView(steady=steady)

    def __call__(self, frame: Frame) -> Prepared:
        """Prepare one frame.

        Raises:
            InputError: The given box is not inside the frame.
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
        check_roi(self._roi, frame.width, frame.height)
        return self._roi
