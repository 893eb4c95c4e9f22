"""What an endoscopy team would ask of masks over time, measured on clips whose true masks are known.

All at the model's size. A frame counts as showing the polyp when at least `IN_VIEW` of the field is polyp, and as free
of it when no pixel is; slivers between are left out. A polyp is hit when what is drawn covers `HIT` of it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from rt_seg.engines.engine import Engine
from rt_seg.engines.geometry import Box, Geometry
from rt_seg.engines.masks import dice, iou
from rt_seg.engines.resize import resize_image
from rt_seg.realtime.motion import GlobalMotion, Motion, small_grey
from rt_seg.realtime.regions import find_polyps, keep_regions
from rt_seg.realtime.sightings import SightingTracker
from rt_seg.realtime.stabilise import Filter, Stabiliser

from .labelled_clips import Clip

UInt8Array = npt.NDArray[np.uint8]

IN_VIEW = 0.003
"""Share of the field from which a polyp counts as in view."""
HIT = 0.1
"""Share of a polyp that must be marked for it to count as found."""


@dataclass(frozen=True, slots=True, eq=False)
class SeenClip:
    """A clip after inference: all that the filters need.

    Attributes:
        name: The still's.
        geometry: Where the model's pixels lie in the field.
        pts_seconds: One a frame.
        probability: uint8 ``[frames, h, w]``.
        truth: uint8 ``[frames, h, w]`` with 0 and 255.
        grey: uint8 ``[frames, s, s]``, see `small_grey`.
    """

    name: str
    geometry: Geometry
    pts_seconds: tuple[float, ...]
    probability: UInt8Array = field(repr=False)
    truth: UInt8Array = field(repr=False)
    grey: UInt8Array = field(repr=False)

    @property
    def shares(self) -> npt.NDArray[np.float64]:
        """Share of each frame that is polyp."""
        return np.asarray((self.truth > 0).mean(axis=(1, 2)), np.float64)


def infer_clip(engine: Engine, clip: Clip) -> SeenClip:
    """Run the model over a clip, frame by frame.

    Raises:
        EngineError: The engine failed.
    """
    spec = engine.spec
    probability: list[UInt8Array] = []
    truth: list[UInt8Array] = []
    grey: list[UInt8Array] = []
    times: list[float] = []
    size = (0, 0)
    for frame in clip:
        tensor = resize_image(frame.image, spec.width, spec.height, spec.interpolation)
        probability.append(engine.infer(tensor[None])[0].copy())
        small = cv2.resize(frame.truth, (spec.width, spec.height), interpolation=cv2.INTER_LINEAR)
        truth.append(np.where(small > 127, np.uint8(255), np.uint8(0)))
        grey.append(small_grey(tensor))
        times.append(frame.pts_seconds)
        size = frame.image.shape[1], frame.image.shape[0]
    geometry = Geometry(*size, Box.of_size(*size), spec.width, spec.height)
    return SeenClip(clip.name, geometry, tuple(times), np.stack(probability), np.stack(truth), np.stack(grey))


@dataclass(frozen=True, slots=True, eq=False)
class Steady:
    """A clip's probabilities after a filter, and how the picture moved from each frame to the next."""

    clip: SeenClip
    probability: UInt8Array = field(repr=False)
    motion: tuple[Motion, ...] = field(repr=False)


