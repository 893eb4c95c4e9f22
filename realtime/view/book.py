"""`SightingBook`: the sightings of a stream with their best pictures, in bounded memory."""

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from fractions import Fraction

from rt_seg.realtime.frame import Segmentation
from rt_seg.realtime.overlay import Overlay
from rt_seg.realtime.sightings import Sighting, Tracking

from .picture import to_jpeg

_MOST_SIGHTINGS = 2000  # that are remembered, the newest
_MOST_SNAPSHOTS = 200  # pairs of JPEGs of some 150 kB each, of the newest
_LONGEST_SIDE = 1280
_RENEW_SECONDS = 1.0  # from one message about a sighting that goes on to the next
_LAST_SECONDS = 2.0  # that the end of a stream waits for its last pictures
_PAUSE_SECONDS = 0.25  # from one round of encoding to the next: a polyp that comes closer is better in every frame


@dataclass(frozen=True, slots=True)
class Entry:
    """A sighting as clients see it.

    Attributes:
        id: 1 for the first of the stream.
        first_seconds: Stream time of the first frame that showed it.
        last_seconds: Stream time of the last one so far.
        frames: Frames that showed it.
        area_fraction: Largest share (0-1) of the frame.
        confidence: Highest mean probability (0-1).
        ended: Whether it is over.
        pictured: Whether there is a snapshot.
    """

    id: int
    first_seconds: float
    last_seconds: float
    frames: int
    area_fraction: float
    confidence: float
    ended: bool = False
    pictured: bool = False

    def as_dict(self) -> dict[str, object]:
        """As JSON values."""
        return {
            "id": self.id,
            "first_seconds": round(self.first_seconds, 3),
            "last_seconds": round(self.last_seconds, 3),
            "ended": self.ended,
            "frames": self.frames,
            "area_fraction": round(self.area_fraction, 5),
            "confidence": round(self.confidence, 3),
            "snapshot": f"/api/sightings/{self.id}.jpg" if self.pictured else None,
        }


@dataclass(slots=True)
class _Snapshots:
    """JPEGs without and with overlay, by sighting; the oldest go first."""

    kept: OrderedDict[int, tuple[bytes, bytes]] = field(default_factory=OrderedDict[int, tuple[bytes, bytes]])

    def keep(self, number: int, pair: tuple[bytes, bytes]) -> None:
        self.kept[number] = pair
        while len(self.kept) > _MOST_SNAPSHOTS:
            self.kept.popitem(last=False)


