"""The commands on the command line."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from rt_seg.train.command import app
from rt_seg.train.config import TrainingConfig

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
