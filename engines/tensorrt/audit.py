"""The dtype audit: in an FP16 network nothing is float32 but what is meant to be."""

from collections.abc import Collection, Iterator
from typing import Any

from onnx import ModelProto, TensorProto

from rt_seg.errors import ModelError

from .source import tensor_types

_CONSTANT_SUFFIX = "_output"  # the parser's, for the tensor of a constant


def audit_fp16(network: Any, trt: Any, model: ModelProto) -> tuple[str, ...]:
    """List every float32 tensor of a parsed network.

    Args:
        network: A ``trt.INetworkDefinition``.
        trt: The module it is of.
        model: The FP16 ONNX that it was parsed from, which says what is float32 on purpose.

    Returns:
        Names of the float32 tensors, all of them meant to be.

    Raises:
        ModelError: There are others, which are named.
    """
    meant = {name for name, kind in tensor_types(model).items() if kind == TensorProto.FLOAT}
    found: list[str] = []
    unexpected: list[str] = []
    for layer, tensor in _float32_outputs(network, trt):
        found.append(tensor.name)
        if not (_is_meant(tensor.name, meant) or _is_helper(layer, meant)):
            unexpected.append(f"{tensor.name} of {layer.name}")
        meant.add(tensor.name)  # reported once, where it begins
    if unexpected:
        raise ModelError(
            f"the FP16 network has {len(unexpected)} float32 tensors that nobody asked for, so nothing was written: "
            f"{', '.join(unexpected[:8])}; report this model, and build it with --precision fp32"
        )
    return tuple(found)


def _float32_outputs(network: Any, trt: Any) -> Iterator[tuple[Any, Any]]:
    for number in range(network.num_layers):
        layer = network.get_layer(number)
        for place in range(layer.num_outputs):
            tensor = layer.get_output(place)
            if tensor.dtype == trt.float32:
                yield layer, tensor


def _is_meant(name: str, meant: Collection[str]) -> bool:
    return name in meant or name.removesuffix(_CONSTANT_SUFFIX) in meant


def _is_helper(layer: Any, meant: Collection[str]) -> bool:
    """Whether the parser set a layer of its own, such as a broadcast, behind tensors that are float32 on purpose."""
    inputs = [layer.get_input(place) for place in range(layer.num_inputs)]
    return not layer.metadata and bool(inputs) and all(_is_meant(tensor.name, meant) for tensor in inputs if tensor)
