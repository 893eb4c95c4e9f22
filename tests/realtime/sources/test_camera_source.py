"""Cameras. No camera is here: OpenCV's capture of a clip stands in for the driver, the rest is as it runs."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from rt_seg.errors import SourceError, SourceInterrupted
from rt_seg.realtime.sources import camera as camera_module
from rt_seg.realtime.sources.camera import CameraSource
from rt_seg.realtime.sources.open import open_source
from rt_seg.realtime.sources.selection import Selection

if TYPE_CHECKING:
    from rt_seg.realtime.frame import Frame

UInt8Array = npt.NDArray[np.uint8]
WriteClip = Callable[..., Path]
ReadNumber = Callable[[UInt8Array], int]


@pytest.fixture
def camera(write_clip: WriteClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> cv2.VideoCapture:
    """The capture behind every camera: a clip of 30 numbered frames, which stops delivering at its end."""
    capture = cv2.VideoCapture(str(write_clip(tmp_path / "clip.mp4", frames=30)))

    def give(_device: str) -> cv2.VideoCapture:
        return capture

    monkeypatch.setattr(camera_module, "_open_capture", give)
    return capture


@pytest.mark.parametrize("device", ["0", "97", "/dev/video97"])
def test_a_camera_that_is_not_there_is_refused(device: str, capfd: pytest.CaptureFixture[str]) -> None:
    """One line of ours; OpenCV's warnings are not printed."""
    if device == "0" and Path("/dev/video0").exists():
        pytest.skip("this machine has a camera")
    with pytest.raises(SourceError, match=rf"^camera {device}: cannot be opened; check that it is connected") as caught:
        open_source(device)
    assert not isinstance(caught.value, SourceInterrupted)
    assert capfd.readouterr() == ("", "")


def test_a_camera_that_stops_delivering_is_an_error(camera: cv2.VideoCapture, read_number: ReadNumber) -> None:
    """What came is delivered, stamped by the clock from 0 on; then one line says after how many frames."""
    source = open_source("0")
    info = source.info
    assert (info.name, info.kind, info.live, info.width, info.height, info.frame_count) == (
        "camera 0", "camera", True, 64, 48, None,
    )  # fmt: skip
    frames: list[Frame] = []
    with pytest.raises(SourceInterrupted, match="camera 0: stopped delivering after 29 frames; check its cable"):
        frames.extend(source)
    # opening looked at one picture to learn the size
    assert [read_number(frame.image) for frame in frames] == list(range(1, 30))
    assert [frame.index for frame in frames] == list(range(29))
    assert frames[0].pts_seconds == 0.0
    assert all(earlier.pts_seconds < later.pts_seconds for earlier, later in pairwise(frames))
    elapsed = (frames[-1].captured_ns - frames[0].captured_ns) / 1e9
    assert frames[-1].pts_seconds == pytest.approx(elapsed, abs=float(info.time_base or 0))
    source.close()
    source.close()
    assert not camera.isOpened()


def test_limit_and_start_of_a_camera(camera: cv2.VideoCapture) -> None:
    """A limit ends it; a start is refused."""
    source = CameraSource("0", Selection(limit=5))
    assert len(list(source)) == 5
    assert source.info.frame_count == 5
    source.close()
    assert not camera.isOpened()
    with pytest.raises(SourceError, match="a camera has no start to skip to"):
        open_source("0", start=1.0)


def test_opencvs_warnings_come_back(camera: cv2.VideoCapture) -> None:
    """Silence ends with the call: the level of OpenCV's log is as before."""
    before = cv2.utils.logging.getLogLevel()
    source = CameraSource("0", Selection(limit=2))
    assert len(list(source)) == 2
    source.close()
    assert not camera.isOpened()
    assert cv2.utils.logging.getLogLevel() == before
