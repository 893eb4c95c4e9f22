"""Blocks of layers that several networks use."""

from typing import Any

from .frameworks import layers

MOMENTUM = 0.97
"""Of batch norms; Keras' default of 0.99 forgets its start too slowly for runs of a few thousand steps."""


def pointwise(x: Any, filters: int, name: str) -> Any:
    """A 1x1 convolution, batch norm, ReLU."""
    x = layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_conv")(x)
    return _normalise(x, name)


def separable(x: Any, filters: int, name: str, dilation: int = 1) -> Any:
    """A depthwise 3x3 convolution, whose taps lie `dilation` pixels apart, a 1x1 convolution, batch norm, ReLU."""
    x = layers.DepthwiseConv2D(
        3, padding="same", dilation_rate=dilation, use_bias=False, name=f"{name}_depthwise_conv"
    )(x)
    x = layers.Conv2D(filters, 1, use_bias=False, kernel_initializer="he_normal", name=f"{name}_pointwise_conv")(x)
    return _normalise(x, name)


def convolutions(x: Any, filters: list[int], name: str) -> Any:
    """3x3 convolutions one after the other, each with batch norm and ReLU: ``NAMEa``, ``NAMEb``, ..."""
    for part, width in zip("abc", filters, strict=False):
        x = layers.Conv2D(
            width, 3, padding="same", use_bias=False, kernel_initializer="he_normal", name=f"{name}{part}_conv"
        )(x)
        x = layers.BatchNormalization(name=f"{name}{part}_bn")(x)
        x = layers.ReLU(name=f"{name}{part}_relu")(x)
    return x


def probability(logits: Any) -> Any:
    """The sigmoid that ends a network: in float32 whatever the rest computes in, as the loss needs it."""
    return layers.Activation("sigmoid", dtype="float32", name="probability")(logits)


def _normalise(x: Any, name: str) -> Any:
    return layers.ReLU(name=f"{name}_relu")(layers.BatchNormalization(momentum=MOMENTUM, name=f"{name}_bn")(x))
