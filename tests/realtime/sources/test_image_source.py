"""Folders and patterns of stills."""

import random
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rt_seg.errors import SourceError, SourceInterrupted
from rt_seg.realtime.frame import Frame
from rt_seg.realtime.sources.images import ImageSource, natural_order, read_image
from rt_seg.realtime.sources.open import open_source

UInt8Array = npt.NDArray[np.uint8]
NumberedPicture = Callable[[int, int, int], UInt8Array]
ReadNumber = Callable[[UInt8Array], int]


@pytest.fixture
def stills(numbered_picture: NumberedPicture, tmp_path: Path) -> Path:
    """A folder of 12 PNGs, ``frame_0.png`` to ``frame_11.png``, each 4 pixels wider than the one before."""
    folder = tmp_path / "stills"
    folder.mkdir()
    for number in range(12):
        cv2.imwrite(str(folder / f"frame_{number}.png"), numbered_picture(number, 64 + 4 * number, 48))
    (folder / "notes.txt").write_text("not a picture")
    (folder / ".hidden.png").write_bytes(b"not a picture either")
    return folder


def frames_of(uri: Path, **selection: float) -> list[Frame]:
    """All frames of a source."""
    source = open_source(str(uri), **selection)  # type: ignore[arg-type]  # each test gives the right one
    frames = list(source)
    source.close()
    return frames


@pytest.mark.parametrize("pattern", ["", "*.png", "frame_*"])
def test_stills_come_in_natural_order_in_their_own_sizes(pattern: str, stills: Path, read_number: ReadNumber) -> None:
    """A folder or a pattern: 2 before 10, 25 a second, sizes as they are, other files left out."""
    source = open_source(str(stills / pattern))
    frames = list(source)
    assert [read_number(frame.image) for frame in frames] == list(range(12))
    assert [frame.pts_seconds for frame in frames] == [number / 25 for number in range(12)]
    assert [frame.width for frame in frames] == [64 + 4 * number for number in range(12)]
    info = source.info
    assert (info.kind, info.live, info.width, info.height, info.fps, info.frame_count) == (
        "images", False, 64, 48, 25.0, 12,
    )  # fmt: skip
    assert info.time_base == Fraction(1, 25)
    source.close()
    assert list(source) == []


def test_a_part_of_the_stills(stills: Path, read_number: ReadNumber) -> None:
    """Start, duration and limit count in nominal time."""
    assert [read_number(f.image) for f in frames_of(stills, start=0.1, duration=0.2)] == [3, 4, 5, 6, 7]
    assert [read_number(f.image) for f in frames_of(stills, start=0.1, limit=2)] == [3, 4]
    assert frames_of(stills, start=0.1)[0].pts_seconds == 0.12
    with pytest.raises(SourceError, match=r"start is 9 s, but it ends at 0.48 s; choose an earlier start"):
        open_source(str(stills), start=9.0)
    with pytest.raises(SourceError, match=r"no frame is shown from 0.01 s to 0.02 s; choose a longer duration"):
        open_source(str(stills), start=0.01, duration=0.01)


def test_another_nominal_rate(stills: Path) -> None:
    """Who knows the rate of the stills can say so."""
    paths = sorted(stills.glob("frame_*.png"), key=natural_order)
    source = ImageSource(paths, name="stills", fps=Fraction(30_000, 1001))
    assert [frame.pts_seconds for frame in source] == [float(number * Fraction(1001, 30_000)) for number in range(12)]


def test_one_picture_is_a_source(stills: Path, read_number: ReadNumber) -> None:
    """A single still is one frame."""
    frames = frames_of(stills / "frame_7.png")
    assert [read_number(frame.image) for frame in frames] == [7]


def test_every_kind_of_picture_becomes_bgr(tmp_path: Path) -> None:
    """Grey, 16 bits, alpha and palettes are uint8 BGR in the end, with the colours that were meant."""
    colour = np.zeros((6, 8, 3), np.uint8)
    colour[:] = (10, 120, 250)
    grey = np.full((6, 8), 120, np.uint8)
    alpha = np.dstack([colour, np.full((6, 8), 90, np.uint8)])
    kinds: dict[str, tuple[npt.NDArray[np.integer[Any]], tuple[int, int, int]]] = {
        "colour.png": (colour, (10, 120, 250)),
        "colour.tiff": (colour, (10, 120, 250)),
        "colour.bmp": (colour, (10, 120, 250)),
        "grey.png": (grey, (120, 120, 120)),
        "grey.pgm": (grey, (120, 120, 120)),
        "deep.png": (grey.astype(np.uint16) * 257, (120, 120, 120)),
        "deep_colour.png": (colour.astype(np.uint16) * 257, (10, 120, 250)),
        "alpha.png": (alpha, (10, 120, 250)),
    }
    for name, (image, expected) in kinds.items():
        cv2.imwrite(str(tmp_path / name), image)
        seen = read_image(tmp_path / name)
        assert (seen.dtype, seen.shape) == (np.dtype(np.uint8), (6, 8, 3))
        assert seen[3, 4].tolist() == list(expected), name


@pytest.mark.parametrize("damage", ["text", "empty", "png", "jpg", "bmp", "tiff"])
def test_an_unreadable_still_midway_keeps_those_before(
    damage: str, stills: Path, read_number: ReadNumber, capfd: pytest.CaptureFixture[str]
) -> None:
    """The line names the picture; OpenCV's own noise is not printed (libpng's cannot be kept from it)."""
    noise = np.random.default_rng(0).integers(0, 255, (480, 640, 3), dtype=np.uint8)
    content = {"text": b"no picture at all", "empty": b""}.get(damage)
    if content is None:  # half a picture
        whole = cv2.imencode(f".{damage}", noise)[1].tobytes()
        content = whole[: len(whole) // 2]
    (stills / "frame_5.png").write_bytes(content)
    numbers: list[int] = []
    source = open_source(str(stills))
    with pytest.raises(
        SourceInterrupted, match=r"frame_5\.png: .*: picture 5, at 0.20 s; the pictures before"
    ) as caught:
        numbers.extend(read_number(frame.image) for frame in source)
    source.close()
    assert numbers == [0, 1, 2, 3, 4]
    assert "\n" not in str(caught.value)
    assert damage == "png" or capfd.readouterr() == ("", "")


def test_an_unreadable_first_still_is_refused_on_opening(stills: Path) -> None:
    """Nothing begins with a picture that cannot be read."""
    (stills / "frame_0.png").write_bytes(b"no picture at all")
    with pytest.raises(SourceError, match=r"frame_0\.png: not a picture that can be decoded") as caught:
        open_source(str(stills))
    assert not isinstance(caught.value, SourceInterrupted)


@given(st.lists(st.integers(0, 10**6), min_size=2, max_size=20, unique=True))
def test_numbers_sort_by_value(numbers: list[int]) -> None:
    """Whatever the numbers, their files come in the order of the numbers, padded or not."""
    shuffled = [Path(f"f{number}_left.png") for number in numbers]
    random.Random(0).shuffle(shuffled)  # noqa: S311  # no secret
    assert sorted(shuffled, key=natural_order) == [Path(f"f{number}_left.png") for number in sorted(numbers)]
    padded = [Path(f"f{number:09}.png") for number in numbers]
    assert sorted(padded, key=natural_order) == sorted(padded)
