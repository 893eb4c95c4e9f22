"""`rt-seg predict`: pictures in, masks, overlays and boxes out."""

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from typer.testing import CliRunner, Result

from rt_seg.cli import app
from rt_seg.engines.masks import iou
from rt_seg.realtime.predict import Predictor

UInt8Array = npt.NDArray[np.uint8]

WIDTH, HEIGHT, CENTRE, RADIUS = 200, 150, (120, 60), 40


def disc() -> UInt8Array:
    """A mask of 0 and 255."""
    return np.asarray(cv2.circle(np.zeros((HEIGHT, WIDTH), np.uint8), CENTRE, RADIUS, 255, -1), np.uint8)


def write_picture(path: Path) -> Path:
    """A red disc on green: what the tiny model, whose probability is the red channel, sees as a polyp."""
    picture = np.full((HEIGHT, WIDTH, 3), (60, 110, 0), np.uint8)
    cv2.imwrite(str(path), cv2.circle(picture, CENTRE, RADIUS, (0, 0, 255), -1))
    return path


@pytest.fixture
def predict(tiny_model_path: Path) -> Callable[..., Result]:
    """Runs the command line in this process with the tiny model."""

    def run(*arguments: object) -> Result:
        options = ["predict", "--engine", tiny_model_path, "--precision", "f32", *arguments]
        return CliRunner().invoke(app, list(map(str, options)))

    return run


def record_in(folder: Path) -> dict[str, Any]:
    """What `predictions.json` holds."""
    values: dict[str, Any] = json.loads((folder / "predictions.json").read_text(encoding="utf-8"))
    return values


def read(path: Path, flags: int = cv2.IMREAD_COLOR_BGR) -> UInt8Array:
    """A picture that must be there."""
    picture = cv2.imread(str(path), flags)
    assert picture is not None, path
    return np.asarray(picture, np.uint8)


def test_mask_overlay_and_box_of_a_picture(predict: Callable[..., Result], tmp_path: Path) -> None:
    """Each comes out under the picture's name, at its size, with the polyp where the disc is."""
    picture, output = write_picture(tmp_path / "disc.png"), tmp_path / "out"
    result = predict(picture, "-o", output)
    assert result.exit_code == 0, result.output
    assert result.stdout == f"1 of 1 pictures done, 1 with a polyp: {output}\n"
    mask = read(output / "masks" / "disc.png", cv2.IMREAD_UNCHANGED)
    assert set(np.unique(mask)) == {0, 255}
    assert iou(mask, disc()) > 0.95
    drawn, source = read(output / "overlays" / "disc.png"), read(picture)
    near = cv2.dilate(disc(), np.ones((15, 15), np.uint8)) > 0
    assert (drawn != source).any()
    assert (drawn == source)[~near].all()
    (image,) = record_in(output)["images"]
    assert (image["image"], image["width"], image["height"]) == (str(picture), WIDTH, HEIGHT)
    assert (output / image["mask"]).is_file()
    assert (output / image["overlay"]).is_file()
    (polyp,) = image["polyps"]
    assert np.abs(np.array(polyp["box"]) - [80, 20, 81, 81]).max() <= 4
    assert polyp["area_px"] == pytest.approx(np.pi * RADIUS**2, rel=0.05)
    assert polyp["confidence"] > 0.9


def test_roi_and_threshold_decide_what_is_found(predict: Callable[..., Result], tmp_path: Path) -> None:
    """Outside the given region nothing is found; the threshold is recorded as it was used."""
    picture = write_picture(tmp_path / "disc.png")
    assert predict(picture, "-o", tmp_path / "out", "--roi", "0,0,60,150", "--threshold", "0.7").exit_code == 0
    record = record_in(tmp_path / "out")
    assert record["threshold"] == 0.7
    assert record["images"][0]["region"] == [0, 0, 60, 150]
    assert record["images"][0]["polyps"] == []
    assert not read(tmp_path / "out" / "masks" / "disc.png").any()


def test_folders_and_patterns(predict: Callable[..., Result], tmp_path: Path) -> None:
    """A folder's pictures come in natural order, each once, other files left out."""
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("frame10.png", "frame2.jpg", "other.bmp"):
        write_picture(folder / name)
    (folder / "notes.txt").write_text("no picture")
    assert predict(folder / "frame*", folder, "-o", tmp_path / "out").exit_code == 0
    names = [Path(image["image"]).name for image in record_in(tmp_path / "out")["images"]]
    assert names == ["frame2.jpg", "frame10.png", "other.bmp"]


