"""One training run: its folder, its loop, its checkpoints."""

import csv
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from rt_seg.errors import DataError, OutputError

from .config import TrainingConfig
from .efficientnet_lite import encoder_layers, freeze_levels
from .environment import describe_environment
from .frameworks import keras, tf
from .keras_file import BEST_MODEL, copy_weights, load_keras_model
from .losses import loss_function
from .models import EncoderWeights, build_model
from .pipeline import Augmentation, TrainingImages, training_batches
from .plots import plot_history
from .schedule import SCHEDULES, Schedule
from .split import split_pairs
from .validation import Quality, Validation

HISTORY = "history.csv"
CONFIG = "config.json"


@dataclass(frozen=True, slots=True)
class _Optimizer:
    """An optimizer, the weights that it moves, and its learning rate as a share of the schedule's."""

    optimizer: Any
    weights: list[Any]
    rate: float


class Trainer:
    """Trains one network as its settings say. Not thread-safe; make one for each run.

    The folder of the run holds ``config.json``, ``environment.json``, ``train.txt`` and ``validation.txt`` (the
    images), ``history.csv``, ``curves.png``, ``tensorboard/``, ``checkpoints/`` (to resume from) and ``best.keras``.

    Args:
        config: The settings.
        folder: The folder of the run; it exists.
        console: Where progress is shown.

    Raises:
        DataError: The data cannot be used as the settings say.
        ModelError: Unknown model or loss.
        MissingDependencyError: The package with the encoder's weights is not installed.
    """

    def __init__(self, config: TrainingConfig, folder: Path, console: Console) -> None:
        self._config = config
        self._folder = folder
        self._console = console
        keras.utils.set_random_seed(config.seed)
        self._images, validation_images = self._read_images()
        self._loss = loss_function(config.loss)
        self._model = build_model(
            config.model, config.image_size, cast("EncoderWeights", config.encoder_weights), config.base_filters
        )
        if config.start_from:
            copy_weights(load_keras_model(Path(config.start_from)), self._model)
        self._average = keras.models.clone_model(self._model)
        self._average.set_weights(self._model.get_weights())
        if config.frozen_levels:
            freeze_levels(self._model, int(config.model[-1]), config.frozen_levels)
        encoder = [weight for layer in encoder_layers(self._model) for weight in layer.trainable_variables]
        of_encoder = {id(weight) for weight in encoder}
        others = [weight for weight in self._model.trainable_variables if id(weight) not in of_encoder]
        self._optimizers = [
            _Optimizer(self._make_optimizer(weights), weights, rate)
            for weights, rate in ((others, 1.0), (encoder, config.encoder_rate))
            if weights
        ]
        self._validation = Validation(validation_images, self._loss, config.batch_size)
        self._epoch = tf.Variable(0, dtype=tf.int64)
        self._elapsed = tf.Variable(0.0, dtype=tf.float64)
        self._best = tf.Variable(-1.0, dtype=tf.float64)
        self._checkpoints = self._open_checkpoints()
        self._step = self._compile_step()

    def run(self, *, resume: bool) -> Quality | None:
        """Train to the end.

        Args:
            resume: Go on after the last finished epoch of this folder.

        Returns:
            Quality of the last validation; None when the run was over already.

        Raises:
            DataError: The loss is no longer a number, or there is nothing to resume.
            OutputError: The folder cannot be written; what was saved before is kept.
        """
        if resume:
            self._restore()
        config = self._config
        first = int(self._epoch.numpy())
        batches, steps = training_batches(
            self._images,
            batch_size=config.batch_size,
            augmentation=cast("Augmentation", config.augment),
            seed=config.seed,
            first_epoch=first,
            epochs=config.epochs,
            repeat_polyp_free=config.repeat_polyp_free,
        )
        budget = config.time_budget_minutes
        schedule = SCHEDULES[config.schedule](
            config.learning_rate,
            config.epochs * steps,
            round(config.warmup_epochs * steps),
            budget * 60 if budget else None,
            float(self._elapsed.numpy()),
        )
        for row in self._read_history()[:first]:
            schedule.observe(float(row["val_loss"]))
        quality: Quality | None = None
        iterator = iter(batches)
        for epoch in range(first, config.epochs):
            if schedule.progress(epoch * steps) >= 1:
                break
            loss = self._train_epoch(iterator, epoch, steps, schedule)
            quality = self._finish_epoch(epoch, loss, schedule, schedule.rate((epoch + 1) * steps - 1))
            schedule.observe(quality.loss)
        return quality

    def _make_optimizer(self, weights: list[Any]) -> Any:
        config = self._config
        optimizer = keras.optimizers.AdamW(config.learning_rate, weight_decay=config.weight_decay, global_clipnorm=1.0)
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
        optimizer.build(weights)
        return optimizer

    def _read_images(self) -> tuple[TrainingImages, TrainingImages]:
        config = self._config
        training, validation = split_pairs(
            [Path(folder) for folder in config.data],
            split=Path(config.split) if config.split else None,
            validation=config.validation,
            exclude=[Path(path) for path in config.exclude],
            seed=config.seed,
        )
        self._console.print(f"{len(training)} images to train on, {len(validation)} to validate on")
        for name, pairs in (("train.txt", training), ("validation.txt", validation)):
            (self._folder / name).write_text("".join(f"{pair.name}\n" for pair in pairs), encoding="utf-8")
        return TrainingImages(training, config.image_size), TrainingImages(validation, config.image_size)

    def _open_checkpoints(self) -> Any:
        state = tf.train.Checkpoint(
            model=self._model,
            average=self._average,
            optimizers=[part.optimizer for part in self._optimizers],
            epoch=self._epoch,
            elapsed=self._elapsed,
            best=self._best,
        )
        return tf.train.CheckpointManager(state, str(self._folder / "checkpoints"), max_to_keep=1)

    def _restore(self) -> None:
        if self._checkpoints.latest_checkpoint is None:
            raise DataError(
                f"{self._folder}: no epoch was finished, there is nothing to resume; train without --resume"
            )
        self._checkpoints.checkpoint.restore(self._checkpoints.latest_checkpoint).assert_consumed()

    def _compile_step(self) -> Callable[[Any, Any, Any], Any]:
        model, optimizers, loss_of = self._model, self._optimizers, self._loss
        pairs = list(zip(self._average.weights, self._model.weights, strict=True))

        def step(images: Any, masks: Any, average: Any) -> Any:
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(loss_of(masks, model(tf.cast(images, tf.float32), training=True)))
            gradients = tape.gradient(loss, [part.weights for part in optimizers])
            for part, of_part in zip(optimizers, gradients, strict=True):
                part.optimizer.apply_gradients(zip(of_part, part.weights, strict=True))
            for slow, fast in pairs:
                slow.assign(fast + average * (slow - fast))
            return loss

        return cast("Callable[[Any, Any, Any], Any]", tf.function(step, autograph=False))

    def _train_epoch(self, iterator: Any, epoch: int, steps: int, schedule: Schedule) -> float:
        """One pass; stops early when the time budget is spent. Returns the mean loss."""
        total, done = 0.0, 0
        with self._progress() as progress:
            bar = progress.add_task(f"epoch {epoch + 1}", total=steps, loss=math.nan)
            for images, masks in (next(iterator) for _ in range(steps)):
                step = epoch * steps + done
                for part in self._optimizers:
                    part.optimizer.learning_rate.assign(schedule.rate(step) * part.rate)
                # a young average follows fast, or it would drag the random start along
                average = min(self._config.average, (1 + step) / (10 + step)) if self._config.average else 0.0
                loss = float(self._step(images, masks, tf.constant(average, tf.float32)))
                if not math.isfinite(loss):
                    raise DataError(
                        f"the loss became {loss} in epoch {epoch + 1}; the best weights are kept in {self._folder}; "
                        "train with a lower --lr"
                    )
                total, done = total + loss, done + 1
                progress.update(bar, advance=1, loss=total / done)
                if schedule.progress(step + 1) >= 1:
                    break
        return total / done

    def _progress(self) -> Progress:
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"))
        figures = (TextColumn("loss {task.fields[loss]:.4f}"), TimeRemainingColumn())
        return Progress(*columns, *figures, console=self._console, transient=True)

    def _finish_epoch(self, epoch: int, loss: float, schedule: Schedule, rate: float) -> Quality:
        """Validate the averaged weights, keep them if they are the best, write the history and a checkpoint."""
        quality = self._validation.score(self._average)
        monitored: float = getattr(quality, self._config.monitor)
        best = monitored > float(self._best.numpy())
        self._console.print(
            f"epoch {epoch + 1:3d}  {schedule.elapsed_seconds / 60:6.1f} min  loss {loss:.4f}  "
            f"val loss {quality.loss:.4f}  mDice {quality.dice:.4f}  mIoU {quality.iou:.4f}{'  best' if best else ''}"
        )
        row = {"epoch": epoch + 1, "minutes": schedule.elapsed_seconds / 60, "learning_rate": rate, "loss": loss}
        try:
            if best:
                self._best.assign(monitored)
                self._save_best()
            self._write_history(row | quality.as_row())
            self._epoch.assign(epoch + 1)
            self._elapsed.assign(schedule.elapsed_seconds)
            self._checkpoints.save(checkpoint_number=epoch + 1)
        except (OSError, tf.errors.OpError) as exc:
            raise OutputError(
                f"{self._folder}: cannot be written ({exc}); make room, then go on with --resume"
            ) from exc
        return quality

    def _save_best(self) -> None:
        """Replace the file in one go: a kill leaves the old one or the new one."""
        fresh = self._folder / f"new-{BEST_MODEL}"
        self._average.save(fresh)
        fresh.replace(self._folder / BEST_MODEL)

    def _read_history(self) -> list[dict[str, str]]:
        path = self._folder / HISTORY
        if not path.exists():
            return []
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def _write_history(self, row: dict[str, float]) -> None:
        path = self._folder / HISTORY
        is_new = not path.exists()
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(row))
            if is_new:
                writer.writeheader()
            writer.writerow(row)
        with tf.summary.create_file_writer(str(self._folder / "tensorboard")).as_default():
            for name, value in row.items():
                tf.summary.scalar(name, value, step=int(row["epoch"]))
        plot_history(path, self._folder / "curves.png")


