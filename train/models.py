"""The networks: BGR pixels in, one channel of polyp probability out, both at the same size."""

from typing import Any, get_args

from rt_seg.errors import ModelError

from .blocks import pointwise, probability, separable
from .config import ENCODER_VARIANT, EncoderWeights, ModelName
from .deeplabv3plus import deeplabv3plus
from .efficientnet_lite import efficientnet_lite_features, load_imagenet_weights
from .frameworks import keras, layers
from .segnet import segnet
from .unet import unet

MODEL_NAMES: tuple[str, ...] = get_args(ModelName)

DECODER_FILTERS = (160, 96, 64)
"""Filters of the light decoder at 1/16, 1/8 and 1/4 of the picture."""


def build_model(
    name: str, image_size: int, encoder_weights: EncoderWeights = "imagenet", base_filters: int = 64
) -> Any:
    """Build an untrained network (its encoder may come with ImageNet weights).

    Args:
        name: One of `MODEL_NAMES`.
        image_size: Width and height in pixels, a multiple of 32.
        encoder_weights: ``imagenet``, or ``none`` for random ones; of EfficientNet-Lite.
        base_filters: Filters of the first block of ``unet`` and ``segnet``.

    Returns:
        A Keras model from ``[N, size, size, 3]``, BGR, 0 to 255, to ``[N, size, size, 1]``, probabilities 0 to 1.

    Raises:
        ModelError: An unknown name or an impossible size.
        MissingDependencyError: The package with the encoder's weights is not installed.
    """
    if name not in MODEL_NAMES:
        raise ModelError(f"no model is called {name!r}; there are {', '.join(MODEL_NAMES)}")
    if image_size < 32 or image_size % 32:
        raise ModelError(f"image size {image_size} is not a multiple of 32")
    if name not in ENCODER_VARIANT:
        return (unet if name == "unet" else segnet)(image_size, base_filters)
    variant = ENCODER_VARIANT[name]
    model = deeplabv3plus(image_size) if name == "deeplabv3plus" else unet_efficientnet_lite(variant, image_size)
    if encoder_weights == "imagenet":
        load_imagenet_weights(model, variant)
    return model


def unet_efficientnet_lite(variant: int, image_size: int) -> Any:
    """A U-Net whose encoder is EfficientNet-Lite and whose decoder is depthwise-separable.

    The decoder ends at a quarter of the size and its logits are stretched bilinearly. True masks of Kvasir-SEG that
    make the same way down and up keep an mDice of 0.994 (0.998 from half the size), far above what any network reaches,
    and each doubling more costs as much as all before it.
    """
    image = keras.Input((image_size, image_size, 3), name="image")
    _half, *skips, x = efficientnet_lite_features(image, variant)
    for level, (skip, filters) in enumerate(zip(reversed(skips), DECODER_FILTERS, strict=True)):
        x = _decoder_block(x, skip, filters, f"decoder{level}")
    logits = layers.Conv2D(1, 1, name="logits")(x)
    logits = layers.UpSampling2D(4, interpolation="bilinear", name="logits_upsample")(logits)
    return keras.Model(image, probability(logits), name=f"unet_efficientnet_lite{variant}")


def _decoder_block(x: Any, skip: Any, filters: int, name: str) -> Any:
    """Project, double the size, join the encoder's features, refine with two separable convolutions."""
    x = pointwise(x, filters, f"{name}_project")
    x = layers.UpSampling2D(2, interpolation="nearest", name=f"{name}_upsample")(x)
    x = layers.Concatenate(name=f"{name}_concat")([x, skip])
    for part in ("a", "b"):
        x = separable(x, filters, f"{name}{part}")
    return x
