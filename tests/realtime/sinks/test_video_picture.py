"""Colours and sizes of the recording."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from rt_seg.realtime.sinks.picture import letterbox
from rt_seg.realtime.sinks.video import VideoSink
from rt_seg.realtime.sources.source import SourceInfo

CHART_BGR = [
    (0, 0, 255), (0, 255, 0), (255, 0, 0), (255, 255, 0), (255, 0, 255), (0, 255, 255),
    (80, 90, 200), (60, 20, 120),  # tissue
    *[(level, level, level) for level in (0, 1, 16, 64, 128, 192, 235, 255)],
]  # fmt: skip
BLOCK = 48


def _write(path: Path, info: SourceInfo, images: list[Any], make_rendered: Callable[..., Any]) -> None:
    sink = VideoSink(path, info)
    for index, image in enumerate(images):
        sink.write(make_rendered(index, index / 30, image))
    sink.close()


def _pictures(path: Path) -> list[Any]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]


def _bgr_by_the_tags(frame: av.VideoFrame) -> Any:
    """BGR by ITU-T H.273 from the planes and the file's tags alone, chroma repeated."""
    assert frame.color_range == 1  # limited
    red, blue = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 6: (0.299, 0.114)}[frame.colorspace]
    planes = frame.to_ndarray(format="yuv420p").astype(np.float64)
    height, width = frame.height, frame.width
    luma = (planes[:height] - 16) / 219
    chroma = (planes[height:].reshape(2, height // 2, width // 2) - 128) / 224
    cb, cr = (np.repeat(np.repeat(plane, 2, axis=0), 2, axis=1) for plane in chroma)
    r = luma + 2 * (1 - red) * cr
    b = luma + 2 * (1 - blue) * cb
    g = (luma - red * r - blue * b) / (1 - red - blue)
    return np.clip(np.stack([b, g, r], axis=2) * 255, 0, 255)


def test_colours_survive_by_the_files_tags(
    tmp_path: Path, make_rendered: Callable[..., Any], camera: SourceInfo
) -> None:
    """Saturated colours, tissue and greys come back within 3 levels for a reader that follows the tags."""
    chart = np.concatenate([np.full((BLOCK, BLOCK, 3), colour, np.uint8) for colour in CHART_BGR], axis=1)
    _write(tmp_path / "chart.mp4", camera, [chart] * 3, make_rendered)
    with av.open(str(tmp_path / "chart.mp4")) as container:
        for frame in container.decode(video=0):
            decoded = _bgr_by_the_tags(frame)
            for index, colour in enumerate(CHART_BGR):
                inner = decoded[12:-12, index * BLOCK + 12 : (index + 1) * BLOCK - 12]
                assert np.abs(inner - colour).max() <= 3.0, colour


def test_the_container_says_the_colours_too(
    tmp_path: Path, make_rendered: Callable[..., Any], camera: SourceInfo
) -> None:
    """MP4's own colour box (``colr nclx``) holds primaries 1, transfer 1, matrix 6, limited range."""
    _write(tmp_path / "out.mp4", camera, [np.zeros((48, 64, 3), np.uint8)], make_rendered)
    assert b"colrnclx\x00\x01\x00\x01\x00\x06\x00" in (tmp_path / "out.mp4").read_bytes()


@pytest.mark.parametrize(("width", "height"), [(65, 49), (64, 49), (65, 48), (17, 15), (66, 50), (720, 577)])
def test_odd_sizes_keep_every_pixel(
    width: int, height: int, tmp_path: Path, make_rendered: Callable[..., Any], camera: SourceInfo
) -> None:
    """An odd size grows by one, what is added repeats the edge, and the rest is where it was."""
    image = np.full((height, width, 3), 40, np.uint8)
    image[-2:, -2:] = 200
    image[:8, :8] = (40, 40, 120)
    _write(tmp_path / "out.mp4", camera, [image], make_rendered)
    picture = _pictures(tmp_path / "out.mp4")[0]
    assert picture.shape == (height + height % 2, width + width % 2, 3)
    assert picture[-1, -1].min() > 150
    assert np.abs(picture[2:6, 2:6].astype(int) - (40, 40, 120)).max() <= 12
    middle = picture[12 : height - 8, 12 : width - 8]
    assert np.abs(middle.astype(int) - 40).max(initial=0) <= 4


def test_another_size_midway_is_letterboxed(
    tmp_path: Path, make_rendered: Callable[..., Any], camera: SourceInfo
) -> None:
    """The recording keeps its first size; a narrower picture stands in the middle between black bars."""
    first = np.full((96, 160, 3), 90, np.uint8)
    narrow = np.full((192, 160, 3), 180, np.uint8)
    _write(tmp_path / "out.mp4", camera, [first, narrow, first], make_rendered)
    before, between, after = _pictures(tmp_path / "out.mp4")
    assert before.shape == between.shape == after.shape == (96, 160, 3)
    assert np.abs(between[:, 48:112].astype(int) - 180).max() <= 6
    assert between[:, :32].max() <= 6
    assert between[:, 128:].max() <= 6
    assert np.abs(after.astype(int) - 90).max() <= 6


@pytest.mark.parametrize("shape", [(10, 400), (400, 10), (1, 1), (100, 160)])
def test_letterbox_keeps_proportions_and_fills(shape: tuple[int, int]) -> None:
    """Whatever the shape, the result has the wanted size and one pair of edges is touched."""
    boxed = letterbox(np.full((*shape, 3), 255, np.uint8), 160, 100)
    assert boxed.shape == (100, 160, 3)
    rows, columns = np.nonzero(boxed[:, :, 0])
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    assert height == 100 or width == 160
    assert abs(width / height - shape[1] / shape[0]) <= max(1 / height, shape[1] / shape[0] / height)
