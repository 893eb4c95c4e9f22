"""Mixed precision (Micikevicius et al., 2018, arXiv:1710.03740): a step computes in 16 bits, weights stay float32."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from rt_seg.errors import ModelError

from .frameworks import keras, tf

_POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}


@contextmanager
def computing_in(precision: str) -> Generator[None]:
    """Layers made inside compute in that precision; their weights are float32.

    Args:
        precision: ``float32``, ``bfloat16`` or ``float16``.

    Raises:
        ModelError: An unknown name.
    """
    if precision not in _POLICIES:
        raise ModelError(f"no precision is called {precision!r}; there are {', '.join(_POLICIES)}")
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(_POLICIES[precision])
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


class LossScale:
    """Makes the loss so large that float16 can hold its gradients, and as little smaller as they overflow.

    A step whose gradients overflow is left out and halves the scale; many good ones in a row double it.

    Attributes:
        state: Variables to keep in a checkpoint.
        value: The factor, a float32 variable.
    """

    FIRST = 2.0**15
    STEPS_TO_DOUBLE = 2000

    def __init__(self) -> None:
        self.value = tf.Variable(self.FIRST, trainable=False)
        self._good_steps = tf.Variable(0, trainable=False)
        self.state = [self.value, self._good_steps]

    def apply(self, gradients: list[list[Any]], move: Callable[[list[list[Any]]], None]) -> Any:
        """Move the weights if no gradient overflowed, and adapt the scale. Part of a ``tf.function``.

        Args:
            gradients: Of the loss times `value`.
            move: Called with the gradients of the loss itself.

        Returns:
            Whether training can go on, bool: not if gradients overflow with nothing left to halve.
        """
        finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(item)) for part in gradients for item in part])
        hopeless = ~finite & (self.value <= 1)
        tf.cond(finite, lambda: self._accept(gradients, move), self._refuse)
        return ~hopeless

    def _accept(self, gradients: list[list[Any]], move: Callable[[list[list[Any]]], None]) -> Any:
        factor = 1 / self.value
        move([[item * factor for item in part] for part in gradients])
        good = self._good_steps.assign_add(1)
        full = good >= self.STEPS_TO_DOUBLE
        self.value.assign(tf.where(full, self.value * 2, self.value))
        self._good_steps.assign(tf.where(full, 0, good))
        return tf.constant(0)

    def _refuse(self) -> Any:
        self.value.assign(tf.maximum(self.value / 2, 1.0))
        self._good_steps.assign(0)
        return tf.constant(0)
