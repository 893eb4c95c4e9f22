"""A run: its folder, its end, and going on after a kill."""

import csv
import json
import resource
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from rich.console import Console

from rt_seg.engines.masks import Confusion
from rt_seg.errors import DataError, ModelError, OutputError
from rt_seg.train.config import TrainingConfig
from rt_seg.train.deploy import RunExport
from rt_seg.train.frameworks import keras, layers
from rt_seg.train.history import History
from rt_seg.train.keras_file import load_keras_model
from rt_seg.train.lineage import lineage
from rt_seg.train.onnx_file import read_spec
from rt_seg.train.run import Trainer, start_run
from rt_seg.train.validation import Quality, binary_iou

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
    columns = history(tiny_run)[0].keys()
    assert columns >= {"loss", "accuracy", "binary_iou", "val_loss", "val_accuracy", "val_binary_iou", "val_dice"}
    assert (tiny_run / "curves.png").stat().st_size > 0
    assert list((tiny_run / "tensorboard").iterdir())
    assert (tiny_run / "best.keras").is_file()


@pytest.fixture(scope="module")
def killed_run(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two epochs that was killed after its first; to be copied."""
    config = TrainingConfig.load(tiny_run / "config.json")
    folder = tmp_path_factory.mktemp("runs") / "killed"
    _run_one_epoch_of(replace(config, warmup_epochs=0.0, average=0.0), folder)
    return folder


def test_resumed_run_equals_an_unbroken_one(killed_run: Path, tmp_path: Path) -> None:
    """A run that was killed after its first epoch and resumed ends with the weights of one that was not."""
    config = TrainingConfig.load(killed_run / "config.json")
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    start_run(config, whole, resume=False, console=QUIET)
    shutil.copytree(killed_run, broken)
    start_run(config, broken, resume=True, console=QUIET)
    assert [row["epoch"] for row in history(broken)] == ["1", "2"]
    losses = [[float(row["val_loss"]) for row in history(run)] for run in (whole, broken)]
    np.testing.assert_allclose(losses[1], losses[0], rtol=2e-2)


class _KilledError(Exception):
    """Stands for a kill."""


def _run_one_epoch_of(config: TrainingConfig, folder: Path) -> Trainer:
    """Train, and break off after the first epoch was finished."""
    folder.mkdir()
    config.save(folder / "config.json")
    trainer = Trainer(config, folder, QUIET)
    finish: Any = vars(Trainer)["_finish_epoch"]

    def finish_and_die(*arguments: Any) -> Quality:
        finish(trainer, *arguments)
        raise _KilledError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "_finish_epoch", finish_and_die)
        with pytest.raises(_KilledError):
            trainer.run(resume=False)
    return trainer


def test_both_optimizers_are_resumed(data_folder: Path, tmp_path: Path) -> None:
    """The moments of the encoder's optimizer and of the other one are those from before the kill."""
    config = TrainingConfig(
        (str(data_folder),),
        "unet-efficientnet-lite0",
        validation="0.3",
        image_size=32,
        epochs=2,
        batch_size=7,
        encoder_weights="none",
        encoder_rate=0.1,
    )
    optimizers = _optimizers(_run_one_epoch_of(config, tmp_path / "run"))
    assert [optimizer.iterations.numpy() for optimizer in optimizers] == [1, 1]
    resumed = Trainer(config, tmp_path / "run", QUIET)
    vars(Trainer)["_restore"](resumed)
    for old, new in zip(optimizers, _optimizers(resumed), strict=True):
        assert len(old.variables) > 50
        for variable, same in zip(old.variables, new.variables, strict=True):
            np.testing.assert_array_equal(np.asarray(same), np.asarray(variable))
        assert max(float(np.abs(np.asarray(variable)).max()) for variable in new.variables[2:]) > 0


def _optimizers(trainer: Trainer) -> list[Any]:
    optimizers: list[Any] = vars(trainer)["_step"].state["optimizers"]
    return optimizers


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


def test_nan_loss_stops_and_keeps_the_best(killed_run: Path, tmp_path: Path) -> None:
    """A loss that is no longer a number ends the run with one line; the best model stays as it was."""
    run = tmp_path / "nan"
    shutil.copytree(killed_run, run)
    best = (run / "best.keras").read_bytes()
    config = replace(TrainingConfig.load(run / "config.json"), learning_rate=float("nan"))
    with pytest.raises(DataError, match=r"not a number any more in epoch 2; .*best\.keras; train with a lower --lr"):
        Trainer(config, run, QUIET).run(resume=True)
    assert (run / "best.keras").read_bytes() == best
    assert np.isfinite(load_keras_model(run).get_weights()[0]).all()


@pytest.mark.parametrize("full_at", ["best model", "checkpoint"])
def test_full_disk_loses_nothing_but_the_epoch(full_at: str, killed_run: Path, tmp_path: Path) -> None:
    """No room for the best model or for a checkpoint gives one line; what was there stays, and the run can go on."""
    run = tmp_path / "full"
    shutil.copytree(killed_run, run)
    config = TrainingConfig.load(run / "config.json")
    trainer = Trainer(config, run, QUIET)
    append = vars(trainer)["_history"].append
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def train_nothing(*_arguments: Any) -> dict[str, float]:
        if full_at == "best model":
            vars(trainer)["_best"].assign(-1.0)
            resource.setrlimit(resource.RLIMIT_FSIZE, (2048, limits[1]))
        return {"loss": 0.5, "accuracy": 0.5, "binary_iou": 0.5}

    def append_and_fill(row: dict[str, float]) -> None:
        append(row)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2048, limits[1]))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "_train_epoch", train_nothing)
        patch.setattr(vars(trainer)["_history"], "append", append_and_fill)
        try:
            with pytest.raises(OutputError, match=r"full: cannot be written .*go on with --resume"):
                trainer.run(resume=True)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(run.glob("new-*"))
    load_keras_model(run)
    again = Trainer(config, run, QUIET)
    vars(Trainer)["_restore"](again)
    assert int(vars(again)["_epoch"].numpy()) == 1
    assert [row["epoch"] for row in vars(again)["_history"].rows] == [1]


