"""`rt-seg evaluate` from end to end: real pictures, a real engine whose answer is known, figures worked out by hand."""

import csv
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from typer.testing import CliRunner, Result

from rt_seg.benchmarks.evaluate import prepare
from rt_seg.cli import app
from rt_seg.engines.geometry import Box
from rt_seg.engines.spec import ModelSpec

UInt8Array = npt.NDArray[np.uint8]
DataWriter = Callable[..., Path]


def rectangle(row: int, column: int, height: int, width: int, value: int = 255) -> UInt8Array:
    """A rectangle on a black 64x64 picture."""
    picture = np.zeros((64, 64), np.uint8)
    picture[row : row + height, column : column + width] = value
    return picture


NOTHING = rectangle(0, 0, 0, 0)
HALF_RIGHT = (rectangle(0, 16, 32, 32), rectangle(0, 0, 32, 32))  # Dice 0.5, IoU 1/3
RIGHT = (rectangle(8, 8, 16, 16), rectangle(8, 8, 16, 16))
FALSE_REGION = (rectangle(10, 10, 6, 5), NOTHING)  # 30 of 4096 pixels: 0.73 %
FALSE_SPECK = (rectangle(10, 10, 5, 4), NOTHING)  # 20 of 4096 pixels: 0.49 %
DIM = (rectangle(0, 0, 64, 64, value=51), NOTHING)  # 0.2 everywhere: stretched to fill 0 to 1 it would be an alarm


