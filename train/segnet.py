"""SegNet (Badrinarayanan et al., 2017, arXiv:1511.00561): a decoder that unpools where the encoder pooled."""

from typing import Any

from .blocks import convolutions, probability
from .frameworks import keras, layers, ops

CONVOLUTIONS = (2, 2, 3, 3, 3)
"""Of each block, as in VGG16."""


@keras.saving.register_keras_serializable(package="rt_seg")
class MaxUnpooling2D(layers.Layer):  # type: ignore[misc]  # its base is Any
    """Puts each value back where 2x2 max pooling took its maximum from; the other places are 0.

    The places are found by comparison, not kept as indices, which deployment's runtimes do not all know. Where several
    pixels of a block are its maximum, each gets the value: above all where ReLU has made the whole block 0.
    """

    def call(self, inputs: list[Any]) -> Any:
        """Unpool.

        Args:
            inputs: The values ``[N, h, w, C]``; what was pooled ``[N, 2h, 2w, C]``; its maxima ``[N, h, w, C]``.

        Returns:
            ``[N, 2h, 2w, C]``.
        """
        values, pooled, maxima = inputs
        is_maximum = ops.equal(pooled, _double(maxima))
        return ops.where(is_maximum, _double(values), ops.zeros_like(pooled))

    def compute_output_shape(self, input_shape: list[tuple[int | None, ...]]) -> tuple[int | None, ...]:
        """The shape of what was pooled."""
        return input_shape[1]


def segnet(image_size: int, base_filters: int) -> Any:
    """The 13 convolutions of VGG16, and their mirror image.

    Args:
        image_size: Side of the picture in pixels, a multiple of 32.
        base_filters: Filters of the first block; each block below has twice as many, up to eight times.

    Returns:
        A Keras model from ``[N, size, size, 3]``, 0 to 255, to ``[N, size, size, 1]``, probabilities 0 to 1.
    """
    image = keras.Input((image_size, image_size, 3), name="image")
    x = layers.Rescaling(1 / 255, name="rescale")(image)
    filters = [base_filters << min(level, 3) for level in range(len(CONVOLUTIONS))]
    pools: list[tuple[Any, Any]] = []
    for level, count in enumerate(CONVOLUTIONS):
        before = convolutions(x, [filters[level]] * count, f"encoder{level}")
        x = layers.MaxPooling2D(2, name=f"encoder{level}_pool")(before)
        pools.append((before, x))
    for level in reversed(range(len(CONVOLUTIONS))):
        x = MaxUnpooling2D(name=f"decoder{level}_unpool")([x, *pools[level]])
        # the last convolution prepares the width of the block above; at the top the logits are in its place
        last = [filters[level - 1]] if level else []
        x = convolutions(x, [filters[level]] * (CONVOLUTIONS[level] - 1) + last, f"decoder{level}")
    logits = layers.Conv2D(1, 3, padding="same", name="logits")(x)
    return keras.Model(image, probability(logits), name="segnet")


def _double(x: Any) -> Any:
    return ops.repeat(ops.repeat(x, 2, axis=1), 2, axis=2)