def test_history_survives_a_kill_and_an_older_version(tmp_path: Path) -> None:
    """Epochs beyond the checkpoint are forgotten, and columns that an older version did not write stay empty."""
    (tmp_path / "history.csv").write_text("epoch,loss,val_loss\n1,0.5,0.6\n2,0.4,0.5\n")
    log = History(tmp_path)
    log.forget_after(1)
    log.append({"epoch": 2, "loss": 0.3, "accuracy": 0.9, "val_loss": 0.4, "val_accuracy": 0.8})
    assert [(row["epoch"], row["loss"], row["accuracy"]) for row in history(tmp_path)] == [
        ("1", "0.5", ""),
        ("2", "0.3", "0.9"),
    ]
    assert [row.get("accuracy") for row in History(tmp_path).rows] == [None, 0.9]
    assert cv2.imread(str(tmp_path / "curves.png")) is not None


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_mixed_precision_trains_a_float32_model(precision: str, tiny_run: Path, tmp_path: Path) -> None:
    """An epoch in 16 bits lowers nothing but the arithmetic: the kept model is float32, and exports as such."""
    config = replace(
        TrainingConfig.load(tiny_run / "config.json"), precision=precision, image_size=32, epochs=1, base_filters=2
    )
    run = tmp_path / "mixed"
    start_run(config, run, resume=False, console=QUIET)
    assert np.isfinite(float(history(run)[0]["loss"]))
    model = load_keras_model(run)
    assert {layer.compute_dtype for layer in model.layers} == {"float32"}
    assert {str(weight.dtype) for weight in model.weights} == {"float32"}
    RunExport([run], tmp_path / "mixed.onnx", QUIET).write("mixed", "for tests", None)
    assert read_spec(tmp_path / "mixed.onnx").precision == "f32"


def test_settings_that_would_do_nothing_are_refused(tiny_run: Path, tmp_path: Path) -> None:
    """A run made in Python is told, too, that its network has no encoder to freeze."""
    config = replace(TrainingConfig.load(tiny_run / "config.json"), frozen_levels=2)
    with pytest.raises(ModelError, match="--frozen-levels changes nothing in unet"):
        start_run(config, tmp_path / "idle", resume=False, console=QUIET)


def test_binary_iou_and_accuracy_are_those_of_keras() -> None:
    """The figures of the log are what Keras' own metrics say of the same pixels."""
    rng = np.random.default_rng(0)
    truth = rng.random((3, 8, 8)) > 0.6
    answer = rng.random((3, 8, 8)).astype(np.float32)
    pixels = Confusion.of((answer >= 0.5).reshape(1, -1), truth.reshape(1, -1))
    metric = keras.metrics.BinaryIoU(target_class_ids=[0, 1], threshold=0.5)
    metric.update_state(truth.astype(np.float32), answer)
    assert binary_iou(pixels) == pytest.approx(float(metric.result()), abs=1e-6)
    accuracy = keras.metrics.BinaryAccuracy(threshold=0.5)
    accuracy.update_state(truth.astype(np.float32), answer)
    assert float(pixels.accuracy) == pytest.approx(float(accuracy.result()), abs=1e-6)


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


@pytest.mark.parametrize("start", [".", "best.keras"], ids=["run", "its model"])
def test_images_that_an_earlier_run_has_seen_judge_no_later_one(start: str, tiny_run: Path, tmp_path: Path) -> None:
    """Weights carry what they were trained on: other images validate, or test, than the first run had."""
    config = replace(TrainingConfig.load(tiny_run / "config.json"), start_from=str(tiny_run / start), epochs=1)
    swapped, seen = tmp_path / "swapped.txt", tmp_path / "seen.txt"
    swapped.write_text((tiny_run / "train.txt").read_text().split()[0])
    seen.write_text((tiny_run / "validation.txt").read_text())
    with pytest.raises(DataError, match=f"1 images to validate on are trained or validated on by {tiny_run}"):
        start_run(replace(config, validation=str(swapped)), tmp_path / "again", resume=False, console=QUIET)
    aside = replace(config, validation="0.3", exclude=(str(seen),), test=str(seen), seed=3)
    with pytest.raises(DataError, match="trained or validated on by"):
        start_run(aside, tmp_path / "later", resume=False, console=QUIET)


def test_what_a_model_has_seen_is_followed_to_where_it_is_known(tiny_run: Path, tmp_path: Path) -> None:
    """From run to run, also by a model file; a start that is gone, or no run's, is named."""
    config = TrainingConfig.load(tiny_run / "config.json")
    second, third = tmp_path / "second", tmp_path / "third"
    for run, start in ((second, tiny_run / "best.keras"), (third, second)):
        run.mkdir()
        replace(config, start_from=str(start)).save(run / "config.json")
    assert lineage(third) == ([third, second, tiny_run], None)
    shutil.rmtree(second)
    assert lineage(third) == ([third], second)


def test_model_file_that_would_run_code_is_refused(tmp_path: Path) -> None:
    """A Keras file with a lambda in it is refused, as loading it would run code."""
    image = keras.Input((8, 8, 3))
    path = tmp_path / "evil.keras"
    keras.Model(image, layers.Lambda(abs)(image)).save(path)
    with pytest.raises(ModelError, match="safe mode"):
        load_keras_model(path)
