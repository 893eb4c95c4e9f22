"""One step of training: the loss of a batch, its gradients, the weights moved, and their average after them."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from rt_seg.engines.masks import Confusion

from .config import ENCODER_VARIANT, TrainingConfig
from .efficientnet_lite import encoder_layers, freeze_levels
from .frameworks import keras, tf
from .losses import loss_function
from .precision import LossScale


@dataclass(frozen=True, slots=True)
class _Optimizer:
    """An optimizer, the weights that it moves, and its learning rate as a share of the schedule's."""

    optimizer: Any
    weights: list[Any]
    rate: float


class TrainingStep:
    """Trains a network batch by batch. Not thread-safe.

    Args:
        model: The network; the levels that the settings name are frozen here.
        average: The same network, float32, with the same weights: it gets the averaged ones.
        config: The settings.
    """

    def __init__(self, model: Any, average: Any, config: TrainingConfig) -> None:
        self._model = model
        self._average = average
        self._loss_of = loss_function(config.loss)
        if config.frozen_levels:
            freeze_levels(model, ENCODER_VARIANT[config.model], config.frozen_levels)
        self._optimizers = _make_optimizers(model, config)
        self._scale = LossScale() if config.precision == "float16" else None
        self._compiled = tf.function(self._step, autograph=False)

    @property
    def state(self) -> dict[str, Any]:
        """What a checkpoint must keep, besides both networks."""
        scale = {} if self._scale is None else {"loss_scale": self._scale.state}
        return {"optimizers": [part.optimizer for part in self._optimizers]} | scale

    def run(self, images: Any, masks: Any, *, rate: float, average: float) -> tuple[float, Confusion]:
        """Train on one batch.

        Args:
            images: uint8 ``[N, size, size, 3]`` BGR.
            masks: float32 ``[N, size, size, 1]``, 0 and 1.
            rate: Learning rate.
            average: Decay of the averaged weights: 0 makes them the trained ones.

        Returns:
            The loss, not finite if training cannot go on; and the pixels of the batch, counted together.
        """
        for part in self._optimizers:
            part.optimizer.learning_rate.assign(rate * part.rate)
        loss, counts = self._compiled(images, masks, tf.constant(average, tf.float32))
        both, found, real, pixels = counts.numpy()
        confusion = Confusion(both, found - both, real - both, pixels - found - real + both)
        return float(loss), confusion

    def _step(self, images: Any, masks: Any, average: Any) -> tuple[Any, Any]:
        with tf.GradientTape() as tape:
            probability = self._model(tf.cast(images, tf.float32), training=True)
            loss = tf.reduce_mean(self._loss_of(masks, probability))
            scaled = loss if self._scale is None else loss * self._scale.value
        gradients = tape.gradient(scaled, [part.weights for part in self._optimizers])
        if self._scale is None:
            self._move(gradients)
        else:
            loss = tf.where(self._scale.apply(gradients, self._move), loss, np.nan)
        for slow, fast in zip(self._average.weights, self._model.weights, strict=True):
            slow.assign(fast + average * (slow - fast))
        return loss, _count(probability >= 0.5, masks > 0.5)

    def _move(self, gradients: list[list[Any]]) -> None:
        for part, of_part in zip(self._optimizers, gradients, strict=True):
            part.optimizer.apply_gradients(zip(of_part, part.weights, strict=True))


def _make_optimizers(model: Any, config: TrainingConfig) -> list[_Optimizer]:
    """One for the encoder, if there is one and not all of it is frozen, and one for the rest."""
    encoder = [weight for layer in encoder_layers(model) for weight in layer.trainable_variables]
    of_encoder = {id(weight) for weight in encoder}
    others = [weight for weight in model.trainable_variables if id(weight) not in of_encoder]
    groups = ((others, 1.0), (encoder, config.encoder_rate))
    return [_Optimizer(_make_optimizer(weights, config), weights, rate) for weights, rate in groups if weights]


def _make_optimizer(weights: list[Any], config: TrainingConfig) -> Any:
    optimizer = keras.optimizers.AdamW(config.learning_rate, weight_decay=config.weight_decay, global_clipnorm=1.0)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    optimizer.build(weights)
    return optimizer


def _count(found: Any, real: Any) -> Any:
    """Pixels marked in both, found, real, all: int64 ``[4]``."""
    masks = [found & real, found, real, tf.ones_like(found)]
    return tf.stack([tf.math.count_nonzero(mask) for mask in masks])