def start_run(config: TrainingConfig, folder: Path, *, resume: bool, console: Console) -> Quality | None:
    """Make the folder of a run, or enter that of an earlier one, and train.

    Args:
        config: The settings; they are written to the folder.
        folder: The folder of the run.
        resume: Whether the folder holds an earlier run that goes on.
        console: Where progress is shown.

    Raises:
        OutputError: The folder cannot be made, or holds a run already.
        RtSegError: What `Trainer` raises.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not resume and (folder / HISTORY).exists():
            raise OutputError(f"{folder}: holds a run already; choose another --output, or go on with --resume")
        if resume and (folder / CONFIG).exists():
            _check_same(config, TrainingConfig.load(folder / CONFIG), folder)
        config.save(folder / CONFIG)
        (folder / "environment.json").write_text(describe_environment(), encoding="utf-8")
    except OSError as exc:
        raise OutputError(f"{folder}: cannot be written ({exc})") from exc
    return Trainer(config, folder, console).run(resume=resume)


def _check_same(config: TrainingConfig, earlier: TrainingConfig, folder: Path) -> None:
    """A run goes on with the settings it began with; only its length may change."""
    given = asdict(replace(config, epochs=earlier.epochs, time_budget_minutes=earlier.time_budget_minutes))
    changed = [name for name, value in asdict(earlier).items() if given[name] != value]
    if changed:
        raise DataError(
            f"{folder}: was begun with other settings ({', '.join(changed)}); resume it with the same options"
        )