def test_unreadable_pictures_do_not_hold_up_the_others(predict: Callable[..., Result], tmp_path: Path) -> None:
    """One line each, the rest is done, and the exit code says that something was missing."""
    good, also_good = write_picture(tmp_path / "good.png"), write_picture(tmp_path / "also_good.png")
    broken, video, missing = tmp_path / "broken.jpg", tmp_path / "clip.mp4", tmp_path / "missing.png"
    broken.write_bytes(b"\xff\xd8 no picture")
    video.write_bytes(b"no picture by its name")
    result = predict(good, broken, missing, video, also_good, "-o", tmp_path / "out")
    assert result.exit_code == 3
    assert "Traceback" not in result.stderr
    lines = result.stderr.splitlines()
    for line, path in zip(lines, (broken, missing, video), strict=True):
        assert line.startswith(f"rt-seg: {path}: ")
    record = record_in(tmp_path / "out")
    assert [image["image"] for image in record["images"]] == [str(good), str(also_good)]
    assert [failed["image"] for failed in record["failed"]] == [str(broken), str(missing), str(video)]
    assert sorted(file.name for file in (tmp_path / "out" / "masks").iterdir()) == ["also_good.png", "good.png"]


def test_names_that_would_collide_are_refused(predict: Callable[..., Result], tmp_path: Path) -> None:
    """Two pictures of one base name: nothing is written, and both are named."""
    first, second = write_picture(tmp_path / "same.png"), write_picture(tmp_path / "same.jpg")
    result = predict(first, second, "-o", tmp_path / "out")
    assert result.exit_code == 2
    assert str(first) in result.stderr
    assert str(second) in result.stderr
    assert not (tmp_path / "out").exists()


def test_empty_folder_and_pattern_are_refused(predict: Callable[..., Result], tmp_path: Path) -> None:
    """Nothing to do is a mistake in the command, said before any work."""
    (tmp_path / "empty").mkdir()
    for text in (tmp_path / "empty", tmp_path / "*.png"):
        result = predict(text, "-o", tmp_path / "out")
        assert result.exit_code == 3
        assert str(text) in result.stderr
        assert result.stderr.count("\n") == 1


def test_input_is_never_overwritten(predict: Callable[..., Result], tmp_path: Path) -> None:
    """An output folder whose `masks` are the input is refused."""
    (tmp_path / "masks").mkdir()
    picture = write_picture(tmp_path / "masks" / "disc.png")
    before = picture.read_bytes()
    assert predict(picture, "-o", tmp_path).exit_code == 7
    assert picture.read_bytes() == before


def test_region_outside_a_picture_names_it(predict: Callable[..., Result], tmp_path: Path) -> None:
    """The message says which picture is too small for the region."""
    picture = write_picture(tmp_path / "disc.png")
    result = predict(picture, "-o", tmp_path / "out", "--roi", "100,100,300,300")
    assert result.exit_code == 2
    assert str(picture) in result.stderr


def test_what_is_done_is_recorded_when_writing_fails(predict: Callable[..., Result], tmp_path: Path) -> None:
    """The first picture stays, whole and recorded, though the second cannot be written."""
    first, second = write_picture(tmp_path / "first.png"), write_picture(tmp_path / "second.png")
    output = tmp_path / "out"
    (output / "overlays" / "second.png").mkdir(parents=True)
    result = predict(first, second, "-o", output)
    assert result.exit_code == 7
    assert "second.png" in result.stderr
    assert [image["image"] for image in record_in(output)["images"]] == [str(first)]


def test_ctrl_c_ends_after_the_picture_at_hand(
    predict: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The picture in work is finished and recorded; the exit code is the signal's."""
    first, second = write_picture(tmp_path / "first.png"), write_picture(tmp_path / "second.png")
    done = Predictor.predict

    def interrupted(self: Predictor, path: Path) -> None:
        if path == first:  # a second Ctrl-C would end at once
            signal.raise_signal(signal.SIGINT)
        done(self, path)

    monkeypatch.setattr(Predictor, "predict", interrupted)
    assert predict(first, second, "-o", tmp_path / "out").exit_code == 130
    assert [image["image"] for image in record_in(tmp_path / "out")["images"]] == [str(first)]
