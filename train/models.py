"""The networks: BGR pixels in, one channel of polyp probability out, both at the same size."""

from typing import Any, Literal

from rt_seg.errors import ModelError

from .efficientnet_lite import efficientnet_lite_features, load_imagenet_weights
from .frameworks import keras, layers
from .unet import unet

MODEL_NAMES = ("unet", "unet-efficientnet-lite0", "unet-efficientnet-lite1", "unet-efficientnet-lite2")
EncoderWeights = Literal["imagenet", "none"]

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
        base_filters: Filters of the first block of ``unet``.

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
    if name == "unet":
        return unet(image_size, base_filters)
    return unet_efficientnet_lite(int(name[-1]), image_size, encoder_weights)


def unet_efficientnet_lite(variant: int, image_size: int, encoder_weights: EncoderWeights) -> Any:
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
    probability = layers.Activation("sigmoid", name="probability")(logits)
    model = keras.Model(image, probability, name=f"unet_efficientnet_lite{variant}")
    if encoder_weights == "imagenet":
        load_imagenet_weights(model, variant)
    return model


def _decoder_block(x: Any, skip: Any, filters: int, name: str) -> Any:
    """Project, double the size, join the encoder's features, refine with two separable convolutions."""
    x = layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_project_conv")(x)
    x = layers.BatchNormalization(momentum=0.97, name=f"{name}_project_bn")(x)
    x = layers.ReLU(name=f"{name}_project_relu")(x)
    x = layers.UpSampling2D(2, interpolation="nearest", name=f"{name}_upsample")(x)
    x = layers.Concatenate(name=f"{name}_concat")([x, skip])
    for part in ("a", "b"):
        x = _separable(x, filters, f"{name}{part}")
    return x


def _separable(x: Any, filters: int, name: str) -> Any:
    x = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name=f"{name}_depthwise_conv")(x)
    x = layers.Conv2D(filters, 1, use_bias=False, kernel_initializer="he_normal", name=f"{name}_pointwise_conv")(x)
    x = layers.BatchNormalization(momentum=0.97, name=f"{name}_bn")(x)
    return layers.ReLU(name=f"{name}_relu")(x)
