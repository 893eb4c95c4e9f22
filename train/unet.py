"""The classic U-Net (Ronneberger et al., 2015, arXiv:1505.04597), with batch norms and SAME padding."""

from typing import Any

from .blocks import convolutions, probability
from .frameworks import keras, layers

LEVELS = 5


def unet(image_size: int, base_filters: int) -> Any:
    """Five encoder blocks, a bottleneck at 1/32 of the size, five decoder blocks.

    Args:
        image_size: Side of the picture in pixels, a multiple of 32.
        base_filters: Filters of the first block; each block below has twice as many.

    Returns:
        A Keras model from ``[N, size, size, 3]``, 0 to 255, to ``[N, size, size, 1]``, probabilities 0 to 1.
    """
    image = keras.Input((image_size, image_size, 3), name="image")
    x = layers.Rescaling(1 / 255, name="rescale")(image)
    skips: list[Any] = []
    for level in range(LEVELS):
        x = convolutions(x, [base_filters << level] * 2, f"encoder{level}")
        skips.append(x)
        x = layers.MaxPooling2D(2, name=f"encoder{level}_pool")(x)
    x = convolutions(x, [base_filters << LEVELS] * 2, "bottleneck")
    for level in reversed(range(LEVELS)):
        filters = base_filters << level
        x = layers.Conv2DTranspose(filters, 2, 2, kernel_initializer="he_normal", name=f"decoder{level}_upconv")(x)
        x = layers.Concatenate(name=f"decoder{level}_concat")([x, skips[level]])
        x = convolutions(x, [filters] * 2, f"decoder{level}")
    logits = layers.Conv2D(1, 1, name="logits")(x)
    return keras.Model(image, probability(logits), name="unet")
