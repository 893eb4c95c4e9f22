"""Snapshots: the best frame of a sighting, bounded in memory, lossless on disk."""

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from rt_seg.errors import OutputError
from rt_seg.realtime.sightings import Sighting, Tracking
from rt_seg.realtime.snapshots import Snapshot, Snapshots, check_snapshot_folder, write_snapshot

UInt8Array = npt.NDArray[np.uint8]


def picture(level: int) -> UInt8Array:
    """A small plain one."""
    return np.full((12, 16, 3), level, np.uint8)


def improved(*ids: int) -> Tracking:
    """What a tracker says when a frame is the best of these."""
    return Tracking((), (), improved=ids)


def sighting(number: int) -> Sighting:
    """One that is over."""
    return Sighting(number, 0.0, 0.1, 1.0, 20, 100, 0.1, 0.9, 5, 0.2)


def test_the_best_frame_is_handed_out_once() -> None:
    """The last that improved it, a copy, and nothing the second time."""
    snapshots = Snapshots()
    first, best = picture(1), picture(2)
    snapshots.keep(improved(4), 10, first, picture(11))
    snapshots.keep(improved(4), 11, best, picture(12))
    snapshots.keep(improved(), 12, picture(3), picture(13))
    best[:] = 99
    snapshot = snapshots.finish(sighting(4))
    assert snapshot is not None
    assert snapshot.name == "sighting_0004_frame_000011"
    assert (snapshot.image == 2).all()
    assert (snapshot.overlay == 12).all()
    assert snapshots.finish(sighting(4)) is None


def test_memory_is_bounded() -> None:
    """However many sightings are open, few pictures are held: the newest."""
    snapshots = Snapshots()
    for number in range(100):
        snapshots.keep(improved(number), number, picture(0), picture(0))
    held = [number for number in range(100) if snapshots.finish(sighting(number))]
    assert held == list(range(92, 100))


def test_both_pictures_are_written_without_loss(tmp_path: Path) -> None:
    """The folder is made; what is read back is what was given."""
    noise = np.random.default_rng(0).integers(0, 255, (2, 30, 40, 3), np.uint8)
    paths = write_snapshot(tmp_path / "shots", Snapshot("name", noise[0], noise[1]))
    assert [path.name for path in paths] == ["name.png", "name_overlay.png"]
    for path, image in zip(paths, noise, strict=True):
        read = cv2.imread(str(path), cv2.IMREAD_COLOR)
        assert read is not None
        assert (read == image).all()


def test_a_folder_that_cannot_be_is_refused(tmp_path: Path) -> None:
    """A file in its place, or a missing parent, is said before and while writing."""
    file = tmp_path / "file"
    file.touch()
    for folder in (file, tmp_path / "missing" / "shots"):
        with pytest.raises(OutputError, match=str(folder)):
            check_snapshot_folder(folder)
        with pytest.raises(OutputError, match=str(folder)):
            write_snapshot(folder, Snapshot("name", picture(0), picture(0)))
