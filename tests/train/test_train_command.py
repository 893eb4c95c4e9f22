"""The commands on the command line."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from rt_seg.errors import DataError, ModelError
from rt_seg.train.command import app
from rt_seg.train.config import TrainingConfig
from rt_seg.train.recipe import find_recipe

pytestmark = pytest.mark.slow


def test_train_then_export(data_folder: Path, tmp_path: Path) -> None:
    """`train` makes a run of the given options, `export` makes a deployable file of it."""
    run, model = tmp_path / "run", tmp_path / "out" / "model.onnx"
    options = ["--model", "unet", "--base-filters", "4", "--image-size", "32", "--epochs", "1", "--validation", "0.3"]
    done = CliRunner().invoke(app, ["train", "--data", str(data_folder), "--output", str(run), *options])
    assert done.exit_code == 0, done.output
    config = TrainingConfig.load(run / "config.json")
    assert (config.model, config.base_filters, config.epochs) == ("unet", 4, 1)
    done = CliRunner().invoke(app, ["export", str(run), "-o", str(model)])
    assert done.exit_code == 0, done.output
    assert "largest difference from Keras" in done.output.replace("\n", " ")
    assert model.is_file()


def test_int8_without_test_data_is_refused(tmp_path: Path) -> None:
    """The gate needs something to measure on."""
    done = CliRunner().invoke(app, ["export", str(tmp_path), "-o", str(tmp_path / "m.onnx"), "--int8"])
    assert done.exit_code == 2
    assert "--test-data" in done.output


def test_recipe_sets_options_and_the_command_line_overrides_it(data_folder: Path, tmp_path: Path) -> None:
    """The classic recipe runs; what is given beside it wins."""
    run = tmp_path / "run"
    options = ["--base-filters", "4", "--image-size", "32", "--epochs", "1", "--validation", "0.3"]
    arguments = ["train", "--data", str(data_folder), "--output", str(run), "--recipe", "kvasir-unet", *options]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    config = TrainingConfig.load(run / "config.json")
    assert (config.model, config.loss, config.schedule, config.monitor) == ("unet", "bce", "plateau", "accuracy")
    assert (config.augment, config.base_filters, config.epochs) == ("none", 4, 1)


@pytest.mark.parametrize(("content", "message"), [("speed = 3", "no option speed"), ("= 3", "cannot be read")])
def test_wrong_recipe_is_refused(content: str, message: str, tmp_path: Path) -> None:
    """A recipe with an unknown option, or that is not TOML, gives one line."""
    recipe = tmp_path / "wrong.toml"
    recipe.write_text(content)
    arguments = ["train", "--data", str(tmp_path), "--output", str(tmp_path / "run"), "--recipe", str(recipe)]
    with pytest.raises(DataError, match=message):
        CliRunner().invoke(app, arguments, catch_exceptions=False)
    with pytest.raises(DataError, match="kvasir-unet"):
        find_recipe("unknown")


@pytest.mark.parametrize(
    ("model", "option", "value"),
    [
        ("unet", "--encoder-weights", "imagenet"),
        ("unet", "--encoder-rate", "0.1"),
        ("segnet", "--frozen-levels", "2"),
        ("deeplabv3plus", "--base-filters", "64"),
        ("unet-efficientnet-lite0", "--base-filters", "16"),
    ],
)
def test_option_that_would_do_nothing_is_refused(model: str, option: str, value: str, tmp_path: Path) -> None:
    """An option that the network does not have is named, even with its default value, before anything is read."""
    arguments = ["train", "--data", str(tmp_path), "--output", str(tmp_path / "run"), "--model", model, option, value]
    with pytest.raises(ModelError, match=f"{option} changes nothing in {model}"):
        CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert list(tmp_path.iterdir()) == []


def test_recipe_whose_options_would_do_nothing_is_refused(tmp_path: Path) -> None:
    """What a recipe sets counts as chosen, too."""
    recipe = tmp_path / "idle.toml"
    recipe.write_text('model = "unet"\nfrozen_levels = 1\n')
    arguments = ["train", "--data", str(tmp_path), "--output", str(tmp_path / "run"), "--recipe", str(recipe)]
    with pytest.raises(ModelError, match="--frozen-levels changes nothing in unet"):
        CliRunner().invoke(app, arguments, catch_exceptions=False)


def test_explain_writes_figures_maps_and_record(tiny_run: Path, data_folder: Path, tmp_path: Path) -> None:
    """Each picture gets a figure and its maps; one that cannot be read is named, and the others are done."""
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    pictures = [str(data_folder / "images" / "004.jpg"), str(broken), str(data_folder / "images" / "005.jpg")]
    output = tmp_path / "out"
    done = CliRunner().invoke(app, ["explain", *pictures, "--run", str(tiny_run), "-o", str(output)])
    assert done.exit_code == DataError.exit_code
    assert "broken.jpg: cannot be read" in done.output
    record = json.loads((output / "explanations.json").read_text())
    assert [image["image"] for image in record["images"]] == [pictures[0], pictures[2]]
    assert record["failed"][0]["image"] == str(broken)
    assert record["layer"] == "bottleneckb_relu"
    for image in record["images"]:
        figure = np.asarray(cv2.imread(str(output / image["figure"])))
        assert figure.shape[1] > 3 * figure.shape[0]  # four square panels
        with np.load(output / image["maps"], allow_pickle=False) as maps:
            assert {maps[name].shape for name in ("probability", "grad_cam", "uncertainty")} == {(64, 64)}
            assert float(maps["uncertainty"].max()) == pytest.approx(image["uncertainty_max"], abs=1e-5)
    assert sorted(path.name for path in output.iterdir()) == [
        "004.npz", "004.png", "005.npz", "005.png", "explanations.json",
    ]  # fmt: skip