def stabilise_clip(clip: SeenClip, settings: Filter, threshold: int) -> Steady:
    """Run a filter over a clip."""
    stabiliser = Stabiliser(settings, threshold)
    held: list[UInt8Array] = []
    motion: list[Motion] = []
    for probability, grey, second in zip(clip.probability, clip.grey, clip.pts_seconds, strict=True):
        held.append(stabiliser(probability, grey, clip.geometry, second))
        motion.append(stabiliser.motion)
    return Steady(clip, np.stack(held), tuple(motion))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a setting is worth, over all clips.

    Attributes:
        mdice: Mean Dice over frames with the polyp in view, a missed one counting 0.
        steadiness: Mean IoU of the drawn masks of consecutive frames with the polyp in view.
        true_steadiness: The same of the true masks: a perfect segmentation would have this.
        switches_a_minute: How often, in a minute with the polyp in view, it goes from found to lost.
        sensitivity: Share of frames with the polyp in view in which it is found.
        specificity: Share of polyp-free frames with nothing drawn; None without such frames.
        polyps: Polyps that came into view.
        found: Those that were found at all.
        first_detection_ms: For those found, median time from coming into view.
        false_activations_a_minute: Sightings that never touched a polyp.
        brief_false_share: Share of these that were drawn in fewer than 3 frames; None without any.
        sightings_a_polyp: True sightings for each polyp found: 1 is ideal; more, and it was lost and counted anew.
        minutes: Of clip.
    """

    mdice: float
    steadiness: float
    true_steadiness: float
    switches_a_minute: float
    sensitivity: float
    specificity: float | None
    polyps: int
    found: int
    first_detection_ms: float | None
    false_activations_a_minute: float
    brief_false_share: float | None
    sightings_a_polyp: float | None
    minutes: float


@dataclass(slots=True)
class _Tally:
    """What is collected on the way to an `Outcome`."""

    dice: list[float] = field(default_factory=list[float])
    steadiness: list[float] = field(default_factory=list[float])
    true_steadiness: list[float] = field(default_factory=list[float])
    hits: list[bool] = field(default_factory=list[bool])
    clean: list[bool] = field(default_factory=list[bool])
    switches: int = 0
    detections: list[float | None] = field(default_factory=list[float | None])
    false_lengths: list[int] = field(default_factory=list[int])
    true_sightings: int = 0
    seconds: float = 0.0

    def outcome(self) -> Outcome:
        found = [second for second in self.detections if second is not None]
        frame_seconds = self.seconds / max(len(self.hits) + len(self.clean), 1)
        false = self.false_lengths
        return Outcome(
            mdice=_mean(self.dice),
            steadiness=_mean(self.steadiness),
            true_steadiness=_mean(self.true_steadiness),
            switches_a_minute=self.switches / max(len(self.hits) * frame_seconds / 60, 1e-9),
            sensitivity=_mean(self.hits),
            specificity=_mean(self.clean) if self.clean else None,
            polyps=len(self.detections),
            found=len(found),
            first_detection_ms=1000 * float(np.median(found)) if found else None,
            false_activations_a_minute=len(false) / max(self.seconds / 60, 1e-9),
            brief_false_share=sum(length < 3 for length in false) / len(false) if false else None,
            sightings_a_polyp=self.true_sightings / len(found) if found else None,
            minutes=self.seconds / 60,
        )


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else float("nan")


def measure(
    clips: Iterable[Steady], threshold: int, min_frames: tuple[int, int], min_confidence: float = 0.0
) -> Outcome:
    """What is drawn at a threshold, with that wait before a sighting is drawn.

    Args:
        clips: After a filter.
        threshold: uint8 value from which a pixel counts as polyp.
        min_frames: K and N, see `SightingTracker`.
        min_confidence: See there.
    """
    tally = _Tally()
    for steady in clips:
        _measure_clip(steady, threshold, SightingTracker(min_frames, min_confidence=min_confidence), tally)
    return tally.outcome()


def _measure_clip(steady: Steady, threshold: int, tracker: SightingTracker, tally: _Tally) -> None:
    clip = steady.clip
    drawn, sightings = _draw(steady, threshold, tracker)
    shares = clip.shares
    in_view = shares >= IN_VIEW
    covered = np.count_nonzero((drawn > 0) & (clip.truth > 0), axis=(1, 2)) / np.maximum(
        np.count_nonzero(clip.truth, axis=(1, 2)), 1
    )
    hit = covered >= HIT
    tally.dice += dice(drawn[in_view], clip.truth[in_view]).tolist()
    tally.hits += hit[in_view].tolist()
    tally.clean += [not bool(mask.any()) for mask in drawn[shares == 0]]
    pairs = np.flatnonzero(in_view[1:] & in_view[:-1])
    tally.steadiness += iou(drawn[pairs], drawn[pairs + 1]).tolist()
    tally.true_steadiness += iou(clip.truth[pairs], clip.truth[pairs + 1]).tolist()
    tally.switches += int(np.count_nonzero(hit[pairs] & ~hit[pairs + 1]))
    tally.seconds += len(clip.pts_seconds) * (clip.pts_seconds[1] - clip.pts_seconds[0])
    if in_view.any():
        tally.detections.append(_detection(in_view, hit, clip.pts_seconds))
    for frames, touches in sightings.values():
        tally.true_sightings += touches
        if not touches:
            tally.false_lengths.append(len(frames))


def _detection(in_view: npt.NDArray[np.bool_], hit: npt.NDArray[np.bool_], seconds: tuple[float, ...]) -> float | None:
    """Seconds from coming into view to being found while in view; None when it never was."""
    found = np.flatnonzero(in_view & hit)
    return seconds[int(found[0])] - seconds[int(np.argmax(in_view))] if found.size else None


def _draw(
    steady: Steady, threshold: int, tracker: SightingTracker
) -> tuple[UInt8Array, dict[int, tuple[set[int], bool]]]:
    """The drawn masks, and by sighting the frames in which it was drawn and whether it ever touched a polyp."""
    clip = steady.clip
    drawn = np.zeros_like(clip.truth)
    sightings: dict[int, tuple[set[int], bool]] = {}
    for index, probability in enumerate(steady.probability):
        polyps = find_polyps(probability, clip.geometry, threshold)
        tracking = tracker.update(polyps, index, clip.pts_seconds[index], steady.motion[index], clip.geometry.region)
        if any(tracking.active):
            kept = keep_regions(probability, threshold, tracking.active)
            drawn[index] = np.where(kept >= threshold, np.uint8(255), np.uint8(0))
        for polyp in tracking.drawn:
            frames, touches = sightings.get(polyp.track_id or 0, (set[int](), False))
            sightings[polyp.track_id or 0] = (
                frames | {index},
                touches
                or _touches(probability, threshold, [each is polyp for each in tracking.polyps], clip.truth[index]),
            )
    return drawn, sightings


def _touches(probability: UInt8Array, threshold: int, alone: Sequence[bool], truth: UInt8Array) -> bool:
    """Whether that region alone lies on a polyp."""
    return bool(truth.any()) and bool(np.any((keep_regions(probability, threshold, alone) >= threshold) & (truth > 0)))


def carried_over(clips: Iterable[SeenClip], lag: int, motion: GlobalMotion | None) -> float:
    """How well a true mask that is so many frames old fits, moved with the picture or left where it was: mean IoU.

    Args:
        clips: What was seen; only their true masks and greys count.
        lag: Age of the mask in frames.
        motion: What moves it; None leaves it.
    """
    fits: list[float] = []
    for clip in clips:
        in_view = clip.shares >= IN_VIEW
        for late in np.flatnonzero(in_view[lag:] & in_view[:-lag]) + lag:
            mask = clip.truth[late - lag]
            if motion is not None:
                mask = motion.estimate(clip.grey[late - lag], clip.grey[late]).warp(mask)
            fits.append(float(iou(mask > 127, clip.truth[late] > 0)))
    return _mean(fits)