@pytest.fixture(scope="module")
def model(write_tiny_model: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model, 64x64, whose resize leaves a picture of that size as it is."""
    return write_tiny_model(tmp_path_factory.mktemp("model") / "tiny.onnx", interpolation="linear")


@pytest.fixture(scope="module")
def centres(write_data: DataWriter, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two data folders; read-only."""
    folder = tmp_path_factory.mktemp("data")
    return (
        write_data(folder / "A", a_half=HALF_RIGHT, b_right=RIGHT, c_alarm=FALSE_REGION),
        write_data(folder / "B", a_right=RIGHT, b_speck=FALSE_SPECK, c_dim=DIM),
    )


def evaluate(model: Path, *arguments: object) -> Result:
    """Run the command line in this process."""
    options = ["--engine", model, "--precision", "f32", *arguments]
    return CliRunner(env={"COLUMNS": "120"}).invoke(app, ["evaluate", *map(str, options)])


def figures_of(model: Path, *arguments: object) -> dict[str, Any]:
    """What a successful `rt-seg evaluate --json` prints."""
    result = evaluate(model, *arguments, "--json")
    assert result.exit_code == 0, result.output
    values: dict[str, Any] = json.loads(result.stdout)
    return values


def test_figures_are_those_worked_out_by_hand(model: Path, centres: tuple[Path, Path]) -> None:
    """Overlap counts where there is a polyp, false regions where there is none, and each image the same."""
    overall = figures_of(model, "--data", centres[0], "--data", centres[1])["overall"]
    with_polyp, free = overall["with_polyp"], overall["without_polyp"]
    assert (overall["images"]["images"], with_polyp["images"], free["images"]) == (6, 3, 3)
    assert with_polyp["measures"]["dice"]["value"] == pytest.approx(2.5 / 3)
    assert with_polyp["measures"]["iou"]["value"] == pytest.approx((1 / 3 + 2) / 3)
    assert with_polyp["measures"]["f2"]["value"] == pytest.approx(2.5 / 3)
    assert overall["false_alarms"] == 1
    assert overall["false_alarm_share"]["value"] == pytest.approx(1 / 3)
    assert free["measures"]["false_positive_area"]["value"] == pytest.approx(50 / 4096 / 3)
    errors = (1024 + 30 + 20 + 0.2 * 4096) / 4096
    assert overall["images"]["measures"]["mae"]["value"] == pytest.approx(errors / 6)
    assert overall["images"]["measures"]["accuracy"]["value"] == pytest.approx(1 - (1024 + 50) / 4096 / 6)
    assert overall["images"]["measures"]["dice"]["value"] == pytest.approx((0.5 + 1 + 1 + 0 + 0 + 1) / 6)


def test_each_centre_has_its_own_figures(model: Path, centres: tuple[Path, Path]) -> None:
    """The per-centre table splits what the total adds up."""
    by_centre = figures_of(model, "--data", centres[0], "--data", centres[1])["centres"]
    assert by_centre["A"]["with_polyp"]["measures"]["dice"]["value"] == pytest.approx(0.75)
    assert by_centre["B"]["with_polyp"]["measures"]["dice"]["value"] == 1.0
    assert by_centre["B"]["with_polyp"]["measures"]["dice"]["low"] is None
    assert (by_centre["A"]["false_alarms"], by_centre["B"]["false_alarms"]) == (1, 0)


def test_threshold_moves_what_is_marked(model: Path, centres: tuple[Path, Path]) -> None:
    """Below 0.2 the dim picture is marked whole; the curve says the same of that threshold."""
    data = ("--data", centres[1])
    low = figures_of(model, *data, "--threshold", 0.1)
    assert low["overall"]["false_alarms"] == 1
    usual = figures_of(model, *data)
    assert usual["overall"]["false_alarms"] == 0
    curves = usual["curves"]
    at = {round(threshold * 255): number for number, threshold in enumerate(curves["threshold"])}
    assert [curves["false_alarm_share"][at[level]] for level in (51, 52, 255)] == [0.5, 0.0, 0.0]
    assert curves["mdice"][at[128]] == 1.0


def test_table_for_people_names_the_figures(model: Path, centres: tuple[Path, Path]) -> None:
    """Without --json the tables stand on standard output, one row a centre."""
    result = evaluate(model, "--data", centres[0], "--data", centres[1])
    assert result.exit_code == 0, result.output
    lines = {tuple(line.split()[:2]): line.split() for line in result.stdout.splitlines() if line.split()}
    assert lines["mDice", "0.8333"][2:] == ["0.5000", "to", "1.0000"]
    assert lines["A", "2"][2:] == ["0.7500", "0.6667", "0.7500", "0.7500", "0.7500", "1", "100.0", "%", "0.73", "%"]
    assert "(1 of 3)" in result.stdout


def test_compared_at_the_masks_own_size(model: Path, write_data: DataWriter, tmp_path: Path) -> None:
    """A disc of 200x150 goes through the 64x64 model and comes back to where it was."""
    disc = np.asarray(cv2.circle(np.zeros((150, 200), np.uint8), (120, 60), 40, 255, -1), np.uint8)
    output = tmp_path / "report"
    folder = write_data(tmp_path / "C1", disc=(disc, disc))
    values = figures_of(model, "--data", folder, "--output", output, "--no-figures")
    assert values["overall"]["with_polyp"]["measures"]["dice"]["value"] > 0.97
    with (output / "per_image.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["centre"], row["name"], row["width"], row["height"], row["has_polyp"]) == (
        "C1",
        "disc",
        "200",
        "150",
        "1",
    )
    assert float(row["dice"]) == pytest.approx(values["overall"]["with_polyp"]["measures"]["dice"]["value"], abs=1e-6)
    assert json.loads((output / "summary.json").read_text()) == values
    assert not (output / "figures").exists()


def test_roi_auto_looks_into_the_field_of_view_only() -> None:
    """With `full` the model sees the whole picture, with `auto` the lit part."""
    picture = np.zeros((480, 640, 3), np.uint8)
    picture[40:440, 200:600] = 120
    spec = ModelSpec(name="any", width=64, height=64)
    assert prepare(picture, spec, "full").geometry.region == Box.of_size(640, 480)
    region = prepare(picture, spec, "auto").geometry.region
    assert abs(region.x - 200) <= 12
    assert abs(region.right - 600) <= 12


@pytest.mark.slow
def test_figures_show_best_worst_alarms_and_threshold(
    model: Path, centres: tuple[Path, Path], write_data: DataWriter, tmp_path: Path
) -> None:
    """Four pictures are drawn where there is something to show; those of an earlier run do not stay behind."""
    output = tmp_path / "report"
    result = evaluate(model, "--data", centres[0], "-o", output)
    assert result.exit_code == 0, result.output
    drawn = {file.name: cv2.imread(str(file)) for file in (output / "figures").iterdir()}
    assert set(drawn) == {"best.png", "worst.png", "false_alarms.png", "threshold.png"}
    assert all(picture is not None and picture.std() > 10 for picture in drawn.values())
    clean = write_data(tmp_path / "clean", right=RIGHT)
    assert evaluate(model, "--data", clean, "-o", output).exit_code == 0
    assert {file.name for file in (output / "figures").iterdir()} == {"best.png", "worst.png", "threshold.png"}


def test_without_matplotlib_one_line_says_how_to_get_it(
    model: Path, centres: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked for before the work, and only if figures are wanted."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    output = tmp_path / "report"
    result = evaluate(model, "--data", centres[0], "-o", output)
    assert result.exit_code == 9
    assert "pip install 'rt-seg[plots]'" in result.stderr
    assert not output.exists()
    assert evaluate(model, "--data", centres[0], "-o", output, "--no-figures").exit_code == 0


@pytest.mark.parametrize("trouble", ["broken", "other size", "no mask", "empty"])
def test_unusable_data_is_one_line(trouble: str, model: Path, write_data: DataWriter, tmp_path: Path) -> None:
    """An image that cannot be used ends the evaluation: a figure over the rest would pass for one over all."""
    folder = write_data(tmp_path / "C1", a=RIGHT, b=RIGHT)
    image, mask = folder / "images" / "b.png", folder / "masks" / "b.png"
    if trouble == "broken":
        image.write_bytes(b"no picture")
    elif trouble == "other size":
        cv2.imwrite(str(mask), np.zeros((64, 65), np.uint8))
    elif trouble == "no mask":
        mask.unlink()
    else:
        for file in (folder / "images").iterdir():
            file.unlink()
    result = evaluate(model, "--data", folder, "-o", tmp_path / "report", "--no-figures")
    assert result.exit_code == 6
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("rt-seg: ")
    assert ("images" if trouble == "empty" else "b.png") in last
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "report").exists()


def test_unwritable_report_is_said_before_the_work(model: Path, centres: tuple[Path, Path], tmp_path: Path) -> None:
    """A folder that cannot be made is exit code 7, and no engine was loaded for it."""
    result = evaluate(model, "--data", centres[0], "-o", tmp_path / "missing" / "report", "--no-figures")
    assert result.exit_code == 7
    assert "does not exist" in result.stderr
    assert "engine" not in result.stderr