class SightingBook:
    """Follows what the tracker says; snapshots are drawn and encoded on a thread of its own. Thread-safe.

    Args:
        pixel_aspect: Width of a pixel over its height.
    """

    def __init__(self, pixel_aspect: Fraction = Fraction(1)) -> None:
        self._pixel_aspect = pixel_aspect
        self._overlay = Overlay("contour")
        self._changed = threading.Condition()
        self._entries: OrderedDict[int, Entry] = OrderedDict()
        self._due_from: dict[int, float] = {}  # of those that clients have not been told of: since when
        self._waiting: dict[int, Segmentation] = {}  # best frames that are not encoded yet
        self._encoding = False
        self._snapshots = _Snapshots()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rt-seg view snapshots", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def finish(self) -> None:
        """No more frames come: wait until the last pictures are there, but not for long."""
        with self._changed:
            self._changed.wait_for(lambda: not (self._waiting or self._encoding), _LAST_SECONDS)

    def close(self) -> None:
        """End the thread; what was kept stays."""
        self._closed.set()
        with self._changed:
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(1.0)

    # --- from the thread that refines segmentations

    def on_tracking(self, tracking: Tracking, shown: Segmentation) -> None:
        """Take what a frame changed; of its picture only a reference is kept."""
        with self._changed:
            for sighting in tracking.started:
                self._put(_entry(sighting), at_once=True)
            self._follow(tracking, shown)
            for number in tracking.improved:
                self._waiting[number] = shown
            if tracking.improved:
                self._changed.notify_all()
        self.on_ended(tracking.ended)

    def on_ended(self, ended: tuple[Sighting, ...]) -> None:
        """Take sightings that are over."""
        with self._changed:
            for sighting in ended:
                known = self._entries.get(sighting.id)
                over = replace(_entry(sighting), ended=True, pictured=known is not None and known.pictured)
                self._put(over, at_once=True)

    def _follow(self, tracking: Tracking, shown: Segmentation) -> None:
        """Go on with the sightings that a frame shows."""
        started = {sighting.id for sighting in tracking.started}
        areas: dict[int, float] = {}
        confidences: dict[int, float] = {}
        for polyp in tracking.polyps:
            if polyp.track_id is not None and polyp.track_id not in started:
                number = polyp.track_id
                areas[number] = areas.get(number, 0.0) + polyp.area_fraction
                confidences[number] = max(confidences.get(number, 0.0), polyp.confidence)
        for number, area in areas.items():
            known = self._entries.get(number)
            if known is not None:
                self._put(
                    replace(
                        known,
                        last_seconds=shown.frame.pts_seconds,
                        frames=known.frames + 1,
                        area_fraction=max(known.area_fraction, area),
                        confidence=max(known.confidence, confidences[number]),
                    )
                )

    def _put(self, entry: Entry, *, at_once: bool = False) -> None:
        self._entries[entry.id] = entry
        self._due_from.setdefault(entry.id, time.monotonic())
        if at_once:
            self._due_from[entry.id] = 0.0
        while len(self._entries) > _MOST_SIGHTINGS:
            gone, _ = self._entries.popitem(last=False)
            self._due_from.pop(gone, None)

    # --- for clients

    def entries(self) -> list[Entry]:
        """All that are remembered, in the order of their ids."""
        with self._changed:
            return list(self._entries.values())

    def take_changes(self) -> list[Entry]:
        """Those that changed: at once where one began or ended, else once a second."""
        now = time.monotonic()
        with self._changed:
            due = [number for number, at in self._due_from.items() if now - at >= _RENEW_SECONDS]
            for number in due:
                del self._due_from[number]
            return [self._entries[number] for number in due]

    def snapshot(self, number: int, *, overlay: bool) -> bytes | None:
        """The best picture of a sighting as JPEG; None where there is none, or none any more."""
        with self._changed:
            pair = self._snapshots.kept.get(number)
        return None if pair is None else pair[overlay]

    # --- the thread that encodes

    def _run(self) -> None:
        while not self._closed.wait(_PAUSE_SECONDS):
            with self._changed:
                self._changed.wait_for(lambda: self._closed.is_set() or self._waiting)
                waiting, self._waiting, self._encoding = self._waiting, {}, True
            for number, shown in waiting.items():
                if not self._closed.is_set():
                    self._keep(number, self._pair(shown))
            with self._changed:
                self._encoding = False
                self._changed.notify_all()

    def _pair(self, shown: Segmentation) -> tuple[bytes, bytes]:
        image = shown.frame.image
        drawn = image.copy()
        self._overlay.draw(drawn, shown)
        plain, marked = (to_jpeg(each, _LONGEST_SIDE, self._pixel_aspect) for each in (image, drawn))
        return plain, marked

    def _keep(self, number: int, pair: tuple[bytes, bytes]) -> None:
        with self._changed:
            self._snapshots.keep(number, pair)
            for gone in [
                each for each in self._entries.values() if each.pictured and each.id not in self._snapshots.kept
            ]:
                self._put(replace(gone, pictured=False))
            known = self._entries.get(number)
            if known is not None:
                self._put(replace(known, pictured=True), at_once=True)


def _entry(sighting: Sighting) -> Entry:
    return Entry(
        sighting.id,
        sighting.first_seconds,
        sighting.last_seconds,
        sighting.frames,
        sighting.largest_area_fraction,
        sighting.highest_confidence,
    )
