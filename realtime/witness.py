"""`Witness`: turns what the tracker says into events, snapshots and figures."""

import time
from functools import partial
from pathlib import Path

from .events import Event
from .frame import Segmentation
from .overlay import Overlay
from .scribe import Journal, Scribe
from .sightings import Sighting, Tracking
from .snapshots import Snapshots, write_snapshot
from .statistics import Statistics


class Witness:
    """Called by the thread that refines segmentations. Passive and not thread-safe.

    Args:
        journal: Where sightings are written.
        scribe: Who writes snapshots.
        statistics: Where sightings are counted.
        folder: Where the best frame of each sighting goes; None: nowhere.
    """

    def __init__(self, journal: Journal, scribe: Scribe, statistics: Statistics, folder: Path | None = None) -> None:
        self._journal = journal
        self._scribe = scribe
        self._statistics = statistics
        self._folder = folder
        self._snapshots = Snapshots()
        self._overlay = Overlay("contour")

    def on_tracking(self, tracking: Tracking, shown: Segmentation) -> None:
        """Take what a frame changed."""
        for sighting in tracking.started:
            self._count(sighting, shown)
            self._journal.tell(Event.sighting_started(sighting))
        if self._folder is not None and tracking.improved:
            image = shown.frame.image
            overlay = image.copy()
            self._overlay.draw(overlay, shown)
            self._snapshots.keep(tracking, shown.frame.index, image, overlay)
        self.on_ended(tracking.ended)

    def on_ended(self, ended: tuple[Sighting, ...]) -> None:
        """Take sightings that are over."""
        for sighting in ended:
            self._journal.tell(Event.sighting_ended(sighting))
            snapshot = self._snapshots.finish(sighting)
            if snapshot is not None and self._folder is not None:
                self._scribe.put(partial(write_snapshot, self._folder, snapshot))

    def _count(self, sighting: Sighting, shown: Segmentation) -> None:
        waited_ns = (sighting.activated_seconds - sighting.first_seconds) * 1e9
        self._statistics.sightings += 1
        self._statistics.activation_delay.add(round(waited_ns) + time.perf_counter_ns() - shown.frame.captured_ns)
