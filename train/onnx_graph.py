"""Writes a Keras functional graph as ONNX nodes: channels first, batch norms folded, nothing left over from training.

It knows the layers that `models` uses and refuses every other one, so nothing is exported by guesswork.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import NodeProto, TensorProto, helper, numpy_helper

from rt_seg.errors import ModelError

from .frameworks import layers
from .segnet import MaxUnpooling2D

Weights = npt.NDArray[np.float32]


class OnnxGraph:
    """ONNX nodes and constants, in the making.

    Attributes:
        nodes: The nodes, each after those that it needs.
        constants: Weights and other constants.
    """

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def add(self, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Append a node, which is named as its only output; returns that name."""
        self.nodes.append(helper.make_node(kind, list(inputs), [output], name=output, **attributes))
        return output

    def constant(self, name: str, value: npt.ArrayLike, dtype: type[np.generic] = np.float32) -> str:
        """Store a constant; returns its name."""
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value, dtype), name))
        return name

    def add_model(self, model: Any, source: str) -> str:
        """Append all layers of a Keras functional model.

        Args:
            model: The model, channels last, one input, one output.
            source: Name of the ONNX tensor ``[N, C, H, W]`` that stands for its input.

        Returns:
            Name of the ONNX tensor ``[N, C, H, W]`` that stands for its output.

        Raises:
            ModelError: It holds a layer, or a setting of one, that this writer does not know.
        """
        names = {id(model.inputs[0]): source}
        consumers = _count_consumers(model)
        folded: dict[int, tuple[Weights, Weights]] = {}
        for layer in model.operations:  # layers, and bare operations of keras.ops, which are refused by name
            if isinstance(layer, layers.InputLayer):
                continue
            inputs = _inputs(layer)
            if id(layer.output) in folded or _is_identity(layer):
                names[id(layer.output)] = names[id(inputs[0])]
                continue
            if isinstance(layer, _CONVOLUTIONS):
                norm = _following_norm(model, layer, consumers)
                names[id(layer.output)] = self._convolution(layer, norm, names[id(inputs[0])])
                if norm is not None:
                    folded[id(norm.output)] = _scale_and_offset(norm)
                continue
            names[id(layer.output)] = self._layer(layer, [names[id(tensor)] for tensor in inputs])
        return names[id(model.outputs[0])]

    def _layer(self, layer: Any, inputs: list[str]) -> str:
        for kind, write in _WRITERS.items():
            if isinstance(layer, kind):
                return write(self, layer, inputs)
        raise ModelError(f"layer {layer.name} is a {type(layer).__name__}, which the ONNX writer does not know")

    def _convolution(self, layer: Any, norm: Any | None, source: str) -> str:
        """A convolution with the batch norm after it folded into its weights."""
        kernel, bias = _kernel_and_bias(layer)
        if norm is not None:
            scale, offset = _scale_and_offset(norm)
            # the axis of the output channels is the second of a transposed convolution, the first of others
            axis = 1 if isinstance(layer, layers.Conv2DTranspose) else 0
            kernel = kernel * np.expand_dims(scale, [i for i in range(4) if i != axis])
            bias = bias * scale + offset
        inputs = [source, self.constant(f"{layer.name}/weights", kernel)]
        if norm is not None or layer.use_bias:
            inputs.append(self.constant(f"{layer.name}/bias", bias))
        kind = "ConvTranspose" if isinstance(layer, layers.Conv2DTranspose) else "Conv"
        output = self.add(kind, inputs, layer.name, **_convolution_attributes(layer))
        return self._activation(layer, output)

    def _activation(self, layer: Any, source: str) -> str:
        """The activation that a layer has inside."""
        name = layer.activation.__name__
        if name == "linear":
            return source
        if name not in _ACTIVATIONS:
            raise ModelError(f"layer {layer.name} has the activation {name}, which the ONNX writer does not know")
        return self.add(_ACTIVATIONS[name], [source], f"{layer.name}/{name}")

    def write_activation(self, layer: Any, inputs: list[str]) -> str:
        """Activation."""
        return self._activation(layer, inputs[0])

    def write_relu(self, layer: Any, inputs: list[str]) -> str:
        """ReLU with or without an upper end."""
        if layer.negative_slope or layer.threshold:
            raise ModelError(f"layer {layer.name} is a leaky ReLU, which the ONNX writer does not know")
        if layer.max_value is None:
            return self.add("Relu", inputs, layer.name)
        ends = [self.constant(f"{layer.name}/low", 0.0), self.constant(f"{layer.name}/high", layer.max_value)]
        return self.add("Clip", [*inputs, *ends], layer.name)

    def write_rescaling(self, layer: Any, inputs: list[str]) -> str:
        """Multiply and add a number."""
        scaled = self.add("Mul", [*inputs, self.constant(f"{layer.name}/scale", layer.scale)], f"{layer.name}/scaled")
        if not np.any(layer.offset):
            return scaled
        return self.add("Add", [scaled, self.constant(f"{layer.name}/offset", layer.offset)], layer.name)

    def write_norm(self, layer: Any, inputs: list[str]) -> str:
        """A batch norm that follows no convolution of its own."""
        scale, offset = (value.reshape(1, -1, 1, 1) for value in _scale_and_offset(layer))
        scaled = self.add("Mul", [*inputs, self.constant(f"{layer.name}/scale", scale)], f"{layer.name}/scaled")
        return self.add("Add", [scaled, self.constant(f"{layer.name}/offset", offset)], layer.name)

    def write_add(self, layer: Any, inputs: list[str]) -> str:
        """Sum of two tensors."""
        return self.add("Add", inputs, layer.name)

    def write_concatenate(self, layer: Any, inputs: list[str]) -> str:
        """Channels of several tensors, one after the other."""
        if layer.axis not in (-1, 3):
            raise ModelError(f"layer {layer.name} joins along axis {layer.axis}; the ONNX writer knows channels only")
        return self.add("Concat", inputs, layer.name, axis=1)

    def write_upsampling(self, layer: Any, inputs: list[str]) -> str:
        """Nearest or bilinear, as TensorFlow places pixels: centres at one half."""
        scales = self.constant(f"{layer.name}/scales", [1.0, 1.0, *layer.size])
        if layer.interpolation == "nearest":
            how = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        elif layer.interpolation == "bilinear":
            how = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
        else:
            raise ModelError(
                f"layer {layer.name} stretches by {layer.interpolation}, which the ONNX writer does not know"
            )
        return self.add("Resize", [*inputs, "", scales], layer.name, **how)

    def write_max_pooling(self, layer: Any, inputs: list[str]) -> str:
        """Maximum of blocks that do not overlap and that fill the picture."""
        sizes = zip(layer.input.shape[1:3], layer.pool_size, strict=True)
        if layer.pool_size != layer.strides or any(length % pool for length, pool in sizes):
            raise ModelError(
                f"layer {layer.name} pools blocks that overlap or stand out; the ONNX writer does not know it"
            )
        return self.add("MaxPool", inputs, layer.name, kernel_shape=layer.pool_size, strides=layer.strides)

    def write_global_average(self, layer: Any, inputs: list[str]) -> str:
        """Mean of each channel, as a picture of one pixel."""
        if not layer.keepdims:
            raise ModelError(f"layer {layer.name} drops height and width; the ONNX writer keeps them (keepdims=True)")
        return self.add("GlobalAveragePool", inputs, layer.name)

    def write_max_unpooling(self, layer: Any, inputs: list[str]) -> str:
        """Values at the places of the maxima, by comparison: TensorRT does not know ONNX' MaxUnpool."""
        values, pooled, maxima = inputs
        scales = self.constant(f"{layer.name}/scales", [1.0, 1.0, 2.0, 2.0])
        how = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        wide_maxima = self.add("Resize", [maxima, "", scales], f"{layer.name}/maxima", **how)
        wide_values = self.add("Resize", [values, "", scales], f"{layer.name}/values", **how)
        is_maximum = self.add("Equal", [pooled, wide_maxima], f"{layer.name}/is_maximum")
        zero = self.constant(f"{layer.name}/zero", 0.0)
        return self.add("Where", [is_maximum, wide_values, zero], layer.name)


