"""A run: its folder, its end, and going on after a kill."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from rt_seg.errors import DataError, ModelError, OutputError
from rt_seg.train.config import TrainingConfig
from rt_seg.train.keras_file import load_keras_model
from rt_seg.train.run import Trainer, start_run
from rt_seg.train.schedule import Schedule
from rt_seg.train.validation import Quality

pytestmark = pytest.mark.slow

QUIET = Console(quiet=True)


def history(run: Path) -> list[dict[str, str]]:
    """Rows of a run's history."""
    with (run / "history.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_run_folder_holds_all_that_repeats_it(tiny_run: Path) -> None:
    """A finished run keeps settings, environment, image lists, history of every epoch, curves and the best model."""
    assert TrainingConfig.load(tiny_run / "config.json").epochs == 2
    assert {"tensorflow", "source_commit"} <= json.loads((tiny_run / "environment.json").read_text()).keys()
    training = (tiny_run / "train.txt").read_text().split()
    validation = (tiny_run / "validation.txt").read_text().split()
    assert len(training) == 7
    assert len(validation) == 3
    assert not set(training) & set(validation)
    assert [row["epoch"] for row in history(tiny_run)] == ["1", "2"]
    assert (tiny_run / "curves.png").stat().st_size > 0
    assert list((tiny_run / "tensorboard").iterdir())
    assert (tiny_run / "best.keras").is_file()


def test_resumed_run_equals_an_unbroken_one(tiny_run: Path, tmp_path: Path) -> None:
    """A run that was stopped after its first epoch and resumed ends with the weights of one that was not stopped."""
    config = TrainingConfig.load(tiny_run / "config.json")
    # the schedule of two epochs, stopped after one: as a kill between them leaves the folder
    steps_of_two = replace(config, warmup_epochs=0.0, average=0.0)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    start_run(steps_of_two, whole, resume=False, console=QUIET)
    _run_one_epoch_of(steps_of_two, broken)
    start_run(steps_of_two, broken, resume=True, console=QUIET)
    assert [row["epoch"] for row in history(broken)] == ["1", "2"]
    losses = [[float(row["val_loss"]) for row in history(run)] for run in (whole, broken)]
    np.testing.assert_allclose(losses[1], losses[0], rtol=2e-2)


class _KilledError(Exception):
    """Stands for a kill."""


def _run_one_epoch_of(config: TrainingConfig, folder: Path) -> None:
    """Train, and break off after the first epoch was finished."""
    folder.mkdir()
    config.save(folder / "config.json")
    trainer = Trainer(config, folder, QUIET)
    finish: Any = vars(Trainer)["_finish_epoch"]

    def finish_and_die(epoch: int, loss: float, schedule: Schedule, rate: float) -> Quality:
        finish(trainer, epoch, loss, schedule, rate)
        raise _KilledError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "_finish_epoch", finish_and_die)
        with pytest.raises(_KilledError):
            trainer.run(resume=False)


def test_second_run_in_a_folder_is_refused(tiny_run: Path) -> None:
    """A folder that holds a run is not overwritten."""
    config = TrainingConfig.load(tiny_run / "config.json")
    with pytest.raises(OutputError, match="holds a run already"):
        start_run(config, tiny_run, resume=False, console=QUIET)


def test_resume_without_a_run_is_refused(tiny_run: Path, tmp_path: Path) -> None:
    """There is nothing to resume in an empty folder."""
    config = TrainingConfig.load(tiny_run / "config.json")
    with pytest.raises(DataError, match="nothing to resume"):
        start_run(config, tmp_path / "empty", resume=True, console=QUIET)


def test_resume_with_other_settings_is_refused(tiny_run: Path) -> None:
    """A run goes on as it began, or its history would mean nothing."""
    config = replace(TrainingConfig.load(tiny_run / "config.json"), batch_size=3)
    with pytest.raises(DataError, match="batch_size"):
        start_run(config, tiny_run, resume=True, console=QUIET)


def test_nan_loss_stops_and_keeps_the_best(tiny_run: Path, tmp_path: Path) -> None:
    """A loss that is no longer a number ends the run with one line."""
    config = replace(TrainingConfig.load(tiny_run / "config.json"), learning_rate=float("nan"), warmup_epochs=0.0)
    with pytest.raises(DataError, match="lower --lr"):
        start_run(config, tmp_path / "nan", resume=False, console=QUIET)


def test_run_starts_from_another_size(tiny_run: Path, tmp_path: Path) -> None:
    """Weights of a run carry over to the same network at another picture size."""
    config = replace(
        TrainingConfig.load(tiny_run / "config.json"),
        image_size=96,
        start_from=str(tiny_run),
        epochs=1,
        learning_rate=1e-12,
        average=0.0,
    )
    start_run(config, tmp_path / "larger", resume=False, console=QUIET)
    old, new = (load_keras_model(run).get_layer("bottlenecka_conv") for run in (tiny_run, tmp_path / "larger"))
    np.testing.assert_allclose(new.get_weights()[0], old.get_weights()[0], atol=1e-6)


def test_model_file_that_would_run_code_is_refused(tmp_path: Path) -> None:
    """A Keras file with a lambda in it is refused, as loading it would run code."""
    from rt_seg.train.frameworks import keras, layers

    image = keras.Input((8, 8, 3))
    path = tmp_path / "evil.keras"
    keras.Model(image, layers.Lambda(abs)(image)).save(path)
    with pytest.raises(ModelError, match="safe mode"):
        load_keras_model(path)
