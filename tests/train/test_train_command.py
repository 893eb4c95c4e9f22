"""The commands on the command line."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from rt_seg.errors import DataError
from rt_seg.train.command import app
from rt_seg.train.config import TrainingConfig
from rt_seg.train.recipe import read_recipe

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
        read_recipe("unknown")
