"""One PNG a frame, at source resolution."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from rt_seg.engines.geometry import Box
from rt_seg.errors import OutputError
from rt_seg.realtime.frame import Polyp
from rt_seg.realtime.regions import frame_mask
from rt_seg.realtime.sinks.masks import MasksSink

IMAGE = np.zeros((48, 64, 3), np.uint8)


def _rendered(make_rendered: Callable[..., Any], index: int = 0) -> Any:
    probability = np.zeros((32, 32), np.uint8)
    probability[8:24, 4:20] = 255
    polyp = Polyp(Box(8, 12, 32, 24), 768, 0.25, 1.0)
    return make_rendered(index, index / 30, IMAGE, polyps=(polyp,), probability=probability)


def test_a_mask_has_the_size_of_the_frame_and_two_values(tmp_path: Path, make_rendered: Callable[..., Any]) -> None:
    """8 bits, one channel, 0 and 255, exactly what `frame_mask` says."""
    rendered = _rendered(make_rendered)
    sink = MasksSink(tmp_path / "masks")
    sink.write(rendered)
    sink.close()
    mask = cv2.imread(str(tmp_path / "masks" / "000000.png"), cv2.IMREAD_UNCHANGED)
    assert mask is not None
    assert mask.shape == (48, 64)
    assert set(np.unique(mask)) == {0, 255}
    assert np.array_equal(mask, frame_mask(rendered.segmentation))
    header = (tmp_path / "masks" / "000000.png").read_bytes()[16:26]
    assert struct.unpack(">IIBB", header) == (64, 48, 8, 0)  # 8 bits, greyscale


def test_masks_are_named_by_the_frames_index(tmp_path: Path, make_rendered: Callable[..., Any]) -> None:
    """Six digits, and more where six are too few."""
    sink = MasksSink(tmp_path / "masks")
    for index in (0, 41, 1_234_567):
        sink.write(_rendered(make_rendered, index))
    assert sorted(item.name for item in (tmp_path / "masks").iterdir()) == ["000000.png", "000041.png", "1234567.png"]


def test_the_folder_is_made_with_the_first_frame(tmp_path: Path) -> None:
    """Without a frame nothing is left behind."""
    MasksSink(tmp_path / "masks").close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["file.txt", "nowhere/masks", "used", "images"])
def test_bad_folders_are_refused(name: str, tmp_path: Path) -> None:
    """A file, a missing parent, the masks of another run, and the folder that the images come from."""
    (tmp_path / "file.txt").write_text("text")
    (tmp_path / "images").mkdir()
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "000000.png").write_bytes(b"")
    with pytest.raises(OutputError) as caught:
        MasksSink(tmp_path / name, tmp_path / "images")
    assert "\n" not in str(caught.value)


def test_a_folder_that_vanishes_is_reported(tmp_path: Path, make_rendered: Callable[..., Any]) -> None:
    """A write that fails says which file and leaves none half written."""
    sink = MasksSink(tmp_path / "masks")
    sink.write(_rendered(make_rendered))
    (tmp_path / "masks" / "000000.png").unlink()
    (tmp_path / "masks").rmdir()
    (tmp_path / "masks").write_text("in the way")
    with pytest.raises(OutputError, match=r"000001\.png|masks"):
        sink.write(_rendered(make_rendered, 1))
