"""Colours: the matrix and range of the source are honoured; a chart survives decoding."""

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
from av.video.reformatter import ColorRange

from rt_seg.realtime.sources.open import open_source
from rt_seg.realtime.sources.pixels import BgrConverter

UInt8Array = npt.NDArray[np.uint8]
FloatArray = npt.NDArray[np.float64]
WriteClip = Callable[..., Path]

# Kr, Kb of ITU-R BT.601-7, BT.709-6 and BT.2020-2, and their codes in ITU-T H.273
WEIGHTS = {"601": (0.299, 0.114), "709": (0.2126, 0.0722), "2020": (0.2627, 0.0593)}
CODES = {"601": 6, "709": 1, "2020": 9}
PATCH = 16
COLUMNS = 18  # of the chart: 216 colours, 18 x 12


def chart() -> FloatArray:
    """216 colours over the whole RGB cube: float ``[216, 3]``, BGR, 0-255."""
    return np.array(list(product(np.linspace(0, 255, 6), repeat=3)))


def to_yuv(bgr: FloatArray, matrix: str, full: bool, bits: int) -> list[npt.NDArray[np.int64]]:
    """The defining equations, rounded: Y, U, V of each colour."""
    kr, kb = WEIGHTS[matrix]
    blue, green, red = bgr.T / 255
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    chroma = (blue - luma) / (2 * (1 - kb)), (red - luma) / (2 * (1 - kr))
    step, top = 2 ** (bits - 8), 2**bits - 1
    y = luma * top if full else (16 + 219 * luma) * step
    uv = [128 * step + value * (top if full else 224 * step) for value in chroma]
    return [np.clip(np.rint(plane), 0, top).astype(np.int64) for plane in (y, *uv)]