# a depthwise convolution is a Conv2D of no kind in Keras, but a separate class
_CONVOLUTIONS = (layers.Conv2D, layers.DepthwiseConv2D, layers.Conv2DTranspose)
_ACTIVATIONS = {"relu": "Relu", "sigmoid": "Sigmoid"}
_WRITERS: dict[type[Any], Callable[[OnnxGraph, Any, list[str]], str]] = {
    layers.Activation: OnnxGraph.write_activation,
    layers.ReLU: OnnxGraph.write_relu,
    layers.Rescaling: OnnxGraph.write_rescaling,
    layers.BatchNormalization: OnnxGraph.write_norm,
    layers.Add: OnnxGraph.write_add,
    layers.Concatenate: OnnxGraph.write_concatenate,
    layers.UpSampling2D: OnnxGraph.write_upsampling,
    layers.MaxPooling2D: OnnxGraph.write_max_pooling,
    layers.GlobalAveragePooling2D: OnnxGraph.write_global_average,
    MaxUnpooling2D: OnnxGraph.write_max_unpooling,
}


def _is_identity(layer: Any) -> bool:
    return isinstance(layer, (layers.Dropout, layers.SpatialDropout2D))


def _inputs(layer: Any) -> list[Any]:
    """The tensors that a layer reads."""
    source: Any = layer.input
    return [*source] if isinstance(source, (list, tuple)) else [source]  # pyright: ignore[reportUnknownVariableType]  Keras has no annotations


