"""DeepLabV3+ (Chen et al., 2018, arXiv:1802.02611) on EfficientNet-Lite0: dilated convolutions of several reaches."""

from typing import Any

from .blocks import pointwise, probability, separable
from .efficientnet_lite import efficientnet_lite_features
from .frameworks import keras, layers

OUTPUT_STRIDE = 16
FILTERS = 256
LOW_LEVEL_FILTERS = 48
RATES = (6, 12, 18)
"""Dilations at 1/16 of the paper's 513 pixels; for other sizes they shrink and grow along, see `_rates`."""


def deeplabv3plus(image_size: int) -> Any:
    """Encoder to 1/16, pyramid of dilated separable convolutions, decoder at 1/4; logits stretched bilinearly.

    Args:
        image_size: Side of the picture in pixels, a multiple of 32.

    Returns:
        A Keras model from ``[N, size, size, 3]``, 0 to 255, to ``[N, size, size, 1]``, probabilities 0 to 1.
    """
    image = keras.Input((image_size, image_size, 3), name="image")
    _half, quarter, *_, x = efficientnet_lite_features(image, 0, OUTPUT_STRIDE)
    x = _pyramid(x, image_size // OUTPUT_STRIDE)
    x = layers.UpSampling2D(4, interpolation="bilinear", name="decoder_upsample")(x)
    x = layers.Concatenate(name="decoder_concat")([x, pointwise(quarter, LOW_LEVEL_FILTERS, "decoder_low_level")])
    for part in ("a", "b"):
        x = separable(x, FILTERS, f"decoder{part}")
    logits = layers.Conv2D(1, 1, name="logits")(x)
    logits = layers.UpSampling2D(4, interpolation="bilinear", name="logits_upsample")(logits)
    return keras.Model(image, probability(logits), name="deeplabv3plus")


def _pyramid(x: Any, side: int) -> Any:
    """Atrous spatial pyramid pooling: a 1x1 convolution, three dilated ones, and the mean of the whole picture."""
    branches = [pointwise(x, FILTERS, "aspp0")]
    branches += [separable(x, FILTERS, f"aspp{number}", rate) for number, rate in enumerate(_rates(side), 1)]
    mean = layers.GlobalAveragePooling2D(keepdims=True, name="aspp_mean")(x)
    mean = pointwise(mean, FILTERS, "aspp_mean")
    branches.append(layers.UpSampling2D(side, interpolation="nearest", name="aspp_mean_upsample")(mean))
    x = layers.Concatenate(name="aspp_concat")(branches)
    return layers.Dropout(0.1, name="aspp_dropout")(pointwise(x, FILTERS, "aspp"))


def _rates(side: int) -> list[int]:
    """The paper's dilations, as a share of the feature map: as wide as the map, a 3x3 kernel is but its middle."""
    return [max(1, round(rate * side / 33)) for rate in RATES]
