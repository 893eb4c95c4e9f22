"""`SightingTracker`: from the polyps of single frames to sightings, and what of them may be shown."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from rt_seg.engines.geometry import Box

from .frame import Polyp, Segmentation
from .motion import Motion
from .regions import Edges, keep_regions

MIN_CONFIDENCE = 0.6
"""From which a frame counts towards a sighting, unless said otherwise; see ``benchmarks/README.md``."""

_OVERLAP = 0.3  # of the smaller of two boxes, from which they are the same polyp
_BETTER = 1.1  # factor by which a frame must be better than the best so far: each better one is copied
_INTERVALS = 3  # between frames, of which the longest counts: rare frames come unevenly
_MOST_TRACKS = 64  # a picture full of noise must not fill the memory


@dataclass(frozen=True, slots=True)
class Sighting:
    """A polyp from where it was first seen to where it was last seen. A record: the tracker hands out fresh ones.

    Attributes:
        id: 1 for the first of the stream.
        first_seconds: Stream time of the first frame that showed it.
        activated_seconds: Stream time of the frame from which on it was drawn.
        last_seconds: Stream time of the last frame that showed it.
        frames: Frames that showed it.
        largest_area_px: In frame pixels.
        largest_area_fraction: The same as a share (0-1) of the frame.
        highest_confidence: 0-1.
        best_index: Index of the frame that shows it best, from its activation on: large and certain.
        best_seconds: Stream time of that frame.
    """

    id: int
    first_seconds: float
    activated_seconds: float
    last_seconds: float
    frames: int
    largest_area_px: int
    largest_area_fraction: float
    highest_confidence: float
    best_index: int
    best_seconds: float


@dataclass(frozen=True, slots=True)
class Tracking:
    """What a frame changed.

    Attributes:
        polyps: Those of the frame, in their order; `track_id` is the sighting's id, None until it is active.
        active: For each of them whether it is drawn.
        started: Sightings that this frame activated.
        ended: Sightings that have not been seen for so long that they are over.
        improved: Ids of sightings that no earlier frame shows better.
    """

    polyps: tuple[Polyp, ...]
    active: tuple[bool, ...]
    started: tuple[Sighting, ...] = ()
    ended: tuple[Sighting, ...] = ()
    improved: tuple[int, ...] = ()

    @property
    def drawn(self) -> tuple[Polyp, ...]:
        """The polyps that are drawn."""
        return tuple(polyp for polyp, active in zip(self.polyps, self.active, strict=True) if active)


@dataclass(slots=True)
class _Track:
    """A polyp that is followed, active or not."""

    boxes: list[Edges]
    first_seconds: float
    last_seconds: float
    seen: deque[bool]
    frames: int = 0
    id: int | None = None
    activated_seconds: float = 0.0
    largest_area_px: int = 0
    largest_area_fraction: float = 0.0
    highest_confidence: float = 0.0
    best_score: float = 0.0
    best_index: int = 0
    best_seconds: float = 0.0
    now: list[Polyp] = field(default_factory=list[Polyp])

    def likeness(self, box: Box) -> float:
        """How alike a box and the one of its own that it overlaps are (0-1); 0 where they overlap too little."""
        edges = (box.x, box.y, box.right, box.bottom)
        return max((_likeness(edges, mine) for mine in self.boxes if _overlap(edges, mine) >= _OVERLAP), default=0.0)

    def take(self, pts_seconds: float, min_confidence: float) -> None:
        """Go on by one frame with the regions in `now`; a candidate was seen only if one is confident enough."""
        needed = 0.0 if self.id is not None else min_confidence
        self.seen.append(any(polyp.confidence >= needed for polyp in self.now))
        if not self.now:
            return
        self.boxes = [(p.box.x, p.box.y, p.box.right, p.box.bottom) for p in self.now]
        self.last_seconds, self.frames = pts_seconds, self.frames + 1
        self.largest_area_px = max(self.largest_area_px, sum(polyp.area_px for polyp in self.now))
        self.largest_area_fraction = max(self.largest_area_fraction, sum(polyp.area_fraction for polyp in self.now))
        self.highest_confidence = max(self.highest_confidence, *(polyp.confidence for polyp in self.now))

    def improve(self, index: int, pts_seconds: float) -> bool:
        """Whether this frame shows it better than all before."""
        score = max((polyp.confidence * polyp.area_fraction**0.5 for polyp in self.now), default=0.0)
        if score <= self.best_score * _BETTER:
            return False
        self.best_score, self.best_index, self.best_seconds = score, index, pts_seconds
        return True

    def record(self, number: int) -> Sighting:
        return Sighting(
            number, self.first_seconds, self.activated_seconds, self.last_seconds, self.frames, self.largest_area_px,
            self.largest_area_fraction, self.highest_confidence, self.best_index, self.best_seconds,
        )  # fmt: skip


class SightingTracker:
    """Follows polyps from frame to frame by the overlap of their boxes, moved with the picture.

    Regions that overlap one polyp's box belong to it: a mask that falls apart for a moment stays one sighting. A
    polyp is active, and drawn, from the frame on that is its K-th within N frames; it stays so through gaps until it
    is over. Passive and not thread-safe: frames come in their order.

    Args:
        min_frames: K and N: seen in K of the last N frames. ``(1, 1)`` draws everything at once.
        min_confidence: Confidence (0-1) from which a frame counts for that. What is drawn already stays so with less.
        max_gap_seconds: How long a polyp may be out of sight and still be the same sighting. Where frames come so
            rarely that N of them take longer, it is the time of N and a half as many.

    Raises:
        ValueError: Not 1 <= K <= N.
    """

    def __init__(
        self, min_frames: tuple[int, int], max_gap_seconds: float = 0.6, *, min_confidence: float = 0.0
    ) -> None:
        self._needed, self._window = _checked(min_frames)
        self._min_confidence = min_confidence
        self._max_gap_seconds = max_gap_seconds
        self._tracks: list[_Track] = []
        self._started = 0
        self._last_seconds: float | None = None
        self._intervals: deque[float] = deque(maxlen=_INTERVALS)

    @property
    def min_frames(self) -> tuple[int, int]:
        """K and N; may be set between two frames: what is active stays so, candidates are judged by the new ones.

        Raises:
            ValueError: Set to something that is not 1 <= K <= N.
        """
        return self._needed, self._window

    @min_frames.setter
    def min_frames(self, min_frames: tuple[int, int]) -> None:
        self._needed, self._window = _checked(min_frames)
        for track in self._tracks:
            track.seen = deque(track.seen, maxlen=self._window)

    @property
    def open(self) -> tuple[Sighting, ...]:
        """Sightings that go on, as they stand."""
        return tuple(track.record(track.id) for track in self._tracks if track.id is not None)

    def update(
        self,
        polyps: Sequence[Polyp],
        index: int,
        pts_seconds: float,
        motion: Motion | None = None,
        region: Box | None = None,
    ) -> Tracking:
        """Take the next frame.

        Args:
            polyps: Its regions, see `find_polyps`.
            index: The frame's index.
            pts_seconds: Its stream time.
            motion: How the picture moved since the last call, if known.
            region: Part of the frame that the motion is of; needed with it.

        Returns:
            What it changed.
        """
        ended = self.pass_time(pts_seconds)
        if self._last_seconds is not None:
            self._intervals.append(pts_seconds - self._last_seconds)
        self._last_seconds = pts_seconds
        self._move(motion, region)
        owners = [self._owner(polyp, pts_seconds) for polyp in polyps]
        for track, polyp in zip(owners, polyps, strict=True):
            track.now.append(polyp)
        for track in self._tracks:
            track.take(pts_seconds, self._min_confidence)
        started = [track for track in self._tracks if track.id is None and sum(track.seen) >= self._needed]
        for track in started:
            self._started += 1
            track.id, track.activated_seconds = self._started, pts_seconds
        improved = [t.id for t in self._tracks if t.id is not None and t.improve(index, pts_seconds)]
        tracking = Tracking(
            tuple(replace(polyp, track_id=track.id) for track, polyp in zip(owners, polyps, strict=True)),
            tuple(track.id is not None for track in owners),
            tuple(track.record(track.id) for track in started if track.id is not None),
            ended,
            tuple(improved),
        )
        self._forget()
        return tracking

    def pass_time(self, pts_seconds: float) -> tuple[Sighting, ...]:
        """Go on to a frame that could not be segmented; those that are over by then."""
        return self._end_before(pts_seconds - self._longest_gap(pts_seconds))

    def end_all(self) -> tuple[Sighting, ...]:
        """End every sighting, as at the end of the stream, when the signal is lost or after a cut.

        Returns:
            Those that were open.
        """
        ended, self._tracks = self.open, []
        return ended

    def _longest_gap(self, pts_seconds: float) -> float:
        """How long a polyp may have been out of sight; a pause before this very frame does not lengthen it."""
        interval = 0.0 if self._last_seconds is None else pts_seconds - self._last_seconds
        return max(self._max_gap_seconds, 1.5 * self._window * max(self._intervals, default=interval))

    def _end_before(self, pts_seconds: float) -> tuple[Sighting, ...]:
        """Drop what was last seen before that time."""
        over = [track for track in self._tracks if track.last_seconds < pts_seconds]
        self._tracks = [track for track in self._tracks if track.last_seconds >= pts_seconds]
        return tuple(track.record(track.id) for track in over if track.id is not None)

    def _move(self, motion: Motion | None, region: Box | None) -> None:
        for track in self._tracks:
            track.now = []
            if motion is not None and region is not None:
                track.boxes = [motion.move_edges(box, region) for box in track.boxes]

    def _owner(self, polyp: Polyp, pts_seconds: float) -> _Track:
        """The track that a region belongs to; a new one where there is none."""
        # of several the most alike, not one that a large region swallows; of two that are equally so the older one: a
        # sighting keeps its id when two candidates meet
        best = max(self._tracks, key=lambda track: track.likeness(polyp.box), default=None)
        if best is not None and best.likeness(polyp.box) > 0:
            return best
        track = _Track([], pts_seconds, pts_seconds, deque(maxlen=self._window))
        self._tracks.append(track)
        return track

    def _forget(self) -> None:
        """Drop candidates that can no longer be activated by what was seen of them, and the youngest if they swarm."""
        self._tracks = [track for track in self._tracks if track.id is not None or any(track.seen)][:_MOST_TRACKS]


def withhold(segmentation: Segmentation, tracking: Tracking) -> Segmentation:
    """What is shown of a segmentation: only polyps that are active.

    Args:
        segmentation: The frame that was tracked.
        tracking: What `SightingTracker.update` said of its polyps.

    Returns:
        With the active polyps alone, and no probability where the others are and around them.
    """
    if all(tracking.active):
        return replace(segmentation, polyps=tracking.polyps)
    probability = keep_regions(segmentation.probability, segmentation.threshold, tracking.active)
    return replace(segmentation, probability=probability, polyps=tracking.drawn)


def _checked(min_frames: tuple[int, int]) -> tuple[int, int]:
    needed, window = min_frames
    if not 1 <= needed <= window:
        raise ValueError(f"min_frames {needed}/{window} is not K/N with 1 <= K <= N")
    return min_frames


def _overlap(one: Edges, other: Edges) -> float:
    """What two boxes have in common, as a share of the smaller."""
    common = _common(one, other)
    return common / min(_area(one), _area(other)) if common else 0.0


def _likeness(one: Edges, other: Edges) -> float:
    """What two boxes have in common, as a share of all that they cover."""
    common = _common(one, other)
    return common / (_area(one) + _area(other) - common) if common else 0.0


def _common(one: Edges, other: Edges) -> float:
    across = min(one[2], other[2]) - max(one[0], other[0])
    down = min(one[3], other[3]) - max(one[1], other[1])
    return across * down if across > 0 and down > 0 else 0.0


def _area(box: Edges) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])