def picture_of(planes: list[npt.NDArray[np.int64]], pix_fmt: str, width: int, height: int) -> av.VideoFrame:
    """A frame of flat patches, written plane by plane so that no converter comes between."""
    frame = av.VideoFrame(width, height, pix_fmt)
    for plane, values in zip(frame.planes, planes, strict=True):
        item = np.dtype(np.uint16 if "10" in pix_fmt else np.uint8)
        rows = np.arange(plane.height) * height // plane.height // PATCH
        columns = np.minimum(np.arange(plane.width) * width // plane.width // PATCH, COLUMNS - 1)
        patches = np.minimum(rows[:, None] * COLUMNS + columns, len(values) - 1)
        lines = np.zeros((plane.height, plane.line_size // item.itemsize), item)
        lines[:, : plane.width] = values[patches]
        plane.update(lines.tobytes())
    return frame


def patches_of(image: UInt8Array) -> FloatArray:
    """The colour in the middle of each patch of a chart: float ``[216, 3]``, BGR."""
    centres = [(number // COLUMNS * PATCH + 8, number % COLUMNS * PATCH + 8) for number in range(216)]
    return np.array([image[centre] for centre in centres], np.float64)


def decoded_chart(
    write_clip: WriteClip, path: Path, matrix: str, full: bool, *, tag: bool = True, lines: int = 192, **kind: Any
) -> FloatArray:
    """Write the chart without loss, read it through a source: float ``[216, 3]``, BGR."""
    pix_fmt = str(kind.get("pix_fmt", "yuv420p"))
    width = int(kind.pop("width", COLUMNS * PATCH))
    planes = to_yuv(chart(), matrix, full, 10 if "10" in pix_fmt else 8)

    def mark(stream: av.VideoStream) -> None:
        if tag:
            stream.codec_context.colorspace = CODES[matrix]
            stream.codec_context.color_range = ColorRange.JPEG if full else ColorRange.MPEG

    picture = picture_of(planes, pix_fmt, width, lines)
    write_clip(path, pictures=[picture], width=width, height=lines, setup=mark, **kind)
    source = open_source(str(path))
    image = next(iter(source)).image
    source.close()
    return patches_of(image)


LOSSLESS: dict[str, dict[str, Any]] = {
    "yuv420p": {"options": {"qp": "0"}},
    "yuv422p": {"options": {"qp": "0"}},
    "yuv444p": {"options": {"qp": "0"}},
    "yuv420p10le": {"codec": "ffv1"},
    "yuv422p10le": {"codec": "ffv1"},
}


@pytest.mark.parametrize("pix_fmt", LOSSLESS)
@pytest.mark.parametrize("full", [False, True], ids=["limited", "full"])
@pytest.mark.parametrize("matrix", WEIGHTS)
def test_a_chart_survives(matrix: str, full: bool, pix_fmt: str, write_clip: WriteClip, tmp_path: Path) -> None:
    """216 colours in each matrix and range come within 3 levels, and as a whole neither darker nor brighter."""
    path = tmp_path / "chart.mkv"
    seen = decoded_chart(write_clip, path, matrix, full, pix_fmt=pix_fmt, **LOSSLESS[pix_fmt])
    difference = seen - chart()
    assert np.abs(difference).max() <= 3
    assert np.abs(difference.mean(axis=0)).max() < 1


@pytest.mark.parametrize("width", [287, 289])
def test_a_chart_of_odd_width_survives(width: int, write_clip: WriteClip, tmp_path: Path) -> None:
    """An odd width takes another way through the converter, and the colours stay."""
    path = tmp_path / "chart.mkv"
    seen = decoded_chart(write_clip, path, "709", False, pix_fmt="yuv420p", width=width, codec="ffv1")
    assert np.abs(seen - chart()).max() <= 3


@pytest.mark.parametrize(("lines", "matrix"), [(576, "601"), (720, "709"), (1080, "709")])
def test_untagged_video_is_taken_as_players_take_it(
    lines: int, matrix: str, write_clip: WriteClip, tmp_path: Path
) -> None:
    """Without tags it is limited range, BT.601 below 720 lines and BT.709 from there on."""
    path = tmp_path / "chart.mkv"
    seen = decoded_chart(write_clip, path, matrix, False, tag=False, lines=lines, options={"qp": "0"})
    assert np.abs(seen - chart()).max() <= 3


def test_motion_jpeg_is_full_range(write_clip: WriteClip, tmp_path: Path) -> None:
    """Motion JPEG uses 0-255 in BT.601 and says so by its format alone: black and white stay what they are."""
    planes = to_yuv(chart(), "601", True, 8)
    picture = picture_of(planes, "yuvj420p", COLUMNS * PATCH, 192)
    path = tmp_path / "chart.avi"
    options = {"qmin": "1", "qmax": "1"}
    size = {"width": COLUMNS * PATCH, "height": 192}
    write_clip(path, pictures=[picture], codec="mjpeg", pix_fmt="yuvj420p", options=options, **size)
    source = open_source(str(path))
    seen = patches_of(next(iter(source)).image)
    source.close()
    assert np.abs(seen - chart()).max() <= 6  # JPEG loses some


@pytest.mark.parametrize(("full", "black", "white"), [(True, 0, 255), (False, 16, 235)], ids=["full", "limited"])
def test_grey_keeps_black_and_white(full: bool, black: int, white: int, write_clip: WriteClip, tmp_path: Path) -> None:
    """A grey video's range is honoured as a colour video's is."""
    image = np.full((48, 64), black, np.uint8)
    image[:, 32:] = white

    def mark(stream: av.VideoStream) -> None:
        stream.codec_context.color_range = ColorRange.JPEG if full else ColorRange.MPEG

    picture = av.VideoFrame.from_ndarray(image, "gray")
    path = write_clip(tmp_path / "grey.mkv", pictures=[picture], codec="ffv1", pix_fmt="gray", setup=mark)
    source = open_source(str(path))
    seen = next(iter(source)).image
    source.close()
    assert seen[24, 8].tolist() == [0, 0, 0]
    assert seen[24, 56].tolist() == [255, 255, 255]


@pytest.mark.parametrize("pix_fmt", ["bgr24", "yuv420p", "gray"])
def test_a_converted_picture_has_memory_of_its_own(pix_fmt: str) -> None:
    """Whoever draws on it changes nothing that the decoder may build the next picture on, even where it was BGR."""
    picture = av.VideoFrame(64, 48, pix_fmt)
    for plane in picture.planes:
        plane.update(bytes([77]) * plane.buffer_size)
    BgrConverter()(picture)[:] = 1
    assert all(set(bytes(plane)) == {77} for plane in picture.planes)
