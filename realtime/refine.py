"""`Refine`: from what the engine saw in single frames to masks that hold still and belong to sightings."""

from collections.abc import Callable
from dataclasses import replace

from .controls import Controls
from .frame import Segmentation
from .motion import small_grey
from .regions import contours, find_polyps
from .sightings import Sighting, SightingTracker, Tracking, withhold
from .stabilise import Stabiliser


class Refine:
    """Stabilises, tracks, and withholds what is not active yet. Passive and not thread-safe: frames in their order.

    Args:
        stabiliser: Holds the probability still.
        tracker: Follows the polyps.
        on_tracking: Told what each frame changed, with the segmentation as it will be drawn.
        on_ended: Told of sightings that ended beside that: with the stream, a lost signal, a cut, a change of size, or
            while nothing was segmented.
        outlined: Whether outlines are found here, for whoever draws the mask while a picture waits.
        controls: What the user may change meanwhile of how it stabilises and tracks; None: nothing.
    """

    def __init__(
        self,
        stabiliser: Stabiliser,
        tracker: SightingTracker,
        on_tracking: Callable[[Tracking, Segmentation], None] = lambda _tracking, _segmentation: None,
        on_ended: Callable[[tuple[Sighting, ...]], None] = lambda _ended: None,
        *,
        outlined: bool = False,
        controls: Controls | None = None,
    ) -> None:
        self._stabiliser = stabiliser
        self._tracker = tracker
        self._on_tracking = on_tracking
        self._on_ended = on_ended
        self._outlined = outlined
        self._controls = controls
        self._size = (0, 0)

    def __call__(self, segmentation: Segmentation) -> Segmentation:
        """Refine the next frame's segmentation."""
        self._follow_controls()
        frame, geometry = segmentation.frame, segmentation.geometry
        grey = small_grey(frame.image[geometry.region.slices])
        probability = self._stabiliser(segmentation.probability, grey, geometry, frame.pts_seconds)
        size = geometry.frame_width, geometry.frame_height
        if self._stabiliser.cut or size != self._size:
            self.end()
        self._size = size
        polyps = segmentation.polyps
        if probability is not segmentation.probability:
            polyps = find_polyps(probability, geometry, segmentation.threshold)
        tracking = self._tracker.update(
            polyps, frame.index, frame.pts_seconds, self._stabiliser.motion, geometry.region
        )
        refined = replace(segmentation, probability=probability, polyps=polyps, grey=grey)
        shown = withhold(refined, tracking)
        if self._outlined:
            shown = replace(shown, outlines=tuple(contours(shown)))
        self._on_tracking(tracking, shown)
        return shown

    def _follow_controls(self) -> None:
        controls = self._controls
        if controls is None:
            return
        self._stabiliser.choose(controls.stabilise)
        if self._tracker.min_frames != controls.min_frames:
            self._tracker.min_frames = controls.min_frames

    def pass_over(self, pts_seconds: float) -> None:
        """Go on over a frame that could not be segmented: what was not seen for too long is over."""
        ended = self._tracker.pass_time(pts_seconds)
        if ended:
            self._on_ended(ended)

    def end(self) -> None:
        """End every sighting: at the end of the stream, when the signal is lost, at a cut or a change of size."""
        self._on_ended(self._tracker.end_all())
