"""Trained Keras models on disk."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rt_seg.errors import ModelError

from .frameworks import keras, tf
from .segnet import MaxUnpooling2D

BEST_MODEL = "best.keras"
"""Name of the best model in the folder of a run."""

CHECKPOINTS = "checkpoints"
"""Name of the folder, in that of a run, that holds all it needs to go on: among it the averaged weights."""


def model_path(run: Path) -> Path:
    """The file of the best model of a run; a file stays as it is."""
    return run / BEST_MODEL if run.is_dir() else run


def load_keras_model(run: Path) -> Any:
    """The best model of a run.

    Args:
        run: Folder of a run, or a ``.keras`` file.

    Raises:
        ModelError: Missing, broken, or it would run code when loaded (Keras' safe mode refuses that).
    """
    path = model_path(run)
    if not path.is_file():
        raise ModelError(f"{path}: there is no such model; give the folder of a run that has finished an epoch")
    try:
        return keras.models.load_model(path, {"MaxUnpooling2D": MaxUnpooling2D}, compile=False, safe_mode=True)
    except Exception as exc:  # Keras' errors share no base below Exception
        reason = str(exc).strip().splitlines()[0][:200]
        raise ModelError(f"{path}: cannot be loaded as a Keras model in safe mode ({reason})") from exc


def load_last_model(run: Path) -> Any:
    """The averaged weights after the last pass of a run, better or not than those of its best pass.

    Args:
        run: Folder of a run.

    Raises:
        ModelError: Without a checkpoint, or as for `load_keras_model`.
    """
    model = load_keras_model(run)
    checkpoint = tf.train.latest_checkpoint(str(run / CHECKPOINTS))
    if checkpoint is None:
        raise ModelError(f"{run}: holds no checkpoint of its last pass; export its best model, without --last")
    try:
        tf.train.Checkpoint(average=model).restore(checkpoint).assert_existing_objects_matched().expect_partial()
    except (AssertionError, ValueError, tf.errors.OpError) as exc:
        reason = str(exc).strip().splitlines()[0][:200]
        raise ModelError(f"{checkpoint}: does not fit {run / BEST_MODEL} ({reason})") from exc
    return model


def load_averaged_model(runs: Sequence[Path], *, last: bool = False) -> Any:
    """The best model of a run; of several, their mean, weight for weight.

    Runs that went on from the same one lie close together, and their mean is often better on pictures of another kind
    than any of them, for the cost of one (Wortsman et al., Model soups, 2022; Robust fine-tuning, 2022). Of runs that
    began apart it means nothing, which only a test can tell.

    Args:
        runs: Folders of runs of the same network; one that is named twice counts twice.
        last: Take the weights after the last pass of each instead.

    Raises:
        ModelError: As for `load_keras_model` and `load_last_model`, or the networks differ.
    """
    load = load_last_model if last else load_keras_model
    model = load(runs[0])
    total = model.get_weights()
    for run in runs[1:]:
        weights = load(run).get_weights()
        if [weight.shape for weight in weights] != [weight.shape for weight in total]:
            raise ModelError(f"{run}: is not a run of the same network as {runs[0]}; export each by itself")
        total = [one + other for one, other in zip(total, weights, strict=True)]
    model.set_weights([weight / len(runs) for weight in total])
    return model


def copy_weights(source: Any, target: Any) -> None:
    """Give a network the weights of another one of the same architecture; their picture sizes may differ.

    Raises:
        ModelError: The architectures differ.
    """
    try:
        target.set_weights(source.get_weights())
    except ValueError as exc:
        raise ModelError(f"the model to start from is not a {target.name}; give a run of the same --model") from exc