def _count_consumers(model: Any) -> dict[int, list[Any]]:
    """For each tensor of the graph, by its id, the layers that read it."""
    consumers: dict[int, list[Any]] = {}
    for layer in model.operations:
        if isinstance(layer, layers.InputLayer):
            continue
        for tensor in _inputs(layer):
            consumers.setdefault(id(tensor), []).append(layer)
    return consumers


def _following_norm(model: Any, layer: Any, consumers: dict[int, list[Any]]) -> Any | None:
    """The batch norm that alone reads a convolution without an activation."""
    readers = consumers.get(id(layer.output), [])
    is_output = any(tensor is layer.output for tensor in model.outputs)
    if len(readers) == 1 and isinstance(readers[0], layers.BatchNormalization) and not is_output:
        return readers[0] if layer.activation.__name__ == "linear" else None
    return None


def _scale_and_offset(norm: Any) -> tuple[Weights, Weights]:
    """A batch norm at inference as ``x * scale + offset``, a value a channel, computed in float64."""
    mean, variance = (np.asarray(value, np.float64) for value in (norm.moving_mean, norm.moving_variance))
    scale = 1 / np.sqrt(variance + norm.epsilon)
    if norm.scale:
        scale = scale * np.asarray(norm.gamma, np.float64)
    offset = -mean * scale
    if norm.center:
        offset = offset + np.asarray(norm.beta, np.float64)
    return scale.astype(np.float32), offset.astype(np.float32)


def _kernel_and_bias(layer: Any) -> tuple[Weights, Weights]:
    """Weights in ONNX's order and bias, zeros without one."""
    kernel = np.asarray(layer.kernel, np.float32)
    if isinstance(layer, layers.DepthwiseConv2D):
        if layer.depth_multiplier != 1:
            raise ModelError(f"layer {layer.name} has a depth multiplier, which the ONNX writer does not know")
        kernel = kernel.transpose(2, 3, 0, 1)  # [kh, kw, C, 1] -> [C, 1, kh, kw]
    elif getattr(layer, "groups", 1) != 1:
        raise ModelError(f"layer {layer.name} convolves in groups, which the ONNX writer does not know")
    else:
        # [kh, kw, in, out] -> [out, in, kh, kw]; a transposed one: [kh, kw, out, in] -> [in, out, kh, kw]
        kernel = kernel.transpose(3, 2, 0, 1)
    channels = layer.output.shape[-1]
    bias = np.asarray(layer.bias, np.float32) if layer.use_bias else np.zeros(channels, np.float32)
    return kernel, bias


def _convolution_attributes(layer: Any) -> dict[str, Any]:
    size = layer.kernel_size
    strides, dilations = tuple(layer.strides), tuple(layer.dilation_rate)
    attributes: dict[str, Any] = {"kernel_shape": size, "strides": strides, "dilations": dilations}
    if isinstance(layer, layers.Conv2DTranspose):
        if size != strides or dilations != (1, 1):
            raise ModelError(f"layer {layer.name} has a kernel unlike its stride, which the ONNX writer does not know")
        return attributes
    attributes["pads"] = _pads(layer)
    if isinstance(layer, layers.DepthwiseConv2D):
        attributes["group"] = layer.input.shape[-1]
    return attributes


def _pads(layer: Any) -> list[int]:
    """TensorFlow's SAME padding: what is odd goes to the end (top, left, bottom, right)."""
    if layer.padding == "valid":
        return [0, 0, 0, 0]
    before, after = [], []
    for length, kernel, stride, dilation in zip(
        layer.input.shape[1:3], layer.kernel_size, layer.strides, layer.dilation_rate, strict=True
    ):
        reach = (kernel - 1) * dilation + 1
        total = max((-(-length // stride) - 1) * stride + reach - length, 0)
        before.append(total // 2)
        after.append(total - total // 2)
    return [*before, *after]
