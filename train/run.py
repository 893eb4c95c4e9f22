"""One training run: its folder, its loop, its checkpoints."""

import math
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from rt_seg.engines.masks import Confusion
from rt_seg.errors import DataError, OutputError

from .config import CONFIG, EncoderWeights, TrainingConfig, refuse_idle_settings
from .data import Pair, find_pairs, read_list, select
from .environment import describe_environment
from .frameworks import keras, tf
from .history import HISTORY, History
from .keras_file import BEST_MODEL, CHECKPOINTS, copy_weights, load_keras_model
from .lineage import TRAINED, VALIDATED, images_of, lineage
from .losses import loss_function
from .models import build_model
from .pipeline import Augmentation, Roi, TrainingImages, training_batches
from .precision import computing_in
from .schedule import SCHEDULES, Schedule
from .split import refuse_overlap, split_pairs
from .step import TrainingStep
from .validation import Quality, Validation, binary_iou


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
        refuse_idle_settings(config.model, config.unusual())
        keras.utils.set_random_seed(config.seed)
        self._images, validation_images = self._read_images()
        first = "none" if config.start_from else config.encoder_weights  # they would be replaced at once
        self._model = self._build(config.precision, cast("EncoderWeights", first))
        if config.start_from:
            copy_weights(load_keras_model(Path(config.start_from)), self._model)
        # built anew, not cloned: what is validated, kept and exported computes in float32
        self._average = self._build("float32", "none")
        self._average.set_weights(self._model.get_weights())
        self._step = TrainingStep(self._model, self._average, config)
        self._validation = Validation(validation_images, loss_function(config.loss), config.batch_size)
        self._history = History(folder)
        self._epoch = tf.Variable(0, dtype=tf.int64)
        self._elapsed = tf.Variable(0.0, dtype=tf.float64)
        self._best = tf.Variable(-1.0, dtype=tf.float64)
        self._checkpoints = self._open_checkpoints()

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
        for row in self._history.rows:
            schedule.observe(row["val_loss"])
        quality: Quality | None = None
        iterator = iter(batches)
        for epoch in range(first, config.epochs):
            if schedule.progress(epoch * steps) >= 1:
                break
            figures = self._train_epoch(iterator, epoch, steps, schedule)
            quality = self._finish_epoch(epoch, figures, schedule, schedule.rate((epoch + 1) * steps - 1))
            schedule.observe(quality.loss)
        return quality

    def _build(self, precision: str, encoder_weights: EncoderWeights) -> Any:
        config = self._config
        with computing_in(precision):
            return build_model(config.model, config.image_size, encoder_weights, config.base_filters)

    def _read_images(self) -> tuple[TrainingImages, TrainingImages]:
        config = self._config
        training, validation = split_pairs(
            [Path(folder) for folder in config.data],
            split=Path(config.split) if config.split else None,
            validation=config.validation,
            exclude=[Path(path) for path in config.exclude],
            test=Path(config.test) if config.test else None,
            seed=config.seed,
        )
        if config.start_from:
            self._refuse_seen(Path(config.start_from), validation)
        self._console.print(f"{len(training)} images to train on, {len(validation)} to validate on")
        for name, pairs in ((TRAINED, training), (VALIDATED, validation)):
            (self._folder / name).write_text("".join(f"{pair.name}\n" for pair in pairs), encoding="utf-8")
        size, roi = config.image_size, cast("Roi", config.roi)
        return TrainingImages(training, size, roi), TrainingImages(validation, size, roi)

    def _refuse_seen(self, start: Path, validation: Sequence[Pair]) -> None:
        """Refuse to validate, or to test later, on what the run whose weights are taken was trained on."""
        config = self._config
        runs, unknown = lineage(start)
        if unknown is not None:
            self._console.print(f"{unknown}: what it has seen is not known", soft_wrap=True)
        trained = list(images_of(runs, TRAINED).values())
        refuse_overlap(trained, validation, "validate on", by=str(start))
        if config.test:
            path = Path(config.test)
            tested = select(find_pairs([Path(folder) for folder in config.data]), read_list(path), path)
            refuse_overlap([*trained, *images_of(runs, VALIDATED).values()], tested, by=str(start))

    def _open_checkpoints(self) -> Any:
        state = tf.train.Checkpoint(
            model=self._model,
            average=self._average,
            epoch=self._epoch,
            elapsed=self._elapsed,
            best=self._best,
            **self._step.state,
        )
        return tf.train.CheckpointManager(state, str(self._folder / CHECKPOINTS), max_to_keep=1)

    def _restore(self) -> None:
        if self._checkpoints.latest_checkpoint is None:
            raise DataError(
                f"{self._folder}: no epoch was finished, there is nothing to resume; train without --resume"
            )
        self._checkpoints.checkpoint.restore(self._checkpoints.latest_checkpoint).assert_consumed()
        self._history.forget_after(int(self._epoch.numpy()))

    def _train_epoch(self, iterator: Any, epoch: int, steps: int, schedule: Schedule) -> dict[str, float]:
        """One pass; stops early when the time budget is spent. Returns mean loss, accuracy and binary IoU."""
        total, done = 0.0, 0
        batches: list[Confusion] = []
        with self._progress() as progress:
            bar = progress.add_task(f"epoch {epoch + 1}", total=steps, loss=math.nan)
            for images, masks in (next(iterator) for _ in range(steps)):
                step = epoch * steps + done
                # a young average follows fast, or it would drag the random start along
                average = min(self._config.average, (1 + step) / (10 + step)) if self._config.average else 0.0
                loss, pixels = self._step.run(images, masks, rate=schedule.rate(step), average=average)
                if not math.isfinite(loss):
                    raise DataError(self._message_of_nan(epoch))
                batches.append(pixels)
                total, done = total + loss, done + 1
                progress.update(bar, advance=1, loss=total / done)
                if schedule.progress(step + 1) >= 1:
                    break
        pixels = _sum(batches)
        return {"loss": total / done, "accuracy": float(pixels.accuracy), "binary_iou": binary_iou(pixels)}

    def _message_of_nan(self, epoch: int) -> str:
        has_best = (self._folder / BEST_MODEL).exists()
        kept = f"the best weights until then are in {self._folder / BEST_MODEL}" if has_best else "there are no weights"
        return f"the loss is not a number any more in epoch {epoch + 1}; {kept}; train with a lower --lr"

    def _progress(self) -> Progress:
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"))
        figures = (TextColumn("loss {task.fields[loss]:.4f}"), TimeRemainingColumn())
        return Progress(*columns, *figures, console=self._console, transient=True)

    def _finish_epoch(self, epoch: int, training: dict[str, float], schedule: Schedule, rate: float) -> Quality:
        """Validate the averaged weights, keep them if they are the best, write the history and a checkpoint."""
        quality = self._validation.score(self._average)
        monitored: float = getattr(quality, self._config.monitor)
        best = monitored > float(self._best.numpy())
        self._console.print(
            f"epoch {epoch + 1:3d}  {schedule.elapsed_seconds / 60:6.1f} min  loss {training['loss']:.4f}  "
            f"val loss {quality.loss:.4f}  mDice {quality.dice:.4f}  mIoU {quality.iou:.4f}  "
            f"accuracy {quality.accuracy:.4f}  binary IoU {quality.binary_iou:.4f}{'  best' if best else ''}"
        )
        row = {"epoch": epoch + 1, "minutes": schedule.elapsed_seconds / 60, "learning_rate": rate}
        try:
            if best:
                self._best.assign(monitored)
                self._save_best()
            self._history.append(row | training | quality.as_row())
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
        try:
            self._average.save(fresh)
            fresh.replace(self._folder / BEST_MODEL)
        finally:
            fresh.unlink(missing_ok=True)


def _sum(batches: list[Confusion]) -> Confusion:
    """Counts of several batches as those of one."""
    return Confusion(*(np.asarray(sum(counts)) for counts in zip(*map(_counts, batches), strict=True)))


def _counts(pixels: Confusion) -> tuple[Any, Any, Any, Any]:
    return pixels.true_positive, pixels.false_positive, pixels.false_negative, pixels.true_negative


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
